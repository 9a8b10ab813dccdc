//! What reading costs: a request scanned and patched, a reply skimmed and named anew, the frames of a stream; and what
//! it costs when the two sides speak different dialects.

use std::hint::black_box;

use aisix::dialect::codec::{own_reply, translated_reply};
use aisix::dialect::openai_chat::{FrameReader, INCLUDE_USAGE, read_reply};
use aisix::dialect::raw::RawObject;
use aisix::dialect::sse::Reader;
use aisix::dialect::stream::{Chunk, Frames, Pass};
use aisix::dialect::{Body, Call, Dialect, canonical};
use aisix::mock::{Hints, MockBody, MockRequest, answer};
use aisix::operation::{Operation, Task};
use bytes::{Bytes, BytesMut};
use criterion::{Criterion, Throughput, criterion_group, criterion_main};

#[path = "dialect/conversation.rs"]
mod conversation;

use conversation::{in_dialect, patch, stamp, translate};

fn request(turns: usize) -> Bytes {
    let turn = |number| {
        let words = "The quick brown fox jumps over the lazy dog. ".repeat(12);
        serde_json::json!({ "role": if number % 2 == 0 { "user" } else { "assistant" }, "content": words })
    };
    let messages: Vec<_> = (0..turns).map(turn).collect();
    serde_json::json!({ "model": "gateway-name", "stream": true, "temperature": 0.7, "messages": messages })
        .to_string()
        .into()
}

fn requests(criterion: &mut Criterion) {
    for turns in [1, 100] {
        let body = request(turns);
        let mut group = criterion.benchmark_group(format!("request of {} bytes", body.len()));
        group.throughput(Throughput::Bytes(body.len() as u64));
        group.bench_function("read and patch", |bencher| {
            bencher.iter(|| {
                let object = RawObject::parse(body.clone()).expect("an object");
                let body = Body::Json(object);
                let call = Call::read(Operation::Chat, Dialect::OpenAiChat, body, None).expect("a call");
                black_box(call.json().expect("JSON").with(&[("model", "\"upstream-name\""), INCLUDE_USAGE]))
            });
        });
        group.bench_function("through serde_json::Value, for comparison", |bencher| {
            bencher.iter(|| {
                let mut value: serde_json::Value = serde_json::from_slice(&body).expect("JSON");
                value["model"] = "upstream-name".into();
                black_box(serde_json::to_vec(&value).expect("serialises"))
            });
        });
        group.bench_function("canonical form", |bencher| {
            let object = RawObject::parse(body.clone()).expect("an object");
            bencher.iter(|| {
                let mut out = Vec::with_capacity(body.len());
                canonical::write_object(&object, &["stream"], &mut out);
                black_box(out)
            });
        });
        group.finish();
    }
}

