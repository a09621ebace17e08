//! Every bad input of the table over HTTP, and those that only bytes on a connection can show.

use std::{
    io::{Read, Write},
    net::TcpStream,
    thread,
    time::{Duration, Instant},
};

use serde_json::{Value, json};

use crate::{
    support::{
        Answer, Call, Driver,
        bad_inputs::{BODY_BYTES_MAX, REQUESTS, WIRE, assert_alive, check, list, row, run, tool},
        bad_oauth,
    },
    worker::{Worker, Workerd, send},
};

/// A client with an address of its own, so that no row uses up another's permits.
fn client(number: usize) -> Workerd {
    Workerd { origin: Worker::shared(), address: format!("198.18.{}.{}", number / 250, number % 250 + 1) }
}

/// A field that no HTTP client sends: it would not be one field any more.
fn fits_in_a_field(call: &Call) -> bool {
    call.headers.iter().all(|(_, value)| !value.contains(['\r', '\n', '\0']))
}

#[test]
fn every_request_of_the_table() {
    client(0).admin("POST", "/_sandbox/reset", None);
    let mut clients = 0;
    for (id, requests) in REQUESTS {
        let requests: Vec<_> = requests().into_iter().filter(fits_in_a_field).collect();
        if requests.is_empty() {
            assert_eq!(*id, "META-041", "nothing of this row can be sent");
            continue;
        }
        run(&row(id), &requests, &list(), || {
            clients += 1;
            client(clients)
        });
        println!("{id}");
    }
}

/// In workerd the clock is the machine's: what has to wait a minute or an hour is tested natively.
#[test]
fn every_row_that_needs_a_client_a_person_or_a_token() {
    for (number, id) in bad_oauth::ROWS.iter().filter(|id| !bad_oauth::NEED_A_CLOCK.contains(id)).enumerate() {
        let mut client = Workerd { origin: Worker::shared(), address: format!("198.19.7.{number}") };
        bad_oauth::check(&row(id), &bad_oauth::ask(id, &mut client));
        println!("{id}");
    }
}

/// A connection to the Worker, on which anything can be sent.
pub struct Wire {
    stream: TcpStream,
    address: String,
}

impl Wire {
    pub fn open(number: usize) -> Self {
        let origin = Worker::shared();
        let stream = TcpStream::connect(origin.trim_start_matches("http://")).expect("a connection");
        stream.set_read_timeout(Some(Duration::from_secs(30))).expect("a timeout");
        Self { stream, address: format!("198.19.0.{number}") }
    }

