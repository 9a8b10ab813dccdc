//! An HTTP/1.1 client over a bare socket: sends any bytes, and sees an answer byte by byte.

use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};

use serde_json::Value;

use super::PATIENCE;

/// A request with a body, and with its length where there is one.
pub fn request_text(method: &str, path: &str, key: &str, headers: &[(&str, &str)], body: &[u8]) -> Vec<u8> {
    let mut text = format!("{method} {path} HTTP/1.1\r\nhost: localhost\r\n");
    let has = |name: &str| headers.iter().any(|(own, _)| own.eq_ignore_ascii_case(name));
    if !key.is_empty() {
        text.push_str(&format!("authorization: Bearer {key}\r\n"));
    }
    if !has("content-type") && !body.is_empty() {
        text.push_str("content-type: application/json\r\n");
    }
    if !has("content-length") && !has("transfer-encoding") && (!body.is_empty() || method == "POST") {
        text.push_str(&format!("content-length: {}\r\n", body.len()));
    }
    for (name, value) in headers {
        text.push_str(&format!("{name}: {value}\r\n"));
    }
    text.push_str("\r\n");
    [text.as_bytes(), body].concat()
}

/// A whole answer.
#[derive(Debug, Clone)]
pub struct Response {
    /// The status.
    pub status: u16,
    /// Names in lower case, in the order of the answer.
    pub headers: Vec<(String, String)>,
    /// The body, without its transfer coding.
    pub body: Vec<u8>,
}

impl Response {
    /// The value of a header.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(own, _)| own == name).map(|(_, value)| value.as_str())
    }

    /// The body as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The body as JSON.
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    /// The `error` object of the body, in either envelope for callers.
    pub fn error(&self) -> Value {
        self.json()["error"].clone()
    }

    /// `error.type`.
    pub fn error_type(&self) -> String {
        self.error()["type"].as_str().unwrap_or_else(|| panic!("no error type: {self:?}")).to_owned()
    }

    /// `error.message`.
    pub fn error_message(&self) -> String {
        self.error()["message"].as_str().unwrap_or_else(|| panic!("no error message: {self:?}")).to_owned()
    }

    /// Asserts the status, and says what came instead.
    #[track_caller]
    pub fn expect(self, status: u16) -> Self {
        self.expect_any(&[status])
    }

    /// Asserts that the status is one of these.
    #[track_caller]
    pub fn expect_any(self, statuses: &[u16]) -> Self {
        assert!(statuses.contains(&self.status), "{} instead of {statuses:?}: {}", self.status, self.text());
        self
    }
}

/// How the end of a body is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Framing {
    Length(usize),
    Chunked,
    UntilClose,
}

/// A connection to the gateway.
pub struct Connection {
    stream: TcpStream,
    read: Vec<u8>,
}

impl Connection {
    /// Connects.
    pub fn open(addr: SocketAddr) -> Self {
        let stream = TcpStream::connect(addr).expect("the gateway accepts");
        stream.set_read_timeout(Some(PATIENCE)).expect("sets");
        stream.set_write_timeout(Some(PATIENCE)).expect("sets");
        stream.set_nodelay(true).expect("sets");
        Self { stream, read: Vec::new() }
    }

