//! `/v1beta1/regions` (ClusterService of the published API).

use serde_json::json;

use super::{Call, Route};
use crate::control::{
    answers::Outcome,
    regions::{REGIONS, Region},
    services::SERVERLESS,
    state::World,
};

/// The operations.
pub(super) static ROUTES: &[Route] = &[Route::reads(&SERVERLESS, "GET", "/regions", list)];

/// `GET /v1beta1/regions`, which has no pages.
pub(super) fn list(_: &World, _: &Call) -> Outcome {
    Ok(json!({ "regions": REGIONS.iter().map(Region::show).collect::<Vec<_>>() }))
}
