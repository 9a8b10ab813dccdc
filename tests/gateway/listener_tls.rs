//! TLS on our own listeners: the same API, the same refusals, and a certificate that can be renewed.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};

use crate::harness::*;

/// A certificate for `localhost` that signs itself, in two files that end with it.
pub struct Files {
    pub certificate: CertificateDer<'static>,
    pub cert_file: PathBuf,
    pub key_file: PathBuf,
}

impl Files {
    pub fn new() -> Self {
        static NUMBER: AtomicUsize = AtomicUsize::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let file = |kind: &str| {
            std::env::temp_dir().join(format!("aisix-test-{}-{number}-{kind}.pem", std::process::id()))
        };
        let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).expect("signs");
        let (cert_file, key_file) = (file("cert"), file("key"));
        std::fs::write(&cert_file, made.cert.pem()).expect("writes");
        std::fs::write(&key_file, made.signing_key.serialize_pem()).expect("writes");
        Self { certificate: made.cert.der().clone(), cert_file, key_file }
    }

    /// A table of TLS.
    fn table(&self, name: &str) -> String {
        format!("[{name}]\ncert_file = {:?}\nkey_file = {:?}\n", self.cert_file, self.key_file)
    }

    /// Both listeners with TLS.
    fn both(&self) -> String {
        self.table("proxy.tls") + &self.table("admin.tls")
    }

    /// A connection whose handshake is over, from a client that trusts this certificate alone.
    fn connect(&self, addr: SocketAddr, protocols: &[&str]) -> Tls {
        let mut roots = RootCertStore::empty();
        roots.add(self.certificate.clone()).expect("usable");
        let crypto = Arc::new(rustls::crypto::ring::default_provider());
        let config = ClientConfig::builder_with_provider(crypto).with_safe_default_protocol_versions();
        let mut config = config.expect("versions").with_root_certificates(roots).with_no_client_auth();
        config.alpn_protocols = protocols.iter().map(|name| name.as_bytes().to_vec()).collect();
        let name = ServerName::try_from("localhost").expect("a name");
        let socket = socket(addr);
        let mut tls =
            StreamOwned::new(ClientConnection::new(Arc::new(config), name).expect("a client"), socket);
        while tls.conn.is_handshaking() {
            tls.conn.complete_io(&mut tls.sock).expect("the certificate is trusted");
        }
        Tls(tls)
    }
}

impl Drop for Files {
    fn drop(&mut self) {
        for file in [&self.cert_file, &self.key_file] {
            // A test may have taken it away.
            let _ = std::fs::remove_file(file);
        }
    }
}

fn socket(addr: SocketAddr) -> TcpStream {
    let socket = TcpStream::connect(addr).expect("the gateway accepts");
    socket.set_read_timeout(Some(PATIENCE)).expect("sets");
    socket
}

struct Tls(StreamOwned<ClientConnection, TcpStream>);

impl Tls {
    fn protocol(&self) -> Option<&[u8]> {
        self.0.conn.alpn_protocol()
    }

    fn send(&mut self, bytes: &[u8]) {
        self.0.write_all(bytes).expect("the gateway reads");
    }

    /// All that comes until the gateway closes.
    fn rest(&mut self) -> String {
        let mut text = Vec::new();
        self.0.read_to_end(&mut text).expect("the gateway closes as TLS asks for");
        String::from_utf8_lossy(&text).into_owned()
    }

    /// Sends a request of HTTP/1.1 that is the last one, and gives the whole answer.
    fn ask(&mut self, method: &str, path: &str, key: &str, body: &str) -> String {
        self.send(&request_text(method, path, key, &[("connection", "close")], body.as_bytes()));
        self.rest()
    }

    fn bytes<const N: usize>(&mut self) -> [u8; N] {
        let mut bytes = [0; N];
        self.0.read_exact(&mut bytes).expect("they come");
        bytes
    }

    /// The type and the content of the next frame of HTTP/2 (RFC 9113, §4.1).
    fn frame(&mut self) -> (u8, Vec<u8>) {
        let head: [u8; 9] = self.bytes();
        let mut content = vec![0; u32::from_be_bytes([0, head[0], head[1], head[2]]) as usize];
        self.0.read_exact(&mut content).expect("as long as it says");
        (head[3], content)
    }
}

