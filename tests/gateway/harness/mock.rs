//! The mock provider as an upstream: its faults on the wire, and counts of what reached it.

use std::net::SocketAddr;
use std::time::Duration;

use aisix::mock::FaultPlan;
use aisix::mock::server::{MockOptions, MockThread};

use super::{Connection, Response, request_text};

/// A mock provider on a port of its own, until it is dropped.
pub struct Mock(MockThread);

impl Mock {
    /// Starts one that does as the names of models say.
    pub fn start() -> Self {
        Self::of(MockOptions::default())
    }

    /// Starts one whose requests meet faults.
    pub fn faulty(plan: FaultPlan) -> Self {
        Self::of(MockOptions { faults: Some(plan), ..MockOptions::default() })
    }

    /// Starts one that thinks about each answer.
    pub fn slow(latency: Duration) -> Self {
        Self::of(MockOptions { latency, ..MockOptions::default() })
    }

    fn of(options: MockOptions) -> Self {
        Self(MockThread::start(options).expect("a free port"))
    }

    /// The address of its listener.
    pub fn addr(&self) -> SocketAddr {
        self.0.addr()
    }

    /// The base URL to configure in a gateway.
    pub fn base_url(&self) -> String {
        self.0.base_url()
    }

    /// How many requests for a model have reached it.
    pub fn requests(&self, model: &str) -> u64 {
        self.0.requests(model)
    }

    /// The number of streams that their callers left in the middle.
    pub fn left_streams(&self) -> u64 {
        self.0.left_streams()
    }

    /// Asks it without a gateway.
    pub fn chat(&self, body: &str, headers: &[(&str, &str)]) -> Response {
        let mut connection = Connection::open(self.addr());
        connection.send(&request_text("POST", "/v1/chat/completions", "", headers, body.as_bytes()));
        connection.response()
    }
}