    /// Sends bytes as they are.
    pub fn send(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).expect("the gateway reads");
    }

    /// Sends bytes to a gateway that may have answered and closed already.
    pub fn try_send(&mut self, bytes: &[u8]) -> bool {
        self.stream.write_all(bytes).is_ok()
    }

    /// Leaves at once, without reading what is under way.
    pub fn leave(self) {
        // The other side may be gone already.
        let _ = self.stream.shutdown(Shutdown::Both);
    }

    /// Waits until the head of an answer is there, and leaves it to be read.
    pub fn wait_for_head(&mut self) {
        while !self.read.windows(4).any(|window| window == b"\r\n\r\n") {
            assert!(self.fill() > 0, "closed without an answer: {:?}", String::from_utf8_lossy(&self.read));
        }
    }

    /// Reads an answer.
    pub fn response(&mut self) -> Response {
        let (status, headers, framing) = self.head();
        let mut response = Response { status, headers, body: Vec::new() };
        match framing {
            Framing::Length(length) => {
                while self.read.len() < length {
                    assert!(self.fill() > 0, "the body was cut: {response:?}, {:?}", self.read);
                }
                response.body = self.read.drain(..length).collect();
            }
            Framing::Chunked => {
                while let Some(chunk) = self.chunk() {
                    response.body.extend_from_slice(&chunk);
                }
            }
            Framing::UntilClose => {
                while self.fill() > 0 {}
                response.body = std::mem::take(&mut self.read);
            }
        }
        response
    }

    /// Whether a whole answer comes before the connection is closed; then [`Connection::response`] gives it.
    pub fn is_answered(&mut self) -> bool {
        loop {
            if let Some(end) = self.read.windows(4).position(|window| window == b"\r\n\r\n") {
                let head = String::from_utf8_lossy(&self.read[..end]).to_ascii_lowercase();
                let length = head.split("content-length: ").nth(1).and_then(|rest| rest.lines().next());
                let length: usize = length.and_then(|length| length.parse().ok()).expect("a length");
                if self.read.len() >= end + 4 + length {
                    return true;
                }
            }
            if self.fill() == 0 {
                return false;
            }
        }
    }

    /// Reads the permission to send the body.
    pub fn go_ahead(&mut self) {
        let go = b"HTTP/1.1 100 Continue\r\n\r\n";
        let read = self.bytes(go.len());
        assert_eq!(String::from_utf8_lossy(&read), String::from_utf8_lossy(go));
    }

    /// Reads an answer that has no body, whatever its headers say: to `HEAD`, or that nothing has changed.
    pub fn bodiless(&mut self) -> Response {
        let (status, headers, _) = self.head();
        Response { status, headers, body: Vec::new() }
    }

    /// Reads the head of an answer whose body is a stream.
    pub fn stream(mut self) -> Stream {
        let (status, headers, framing) = self.head();
        let mut head = Response { status, headers, body: Vec::new() };
        if framing != Framing::Chunked {
            if let Framing::Length(length) = framing {
                while self.read.len() < length && self.fill() > 0 {}
            }
            head.body = self.read;
            panic!("a stream was expected: {head:?}, {}", head.text());
        }
        Stream { connection: self, head, text: String::new(), is_over: false }
    }

    /// Reads so many bytes, whatever they are.
    pub fn bytes(&mut self, count: usize) -> Vec<u8> {
        while self.read.len() < count {
            assert!(self.fill() > 0, "closed before {count} bytes: {:?}", self.read);
        }
        self.read.drain(..count).collect()
    }

    /// Whether the gateway closes the connection without sending anything more.
    pub fn is_closed(&mut self) -> bool {
        self.read.is_empty() && self.fill() == 0
    }

    fn head(&mut self) -> (u16, Vec<(String, String)>, Framing) {
        let end = loop {
            if let Some(end) = self.read.windows(4).position(|window| window == b"\r\n\r\n") {
                break end;
            }
            assert!(self.fill() > 0, "closed without an answer: {:?}", String::from_utf8_lossy(&self.read));
        };
        let head = String::from_utf8(self.read.drain(..end + 4).collect()).expect("a head is text");
        let mut lines = head.trim_end().split("\r\n");
        let status = lines.next().and_then(|line| line.split(' ').nth(1)).and_then(|text| text.parse().ok());
        let status = status.unwrap_or_else(|| panic!("no status: {head}"));
        let pair = |line: &str| {
            line.split_once(':').map(|(name, value)| (name.to_lowercase(), value.trim().to_owned()))
        };
        let headers: Vec<(String, String)> = lines.filter_map(pair).collect();
        let value = |name: &str| headers.iter().find(|(own, _)| own == name).map(|(_, value)| value.as_str());
        let framing = match (value("transfer-encoding"), value("content-length")) {
            (Some("chunked"), _) => Framing::Chunked,
            (_, Some(length)) => Framing::Length(length.parse().expect("a length")),
            (_, None) => Framing::UntilClose,
        };
        (status, headers, framing)
    }

    /// The next chunk of a chunked body; `None` at its proper end.
    fn chunk(&mut self) -> Option<Vec<u8>> {
        let line = loop {
            if let Some(end) = self.read.windows(2).position(|window| window == b"\r\n") {
                break end;
            }
            assert!(self.fill() > 0, "a chunked body was cut: {:?}", String::from_utf8_lossy(&self.read));
        };
        let size = std::str::from_utf8(&self.read[..line]).expect("a size is text");
        let size = usize::from_str_radix(size.trim(), 16).expect("a size is hexadecimal");
        while self.read.len() < line + 2 + size + 2 {
            assert!(self.fill() > 0, "a chunked body was cut");
        }
        let chunk = self.read[line + 2..line + 2 + size].to_vec();
        self.read.drain(..line + 2 + size + 2);
        (size > 0).then_some(chunk)
    }

    /// Reads what is there; zero at the end of the connection.
    fn fill(&mut self) -> usize {
        let mut buffer = [0; 16 << 10];
        match self.stream.read(&mut buffer) {
            Ok(count) => {
                self.read.extend_from_slice(&buffer[..count]);
                count
            }
            Err(error) if error.kind() == ErrorKind::ConnectionReset => 0,
            Err(error) => panic!("nothing came: {error}; so far {:?}", String::from_utf8_lossy(&self.read)),
        }
    }
}

/// A streamed answer that is read as it comes.
pub struct Stream {
    connection: Connection,
    /// Status and headers.
    pub head: Response,
    text: String,
    is_over: bool,
}

impl Stream {
    /// Reads until the text that came contains `needle`; gives all of the text so far.
    #[track_caller]
    pub fn until(&mut self, needle: &str) -> &str {
        while !self.text.contains(needle) {
            assert!(self.more(), "the stream ended without {needle:?}: {}", self.text);
        }
        &self.text
    }

    /// Reads to the proper end; gives all of the text.
    pub fn rest(&mut self) -> &str {
        while self.more() {}
        &self.text
    }

    /// Leaves in the middle.
    pub fn leave(self) {
        self.connection.leave();
    }

    /// The connection after the end of the stream, for the next request.
    pub fn into_connection(mut self) -> Connection {
        self.rest();
        self.connection
    }

    fn more(&mut self) -> bool {
        if !self.is_over {
            match self.connection.chunk() {
                Some(chunk) => self.text.push_str(std::str::from_utf8(&chunk).expect("whole characters")),
                None => self.is_over = true,
            }
        }
        !self.is_over
    }
}
