//! Embeddings, by table and over recordings.

use super::*;

fn asked(body: &Value) -> Result<(Value, String), String> {
    let (mut out, mut dropped) = (BytesMut::new(), Dropped::default());
    let object = object(&body.to_string());
    embed::write_request(&object, "own", &mut dropped, &mut out).map_err(|error| error.to_string())?;
    Ok((serde_json::from_slice(&out).expect("JSON"), dropped.to_line()))
}

#[test]
fn a_recorded_request_is_written_from_openais() {
    for (id, recording) in recordings("cohere-embeddings-plain-8042dbf") {
        let body = &recording["request"]["body"];
        let (mut again, dropped) = asked(&json!({"model": "mine", "input": body["texts"]})).expect(&id);
        again["model"] = body["model"].clone();
        assert_eq!((&again, dropped.as_str()), (body, ""));
    }
}

#[test]
fn settings_have_their_names_here_and_the_others_are_reported() {
    let body = json!({"model": "m", "input": "a\"b", "encoding_format": "base64", "dimensions": 256, "user": "u",
        "input_type": "search_query", "truncate": null});
    let wanted = json!({"model": "own", "texts": ["a\"b"], "input_type": "search_query",
        "embedding_types": ["base64"], "output_dimension": 256});
    assert_eq!(asked(&body), Ok((wanted, "user".to_owned())));
}

#[test]
fn what_cannot_be_embedded_is_refused() {
    for (members, words) in [
        (json!({}), "\"input\" is missing"),
        (json!({"input": null}), "\"input\" is missing"),
        (json!({"input": []}), "must not be empty"),
        (json!({"input": [1, 2]}), "must be a string or an array of strings"),
        (json!({"input": [[1]]}), "must be a string or an array of strings"),
        (json!({"input": "a", "encoding_format": "odd"}), "must be \"float\" or \"base64\""),
        (json!({"input": "a", "dimensions": "9"}), "\"dimensions\" must be a whole number"),
    ] {
        let error = asked(&members).expect_err("refused");
        assert!(error.contains(words), "{members}: {error}");
    }
}

fn answered(body: &str) -> (Value, Option<Usage>) {
    let mut out = BytesMut::new();
    let usage = embed::read_reply(body, "\"mine\"", false, &mut out).expect("reads");
    (serde_json::from_slice(&out).expect("JSON"), usage)
}

#[test]
fn a_recorded_reply_becomes_openais() {
    for (_, recording) in recordings("cohere-embeddings-plain-8042dbf") {
        let body = &recording["response"]["body"];
        let (reply, usage) = answered(&body.to_string());
        let data: Vec<Value> = body["embeddings"]["float"]
            .as_array()
            .expect("vectors")
            .iter()
            .enumerate()
            .map(|(index, vector)| json!({"object": "embedding", "index": index, "embedding": vector}))
            .collect();
        let wanted = json!({"object": "list", "data": data, "model": "mine",
            "usage": {"prompt_tokens": 7, "total_tokens": 7}});
        assert_eq!(reply, wanted);
        assert_eq!(usage, Some(Usage { prompt: 7, total: 7, ..Usage::default() }));
    }
}

#[test]
fn vectors_stay_as_they_are_written_and_base64_is_handed_on() {
    let (reply, usage) = answered(r#"{"embeddings":{"base64":["QUI="]}}"#);
    assert_eq!((&reply["data"][0]["embedding"], usage), (&"QUI=".into(), None));
    let mut out = BytesMut::new();
    embed::read_reply(r#"{"embeddings":{"float":[[0.10,-1e-3]]}}"#, "\"m\"", false, &mut out).expect("reads");
    assert!(String::from_utf8_lossy(&out).contains("[0.10,-1e-3]"));
    let other = embed::read_reply(r#"{"embeddings":{"int8":[[1]]}}"#, "\"m\"", false, &mut out);
    assert!(matches!(other, Err(UpstreamError::Undecodable { .. })));
}

#[test]
fn floats_become_base64_where_the_caller_asked_for_it() {
    let answer = |body: &str| {
        let mut out = BytesMut::new();
        embed::read_reply(body, "\"m\"", true, &mut out)
            .map(|_| serde_json::from_slice::<Value>(&out).expect("JSON"))
    };
    // 1.0 is 0000803f and -2.0 is 000000c0, lowest byte first.
    for (body, wanted) in [
        (r#"{"embeddings":{"float":[[1, -2.0]]}}"#, "AACAPwAAAMA="),
        (r#"{"embeddings":{"base64":["QUI="]}}"#, "QUI="),
    ] {
        assert_eq!(answer(body).expect("reads")["data"][0]["embedding"], wanted);
    }
    let other = answer(r#"{"embeddings":{"float":[["a"]]}}"#);
    assert!(matches!(other, Err(UpstreamError::Undecodable { .. })));
}
