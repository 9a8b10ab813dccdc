//! A provider that does as it is told: answers, waits, stalls, breaks off, and notices when its caller leaves.

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use serde_json::Value;

use super::{answers, until};

/// How often a waiting connection looks whether its caller is still there.
const LOOK: Duration = Duration::from_millis(4);

/// A request as it arrived.
#[derive(Debug, Clone)]
pub struct Received {
    /// The method.
    pub method: String,
    /// The path, with its query.
    pub path: String,
    /// Names in lower case.
    pub headers: Vec<(String, String)>,
    /// The body, byte for byte.
    pub body: Vec<u8>,
    /// Which connection it came on, from zero.
    pub connection: usize,
}

impl Received {
    /// The value of a header.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(own, _)| own == name).map(|(_, value)| value.as_str())
    }

    /// The body as JSON.
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).expect("the gateway sends JSON")
    }
}

/// Something that is closed until a test opens it.
#[derive(Debug, Clone, Default)]
pub struct Gate(Arc<AtomicBool>);

impl Gate {
    /// Lets everybody through from now on.
    pub fn open(&self) {
        self.0.store(true, SeqCst);
    }

    fn is_open(&self) -> bool {
        self.0.load(SeqCst)
    }
}

#[derive(Debug, Clone)]
enum Step {
    Send(Vec<u8>),
    Pause(Duration),
    Wait(Gate),
    Reset,
    Close,
}

/// An answer as a list of steps; after the last one the connection is kept for the next request.
#[derive(Debug, Clone, Default)]
pub struct Answer {
    steps: Vec<Step>,
}

impl Answer {
    /// A whole JSON answer.
    pub fn json(status: u16, body: &str) -> Self {
        Self::with_headers(status, &[("content-type", "application/json")], body)
    }

    /// A whole answer with these headers.
    pub fn with_headers(status: u16, headers: &[(&str, &str)], body: &str) -> Self {
        let headers: String = headers.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
        let head = format!("HTTP/1.1 {status} Scripted\r\n{headers}content-length: {}\r\n\r\n", body.len());
        Self::default().raw([head.as_bytes(), body.as_bytes()].concat())
    }

    /// The head of a stream of events; `event` and `end` follow.
    pub fn events() -> Self {
        let head = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n";
        Self::default().raw(head.as_bytes().to_vec())
    }

    /// A whole stream: one chunk per text, then its proper end.
    pub fn stream(texts: &[&str]) -> Self {
        texts.iter().fold(Self::events(), |answer, text| answer.event(text)).end()
    }

    /// Silence until the caller leaves.
    pub fn silence() -> Self {
        Self::default().wait(&Gate::default())
    }

    /// Bytes as they are.
    pub fn raw(mut self, bytes: Vec<u8>) -> Self {
        self.steps.push(Step::Send(bytes));
        self
    }

    /// Text of a stream, as one chunk, wherever it is cut.
    pub fn event(self, text: &str) -> Self {
        self.raw(format!("{:x}\r\n{text}\r\n", text.len()).into_bytes())
    }

    /// The proper end of a stream.
    pub fn end(self) -> Self {
        self.raw(b"0\r\n\r\n".to_vec())
    }

    /// A pause.
    pub fn pause(mut self, time: Duration) -> Self {
        self.steps.push(Step::Pause(time));
        self
    }

    /// Waits until the gate is open.
    pub fn wait(mut self, gate: &Gate) -> Self {
        self.steps.push(Step::Wait(gate.clone()));
        self
    }

    /// Nothing more until the caller leaves.
    pub fn stall(self) -> Self {
        self.wait(&Gate::default())
    }

    /// The steps of another answer after these.
    pub fn then(mut self, other: Self) -> Self {
        self.steps.extend(other.steps);
        self
    }

    /// Breaks the connection with a TCP reset.
    pub fn reset(mut self) -> Self {
        self.steps.push(Step::Reset);
        self
    }

    /// Closes the connection.
    pub fn close(mut self) -> Self {
        self.steps.push(Step::Close);
        self
    }
}

type Script = dyn Fn(&Received, usize) -> Answer + Send + Sync;

struct Shared {
    script: Box<Script>,
    received: Mutex<Vec<Received>>,
    hang_ups: Mutex<Vec<Instant>>,
    connections: AtomicUsize,
    is_over: AtomicBool,
}

