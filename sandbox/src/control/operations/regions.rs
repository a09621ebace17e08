//! `/v1beta1/regions` (ClusterService of the published API).

use serde_json::json;

use super::Call;
use crate::control::{
    answers::Outcome,
    regions::{REGIONS, Region},
    state::World,
};

/// `GET /v1beta1/regions`, which has no pages.
pub(super) fn list(_: &World, _: &Call) -> Outcome {
    Ok(json!({ "regions": REGIONS.iter().map(Region::show).collect::<Vec<_>>() }))
}
