//! One server process, its data directory, and the directories that new ones are copied from.

use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::net::TcpListener;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use mysql::prelude::Queryable;
use mysql::{Conn, OptsBuilder};
use sha2::{Digest, Sha256};
use tempfile::TempDir;

use super::engine::Engine;
use super::process::Process;
use super::tidb::{self, Guard};
use crate::exchange::Role;

/// Sample data: the database `shop`.
pub const SHOP: &str = include_str!("../../data/shop.sql");

/// The account that sets servers up and copies them. The unix socket lies in a directory that only this user can enter, which
/// is what guards it; the password keeps statements run as anybody else from reaching it.
const ADMINISTRATOR: &str = "tidbcloud-sandbox";
const ADMINISTRATOR_PASSWORD: &str = "Canary-socket-only-1!";
const USER_PASSWORD: &str = "Canary-sql-user-1!";

/// TiDB's default, `SELECT @@sql_mode` of release 8.5.
const SQL_MODE: &str = "ONLY_FULL_GROUP_BY,STRICT_TRANS_TABLES,NO_ZERO_IN_DATE,NO_ZERO_DATE,ERROR_FOR_DIVISION_BY_ZERO,NO_AUTO_CREATE_USER,NO_ENGINE_SUBSTITUTION";

/// How long a server may take until it answers. TiDB takes one second, MariaDB a third of one; a loaded machine far more.
const START_LIMIT: Duration = Duration::from_secs(90);

/// Layout of the templates; to be raised with every change to how they are made.
const TEMPLATE_LAYOUT: u32 = 6;

/// The three roles with their rights. MariaDB's `CREATE USER` and `GRANT OPTION` let `role_admin` make users of its own, but
/// nobody holds FILE, SUPER or RELOAD, or may write to the schema `mysql`.
const MARIADB_SETUP: &[&str] = &[
    "CREATE ROLE role_readonly",
    "GRANT SELECT, SHOW VIEW, SHOW DATABASES, PROCESS ON *.* TO role_readonly",
    "CREATE ROLE role_readwrite",
    "GRANT SELECT, SHOW VIEW, SHOW DATABASES, PROCESS ON *.* TO role_readwrite",
    "GRANT INSERT, UPDATE, DELETE, CREATE TEMPORARY TABLES, LOCK TABLES, EXECUTE ON `%`.* TO role_readwrite",
    // The more specific grant replaces the pattern for this schema.
    "GRANT SELECT ON mysql.* TO role_readwrite",
    "CREATE ROLE role_admin",
    "DROP USER IF EXISTS root@localhost, root@`127.0.0.1`, root@`::1`",
    // A new server of TiDB has it.
    "CREATE DATABASE IF NOT EXISTS test",
];

/// Rights of `role_admin`; granted to its holders themselves too: MariaDB asks what a view's definer may do without a role.
fn mariadb_administrator(grantee: &str) -> [String; 3] {
    [
        format!("GRANT SELECT, SHOW VIEW, SHOW DATABASES, PROCESS, CREATE USER ON *.* TO {grantee}"),
        format!(
            "GRANT INSERT, UPDATE, DELETE, CREATE, DROP, ALTER, INDEX, REFERENCES, CREATE VIEW, CREATE TEMPORARY TABLES, \
             LOCK TABLES, EXECUTE ON `%`.* TO {grantee} WITH GRANT OPTION"
        ),
        format!("GRANT SELECT ON mysql.* TO {grantee}"),
    ]
}

/// Plans follow from statistics: they are part of the sample data.
const ANALYZE_SHOP: &str = "ANALYZE TABLE shop.customers, shop.products, shop.orders, shop.order_items, shop.event_log";

/// What a new server holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Content {
    Empty,
    Sample,
}

impl Content {
    fn directory(self) -> &'static str {
        match self {
            Self::Empty => "empty",
            Self::Sample => "shop",
        }
    }
}

/// Where a server takes connections.
#[derive(Clone, Debug)]
pub(crate) enum Address {
    /// On this unix socket.
    Socket(PathBuf),
    /// On this port of loopback.
    Port(u16),
}

/// Where a user logs in at a server, and with which password.
pub(crate) struct Door {
    pub(crate) address: Address,
    pub(crate) password: &'static str,
}

