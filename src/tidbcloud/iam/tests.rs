//! Conversations about SQL users.

use serde_json::json;

use crate::{
    base::secret::Secret,
    tidbcloud::{
        SqlRole,
        fake::{Scene, id, status},
    },
};

#[tokio::test]
async fn a_password_that_tidb_cloud_repeats_is_not_repeated() {
    let password = Secret::new("Canary-password-1");
    let echo = json!({ "code": "40001", "msgPrefix": "bad password Canary-password-1", "status": 400 });
    let scene = Scene::warmed(vec![status(400, echo)]).await;
    let error = scene.cloud().create_sql_user(&id(), "reader", SqlRole::ReadOnly, &password).await.unwrap_err();
    assert_eq!(error.to_string(), "TiDB Cloud refused the request (HTTP 400: bad password [redacted])");
    let sent = &scene.fake.sent.borrow()[0];
    assert_eq!(sent.url.as_str(), format!("https://iam.tidbapi.com/v1beta1/clusters/{}/sqlUsers", id()));
}
