//! One connection to a Redis, and what is said over it.

use std::time::Duration;

use derive_more::{Display, Error};
use redis::aio::{ConnectionLike, MultiplexedConnection};
use redis::cluster_async::ClusterConnection;
use redis::{Cmd, ErrorKind, RedisError, ServerErrorKind, Value, cmd};

/// There is no answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Display, Error)]
pub enum Unanswered {
    /// Redis cannot be asked: it is away, or it was too slow. What was asked may still have been done.
    #[display("Redis cannot be asked at the moment")]
    Down,
    /// Redis does other things, but not this one.
    #[display("Redis refuses to do this")]
    Refused,
}

/// One connection, over which any number of calls are under way at once; clones are the same connection.
#[derive(Clone)]
pub enum Wire {
    /// To one server.
    Single(MultiplexedConnection),
    /// To all servers of a cluster.
    Cluster(ClusterConnection),
}

/// Why a call has no answer that can be used.
#[derive(Debug, Clone, PartialEq, Eq, Display)]
pub enum Fault {
    /// The time is over: it may have been done, or be done later.
    #[display("no answer in time")]
    Late,
    /// Redis answers that it does not do this; it does other things.
    Refused(String),
    /// There is no connection, or a Redis that does nothing of the kind at the moment.
    Away(String),
}

/// What answers of a Redis begin with that serves nobody at the moment, whatever is asked.
const AWAY: [&str; 14] = [
    "READONLY",
    "LOADING",
    "MASTERDOWN",
    "CLUSTERDOWN",
    "TRYAGAIN",
    "MOVED",
    "ASK",
    "OOM",
    "MISCONF",
    "NOAUTH",
    "WRONGPASS",
    "NOPERM",
    "NOREPLICAS",
    "BUSY",
];

impl From<RedisError> for Fault {
    fn from(error: RedisError) -> Self {
        let is_answer = matches!(error.kind(), ErrorKind::Server(_) | ErrorKind::Extension);
        if is_answer && error.code().is_some_and(|code| !AWAY.contains(&code)) {
            Self::Refused(error.to_string())
        } else {
            Self::Away(error.to_string())
        }
    }
}

impl Wire {
    /// Sends a command and waits for its answer.
    ///
    /// # Errors
    /// What Redis or the connection says, or that the time is over; in words.
    pub async fn call(&mut self, command: &Cmd, within: Duration) -> Result<Value, String> {
        self.send(command, within).await.map_err(|fault| fault.to_string())
    }

    /// The same.
    ///
    /// # Errors
    /// Why there is no answer.
    pub async fn send(&mut self, command: &Cmd, within: Duration) -> Result<Value, Fault> {
        match tokio::time::timeout(within, self.ask(command)).await {
            Ok(answer) => Ok(answer?),
            Err(_) => Err(Fault::Late),
        }
    }

    /// Asks something that only the node can answer that has the keys of limits and budgets.
    ///
    /// # Errors
    /// As [`Wire::call`].
    pub async fn probe(&mut self, prefix: &str, within: Duration) -> Result<(), String> {
        self.call(cmd("GET").arg(format!("{{{prefix}}}:up")), within).await.map(drop)
    }

    /// Runs a script: by its digest, and whole where Redis does not know it.
    ///
    /// # Errors
    /// As [`Wire::call`].
    pub async fn run(
        &mut self,
        script: &Script,
        fill: impl Fn(&mut Cmd),
        within: Duration,
    ) -> Result<Value, String> {
        self.send_script(script, fill, within).await.map_err(|fault| fault.to_string())
    }

    /// The same.
    ///
    /// # Errors
    /// Why there is no answer.
    pub async fn send_script(
        &mut self,
        script: &Script,
        fill: impl Fn(&mut Cmd),
        within: Duration,
    ) -> Result<Value, Fault> {
        match tokio::time::timeout(within, self.ask_script(script, fill)).await {
            Ok(answer) => Ok(answer?),
            Err(_) => Err(Fault::Late),
        }
    }

    async fn ask_script(&mut self, script: &Script, fill: impl Fn(&mut Cmd)) -> Result<Value, RedisError> {
        let mut short = cmd("EVALSHA");
        short.arg(&script.digest);
        fill(&mut short);
        match self.ask(&short).await {
            Err(error) if error.kind() == ErrorKind::Server(ServerErrorKind::NoScript) => {
                let mut whole = cmd("EVAL");
                whole.arg(script.code);
                fill(&mut whole);
                self.ask(&whole).await
            }
            outcome => outcome,
        }
    }

    /// Makes a script known, so that its first run needs no second round trip. A cluster learns it at that run: all its
    /// nodes would have to answer here, those without a key of ours too.
    ///
    /// # Errors
    /// As [`Wire::call`].
    pub async fn load(&mut self, script: &Script, within: Duration) -> Result<(), String> {
        if matches!(self, Self::Cluster(_)) {
            return Ok(());
        }
        self.call(cmd("SCRIPT").arg("LOAD").arg(script.code), within).await.map(drop)
    }

    async fn ask(&mut self, command: &Cmd) -> Result<Value, RedisError> {
        let answer = match self {
            Self::Single(connection) => connection.req_packed_command(command),
            Self::Cluster(connection) => connection.req_packed_command(command),
        };
        match answer.await? {
            Value::ServerError(error) => Err(error.into()),
            answer => Ok(answer),
        }
    }
}

/// A script that Redis runs as one step.
#[derive(Debug)]
pub struct Script {
    code: &'static str,
    digest: String,
}

impl Script {
    /// Prepares a script.
    pub fn new(code: &'static str) -> Self {
        Self { code, digest: redis::Script::new(code).get_hash().to_owned() }
    }
}
