//! One line per exchange, written when it closes, so that streams have their tokens. Never a prompt, an answer or a
//! credential.

use super::clock::Clock;
use super::fields::{Fields, MAX_TAG_BYTES, name, tag};
use super::record::{Attempt, AttemptKind, Record};
use super::series::{Labels, Text};
use crate::config::settings::LineFormat;
use crate::config::snapshot::Dispatch;
use crate::dialect::Usage;

/// Where the lines go: `RUST_LOG=aisix::access=off` silences them.
pub const TARGET: &str = "aisix::access";

/// Writes what is the same in all lines of one set of labels.
pub fn write_labels(record: &Record<'_>, labels: &Labels<'_>, format: LineFormat, out: &mut Vec<u8>) {
    match format {
        LineFormat::Text => write_labels_as::<false>(record, labels, out),
        LineFormat::Json => write_labels_as::<true>(record, labels, out),
    }
}

fn write_labels_as<const JSON: bool>(record: &Record<'_>, labels: &Labels<'_>, out: &mut Vec<u8>) {
    let mut fields = Fields::<JSON> { out };
    fields.text(name!("method"), record.endpoint.method_name());
    fields.text(name!("path"), record.endpoint.path);
    fields.number(name!("status"), u64::from(record.status));
    let text = |text: Text| -> &str { labels.texts[text as usize] };
    if !record.attempts.is_empty() {
        fields.text(name!("provider"), text(Text::Provider));
    }
    if let Some(resolved) = record.model {
        fields.text(name!("model"), &resolved.model.name);
    }
    if let Some(caller) = record.caller {
        fields.text(name!("api_key_id"), &caller.id);
    }
}

/// A line under way.
pub struct Line<'a> {
    /// The exchange.
    pub record: &'a Record<'a>,
    /// What [`write_labels`] wrote for its labels.
    pub labels: &'a [u8],
    /// How it is written.
    pub format: LineFormat,
}

impl Line<'_> {
    /// Writes the line.
    pub fn write(&self, clock: &Clock, out: &mut Vec<u8>) {
        write_head(clock, self.format, out);
        out.extend_from_slice(self.labels);
        match self.format {
            LineFormat::Text => self.write_fields(Fields::<false> { out }),
            LineFormat::Json => self.write_fields(Fields::<true> { out }),
        }
        out.extend_from_slice(match self.format {
            LineFormat::Text => b"\n",
            LineFormat::Json => b"}\n",
        });
    }

    fn write_fields<const JSON: bool>(&self, mut fields: Fields<'_, JSON>) {
        self.write_course(&mut fields);
        self.write_usage(&mut fields);
        self.write_end(&mut fields);
    }

    fn write_course<const JSON: bool>(&self, fields: &mut Fields<'_, JSON>) {
        let record = self.record;
        fields.text(name!("request_id"), record.request_id);
        fields.number(name!("latency_ms"), record.times.took.as_millis() as u64);
        if let Some(event) = record.first_event() {
            fields.number(name!("ttft_ms"), event.downstream.as_millis() as u64);
        }
        if let Some(capture) = record.model.and_then(|resolved| resolved.capture.as_deref()) {
            fields.text(name!("capture"), &tag(capture.as_bytes(), MAX_TAG_BYTES));
        }
        let Some(last) = record.attempts.last() else { return };
        let id = last.provider_request_id.as_ref().and_then(|id| id.to_str().ok());
        fields.some_text(name!("provider_request_id"), id.unwrap_or_default());
        if record.model.is_some_and(|named| named.model.id != last.target.id) && last.failure.is_none() {
            fields.text(name!("served_by_model"), &last.target.name);
        }
        let is_routed =
            record.model.is_some_and(|named| matches!(named.model.dispatch, Dispatch::Routing(_)));
        if !is_routed && record.attempts.len() == 1 {
            return;
        }
        fields.number(name!("routing_attempt_count"), record.attempts.len() as u64);
        let is_fallback = |attempt: &&Attempt| attempt.kind == AttemptKind::Fallback;
        let fallbacks = record.attempts.iter().filter(is_fallback).count();
        fields.number(name!("routing_fallback_count"), fallbacks as u64);
    }

    fn write_usage<const JSON: bool>(&self, fields: &mut Fields<'_, JSON>) {
        if let Some(cache) = self.record.cache {
            fields.text(name!("cache"), cache.status.as_str());
        }
        // Several targets may have delivered parts of one answer.
        let parts = || {
            let earlier = self.record.attempts.iter().filter_map(|attempt| attempt.delivered.as_ref());
            earlier
                .map(|(usage, cost)| (usage, *cost))
                .chain(self.record.usage.map(|usage| (usage, self.record.cost)))
        };
        if parts().next().is_none() {
            return;
        }
        let sum = |count: fn(&Usage) -> u64| parts().map(|(usage, _)| count(usage)).sum();
        fields.number(name!("prompt_tokens"), sum(|usage| usage.prompt));
        fields.number(name!("completion_tokens"), sum(|usage| usage.completion));
        fields.number(name!("total_tokens"), sum(|usage| usage.total));
        if parts().any(|(usage, _)| usage.is_estimated) {
            fields.flag(name!("usage_estimated"), true);
        }
        fields.usd(name!("cost_usd"), parts().map(|(_, cost)| cost.0).sum());
    }

    fn write_end<const JSON: bool>(&self, fields: &mut Fields<'_, JSON>) {
        fields.some_number(name!("malformed_events"), u64::from(self.record.malformed_events));
        if let Some(class) = self.record.error_class() {
            fields.text(name!("error_kind"), class);
        }
        if let Some(failure) = self.record.failure {
            fields.some_text(name!("error"), &failure.words);
        }
    }
}

/// The time and the place, as the other lines of the log begin.
fn write_head(clock: &Clock, format: LineFormat, out: &mut Vec<u8>) {
    let (utc, millis) = clock.utc();
    let millis = [b'0' + (millis / 100) as u8, b'0' + (millis / 10 % 10) as u8, b'0' + (millis % 10) as u8];
    let (before, after): (&[u8], &[u8]) = match format {
        LineFormat::Text => (b"[", b"Z INFO  aisix::access] proxy request completed"),
        LineFormat::Json => (
            b"{\"timestamp\":\"",
            b"Z\",\"level\":\"INFO\",\"target\":\"aisix::access\",\"message\":\"proxy request completed\"",
        ),
    };
    for part in [before, utc, b".", &millis, after] {
        out.extend_from_slice(part);
    }
}
