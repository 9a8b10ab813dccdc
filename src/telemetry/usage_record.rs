//! One JSON line per attempt at a provider: who, which model, how many tokens, what it cost, how it ended (§13.4).
//!
//! All attempts of an exchange share its `request_id`. Each carries the tokens and the cost of what it
//! delivered; a request that was refused before anybody was asked has one line too. Never a prompt, an answer or a credential.

use std::net::IpAddr;

use super::clock::Clock;
use super::fields::{Fields, MAX_TAG_BYTES, name, quoted, tag};
use super::guard_fields;
use super::record::{Attempt, CacheStatus, Record};
use super::series::{Labels, Text};

/// Records are JSON.
type Json<'a> = Fields<'a, true>;

/// Longest error text, in bytes.
const MAX_ERROR_BYTES: usize = 2048;

/// Writes what is the same in all records of one set of labels.
pub fn write_labels(record: &Record<'_>, labels: &Labels<'_>, out: &mut Vec<u8>) {
    let mut fields = Json { out };
    let text = |text: Text| -> &str { labels.texts[text as usize] };
    fields.text(name!("model_id"), text(Text::TargetId));
    fields.text(name!("api_key_id"), record.caller.map_or("", |caller| &caller.id));
    fields.text(name!("inbound_protocol"), record.endpoint.protocol());
    if !record.attempts.is_empty() {
        fields.text(name!("provider_kind"), text(Text::Provider));
        fields.text(name!("pk_label"), text(Text::ProviderKeyName));
    }
    let Some(named) = record.model else { return };
    if named.capture.is_none() {
        fields.text(name!("requested_model"), &named.model.name);
    }
    if !record.attempts.is_empty() && *named.model.id != *text(Text::TargetId) {
        fields.text(name!("attempt_model"), text(Text::Target));
    }
}

/// A record under way.
pub struct UsageLine<'a> {
    /// The exchange.
    pub record: &'a Record<'a>,
    /// The attempt and its place; `None` for a request that nobody was asked for.
    pub attempt: Option<(usize, &'a Attempt)>,
    /// What [`write_labels`] wrote for its labels.
    pub labels: &'a [u8],
    /// The `User-Agent` as a JSON string; empty where there is none.
    pub user_agent: &'a [u8],
}

impl UsageLine<'_> {
    /// Writes the line.
    pub fn write(&self, clock: &Clock, out: &mut Vec<u8>) {
        let start = out.len();
        let mut fields = Json { out };
        fields.text(name!("request_id"), self.record.request_id);
        // The first member has no comma before it.
        fields.out[start] = b'{';
        if let Some(trace) =
            self.record.client.traceparent.as_ref().and_then(|text| trace_id(text.as_bytes()))
        {
            fields.text(name!("trace_id"), trace);
        }
        fields.out.extend_from_slice(b",\"occurred_at\":\"");
        fields.out.extend_from_slice(clock.utc().0);
        fields.out.extend_from_slice(b"Z\"");
        fields.out.extend_from_slice(self.labels);
        self.write_model(&mut fields);
        self.write_tokens(&mut fields);
        self.write_times(&mut fields);
        self.write_answer(&mut fields);
        guard_fields::write(self.record.guard.filter(|_| self.is_last()), &mut fields);
        self.write_client(&mut fields);
        out.extend_from_slice(b"}\n");
    }

    fn is_last(&self) -> bool {
        self.attempt.is_none_or(|(place, _)| place + 1 == self.record.attempts.len())
    }

    /// The name that the caller sent, where it is not the model's own.
    fn write_model(&self, fields: &mut Json<'_>) {
        let Some(resolved) = self.record.model else { return };
        if let Some(capture) = resolved.capture.as_deref() {
            let asked = resolved.model.name.replacen('*', &tag(capture.as_bytes(), MAX_TAG_BYTES), 1);
            fields.text(name!("requested_model"), &asked);
        }
    }

    fn write_tokens(&self, fields: &mut Json<'_>) {
        let delivered = self.attempt.and_then(|(_, attempt)| attempt.delivered);
        let (usage, cost) = match delivered {
            Some(delivered) => delivered,
            None if self.is_last() => (self.record.usage.copied().unwrap_or_default(), self.record.cost),
            None => Default::default(),
        };
        let cost = cost.0;
        fields.number(name!("prompt_tokens"), usage.prompt);
        fields.number(name!("completion_tokens"), usage.completion);
        fields.some_number(name!("cached_prompt_tokens"), usage.cached);
        fields.some_number(name!("reasoning_tokens"), usage.reasoning);
        fields.some_number(name!("cache_creation_tokens"), usage.cache_write);
        if usage.is_estimated {
            fields.flag(name!("usage_estimated"), true);
        }
        if self.is_last() && !self.record.audio.is_zero() {
            fields.seconds(name!("audio_duration_seconds"), self.record.audio);
        }
        fields.usd(name!("cost_usd"), cost);
        fields.number(name!("cost_micro_usd"), cost);
        let Some(cache) = self.record.cache else { return };
        fields.text(name!("cache_status"), cache.status.as_str());
        if cache.status == CacheStatus::Hit {
            fields.some_number(name!("cache_hit_saved_input_tokens"), cache.saved_input);
            fields.some_number(name!("cache_hit_saved_output_tokens"), cache.saved_output);
            fields.text(name!("cache_hit_layer"), "exact");
        }
    }

    fn write_times(&self, fields: &mut Json<'_>) {
        let record = self.record;
        let upstream = self.attempt.map(|(_, attempt)| {
            attempt.took.unwrap_or_else(|| record.times.closed().saturating_duration_since(attempt.started))
        });
        fields.number(name!("upstream_latency_ms"), upstream.unwrap_or_default().as_millis() as u64);
        if self.is_last() {
            let first = record.first_event();
            if let Some(first) = first {
                fields.number(name!("upstream_ttft_ms"), first.upstream.as_millis() as u64);
            }
            let delivered = first.map_or_else(|| record.times.took, |first| first.downstream);
            fields.number(name!("downstream_latency_ms"), delivered.as_millis() as u64);
        }
        let (place, kind) = self.attempt.map_or((0, ""), |(place, attempt)| (place, attempt.kind.as_str()));
        fields.number(name!("attempt_index"), place as u64);
        fields.some_text(name!("attempt_kind"), kind);
    }

    fn write_answer(&self, fields: &mut Json<'_>) {
        let record = self.record;
        let own = self.attempt.and_then(|(_, attempt)| attempt.failure.as_ref());
        let failure = own.or(record.failure.filter(|_| self.is_last()));
        let status = own.map_or(record.status, |failure| failure.status);
        fields.number(name!("status_code"), u64::from(status));
        if let Some((_, attempt)) = self.attempt {
            let id = attempt.provider_request_id.as_ref().and_then(|id| id.to_str().ok());
            fields.some_text(name!("provider_request_id"), id.unwrap_or_default());
            fields.some_text(
                name!("provider_model_version"),
                attempt.provider_model.as_deref().unwrap_or_default(),
            );
            fields.some_text(name!("finish_reason"), attempt.finish_reason.unwrap_or_default());
        }
        match failure {
            Some(failure) => {
                fields.text(name!("error_class"), failure.class());
                fields.some_text(name!("error_message"), &tag(failure.words.as_bytes(), MAX_ERROR_BYTES));
            }
            None => fields.some_text(name!("error_class"), record.error_class().unwrap_or_default()),
        }
    }

    fn write_client(&self, fields: &mut Json<'_>) {
        if let Some(ip) = self.record.client.ip {
            fields.out.extend_from_slice(b",\"client_source_ip\":\"");
            write_ip(ip, fields.out);
            fields.out.push(b'"');
        }
        if !self.user_agent.is_empty() {
            fields.out.extend_from_slice(b",\"client_user_agent\":");
            fields.out.extend_from_slice(self.user_agent);
        }
    }
}

