//! `tidbcloud_doctor`: what is wrong with a deployment, its keys and their limits.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::roles::ROLES;
use crate::{
    catalogue::{Advice, Context, Effect, LimitState, Tool, ToolError},
    tidbcloud::{ApiError, Cluster, OwnKey},
};

/// Diagnose this deployment and these credentials. Answers with their role, the planes they see, whether SQL users can be made, limits as
/// they stand, and, to the access key's holder, what is missing, unsafe, contradictory or misspelt in settings.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Doctor {}

#[derive(Serialize, JsonSchema)]
pub(super) struct Diagnosis {
    #[schemars(with = "Vec<Map<String, Value>>")]
    keys: Vec<KeyView>,
    /// As `/readyz`
    #[schemars(with = "Map<String, Value>")]
    checks: BTreeMap<&'static str, &'static str>,
    #[schemars(with = "Vec<Map<String, Value>>")]
    limits: Vec<LimitView>,
    /// For the access key's holder
    #[schemars(with = "Option<Vec<Map<String, Value>>>")]
    #[serde(skip_serializing_if = "Option::is_none")]
    settings: Option<Vec<Advice>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    note: Option<&'static str>,
}

/// The credentials for one organization.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct KeyView {
    /// As receipts name it.
    credential: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    display_name: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    role: Option<String>,
    /// What the role may do.
    #[serde(skip_serializing_if = "Option::is_none")]
    may: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    note: Option<&'static str>,
    planes: Vec<PlaneView>,
    managed_users: ManagedUsers,
    /// To TiDB Cloud.
    #[serde(skip_serializing_if = "Option::is_none")]
    requests: Option<LimitView>,
}

/// An API of TiDB Cloud.
#[derive(Serialize)]
struct PlaneView {
    plane: &'static str,
    seen: Verdict,
    #[serde(skip_serializing_if = "Option::is_none")]
    why: Option<String>,
}

#[derive(Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
enum Verdict {
    Yes,
    No,
    Unknown,
}

/// Whether the server can make its own SQL users.
#[derive(Serialize)]
struct ManagedUsers {
    possible: Verdict,
    why: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    hint: Option<&'static str>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct LimitView {
    limit: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    left: Option<u32>,
    at_once: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    a_minute: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    note: Option<&'static str>,
}

/// Two for each of the four planes, the first of which asks for a nonce, and two for the SQL users of a cluster.
const REQUESTS_MAX: u32 = 10;

const OWN_USER: &str =
    "The person sends a SQL user of the cluster in the headers X-TiDB-SQL-User and X-TiDB-SQL-Secret.";

impl Tool for Doctor {
    const NAME: &'static str = "tidbcloud_doctor";
    const TITLE: &'static str = "Diagnose the deployment";
    const EFFECT: Effect = Effect::Read;
    const LIST: Option<&'static str> = Some("keys");
    const OF_CALLER: &'static [&'static str] = &["checks", "limits", "settings", "note"];
    type Output = Diagnosis;

    /// One for each plane.
    fn requests_min(_: &Map<String, Value>) -> u32 {
        4
    }

    async fn call(self, context: &Context<'_>) -> Result<Diagnosis, ToolError> {
        let limits = context.deployment().limits().await;
        let settings = context.deployment().advice();
        let note = settings
            .is_none()
            .then_some("What settings lack is told to the holder of this deployment's access key only.");
        Ok(Diagnosis {
            keys: vec![key(context).await],
            checks: context.deployment().checks().await.into_iter().collect(),
            limits: limits.into_iter().map(|(name, state)| LimitView::of(name, state)).collect(),
            settings,
            note,
        })
    }
}

