//! Views that tools of several toolsets return.

use schemars::JsonSchema;
use serde::Serialize;

use crate::tidbcloud::{Endpoints, State};

/// The notice of an answer for which an operation was called that only TiDB Cloud's own clients show.
pub(super) const UNPUBLISHED: &str = "TiDB Cloud has not published this operation: it is called as TiDB Cloud's command line client calls it, and may change.";

/// The state in the API's own word; a resource without one is being created.
pub(super) fn state(state: Option<&State>) -> String {
    state.map_or("CREATING", State::as_str).to_owned()
}

/// Public and private host and port, if known.
#[derive(Default, Serialize, JsonSchema)]
#[schemars(with = "serde_json::Map<String, serde_json::Value>")]
pub(super) struct EndpointsView {
    #[serde(skip_serializing_if = "Option::is_none")]
    public: Option<EndpointView>,
    #[serde(skip_serializing_if = "Option::is_none")]
    private: Option<EndpointView>,
}

#[derive(Serialize)]
struct EndpointView {
    host: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    port: Option<i64>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    disabled: bool,
}

impl EndpointsView {
    pub(super) fn is_empty(&self) -> bool {
        self.public.is_none() && self.private.is_none()
    }
}

impl From<Option<Endpoints>> for EndpointsView {
    fn from(endpoints: Option<Endpoints>) -> Self {
        let Some(Endpoints { public, private }) = endpoints else { return Self::default() };
        let view = |host: Option<String>, port, disabled| Some(EndpointView { host: host?, port, disabled });
        Self {
            public: public.and_then(|public| view(public.host, public.port, public.disabled)),
            private: private.and_then(|private| view(private.host, private.port, false)),
        }
    }
}