#[test]
fn both_listeners_are_served_over_tls() {
    let (upstream, files) = (Upstream::well(), Files::new());
    let gateway = gateway_over(&upstream, &files.both());
    for protocols in [&["http/1.1"][..], &["h2", "http/1.1"][1..], &[]] {
        let mut tls = files.connect(gateway.addr(), protocols);
        let answer = tls.ask("POST", "/v1/chat/completions", "sk-test", &chat_body("m", ""));
        assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
        assert!(files.connect(gateway.admin_addr(), protocols).ask("GET", "/livez", "", "").ends_with("ok"));
    }
    let mut tls = files.connect(gateway.addr(), &["http/1.1"]);
    let stream = tls.ask("POST", "/v1/chat/completions", "sk-test", &chat_body("m", r#","stream":true"#));
    assert!(stream.contains("data: [DONE]"), "{stream}");
    gateway.settled();
}

#[test]
fn http_2_is_agreed_on_in_the_handshake() {
    const HEADERS: u8 = 1;
    let (upstream, files) = (Upstream::well(), Files::new());
    let gateway = gateway_over(&upstream, &files.both());
    for addr in [gateway.addr(), gateway.admin_addr()] {
        let mut tls = files.connect(addr, &["h2", "http/1.1"]);
        assert_eq!(tls.protocol(), Some(&b"h2"[..]));
        // The preface, an empty SETTINGS frame, and `GET /livez` as stream 1 (RFC 7541, §6.1 and §6.2.2).
        tls.send(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0");
        let request = b"\x82\x87\x04\x06/livez\x01\x07gateway";
        let head = [0, 0, request.len() as u8, HEADERS, 5, 0, 0, 0, 1];
        tls.send(&[&head[..], request].concat());
        let answer = loop {
            let (kind, content) = tls.frame();
            if kind == HEADERS {
                break content;
            }
        };
        // A dynamic table that grows or shrinks may be announced first.
        let status = answer.iter().find(|byte| *byte >> 5 != 1);
        assert_eq!(status, Some(&0x88), ":status 200 of the static table: {answer:?}");
    }
}

#[test]
fn what_cannot_be_read_is_refused_in_the_envelope_of_its_route() {
    let (upstream, files) = (Upstream::well(), Files::new());
    let gateway = gateway_over(&upstream, &files.both());
    for (addr, path, member) in [
        (gateway.addr(), "/v1/chat/completions", "{\"error\":"),
        (gateway.addr(), "/v1/messages", "{\"type\":\"error\""),
        (gateway.admin_addr(), "/admin/v1/actors", "{\"error_msg\":"),
    ] {
        let mut tls = files.connect(addr, &[]);
        tls.send(
            format!("POST {path} HTTP/1.1\r\ncontent-length: 2\r\ncontent-length: 3\r\n\r\n{{}}").as_bytes(),
        );
        let answer = tls.rest();
        assert!(answer.starts_with("HTTP/1.1 400 ") && answer.contains(member), "{path}: {answer}");
    }
}

#[test]
fn who_does_not_speak_tls_is_let_go_without_a_word_of_http() {
    let (upstream, files) = (Upstream::well(), Files::new());
    let gateway = gateway_over(&upstream, &files.both());
    for addr in [gateway.addr(), gateway.admin_addr()] {
        for bytes in [
            &b"GET /livez HTTP/1.1\r\nhost: x\r\n\r\n"[..],
            b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
            b"\x16\x03\x01\xff\xff\0",
        ] {
            let mut plain = socket(addr);
            plain.write_all(bytes).expect("sends");
            plain.shutdown(std::net::Shutdown::Write).expect("sends");
            let mut answer = Vec::new();
            // Closed, with or without an alert of TLS, or reset.
            let _ = plain.read_to_end(&mut answer);
            assert!(!answer.starts_with(b"HTTP"), "{}", String::from_utf8_lossy(&answer));
        }
        assert!(files.connect(addr, &[]).ask("GET", "/livez", "", "").ends_with("ok"));
    }
}

#[test]
fn a_handshake_that_does_not_go_on_and_a_silent_connection_are_closed() {
    let (upstream, files) = (Upstream::well(), Files::new());
    let gateway = gateway_over(&upstream, &(files.both() + "[proxy]\nrequest_head_timeout_ms = 1000\n"));
    let began = Instant::now();
    let mut begun = socket(gateway.addr());
    begun.write_all(&[0x16, 3, 1, 2, 0, 1]).expect("sends");
    let mut silent = files.connect(gateway.addr(), &[]);
    assert_eq!(begun.read(&mut [0; 64]).unwrap_or_default(), 0, "closed or reset");
    let answer = silent.rest();
    assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 408 "), "{answer}");
    let waited = began.elapsed();
    assert!((Duration::from_secs(1)..PATIENCE / 2).contains(&waited), "{waited:?}");
}

#[test]
fn a_renewed_certificate_is_shown_to_the_next_handshake() {
    let upstream = Upstream::well();
    let (old, new) = (Files::new(), Files::new());
    let gateway = gateway_over(&upstream, &old.both());
    let mut standing = old.connect(gateway.addr(), &[]);
    drop(gateway.gateway.install(snapshot(&new.both(), &[]), &[]));
    for addr in [gateway.addr(), gateway.admin_addr()] {
        assert!(new.connect(addr, &[]).ask("GET", "/livez", "", "").ends_with("ok"));
    }
    assert!(standing.ask("GET", "/livez", "", "").ends_with("ok"), "what stands is not touched");
    drop(gateway.gateway.install(snapshot("", &[]), &[]));
    assert!(new.connect(gateway.addr(), &[]).ask("GET", "/livez", "", "").ends_with("ok"), "TLS stays on");
}

#[test]
fn files_of_no_use_are_problems_that_name_them() {
    let (files, other) = (Files::new(), Files::new());
    let refused = |text: &str| {
        let problems = aisix::config::parse("config.toml", text, &|_| None, &[]);
        problems.expect_err("is refused").to_string()
    };
    let table =
        |cert: &PathBuf, key: &PathBuf| format!("[proxy.tls]\ncert_file = {cert:?}\nkey_file = {key:?}\n");
    let (cert, key) = (&files.cert_file, &files.key_file);
    assert_eq!(
        refused(&table(cert, &other.key_file)),
        format!(
            "config.toml:3: proxy.tls.key_file: {} is not the key of the certificate",
            other.key_file.display()
        )
    );
    assert_eq!(
        refused(&table(key, key)),
        format!("config.toml:2: proxy.tls.cert_file: {} holds no PEM certificate", key.display())
    );
    assert_eq!(
        refused(&format!("[admin.tls]\nkey_file = {key:?}\n")),
        "config.toml:1: admin.tls.cert_file: is needed as well as key_file"
    );
    let absent = refused("[proxy.tls]\ncert_file = \"absent.pem\"\nkey_file = \"absent.pem\"\n");
    assert!(absent.starts_with("config.toml:2: proxy.tls.cert_file: cannot read absent.pem: "), "{absent}");
}
