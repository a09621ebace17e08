//! A MySQL client at a sandbox: who gets in, where to, and what works there.
//!
//! These need an engine, and fail where there is none: `cargo xtask test native` gets one and runs them with it.
#![expect(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "in a test a panic is the report")]

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::PathBuf;
use std::sync::LazyLock;
use std::thread;
use std::time::{Duration, Instant};

use mysql::prelude::Queryable;
use mysql::{ChangeUserOpts, Conn, OptsBuilder, SslOpts};
use serde_json::{Value, json};
use tidbcloud_sandbox::control::{
    CREATING_MILLIS, IAM_HOST, OAUTH_CLIENT_ID, SERVERLESS_HOST, SHOP_CLUSTER_ID, SHOP_USER_PREFIX, SQL_USER_MILLIS,
};
use tidbcloud_sandbox::serve::{Running, Secured};
use tidbcloud_sandbox::sql::Engine;

/// Kept between runs, as in the tests of SQL.
static ROOT: LazyLock<PathBuf> =
    LazyLock::new(|| std::env::current_exe().unwrap().ancestors().nth(3).unwrap().join("tmp/mysql"));

const PASSWORD: &str = "canary-password-1";

/// A sandbox with its owner's token.
struct Cloud {
    running: Running,
    mysql: Secured,
    token: String,
}