/// A `User-Agent` as it stands in a record.
#[must_use]
pub fn user_agent(header: &[u8]) -> Box<[u8]> {
    let text = tag(header, MAX_TAG_BYTES);
    let mut out = Vec::new();
    if !text.is_empty() {
        quoted(&mut out, &text);
    }
    out.into()
}

fn write_ip(ip: IpAddr, out: &mut Vec<u8>) {
    match ip.to_canonical() {
        IpAddr::V4(ip) => {
            for (place, octet) in ip.octets().into_iter().enumerate() {
                if place > 0 {
                    out.push(b'.');
                }
                out.extend_from_slice(itoa::Buffer::new().format(octet).as_bytes());
            }
        }
        IpAddr::V6(ip) => out.extend_from_slice(ip.to_string().as_bytes()),
    }
}

/// The trace of a well-formed `traceparent`, version 00 (W3C Trace Context, §3.2).
fn trace_id(header: &[u8]) -> Option<&str> {
    let text = std::str::from_utf8(header).ok()?;
    let rest = text.strip_prefix("00-")?;
    let (trace, rest) = rest.split_at_checked(32)?;
    let (span, flags) = rest.strip_prefix('-')?.split_at_checked(16)?;
    let flags = flags.strip_prefix('-')?;
    let is_hex = |text: &str| text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
    let is_id = |text: &str| is_hex(text) && text.bytes().any(|byte| byte != b'0');
    (is_id(trace) && is_id(span) && flags.len() == 2 && is_hex(flags)).then_some(trace)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_well_formed_traceparent_names_a_trace() {
        let trace = "4bf92f3577b34da6a3ce929d0e0e4736";
        let good = format!("00-{trace}-00f067aa0ba902b7-01");
        assert_eq!(trace_id(good.as_bytes()), Some(trace));
        for bad in [
            good.replace("00-4", "01-4"),
            good.to_uppercase(),
            format!("{good}-x"),
            good.replace(trace, &"0".repeat(32)),
            good.replace("00f067aa0ba902b7", &"0".repeat(16)),
            good.replace("-01", "-1"),
            format!("00-{trace}"),
            "ü".repeat(30),
        ] {
            assert_eq!(trace_id(bad.as_bytes()), None, "{bad}");
        }
    }

    #[test]
    fn addresses_are_written_as_people_do() {
        for (ip, text) in
            [("127.0.0.1", "127.0.0.1"), ("::ffff:10.0.0.7", "10.0.0.7"), ("2001:db8::1", "2001:db8::1")]
        {
            let mut out = Vec::new();
            write_ip(ip.parse().expect("an address"), &mut out);
            assert_eq!(String::from_utf8_lossy(&out), text);
        }
    }
}
