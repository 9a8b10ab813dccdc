//! One connection to a Redis, and what is said over it.

use std::time::Duration;

use derive_more::{Display, Error};
use redis::aio::{ConnectionLike, MultiplexedConnection};
use redis::cluster_async::ClusterConnection;
use redis::{Cmd, ErrorKind, RedisError, ServerErrorKind, Value, cmd};

/// Redis cannot be asked: it is away, or it was too slow. What was asked may still have been done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Display, Error)]
#[display("Redis cannot be asked at the moment")]
pub struct Down;

/// One connection, over which any number of calls are under way at once; clones are the same connection.
#[derive(Clone)]
pub enum Wire {
    /// To one server.
    Single(MultiplexedConnection),
    /// To all servers of a cluster.
    Cluster(ClusterConnection),
}

impl Wire {
    /// Sends a command and waits for its answer.
    ///
    /// # Errors
    /// What Redis or the connection says, or that the time is over; in words.
    pub async fn call(&mut self, command: &Cmd, within: Duration) -> Result<Value, String> {
        self.ask(command, within).await.map_err(|error| error.to_string())
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
        let mut short = cmd("EVALSHA");
        short.arg(&script.digest);
        fill(&mut short);
        match self.ask(&short, within).await {
            Err(error) if error.kind() == ErrorKind::Server(ServerErrorKind::NoScript) => {
                let mut whole = cmd("EVAL");
                whole.arg(script.code);
                fill(&mut whole);
                self.call(&whole, within).await
            }
            outcome => outcome.map_err(|error| error.to_string()),
        }
    }

    /// Makes a script known, so that its first run needs no second round trip.
    ///
    /// # Errors
    /// As [`Wire::call`].
    pub async fn load(&mut self, script: &Script, within: Duration) -> Result<(), String> {
        self.call(cmd("SCRIPT").arg("LOAD").arg(script.code), within).await.map(drop)
    }

    async fn ask(&mut self, command: &Cmd, within: Duration) -> Result<Value, RedisError> {
        let answer = match self {
            Self::Single(connection) => connection.req_packed_command(command),
            Self::Cluster(connection) => connection.req_packed_command(command),
        };
        let answer = match tokio::time::timeout(within, answer).await {
            Ok(answer) => answer?,
            Err(_) => return Err((ErrorKind::Io, "no answer in time").into()),
        };
        match answer {
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
