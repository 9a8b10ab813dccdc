//! A Redis of the test's own: started on a free port, killed, paused, started again over the same data.

use std::io::{BufRead, BufReader, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;

use crate::harness::{Folder, PATIENCE, free_port, signal, until};

/// See the module; killed when dropped.
pub struct RedisServer {
    child: Child,
    pub port: u16,
    /// Where its data are.
    pub folder: Arc<Folder>,
    arguments: Vec<String>,
    password: Option<String>,
}

impl RedisServer {
    /// Starts one that writes everything down.
    pub fn start() -> Self {
        Self::start_with(&[])
    }

    /// The same with further arguments.
    pub fn start_with(more: &[&str]) -> Self {
        Self::start_at(free_port(), Arc::new(Folder::new()), more)
    }

    /// The same at a port, over what a folder holds.
    pub fn start_at(port: u16, folder: Arc<Folder>, more: &[&str]) -> Self {
        let arguments: Vec<String> = more.iter().map(|word| (*word).to_owned()).collect();
        let child = spawn(port, &folder, &arguments);
        let password = more.iter().skip_while(|word| **word != "--requirepass").nth(1);
        let password = password.map(|word| (*word).to_owned());
        let server = Self { child, port, folder, arguments, password };
        server.wait();
        server
    }

    /// Starts a sentinel with a file of its own.
    pub fn sentinel(port: u16, folder: Arc<Folder>, file: &Path) -> Self {
        let mut command = Command::new("redis-sentinel");
        command.arg(file).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let child = command.spawn().expect("redis-sentinel is installed: tests/run installs it");
        let server = Self { child, port, folder, arguments: Vec::new(), password: None };
        // One with a password answers as well, if only that it wants it.
        until("the sentinel answers", || server.try_ask(&["PING"]).is_ok_and(|answer| !answer.is_empty()));
        server
    }

    pub fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }

    /// Kills it.
    pub fn kill(&mut self) {
        let _ = self.child.kill();
        self.child.wait().expect("it is our child");
    }

    /// Starts it again over its data.
    pub fn restart(&mut self) {
        self.child = spawn(self.port, &self.folder, &self.arguments);
        self.wait();
    }

    /// Stops it in the middle of whatever it does.
    pub fn pause(&self) {
        signal(self.child.id(), "STOP");
    }

    /// Lets it go on.
    pub fn resume(&self) {
        signal(self.child.id(), "CONT");
    }

    /// Asks it something, and gives the texts of its answer.
    pub fn ask(&self, words: &[&str]) -> Vec<String> {
        self.try_ask(words).expect("redis answers")
    }

    fn try_ask(&self, words: &[&str]) -> std::io::Result<Vec<String>> {
        ask(self.port, self.password.as_deref(), words)
    }

    /// A number that it keeps; 0 for none.
    pub fn number(&self, words: &[&str]) -> i64 {
        self.ask(words).first().and_then(|text| text.parse().ok()).unwrap_or_default()
    }

    /// The keys that match a pattern.
    pub fn keys(&self, pattern: &str) -> Vec<String> {
        self.ask(&["KEYS", pattern])
    }

    /// The sum of all that is spent of a budget, over its periods.
    pub fn spent(&self) -> i64 {
        self.keys("*:bl:s:*").iter().map(|key| self.number(&["GET", key])).sum()
    }

    /// The sum of all that is held.
    pub fn held(&self) -> i64 {
        self.keys("*:bl:c:*").iter().map(|key| self.number(&["GET", key])).sum()
    }

    /// Permits that are open, over all scopes.
    pub fn permits(&self) -> i64 {
        self.keys("*:rl:p:*").iter().map(|key| self.number(&["ZCARD", key])).sum()
    }

    /// How often a command ran, scripts' own commands included.
    pub fn calls(&self, command: &str) -> u64 {
        let text = self.ask(&["INFO", "commandstats"]).join("\n");
        let line =
            text.lines().find(|line| line.starts_with(&format!("cmdstat_{command}:"))).map(str::to_owned);
        let line = line.unwrap_or_default();
        let number = line.split("calls=").nth(1).and_then(|rest| rest.split(',').next());
        number.and_then(|text| text.parse().ok()).unwrap_or_default()
    }

    fn wait(&self) {
        until("redis answers", || self.try_ask(&["PING"]).is_ok_and(|answer| answer == ["PONG"]));
    }
}

impl Drop for RedisServer {
    fn drop(&mut self) {
        self.kill();
    }
}

fn spawn(port: u16, folder: &Folder, more: &[String]) -> Child {
    let mut command = Command::new("redis-server");
    command.args(["--port", &port.to_string(), "--bind", "127.0.0.1", "--appendonly", "yes"]);
    // What is written outlives the process, which is all that tests end; a slow disk stalls nobody.
    command.args(["--appendfsync", "no"]);
    command.args(["--save", "", "--dir"]).arg(folder.path()).args(["--logfile", "redis.log"]).args(more);
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    command.spawn().expect("redis-server is installed: tests/run installs it")
}

/// Sends one command over a connection of its own.
fn ask(port: u16, password: Option<&str>, words: &[&str]) -> std::io::Result<Vec<String>> {
    let mut connection = TcpStream::connect(SocketAddr::from(([127, 0, 0, 1], port)))?;
    connection.set_read_timeout(Some(PATIENCE))?;
    let mut answers = BufReader::new(connection.try_clone()?);
    let login = password.map(|password| ["AUTH", password]);
    let mut texts = Vec::new();
    for words in login.iter().map(|words| &words[..]).chain([words]) {
        let each = words.iter().map(|word| format!("${}\r\n{word}\r\n", word.len()));
        let text = each.fold(format!("*{}\r\n", words.len()), |text, word| text + &word);
        connection.write_all(text.as_bytes())?;
        texts.clear();
        read(&mut answers, &mut texts)?;
    }
    Ok(texts)
}

/// Reads one answer, with the texts of nested ones in a row.
fn read(answers: &mut impl BufRead, texts: &mut Vec<String>) -> std::io::Result<()> {
    let mut line = String::new();
    answers.read_line(&mut line)?;
    let (kind, rest) = line.trim_end().split_at_checked(1).unwrap_or_default();
    match kind {
        "*" => (0..rest.parse::<usize>().unwrap_or(0)).try_for_each(|_| read(answers, texts)),
        "$" if rest != "-1" => {
            let mut bytes = vec![0; rest.parse::<usize>().expect("a length") + 2];
            answers.read_exact(&mut bytes)?;
            texts.push(String::from_utf8_lossy(&bytes).trim_end().to_owned());
            Ok(())
        }
        "" => Err(std::io::ErrorKind::UnexpectedEof.into()),
        _ => {
            texts.push(rest.to_owned());
            Ok(())
        }
    }
}
