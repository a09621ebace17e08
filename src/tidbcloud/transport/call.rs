//! One call of an API, and how it can fail.

use serde_json::Value;

use crate::{
    base::{http::Method, secret::Secret},
    tidbcloud::{ApiError, auth::key::ApiKey, service::Service},
};

/// One call of an API.
#[derive(Clone)]
pub(crate) struct Call<'c> {
    pub(crate) service: &'static Service,
    pub(crate) method: Method,
    /// As the API's description writes it, without version: `clusters/{}`.
    pub(crate) path: &'static str,
    /// The values for each `{}`.
    pub(crate) arguments: Vec<&'c str>,
    pub(crate) query: &'c [(&'c str, &'c str)],
    pub(crate) body: Option<Vec<u8>>,
    /// What is secret in the body, in each form, which no error may repeat.
    pub(crate) secrets: &'c [Secret],
}

impl Service {
    /// `arguments` replace each `{}` of `path`.
    pub(crate) fn call<'c, const N: usize>(
        &'static self,
        method: Method,
        path: &'static str,
        arguments: [&'c str; N],
    ) -> Call<'c> {
        Call { service: self, method, path, arguments: arguments.to_vec(), query: &[], body: None, secrets: &[] }
    }

    pub(crate) fn get<'c, const N: usize>(&'static self, path: &'static str, arguments: [&'c str; N]) -> Call<'c> {
        self.call(Method::Get, path, arguments)
    }

    /// The read without effect, for this caller.
    pub(crate) fn probe<'c>(&'static self, key: &'c ApiKey) -> Call<'c> {
        let own_key = self.probe.contains("{}").then(|| key.public());
        Call { arguments: own_key.into_iter().collect(), ..self.get(self.probe, []) }
    }
}

impl<'c> Call<'c> {
    pub(crate) fn with_query(self, query: &'c [(&'c str, &'c str)]) -> Self {
        Self { query, ..self }
    }

    pub(crate) fn with_body(self, body: &Value) -> Self {
        Self { body: Some(bytes(body)), ..self }
    }

    /// With a body that holds a secret.
    pub(crate) fn with_secret(self, body: &Value, secret: &'c Secret) -> Self {
        self.with_secrets(body, std::slice::from_ref(secret))
    }

    /// With a body that holds several, or one in several forms.
    pub(crate) fn with_secrets(self, body: &Value, secrets: &'c [Secret]) -> Self {
        Self { secrets, ..self.with_body(body) }
    }

    /// Its description for the log, without ids.
    pub(crate) fn operation(&self) -> String {
        format!("{} /{}", self.method.as_str(), self.path)
    }
}

/// A body as sent.
pub(crate) fn bytes(body: &Value) -> Vec<u8> {
    body.to_string().into_bytes()
}

/// An attempt that failed.
pub(crate) struct Failed {
    pub(crate) error: ApiError,
    /// Whether the request may have been carried out.
    pub(crate) maybe_done: bool,
}

impl Failed {
    /// The failure of a request that was not carried out.
    pub(crate) fn undone(error: impl Into<ApiError>) -> Self {
        Self { error: error.into(), maybe_done: false }
    }

    /// The failure of a write that is not looked up.
    pub(crate) fn unsettled(self) -> ApiError {
        if self.maybe_done { ApiError::OutcomeUnknown { cause: Box::new(self.error) } } else { self.error }
    }
}
