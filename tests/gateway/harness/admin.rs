//! A connection of an administrator, which is kept for all that he asks.

use std::net::SocketAddr;

use aisix::config::Kind;
use serde_json::Value;

use super::{Connection, Gateway, Response, request_text};

/// The key of administrators, where a configuration asks for one.
pub const ADMIN_KEY: &str = "sk-admin";

/// The path of a resource.
pub fn address(kind: Kind, id: &str) -> String {
    format!("/admin/v1/{}/{id}", kind.collection())
}

/// See the module.
pub struct Admin(Connection);

impl Admin {
    /// Connects to a listener for administrators.
    pub fn open(addr: SocketAddr) -> Self {
        Self(Connection::open(addr))
    }

    /// Asks with the key of administrators.
    pub fn ask(&mut self, method: &str, path: &str, body: &str) -> Response {
        self.ask_with(method, path, &[], body)
    }

    /// The same with further headers.
    pub fn ask_with(&mut self, method: &str, path: &str, headers: &[(&str, &str)], body: &str) -> Response {
        self.0.send(&request_text(method, path, ADMIN_KEY, headers, body.as_bytes()));
        self.0.response()
    }

    /// Creates a resource.
    pub fn post(&mut self, kind: Kind, body: &Value) -> Response {
        self.ask("POST", address(kind, "").trim_end_matches('/'), &body.to_string())
    }

    /// Creates or replaces a resource.
    pub fn put(&mut self, kind: Kind, id: &str, body: &Value) -> Response {
        self.ask("PUT", &address(kind, id), &body.to_string())
    }

    /// Changes members of a resource.
    pub fn patch(&mut self, kind: Kind, id: &str, body: &Value) -> Response {
        self.ask("PATCH", &address(kind, id), &body.to_string())
    }

    /// Removes a resource.
    pub fn delete(&mut self, kind: Kind, id: &str) -> Response {
        self.ask("DELETE", &address(kind, id), "")
    }

    /// Reads a resource.
    pub fn get(&mut self, kind: Kind, id: &str) -> Response {
        self.ask("GET", &address(kind, id), "")
    }

    /// Reads a collection.
    pub fn list(&mut self, kind: Kind) -> Vec<Value> {
        let list = self.ask("GET", address(kind, "").trim_end_matches('/'), "").expect(200).json();
        list.as_array().expect("a bare list").clone()
    }
}

impl Gateway {
    /// A connection of an administrator.
    pub fn admin(&self) -> Admin {
        Admin::open(self.admin_addr())
    }
}