    /// The request line and the fields of a call, with further fields given as bytes, up to the body.
    pub fn head(&mut self, call: &Call, further: &[u8]) {
        let mut head = format!("{} {} HTTP/1.1\r\n", call.method, call.target);
        let host = Worker::shared().trim_start_matches("http://").to_owned();
        for (name, value) in [("Host", &host), ("CF-Connecting-IP", &self.address), ("Connection", &"close".to_owned())]
        {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
        for (name, value) in &call.headers {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
        self.bytes(&[head.as_bytes(), further, b"\r\n\r\n"].concat());
    }

    /// A client that is refused early may find the connection closed while still sending.
    pub fn bytes(&mut self, bytes: &[u8]) {
        let _ = self.stream.write_all(bytes).and_then(|()| self.stream.flush());
    }

    /// Everything up to the end of the connection, or of the body where its length is said.
    pub fn answer(mut self) -> Answer {
        let mut received = Vec::new();
        let mut buffer = [0; 64 << 10];
        loop {
            if let Some(answer) = parse(&received) {
                let length = answer.header("Content-Length").and_then(|text| text.parse::<usize>().ok());
                if length.is_some_and(|length| answer.body.len() >= length) {
                    return answer;
                }
            }
            match self.stream.read(&mut buffer) {
                Ok(count) if count > 0 => received.extend_from_slice(&buffer[..count]),
                _ => break,
            }
        }
        parse(&received).unwrap_or_else(|| panic!("no answer: {}", String::from_utf8_lossy(&received)))
    }

    fn assert_alive(&self, about: &str) {
        let call = list().set("CF-Connecting-IP", &self.address);
        assert_alive(&row(about), &send(&Worker::shared(), call));
    }
}

fn parse(received: &[u8]) -> Option<Answer> {
    let end = received.windows(4).position(|window| window == b"\r\n\r\n")?;
    let head = String::from_utf8_lossy(&received[..end]).into_owned();
    let mut lines = head.split("\r\n");
    let status = lines.next()?.split(' ').nth(1)?.parse().ok()?;
    let headers: Vec<(String, String)> = lines
        .filter_map(|line| line.split_once(": "))
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect();
    Some(Answer { status, headers, body: received[end + 4..].to_vec() })
}

/// Sends the call's body in chunks (RFC 9112 section 7.1), without its length.
fn chunked(call: &Call, address: usize) -> Answer {
    let mut wire = Wire::open(address);
    wire.head(call, b"Transfer-Encoding: chunked");
    for chunk in call.body.chunks(64 << 10) {
        wire.bytes(format!("{:x}\r\n", chunk.len()).as_bytes());
        wire.bytes(chunk);
        wire.bytes(b"\r\n");
    }
    wire.bytes(b"0\r\n\r\n");
    wire.answer()
}

fn upstream() -> Value {
    client(0).admin("GET", "/_sandbox/requests", None)["requests"].clone()
}

#[test]
fn rows_about_how_bytes_arrive() {
    for id in WIRE {
        match *id {
            "SIZE-002" => too_long_without_a_length(),
            "SIZE-004" => a_body_that_does_not_come(),
            "SIZE-005" => a_length_below_nothing(),
            "SIZE-006" => two_lengths(),
            "SIZE-010" => a_client_that_goes_away(),
            _ => panic!("{id} has no test"),
        }
        println!("{id}");
    }
}

fn too_long_without_a_length() {
    let row = row("SIZE-002");
    let too_long = list().padded_to(BODY_BYTES_MAX + 1);
    check(&row, &too_long, &chunked(&too_long, 1));
    let longest = list().padded_to(BODY_BYTES_MAX);
    assert_alive(&row, &chunked(&longest, 1));

    let mut wire = Wire::open(1);
    wire.head(&too_long, format!("Content-Length: {}", too_long.body.len()).as_bytes());
    wire.bytes(&too_long.body);
    check(&row, &too_long, &wire.answer());
}

fn a_body_that_does_not_come() {
    let row = row("SIZE-004");
    let started = Instant::now();
    let mut wire = Wire::open(2);
    wire.head(&list(), b"Content-Length: 10");
    wire.bytes(b"{\"j");
    check(&row, &list(), &wire.answer());
    let seconds = started.elapsed().as_secs_f64();
    assert!((9.5..20.0).contains(&seconds), "{seconds}");

    let mut wire = Wire::open(2);
    wire.head(&list(), b"Transfer-Encoding: chunked");
    wire.bytes(b"3\r\n{\"j\r\n");
    check(&row, &list(), &wire.answer());
    Wire::open(2).assert_alive(row.id);
}

/// Cloudflare refuses such a request; workerd does so too, before the Worker sees it.
fn a_length_below_nothing() {
    let mut wire = Wire::open(3);
    wire.head(&list(), b"Content-Length: -1");
    wire.bytes(&list().body);
    assert_eq!(wire.answer().status, 400);
    Wire::open(3).assert_alive("SIZE-005");
}

/// Cloudflare refuses such a request. workerd takes the chunks and ignores the length (RFC 9112 section 6.3), so that
/// neither a part of the body nor the next request can be mistaken for the other.
fn two_lengths() {
    let row = row("SIZE-006");
    let both = |call: &Call| chunked(&call.clone().and("Content-Length", "5"), 4);
    assert_alive(&row, &both(&list()));
    assert_eq!(both(&list().padded_to(BODY_BYTES_MAX + 1)).status, 413);
    Wire::open(4).assert_alive(row.id);
}

fn a_client_that_goes_away() {
    let mut client = client(0);
    client.admin("DELETE", "/_sandbox/requests", None);
    let call = tool("tidbcloud_list_regions", json!({}));
    // The whole call is there, and yet the body is not: what comes is not what was announced.
    let mut wire = Wire::open(5);
    wire.head(&call, format!("Content-Length: {}", call.body.len() + 1).as_bytes());
    wire.bytes(&call.body);
    thread::sleep(Duration::from_millis(200));
    drop(wire);
    let mut wire = Wire::open(5);
    wire.head(&call, b"Transfer-Encoding: chunked");
    wire.bytes(format!("{:x}\r\n", call.body.len()).as_bytes());
    wire.bytes(&call.body);
    wire.bytes(b"\r\n");
    thread::sleep(Duration::from_millis(200));
    drop(wire);
    thread::sleep(Duration::from_secs(2));
    assert_eq!(upstream(), json!([]));
    Wire::open(5).assert_alive("SIZE-010");
}

#[test]
fn a_head_has_no_body_and_a_long_url_no_answer() {
    let head = Call { method: "HEAD".to_owned(), body: Vec::new(), ..list() };
    let mut wire = Wire::open(6);
    wire.head(&head, b"X-Test: 1");
    let answer = wire.answer();
    assert_eq!((answer.status, answer.body.as_slice()), (405, &b""[..]));

    let long = Call { target: format!("/mcp?{}", "a".repeat(60 << 10)), ..list() };
    let mut wire = Wire::open(6);
    wire.head(&long, format!("Content-Length: {}", long.body.len()).as_bytes());
    wire.bytes(&long.body);
    let answer = wire.answer();
    assert!(matches!(answer.status, 414 | 431), "{}", answer.status);
    Wire::open(6).assert_alive("HTTP-021");
}

/// Bytes in a field that end it, or that are no text.
#[test]
fn bytes_in_fields() {
    let answer = |further: &[u8], call: &Call| {
        let mut wire = Wire::open(7);
        wire.head(call, &[further, format!("\r\nContent-Length: {}", call.body.len()).as_bytes()].concat());
        wire.bytes(&call.body);
        wire.answer()
    };
    let query = tool("db_query", json!({"cluster": "shop", "sql": "SELECT 1"})).without("Mcp-Name");
    for value in [&b"db_quer\xfd"[..], b"db_query\xff", b"\xc3\xa9"] {
        let answer = answer(&[b"Mcp-Name: ", value].concat(), &query);
        assert_eq!(answer.status, 400);
        assert_eq!(answer.json()["error"]["code"], json!(-32_020), "{value:?}");
    }
    // A line break ends the field: what follows is another request field and no field of the answer.
    let injected = answer(b"X-Request-Id: a\r\nSet-Cookie: x", &list());
    assert_alive(&row("META-041"), &injected);
    assert!(injected.header("Set-Cookie").is_none());

    let keyless = list().without("X-TiDB-API-Private-Key");
    for value in [&b"canary\xe9key"[..], b"canary:key", b"canary\xc3\xa9"] {
        let answer = answer(&[b"X-TiDB-API-Private-Key: ", value].concat(), &keyless);
        assert_eq!(answer.status, 401, "{value:?}");
    }
    // Control characters do not even get to the Worker.
    for value in [&b"canary\x00key"[..], b"canary\nkey"] {
        let answer = answer(&[b"X-TiDB-API-Private-Key: ", value].concat(), &keyless);
        assert!(matches!(answer.status, 400 | 401), "{value:?}: {}", answer.status);
    }
    Wire::open(7).assert_alive("AUTH-016");
}