fn request(address: SocketAddr, method: &str, target: &str, token: &str, body: &Value) -> (u16, Value) {
    let mut stream = TcpStream::connect(address).unwrap();
    let body = if body.is_null() { String::new() } else { body.to_string() };
    let head = format!(
        "{method} {target} HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\nauthorization: Bearer {token}\r\n\
         content-type: application/json\r\ncontent-length: {}\r\n\r\n",
        body.len()
    );
    stream.write_all((head + &body).as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    (status, serde_json::from_str(body).unwrap())
}

impl Cloud {
    fn start() -> Self {
        let engine = Engine::find()
            .unwrap_or_else(|error| panic!("{error}\n`cargo xtask test native` runs these tests with one"));
        let mut running = Running::start(0, 1, engine, &ROOT).unwrap();
        let mysql = running.listen_for_mysql(0, &ROOT).unwrap();
        let mut cloud = Self { running, mysql, token: String::new() };
        let client = json!({ "client_id": OAUTH_CLIENT_ID });
        let asked = cloud.ask("POST", "/oauth.tidbcloud.com/v1/device_authorization", client);
        cloud.ask("POST", "/_sandbox/device", json!({ "userCode": asked["user_code"], "key": "owner" }));
        let exchange = json!({
            "client_id": OAUTH_CLIENT_ID, "device_code": asked["device_code"],
            "grant_type": "urn:ietf:params:oauth:grant-type:device_code",
        });
        let token = cloud.ask("POST", "/oauth.tidbcloud.com/v1/token", exchange)["access_token"].clone();
        token.as_str().unwrap().clone_into(&mut cloud.token);
        cloud
    }

    fn ask(&self, method: &str, target: &str, body: Value) -> Value {
        let (status, answer) = request(self.running.address, method, target, &self.token, &body);
        assert_eq!(status, 200, "{method} {target}: {answer}");
        answer
    }

    fn pass(&self, millis: u64) {
        self.ask("POST", "/_sandbox/clock", json!({ "advanceSeconds": millis.div_ceil(1_000) }));
    }

    /// A user of the cluster `shop` or of a new one. The password works once [`SQL_USER_MILLIS`] have passed.
    fn user(&self, cluster: &str, name: &str, role: &str) {
        let user = json!({
            "userName": name, "autoPrefix": true, "builtinRole": role, "password": PASSWORD,
            "authMethod": "mysql_native_password",
        });
        self.ask("POST", &format!("/{IAM_HOST}/v1beta1/clusters/{cluster}/sqlUsers"), user);
    }

    /// The id of a new cluster that is ready, and the prefix of its users.
    fn cluster(&self, name: &str) -> (String, String) {
        let wanted = json!({ "displayName": name, "region": { "name": "regions/aws-us-west-2" } });
        let made = self.ask("POST", &format!("/{SERVERLESS_HOST}/v1beta1/clusters"), wanted);
        self.pass(CREATING_MILLIS);
        (made["clusterId"].as_str().unwrap().to_owned(), made["userPrefix"].as_str().unwrap().to_owned())
    }

    /// A client that trusts the sandbox's authority.
    fn client(&self, user: &str, password: &str) -> OptsBuilder {
        let tls = SslOpts::default().with_root_cert_path(Some(self.mysql.authority.clone()));
        OptsBuilder::new()
            .ip_or_hostname(Some("127.0.0.1"))
            .tcp_port(self.mysql.address.port())
            .prefer_socket(false)
            .user(Some(user))
            .pass(Some(password))
            .ssl_opts(tls)
    }

    fn log_in(&self, user: &str, database: &str) -> Conn {
        Conn::new(self.client(user, PASSWORD).db_name(Some(database)))
            .unwrap_or_else(|error| panic!("{user} does not get in: {error}"))
    }
}

fn code<T: std::fmt::Debug>(outcome: mysql::Result<T>) -> (u16, String) {
    match outcome {
        Err(mysql::Error::MySqlError(error)) => (error.code, error.message),
        other => panic!("no error of MySQL: {other:?}"),
    }
}

fn shop(name: &str) -> String {
    format!("{SHOP_USER_PREFIX}.{name}")
}

#[test]
fn a_user_works_with_the_rights_of_the_role() {
    let cloud = Cloud::start();
    cloud.user(SHOP_CLUSTER_ID, "admin", "role_admin");
    cloud.user(SHOP_CLUSTER_ID, "reader", "role_readonly");
    let denied = (1045, format!("Access denied for user '{}'@'%' (using password: YES)", shop("admin")));
    assert_eq!(code(Conn::new(cloud.client(&shop("admin"), PASSWORD))), denied, "a new password takes a moment");
    cloud.pass(SQL_USER_MILLIS);

    let mut admin = cloud.log_in(&shop("admin"), "shop");
    let who: (String, String) = admin.query_first("SELECT CURRENT_USER(), DATABASE()").unwrap().unwrap();
    assert_eq!(who, (format!("{}@%", shop("admin")), "shop".to_owned()), "as oneself, in the database asked for");
    admin.query_drop("CREATE TABLE mine (id INT PRIMARY KEY, name TEXT)").unwrap();

    admin.exec_batch("INSERT INTO mine VALUES (?, ?)", [(1, "one"), (2, "two"), (3, "three")]).unwrap();
    let mut reader = cloud.log_in(&shop("reader"), "shop");
    let found: Vec<(u32, String)> =
        reader.exec("SELECT id, name FROM mine WHERE id > ? OR name = ? ORDER BY id", (2, "one")).unwrap();
    assert_eq!(found, [(1, "one".to_owned()), (3, "three".to_owned())], "a statement with parameters");
    assert_eq!(code(reader.query_drop("DELETE FROM mine")).0, 1142, "the server itself refuses a write of a reader");
    // 16 MiB is where the protocol cuts a packet in two.
    let long = "x".repeat((16 << 20) + 1);
    let length: Option<usize> = reader.exec_first("SELECT LENGTH(?)", (&long,)).unwrap();
    assert_eq!(length, Some(long.len()), "packets of any length go up");
    let back: Option<String> = reader.query_first(format!("SELECT REPEAT('x', {})", long.len())).unwrap();
    assert!(back == Some(long), "and come down");

    let change = ChangeUserOpts::new().with_user(Some(shop("admin"))).with_pass(Some(PASSWORD.to_owned()));
    assert_eq!(code(reader.change_user(change)).0, 1047, "who one is is decided at the login");
}

#[test]
fn who_may_not_get_in_is_told_why() {
    let cloud = Cloud::start();
    cloud.user(SHOP_CLUSTER_ID, "reader", "role_readonly");
    cloud.pass(SQL_USER_MILLIS);
    let refused = |options: OptsBuilder| code(Conn::new(options));
    let user = shop("reader");
    for (user, password, given) in [
        (user.as_str(), "another", "YES"),
        (user.as_str(), "", "NO"),
        (&shop("nobody"), PASSWORD, "YES"),
        ("Unknown.reader", PASSWORD, "YES"),
    ] {
        let expected = format!("Access denied for user '{user}'@'%' (using password: {given})");
        assert_eq!(refused(cloud.client(user, password)), (1045, expected), "which of them is wrong is not said");
    }
    let (number, message) = refused(cloud.client("reader", PASSWORD));
    assert!(number == 1105 && message.starts_with("Missing user name prefix."), "no prefix: {number} {message}");
    let (number, message) = refused(cloud.client(&user, PASSWORD).ssl_opts(None));
    assert!(
        number == 1105 && message.starts_with("Connections using insecure transport are prohibited."),
        "without TLS: {number} {message}"
    );
    let distrustful = Conn::new(cloud.client(&user, PASSWORD).ssl_opts(SslOpts::default()));
    assert!(
        !matches!(distrustful, Ok(_) | Err(mysql::Error::MySqlError(_))),
        "without the authority no login is tried"
    );
    let (number, message) = refused(cloud.client(&user, PASSWORD).db_name(Some("nowhere")));
    assert_eq!((number, message.as_str()), (1049, "Unknown database 'nowhere'"), "in the server's own words");

    let disable = json!({ "cluster": { "endpoints": { "public": { "disabled": true } } }, "updateMask": "endpoints.public.disabled" });
    cloud.ask("PATCH", &format!("/{SERVERLESS_HOST}/v1beta1/clusters/{SHOP_CLUSTER_ID}"), disable);
    assert_eq!(
        refused(cloud.client(&user, PASSWORD)),
        (1105, "the public endpoint of this instance is disabled".to_owned()),
        "as over HTTP"
    );
    let Cloud { running, mysql, .. } = cloud;
    assert!(mysql.authority.is_file(), "there while the sandbox runs");
    drop(running);
    assert!(!mysql.authority.exists(), "gone with the sandbox");
}

#[test]
fn the_prefix_chooses_the_cluster_or_branch() {
    let cloud = Cloud::start();
    let (other, other_prefix) = cloud.cluster("other");
    let branches = format!("/{SERVERLESS_HOST}/v1beta1/clusters/{SHOP_CLUSTER_ID}/branches");
    cloud.user(SHOP_CLUSTER_ID, "admin", "role_admin");
    cloud.user(&other, "admin", "role_admin");
    cloud.pass(SQL_USER_MILLIS);
    let branch = cloud.ask("POST", &branches, json!({ "displayName": "trial" }));
    cloud.pass(CREATING_MILLIS);

    let branch_user = format!("{}.admin", branch["userPrefix"].as_str().unwrap());
    let mut at_once = [
        (cloud.log_in(&shop("admin"), "shop"), shop("admin")),
        (cloud.log_in(&branch_user, "shop"), branch_user),
        (cloud.log_in(&format!("{other_prefix}.admin"), ""), format!("{other_prefix}.admin")),
    ];
    for (connection, user) in &mut at_once {
        let current: Option<String> = connection.query_first("SELECT CURRENT_USER()").unwrap();
        assert_eq!(current, Some(format!("{user}@%")), "each connection is that of its user");
    }
    let [(parent, _), (branch, _), (other, _)] = &mut at_once;
    branch.query_drop("DELETE FROM customers WHERE id = 1").unwrap();
    let first = "SELECT id FROM shop.customers WHERE id = 1";
    assert_eq!(branch.query_first::<u32, _>(first).unwrap(), None, "the branch has data of its own");
    assert_eq!(parent.query_first::<u32, _>(first).unwrap(), Some(1), "which its parent does not share");
    assert_eq!(code(other.query_first::<u32, _>(first)).0, 1146, "and another cluster never had");
}

/// The first packet that the sandbox sends: its payload, or what came of it.
fn greeted(stream: &mut TcpStream) -> Vec<u8> {
    let mut head = [0; 4];
    stream.read_exact(&mut head).unwrap();
    let mut payload = vec![0; usize::from(head[0])];
    stream.read_exact(&mut payload).unwrap();
    payload
}

#[test]
fn there_is_room_for_64_and_none_for_nonsense() {
    const ROOM: usize = 64;
    const TOO_MANY: [u8; 3] = [0xff, 0x10, 0x04];
    let cloud = Cloud::start();
    let connect = || {
        let mut stream = TcpStream::connect(cloud.mysql.address).unwrap();
        let payload = greeted(&mut stream);
        (stream, payload)
    };
    let mut crowd: Vec<_> = (0..ROOM).map(|_| connect()).collect();
    assert!(crowd.iter().all(|(_, payload)| payload[0] == 10), "64 are greeted");
    assert!(connect().1.starts_with(&TOO_MANY), "the next one is told 1040");
    let (mut nonsense, _) = crowd.pop().unwrap();
    nonsense.write_all(b"\x03\x00\x00\x01GET").unwrap();
    assert_eq!(greeted(&mut nonsense)[..3], [0xff, 0x13, 0x04], "1043 to what is not the protocol");
    let (mut long, _) = crowd.pop().unwrap();
    long.write_all(b"\xff\xff\xff\x01").unwrap();
    assert_eq!(long.read(&mut [0]).unwrap_or(0), 0, "closed before 16 MiB are read");
    drop(crowd);
    let begun = Instant::now();
    while connect().1.starts_with(&TOO_MANY) {
        assert!(begun.elapsed() < Duration::from_secs(5), "whoever leaves makes room");
        thread::sleep(Duration::from_millis(10));
    }
}
