//! `dedicated.tidbapi.com` (Dedicated of the published API): nobody has a Dedicated cluster here.

use serde_json::json;

use super::{Call, Route};
use crate::control::{answers::Outcome, services::DEDICATED, state::World};

/// The operations.
pub(super) static ROUTES: &[Route] = &[Route::reads(&DEDICATED, "GET", "/clusters", list)];

/// `GET /v1beta1/clusters`
pub(super) fn list(_: &World, _: &Call) -> Outcome {
    Ok(json!({ "clusters": [], "totalSize": 0 }))
}