/// A provider on a port of its own, until it is dropped.
pub struct Upstream {
    addr: SocketAddr,
    shared: Arc<Shared>,
}

impl Upstream {
    /// A provider that answers each request as the script says, which is given the request's number from zero.
    pub fn start(script: impl Fn(&Received, usize) -> Answer + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let addr = listener.local_addr().expect("bound");
        let shared = Arc::new(Shared {
            script: Box::new(script),
            received: Mutex::default(),
            hang_ups: Mutex::default(),
            connections: AtomicUsize::new(0),
            is_over: AtomicBool::new(false),
        });
        let accepting = shared.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                if accepting.is_over.load(SeqCst) {
                    return;
                }
                let number = accepting.connections.fetch_add(1, SeqCst);
                let shared = accepting.clone();
                std::thread::spawn(move || serve(&shared, stream, number));
            }
        });
        Self { addr, shared }
    }

    /// A provider that gives the same answer every time.
    pub fn always(answer: Answer) -> Self {
        Self::start(move |_, _| answer.clone())
    }

    /// A provider that gives one answer after the other, and the last one from then on.
    pub fn in_turn(answers: Vec<Answer>) -> Self {
        Self::start(move |_, number| answers[number.min(answers.len() - 1)].clone())
    }

    /// A provider that answers every request well, streamed or not.
    pub fn well() -> Self {
        Self::start(|request, _| answers::well(request))
    }

    /// The root of its API.
    pub fn url(&self) -> String {
        format!("http://{}/v1", self.addr)
    }

    /// Every request so far.
    pub fn received(&self) -> Vec<Received> {
        self.shared.received.lock().expect("no panic").clone()
    }

    /// How many requests came.
    pub fn count(&self) -> usize {
        self.shared.received.lock().expect("no panic").len()
    }

    /// How many connections were opened.
    pub fn connections(&self) -> usize {
        self.shared.connections.load(SeqCst)
    }

    /// How many callers left in the middle of an answer.
    pub fn hang_ups(&self) -> usize {
        self.shared.hang_ups.lock().expect("no panic").len()
    }

    /// Waits until so many requests came.
    pub fn wait_for_requests(&self, count: usize) {
        until("requests at the upstream", || self.count() >= count);
    }

    /// Waits until a caller leaves in the middle of an answer, and tells when it was noticed.
    pub fn wait_for_hang_up(&self) -> Instant {
        until("the gateway leaves the upstream", || self.hang_ups() > 0);
        self.shared.hang_ups.lock().expect("no panic")[0]
    }
}

impl Drop for Upstream {
    fn drop(&mut self) {
        self.shared.is_over.store(true, SeqCst);
        // Wakes the thread that accepts; it may be gone already.
        let _ = TcpStream::connect(self.addr);
    }
}

fn serve(shared: &Shared, mut stream: TcpStream, connection: usize) {
    stream.set_nodelay(true).expect("sets");
    stream.set_read_timeout(Some(LOOK)).expect("sets");
    let mut read = Vec::new();
    while let Some(request) = read_request(shared, &mut stream, &mut read, connection) {
        let number = {
            let mut received = shared.received.lock().expect("no panic");
            received.push(request.clone());
            received.len() - 1
        };
        for step in (shared.script)(&request, number).steps {
            if !take(shared, &mut stream, step) {
                return;
            }
        }
    }
}

/// Takes one step; `false` when the connection is over.
fn take(shared: &Shared, stream: &mut TcpStream, step: Step) -> bool {
    let began = Instant::now();
    let is_there = match step {
        Step::Send(bytes) => stream.write_all(&bytes).is_ok(),
        Step::Pause(time) => linger(shared, stream, || began.elapsed() >= time),
        Step::Wait(gate) => linger(shared, stream, || gate.is_open()),
        Step::Reset => {
            let socket = socket2::SockRef::from(&*stream);
            socket.set_linger(Some(Duration::ZERO)).expect("sets");
            return false;
        }
        Step::Close => return false,
    };
    if !is_there && !shared.is_over.load(SeqCst) {
        shared.hang_ups.lock().expect("no panic").push(Instant::now());
    }
    is_there
}

/// Waits until `is_enough`; `false` when the caller left or the test is over.
fn linger(shared: &Shared, stream: &TcpStream, is_enough: impl Fn() -> bool) -> bool {
    let mut byte = [0];
    while !is_enough() {
        match stream.peek(&mut byte) {
            Ok(0) => return false,
            Ok(_) => std::thread::sleep(LOOK),
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {}
            Err(_) => return false,
        }
        if shared.is_over.load(SeqCst) {
            return false;
        }
    }
    true
}