/// Where servers live: templates that stay, and the directories of this run, which do not.
pub(crate) struct Home {
    pub(crate) engine: Engine,
    version: String,
    templates: PathBuf,
    run: PathBuf,
    // Held while this run lasts, so that another can tell which directories were left behind.
    _run_lock: File,
    // A unix socket's path holds 107 bytes on Linux and 103 on macOS, so sockets lie in a short directory of their own.
    sockets: TempDir,
    next: AtomicU64,
}

fn io_text(what: &str, path: &Path, error: &io::Error) -> String {
    format!("{what} {}: {error}", path.display())
}

fn copy_directory(from: &Path, to: &Path) -> io::Result<()> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let target = to.join(entry.file_name());
        let kind = entry.file_type()?;
        if kind.is_dir() {
            copy_directory(&entry.path(), &target)?;
        } else if kind.is_file() {
            fs::copy(entry.path(), target)?;
        }
    }
    Ok(())
}

/// Name of the file in a run's directory that says where its sockets lie.
const SOCKETS: &str = "sockets";

/// Removes the directories of runs that have ended: nobody holds their locks any more.
fn remove_left_behind(root: &Path) {
    for entry in fs::read_dir(root).into_iter().flatten().filter_map(Result::ok) {
        let path = entry.path();
        let is_run = entry.file_name().to_str().is_some_and(|name| name.starts_with("run-"));
        let Some(lock) = is_run.then(|| File::open(path.join("lock")).ok()).flatten() else { continue };
        if lock.try_lock().is_ok() {
            let sockets = fs::read_to_string(path.join(SOCKETS)).map(PathBuf::from).unwrap_or_default();
            let ours = sockets.file_name().is_some_and(|name| name.to_string_lossy().starts_with(SOCKETS_PREFIX));
            // What cannot be removed now is removed by a later run.
            if ours {
                let _ = fs::remove_dir_all(sockets);
            }
            let _ = fs::remove_dir_all(&path);
        }
    }
}

const SOCKETS_PREFIX: &str = "tcs";

fn short_temporary_directory() -> io::Result<TempDir> {
    // Servers let everybody connect to their sockets: the directory keeps others out.
    let make = |parent: &Path| {
        tempfile::Builder::new()
            .prefix(SOCKETS_PREFIX)
            .permissions(fs::Permissions::from_mode(0o700))
            .tempdir_in(parent)
    };
    make(Path::new("/tmp")).or_else(|_| make(&std::env::temp_dir()))
}

impl Home {
    pub(crate) fn open(engine: Engine, root: &Path) -> Result<Self, String> {
        let version = engine.version()?;
        let mut digest = Sha256::new();
        for part in [
            &version,
            SHOP,
            &MARIADB_SETUP.join(";"),
            &tidb::SETUP.join(";"),
            &mariadb_administrator("").join(";"),
            &TEMPLATE_LAYOUT.to_string(),
        ] {
            digest.update(part);
            digest.update([0]);
        }
        let key: String = digest.finalize().iter().take(8).map(|byte| format!("{byte:02x}")).collect();
        let kind = if engine.is_tidb() { "tidb" } else { "mariadb" };
        let templates = root.join(format!("{kind}-{key}"));
        fs::create_dir_all(&templates).map_err(|error| io_text("cannot make", &templates, &error))?;
        // One at a time: a directory whose lock is not held yet would look left behind.
        let door = OpenOptions::new().create(true).write(true).truncate(false).open(root.join("lock"));
        let _door =
            door.and_then(|door| door.lock().map(|()| door)).map_err(|error| io_text("cannot lock", root, &error))?;
        remove_left_behind(root);
        let run = tempfile::Builder::new().prefix("run-").tempdir_in(root);
        let run = run.map_err(|error| io_text("cannot make a directory in", root, &error))?;
        let lock = File::create(run.path().join("lock")).and_then(|lock| lock.lock().map(|()| lock));
        let lock = lock.map_err(|error| io_text("cannot lock a file in", run.path(), &error))?;
        let sockets = short_temporary_directory().map_err(|error| format!("no directory for sockets: {error}"))?;
        let noted = fs::write(run.path().join(SOCKETS), sockets.path().as_os_str().as_encoded_bytes());
        noted.map_err(|error| io_text("cannot write in", run.path(), &error))?;
        Ok(Self { engine, version, templates, run: run.keep(), _run_lock: lock, sockets, next: AtomicU64::new(1) })
    }

