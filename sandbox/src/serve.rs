//! The thin HTTP server in front of the core and the SQL servers.

use std::future::poll_fn;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, mpsc};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use http_body_util::{BodyExt, Full, Limited};
use hyper::body::{Bytes, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Runtime;
use tokio::sync::oneshot;
use tokio_rustls::TlsAcceptor;

use crate::certificate;
use crate::control::{BODY_BYTES_MAX, Sandbox, https_hosts};
use crate::exchange::{
    Admission, Course, Delivery, NotAdmitted, Request, Response, SqlEffect, SqlOutcome, SqlTask, Step,
};
use crate::mysql::Front;
use crate::raw::{self, End};
use crate::sql::{Engine, Servers};

/// Bytes of a request's body: twice what the core reads, so that what is too long is mostly refused in the core's words.
const BODY_LIMIT: usize = 2 * BODY_BYTES_MAX;

/// Milliseconds since 1970.
pub(crate) type Clock = Arc<dyn Fn() -> u64 + Send + Sync>;

/// The core, as this server needs it.
pub(crate) trait Core: Send + 'static {
    /// Decides about a request.
    fn handle(&mut self, now_millis: u64, request: &Request) -> Step;
    /// Puts the outcome of a [`SqlTask`] into an answer.
    fn sql_done(&mut self, now_millis: u64, task: SqlTask, outcome: SqlOutcome) -> Response;
    /// What the SQL servers have to do, in order, since this was last asked.
    fn take_effects(&mut self) -> Vec<SqlEffect>;
    /// The number of the last request that was for TiDB Cloud.
    fn last_request(&self) -> u64;
    /// Hears that the client of this request left before its answer was sent.
    fn given_up(&mut self, number: u64);
}

impl Core for Sandbox {
    fn handle(&mut self, now_millis: u64, request: &Request) -> Step {
        Sandbox::handle(self, now_millis, request)
    }

    fn sql_done(&mut self, now_millis: u64, task: SqlTask, outcome: SqlOutcome) -> Response {
        Sandbox::sql_done(self, now_millis, task, outcome)
    }

    fn take_effects(&mut self) -> Vec<SqlEffect> {
        Sandbox::take_effects(self)
    }

    fn last_request(&self) -> u64 {
        Sandbox::last_request(self)
    }

    fn given_up(&mut self, number: u64) {
        Sandbox::given_up(self, number);
    }
}

/// A client that waits for an answer from TiDB Cloud. Dropped while it waits, it has left.
struct Waiting<C: Core> {
    state: Arc<State<C>>,
    number: Option<u64>,
}

impl<C: Core> Waiting<C> {
    /// Nothing more is sent.
    fn ends(mut self) {
        self.number = None;
    }
}

impl<C: Core> Drop for Waiting<C> {
    fn drop(&mut self) {
        if let Some(number) = self.number {
            self.state.core().given_up(number);
        }
    }
}

/// One thing for the thread that applies effects, in the order in which the core asked for them.
enum Job {
    Apply(SqlEffect),
    /// Everything before this has been applied.
    Reached(oneshot::Sender<()>),
}

/// What the front doors share: the core, the SQL servers, and the order between them.
pub(crate) struct State<C> {
    core: Mutex<C>,
    servers: Arc<Servers>,
    jobs: mpsc::Sender<Job>,
    clock: Clock,
}

impl<C: Core> State<C> {
    /// Starts the thread that applies effects, and hands it those that are there already.
    fn start(core: C, servers: Arc<Servers>, clock: Clock) -> io::Result<Arc<Self>> {
        let (jobs, todo) = mpsc::channel();
        let applier = Arc::clone(&servers);
        std::thread::Builder::new().name("effects".to_owned()).spawn(move || {
            for job in todo {
                match job {
                    Job::Apply(effect) => applier.apply(&effect),
                    // The waiting task may be gone.
                    Job::Reached(reached) => drop(reached.send(())),
                }
            }
        })?;
        let state = Arc::new(Self { core: Mutex::new(core), servers, jobs, clock });
        drop(state.hand_over(&mut *state.core()));
        Ok(state)
    }

