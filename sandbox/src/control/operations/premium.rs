//! `cloud.tidbapi.com` (Premium and newer Essential of the published API): nobody has such an instance here.

use serde_json::json;

use super::Call;
use crate::control::{answers::Outcome, state::World};

/// `GET /v1beta2/tidbs`
pub(super) fn list(_: &World, _: &Call) -> Outcome {
    Ok(json!({ "tidbs": [], "totalSize": 0 }))
}