    fn directory(&self, name: &str) -> Result<Arc<Directory>, String> {
        let path = self.run.join(format!("{name}-{}", self.next.fetch_add(1, Ordering::Relaxed)));
        let directory = Directory(path);
        // Not what is above: after the end of this run that must stay away.
        for path in [directory.0.clone(), directory.data(), directory.temporary()] {
            fs::create_dir(&path).map_err(|error| io_text("cannot make", &path, &error))?;
        }
        Ok(Arc::new(directory))
    }

    /// A started server that holds `content`, in a directory of its own.
    pub(crate) fn start(&self, content: Content) -> Result<Server, String> {
        let directory = self.directory("server")?;
        if self.engine.command().is_some() {
            let template = self.template(content, &|_| ())?;
            copy_directory(&template, &directory.data()).map_err(|error| io_text("cannot copy", &template, &error))?;
        }
        let server = Server::start(self, directory, Guard::Closed)?;
        if let Engine::TidbImage { .. } = self.engine {
            server.set_up(&self.engine)?;
            server.ensure(content)?;
        }
        Ok(server)
    }

    /// The process of `server` again, on the same files, after it has ended.
    pub(crate) fn restart(&self, server: &Server) -> Result<Server, String> {
        server.process.kill();
        Server::start(self, Arc::clone(&server.directory), Guard::Closed)
    }

    /// Makes all templates that are missing.
    pub(crate) fn prepare(&self, progress: &dyn Fn(&str)) -> Result<(), String> {
        if self.engine.command().is_none() {
            return Ok(());
        }
        self.template(Content::Empty, progress)?;
        self.template(Content::Sample, progress).map(drop)
    }

    /// The template's directory; made first where it is missing, by one process at a time.
    fn template(&self, content: Content, progress: &dyn Fn(&str)) -> Result<PathBuf, String> {
        let ready = self.templates.join(content.directory());
        if ready.is_dir() {
            return Ok(ready);
        }
        // Before the lock is taken, because this takes it too.
        let base = if content == Content::Sample { Some(self.template(Content::Empty, progress)?) } else { None };
        let lock_path = self.templates.join("lock");
        let lock = OpenOptions::new().create(true).write(true).truncate(false).open(&lock_path);
        let lock = lock.and_then(|lock| lock.lock().map(|()| lock));
        let _lock = lock.map_err(|error| io_text("cannot lock", &lock_path, &error))?;
        if ready.is_dir() {
            return Ok(ready);
        }
        progress(&format!("making a data directory ({}) with {}", content.directory(), self.version));
        let building = self.directory("building")?;
        if let Some(base) = &base {
            copy_directory(base, &building.data()).map_err(|error| io_text("cannot copy", base, &error))?;
        } else if let Engine::MariaDb { .. } = self.engine {
            self.bootstrap(&building)?;
        }
        let server = Server::start(self, Arc::clone(&building), Guard::Open)?;
        if server.administrator().is_err() {
            server.set_up(&self.engine)?;
        }
        if content == Content::Sample {
            progress("loading the sample data");
            server.ensure(content)?;
        }
        if content == Content::Sample && !self.engine.is_tidb() {
            // MariaDB counts by itself too, but in the background: the server that loads the data ends before or during that.
            server.analyze()?;
        }
        server.shut_down()?;
        if content == Content::Sample && self.engine.is_tidb() {
            // TiDB writes down how many rows came in when it ends, and adds them to what an ANALYZE before that has counted.
            let again = Server::start(self, Arc::clone(&building), Guard::Open)?;
            again.analyze()?;
            again.shut_down()?;
        }
        fs::rename(building.data(), &ready).map_err(|error| io_text("cannot put in place", &ready, &error))?;
        Ok(ready)
    }