    /// The SQL servers.
    pub(crate) fn servers(&self) -> &Arc<Servers> {
        &self.servers
    }

    fn core(&self) -> MutexGuard<'_, C> {
        self.core.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Hands the core's effects over while it is locked, so that their order is the core's.
    fn hand_over(&self, core: &mut C) -> oneshot::Receiver<()> {
        let (reached, wait) = oneshot::channel();
        let jobs = core.take_effects().into_iter().map(Job::Apply).chain([Job::Reached(reached)]);
        for job in jobs {
            // The other end lives as long as this one.
            let _ = self.jobs.send(job);
        }
        wait
    }

    async fn respond(self: &Arc<Self>, request: &Request) -> (Response, Delivery, Waiting<C>) {
        let (step, number, applied) = {
            let mut core = self.core();
            let before = core.last_request();
            let step = core.handle((self.clock)(), request);
            let number = Some(core.last_request()).filter(|number| *number != before);
            (step, number, self.hand_over(&mut core))
        };
        let waiting = Waiting { state: Arc::clone(self), number };
        // Applying is quick: copies go on in the background.
        let _ = applied.await;
        let (task, delivery) = match step {
            Step::Answer(response, delivery) => return (response, delivery, waiting),
            Step::Sql(task, delivery) => (task, delivery),
        };
        let servers = Arc::clone(&self.servers);
        let run = tokio::task::spawn_blocking(move || {
            let outcome = servers.run(&task);
            (task, outcome)
        });
        let Ok((task, outcome)) = run.await else {
            return (plain(500, "{\"message\":\"the SQL task ended without an outcome\"}"), delivery, waiting);
        };
        let mut core = self.core();
        let response = core.sql_done((self.clock)(), task, outcome);
        drop(self.hand_over(&mut core));
        drop(core);
        (response, delivery, waiting)
    }
}

impl State<Sandbox> {
    /// Lets in a SQL user of the MySQL protocol, once everything that the core has asked of the SQL servers is under way.
    pub(crate) async fn admit(&self, user: &str, nonce: &[u8], answer: &[u8]) -> Result<Admission, NotAdmitted> {
        let (admitted, applied) = {
            let mut core = self.core();
            let admitted = core.admit((self.clock)(), user, nonce, answer);
            (admitted, self.hand_over(&mut core))
        };
        let _ = applied.await;
        admitted
    }
}

fn plain(status: u16, body: &str) -> Response {
    let headers = vec![("content-type".to_owned(), "application/json".to_owned())];
    Response { status, headers, body: body.as_bytes().to_vec() }
}

async fn read(request: hyper::Request<Incoming>) -> Result<Request, Response> {
    let (head, body) = request.into_parts();
    let body = Limited::new(body, BODY_LIMIT).collect().await;
    let body = body.map_err(|_| plain(413, "{\"message\":\"the body is too long or was not sent whole\"}"))?;
    let text = |value: &hyper::header::HeaderValue| String::from_utf8_lossy(value.as_bytes()).into_owned();
    let headers = head.headers.iter().map(|(name, value)| (name.as_str().to_owned(), text(value))).collect();
    let (method, target) = (head.method.as_str().to_owned(), head.uri.to_string());
    Ok(Request { method, target, headers, body: body.to_bytes().to_vec() })
}

/// An answer that hyper would not send, for the task that has the connection.
type Odd<C> = Arc<Mutex<Option<(Response, Course, Waiting<C>)>>>;

async fn exchange<C: Core>(
    state: Arc<State<C>>,
    request: hyper::Request<Incoming>,
    odd: Odd<C>,
) -> io::Result<hyper::Response<Full<Bytes>>> {
    let (response, delivery, waiting) = match read(request).await {
        Ok(request) => state.respond(&request).await,
        Err(response) => (response, Delivery::default(), Waiting { state, number: None }),
    };
    if delivery.delay_millis > 0 {
        tokio::time::sleep(Duration::from_millis(delivery.delay_millis)).await;
    }
    if delivery.course != Course::Whole {
        *odd.lock().unwrap_or_else(PoisonError::into_inner) = Some((response, delivery.course, waiting));
        // An error instead of an answer: hyper lets the connection go without a status.
        return Err(io::ErrorKind::Other.into());
    }
    waiting.ends();
    let mut answer = hyper::Response::builder().status(response.status);
    for (name, value) in &response.headers {
        // The length is known from the body.
        if !name.eq_ignore_ascii_case("content-length") {
            answer = answer.header(name, value);
        }
    }
    answer.body(Full::from(response.body)).map_err(io::Error::other)
}

