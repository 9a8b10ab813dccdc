//! The real program in a process of its own.

use std::io::Read;
use std::net::{SocketAddr, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, Output, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};

use super::{
    Connection, Stream, Upstream, api_key, chat_body, free_port, model, provider_key, request_text, until,
};

/// A file of its own for every test.
pub fn written(text: &str) -> PathBuf {
    static COUNT: AtomicUsize = AtomicUsize::new(0);
    let number = COUNT.fetch_add(1, Ordering::Relaxed);
    let path = std::env::temp_dir().join(format!("aisix-test-{}-{number}.toml", std::process::id()));
    std::fs::write(&path, text).expect("the temporary folder is writable");
    path
}

/// The program with a configuration, ready to run, and the file that is to be removed.
pub fn aisix(arguments: &[&str], config: &str) -> (Command, PathBuf) {
    let path = written(config);
    let mut command = Command::new(env!("CARGO_BIN_EXE_aisix"));
    command.args(arguments).arg("--config").arg(&path).env_clear();
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    (command, path)
}

/// Runs the program to its end.
pub fn run(arguments: &[&str], config: &str) -> Output {
    let (mut command, path) = aisix(arguments, config);
    let output = command.output().expect("the program runs");
    std::fs::remove_file(path).expect("it was written");
    output
}

/// The real program, serving; killed when dropped.
pub struct Process {
    child: Child,
    /// Where callers are served.
    pub addr: SocketAddr,
    config: PathBuf,
}

impl Process {
    /// Starts the program over an upstream, with the model `m` and the key `sk-test`.
    pub fn start(upstream: &Upstream) -> Self {
        Self::start_with(upstream, "", &[])
    }

    /// The same with further configuration and variables of the environment.
    pub fn start_with(upstream: &Upstream, more: &str, variables: &[(&str, &str)]) -> Self {
        let addr = SocketAddr::from(([127, 0, 0, 1], free_port()));
        let config =
            format!("[proxy]\naddr = \"{addr}\"\n[admin]\nenabled = false\n[shutdown]\nmin_drain_secs = 0\n")
                + "[observability.metrics.prometheus]\nenabled = false\n"
                + &provider_key("up", &upstream.url())
                + &model("m", "up", "")
                + &api_key("sk-test", "\"*\"", "")
                + more;
        let (mut command, config) = aisix(&["serve"], &config);
        let child =
            command.envs(variables.iter().copied()).stdout(Stdio::null()).spawn().expect("the program runs");
        until("the program serves", || TcpStream::connect(addr).is_ok());
        Self { child, addr, config }
    }

    /// Begins a stream of the model `m`.
    pub fn stream(&self) -> Stream {
        let mut connection = Connection::open(self.addr);
        let body = chat_body("m", r#","stream":true"#);
        connection.send(&request_text("POST", "/v1/chat/completions", "sk-test", &[], body.as_bytes()));
        connection.stream()
    }

    /// Sends a signal.
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

    /// Waits for the end.
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
        let _ = std::fs::remove_file(&self.config);
    }
}

/// Sends a signal to a process.
pub fn signal(process: u32, name: &str) {
    let status = Command::new("kill").args(["-s", name, &process.to_string()]).status().expect("kill runs");
    assert!(status.success(), "{name}");
}
