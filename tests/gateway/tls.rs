//! Providers behind TLS: who is trusted follows from the provider key.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig, ServerConnection, StreamOwned};

use crate::harness::*;
use crate::listener_tls::Files;

const ANSWER: &str = r#"{"model":"upstream-m","choices":[{"message":{"role":"assistant","content":"over TLS"}}],"usage":{"prompt_tokens":1,"completion_tokens":2,"total_tokens":3}}"#;

/// A provider at `localhost` behind a certificate of its own authority, which is given as PEM.
fn provider() -> (SocketAddr, String) {
    provider_for(None)
}

/// The same, for a client with this certificate alone.
fn provider_for(client: Option<CertificateDer<'static>>) -> (SocketAddr, String) {
    let mut authority = CertificateParams::new(Vec::new()).expect("no names");
    authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let authority =
        CertifiedIssuer::self_signed(authority, KeyPair::generate().expect("a key")).expect("signs");
    let key = KeyPair::generate().expect("a key");
    let names = vec!["localhost".to_owned()];
    let certificate = CertificateParams::new(names).and_then(|params| params.signed_by(&key, &authority));
    let chain = vec![certificate.expect("signs").der().clone()];
    let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
    let crypto = Arc::new(rustls::crypto::ring::default_provider());
    let verifier = client.map_or_else(WebPkiClientVerifier::no_client_auth, |client| {
        let mut roots = RootCertStore::empty();
        roots.add(client).expect("usable");
        let builder = WebPkiClientVerifier::builder_with_provider(roots.into(), crypto.clone());
        builder.build().expect("a verifier")
    });
    let config = ServerConfig::builder_with_provider(crypto)
        .with_safe_default_protocol_versions()
        .and_then(|builder| builder.with_client_cert_verifier(verifier).with_single_cert(chain, key));
    let config = Arc::new(config.expect("a usable certificate"));
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let addr = listener.local_addr().expect("bound");
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let connection = ServerConnection::new(config.clone()).expect("a connection");
            answer(StreamOwned::new(connection, stream));
        }
    });
    (addr, authority.pem())
}

/// Reads one request and answers it; a client that does not trust the certificate has gone by then.
fn answer(mut stream: StreamOwned<ServerConnection, std::net::TcpStream>) {
    let (mut request, mut part) = (Vec::new(), [0; 4096]);
    while !request.ends_with(b"}") {
        match stream.read(&mut part) {
            Ok(length) if length > 0 => request.extend_from_slice(&part[..length]),
            _ => return,
        }
    }
    let length = ANSWER.len();
    let head =
        format!("HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {length}\r\n\r\n");
    // The client may be satisfied before the last byte of the closing handshake.
    let _ = stream.write_all((head + ANSWER).as_bytes()).and_then(|()| stream.flush());
}

/// A gateway whose provider key says this about trust.
fn gateway(addr: SocketAddr, tls: &str) -> Gateway {
    let url = format!("https://localhost:{}/v1", addr.port());
    let key = provider_key("up", &url) + tls;
    Gateway::start(&(key + &model("m", "up", "retries = 0") + &api_key("sk-test", "\"*\"", "")))
}

#[test]
fn a_provider_is_reached_over_tls_when_its_authority_is_trusted() {
    let (addr, authority) = provider();
    let trusting = gateway(addr, &format!("tls = {{ ca_cert = \"\"\"{authority}\"\"\" }}\n"));
    let response = trusting.chat(&chat_body("m", ""));
    assert_eq!(response.status, 200, "{response:?}");
    assert!(response.text().contains("over TLS"));
    trusting.settled();
}

#[test]
fn a_certificate_of_an_unknown_authority_is_refused_unless_nothing_is_checked() {
    let (addr, _) = provider();
    let careful = gateway(addr, "");
    let response = careful.chat(&chat_body("m", ""));
    assert_eq!(response.status, 502, "{response:?}");
    assert_eq!(response.error()["type"], "transport_error");
    careful.settled();
    let careless = gateway(addr, "tls = { verify = false }\n");
    assert_eq!(careless.chat(&chat_body("m", "")).status, 200);
    careless.settled();
}

#[test]
fn a_provider_that_asks_who_calls_is_shown_the_client_certificate() {
    let (ours, other) = (Files::new(), Files::new());
    let (addr, authority) = provider_for(Some(ours.certificate.clone()));
    let tls = format!("tls = {{ ca_cert = \"\"\"{authority}\"\"\" }}\n");
    for (files, status) in [(Some(&ours), 200), (Some(&other), 502), (None, 502)] {
        let identity = files.map_or_else(String::new, |Files { cert_file, key_file, .. }| {
            format!("[upstream.tls]\nclient_cert_file = {cert_file:?}\nclient_key_file = {key_file:?}\n")
        });
        let key = provider_key("up", &format!("https://localhost:{}/v1", addr.port())) + &tls;
        let gateway = Gateway::start(
            &(key + &model("m", "up", "retries = 0") + &api_key("sk-test", "\"*\"", "") + &identity),
        );
        gateway.chat(&chat_body("m", "")).expect(status);
        gateway.settled();
    }
}
