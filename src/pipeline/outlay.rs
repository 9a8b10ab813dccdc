//! Outlay: what a call may cost, before it is known: likely, and at the most.
//!
//! The most is a bound and no guess, because budgets with `worst_case` promise that it is never passed: a token is at least
//! a byte of what was sent, an answer has no more tokens than the caller or the model allows, and whatever a call refers
//! to, such as a stored file, fits into the model's context. Where there is no bound there is no most.

use aisix_actors::types::MicroUsd;

use crate::config::price::{Measures, Price};
use crate::config::snapshot::{Direct, Dispatch, Model, Terms};
use crate::dialect::{Body, Call, Usage};

/// What a call may cost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Outlay {
    /// What it is likely to cost.
    pub likely: MicroUsd,
    /// The most that it can cost; nothing where that has no bound, or nobody asks.
    pub most: Option<MicroUsd>,
}

impl Outlay {
    const NOTHING: Self = Self { likely: MicroUsd::ZERO, most: Some(MicroUsd::ZERO) };

    fn or_dearer(self, other: Self) -> Self {
        let most = self.most.zip(other.most).map(|(one, other)| one.max(other));
        Self { likely: self.likely.max(other.likely), most }
    }
}

/// What a call may cost at the dearest target of a model; `None` when a target has no price. `bounded` asks for the most.
pub fn of(
    call: &Call,
    model: &Model,
    capture: Option<&str>,
    measures: &Measures,
    bounded: bool,
) -> Option<Outlay> {
    match &model.dispatch {
        Dispatch::Direct(direct) => of_target(call, direct, capture, measures, bounded),
        Dispatch::Routing(routing) => {
            let mut costs = routing.members.iter().map(|member| of(call, member, capture, measures, bounded));
            costs.try_fold(Outlay::NOTHING, |dearest, cost| Some(dearest.or_dearer(cost?)))
        }
    }
}

fn of_target(
    call: &Call,
    direct: &Direct,
    capture: Option<&str>,
    measures: &Measures,
    bounded: bool,
) -> Option<Outlay> {
    let terms = direct.terms(capture);
    let price = terms.price?;
    if !call.costs_tokens {
        return Some(Outlay::NOTHING);
    }
    let guess =
        Usage { prompt: call.prompt_tokens, completion: call.held_output_tokens(), ..Usage::default() };
    let likely = price.cost(&guess, measures);
    let most = if bounded { most(call, price, &terms, measures) } else { None };
    // A guess that passes the bound is none.
    Some(Outlay { likely: most.map_or(likely, |most| likely.min(most)), most })
}

/// The most that a call can cost at a target.
fn most(call: &Call, price: &Price, terms: &Terms<'_>, measures: &Measures) -> Option<MicroUsd> {
    // A dearer way of serving it, at rates that nobody here knows.
    if !price.is_free() && call.dearer_by().is_some() {
        return None;
    }
    let is_free = |rate: fn(&Price) -> u64| rate(price) == 0;
    let prompt = match is_free(|price| price.most(1_000_000, 0, &Measures::default()).0) {
        true => 0,
        false => most_prompt_tokens(call, terms, measures)?,
    };
    let completion = match is_free(|price| price.most(0, 1_000_000, &Measures::default()).0) {
        true => 0,
        false => most_output_tokens(call, terms)?,
    };
    Some(price.most(prompt, completion, measures))
}

/// An answer ends where the caller says, or where the model must; what it says and what it thinks count together.
fn most_output_tokens(call: &Call, terms: &Terms<'_>) -> Option<u64> {
    let limit = terms.max_output_tokens.or(terms.context_window);
    if !call.has_output {
        return Some(0);
    }
    let asked = call.max_output_tokens.filter(|_| call.writes_text);
    let each = match (asked, limit) {
        (Some(asked), Some(limit)) => asked.min(limit),
        (asked, limit) => asked.or(limit)?,
    };
    Some(each.saturating_mul(call.answers.max(1)))
}

/// What providers say themselves in a prompt, where tools are used, for example.
const OWN_WORDS: u64 = 2_048;

/// The most tokens that a picture counts as: the dearest, in OpenAI's smallest models, are below 50,000.
const IMAGE_TOKENS: u64 = 1 << 16;

/// The most tokens that a second of sound counts as; the most known are 32.
const TOKENS_PER_SECOND: u64 = 50;

fn most_prompt_tokens(call: &Call, terms: &Terms<'_>, measures: &Measures) -> Option<u64> {
    let body = match &call.body {
        Body::Json(object) => object.bytes(),
        Body::Form(_) => {
            let sound = measures
                .audio
                .max(measures.longest_audio)
                .as_secs()
                .saturating_add(1)
                .saturating_mul(TOKENS_PER_SECOND);
            let words = call.prompt_tokens.saturating_mul(4).saturating_add(OWN_WORDS);
            let images = measures.images_sent.saturating_mul(IMAGE_TOKENS);
            return Some(words.saturating_add(sound).saturating_add(images));
        }
        Body::Opaque(_) => return None,
    };
    let marks = call.marks();
    if marks.has_providers_tool {
        return None;
    }
    if marks.is_elsewhere {
        return terms.context_window;
    }
    let written = (body.len() as u64).saturating_add(OWN_WORDS);
    Some(written.saturating_add(marks.images.saturating_mul(IMAGE_TOKENS)))
}