/// Serves one connection until one of the two ends it.
async fn converse<C: Core>(mut stream: TcpStream, state: Arc<State<C>>) {
    loop {
        let odd: Odd<C> = Arc::default();
        let service = service_fn(|request| Box::pin(exchange(Arc::clone(&state), request, Arc::clone(&odd))));
        let mut connection = http1::Builder::new().half_close(false).serve_connection(TokioIo::new(stream), service);
        // Errors are the client's, or meant.
        let _ = poll_fn(|context| connection.poll_without_shutdown(context)).await;
        let sent = odd.lock().unwrap_or_else(PoisonError::into_inner).take();
        let Some((response, course, waiting)) = sent else { return };
        stream = connection.into_parts().io.into_inner();
        let end = raw::send(&mut stream, &response, course).await.unwrap_or(End::Left);
        if end != End::Left {
            waiting.ends();
        }
        if end != End::Kept {
            return;
        }
    }
}

/// Serves HTTP on `listener` until it is dropped.
///
/// HTTP/1.1 (RFC 9112), one request at a time on each connection, bodies of 8 MiB at most.
async fn serve<C: Core>(listener: TcpListener, state: Arc<State<C>>) {
    loop {
        let Ok((stream, _)) = listener.accept().await else {
            // Out of file descriptors, most likely: a moment later there may be some.
            tokio::time::sleep(Duration::from_millis(10)).await;
            continue;
        };
        // An answer is written at once; waiting for more to send with it costs 40 ms.
        let _ = stream.set_nodelay(true);
        tokio::spawn(converse(stream, Arc::clone(&state)));
    }
}

/// How long a client may take from connecting until it speaks TLS.
const HANDSHAKE_LIMIT: Duration = Duration::from_secs(10);

/// Serves HTTPS on `listener` until it is dropped: as [`serve`], but where an answer should go wrong on the wire the connection
/// ends without one.
async fn serve_tls<C: Core>(listener: TcpListener, tls: TlsAcceptor, state: Arc<State<C>>) {
    loop {
        let Ok((stream, _)) = listener.accept().await else {
            tokio::time::sleep(Duration::from_millis(10)).await;
            continue;
        };
        let _ = stream.set_nodelay(true);
        let (tls, state) = (tls.clone(), Arc::clone(&state));
        tokio::spawn(async move {
            let Ok(Ok(stream)) = tokio::time::timeout(HANDSHAKE_LIMIT, tls.accept(stream)).await else { return };
            let odd: Odd<C> = Arc::default();
            let service = service_fn(|request| Box::pin(exchange(Arc::clone(&state), request, Arc::clone(&odd))));
            // Errors are the client's, or meant.
            let _ = http1::Builder::new().half_close(false).serve_connection(TokioIo::new(stream), service).await;
            if let Some((.., waiting)) = odd.lock().unwrap_or_else(PoisonError::into_inner).take() {
                waiting.ends();
            }
        });
    }
}

/// A sandbox that runs in threads of its own, until it is dropped.
pub struct Running {
    /// Where it listens: always on loopback.
    pub address: SocketAddr,
    runtime: Option<Runtime>,
    state: Arc<State<Sandbox>>,
    authorities: Vec<PathBuf>,
}

/// Where a sandbox takes connections under TLS: of the MySQL protocol, or HTTPS.
pub struct Secured {
    /// Always on loopback.
    pub address: SocketAddr,
    /// The certificate of the authority to trust, PEM. A new one with every start, removed when the sandbox ends.
    pub authority: PathBuf,
}

