//! Tokens, counted as Anthropic does: what came from the cache and what went into it stand beside `input_tokens`.

use super::super::Usage;
use super::super::json::Writer;
use super::super::json::shape::Json;
use super::super::whole::Whole;
use super::wire::UsageBlock;

/// What the provider counted so far; a stream tells it twice, and the second time not all of it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Counts {
    input: Option<u64>,
    cache_creation: Option<u64>,
    cache_read: Option<u64>,
    kept_for_an_hour: Option<u64>,
    output: Option<u64>,
    thinking: Option<u64>,
}

impl Counts {
    /// Takes over what a `usage` object says; one of another shape says nothing.
    pub(super) fn take(&mut self, raw: Option<Json<'_>>) {
        let Some(usage) = raw.and_then(|raw| serde_json::from_str::<UsageBlock<'_>>(raw.0).ok()) else {
            return;
        };
        let newer = |old: &mut Option<u64>, new: Option<Whole>| *old = new.map(|Whole(count)| count).or(*old);
        newer(&mut self.input, usage.input);
        newer(&mut self.cache_creation, usage.cache_creation);
        newer(&mut self.cache_read, usage.cache_read);
        newer(&mut self.kept_for_an_hour, usage.written.and_then(|written| written.hour));
        newer(&mut self.output, usage.output);
        newer(&mut self.thinking, usage.details.and_then(|details| details.thinking));
    }

    /// As the gateway counts; `None` where the provider said nothing.
    pub(super) fn usage(&self) -> Option<Usage> {
        if *self == Self::default() {
            return None;
        }
        let cached = self.cache_read.unwrap_or(0);
        let cache_write = self.cache_creation.unwrap_or(0);
        let prompt = self.input.unwrap_or(0).saturating_add(cached).saturating_add(cache_write);
        let completion = self.output.unwrap_or(0);
        Some(Usage {
            prompt,
            completion,
            cached,
            cache_write,
            cache_write_hour: self.kept_for_an_hour.unwrap_or(0).min(cache_write),
            reasoning: self.thinking.unwrap_or(0).min(completion),
            total: prompt.saturating_add(completion),
            is_estimated: false,
        })
    }
}

/// Writes a `usage` object. What is not counted is left out, but for the two figures that every client reads.
pub(super) fn write(writer: &mut Writer<'_>, usage: &Usage) {
    writer.object(|w| {
        w.name("input_tokens").number(input(usage));
        write_others(w, usage);
    });
}

/// Writes the `usage` at the end of a stream: a figure that is not known does not replace an earlier one.
pub(super) fn write_last(writer: &mut Writer<'_>, usage: &Usage) {
    writer.object(|w| {
        if usage.prompt > 0 {
            w.name("input_tokens").number(input(usage));
        }
        write_others(w, usage);
    });
}

fn input(usage: &Usage) -> u64 {
    usage.prompt.saturating_sub(usage.cached.saturating_add(usage.cache_write))
}

fn write_others(w: &mut Writer<'_>, usage: &Usage) {
    if usage.cache_write > 0 {
        w.name("cache_creation_input_tokens").number(usage.cache_write);
    }
    if usage.cached > 0 {
        w.name("cache_read_input_tokens").number(usage.cached);
    }
    w.name("output_tokens").number(usage.completion);
    if usage.reasoning > 0 {
        w.name("output_tokens_details").object(|w| w.name("thinking_tokens").number(usage.reasoning));
    }
}
