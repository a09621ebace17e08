//! `tidbcloud_set_public_access`: the public endpoint on or off, and the addresses that may connect to it.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::{
    IN_CONSOLE,
    get_network::{EntryView, entries, words},
    ranges::{RANGES_MAX, Range, Ranges, are_within},
};
use crate::{
    catalogue::{ClusterReference, Context, Done, Effect, Receipt, Stakes, Tool, ToolError, code, named, said},
    tidbcloud::{ApiError, AuthorizedNetwork, Cluster, ClusterChange, PublicEndpoint, Target},
};

/// Turn the public endpoint on or off and replace its IP access list, the firewall.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct SetPublicAccess {
    cluster: ClusterReference,
    /// Whether the internet can reach it
    enabled: bool,
    /// Whole new list: IPv4 address, 203.0.113.0/24 or 203.0.113.1-203.0.113.9; default: as it is
    allow: Option<Ranges>,
}

#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct AccessView {
    cluster_id: String,
    enabled: bool,
    /// The access list
    allow: Vec<EntryView>,
    notice: &'static str,
    #[serde(skip)]
    done: Option<Done>,
}

/// What is lost with the endpoint.
const OFF: &str =
    "The SQL tools of this server, and all that connects over the internet, have no way in while it is off.";

/// What a list may do to the caller.
const LISTED: &str = "Whether TiDB Cloud keeps SQL over HTTPS, by which this server runs SQL, to the list is not published: if SQL \
                      tools are refused, the list is why.";

/// A cluster with what its public endpoint is and is to be.
struct Plan {
    cluster: Cluster,
    before: PublicEndpoint,
    enabled: bool,
    /// The list as it is to be, if it changes.
    list: Option<Vec<AuthorizedNetwork>>,
}

/// The addresses of those that can connect, where an entry that cannot be read stands for `unreadable`.
fn reach(enabled: bool, networks: &[AuthorizedNetwork], unreadable: Option<Range>) -> Vec<Range> {
    let all = networks.iter().filter_map(|network| Range::of(network).or(unreadable));
    if enabled { all.collect() } else { Vec::new() }
}

/// A list for a person.
fn in_words(enabled: bool, networks: &[AuthorizedNetwork]) -> String {
    let all: Vec<_> = networks.iter().map(words).collect();
    let is_everybody = are_within(&[Range::ALL], &reach(true, networks, None));
    let list = match (all.is_empty(), is_everybody) {
        (true, _) => "nobody".to_owned(),
        (_, true) => format!("everybody on the internet ({})", all.join(", ")),
        _ => all.join(", "),
    };
    if enabled { list } else { format!("nobody: the endpoint is off. List: {list}") }
}

impl Plan {
    /// The list as it is to be.
    fn networks(&self) -> &[AuthorizedNetwork] {
        self.list.as_deref().unwrap_or(&self.before.authorized_networks)
    }

    /// The changes, so that one which fails leaves no more open than was asked for: the list comes before the endpoint is on.
    fn changes(&self) -> Vec<(&'static str, ClusterChange)> {
        let list = self.list.clone().map(|list| ("allow", ClusterChange::AuthorizedNetworks(list)));
        let switches = self.before.disabled == self.enabled;
        let switch = switches.then_some(("enabled", ClusterChange::PublicEndpointDisabled(!self.enabled)));
        list.into_iter().chain(switch).collect()
    }

    /// What was done by changes of these fields, and the call that undoes it.
    fn did(&self, fields: &[&'static str]) -> Done {
        let id = &self.cluster.cluster_id;
        let cluster = named(&self.cluster.display_name, id.as_str());
        if fields.is_empty() {
            return Done::of(format!("Changed nothing: the public access of the cluster {cluster} was as asked for"))
                .affecting(Some(0));
        }
        let done = Done::of(format!("Changed {} of the public access of the cluster {cluster}", fields.join(" and ")))
            .affecting(Some(1));
        let (was, list) = (!self.before.disabled, &self.before.authorized_networks);
        let mut call = json!({ "cluster": id, "enabled": was });
        if fields.contains(&"allow") {
            // No one call gives a list back to an endpoint that is off, and none takes an empty or a very long list.
            if !was || list.is_empty() || list.len() > RANGES_MAX {
                return done;
            }
            if let Some(call) = call.as_object_mut() {
                call.insert("allow".to_owned(), list.iter().map(words).collect());
            }
        }
        done.undone_by(format!("tidbcloud_set_public_access {call} sets what was there before."))
    }
}

impl SetPublicAccess {
    async fn plan(&self, context: &Context<'_>) -> Result<Plan, ToolError> {
        if self.allow.is_some() && !self.enabled {
            let message = "`allow`: only an endpoint that is on takes another list. Nothing was changed.";
            let hint = "Leave `allow` out: with `enabled` false nobody gets in.";
            return Err(ToolError::new(code::INVALID_ARGUMENT, message).hint(hint));
        }
        let refuse = |message: &str, hint: &str| Err(ToolError::new(code::FAILED_PRECONDITION, message).hint(hint));
        let cluster = context.serverless_cluster(&self.cluster, IN_CONSOLE).await?;
        let Some(before) = cluster.public_endpoint().cloned() else {
            let message = "This cluster has no public endpoint yet. Nothing was changed.";
            return refuse(message, "Call tidbcloud_get_cluster with `waitSeconds` until `state` is ACTIVE.");
        };
        if self.allow.is_some() && before.authorized_networks.iter().any(|network| Range::of(network).is_none()) {
            // Who is let in, and what would be lost, cannot be said of it.
            let message = "The access list has an entry that this server cannot read. Nothing was changed.";
            return refuse(message, IN_CONSOLE);
        }
        let list = self.allow.as_ref().map(|Ranges(wanted)| {
            // An entry that stays keeps its name.
            let known = |range: &Range| before.authorized_networks.iter().find(|it| Range::of(it) == Some(*range));
            wanted.iter().map(|range| known(range).cloned().unwrap_or_else(|| range.entry())).collect::<Vec<_>>()
        });
        let list = list.filter(|list| *list != before.authorized_networks);
        Ok(Plan { cluster, before, enabled: self.enabled, list })
    }
}

impl Tool for SetPublicAccess {
    const NAME: &'static str = "tidbcloud_set_public_access";
    const TITLE: &'static str = "Set public access";
    const EFFECT: Effect = Effect::Update;
    const RECEIPT: Option<Receipt<Self>> = Some(Receipt {
        look: "Look with tidbcloud_get_network before trying again.",
        tries: |call| format!("set the public access of the cluster {}", call.cluster.as_str()),
        done: |set| set.done.clone().unwrap_or_else(|| Done::of("Set the public access of a cluster")),
    });
    type Output = AccessView;