impl Running {
    /// Starts one on `port` of loopback (0 for any that is free). `root` holds the data directories of its SQL servers and may
    /// be shared with other sandboxes.
    ///
    /// # Errors
    /// The port is taken, `root` cannot be written or the engine cannot be run.
    pub fn start(port: u16, seed: u64, engine: Engine, root: &Path) -> io::Result<Self> {
        let servers = Arc::new(Servers::new(engine, root).map_err(io::Error::other)?);
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
        let listener = runtime.block_on(TcpListener::bind((Ipv4Addr::LOCALHOST, port)))?;
        let address = listener.local_addr()?;
        let clock: Clock = Arc::new(|| {
            let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
            u64::try_from(now.as_millis()).unwrap_or(u64::MAX)
        });
        let state = State::start(Sandbox::new(seed), servers, clock)?;
        runtime.spawn(serve(listener, Arc::clone(&state)));
        Ok(Self { address, runtime: Some(runtime), state, authorities: Vec::new() })
    }

    /// Takes connections of the MySQL protocol too, on `port` of loopback (0 for any that is free). The file of the authority
    /// lies in `root`; its name holds the port, so that sandboxes may share `root`.
    ///
    /// # Errors
    /// The port is taken, or `root` cannot be written.
    pub fn listen_for_mysql(&mut self, port: u16, root: &Path) -> io::Result<Secured> {
        let (listener, secured) = self.bind(port, root, "mysql")?;
        let front = Front::new(Arc::clone(&self.state), &secured.authority)?;
        self.spawn(front.serve(listener));
        Ok(secured)
    }

    /// Takes HTTPS too, on `port` of loopback (0 for any that is free), with a certificate for every host of TiDB Cloud that it
    /// stands for. The file of the authority lies in `root` as above.
    ///
    /// # Errors
    /// The port is taken, or `root` cannot be written.
    pub fn listen_for_https(&mut self, port: u16, root: &Path) -> io::Result<Secured> {
        let (listener, secured) = self.bind(port, root, "https")?;
        let names = ["127.0.0.1", "localhost"].map(str::to_owned).into_iter().chain(https_hosts());
        let tls = certificate::install(names.collect(), &secured.authority).map_err(io::Error::other)?;
        self.spawn(serve_tls(listener, TlsAcceptor::from(Arc::new(tls)), Arc::clone(&self.state)));
        Ok(secured)
    }

    /// A port, and where the certificate of its authority will be.
    fn bind(&mut self, port: u16, root: &Path, what: &str) -> io::Result<(TcpListener, Secured)> {
        let runtime = self.runtime.as_ref().ok_or(io::ErrorKind::NotConnected)?;
        let listener = runtime.block_on(TcpListener::bind((Ipv4Addr::LOCALHOST, port)))?;
        let address = listener.local_addr()?;
        let authority = std::path::absolute(root.join(format!("{what}-{}-ca.pem", address.port())))?;
        self.authorities.push(authority.clone());
        Ok((listener, Secured { address, authority }))
    }

    fn spawn(&self, served: impl Future<Output = ()> + Send + 'static) {
        if let Some(runtime) = &self.runtime {
            runtime.spawn(served);
        }
    }

