//! `tidbcloud_create_integration`: an endpoint from which Prometheus reads the metrics of a cluster.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use url::Url;

use super::dedicated;
use crate::{
    base::schema::schema_of,
    catalogue::{
        ClusterReference, Context, Done, Effect, HandOut, Item, Receipt, Stakes, Tool, ToolError, code, named, said,
    },
};

/// Make a Prometheus endpoint for a Dedicated cluster, for Grafana and other dashboards. The person gets its key from a page, once.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct CreateIntegration {
    cluster: ClusterReference,
    /// What reads it
    #[serde(rename = "kind")]
    _kind: Kind,
}

/// The only kind that needs no key of another service.
#[derive(Deserialize)]
#[serde(rename_all = "lowercase")]
enum Kind {
    Prometheus,
}

schema_of! {
    Kind => {"type": "string", "enum": ["prometheus"]};
}

#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct NewIntegration {
    cluster_id: String,
    integration_id: String,
    kind: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    query_endpoint: Option<String>,
    /// A page on which the person reads the key, once, within ten minutes.
    key_page: String,
    notice: String,
    #[serde(skip)]
    cluster_name: String,
}

impl Tool for CreateIntegration {
    const NAME: &'static str = "tidbcloud_create_integration";
    const TITLE: &'static str = "Create monitoring integration";
    const EFFECT: Effect = Effect::Create;
    const DATA_CROSSES: bool = true;
    const RECEIPT: Option<Receipt<Self>> = Some(Receipt {
        look: "Look with tidbcloud_list_integrations before trying again: an endpoint that is there is to be deleted first, as nobody has its key.",
        tries: |call| format!("make a Prometheus endpoint for the cluster {}", call.cluster.as_str()),
        done: |made| done(&made.cluster_id, &made.cluster_name, &made.integration_id),
    });
    type Output = NewIntegration;

    /// The cluster, of which two APIs are asked, what it has, and the new one.
    fn requests_min(_: &Map<String, Value>) -> u32 {
        4
    }

    fn asks(&self) -> bool {
        true
    }

    fn opens(&self) -> bool {
        true
    }

    async fn stakes(&self, context: &Context<'_>) -> Result<Option<Stakes>, ToolError> {
        let cluster = dedicated(context, &self.cluster).await?;
        let all = context.cloud().integrations(&cluster.cluster_id).await?;
        let kinds: Vec<_> = all.iter().map(|integration| integration.kind.as_str()).collect();
        let name = said(&cluster.display_name, cluster.cluster_id.as_str());
        let what = format!("Let whoever has a new key read all metrics of the cluster {name} through Prometheus.");
        let stakes = Stakes::of(what)
            .fact("Cluster", Some(&cluster.display_name))
            .fact("Cluster id", Some(&cluster.cluster_id))
            .fact("Integrations now", Some(if kinds.is_empty() { "none".to_owned() } else { kinds.join(", ") }))
            .fact("The key", Some("you get it from a page after this, once; the model never sees it"));
        Ok(Some(match &cluster.state {
            Some(state) => stakes.moving_fact("State", state.as_str()),
            None => stakes,
        }))
    }

    async fn call(self, context: &Context<'_>) -> Result<NewIntegration, ToolError> {
        let cluster = dedicated(context, &self.cluster).await?;
        let cluster_id = cluster.cluster_id.to_string();
        context.keep_place().await?;
        let made = context.cloud().create_prometheus(&cluster.cluster_id).await?;
        let integration_id = made.id.map(|id| id.to_string()).unwrap_or_default();
        let (key, query_endpoint) = made.prometheus.map_or((None, None), |access| (access.key, access.query_endpoint));
        let name = cluster.display_name;
        let key_page = match key {
            Some(value) => {
                let mut facts = vec![
                    ("Cluster".to_owned(), said(&name, &cluster_id).to_owned()),
                    ("Integration".to_owned(), integration_id.clone()),
                ];
                facts.extend(query_endpoint.clone().map(|endpoint| ("Endpoint for queries".to_owned(), endpoint)));
                let title = format!("The key to the metrics of {}.", said(&name, &cluster_id));
                let items = vec![Item::Text { name: "Key, for `Authorization: Bearer`".to_owned(), value }];
                context.hand_out(HandOut { title, facts, items }).await
            }
            None => {
                let message = "The Prometheus endpoint was made, and TiDB Cloud's answer has no key.";
                Err(ToolError::new(code::UPSTREAM_INVALID_RESPONSE, message).hint(""))
            }
        };
        let key_page = key_page.map_err(|mut error| {
            // Nobody can have this key any more, and the endpoint is there.
            error.retryable = false;
            error.hint = format!(
                "Delete it, as nobody has its key: tidbcloud_delete_integration {{\"cluster\":\"{cluster_id}\",\"id\":\"{integration_id}\"}}. Then call again."
            );
            error.receipt = done(&cluster_id, &name, &integration_id).in_part();
            error
        })?;
        Ok(NewIntegration {
            notice: notice(query_endpoint.as_deref()),
            cluster_id,
            integration_id,
            kind: made.kind,
            query_endpoint,
            key_page,
            cluster_name: name,
        })
    }
}

fn done(cluster: &str, name: &str, id: &str) -> Done {
    Done::of(format!("Made the Prometheus endpoint {id} of the cluster {}", named(name, cluster)))
        .affecting(Some(1))
        .undone_by(format!("tidbcloud_delete_integration {{\"cluster\":\"{cluster}\",\"id\":\"{id}\"}} deletes it."))
}

/// What to do now, and whether the endpoint is where TiDB Cloud's hosts are: the key goes there.
fn notice(endpoint: Option<&str>) -> String {
    const TAKE: &str = "Give the person `keyPage`: the key is shown there once, within ten minutes.";
    let is_known = endpoint.and_then(|endpoint| Url::parse(endpoint).ok()).is_some_and(|url| {
        url.scheme() == "https"
            && url.username().is_empty()
            && url.host_str().is_some_and(|host| host.ends_with(".tidbcloud.com"))
    });
    match endpoint {
        None => format!("{TAKE} TiDB Cloud's answer has no endpoint: the person sees it in the console."),
        Some(_) if is_known => TAKE.to_owned(),
        Some(_) => format!(
            "{TAKE} The endpoint is not an https address below tidbcloud.com: the person compares it with the console before they send the key there."
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::notice;

    #[test]
    fn an_endpoint_elsewhere_is_named_as_such() {
        for (endpoint, is_named) in [
            ("https://prometheus.us-east-1.aws.tidbcloud.com/api/v1/query", false),
            ("http://prometheus.tidbcloud.com/api/v1/query", true),
            ("https://prometheus.tidbcloud.com@evil.example/", true),
            ("https://tidbcloud.com.evil.example/api/v1/query", true),
            ("https://eviltidbcloud.com/", true),
            ("no address", true),
        ] {
            assert_eq!(notice(Some(endpoint)).contains("compares"), is_named, "{endpoint}");
        }
    }
}
