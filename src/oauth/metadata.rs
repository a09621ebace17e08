//! The metadata that clients read before they begin.

use serde_json::json;

use super::{Server, address, json_error};
use crate::{
    base::{
        http::{Head, Response, is_query},
        scope::Scope,
    },
    catalogue::{Narrowing, NotNarrowed},
};

/// Five minutes: it changes only with a deployment's settings.
const CACHE: &str = "public, max-age=300";

impl Server<'_> {
    /// RFC 9728 section 2. Each address that the endpoint takes is a resource of its own here, with one document.
    pub(super) fn protected_resource(&self, head: &Head) -> Response {
        let query = head.query.as_deref();
        if let Err(NotNarrowed(why)) = Narrowing::parse(query) {
            let (status, error) =
                if query.is_none_or(is_query) { (404, "not_found") } else { (400, "invalid_request") };
            return json_error(status, error, why);
        }
        let origin = self.origin.as_str();
        let body = json!({
            "resource": address(head, self.origin, ""),
            "authorization_servers": [origin],
            "scopes_supported": Scope::ALL.map(Scope::as_str),
            "bearer_methods_supported": ["header"],
            "resource_name": "TiDB Cloud",
            "resource_documentation": format!("{origin}/"),
        });
        Response::json(200, body.to_string()).with("cache-control", CACHE)
    }

    /// RFC 8414 section 2, with RFC 9207 and the draft on client id metadata documents.
    pub(super) fn authorization_server(&self) -> Response {
        let origin = self.origin.as_str();
        let at = |path: &str| format!("{origin}{path}");
        let body = json!({
            "issuer": origin,
            "authorization_endpoint": at("/authorize"),
            "token_endpoint": at("/token"),
            "registration_endpoint": at("/register"),
            "revocation_endpoint": at("/revoke"),
            "response_types_supported": ["code"],
            "response_modes_supported": ["query"],
            "grant_types_supported": ["authorization_code", "refresh_token"],
            "code_challenge_methods_supported": ["S256"],
            "token_endpoint_auth_methods_supported": ["none"],
            "revocation_endpoint_auth_methods_supported": ["none"],
            "client_id_metadata_document_supported": true,
            "authorization_response_iss_parameter_supported": true,
            "scopes_supported": Scope::ALL.map(Scope::as_str),
            "service_documentation": at("/"),
        });
        Response::json(200, body.to_string()).with("cache-control", CACHE)
    }
}
