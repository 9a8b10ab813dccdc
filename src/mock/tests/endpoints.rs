//! The endpoints that are no conversations, held against the shapes that their providers send.

use super::*;

fn json_at(path: &str, request: Value) -> Value {
    body(post(path, request.to_string().as_bytes(), &Hints::default()))
}

fn form(path: &str, fields: &[(&str, &str)], file: &str) -> MockReply {
    let mut text = String::new();
    for (name, value) in fields {
        text += &format!("--x\r\ncontent-disposition: form-data; name=\"{name}\"\r\n\r\n{value}\r\n");
    }
    text += &format!(
        "--x\r\ncontent-disposition: form-data; name=\"{file}\"; filename=\"f\"\r\n\r\nabcd\r\n--x--"
    );
    let content_type = "multipart/form-data; boundary=x";
    answer(
        &MockRequest { method: "POST", target: path, content_type, body: text.as_bytes() },
        &Hints::default(),
    )
}

#[test]
fn a_text_is_continued_whole_and_streamed() {
    let request = |more: Value| {
        let mut request = json!({"model": "words-2", "prompt": ["a", "b"]});
        request.as_object_mut().expect("an object").extend(more.as_object().cloned().unwrap_or_default());
        request
    };
    let whole = json_at("/v1/completions", request(json!({})));
    assert_eq!(names(&whole), ["choices", "created", "id", "model", "object", "usage"]);
    assert_eq!(
        (&whole["choices"][1]["text"], &whole["choices"][1]["index"]),
        (&json!("word1 word2"), &json!(1))
    );
    let stream = request(json!({"stream": true, "stream_options": {"include_usage": true}})).to_string();
    let chunks = chunks(post("/v1/completions", stream.as_bytes(), &Hints::default()));
    let said: String = chunks.iter().filter_map(|chunk| chunk["choices"][0]["text"].as_str()).collect();
    assert_eq!(said, "word1 word2word1 word2");
    assert_eq!(chunks.last().expect("usage")["usage"], whole["usage"]);
}

#[test]
fn documents_are_sorted_by_the_words_of_the_query() {
    let request = json!({"model": "demo", "query": "red cat", "documents": ["a dog", {"text": "a red cat"}, "a cat"],
        "top_n": 2, "return_documents": true});
    for path in ["/v1/rerank", "/v2/rerank"] {
        let results = json_at(path, request.clone())["results"].clone();
        assert_eq!(
            results[0],
            json!({"index": 1, "relevance_score": 1.0, "document": {"text": "a red cat"}})
        );
        assert_eq!((&results[1]["index"], results.as_array().map(Vec::len)), (&json!(2), Some(2)));
    }
}

#[test]
fn pictures_are_made_and_changed() {
    let made = json_at("/v1/images/generations", json!({"model": "demo", "prompt": "a cat", "n": 2}));
    assert!(made["data"][1]["b64_json"].as_str().is_some_and(|data| data.starts_with("iVBORw0KGgo")));
    let changed =
        body(form("/v1/images/edits", &[("model", "demo"), ("prompt", "red"), ("n", "2")], "image[]"));
    assert_eq!(changed["data"].as_array().map(Vec::len), Some(2));
    assert_eq!(form("/v1/images/edits", &[("prompt", "red")], "mask").status, 400);
    let asked = json!({"model": "demo", "prompt": "a cat", "stream": true}).to_string();
    let events = chunks(post("/v1/images/generations", asked.as_bytes(), &Hints::default()));
    assert_eq!(events[0]["type"], "image_generation.completed");
}

#[test]
fn sound_is_written_down_in_every_format() {
    let text = "I heard 4 bytes of sound.";
    let ask = |format: &str| {
        form("/v1/audio/transcriptions", &[("model", "demo"), ("response_format", format)], "file")
    };
    assert_eq!(body(ask("json"))["text"], text);
    assert_eq!(body(ask("verbose_json"))["segments"][0]["text"], text);
    let plain = |format: &str| match ask(format).body {
        MockBody::Full(bytes) => String::from_utf8(bytes.to_vec()).expect("text"),
        other => panic!("{other:?}"),
    };
    assert_eq!(plain("text"), format!("{text}\n"));
    assert_eq!(plain("srt"), format!("1\n00:00:00,000 --> 00:00:00,000\n{text}\n\n"));
    assert_eq!(plain("vtt"), format!("WEBVTT\n\n00:00:00.000 --> 00:00:00.000\n{text}\n\n"));
    assert_eq!(ask("mp3").status, 400);
    let streamed = chunks(form("/v1/audio/transcriptions", &[("model", "demo"), ("stream", "true")], "file"));
    assert_eq!(streamed.last().expect("an end")["text"], text);
    let said: String = streamed.iter().filter_map(|event| event["delta"].as_str()).collect();
    assert_eq!(said, text);
    let translated = body(form("/v1/audio/translations", &[("model", "demo")], "file"));
    assert_eq!(translated["text"], "I heard 4 bytes of sound, in English.");
}

#[test]
fn speech_begins_as_its_format_begins() {
    for (format, kind, magic) in [
        ("mp3", "audio/mpeg", &b"\xff\xfb"[..]),
        ("wav", "audio/wav", b"RIFF"),
        ("pcm", "audio/pcm", b"\0"),
        ("aac", "audio/aac", b"\xff\xf1"),
        ("flac", "audio/flac", b"fLaC"),
        ("opus", "audio/opus", b"OggS"),
    ] {
        let request = json!({"model": "demo", "input": "Hi", "voice": "alloy", "response_format": format});
        let reply = post("/v1/audio/speech", request.to_string().as_bytes(), &Hints::default());
        assert_eq!(reply.headers, [("content-type", kind.to_owned())]);
        assert!(matches!(reply.body, MockBody::Full(bytes) if bytes.starts_with(magic)), "{format}");
    }
}

#[test]
fn a_text_is_flagged_for_what_it_names() {
    let judged = json_at("/v1/moderations", json!({"input": ["a nice day", "much violence"]}));
    let [nice, bad] = [0, 1].map(|place| judged["results"][place].clone());
    assert_eq!((&nice["flagged"], &bad["flagged"]), (&json!(false), &json!(true)));
    assert_eq!((&bad["categories"]["violence"], &bad["categories"]["hate"]), (&json!(true), &json!(false)));
}

#[test]
fn other_endpoints_fail_as_they_are_asked_to() {
    let limited = post("/v1/moderations", br#"{"model":"fail-429","input":"a"}"#, &Hints::default());
    assert_eq!((limited.status, limited.headers.len()), (429, 2));
    let texts = br#"{"model":"fail-500","texts":["a"]}"#;
    assert_eq!(names(&body(post("/v2/embed", texts, &Hints::default()))), ["id", "message"]);
    let cut = form("/v1/audio/transcriptions", &[("model", "cut-1"), ("stream", "true")], "file");
    assert_eq!(frames(cut)[0].then, Then::Cut);
    let get = MockRequest { method: "GET", target: "/v1/models", content_type: "", body: b"" };
    assert_eq!(body(answer(&get, &Hints::default()))["data"][0]["id"], "demo");
}
