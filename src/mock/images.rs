//! Pictures: one pixel, whatever is asked for.
//!
//! Shapes: recorded exchanges with api.openai.com; the events of a stream: OpenAI API reference, "Image streaming".

use serde_json::{Value, json};

use super::endpoints::Ask;
use super::error::{self, Failure};
use super::plain::Plain;
use super::request::tokens;
use super::wire::event;
use super::{MockFrame, MockReply};

/// A red pixel, as PNG.
const PIXEL: &str =
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==";
/// What a picture costs.
const TOKENS: u64 = 100;
/// The most pictures of one request, as at OpenAI.
const MAX_PICTURES: usize = 10;

/// Makes pictures.
pub(super) fn answer(ask: &Ask<'_>) -> Result<MockReply, Failure> {
    picture(ask, Plain::read(ask, &["prompt"])?, "image_generation")
}

/// Changes a picture, which comes in a form or, as an address, in JSON.
pub(super) fn edit(ask: &Ask<'_>) -> Result<MockReply, Failure> {
    if !ask.request.content_type.starts_with("multipart/") {
        return picture(ask, Plain::read(ask, &["prompt", "images"])?, "image_edit");
    }
    let (plain, form) = Plain::read_form(ask, &["prompt"])?;
    if !form.has_file("image") {
        return Err(error::missing("image").into());
    }
    picture(ask, plain, "image_edit")
}

fn picture(ask: &Ask<'_>, plain: Plain, kind: &str) -> Result<MockReply, Failure> {
    let count = plain.count()?;
    if count > MAX_PICTURES {
        return Err(error::invalid("n", "invalid_value", "'n' must be between 1 and 10.").into());
    }
    let size = Some(plain.text("size")).filter(|size| !size.is_empty()).unwrap_or("1024x1024").to_owned();
    let usage = usage(plain.text("prompt"), count as u64);
    let about = json!({"background": "opaque", "output_format": "png", "quality": "low", "size": size});
    let created = ask.hints.created;
    if plain.is_set("stream") {
        let mut last = json!({"type": format!("{kind}.completed"), "b64_json": PIXEL, "created_at": created,
            "usage": usage});
        add(&mut last, about);
        return Ok(plain.stream(vec![MockFrame::new(event(&last)), MockFrame::new("data: [DONE]\n\n")], 1));
    }
    let one = match plain.text("response_format") {
        "url" => json!({"url": "https://mock.invalid/pixel.png"}),
        _ => json!({ "b64_json": PIXEL }),
    };
    let mut body = json!({"created": created, "data": vec![one; count], "usage": usage});
    add(&mut body, about);
    Ok(plain.json(&body))
}

fn usage(prompt: &str, count: u64) -> Value {
    let (input, output) = (tokens(prompt.len()), TOKENS * count);
    json!({"input_tokens": input, "input_tokens_details": {"image_tokens": 0, "text_tokens": input},
        "output_tokens": output, "total_tokens": input + output})
}

fn add(body: &mut Value, more: Value) {
    if let (Value::Object(body), Value::Object(more)) = (body, more) {
        body.extend(more);
    }
}
