//! The MySQL protocol on loopback, as TiDB Cloud's gateway speaks it: TLS always, one address for all clusters and branches, and
//! the prefix of the user name says which one is meant.
//!
//! After the login, bytes are carried to the engine of the cluster or branch and back. Nothing is translated or recorded, other
//! than for SQL over HTTP.

mod engine;
mod handshake;
mod packet;
mod relay;

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::server::TlsStream;

use crate::certificate;
use crate::control::{Sandbox, public_hosts};
use crate::exchange::Admission;
use crate::native_password;
use crate::serve::State;
use engine::Outcome;
use handshake::Login;

/// Connections at once. Each holds a connection of an engine, which takes 200, and SQL over HTTP needs some of them too.
const CONNECTIONS_MAX: usize = 64;

/// How long a client may take from connecting to its answer to the nonce, and an engine that runs to let the client in.
const HANDSHAKE_LIMIT: Duration = Duration::from_secs(10);

/// What the greeting says, which is sent before it is known whose engine is meant. TiDB Cloud's says `-serverless`.
const TIDB_VERSION: &str = "8.0.11-TiDB-v8.5.3-sandbox";

/// The same on MariaDB. It is below 8.0.3, because MySQL's driver for Java asks later servers for `@@transaction_isolation`, which
/// MariaDB has from 11.1 on only.
const MARIADB_VERSION: &str = "8.0.2-TiDB-v8.5.3-sandbox-on-MariaDB";

/// Numbers of connections begin here, above those of the engines: `KILL` with one finds nothing, rather than another connection.
const FIRST_CONNECTION: u32 = 1 << 30;

/// TiDB Cloud's own words to a client without TLS (error 1105), as users quote them.
const INSECURE: &str = "Connections using insecure transport are prohibited. See \
                        https://docs.pingcap.com/tidbcloud/secure-connections-to-serverless-tier-clusters";

/// TiDB Cloud's own words to a user without a prefix. The number 1105 is a guess.
const NO_PREFIX: &str =
    "Missing user name prefix. See https://docs.pingcap.com/tidbcloud/select-cluster-tier#user-name-prefix";

/// Everything that connections share.
pub(crate) struct Front {
    state: Arc<State<Sandbox>>,
    tls: TlsAcceptor,
    version: &'static str,
    places: Semaphore,
    next: AtomicU32,
}

/// A client who was let in, in the middle of its login.
struct Guest {
    stream: TlsStream<TcpStream>,
    /// Number of the client's last packet.
    sequence: u8,
    login: Login,
    admission: Admission,
}

/// Tells a client why it is not let in, and closes the connection.
async fn refuse(stream: &mut (impl AsyncRead + AsyncWrite + Unpin), sequence: u8, error: &[u8]) -> io::Result<()> {
    packet::write(stream, sequence, error).await?;
    stream.shutdown().await
}

fn bad_handshake() -> Vec<u8> {
    packet::error(1043, "08S01", "Bad handshake")
}

impl Front {
    /// One whose certificate authority is written to `authority`.
    ///
    /// # Errors
    /// The file cannot be written.
    pub(crate) fn new(state: Arc<State<Sandbox>>, authority: &Path) -> io::Result<Self> {
        let names = ["127.0.0.1", "localhost"].map(str::to_owned).into_iter().chain(public_hosts());
        let tls = certificate::install(names.collect(), authority).map_err(io::Error::other)?;
        let (places, next) = (Semaphore::new(CONNECTIONS_MAX), AtomicU32::new(FIRST_CONNECTION));
        let version = if state.servers().engine().is_tidb() { TIDB_VERSION } else { MARIADB_VERSION };
        Ok(Self { state, version, tls: TlsAcceptor::from(Arc::new(tls)), places, next })
    }