    /// The SQL servers behind it.
    pub fn servers(&self) -> &Servers {
        self.state.servers()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
        // Not left to the last of its users: a thread may outlive this, and the process not wait for it.
        self.state.servers().close();
        for authority in &self.authorities {
            // Where it cannot be removed it is a certificate of nothing.
            let _ = std::fs::remove_file(authority);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::net::TcpStream;
    use std::time::Instant;

    use super::*;
    use crate::exchange::Stop;

    /// Answers with what the path asks for, and keeps who left.
    #[derive(Default)]
    struct Echo {
        asked: Vec<String>,
        left: Arc<Mutex<Vec<String>>>,
    }

    /// Every way in which an answer may not arrive as it should, by path.
    fn courses() -> Vec<(&'static str, Course)> {
        let stops = |after, how| Course::Stops { after, how };
        vec![
            ("/cut", stops(Some(10), Stop::Close)),
            ("/silent", stops(None, Stop::Close)),
            ("/half-closed", stops(None, Stop::HalfClose)),
            ("/half-closed-in-body", stops(Some(10), Stop::HalfClose)),
            ("/reset", stops(None, Stop::Reset)),
            ("/reset-in-body", stops(Some(10), Stop::Reset)),
            ("/stalled", stops(None, Stop::Stall)),
            ("/stalled-in-body", stops(Some(10), Stop::Stall)),
            ("/longer", Course::Length(5)),
            ("/shorter", Course::Length(-5)),
            ("/endless", Course::Endless),
            ("/slow", Course::Slow(10)),
            ("/gzip", Course::BadGzip),
            ("/chunks", Course::BadChunks),
        ]
    }

    impl Core for Echo {
        fn handle(&mut self, now_millis: u64, request: &Request) -> Step {
            self.asked.push(request.target.clone());
            let delay_millis = if request.target == "/late" { 200 } else { 0 };
            let course = courses().into_iter().find(|(path, _)| *path == request.target);
            let course = course.map_or(Course::Whole, |(_, course)| course);
            let body = format!("{now_millis} {} {} {:?}", request.method, request.target, request.header("x-seen"));
            Step::Answer(
                Response {
                    status: 203,
                    headers: vec![("x-length".to_owned(), request.body.len().to_string())],
                    body: body.into_bytes(),
                },
                Delivery { delay_millis, course },
            )
        }

        fn sql_done(&mut self, _: u64, _: SqlTask, _: SqlOutcome) -> Response {
            unreachable!("it asks for no SQL")
        }

        fn take_effects(&mut self) -> Vec<SqlEffect> {
            Vec::new()
        }

        fn last_request(&self) -> u64 {
            self.asked.len() as u64
        }

        fn given_up(&mut self, number: u64) {
            self.left.lock().unwrap().push(self.asked[number as usize - 1].clone());
        }
    }

    struct Started {
        address: SocketAddr,
        servers: Arc<Servers>,
        left: Arc<Mutex<Vec<String>>>,
        _runtime: Runtime,
        _directory: tempfile::TempDir,
    }

    impl Drop for Started {
        fn drop(&mut self) {
            self.servers.close();
        }
    }

    fn start() -> Started {
        let directory = tempfile::tempdir().unwrap();
        // No SQL is asked for, so any executable that knows --version will do.
        let engine = Engine::MariaDb { binary: "/bin/echo".into(), found: "in this test", unpacked: None };
        let servers = Arc::new(Servers::new(engine, directory.path()).unwrap());
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let listener = runtime.block_on(TcpListener::bind(("127.0.0.1", 0))).unwrap();
        let address = listener.local_addr().unwrap();
        let left = Arc::default();
        let echo = Echo { asked: Vec::new(), left: Arc::clone(&left) };
        let state = State::start(echo, Arc::clone(&servers), Arc::new(|| 42)).unwrap();
        runtime.spawn(serve(listener, state));
        Started { address, servers, left, _runtime: runtime, _directory: directory }
    }

    fn ask(address: SocketAddr, head: &str, body: &[u8]) -> String {
        let mut stream = TcpStream::connect(address).unwrap();
        let request =
            format!("{head}\r\nhost: localhost\r\nconnection: close\r\ncontent-length: {}\r\n\r\n", body.len());
        stream.write_all(request.as_bytes()).unwrap();
        // A refused body may close the connection before it is all sent.
        let _ = stream.write_all(body);
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer);
        String::from_utf8(answer).unwrap()
    }

    #[test]
    fn a_request_reaches_the_core_whole_and_its_answer_the_client() {
        let started = start();
        let address = started.address;
        let answer = ask(address, "PUT /a%20b/?q=%2F HTTP/1.1\r\nX-Seen: yes", b"12345");
        assert!(answer.starts_with("HTTP/1.1 203 "), "{answer}");
        assert!(answer.contains("x-length: 5\r\n"), "{answer}");
        assert!(answer.ends_with("\r\n\r\n42 PUT /a%20b/?q=%2F Some(\"yes\")"), "{answer}");
        let refused = ask(address, "POST / HTTP/1.1", &vec![b'x'; BODY_LIMIT + 1]);
        assert!(refused.is_empty() || refused.starts_with("HTTP/1.1 413 "), "{refused}");
    }

    #[test]
    fn https_is_for_the_hosts_of_tidb_cloud_under_an_authority_of_this_run() {
        use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName, pem::PemObject};
        use tokio_rustls::rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned, crypto::ring};

