//! `/v1beta1/apikeys` (API Key of the published API).
//!
//! Guesses, because nothing says: a list without `projectId` has all keys of the organization; a key that was deleted is refused
//! with the challenge that an unknown one gets; only owners see keys other than their own.

use serde_json::{Value, json};

use super::{Call, Route};
use crate::control::{
    answers::{Failure, Outcome},
    pages::{PAGE_SIZE_MAX, Page, set_token},
    services::IAM,
    state::{ApiKey, KeyRole, World},
};

/// The operations.
pub(super) static ROUTES: &[Route] = &[
    Route::reads(&IAM, "GET", "/apikeys", list),
    Route::reads(&IAM, "GET", "/apikeys/{accessKey}", get),
    Route::writes(&IAM, "DELETE", "/apikeys/{accessKey}", delete),
];

/// Without the private key, which is shown once by `POST`.
fn show(key: &ApiKey) -> Value {
    json!({
        "name": format!("orgs/{}/apiKeys/{}", key.organization, key.id),
        "accessKey": key.public,
        "displayName": key.display_name,
        "role": key.role,
    })
}

/// `GET /v1beta1/apikeys`
fn list(world: &World, call: &Call) -> Outcome {
    if call.key.role != KeyRole::Owner {
        return Err(Failure::new(403, "the API key has no permission to list API keys"));
    }
    let page = Page::read(&call.query, &format!("apikeys {}", call.key.organization), PAGE_SIZE_MAX)?;
    let project = call.query.get("projectId").filter(|project| *project != "0");
    let own = world.api_keys.iter().filter(|key| key.organization == call.key.organization);
    let own = own.filter(|key| project.is_none_or(|project| key.project == project));
    let (keys, token) = page.cut((1..).zip(own).map(|(position, key)| (position, show(key))));
    let mut body = json!({ "apiKeys": keys });
    set_token(&mut body, token);
    Ok(body)
}

fn position(world: &World, call: &Call) -> Result<usize, Failure> {
    let access_key = call.parameter("accessKey").unwrap_or_default();
    let visible = |key: &ApiKey| {
        let own = key.public == call.key.public;
        key.public == access_key
            && (own || (call.key.role == KeyRole::Owner && key.organization == call.key.organization))
    };
    let found = world.api_keys.iter().position(visible);
    found.ok_or_else(|| Failure::new(404, format!("api key {access_key} not found")))
}

/// `GET /v1beta1/apikeys/{accessKey}`: one's own key, and for an owner those of the organization.
fn get(world: &World, call: &Call) -> Outcome {
    let at = position(world, call)?;
    world.api_keys.get(at).map(show).ok_or_else(|| Failure::new(404, "api key not found"))
}

/// `DELETE /v1beta1/apikeys/{accessKey}`: the key works no more from then on.
fn delete(world: &mut World, call: &Call) -> Outcome {
    let at = position(world, call)?;
    world.api_keys.remove(at);
    Ok(json!({}))
}
