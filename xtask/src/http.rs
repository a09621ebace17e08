//! Just enough of an HTTP/1.1 client (RFC 9112) to talk to our own servers on this machine.

use std::{
    io::{BufRead, BufReader, Read, Write},
    net::TcpStream,
    time::Duration,
};

/// One connection, kept alive between requests.
pub(crate) struct Connection {
    stream: BufReader<TcpStream>,
    port: u16,
}

/// An answer.
pub(crate) struct Answer {
    /// Status code.
    pub(crate) status: u16,
    /// Header fields, with names in lower case.
    pub(crate) headers: Vec<(String, String)>,
    /// The whole body.
    pub(crate) body: Vec<u8>,
}

impl Connection {
    /// Connects to a port of this machine.
    pub(crate) fn open(port: u16) -> Result<Self, String> {
        let told = |error: std::io::Error| format!("127.0.0.1:{port}: {error}");
        let stream = TcpStream::connect(("127.0.0.1", port)).map_err(told)?;
        stream.set_nodelay(true).map_err(told)?;
        stream.set_read_timeout(Some(Duration::from_secs(30))).map_err(told)?;
        Ok(Self { stream: BufReader::new(stream), port })
    }

    /// Sends a request and reads the whole answer. `headers` may name another host.
    pub(crate) fn send(
        &mut self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: &str,
    ) -> Result<Answer, String> {
        let port = self.port;
        let mut head = format!("{method} {path} HTTP/1.1\r\ncontent-length: {}\r\n", body.len());
        if !headers.iter().any(|(name, _)| *name == "host") {
            head.push_str(&format!("host: 127.0.0.1:{port}\r\n"));
        }
        for (name, value) in headers {
            head.push_str(name);
            head.push_str(": ");
            head.push_str(value);
            head.push_str("\r\n");
        }
        head.push_str("\r\n");
        head.push_str(body);
        let told = |error: std::io::Error| format!("{method} http://127.0.0.1:{port}{path}: {error}");
        self.stream.get_mut().write_all(head.as_bytes()).map_err(told)?;
        self.read().map_err(|error| format!("{method} http://127.0.0.1:{port}{path}: {error}"))
    }

    fn line(&mut self) -> Result<String, String> {
        let mut line = String::new();
        match self.stream.read_line(&mut line) {
            Ok(0) => Err("the connection was closed".to_owned()),
            Ok(_) => Ok(line.trim_end().to_owned()),
            Err(error) => Err(error.to_string()),
        }
    }

    fn read(&mut self) -> Result<Answer, String> {
        let first = self.line()?;
        let status = first
            .split(' ')
            .nth(1)
            .and_then(|status| status.parse().ok())
            .ok_or_else(|| format!("not a status line: {first}"))?;
        let (mut headers, mut length, mut chunked) = (Vec::new(), 0, false);
        loop {
            let line = self.line()?;
            let Some((name, value)) = line.split_once(':') else { break };
            let (name, value) = (name.to_ascii_lowercase(), value.trim());
            match (name.as_str(), value) {
                ("content-length", value) => length = value.parse().map_err(|_| format!("bad length {value}"))?,
                ("transfer-encoding", "chunked") => chunked = true,
                _ => {}
            }
            headers.push((name, value.to_owned()));
        }
        let mut body = Vec::new();
        if !chunked {
            self.take(length, &mut body)?;
            return Ok(Answer { status, headers, body });
        }
        loop {
            let size = self.line()?;
            let size = u64::from_str_radix(&size, 16).map_err(|_| format!("bad chunk size {size}"))?;
            self.take(size, &mut body)?;
            self.line()?;
            if size == 0 {
                return Ok(Answer { status, headers, body });
            }
        }
    }

    fn take(&mut self, length: u64, body: &mut Vec<u8>) -> Result<(), String> {
        let read = (&mut self.stream).take(length).read_to_end(body).map_err(|error| error.to_string())?;
        if u64::try_from(read).is_ok_and(|read| read == length) {
            Ok(())
        } else {
            Err("the body was cut short".to_owned())
        }
    }
}

/// One request on a connection of its own.
pub(crate) fn once(port: u16, method: &str, path: &str, body: &str) -> Result<Answer, String> {
    let headers: &[(&str, &str)] = if body.is_empty() { &[] } else { &[("content-type", "application/json")] };
    Connection::open(port)?.send(method, path, headers, body)
}
