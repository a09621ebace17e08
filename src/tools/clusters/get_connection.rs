//! `tidbcloud_get_connection`: how an application connects.

mod snippets;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use self::snippets::{Client, Place};
use crate::{
    catalogue::{BranchReference, ClusterReference, Context, Effect, Tool, ToolError},
    tidbcloud::{ApiError, DatabaseName, Facts, Instance, Malformed, State},
};

/// How to connect an application: host, port, user prefix, TLS, URL, snippet for a driver or ORM; never a password.
#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct GetConnection {
    cluster: ClusterReference,
    branch: Option<BranchReference>,
    client: Option<Client>,
    /// Default: test
    #[schemars(with = "Option<String>")]
    database: Option<DatabaseName>,
}

#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct Connection {
    host: String,
    port: u32,
    /// Left out if user names have none.
    #[serde(skip_serializing_if = "Option::is_none")]
    user_prefix: Option<String>,
    /// With a word in place of the SQL user's own name.
    user_name: String,
    /// Without password.
    url: String,
    tls: &'static str,
    password_from: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<serde_json::Map<String, serde_json::Value>>")]
    snippet: Option<Program>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    notices: Vec<String>,
}

/// A program that connects.
#[derive(Serialize)]
struct Program {
    client: &'static str,
    language: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    install: Option<&'static str>,
    /// The file to save it as.
    file: &'static str,
    text: String,
    run: &'static str,
}

/// <https://docs.pingcap.com/tidbcloud/secure-connections-to-serverless-clusters>
const TLS: &str = "Required, 1.2 or 1.3. The certificate is by Let's Encrypt (ISRG Root X1): verify it, and the host's name, \
    against the system's CAs.";

/// Of public endpoints. <https://docs.pingcap.com/tidbcloud/connect-via-standard-connection-serverless>
const PORT: u32 = 4000;

/// Every cluster has it from the beginning, and TiDB Cloud's own console proposes it.
const DATABASE: &str = "test";

/// What stands for a SQL user's own name, which only the person knows.
const USER: &str = "YOUR_USER";

/// It stays with the person.
const PASSWORD_FROM: &str = "The person sets the environment variable TIDB_PASSWORD to the password of the SQL user that takes \
    the place of YOUR_USER.";

impl Tool for GetConnection {
    const NAME: &'static str = "tidbcloud_get_connection";
    const TITLE: &'static str = "Connect an application";
    const EFFECT: Effect = Effect::Read;
    type Output = Connection;

    async fn call(self, context: &Context<'_>) -> Result<Connection, ToolError> {
        let target = context.target(&self.cluster, self.branch.as_ref()).await?;
        let instance = context.cloud().instance(&target).await?;
        let facts = Facts::of(&instance)?;
        let prefix = facts.prefix.as_deref();
        if prefix.is_some_and(|prefix| !prefix.bytes().all(|byte| byte.is_ascii_alphanumeric())) {
            return Err(
                ApiError::Malformed(Malformed { what: "the user prefix", expected: "letters and digits" }).into()
            );
        }
        let place = Place {
            host: facts.host.endpoint().to_owned(),
            port: port_of(instance.public().and_then(|public| public.port)),
            user: facts.full_name(USER),
            database: self.database.as_ref().map_or(DATABASE, DatabaseName::as_str).to_owned(),
        };
        let mut notices = notices(&instance);
        let snippet = self.client.map(Client::snippet);
        match snippet {
            Some(snippet) => notices.extend(snippet.notice.map(str::to_owned)),
            None => notices.push(format!(
                "With `client` there is a program too: {}.",
                Client::names().collect::<Vec<_>>().join(", ")
            )),
        }
        Ok(Connection {
            url: place.put_into("mysql://<USER>@<HOST>:<PORT>/<DATABASE>"),
            snippet: snippet.map(|snippet| Program {
                client: snippet.client,
                language: snippet.language,
                install: snippet.install,
                file: snippet.file,
                text: place.put_into(snippet.program),
                run: snippet.run,
            }),
            host: place.host,
            port: place.port,
            user_prefix: facts.prefix,
            user_name: place.user,
            tls: TLS,
            password_from: PASSWORD_FROM,
            notices,
        })
    }
}

/// A port from the control plane, which leaves out what is as usual.
fn port_of(port: Option<i64>) -> u32 {
    port.and_then(|port| u16::try_from(port).ok()).filter(|port| *port != 0).map_or(PORT, u32::from)
}

/// Why a connection would be refused now, and how else to connect.
fn notices(instance: &Instance) -> Vec<String> {
    let mut notices = Vec::new();
    let state = instance.state.as_ref().map_or("CREATING", State::as_str);
    if state != State::Active.as_str() {
        notices.push(format!("It is {state}, and takes connections when it is ACTIVE."));
    }
    if instance.public().is_some_and(|public| public.disabled) {
        notices.push(
            "The public endpoint is switched off: tidbcloud_set_public_access switches it on for a cluster; for a branch, the person in the TiDB Cloud console, under Networking."
                .to_owned(),
        );
    }
    if let Some(host) = instance.private_host() {
        notices.push(format!("Applications in a network with a private endpoint use the host {host}."));
    }
    notices
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_that_is_none_is_the_usual_one() {
        for (sent, port) in [
            (Some(4000), 4000),
            (Some(3306), 3306),
            (None, PORT),
            (Some(0), PORT),
            (Some(-1), PORT),
            (Some(70_000), PORT),
        ] {
            assert_eq!(port_of(sent), port, "{sent:?} from the control plane");
        }
    }
}
