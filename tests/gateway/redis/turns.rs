//! How often a request goes to Redis: once for admission, and never before its answer's last byte.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, mpsc};
use std::thread;
use std::time::{Duration, Instant};

use super::fleet::{chat, config};
use super::server::RedisServer;
use crate::harness::*;

/// The time that every answer of Redis is late: far more than a slow machine needs for a request.
const DELAY: Duration = Duration::from_millis(500);

/// Requests of which one must be quick.
const TRIES: usize = 10;

/// Passes everything on to a Redis, and every answer so much later; gives the port.
fn far_away(redis: u16) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let port = listener.local_addr().expect("bound").port();
    thread::spawn(move || {
        for near in listener.incoming().flatten() {
            let Ok(far) = TcpStream::connect(("127.0.0.1", redis)) else { continue };
            let (mut questions, mut answers) = (near.try_clone().expect("ours"), near);
            let (mut out, mut back) = (far.try_clone().expect("ours"), far);
            thread::spawn(move || std::io::copy(&mut questions, &mut out));
            let (late, due) = mpsc::channel::<(Instant, Vec<u8>)>();
            thread::spawn(move || {
                let mut buffer = [0; 4096];
                while let Ok(read @ 1..) = back.read(&mut buffer) {
                    let _ = late.send((Instant::now() + DELAY, buffer[..read].to_vec()));
                }
            });
            thread::spawn(move || {
                for (at, bytes) in due {
                    thread::sleep(at.saturating_duration_since(Instant::now()));
                    let _ = answers.write_all(&bytes);
                }
            });
        }
    });
    port
}

#[test]
fn a_request_waits_for_redis_once_and_its_answer_never() {
    let (redis, upstream) = (RedisServer::start(), Upstream::well());
    let settings = format!(
        "[redis]\nurl = \"redis://127.0.0.1:{}\"\ntimeout_ms = 5000\nconnect_timeout_ms = 8000\n\
         [ratelimit]\nbackend = \"redis\"\n[budget]\nbackend = \"redis\"\n",
        far_away(redis.port)
    );
    let keys = api_key("sk-f", "\"*\"", "rate_limit = { rpd = 100, tpd = 100000, concurrency = 100 }")
        + &budget("all", "scope = \"org\"", "1000", "");
    // One worker, so that the first requests have made all connections and told Redis all scripts.
    let folder = Arc::new(Folder::new());
    folder.write("config.toml", &config(&upstream, &settings, &keys));
    let gateway = Process::start_sown(folder, &[("AISIX_PROXY__WORKERS", "1")]);
    let ask = |request: &[u8]| {
        let mut connection = Connection::open(gateway.addr);
        let began = Instant::now();
        connection.send(request);
        if request.windows(8).any(|window| window == b"\"stream\"") {
            connection.stream().until("data: [DONE]");
        } else {
            connection.response().expect(200);
        }
        began.elapsed()
    };
    let streamed = chat_body("m", r#","stream":true"#);
    let streamed = request_text("POST", "/v1/chat/completions", "sk-f", &[], streamed.as_bytes());
    // What is made at first use, connections and tokenizers, is there afterwards.
    for request in [chat("sk-f"), streamed.clone(), chat("sk-f"), streamed.clone()] {
        ask(&request);
    }
    for (what, request) in [("whole", chat("sk-f")), ("streamed", streamed)] {
        // A machine that is busy makes some requests late, but not all; a second wait would do so.
        let mut least = Duration::MAX;
        for _ in 0..TRIES {
            least = least.min(ask(&request));
            if least < DELAY * 2 {
                break;
            }
        }
        assert!(
            least >= DELAY && least < DELAY * 2,
            "{what}: {least:?} at least, where one round trip takes {DELAY:?}"
        );
    }
    until("everything is given back", || redis.permits() == 0 && redis.held() == 0);
}
