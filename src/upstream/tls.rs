//! TLS towards providers: who is trusted, by profile.
//!
//! A profile is built when it is first needed, once per process: reading the system's roots takes milliseconds that a
//! start without HTTPS providers need not spend.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use aisix_actors::provider_pool::TlsProfileId;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use rustls::{ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme};

use crate::config::Snapshot;
use crate::config::tls::TlsProfile;

/// The TLS configurations in use, built on demand.
#[derive(Default)]
pub struct TlsConfigs {
    built: Mutex<HashMap<TlsProfileId, Arc<ClientConfig>>>,
}

impl TlsConfigs {
    /// The configuration of a profile. A worker asks once for each profile that it connects with.
    ///
    /// # Errors
    /// The profile's certificates cannot be used, in words for the log.
    pub fn get(&self, snapshot: &Snapshot, id: TlsProfileId) -> Result<Arc<ClientConfig>, String> {
        let mut built = self.built.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(config) = built.get(&id) {
            return Ok(config.clone());
        }
        // A failure is not kept: the next snapshot may know the profile.
        let profile = snapshot.tls_profiles.get(&id).ok_or_else(|| "the TLS profile is gone".to_owned())?;
        let config = build(profile)?;
        built.insert(id, config.clone());
        Ok(config)
    }

    /// Forgets the other profiles.
    pub fn retain(&self, is_known: impl Fn(&TlsProfileId) -> bool) {
        let mut built = self.built.lock().unwrap_or_else(PoisonError::into_inner);
        built.retain(|id, _| is_known(id));
    }
}

fn build(profile: &TlsProfile) -> Result<Arc<ClientConfig>, String> {
    let crypto = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_provider(crypto.clone())
        .with_safe_default_protocol_versions()
        .map_err(|error| error.to_string())?;
    let builder = if profile.verify {
        builder.with_root_certificates(roots(profile)?)
    } else {
        let verifier = Arc::new(AcceptAnyone(crypto));
        builder.dangerous().with_custom_certificate_verifier(verifier)
    };
    let mut config = match &profile.identity {
        Some(identity) => {
            let resolver = SingleCertAndKey::from(CertifiedKey::clone(&identity.0));
            builder.with_client_cert_resolver(Arc::new(resolver))
        }
        None => builder.with_no_client_auth(),
    };
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(Arc::new(config))
}

/// The system's roots (Mozilla's where the system has none), and the profile's own on top.
fn roots(profile: &TlsProfile) -> Result<RootCertStore, String> {
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    if roots.is_empty() {
        roots.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned());
    }
    for certificate in &profile.roots {
        roots
            .add(certificate.clone())
            .map_err(|error| format!("a CA certificate cannot be used: {error}"))?;
    }
    Ok(roots)
}

/// `verify = false`: the operator's word that the network is trusted. Signatures are still checked.
#[derive(Debug)]
struct AcceptAnyone(Arc<CryptoProvider>);

impl ServerCertVerifier for AcceptAnyone {
    fn verify_server_cert(
        &self,
        _end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, certificate, signature, &self.0.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, certificate, signature, &self.0.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_profile_that_one_snapshot_does_not_know_is_found_in_the_next() {
        let snapshot = |tls: &str| {
            let text = format!("[[provider_keys]]\ndisplay_name = \"p\"\nprovider = \"mock\"\n{tls}\n");
            Snapshot::build(crate::config::parse("config.toml", &text, &|_| None, &[]).unwrap())
        };
        let (without, with) = (snapshot(""), snapshot("tls = { verify = false }"));
        let id = with.provider_keys[0].tls;
        let configs = TlsConfigs::default();
        assert!(configs.get(&without, id).is_err());
        let built = configs.get(&with, id).unwrap();
        assert!(Arc::ptr_eq(&built, &configs.get(&with, id).unwrap()), "it is built once");
    }
}
