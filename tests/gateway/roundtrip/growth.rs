//! Hostile sizes: four times the input costs about four times the work, never sixteen times.
//!
//! Counted in the time that this thread was on a processor, so that other tests do not matter; what looks too slow is
//! measured again before it is believed. `AISIX_TEST_GROWTH` is the larger number of items, 6,000 unless told.

use std::time::{Duration, Instant};

use aisix::dialect::chat::{Conversation, Dropped, Reply};
use aisix::dialect::codec::{Reader, Writer, read_reply, read_request, refusal, write_reply, write_request};
use aisix::dialect::form::Form;
use aisix::dialect::raw::RawObject;
use aisix::dialect::{Dialect, canonical, sse};
use bytes::{Bytes, BytesMut};

use super::streams::events;
use super::swell::{CONVERSATIONS, REPLIES, Shape};
use super::{stamp, target};

const ITEMS: usize = 6_000;
/// What four times the input may cost: four would be exact, sixteen is quadratic.
const MOST: u32 = 8;
/// Less than this tells nothing.
const NOISE: Duration = Duration::from_millis(30);
/// What streams have few of: it is looked up in a list, which is the faster for it.
const FEW: [&str; 4] = ["calls", "calls of one id", "signed calls", "answers"];
const TRIES: usize = 3;
const PROVIDERS: [Dialect; 5] =
    [Dialect::OpenAiChat, Dialect::OpenAiResponses, Dialect::Anthropic, Dialect::Gemini, Dialect::Cohere];

/// The time that this thread was on a processor; where the system does not tell, the time that passed.
fn cost<T>(work: impl FnOnce() -> T) -> Duration {
    let spent = || {
        let stat = std::fs::read_to_string("/proc/thread-self/schedstat").ok()?;
        stat.split(' ').next()?.parse().ok().map(Duration::from_nanos)
    };
    let (began, before) = (Instant::now(), spent());
    std::hint::black_box(work());
    match (before, spent()) {
        (Some(before), Some(after)) => after.saturating_sub(before),
        _ => began.elapsed(),
    }
}

/// Measures `work` on inputs made by `make` and tells when it grows faster than they do.
fn check<T>(name: &str, make: impl Fn(usize) -> T, work: impl Fn(&T), problems: &mut Vec<String>) {
    let items = std::env::var("AISIX_TEST_GROWTH").map_or(ITEMS, |items| items.parse().expect("a number"));
    let (small, large) = (make(items / 4), make(items));
    let mut seen = (Duration::ZERO, Duration::ZERO);
    for _ in 0..TRIES {
        seen = (cost(|| work(&small)), cost(|| work(&large)));
        if seen.1 <= seen.0 * MOST + NOISE {
            return;
        }
    }
    problems.push(format!("{name}: {} items take {:?}, a quarter of them {:?}", items, seen.1, seen.0));
}

fn asked(dialect: Dialect, conversation: &Conversation<'_>) -> Bytes {
    let mut out = BytesMut::new();
    // What a dialect cannot be asked is refused, which takes its time too.
    let _ = write_request(dialect, conversation, &target(), &mut Dropped::default(), &mut out);
    out.freeze()
}

fn answered(dialect: Dialect, reply: &Reply<'_>) -> String {
    let mut out = BytesMut::new();
    write_reply(dialect, reply, &stamp(), &mut out);
    String::from_utf8(out.to_vec()).expect("UTF-8")
}

fn streamed(dialect: Dialect, reply: &Reply<'_>) -> Bytes {
    let (mut writer, mut out) = (Writer::of(dialect, stamp()), BytesMut::new());
    events(reply, 16).iter().for_each(|event| writer.write(event, &mut out));
    writer.close(&mut out);
    out.freeze()
}

fn read_stream(dialect: Dialect, stream: &Bytes) {
    let (mut frames, mut reader) = (sse::Reader::default(), Reader::of(dialect));
    frames.push(stream.clone());
    while let Ok(Some(frame)) = frames.next_frame() {
        let data = frame.data().unwrap_or_default();
        let _ = reader.read(frame.event(), std::str::from_utf8(&data).expect("UTF-8"));
    }
}

fn read_body(dialect: Dialect, body: &Bytes) {
    if let Ok(body) = RawObject::parse(body.clone()) {
        let _ = read_request(dialect, &body, &mut Dropped::default());
    }
}

fn finish(problems: &[String]) {
    assert!(problems.is_empty(), "{}", problems.join("\n"));
}

#[test]
fn writing_requests_grows_with_them() {
    let mut problems = Vec::new();
    for (shape, make) in CONVERSATIONS {
        for dialect in PROVIDERS {
            let work = |conversation: &Conversation<'_>| drop(asked(dialect, conversation));
            check(&format!("{shape} for {dialect:?}"), make, work, &mut problems);
        }
    }
    finish(&problems);
}

#[test]
fn reading_requests_grows_with_them() {
    let mut problems = Vec::new();
    for (shape, make) in CONVERSATIONS {
        for dialect in Dialect::CALLERS {
            let body = |count| asked(dialect, &make(count));
            check(&format!("{shape} of {dialect:?}"), body, |body| read_body(dialect, body), &mut problems);
        }
    }
    finish(&problems);
}

