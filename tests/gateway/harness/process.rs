//! The real program in a process of its own: what it prints, what it does with signals, and what it leaves behind.

use std::io::Read;
use std::net::{SocketAddr, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, Output, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::{
    Admin, Connection, Folder, Response, Stream, Upstream, api_key, chat_body, free_port, model,
    provider_key, request_text, until,
};

/// A file of its own for every test.
pub fn written(text: &str) -> PathBuf {
    static COUNT: AtomicUsize = AtomicUsize::new(0);
    let number = COUNT.fetch_add(1, Ordering::Relaxed);
    let path = std::env::temp_dir().join(format!("aisix-test-{}-{number}.toml", std::process::id()));
    std::fs::write(&path, text).expect("the temporary folder is writable");
    path
}

/// The program with these arguments and a configuration, in an empty environment.
fn aisix(arguments: &[&str], config: &str) -> (Command, PathBuf) {
    let path = written(config);
    let mut command = Command::new(env!("CARGO_BIN_EXE_aisix"));
    command.args(arguments).arg("--config").arg(&path).env_clear();
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    (command, path)
}

/// What the program says, to its end.
pub fn run(arguments: &[&str], config: &str) -> Output {
    let (mut command, path) = aisix(arguments, config);
    let output = command.output().expect("the program runs");
    std::fs::remove_file(path).expect("it was written");
    output
}

/// Sends a signal to a process.
pub fn signal(process: u32, name: &str) {
    let status = Command::new("kill").args(["-s", name, &process.to_string()]).status().expect("kill runs");
    assert!(status.success(), "{name}");
}

/// The real program, serving; killed when dropped.
pub struct Process {
    child: Child,
    /// The address of the proxy listener.
    pub addr: SocketAddr,
    admin: SocketAddr,
    metrics: SocketAddr,
    /// Where its configuration and its store are.
    pub folder: Arc<Folder>,
}

impl Process {
    /// Starts it with the model `m` at the upstream and the key `sk-test`.
    pub fn start(upstream: &Upstream) -> Self {
        Self::start_with(upstream, "", &[])
    }

    /// The same with further configuration and variables of the environment.
    pub fn start_with(upstream: &Upstream, more: &str, variables: &[(&str, &str)]) -> Self {
        let config = "[shutdown]\nmin_drain_secs = 0\n".to_owned()
            + &provider_key("up", &upstream.url())
            + &model("m", "up", "")
            + &api_key("sk-test", "\"*\"", "")
            + more;
        let folder = Arc::new(Folder::new());
        folder.write("config.toml", &config);
        Self::spawn(folder, &[], variables)
    }

    /// Starts it over what a folder holds; `before` is a command that is given the program and its arguments to run.
    pub fn start_in(folder: Arc<Folder>, before: &[&str]) -> Self {
        Self::spawn(folder, before, &[])
    }

    /// The same with variables in its environment.
    pub fn start_sown(folder: Arc<Folder>, variables: &[(&str, &str)]) -> Self {
        Self::spawn(folder, &[], variables)
    }

    fn spawn(folder: Arc<Folder>, before: &[&str], variables: &[(&str, &str)]) -> Self {
        let [addr, admin, metrics] =
            [free_port(), free_port(), free_port()].map(|port| SocketAddr::from(([127, 0, 0, 1], port)));
        let program = env!("CARGO_BIN_EXE_aisix");
        let words: Vec<&str> = before.iter().copied().chain([program, "serve", "--config"]).collect();
        let mut command = Command::new(words[0]);
        command.args(&words[1..]).arg(folder.path().join("config.toml")).env_clear();
        command.env("PATH", std::env::var_os("PATH").unwrap_or_default());
        command.env("AISIX_PROXY__ADDR", addr.to_string()).env("AISIX_PROXY__WORKERS", "2");
        command.env("AISIX_ADMIN__ADDR", admin.to_string()).envs(variables.iter().copied());
        command.env("AISIX_OBSERVABILITY__METRICS__PROMETHEUS__ADDR", metrics.to_string());
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
        let child = command.spawn().expect("the program runs");
        let process = Self { child, addr, admin, metrics, folder };
        // A listener takes connections as soon as it is bound, one after the other.
        let listeners = [addr, admin, metrics];
        until("the program serves", || listeners.iter().all(|listener| TcpStream::connect(listener).is_ok()));
        process
    }

    /// A connection of an administrator.
    pub fn admin(&self) -> Admin {
        Admin::open(self.admin)
    }

    /// The address of the metrics listener.
    pub fn metrics_addr(&self) -> SocketAddr {
        self.metrics
    }

    /// The address of the admin listener.
    pub fn admin_addr(&self) -> SocketAddr {
        self.admin
    }

    /// A connection to the listener for administrators.
    pub fn connect_admin(&self) -> Connection {
        Connection::open(self.admin)
    }

    /// Posts a chat completion with the usual key.
    pub fn chat(&self, body: &str) -> Response {
        let mut connection = Connection::open(self.addr);
        connection.send(&request_text("POST", "/v1/chat/completions", "sk-test", &[], body.as_bytes()));
        connection.response()
    }

    /// The number of the process.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Waits for it, and gives its folder for the next one.
    pub fn end(mut self) -> Arc<Folder> {
        self.child.wait().expect("it is our child");
        self.folder.clone()
    }

    /// Posts a streamed chat completion with the usual key, and reads no more than the head of the answer.
    pub fn stream(&self) -> Stream {
        let mut connection = Connection::open(self.addr);
        let body = chat_body("m", r#","stream":true"#);
        connection.send(&request_text("POST", "/v1/chat/completions", "sk-test", &[], body.as_bytes()));
        connection.stream()
    }

    /// Sends it a signal.
    pub fn signal(&self, name: &str) {
        signal(self.child.id(), name);
    }

    /// What it wrote to its log, once it has ended.
    pub fn log(&mut self) -> String {
        let mut text = String::new();
        let stderr = self.child.stderr.as_mut().expect("it is piped");
        stderr.read_to_string(&mut text).expect("text");
        text
    }

    /// How it ended, once it has; nothing for a process that was killed.
    pub fn exit_code(&mut self) -> Option<i32> {
        let mut status = None;
        until("the program ends", || {
            status = self.child.try_wait().expect("it is our child");
            status.is_some()
        });
        status.and_then(|status| status.code())
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // It has ended already where the test went well.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
