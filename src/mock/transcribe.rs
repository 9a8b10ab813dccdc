//! Transcripts: the mock says how much it heard.
//!
//! Shapes: recorded exchanges with api.openai.com; `verbose_json`: OpenAI API reference, "Create transcription".

use serde_json::{Value, json};

use super::endpoints::Ask;
use super::error::{self, Failure};
use super::plain::Plain;
use super::request::tokens;
use super::wire::{event, pieces};
use super::{MockFrame, MockReply};

/// The bytes of a second of sound, as the mock sees it.
const BYTES_A_SECOND: f64 = 32_000.0;

/// Writes down speech.
pub(super) fn answer(ask: &Ask<'_>) -> Result<MockReply, Failure> {
    written(ask, "transcribe")
}

/// Writes down speech in English.
pub(super) fn translate(ask: &Ask<'_>) -> Result<MockReply, Failure> {
    written(ask, "translate")
}

fn written(ask: &Ask<'_>, task: &'static str) -> Result<MockReply, Failure> {
    let (plain, form) = Plain::read_form(ask, &["model"])?;
    let heard = form.file("file").ok_or_else(|| error::missing("file"))?.len();
    let text = match task {
        "translate" => format!("I heard {heard} bytes of sound, in English."),
        _ => format!("I heard {heard} bytes of sound."),
    };
    let seconds = heard as f64 / BYTES_A_SECOND;
    let usage = usage(heard, &text);
    if plain.is_set("stream") {
        return Ok(plain.stream(events(&text, &usage), 2));
    }
    let format = plain.text("response_format").to_owned();
    Ok(match &*format {
        "" | "json" => plain.json(&json!({"text": text, "usage": usage})),
        "verbose_json" => plain.json(&verbose(task, &text, seconds)),
        "text" => plain.whole("text/plain; charset=utf-8", text + "\n"),
        "srt" => {
            let end = stamp(seconds, ',');
            plain.whole("text/plain; charset=utf-8", format!("1\n00:00:00,000 --> {end}\n{text}\n\n"))
        }
        "vtt" => {
            let end = stamp(seconds, '.');
            plain.whole("text/vtt", format!("WEBVTT\n\n00:00:00.000 --> {end}\n{text}\n\n"))
        }
        _ => {
            let message = "'response_format' must be one of json, text, srt, verbose_json and vtt.";
            return Err(error::invalid("response_format", "invalid_value", message).into());
        }
    })
}

/// Ten tokens to a second of sound.
fn usage(heard: usize, text: &str) -> Value {
    let (input, output) = (heard as u64 / 3200 + 1, tokens(text.len()));
    json!({"type": "tokens", "total_tokens": input + output, "input_tokens": input,
        "input_token_details": {"text_tokens": 0, "audio_tokens": input}, "output_tokens": output})
}

fn verbose(task: &str, text: &str, seconds: f64) -> Value {
    let segment = json!({"id": 0, "seek": 0, "start": 0.0, "end": seconds, "text": text, "tokens": [],
        "temperature": 0.0, "avg_logprob": -0.1, "compression_ratio": 1.0, "no_speech_prob": 0.0});
    let usage = json!({"type": "duration", "seconds": seconds.ceil()});
    json!({"task": task, "language": "english", "duration": seconds, "text": text, "segments": [segment],
        "usage": usage})
}

fn events(text: &str, usage: &Value) -> Vec<MockFrame> {
    let delta = |piece: &str| json!({"type": "transcript.text.delta", "delta": piece});
    let done = json!({"type": "transcript.text.done", "text": text, "usage": usage});
    let all = pieces(text).into_iter().map(delta).chain([done]);
    let mut frames: Vec<_> = all.map(|one| MockFrame::new(event(&one))).collect();
    frames.push(MockFrame::new("data: [DONE]\n\n"));
    frames
}

/// `00:00:01.500`, with the mark that the format wants.
fn stamp(seconds: f64, mark: char) -> String {
    let thousandths = (seconds * 1000.0) as u64;
    let (whole, rest) = (thousandths / 1000, thousandths % 1000);
    format!("{:02}:{:02}:{:02}{mark}{rest:03}", whole / 3600, whole / 60 % 60, whole % 60)
}
