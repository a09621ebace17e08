//! `/_sandbox/`: requests of tests and people to the sandbox itself. JSON both ways; never a secret.

use serde::Deserialize;
use serde_json::{Value, json};

use super::{
    Sandbox,
    answers::json_response,
    state::{KEYS, SHOP_CLUSTER_ID, Server, SqlUser, role_name, timestamp},
};
use crate::exchange::{Request, Response};

/// The body of `POST /_sandbox/clock`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct Clock {
    advance_seconds: u32,
}

impl Sandbox {
    /// Answers a request for `/_sandbox/<path>`. `real` is the time that the caller gave, `now` that of the sandbox.
    pub(super) fn admin(&mut self, real: u64, now: u64, path: &str, request: &Request) -> Response {
        let refused = |message: String| json_response(400, &json!({ "message": message }));
        let (status, body) = match (request.method.as_str(), path) {
            ("GET", "state") => (200, self.state(now)),
            ("GET", "requests") => (200, self.journal.show()),
            ("DELETE", "requests") => {
                self.journal.clear();
                (200, json!({}))
            }
            ("POST", "clock") => match serde_json::from_slice::<Clock>(&request.body) {
                Ok(clock) => {
                    self.advanced += u64::from(clock.advance_seconds) * 1_000;
                    (200, json!({ "now": timestamp(real + self.advanced) }))
                }
                Err(error) => return refused(error.to_string()),
            },
            ("POST", "faults") => match self.faults.add(&request.body) {
                Ok(count) => (200, json!({ "faults": count })),
                Err(error) => return refused(error),
            },
            ("DELETE", "faults") => {
                self.faults.clear();
                (200, json!({}))
            }
            ("POST", "device") => match self.logins.answer(&request.body) {
                Ok(()) => (200, json!({})),
                Err(error) => return refused(error.to_owned()),
            },
            ("POST", "reset") => {
                self.reset();
                (200, json!({}))
            }
            (_, "state" | "requests" | "clock" | "faults" | "device" | "reset") => (
                405,
                json!({ "message": "GET state; GET, DELETE requests; POST clock; POST, DELETE faults; POST device; POST reset" }),
            ),
            _ => (404, json!({ "message": "state, requests, clock, faults, device and reset are here" })),
        };
        json_response(status, &body)
    }

    /// Clusters, branches and their SQL users, without passwords; the other resources show themselves through the API.
    fn state(&self, now: u64) -> Value {
        let users = |server: &Server| -> Vec<Value> {
            let user = |(name, user): (&String, &SqlUser)| {
                json!({
                    "userName": format!("{}.{name}", server.prefix),
                    "role": role_name(user.role),
                    "hasPassword": user.has_password(),
                })
            };
            server.users.iter().map(user).collect()
        };
        let clusters = self.world.clusters.iter().map(|cluster| {
            json!({
                "clusterId": cluster.id,
                "displayName": cluster.settings.display_name,
                "organization": cluster.organization,
                "state": cluster.state(now),
                "userPrefix": cluster.server.prefix,
                "host": cluster.region.host(),
                "sqlUsers": users(&cluster.server),
            })
        });
        let branches = self.world.branches.iter().map(|branch| {
            json!({
                "branchId": branch.id,
                "displayName": branch.display_name,
                "clusterId": branch.cluster,
                "parentId": branch.parent,
                "state": branch.state(now),
                "userPrefix": branch.server.prefix,
                "sqlUsers": users(&branch.server),
            })
        });
        json!({
            "now": timestamp(now),
            "shopClusterId": SHOP_CLUSTER_ID,
            "publicKeys": KEYS.iter().map(|key| key.public).collect::<Vec<_>>(),
            "clusters": clusters.collect::<Vec<_>>(),
            "branches": branches.collect::<Vec<_>>(),
            "effects": self.world.effects_done,
        })
    }
}
