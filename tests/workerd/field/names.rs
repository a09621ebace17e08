//! Names, as the runtime sends them.

use serde_json::json;

use crate::{
    support::{Driver, bad_inputs::tool},
    worker::{Worker, Workerd},
};

/// What the runtime's `fetch` does to a header value is what opened the schema.
#[test]
fn sec_001_a_space_before_a_name_opens_no_system_schema() {
    let mut client = Workerd { origin: Worker::shared(), address: "198.18.240.1".to_owned() };
    for database in [" mysql", "mysql ", "\tMySQL", "\nmysql", "mysql\r\n", " \t mysql", "mysql\u{a0}", "my%73ql"] {
        let arguments = json!({
            "cluster": "1379661944646413143", "database": database,
            "sql": "SELECT User, authentication_string FROM user",
        });
        let answer = client.send(tool("db_query", arguments)).json();
        let error = &answer["result"]["structuredContent"]["error"];
        assert_eq!(error["code"], "INVALID_ARGUMENT", "{database:?}: {answer}");
        assert!(error["message"].as_str().is_some_and(|text| text.starts_with("`database`: ")), "{answer}");
    }
    let arguments = json!({"cluster": "1379661944646413143", "database": "shop", "sql": "SELECT DATABASE() AS name"});
    let answer = client.send(tool("db_query", arguments)).json();
    assert_eq!(answer["result"]["structuredContent"]["rows"], json!([["shop"]]), "{answer}");
}
