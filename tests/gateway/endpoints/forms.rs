//! Forms: the provider gets the caller's bytes, but for the name of the model.

use super::*;

/// The parts of a form, in the spellings that clients use, around a file that looks like the form's own frame.
fn form(model: &str, file: &str) -> Vec<u8> {
    let before = format!(
        "preamble\r\n--a'b+c\r\nContent-Disposition: form-data; name=\"language\"\r\n\r\nen\r\n\
         --a'b+c\r\ncontent-disposition: form-data; filename=\"\u{e4};\".wav\"; name={file}\r\nContent-Type: audio/wav\r\n\r\n"
    );
    let after = format!(
        "\r\n--a'b+c\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Disposition: form-data; name=\"model\"\r\n\r\n{model}\r\n\
         --a'b+c\r\nContent-Disposition: form-data; name=\"timestamp_granularities[]\"\r\n\r\nword\r\n\
         --a'b+c\r\nContent-Disposition: form-data; name=\"timestamp_granularities[]\"\r\n\r\nsegment\r\n--a'b+c--\r\nepilogue"
    );
    let sound = b"RIFF\x00\xff\r\n--a'b\r\n\r\nname=\"model\"\r\n\r\nm\r\n--a'b+";
    [before.as_bytes(), sound, after.as_bytes()].concat()
}

const KIND: &str = "multipart/form-data; charset=utf-8; boundary=\"a'b+c\"";

/// The form endpoints, with the name of their file and their answer.
const FORMS: [(&str, &str, &str); 3] = [
    ("/audio/transcriptions", "file", answers::TRANSCRIPT),
    ("/audio/translations", "file", answers::TRANSCRIPT),
    ("/images/edits", "\"image[]\"", answers::PICTURE),
];

fn send(gateway: &Gateway, path: &str, body: &[u8]) -> Response {
    gateway.send("POST", &format!("/v1{path}"), "sk-test", &[("content-type", KIND)], body)
}

#[test]
fn a_form_goes_out_as_it_came_but_for_the_model() {
    let upstream = Upstream::well();
    let usage = UsageFile::new();
    let gateway = gateway_over(&upstream, &usage.settings());
    for (place, (path, file, answer)) in FORMS.into_iter().enumerate() {
        let response = send(&gateway, path, &form("m", file)).expect(200);
        assert_eq!(response.text(), answer, "{path}");
        let received = upstream.received().pop().expect("it was asked");
        assert_eq!((received.method.as_str(), received.path.as_str()), ("POST", &*format!("/v1{path}")));
        assert_eq!(received.header("content-type"), Some(KIND));
        assert_eq!(received.header("authorization"), Some("Bearer sk-upstream"));
        assert!(received.body == form("upstream-m", file), "{}", String::from_utf8_lossy(&received.body));
        let record = usage.wait_for(&gateway, place + 1).pop().expect("one");
        assert_eq!((&record["prompt_tokens"], &record["completion_tokens"]), (&5.into(), &7.into()));
    }
}

#[test]
fn a_form_that_comes_in_pieces_is_the_same() {
    let upstream = Upstream::well();
    let gateway = gateway_over(&upstream, "");
    let body = form("m", "file");
    let mut connection = gateway.connect();
    let head = [("content-type", KIND), ("transfer-encoding", "chunked")];
    connection.send(&request_text("POST", "/v1/audio/transcriptions", "sk-test", &head, b""));
    for piece in body.chunks(7) {
        connection.send(&[format!("{:x}\r\n", piece.len()).as_bytes(), piece, b"\r\n"].concat());
    }
    connection.send(b"0\r\n\r\n");
    connection.response().expect(200);
    assert!(upstream.received()[0].body == form("upstream-m", "file"));
}

#[test]
fn a_form_of_megabytes_is_sent_again_to_the_next_target() {
    let upstream = Upstream::in_turn(vec![Answer::json(500, "{}"), Answer::json(200, answers::TRANSCRIPT)]);
    let more = model("bad", "up", "retries = 0") + &routing("group", &["bad", "m"], "");
    let gateway = gateway_over(&upstream, &more);
    let sound = vec![0xfe; 3 << 20];
    let parts = |model: &str| {
        let head = "--x\r\nContent-Disposition: form-data; name=\"file\"; filename=\"a\"\r\n\r\n";
        let tail =
            format!("\r\n--x\r\nContent-Disposition: form-data; name=\"model\"\r\n\r\n{model}\r\n--x--\r\n");
        [head.as_bytes(), &sound, tail.as_bytes()].concat()
    };
    let kind = [("content-type", "multipart/form-data; boundary=x")];
    gateway.send("POST", "/v1/audio/transcriptions", "sk-test", &kind, &parts("group")).expect(200);
    let received = upstream.received();
    assert_eq!(received.len(), 2);
    for (request, name) in received.iter().zip(["upstream-bad", "upstream-m"]) {
        assert!(request.body == parts(name), "{name}: {} bytes", request.body.len());
    }
    gateway.settled();
}

#[test]
fn what_a_form_lacks_is_named() {
    let upstream = Upstream::well();
    let gateway = gateway_over(&upstream, "");
    let whole = form("m", "file");
    let text = String::from_utf8_lossy(&whole).into_owned();
    let without = |what: &str, with: &str| text.replace(what, with).into_bytes();
    for (path, body, param) in [
        (
            "/audio/transcriptions",
            without("name=\"model\"\r\n\r\nm\r\n--a'b+c\r", "name=\"x\"\r\n\r\nm\r\n--a'b+c\r"),
            Some("model"),
        ),
        (
            "/audio/transcriptions",
            without("name=\"model\"\r\n\r\nm\r\n--a'b+c\r", "name=\"model\"\r\n\r\n \r\n--a'b+c\r"),
            Some("model"),
        ),
        ("/audio/translations", without("name=file", "name=sound"), Some("file")),
        ("/images/edits", whole.clone(), Some("image")),
        ("/audio/transcriptions", b"{}".to_vec(), None),
        ("/audio/transcriptions", Vec::new(), None),
        ("/audio/transcriptions", without("--a'b+c--", ""), None),
    ] {
        let response = send(&gateway, path, &body).expect(400);
        let error = response.error();
        assert_eq!(error["type"], "invalid_request_error", "{error}");
        assert_eq!(error.get("param").and_then(Value::as_str), param, "{error}");
    }
    let json = gateway.post_json("/v1/audio/transcriptions", "sk-test", "{}").expect(400);
    assert!(json.error_message().contains("multipart/form-data"), "{json:?}");
    assert_eq!(upstream.count(), 0);
    gateway.settled();
}
