//! `cloud.tidbapi.com` (Premium and newer Essential of the published API): nobody has such an instance here.

use serde_json::json;

use super::{Call, Route};
use crate::control::{answers::Outcome, services::PREMIUM, state::World};

/// The operations.
pub(super) static ROUTES: &[Route] = &[Route::reads(&PREMIUM, "GET", "/tidbs", list)];

/// `GET /v1beta2/tidbs`
pub(super) fn list(_: &World, _: &Call) -> Outcome {
    Ok(json!({ "tidbs": [], "totalSize": 0 }))
}
