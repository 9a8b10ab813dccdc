//! Answers made up of what dialects can say.

use aisix::dialect::Usage;
use aisix::dialect::chat::{
    Answer, Citation, Finish, Origin, Part, Reply, Signature, Thought, ToolCall, Words,
};
use aisix::dialect::json::Text;
use proptest::prelude::*;
use proptest::sample::select;

use super::can::Can;
use super::make::{arguments, signature, text};

/// A citation, kept beyond what it was read from.
pub fn owned(citation: &Citation<'_>) -> Citation<'static> {
    let own = |text: &Option<Text<'_>>| text.clone().map(Text::into_owned);
    let Citation { url, title, quote, place } = citation;
    Citation { url: own(url), title: own(title), quote: own(quote), place: *place }
}

fn words(can: &Can) -> impl Strategy<Value = Part<'static>> + use<> {
    let (places, quotes) = (can.place_citations, can.quote);
    (text(), any::<bool>()).prop_map(move |(text, is_cited)| {
        let length = text.decode().chars().count() as u64;
        let citation = Citation {
            url: Some(Text::plain("https://example.com/?a=\"b\"")),
            title: Some(Text::plain("A page")),
            quote: quotes.then(|| Text::owned("so \"it\" is")),
            place: places.then_some((0, length)),
        };
        let citations = if is_cited { vec![citation] } else { Vec::new() };
        Part::Text(Words { text, citations, cache: None })
    })
}

/// A thought and whose signature it bears.
fn thought() -> impl Strategy<Value = Part<'static>> {
    let origin = select(&[None, Some(Origin::Anthropic), Some(Origin::OpenAi)][..]);
    (text(), origin, any::<bool>()).prop_map(|(text, origin, is_redacted)| {
        let is_redacted = is_redacted && origin == Some(Origin::Anthropic);
        let signature: Option<Signature<'_>> = origin.map(signature);
        let text = if is_redacted { Text::default() } else { text };
        Part::Thought(Box::new(Thought { text, signature, is_redacted }))
    })
}

fn called() -> impl Strategy<Value = Part<'static>> {
    arguments().prop_map(|arguments| {
        let (id, name) = (Text::default(), Text::plain("look_up"));
        Part::ToolCall(Box::new(ToolCall { id, name, arguments, cache: None }))
    })
}

fn answer(can: &Can) -> impl Strategy<Value = Answer<'static>> + use<> {
    let refusal = text().prop_map(Part::Refusal);
    let said =
        if can.refuse { prop_oneof![4 => words(can), 1 => refusal].boxed() } else { words(can).boxed() };
    let finish = select(&[Finish::Stop, Finish::Length, Finish::ContentFilter][..]);
    let (filters, names_stop, interleaves) = (can.filter, can.name_stop, can.interleave);
    let calls = prop::collection::vec(called(), 0..3);
    (prop::option::of(thought()), said, calls, any::<bool>(), finish).prop_map(
        move |(thought, said, mut calls, is_last, finish)| {
            let refuses = matches!(said, Part::Refusal(_));
            if refuses {
                calls.clear();
            }
            for (place, part) in calls.iter_mut().enumerate() {
                if let Part::ToolCall(call) = part {
                    call.id = Text::owned(&format!("call_{place}"));
                }
            }
            let finish = match finish {
                _ if refuses => Finish::Refusal,
                _ if !calls.is_empty() => Finish::ToolCalls,
                Finish::ContentFilter if !filters => Finish::Stop,
                Finish::Stop if names_stop && is_last => Finish::StopSequence(Some(Text::plain("\"end\""))),
                finish => finish,
            };
            let mut parts: Vec<_> = thought.into_iter().collect();
            match is_last && interleaves && !calls.is_empty() {
                true => parts.extend(calls.into_iter().chain([said])),
                false => parts.extend([said].into_iter().chain(calls)),
            }
            Answer { parts, finish, logprobs: None }
        },
    )
}

/// An answer of what can be said.
pub fn reply(can: &Can) -> impl Strategy<Value = Reply<'static>> + use<> {
    let counts_writes = can.count_writes;
    let usage =
        (1_u64..99, 1_u64..99, 0_u64..9, 0_u64..9).prop_map(move |(input, output, cached, written)| {
            let cache_write = if counts_writes { written } else { 0 };
            let (prompt, completion) = (input + cached + cache_write, output + written);
            let total = prompt + completion;
            let known = Usage { prompt, completion, cached, cache_write, total, ..Usage::default() };
            Usage { reasoning: written, ..known }
        });
    let answers = if can.repeat { 1..3 } else { 1..2 };
    (prop::collection::vec(answer(can), answers), usage).prop_map(|(answers, usage)| Reply {
        answers,
        usage: Some(usage),
        ..Reply::default()
    })
}