    /// Attends to those who connect, until it is dropped.
    pub(crate) async fn serve(self, listener: TcpListener) {
        let front = Arc::new(self);
        loop {
            let Ok((stream, _)) = listener.accept().await else {
                // Out of file descriptors, most likely: a moment later there may be some.
                tokio::time::sleep(Duration::from_millis(10)).await;
                continue;
            };
            let _ = stream.set_nodelay(true);
            let front = Arc::clone(&front);
            tokio::spawn(async move {
                // An error is that of a connection, and there is nobody left to tell.
                let _ = front.attend(stream).await;
            });
        }
    }

    async fn attend(&self, mut stream: TcpStream) -> io::Result<()> {
        let Ok(_place) = self.places.try_acquire() else {
            return refuse(&mut stream, 0, &packet::error(1040, "08004", "Too many connections")).await;
        };
        let Some(mut guest) = timeout(HANDSHAKE_LIMIT, self.log_in(stream)).await?? else { return Ok(()) };
        let sequence = guest.sequence.wrapping_add(1);
        match self.enter(&guest).await {
            Ok(Outcome::In(engine, last)) => {
                packet::write(&mut guest.stream, sequence, &last).await?;
                relay::relay(guest.stream, engine).await
            }
            Ok(Outcome::Refused(error)) => refuse(&mut guest.stream, sequence, &error).await,
            Err(reason) => refuse(&mut guest.stream, sequence, &packet::error(1105, "HY000", &reason)).await,
        }
    }

    /// The part of a login that is the client's. `None`: it was refused, and told so.
    async fn log_in(&self, mut stream: TcpStream) -> io::Result<Option<Guest>> {
        let nonce = nonce()?;
        let connection = self.next.fetch_add(1, Ordering::Relaxed);
        packet::write(&mut stream, 0, &handshake::greeting(self.version, connection, &nonce)).await?;
        let (sequence, payload) = packet::read(&mut stream).await?;
        let error = match handshake::asks_for_tls(&payload) {
            Some(true) => None,
            Some(false) => Some(packet::error(1105, "HY000", INSECURE)),
            None => Some(bad_handshake()),
        };
        if let Some(error) = error {
            return refuse(&mut stream, sequence.wrapping_add(1), &error).await.map(|()| None);
        }
        let mut stream = self.tls.accept(stream).await?;
        let (mut sequence, payload) = packet::read(&mut stream).await?;
        let error = match Login::read(&payload) {
            Some(login) if !login.user.contains('.') => packet::error(1105, "HY000", NO_PREFIX),
            None => bad_handshake(),
            Some(mut login) => {
                if !login.by_our_method {
                    packet::write(&mut stream, sequence.wrapping_add(1), &handshake::ask_for_method(&nonce)).await?;
                    (sequence, login.answer) = packet::read(&mut stream).await?;
                }
                match self.state.admit(&login.user, &nonce, &login.answer).await {
                    Ok(admission) => return Ok(Some(Guest { stream, sequence, login, admission })),
                    Err(refused) => packet::error(refused.code(), refused.sqlstate(), &refused.to_string()),
                }
            }
        };
        refuse(&mut stream, sequence.wrapping_add(1), &error).await.map(|()| None)
    }

    /// The other part: the login at the engine, which is started where it does not run.
    async fn enter(&self, guest: &Guest) -> Result<Outcome, String> {
        let (servers, admission) = (Arc::clone(self.state.servers()), guest.admission.clone());
        let door = tokio::task::spawn_blocking(move || servers.door(&admission)).await;
        let door = door.map_err(|error| error.to_string())??;
        let entered = timeout(HANDSHAKE_LIMIT, engine::log_in(&door, &guest.login)).await;
        let entered = entered.map_err(io::Error::from).and_then(|entered| entered);
        entered.map_err(|error| format!("the SQL server cannot be reached: {error}"))
    }
}

/// Random bytes without a zero, at which clients take the nonce to end.
fn nonce() -> io::Result<[u8; native_password::LENGTH]> {
    let mut nonce = [0; native_password::LENGTH];
    ring::default_provider().secure_random.fill(&mut nonce).map_err(|_| io::Error::other("no random bytes"))?;
    Ok(nonce.map(|byte| byte % 127 + 1))
}