    /// Fills an empty data directory with MariaDB's system tables, as `mariadb-install-db` does.
    fn bootstrap(&self, directory: &Directory) -> Result<(), String> {
        let share = self.share().ok_or("the MariaDB here has no share directory with mysql_system_tables.sql")?;
        // Each statement on a line of its own: that is how --bootstrap reads them.
        let mut script =
            b"create database mysql;\nuse mysql;\nset @auth_root_socket=NULL;\nset @skip_auth_anonymous=1;\n".to_vec();
        let scripts = [
            ["mysql_system_tables.sql", "mariadb_system_tables.sql"],
            ["mysql_performance_tables.sql", "mariadb_performance_tables.sql"],
            ["mysql_system_tables_data.sql", "mariadb_system_tables_data.sql"],
        ];
        for names in scripts {
            // Renamed in MariaDB 11.
            let found = names.iter().find_map(|name| fs::read(share.join(name)).ok());
            script.extend(found.ok_or_else(|| format!("{} holds no {}", share.display(), names.join(" or ")))?);
        }
        let mut command = self.mariadb(directory).ok_or("not a MariaDB")?;
        command
            .args(["--bootstrap", "--log-warnings=0"])
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::piped());
        let mut child = command.spawn().map_err(|error| format!("mariadbd cannot be run: {error}"))?;
        let mut input = child.stdin.take().ok_or("no pipe to mariadbd")?;
        // A broken pipe shows as a failed exit, with the reason on standard error.
        let writer = std::thread::spawn(move || drop(input.write_all(&script)));
        let output = child.wait_with_output().map_err(|error| format!("mariadbd: {error}"))?;
        let _ = writer.join();
        if output.status.success() {
            return Ok(());
        }
        Err(format!("mariadbd --bootstrap failed: {}", last_lines(&String::from_utf8_lossy(&output.stderr))))
    }

    fn share(&self) -> Option<PathBuf> {
        let Engine::MariaDb { binary, unpacked, .. } = &self.engine else { return None };
        let prefix =
            unpacked.as_ref().map(|root| root.join("usr")).or_else(|| Some(binary.parent()?.parent()?.to_owned()))?;
        ["share/mysql", "share/mariadb"].iter().map(|path| prefix.join(path)).find(|path| path.is_dir())
    }

    fn mariadb(&self, directory: &Directory) -> Option<Command> {
        let mut command = self.engine.command()?;
        let nothing = self.run.join("nothing");
        fs::create_dir_all(&nothing).ok()?;
        let path = |option: &str, path: &Path| format!("--{option}={}", path.display());
        command
            .arg("--no-defaults")
            .arg(path("datadir", &directory.data()))
            .arg(path("tmpdir", &directory.temporary()));
        if let Some(share) = self.share() {
            command.arg(path("lc-messages-dir", &share)).arg(path("character-sets-dir", &share.join("charsets")));
        }
        // An empty directory: no file can be read or written by SQL, no library loaded.
        command.arg(path("secure-file-priv", &nothing)).arg(path("plugin-dir", &nothing));
        command.args([
            "--skip-networking",
            "--local-infile=0",
            "--skip-log-bin",
            "--performance-schema=0",
            "--symbolic-links=0",
            "--character-set-server=utf8mb4",
            "--collation-server=utf8mb4_bin",
            "--skip-character-set-client-handshake",
            // Names compare as in TiDB whatever their case, at the price of being shown in lower case: the value 2, which would
            // keep them, works on case-insensitive file systems only.
            "--lower-case-table-names=1",
            "--default-time-zone=+00:00",
            "--default-storage-engine=InnoDB",
            "--max-connections=200",
            "--max-allowed-packet=64M",
            "--innodb-buffer-pool-size=32M",
            // Estimates from 20 pages, the default, are 4 % off for the sample's customers. 1000 pages of 16 KiB are 16 MiB, more
            // than a sample table has.
            "--innodb-stats-persistent-sample-pages=1000",
            "--innodb-data-file-path=ibdata1:8M:autoextend",
            "--innodb-temp-data-file-path=ibtmp1:4M:autoextend",
            // Nothing here has to survive a power cut.
            "--innodb-flush-log-at-trx-commit=0",
            "--loose-innodb-doublewrite=0",
            "--loose-innodb-flush-method=nosync",
            "--loose-innodb-autoextend-increment=1",
            "--loose-innodb-log-file-size=8M",
            "--loose-innodb-buffer-pool-dump-at-shutdown=0",
            "--loose-innodb-buffer-pool-load-at-startup=0",
        ]);
        command
            .arg(format!("--sql-mode={SQL_MODE}"))
            .arg(format!("--max-statement-time={}", super::STATEMENT_LIMIT.as_secs()));
        // What this process has made belongs to who runs it; macOS has no /proc that would say so.
        if fs::metadata(self.sockets.path()).is_ok_and(|made| made.uid() == 0) {
            // MariaDB refuses to run as root unless told so.
            command.arg("--user=root");
        }
        Some(command)
    }

    fn command(&self, directory: &Directory, guard: Guard) -> Result<(Command, Address, Option<String>), String> {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        let socket = self.sockets.path().join(format!("{number}.sock"));
        match &self.engine {
            Engine::MariaDb { .. } => {
                let mut command = self.mariadb(directory).ok_or("cannot make an empty directory")?;
                let number = self.version.split_whitespace().find_map(|word| Some(word.split_once("-MariaDB")?.0));
                // Clients look for "TiDB" in the version; people see the real server in it.
                command.arg(format!("--version=8.0.11-TiDB-v8.5.3-sandbox-on-MariaDB-{}", number.unwrap_or("unknown")));
                command.arg(format!("--socket={}", socket.display()));
                command.arg(format!("--pid-file={}", directory.0.join("pid").display()));
                Ok((command, Address::Socket(socket), None))
            }
            Engine::Tidb { .. } => {
                let place = tidb::Place { directory: &directory.0, socket: &socket, status_port: free_port()? };
                let configuration = directory.0.join("tidb.toml");
                fs::write(&configuration, tidb::configuration(&place, guard))
                    .map_err(|error| io_text("cannot write", &configuration, &error))?;
                let mut command = self.engine.command().ok_or("no tidb-server")?;
                command.arg("-config").arg(&configuration).envs(tidb::environment(&place)).current_dir(&directory.0);
                Ok((command, Address::Socket(socket), None))
            }
            Engine::TidbImage { image } => {
                let port = free_port()?;
                let name = format!("tidbcloud-sandbox-{}-{number}", std::process::id());
                let mut command = Command::new("docker");
                command.args(["run", "--rm", "--name", &name, "-e", "TZ=UTC"]);
                command.args(["-p", &format!("127.0.0.1:{port}:4000"), image]);
                command.args(["-store", "unistore", "-L", "error"]);
                Ok((command, Address::Port(port), Some(name)))
            }
        }
    }
}