/// What the caller's credentials are and see. Each plane is asked once: one that fails is shown.
async fn key(context: &Context<'_>) -> KeyView {
    let cloud = context.cloud();
    let kept = context.allowance().keep_to(REQUESTS_MAX);
    let own = cloud.own_key().await;
    let is_refused = matches!(own, Err(ApiError::KeyRejected(_) | ApiError::TokenRejected(_)));
    let (identity, own) = match own {
        Ok(own) => (PlaneView::of("identity", Ok(())), Some(own)),
        Err(error) => (PlaneView::of("identity", Err(error)), None),
    };
    let note =
        (matches!(own, Some(None))).then_some("A token of TiDB Cloud's own OAuth: it has no key and shows no role.");
    let OwnKey { display_name, role } = own.flatten().unwrap_or_default();
    let known = role.as_deref().and_then(|role| ROLES.iter().find(|(name, ..)| *name == role));
    let mut planes = vec![identity];
    let managed_users = if is_refused {
        // Elsewhere it would be refused as well, and each refusal counts against the key.
        planes.extend(["Starter and Essential", "Premium and newer Essential", "Dedicated"].map(PlaneView::not_asked));
        ManagedUsers::unknown("TiDB Cloud does not accept these credentials.")
    } else {
        let first = cloud.first_cluster().await;
        let (starter, first) = match first {
            Ok(first) => (Ok(()), Some(first)),
            Err(error) => (Err(error), None),
        };
        planes.push(PlaneView::of("Starter and Essential", starter));
        planes.push(PlaneView::of("Premium and newer Essential", cloud.sees_premium().await));
        planes.push(PlaneView::of("Dedicated", cloud.sees_dedicated().await));
        managed_users(context, role.as_deref(), known.and_then(|(.., may)| *may), first).await
    };
    drop(kept);
    KeyView {
        credential: context.fingerprint(),
        display_name,
        may: known.map(|(_, meaning, _)| meaning.split_once(": ").map_or(*meaning, |(_, may)| may)),
        role,
        note,
        planes,
        managed_users,
        requests: cloud.requests_left().await.map(|state| LimitView::of("requests to TiDB Cloud", state)),
    }
}

/// Whether SQL users can be made: by the role, and by whether those of the first cluster can be read. `first` is `None` if the
/// clusters could not be read.
async fn managed_users(
    context: &Context<'_>,
    role: Option<&str>,
    may: Option<bool>,
    first: Option<Option<Cluster>>,
) -> ManagedUsers {
    if let (Some(role), Some(false)) = (role, may) {
        return ManagedUsers::no(format!("The role {role} may not make SQL users."));
    }
    let cluster = match first {
        Some(Some(cluster)) => cluster,
        Some(None) => return ManagedUsers::unknown("There is no Starter or Essential cluster to ask about."),
        None => return ManagedUsers::unknown("Starter and Essential clusters could not be read."),
    };
    match context.cloud().sees_sql_users(&cluster.cluster_id).await {
        Ok(()) if may == Some(true) => ManagedUsers {
            possible: Verdict::Yes,
            why: "The role may make SQL users, and TiDB Cloud lists those of a cluster.".to_owned(),
            hint: None,
        },
        Ok(()) => {
            ManagedUsers::unknown("TiDB Cloud lists SQL users; whether one can be made shows with the first SQL.")
        }
        Err(
            error @ (ApiError::KeyRejected(_)
            | ApiError::TokenRejected(_)
            | ApiError::Forbidden(_)
            | ApiError::NotFound(_)
            | ApiError::NotOffered(_)),
        ) => {
            let status = error.answer().map_or(0, |answer| answer.status);
            ManagedUsers::no(format!("TiDB Cloud does not offer SQL users to these credentials (HTTP {status})."))
        }
        Err(error) => ManagedUsers::unknown(ToolError::from(error).message),
    }
}

impl PlaneView {
    /// What a read of a plane says.
    fn of(plane: &'static str, read: Result<(), ApiError>) -> Self {
        let (seen, why) = match read {
            Ok(()) => (Verdict::Yes, None),
            Err(error) => {
                let is_refused =
                    matches!(error, ApiError::KeyRejected(_) | ApiError::TokenRejected(_) | ApiError::Forbidden(_));
                let seen = if is_refused { Verdict::No } else { Verdict::Unknown };
                let status = error.answer().map(|answer| format!("HTTP {}: ", answer.status)).unwrap_or_default();
                (seen, Some(format!("{status}{}", ToolError::from(error).message)))
            }
        };
        Self { plane, seen, why }
    }

    fn not_asked(plane: &'static str) -> Self {
        Self { plane, seen: Verdict::Unknown, why: Some("Not asked.".to_owned()) }
    }
}

impl ManagedUsers {
    fn no(why: String) -> Self {
        Self { possible: Verdict::No, why, hint: Some(OWN_USER) }
    }

    fn unknown(why: impl Into<String>) -> Self {
        Self { possible: Verdict::Unknown, why: why.into(), hint: None }
    }
}

impl LimitView {
    fn of(limit: &'static str, state: LimitState) -> Self {
        let LimitState { left, at_once, a_minute } = state;
        let note = match (left, a_minute) {
            (None, _) => Some("Not known: the limiter did not answer, or this request had no call to it left."),
            (_, None) => Some("Each isolate counts its own."),
            _ => None,
        };
        Self { limit, left, at_once, a_minute, note }
    }
}