    /// The cluster, and the change.
    fn requests_min(_: &Map<String, Value>) -> u32 {
        2
    }

    fn asks(&self) -> bool {
        true
    }

    /// Turning it off lets nobody in.
    fn opens(&self) -> bool {
        self.enabled
    }

    /// Both who gets in and who is cut off are asked about: applications stop where an address loses its way in.
    async fn stakes(&self, context: &Context<'_>) -> Result<Option<Stakes>, ToolError> {
        let plan = self.plan(context).await?;
        let Plan { cluster, before, enabled, .. } = &plan;
        let (was, will) = (!before.disabled, *enabled);
        // What cannot be read lets in whom it may let in, and has let in nobody for sure.
        let old = reach(was, &before.authorized_networks, None);
        let new = reach(will, plan.networks(), Some(Range::ALL));
        if plan.changes().is_empty() {
            return Ok(None);
        }
        let opens = !are_within(&new, &old);
        let closes = !are_within(&reach(was, &before.authorized_networks, Some(Range::ALL)), &new);
        let name = said(&cluster.display_name, cluster.cluster_id.as_str());
        let everybody = are_within(&[Range::ALL], &new);
        let what = match (opens, closes) {
            (false, false) => return Ok(None),
            (true, _) if everybody => format!("Let everybody on the internet connect to the cluster {name}."),
            (true, false) => format!("Let more addresses connect to the cluster {name}."),
            (true, true) => format!("Let other addresses connect to the cluster {name}, and cut some off."),
            (false, true) if !will => format!("Turn off the public endpoint of the cluster {name}."),
            (false, true) => format!("Cut addresses off from the cluster {name}."),
        };
        let stakes = Stakes::of(what)
            .fact("Cluster", Some(&cluster.display_name))
            .fact("Cluster id", Some(&cluster.cluster_id))
            .fact("Can connect now", Some(in_words(was, &before.authorized_networks)))
            .fact("Can connect then", Some(in_words(will, plan.networks())))
            .fact("Cut off", closes.then_some("Applications at addresses that are no longer allowed cannot connect."))
            .fact("SQL of this server", (!will).then_some(OFF));
        Ok(Some(stakes))
    }

    async fn call(self, context: &Context<'_>) -> Result<AccessView, ToolError> {
        let plan = self.plan(context).await?;
        let id = &plan.cluster.cluster_id;
        let changes = plan.changes();
        // TiDB Cloud takes one field per PATCH, and a PATCH may need a request for a nonce. Either all of them fit or none is sent.
        let requests = changes.iter().map(|_| REQUESTS_PER_CHANGE).sum();
        let mut held = context.allowance().hold(requests).ok_or(ApiError::Exhausted)?;
        let (mut changed, mut last): (Vec<&'static str>, _) = (Vec::new(), None);
        for (field, change) in changes {
            held.release(REQUESTS_PER_CHANGE);
            match context.cloud().update_cluster(id, &change).await {
                Ok(cluster) => last = cluster.public_endpoint().cloned(),
                Err(error) => {
                    let mut error = ToolError::from(error);
                    if !changed.is_empty() {
                        error.receipt = plan.did(&changed).in_part();
                        error.details = Some(json!({ "changed": changed, "failed": field }).into());
                    }
                    return Err(error);
                }
            }
            changed.push(field);
        }
        // What is remembered does not say that the endpoint is off.
        context.sql().forget(&Target { cluster: id.clone(), branch: None });
        let done = plan.did(&changed);
        let after = last.unwrap_or(plan.before);
        Ok(AccessView {
            cluster_id: plan.cluster.cluster_id.to_string(),
            enabled: !after.disabled,
            allow: entries(&after),
            notice: if after.disabled { OFF } else { LISTED },
            done: Some(done),
        })
    }
}

const REQUESTS_PER_CHANGE: u32 = 2;