#[test]
fn replies_grow_with_themselves() {
    let mut problems = Vec::new();
    for (shape, make) in REPLIES {
        for dialect in Dialect::CALLERS {
            let write = |reply: &Reply<'_>| drop(answered(dialect, reply));
            check(&format!("{shape} for {dialect:?}"), make, write, &mut problems);
            let read = |body: &String| drop(read_reply(dialect, body));
            check(
                &format!("{shape} of {dialect:?}"),
                |count| answered(dialect, &make(count)),
                read,
                &mut problems,
            );
        }
    }
    finish(&problems);
}

#[test]
fn streams_grow_with_themselves() {
    let mut problems = Vec::new();
    for (shape, make) in REPLIES.iter().filter(|(shape, _)| !FEW.contains(shape)) {
        for dialect in Dialect::CALLERS {
            let write = |reply: &Reply<'_>| drop(streamed(dialect, reply));
            check(&format!("streamed {shape} for {dialect:?}"), make, write, &mut problems);
            let read = |stream: &Bytes| read_stream(dialect, stream);
            let stream = |count| streamed(dialect, &make(count));
            check(&format!("streamed {shape} of {dialect:?}"), stream, read, &mut problems);
        }
    }
    finish(&problems);
}

/// Texts that no writer writes: many names, deep nesting, escapes without end, a tail that is missing.
#[test]
fn reading_any_json_grows_with_it() {
    let mut problems = Vec::new();
    let shapes: [Shape<String>; 6] = [
        ("names", |count| {
            let members: Vec<_> = (0..count).map(|place| format!("\"m{place}\":{place}")).collect();
            format!("{{{}}}", members.join(","))
        }),
        ("escaped names", |count| {
            let members: Vec<_> = (0..count).map(|place| format!("\"\\u006d{place}\":{place}")).collect();
            format!("{{{}}}", members.join(","))
        }),
        ("unknown members everywhere", |count| {
            let member =
                |place| format!("{{\"type\":\"x{place}\",\"role\":\"user\",\"u{place}\":[[],{{}}]}}");
            let items = (0..count).map(member).collect::<Vec<_>>().join(",");
            let names =
                ["messages", "contents", "input", "output", "content", "choices", "candidates", "tools"];
            let members: Vec<_> = names.iter().map(|name| format!("\"{name}\":[{items}]")).collect();
            format!("{{{}}}", members.join(","))
        }),
        ("deep nesting", |count| {
            format!("{{\"messages\":{0}{1},\"choices\":{0}{1}}}", "[".repeat(count), "]".repeat(count))
        }),
        ("deep nesting without end", |count| "{\"content\":[".repeat(count)),
        ("a string without end", |count| format!("{{\"messages\":\"{}", "\\u00e9\\".repeat(count))),
    ];
    for (shape, make) in shapes {
        let work = |text: &String| {
            let body = Bytes::copy_from_slice(text.as_bytes());
            if let Ok(object) = RawObject::parse(body.clone()) {
                canonical::write_object(&object, &["stream"], &mut Vec::new());
            }
            for dialect in PROVIDERS {
                read_body(dialect, &body);
                let _ = read_reply(dialect, text);
                let _ = refusal(dialect, 400, None, text.as_bytes());
                let _ = Reader::of(dialect).read(None, text);
            }
        };
        check(shape, make, work, &mut problems);
    }
    finish(&problems);
}

#[test]
fn cutting_streams_and_forms_grows_with_them() {
    let mut problems = Vec::new();
    let shapes: [(&str, &str, usize); 6] = [
        ("line feeds", "\n", 4096),
        ("comments", ": a\n\n", 4096),
        ("lines of one event", "data: a\n", 4096),
        ("lines of one event, byte by byte", "data: a\n", 1),
        ("carriage returns, byte by byte", "\r", 1),
        ("a line without end, byte by byte", "data", 1),
    ];
    for (shape, piece, size) in shapes {
        let make = |count: usize| piece.repeat(count);
        let work = |text: &String| {
            let mut reader = sse::Reader::default();
            for chunk in text.as_bytes().chunks(size) {
                reader.push(Bytes::copy_from_slice(chunk));
                while let Ok(Some(frame)) = reader.next_frame() {
                    std::hint::black_box((frame.event(), frame.data().map(|data| data.len())));
                }
            }
            std::hint::black_box(reader.finish().and_then(|frame| frame.data().map(|data| data.len())));
        };
        check(shape, make, work, &mut problems);
    }
    for piece in [
        "\r\n--xY",
        "\r\n--xYz",
        "--xYz\r\n\r\n",
        "--xYz\r\nContent-Disposition: a; name=b\r\n\r\n",
        ";name=\"",
    ] {
        let make =
            |count: usize| Bytes::from(format!("--xYz\r\nContent-Disposition: {}", piece.repeat(count)));
        let work = |body: &Bytes| drop(Form::parse(body.clone(), "multipart/form-data; boundary=xYz"));
        check(piece, make, work, &mut problems);
    }
    finish(&problems);
}
