//! What holds before a request is routed: the listeners' certificates, whose address counts, and how
//! often it may fail to authenticate.

use std::{num::NonZeroU32, path::PathBuf};

use governor::Quota;
use serde::Deserialize;

use crate::config::{
    cidr::Cidr,
    headers,
    problem::{Place, Problems},
};

/// The one header whose syntax is another: `for=192.0.2.1;proto=https` (RFC 7239).
const FORWARDED: &str = "forwarded";

/// `[proxy.real_ip]`: which peers may say for whom they call.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RealIp {
    /// The proxies that are believed; empty means that the peer is the caller.
    pub trusted_proxies: Vec<Cidr>,
    /// Whether trusted proxies are passed over, from the last entry of the header to the first.
    pub recursive: bool,
    /// The header that names the caller, in lower case.
    pub header: String,
}

impl Default for RealIp {
    fn default() -> Self {
        Self { trusted_proxies: Vec::new(), recursive: false, header: "x-forwarded-for".into() }
    }
}

impl RealIp {
    pub(super) fn check(&mut self, place: Place<'_>, problems: &mut Problems) {
        self.header.make_ascii_lowercase();
        let name = &self.header;
        let message = if !headers::is_name(name) {
            "expected the name of a header"
        } else if headers::is_reserved(name) || headers::is_owned(name) || headers::is_trace(name) {
            "this header is reserved and cannot carry an address"
        } else if name == FORWARDED {
            "the syntax of Forwarded is not read; use x-forwarded-for"
        } else {
            return;
        };
        place.report("proxy.real_ip.header", message, problems);
    }
}

/// `[proxy.tls]`, `[admin.tls]`: the certificate that a listener shows; without one it speaks no TLS.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ListenerTls {
    /// A PEM file with the certificate and its chain, relative to the configuration file.
    pub cert_file: Option<PathBuf>,
    /// A PEM file with the private key, relative to the configuration file.
    pub key_file: Option<PathBuf>,
}

impl ListenerTls {
    /// What a URL of the listener begins with.
    pub fn scheme(&self) -> &'static str {
        if self.cert_file.is_some() { "https" } else { "http" }
    }
}

/// `[proxy.auth_throttle]`: how often one address may fail to authenticate, with callers and administrators
/// counted apart.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct AuthThrottle {
    /// Whether failures are limited at all.
    pub enabled: bool,
    /// How many are allowed in the long run.
    pub per_minute: NonZeroU32,
    /// How many are allowed at once.
    pub burst: NonZeroU32,
}

/// One a second. A client with a wrong key that tries again and again sees its true error for a minute, and
/// 86,400 guesses a day come nowhere near a random key: with 128 bits, a million addresses would need longer
/// than the universe is old.
const FAILURES: NonZeroU32 = NonZeroU32::new(60).unwrap();

impl Default for AuthThrottle {
    fn default() -> Self {
        Self { enabled: true, per_minute: FAILURES, burst: FAILURES }
    }
}

impl AuthThrottle {
    /// The settings in the limiter's terms.
    pub fn quota(&self) -> Quota {
        Quota::per_minute(self.per_minute).allow_burst(self.burst)
    }
}