        let directory = tempfile::tempdir().unwrap();
        let engine = Engine::MariaDb { binary: "/bin/echo".into(), found: "in this test", unpacked: None };
        let mut running = Running::start(0, 1, engine, directory.path()).unwrap();
        let secured = running.listen_for_https(0, directory.path()).unwrap();
        let mut roots = RootCertStore::empty();
        let pem = std::fs::read(&secured.authority).unwrap();
        roots.add(CertificateDer::from_pem_slice(&pem).unwrap()).unwrap();
        let client = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        let client = Arc::new(client);
        let get = |name: &str, host: &str| -> io::Result<String> {
            let server = ServerName::try_from(name.to_owned()).unwrap();
            let connection = ClientConnection::new(Arc::clone(&client), server).unwrap();
            let mut stream = StreamOwned::new(connection, TcpStream::connect(secured.address)?);
            write!(stream, "GET /v1beta1/clusters HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\n\r\n")?;
            let mut answer = String::new();
            stream.read_to_string(&mut answer)?;
            Ok(answer)
        };
        for host in https_hosts() {
            let answer = get(&host, &host).unwrap_or_else(|error| panic!("{host}: {error}"));
            // The storage refuses what is not signed in its own words.
            let is_served = !answer.starts_with("HTTP/1.1 403") || answer.contains("content-type: application/xml");
            assert!(is_served, "{host} is served: {answer}");
        }
        let iam = get("iam.tidbapi.com", "iam.tidbapi.com").unwrap();
        assert!(iam.starts_with("HTTP/1.1 401") && iam.contains("Digest realm"), "as without TLS: {iam}");
        let foreign = get("localhost", "example.com").unwrap();
        assert!(foreign.starts_with("HTTP/1.1 403"), "the Host is checked as without TLS: {foreign}");
        assert!(get("example.com", "example.com").is_err(), "no other host has a certificate");
        let authority = secured.authority.clone();
        drop(running);
        assert!(!authority.exists(), "the authority goes with the sandbox");
    }

    #[test]
    fn an_answer_may_be_late() {
        let started = start();
        let asked = Instant::now();
        assert!(ask(started.address, "GET /late HTTP/1.1", b"").contains("/late"));
        assert!(asked.elapsed() >= Duration::from_millis(200));
    }

    /// How a client saw a connection end.
    #[derive(Debug, PartialEq, Eq)]
    enum Seen {
        /// It ended (FIN), and what the client sent after that still arrived.
        HalfClosed,
        /// It ended in both directions.
        Closed,
        Reset,
        /// It was still open, without anything to read, after a while.
        Open,
        /// There was always more to read.
        Endless,
    }

    /// Sends a request on a connection that is kept, and reads until it ends, no more comes for a while, or more than 1 MB came.
    fn converse_with(address: SocketAddr, path: &str, wait: Duration) -> (TcpStream, Vec<u8>, Seen) {
        let mut stream = TcpStream::connect(address).unwrap();
        stream.set_read_timeout(Some(wait)).unwrap();
        stream.write_all(format!("GET {path} HTTP/1.1\r\nhost: localhost\r\n\r\n").as_bytes()).unwrap();
        let (mut heard, mut piece) = (Vec::new(), [0; 4096]);
        let seen = loop {
            match stream.read(&mut piece) {
                Ok(0) => {
                    // A server that is gone answers the first of these by a reset, so that the second or a later one fails.
                    let gone = (0..50).any(|_| {
                        std::thread::sleep(Duration::from_millis(2));
                        stream.write_all(b"x").is_err()
                    });
                    break if gone { Seen::Closed } else { Seen::HalfClosed };
                }
                Ok(read) => heard.extend_from_slice(&piece[..read]),
                Err(error) if error.kind() == io::ErrorKind::ConnectionReset => break Seen::Reset,
                Err(_) => break Seen::Open,
            }
            if heard.len() > 1_000_000 {
                break Seen::Endless;
            }
        };
        (stream, heard, seen)
    }

    #[test]
    fn answers_go_wrong_on_the_wire_as_the_core_wants() {
        let started = start();
        for (path, course) in courses() {
            let whole = format!("42 GET {path} None");
            let wait = if matches!(course, Course::Slow(_)) { 3_000 } else { 400 };
            let asked = Instant::now();
            let (_stream, heard, seen) = converse_with(started.address, path, Duration::from_millis(wait));
            let (head, body) = match heard.windows(4).position(|window| window == b"\r\n\r\n") {
                Some(end) => (String::from_utf8_lossy(&heard[..end]).into_owned(), &heard[end + 4..]),
                None => (String::new(), &heard[..]),
            };
            let announced = head.lines().find_map(|line| line.strip_prefix("content-length: ")).unwrap_or("none");
            let announced: Option<usize> = announced.parse().ok();
            let text = String::from_utf8_lossy(body);
            let expected = match course {
                Course::Whole => unreachable!("only what goes wrong is asked for"),
                Course::Stops { after, how } => {
                    assert_eq!(head.is_empty(), after.is_none(), "{path}: {head}");
                    assert_eq!(text, whole[..after.unwrap_or_default()], "{path}");
                    assert_eq!(announced, after.map(|_| whole.len()), "{path}: the whole is announced");
                    match how {
                        Stop::Close => Seen::Closed,
                        Stop::HalfClose => Seen::HalfClosed,
                        Stop::Reset => Seen::Reset,
                        Stop::Stall => Seen::Open,
                    }
                }
                Course::Length(by) => {
                    assert_eq!(announced, whole.len().checked_add_signed(by.try_into().unwrap()), "{path}");
                    assert_eq!(text, whole, "{path}: all of the body is sent");
                    Seen::Open
                }
                Course::Endless => {
                    let start = &whole[..whole.len() - 1];
                    assert!(
                        text.contains(&format!("{start}\r\n")) && !text.contains(&whole),
                        "{path}: all but the end"
                    );
                    assert!(text.ends_with("  "), "{path}: blanks follow");
                    Seen::Endless
                }
                Course::Slow(_) => {
                    assert_eq!(text, whole, "{path}: all of the body arrives");
                    assert!(
                        asked.elapsed() >= Duration::from_secs(1),
                        "{path}: the second ten bytes come a second later"
                    );
                    Seen::Open
                }
                Course::BadGzip => {
                    assert!(head.contains("content-encoding: gzip"), "{path}: {head}");
                    assert!(text.contains(&whole), "{path}: the body is stored in it, not compressed");
                    assert_eq!(body[body.len() - 8..], [0xff; 8], "{path}: a checksum and a length that are wrong");
                    Seen::Open
                }
                Course::BadChunks => {
                    assert!(head.contains("transfer-encoding: chunked"), "{path}: {head}");
                    assert!(text.ends_with("\r\nno size\r\n"), "{path}: {text}");
                    Seen::Closed
                }
            };
            assert_eq!(seen, expected, "{path}");
        }
    }

    #[test]
    fn a_client_that_leaves_before_its_answer_is_noted() {
        let started = start();
        let patience = Duration::from_millis(50);
        for path in ["/plain", "/late", "/stalled", "/stalled-in-body", "/slow", "/endless", "/cut", "/reset", "/gzip"]
        {
            drop(converse_with(started.address, path, patience));
        }
        let since = Instant::now();
        let mut left = Vec::new();
        while left.len() < 5 && since.elapsed() < Duration::from_secs(20) {
            std::thread::sleep(Duration::from_millis(10));
            left.clone_from(&started.left.lock().unwrap());
            left.sort();
        }
        assert_eq!(left, ["/endless", "/late", "/slow", "/stalled", "/stalled-in-body"], "they had no whole answer");
    }

    #[test]
    fn a_connection_goes_on_after_a_wrong_length() {
        let started = start();
        let (mut stream, ..) = converse_with(started.address, "/shorter", Duration::from_millis(200));
        stream.write_all(b"GET /next HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n").unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        assert!(answer.ends_with("42 GET /next None"), "{answer}");
    }
}
