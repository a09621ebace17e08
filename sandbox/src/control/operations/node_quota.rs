//! `/v1beta1/clusters:showNodeQuota` (Cluster of the published Dedicated API).

use serde_json::json;

use super::{Call, Route};
use crate::control::{answers::Outcome, services::DEDICATED, state::World};

/// The operations.
pub(super) static ROUTES: &[Route] = &[Route::reads(&DEDICATED, "GET", "/clusters:showNodeQuota", show)];

/// The documented defaults (<https://docs.pingcap.com/tidbcloud/limitations-and-quotas/#cluster-quotas>), in the order of the
/// published example. TiProxy is not one of the published component types.
const QUOTAS: [(&str, u32); 3] = [("TIDB", 10), ("TIKV", 15), ("TIFLASH", 5)];

fn show(_: &World, _: &Call) -> Outcome {
    let quota = |(component, quota): (&str, u32)| json!({ "componentType": component, "quota": quota });
    Ok(json!({ "componentQuotas": QUOTAS.map(quota) }))
}
