//! What reading costs: a request scanned and patched, a reply skimmed and named anew, the frames of a stream.

use std::hint::black_box;

use aisix::dialect::openai_chat::{FrameReader, INCLUDE_USAGE, read_reply};
use aisix::dialect::raw::RawObject;
use aisix::dialect::sse::Reader;
use aisix::dialect::{Body, Call, Dialect, canonical};
use aisix::mock::{Hints, MockBody, MockRequest, answer};
use aisix::operation::Operation;
use bytes::Bytes;
use criterion::{Criterion, Throughput, criterion_group, criterion_main};

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

criterion_group!(benches, requests, replies);
criterion_main!(benches);