impl Home {
    /// Removes the directories of this run. No server can be started afterwards.
    pub(crate) fn close(&self) {
        for path in [self.sockets.path(), &self.run] {
            // What cannot be removed now is removed by the next run.
            let _ = fs::remove_dir_all(path);
        }
    }
}

impl Drop for Home {
    fn drop(&mut self) {
        self.close();
    }
}

/// The role's name, on the service as here.
pub(crate) fn role_name(role: Role) -> &'static str {
    match role {
        Role::ReadOnly => "role_readonly",
        Role::ReadWrite => "role_readwrite",
        Role::Admin => "role_admin",
    }
}

fn free_port() -> Result<u16, String> {
    let listener = TcpListener::bind(("127.0.0.1", 0)).and_then(|listener| listener.local_addr());
    listener.map(|address| address.port()).map_err(|error| format!("no free port: {error}"))
}

/// The end of a log: where servers say why they stop.
fn last_lines(log: &str) -> String {
    let lines: Vec<&str> = log.lines().filter(|line| !line.trim().is_empty() && !line.contains("[Note]")).collect();
    lines.get(lines.len().saturating_sub(4)..).unwrap_or_default().join(" | ")
}

/// A server's directory; removed with its last user.
struct Directory(PathBuf);

impl Directory {
    fn data(&self) -> PathBuf {
        self.0.join("data")
    }

    /// Of each server alone: MariaDB removes what it finds there when it starts.
    fn temporary(&self) -> PathBuf {
        self.0.join("tmp")
    }

