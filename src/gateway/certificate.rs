//! The certificate that a listener shows, as the configuration in force says.

use std::sync::Arc;

use arc_swap::ArcSwapOption;
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;

use crate::config::identity::Identity;

/// See the module. Asked at every handshake, so that a renewed certificate is shown to the next one; connections that
/// stand are not touched.
#[derive(Debug)]
pub struct Certificate(ArcSwapOption<CertifiedKey>);

impl Certificate {
    /// A certificate; nothing for a listener without TLS.
    #[must_use]
    pub fn new(identity: Option<&Identity>) -> Arc<Self> {
        Arc::new(Self(ArcSwapOption::new(identity.map(|identity| identity.0.clone()))))
    }

    /// Whether there is one.
    #[must_use]
    pub fn is_there(&self) -> bool {
        self.0.load().is_some()
    }

    /// Shows another one from now on. Whether a listener speaks TLS is decided when it starts, so nothing changes where
    /// there was none, or is none any more.
    pub fn configure(&self, identity: Option<&Identity>) {
        if let Some(identity) = identity.filter(|_| self.is_there()) {
            self.0.store(Some(identity.0.clone()));
        }
    }
}

impl ResolvesServerCert for Certificate {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        self.0.load_full()
    }
}