fn replies(criterion: &mut Criterion) {
    let ask = |body: &str| {
        let (target, body) = ("/chat/completions", body.as_bytes());
        answer(&MockRequest { method: "POST", target, content_type: "", body }, &Hints::default()).body
    };
    let MockBody::Full(reply) = ask(r#"{"model":"bench","messages":[{"role":"user","content":"x"}]}"#) else {
        return;
    };
    let mut group = criterion.benchmark_group(format!("reply of {} bytes", reply.len()));
    group.bench_function("name anew and count", |bencher| {
        bencher.iter(|| black_box(read_reply(reply.clone(), "\"gateway-name\"").expect("a reply")));
    });
    group.finish();
    let MockBody::Stream(frames) =
        ask(r#"{"model":"words-100","stream":true,"messages":[{"role":"user","content":"x"}]}"#)
    else {
        return;
    };
    let text: Bytes = frames.iter().flat_map(|frame| frame.bytes.to_vec()).collect::<Vec<u8>>().into();
    let mut group = criterion.benchmark_group(format!("stream of {} events", frames.len()));
    group.throughput(Throughput::Elements(frames.len() as u64));
    group.bench_function("cut into frames and read", |bencher| {
        bencher.iter(|| {
            let (mut reader, mut chunks) = (Reader::default(), FrameReader::new("\"gateway-name\"".into()));
            reader.push(text.clone());
            while let Ok(Some(frame)) = reader.next_frame() {
                black_box(chunks.read(&frame));
            }
        });
    });
    group.finish();
}

const PROVIDERS: [Dialect; 5] =
    [Dialect::OpenAiChat, Dialect::OpenAiResponses, Dialect::Anthropic, Dialect::Gemini, Dialect::Cohere];

/// A conversation of 32 KiB, patched for a provider of the same dialect and translated for the others.
fn translated_requests(criterion: &mut Criterion) {
    for caller in Dialect::CALLERS {
        let body = in_dialect(caller);
        let mut group = criterion.benchmark_group(format!("{caller:?} conversation of {} bytes", body.len()));
        group.throughput(Throughput::Bytes(body.len() as u64));
        group.bench_function("patched", |bencher| bencher.iter(|| black_box(patch(body.clone()))));
        for provider in PROVIDERS.into_iter().filter(|provider| *provider != caller) {
            group.bench_function(format!("for {provider:?}"), |bencher| {
                bencher.iter(|| black_box(translate(caller, provider, body.clone(), "own-name")));
            });
        }
        group.finish();
    }
}

/// A whole answer: handed on in its own dialect, and translated.
fn translated_replies(criterion: &mut Criterion) {
    let own = answered(r#"{"model":"words-100","messages":[{"role":"user","content":"x"}]}"#);
    for provider in Dialect::CALLERS {
        let to = |caller, body: &Bytes, from| {
            translated_reply(Task::Converse, from, caller, body, &stamp()).expect("a reply").body
        };
        let body = if provider == Dialect::OpenAiChat {
            own.clone()
        } else {
            to(provider, &own, Dialect::OpenAiChat)
        };
        let mut group = criterion.benchmark_group(format!("{provider:?} reply of {} bytes", body.len()));
        group.bench_function("handed on", |bencher| {
            bencher.iter(|| {
                black_box(own_reply(Task::Converse, provider, body.clone(), "\"bench\"").expect("a reply"))
            });
        });
        for caller in Dialect::CALLERS.into_iter().filter(|caller| *caller != provider) {
            group.bench_function(format!("for {caller:?}"), |bencher| {
                bencher.iter(|| black_box(to(caller, &body, provider)));
            });
        }
        group.finish();
    }
}

/// The frames of a stream, as the relay takes them.
fn translated_streams(criterion: &mut Criterion) {
    let own = answered(r#"{"model":"words-200","stream":true,"messages":[{"role":"user","content":"x"}]}"#);
    for provider in Dialect::CALLERS {
        let body = if provider == Dialect::OpenAiChat {
            own.clone()
        } else {
            relayed(Dialect::OpenAiChat, provider, &own)
        };
        let mut group = criterion.benchmark_group(format!("{provider:?} stream of 200 words"));
        group.throughput(Throughput::Elements(200));
        for caller in Dialect::CALLERS {
            let name = if caller == provider { "patched".to_owned() } else { format!("for {caller:?}") };
            group
                .bench_function(name, |bencher| bencher.iter(|| black_box(relayed(provider, caller, &body))));
        }
        group.finish();
    }
}

fn answered(body: &str) -> Bytes {
    let (target, body) = ("/chat/completions", body.as_bytes());
    match answer(&MockRequest { method: "POST", target, content_type: "", body }, &Hints::default()).body {
        MockBody::Full(bytes) => bytes,
        MockBody::Stream(frames) => {
            frames.iter().flat_map(|frame| frame.bytes.to_vec()).collect::<Vec<u8>>().into()
        }
        MockBody::Stall | MockBody::Reset => Bytes::new(),
    }
}

fn relayed(provider: Dialect, caller: Dialect, stream: &Bytes) -> Bytes {
    let mut frames = Frames::new(Task::Converse, provider, caller, stamp());
    let (mut reader, mut out) = (Reader::default(), BytesMut::with_capacity(stream.len()));
    reader.push(stream.clone());
    while let Ok(Some(frame)) = reader.next_frame() {
        let (Chunk::Content { pass, .. } | Chunk::Usage { pass, .. } | Chunk::Last { pass, .. }) =
            frames.read(&frame)
        else {
            continue;
        };
        match pass {
            Pass::Rewritten(bytes) => out.extend_from_slice(&bytes),
            Pass::AsItIs | Pass::Renamed(_) => out.extend_from_slice(frame.bytes),
        }
    }
    frames.close(provider == caller, &mut out);
    out.freeze()
}

criterion_group!(benches, requests, replies, translated_requests, translated_replies, translated_streams);
criterion_main!(benches);