/// Reads the next request; `None` when the connection or the test is over.
fn read_request(
    shared: &Shared,
    stream: &mut TcpStream,
    read: &mut Vec<u8>,
    connection: usize,
) -> Option<Received> {
    let end = loop {
        if let Some(end) = read.windows(4).position(|window| window == b"\r\n\r\n") {
            break end;
        }
        fill(shared, stream, read)?;
    };
    let head = String::from_utf8(read.drain(..end + 4).collect()).expect("a head is text");
    let mut lines = head.trim_end().split("\r\n");
    let mut line = lines.next().unwrap_or_default().split(' ').map(str::to_owned);
    let pair =
        |line: &str| line.split_once(':').map(|(name, value)| (name.to_lowercase(), value.trim().to_owned()));
    let mut request = Received {
        method: line.next().unwrap_or_default(),
        path: line.next().unwrap_or_default(),
        headers: lines.filter_map(pair).collect(),
        body: Vec::new(),
        connection,
    };
    let length = request.header("content-length").map_or(0, |length| length.parse().expect("a length"));
    while read.len() < length {
        fill(shared, stream, read)?;
    }
    request.body = read.drain(..length).collect();
    Some(request)
}

fn fill(shared: &Shared, stream: &mut TcpStream, read: &mut Vec<u8>) -> Option<()> {
    let mut buffer = [0; 16 << 10];
    loop {
        match stream.read(&mut buffer) {
            Ok(0) => return None,
            Ok(count) => {
                read.extend_from_slice(&buffer[..count]);
                return Some(());
            }
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
                if shared.is_over.load(SeqCst) {
                    return None;
                }
            }
            Err(_) => return None,
        }
    }
}

/// A port that nobody listens on, below those that connections go out from, and never the same one twice.
pub fn free_port() -> u16 {
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    // Processes of tests that run at the same time begin at different places.
    let from = std::process::id() as usize % 100 * 200;
    let ports = std::iter::repeat_with(|| 10_000 + (from + NEXT.fetch_add(1, SeqCst)) % 20_000);
    let mut ports = ports.take(20_000).filter_map(|port| u16::try_from(port).ok());
    ports.find(|port| TcpListener::bind(("127.0.0.1", *port)).is_ok()).expect("a free port")
}

/// A chat completion with this text and usage.
pub fn completion(text: &str, prompt_tokens: u64, completion_tokens: u64) -> String {
    let usage = usage(prompt_tokens, completion_tokens);
    let message = format!(r#"{{"role":"assistant","content":"{text}"}}"#);
    let choice = format!(r#"{{"index":0,"message":{message},"finish_reason":"stop"}}"#);
    let head = r#""id":"chatcmpl-1","object":"chat.completion","created":1700000000,"model":"upstream-m""#;
    format!(r#"{{{head},"choices":[{choice}],{usage},"vendor_extra":{{"b":1,"a":[1.50]}}}}"#)
}

/// A stream event with a piece of text.
pub fn delta(text: &str) -> String {
    let choice = format!(r#"{{"index":0,"delta":{{"content":"{text}"}},"finish_reason":null}}"#);
    chunk(&choice, "")
}

/// A stream event with the finish reason.
pub fn finish() -> String {
    chunk(r#"{"index":0,"delta":{},"finish_reason":"stop"}"#, "")
}

/// The stream event that carries usage and no choice.
pub fn usage_event(prompt_tokens: u64, completion_tokens: u64) -> String {
    chunk("", &format!(",{}", usage(prompt_tokens, completion_tokens)))
}

fn chunk(choices: &str, more: &str) -> String {
    let head = r#""id":"c1","object":"chat.completion.chunk","created":1,"model":"upstream-m""#;
    format!("data: {{{head},\"choices\":[{choices}]{more}}}\n\n")
}

fn usage(prompt_tokens: u64, completion_tokens: u64) -> String {
    let total = prompt_tokens + completion_tokens;
    let counts = format!(r#""prompt_tokens":{prompt_tokens},"completion_tokens":{completion_tokens}"#);
    format!(r#""usage":{{{counts},"total_tokens":{total}}}"#)
}
