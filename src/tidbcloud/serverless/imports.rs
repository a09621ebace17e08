//! Imports into clusters.

use serde_json::{Value, json};

use super::transfers::{Opened, Place, Transfer, described};
use crate::{
    base::http::Method,
    tidbcloud::{ApiError, Cloud, ClusterId, service::SERVERLESS},
};

impl Cloud<'_> {
    /// `POST /clusters/{clusterId}/imports`: `options` are an `ImportOptions`; with an `endpoint` the place is at another provider that
    /// speaks as S3 does. Sent once.
    pub async fn start_import(
        &self,
        id: &ClusterId,
        options: &Value,
        from: &Place,
        opened: Opened<'_>,
        endpoint: Option<&str>,
    ) -> Result<Transfer, ApiError> {
        let body = json!({ "importOptions": options, "source": described(from, opened, endpoint) });
        let call = SERVERLESS.call(Method::Post, "clusters/{}/imports", [id.as_str()]);
        self.write(&match opened {
            Opened::Key { forms, .. } => call.with_secrets(&body, forms),
            Opened::Role(_) => call.with_body(&body),
        })
        .await
    }
}
