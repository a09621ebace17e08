//! A world that costs next to nothing, for programs that measure what the service costs: it holds no answer and keeps no log.

use std::{
    cell::{Cell, RefCell},
    collections::BTreeMap,
    future::Future,
    pin::pin,
    task::{Context, Poll, Waker},
    time::Duration,
};

use mcp_server_tidbcloud::{
    base::{clock::UnixMillis, future::Pending, http::Response, secret::Secret},
    health,
    limits::ledger::Ledger,
    port::{
        Admission, Analytics, Ask, Assets, BodyError, DataPoint, FetchError, Flow, IncomingBody, Io, LimitKey, Limiter,
        LimiterFailure, Log, Outbound, Readiness, Sink, StorageFailure, Store, Stream,
    },
    store::object::{Command, ObjectName, Reply, Stored, step},
    watch,
};
use serde_json::json;

/// As workerd gives bodies to a Worker.
const PIECE_BYTES: usize = 64 << 10;

/// A TiDB Cloud whose every statement gives as many rows of as many one-character values as were asked for, in
/// pieces: nothing here holds an answer.
pub(crate) struct Endless {
    clock: Cell<u64>,
    rows: usize,
    columns: usize,
    /// A value is this text, so many times over, as JSON writes it.
    value: &'static str,
    repeated: usize,
    objects: RefCell<BTreeMap<String, Stored>>,
}

impl Endless {
    /// So many rows of so many columns, whose values are `value`, `repeated` times over.
    pub(crate) fn new(rows: usize, columns: usize, value: &'static str, repeated: usize) -> Self {
        Self { clock: Cell::new(1_795_428_000_000), rows, columns, value, repeated, objects: RefCell::default() }
    }

    fn pour(&self, sink: &mut dyn Sink) -> Result<(), FetchError> {
        sink.begin(200);
        let (mut piece, mut flow) = (String::with_capacity(2 * PIECE_BYTES), Flow::More);
        let mut give = |text: &str, is_last: bool| -> Result<Flow, FetchError> {
            if flow == Flow::More {
                piece.push_str(text);
                if is_last || piece.len() >= PIECE_BYTES {
                    flow = sink.take(piece.as_bytes())?;
                    piece.clear();
                }
            }
            Ok(flow)
        };
        give("{\"types\":[", false)?;
        for column in 0..self.columns {
            give(if column == 0 { "" } else { "," }, false)?;
            give(r#"{"name":"c","type":"VARCHAR","nullable":true}"#, false)?;
        }
        give("],\"rows\":[", false)?;
        for row in 0..self.rows {
            give(if row == 0 { "[" } else { "],[" }, false)?;
            for column in 0..self.columns {
                give(if column == 0 { "\"" } else { ",\"" }, false)?;
                for _ in 0..self.repeated {
                    give(self.value, false)?;
                }
                if give("\"", false)? == Flow::Enough {
                    return Ok(());
                }
            }
        }
        give("]],\"rowsAffected\":null,\"sLastInsertID\":null}", true).map(drop)
    }
}

impl Endless {
    fn send(&self, request: &Outbound, sink: &mut dyn Sink) -> Result<Response, FetchError> {
        if request.url.path().ends_with("/v1beta/sql") {
            self.pour(sink)?;
            return Ok(Response::empty(200).with("tidb-session", "s"));
        }
        if !request.headers.has("authorization") {
            sink.begin(401);
            let challenge = r#"Digest realm="tidb.cloud", nonce="n", algorithm=MD5, qop="auth""#;
            return Ok(Response::empty(401).with("www-authenticate", challenge));
        }
        let cluster = json!({"clusterId": "7", "displayName": "shop", "state": "ACTIVE", "userPrefix": "p",
            "endpoints": {"public": {"host": "gateway01.tidbcloud.com", "port": 4000}}});
        sink.begin(200);
        sink.take(cluster.to_string().as_bytes())?;
        Ok(Response::empty(200))
    }
}

impl Io for Endless {
    fn exchange<'a>(&'a self, request: Outbound, sink: &'a mut dyn Sink) -> Pending<'a, Result<Response, FetchError>> {
        Box::pin(async move { self.send(&request, sink) })
    }

    fn now(&self) -> UnixMillis {
        UnixMillis(self.clock.get())
    }

    fn sleep(&self, duration: Duration) -> Pending<'_, ()> {
        self.clock.set(self.clock.get() + u64::try_from(duration.as_millis()).expect("short"));
        Box::pin(async {})
    }

    fn random(&self, bytes: &mut [u8]) {
        bytes.fill(7);
    }
}

impl Limiter for Endless {
    fn admit<'a>(&'a self, _: &'a LimitKey, ask: Ask) -> Pending<'a, Result<Admission, LimiterFailure>> {
        let (admission, _) = Ledger::default().admit(&ask, self.now());
        Box::pin(async move { Ok(admission) })
    }
}

impl Store for Endless {
    fn object<'a>(&'a self, name: &'a ObjectName, command: &'a Command) -> Pending<'a, Result<Reply, StorageFailure>> {
        let stored = self.objects.borrow_mut().remove(name.as_str());
        let (after, reply) = step(stored, self.now(), command.clone());
        self.objects.borrow_mut().extend(after.map(|after| (name.as_str().to_owned(), after)));
        Box::pin(async { Ok(reply) })
    }

    fn kept_secret(&self) -> Pending<'_, Result<Secret, StorageFailure>> {
        Box::pin(async { Ok(Secret::new("canary-server-secret-0123456789abcdef")) })
    }

    fn watch<'a>(&'a self, _: &'a watch::Event) -> Pending<'a, Result<Option<watch::Notice>, StorageFailure>> {
        Box::pin(async { Ok(None) })
    }
}

impl Readiness for Endless {
    fn readiness<'a>(&'a self, _: &'a health::Command) -> Pending<'a, Option<health::Reply>> {
        Box::pin(async { None })
    }
}

impl Assets for Endless {
    fn asset<'a>(&'a self, _: &'a str) -> Pending<'a, Option<Response>> {
        Box::pin(async { None })
    }
}

impl Analytics for Endless {
    fn is_on(&self) -> bool {
        false
    }

    fn write(&self, _: &DataPoint<'_>) {}
}

impl Stream for Endless {
    fn begin(&self, _: Response) {}

    fn send(&self, _: &str) {}
}

impl Log for Endless {
    fn write(&self, _: &str) {}
}

/// A request's body, which is there at once.
pub(crate) struct Body(pub(crate) Vec<u8>);

impl IncomingBody for Body {
    fn read(&mut self, _: usize, _: Duration) -> Pending<'_, Result<Vec<u8>, BodyError>> {
        let body = std::mem::take(&mut self.0);
        Box::pin(async { Ok(body) })
    }
}

/// What a future gives that has nothing to wait for.
pub(crate) fn block_on<T>(future: impl Future<Output = T>) -> T {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(value) => value,
        Poll::Pending => panic!("nothing here waits"),
    }
}