    fn log(&self) -> PathBuf {
        self.0.join("log")
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        // What cannot be removed now is removed by the next run.
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// A running server. Dropping it kills the process first, and then removes the directory.
pub(crate) struct Server {
    process: Process,
    directory: Arc<Directory>,
    address: Address,
    tidb: bool,
    users: Mutex<BTreeMap<String, Role>>,
}

impl Server {
    fn start(home: &Home, directory: Arc<Directory>, guard: Guard) -> Result<Self, String> {
        let (command, address, container) = home.command(&directory, guard)?;
        let log = directory.log();
        let file = File::create(&log).map_err(|error| io_text("cannot write", &log, &error))?;
        let process = Process::start(&command, &file, container.as_deref());
        let process = process.map_err(|error| format!("{:?} cannot be run: {error}", command.get_program()))?;
        let tidb = home.engine.is_tidb();
        let server = Self { process, directory, address, tidb, users: Mutex::default() };
        let started = Instant::now();
        let mut pause = Duration::from_millis(5);
        loop {
            // Before its set-up a server knows root without a password only.
            let reached = server.administrator().or_else(|_| server.connect("root", "", ""));
            let Err(error) = reached else { return Ok(server) };
            if server.process.has_ended() || started.elapsed() > START_LIMIT {
                let log = fs::read_to_string(&log).unwrap_or_default();
                return Err(format!("the SQL server does not start ({error}): {}", last_lines(&log)));
            }
            std::thread::sleep(pause);
            pause = (pause * 2).min(Duration::from_millis(100));
        }
    }

    fn connect(&self, user: &str, password: &str, database: &str) -> mysql::Result<Conn> {
        // With the size given, connecting takes no query of its own.
        let options = OptsBuilder::new()
            .user(Some(user))
            .pass(Some(password))
            .prefer_socket(false)
            .max_allowed_packet(Some(64 << 20))
            .init(if self.tidb { vec!["SET NAMES utf8mb4 COLLATE utf8mb4_bin"] } else { vec![] });
        let options = match &self.address {
            Address::Socket(path) => options.socket(Some(path.to_string_lossy())),
            Address::Port(port) => options.ip_or_hostname(Some("127.0.0.1")).tcp_port(*port),
        };
        let mut connection = Conn::new(options)?;
        if !database.is_empty() {
            // Not as the protocol has it: TiDB puts the name it gets there into a USE without escaping its backticks.
            connection.query_drop(format!("USE `{}`", database.replace('`', "``")))?;
        }
        Ok(connection)
    }

    /// A connection that may do everything, and take its time.
    pub(crate) fn administrator(&self) -> mysql::Result<Conn> {
        let mut connection = self.connect(ADMINISTRATOR, ADMINISTRATOR_PASSWORD, "")?;
        if self.tidb {
            connection.query_drop("SET max_execution_time = 0")?;
        }
        Ok(connection)
    }

    /// Whether the process is gone.
    pub(crate) fn has_ended(&self) -> bool {
        self.process.has_ended()
    }

    /// Whether the process is gone before this much time is over.
    pub(crate) fn ends_within(&self, limit: Duration) -> bool {
        let started = Instant::now();
        while !self.has_ended() && started.elapsed() < limit {
            std::thread::sleep(Duration::from_millis(10));
        }
        self.has_ended()
    }

    pub(crate) fn is_tidb(&self) -> bool {
        self.tidb
    }

    /// Ends the process at once.
    pub(crate) fn kill(&self) {
        self.process.kill();
    }

    /// Where this user logs in, made first where it is new here, with the rights of `role` and no others.
    pub(crate) fn door(&self, user: &str, role: Role) -> mysql::Result<Door> {
        let mut users = self.users.lock().unwrap_or_else(PoisonError::into_inner);
        if users.get(user) != Some(&role) {
            self.make_user(user, role)?;
            users.insert(user.to_owned(), role);
        }
        Ok(Door { address: self.address.clone(), password: USER_PASSWORD })
    }

    /// A connection as this user, through its [`Server::door`].
    pub(crate) fn user(&self, user: &str, role: Role, database: &str) -> mysql::Result<Conn> {
        let door = self.door(user, role)?;
        self.connect(user, door.password, database)
    }

    fn make_user(&self, user: &str, role: Role) -> mysql::Result<()> {
        let mut connection = self.administrator()?;
        let quoted = mysql::Value::from(user).as_sql(false);
        let name = role_name(role);
        let default = if self.tidb { "TO" } else { "FOR" };
        for statement in [
            format!("DROP USER IF EXISTS {quoted}@'%'"),
            format!("CREATE USER {quoted}@'%' IDENTIFIED BY '{USER_PASSWORD}'"),
            format!("GRANT {name} TO {quoted}@'%'"),
            format!("SET DEFAULT ROLE {name} {default} {quoted}@'%'"),
        ] {
            connection.query_drop(statement)?;
        }
        if self.tidb {
            // A server that has just started has not read the roles yet, and takes a user with one for a user without.
            connection.query_drop("FLUSH PRIVILEGES")?;
        } else if role == Role::Admin {
            for statement in mariadb_administrator(&format!("{quoted}@'%'")) {
                connection.query_drop(statement)?;
            }
        }
        Ok(())
    }

    fn set_up(&self, engine: &Engine) -> Result<(), String> {
        let set_up = || -> mysql::Result<()> {
            let mut root = self.connect("root", "", "")?;
            let host = if engine.is_tidb() { "%" } else { "localhost" };
            let account = format!("'{ADMINISTRATOR}'@'{host}'");
            root.query_drop(format!("CREATE USER IF NOT EXISTS {account} IDENTIFIED BY '{ADMINISTRATOR_PASSWORD}'"))?;
            root.query_drop(format!("GRANT ALL PRIVILEGES ON *.* TO {account} WITH GRANT OPTION"))?;
            if engine.is_tidb() {
                root.query_drop(format!("GRANT {} ON *.* TO {account} WITH GRANT OPTION", tidb::UNGUARDED))?;
            }
            let mut administrator = self.administrator()?;
            for statement in if engine.is_tidb() { tidb::SETUP } else { MARIADB_SETUP } {
                administrator.query_drop(statement)?;
            }
            if engine.is_tidb() {
                // The image listens on a port of loopback, which takes anybody who knows a password.
                administrator.query_drop(format!("ALTER USER 'root'@'%' IDENTIFIED BY '{ADMINISTRATOR_PASSWORD}'"))?;
            } else {
                for statement in mariadb_administrator("role_admin") {
                    administrator.query_drop(statement)?;
                }
                let here: Vec<String> = administrator.query("SELECT host FROM mysql.user WHERE user = 'root'")?;
                for host in here {
                    administrator.query_drop(format!("DROP USER root@{}", mysql::Value::from(host).as_sql(false)))?;
                }
            }
            Ok(())
        };
        set_up().map_err(|error| format!("the SQL server cannot be set up: {error}"))
    }

    /// Makes sure that what a template should hold is there, whether or not its files carried it.
    fn ensure(&self, content: Content) -> Result<(), String> {
        let ensure = || -> mysql::Result<()> {
            let mut connection = self.administrator()?;
            let loaded: Option<String> = connection
                .query_first("SELECT TABLE_NAME FROM information_schema.TABLES WHERE TABLE_SCHEMA = 'shop' AND TABLE_NAME = 'event_log'")?;
            if content == Content::Sample && loaded.is_none() {
                connection.query_drop("DROP DATABASE IF EXISTS shop")?;
                // No statement of the file holds a semicolon but at its end.
                for statement in SHOP.split(";\n").map(str::trim).filter(|statement| !statement.is_empty()) {
                    connection.query_drop(statement)?;
                }
            }
            Ok(())
        };
        ensure().map_err(|error| format!("the sample data cannot be loaded: {error}"))
    }

    /// Makes the statistics that plans of the sample data follow from.
    fn analyze(&self) -> Result<(), String> {
        let analyzed = self.administrator().and_then(|mut connection| connection.query_drop(ANALYZE_SHOP));
        analyzed.map_err(|error| format!("the sample data cannot be analyzed: {error}"))
    }

    fn shut_down(self) -> Result<(), String> {
        let asked = self.administrator().and_then(|mut connection| connection.query_drop("SHUTDOWN"));
        // The server may close the connection before it answers.
        if let Err(mysql::Error::MySqlError(error)) = asked {
            return Err(format!("the SQL server cannot be shut down: {error}"));
        }
        if self.ends_within(START_LIMIT) { Ok(()) } else { Err("the SQL server does not end".to_owned()) }
    }
}
