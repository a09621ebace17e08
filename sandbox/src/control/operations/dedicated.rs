//! `dedicated.tidbapi.com` (Dedicated of the published API): nobody has a Dedicated cluster here.

use serde_json::json;

use super::Call;
use crate::control::{answers::Outcome, state::World};

/// `GET /v1beta1/clusters`
pub(super) fn list(_: &World, _: &Call) -> Outcome {
    Ok(json!({ "clusters": [], "totalSize": 0 }))
}
