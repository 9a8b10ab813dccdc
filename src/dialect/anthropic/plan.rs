//! What a request to Anthropic can ask for at once: thinking excludes much of the rest.
//!
//! Anthropic refuses a whole request for one member that does not go with another; here the lesser one gives way, and
//! is named.

use super::super::chat::{Conversation, Dropped, Effort, Sampling, Thinking};
use super::model::Generation;
use super::turns::Side;

/// Most tokens of an answer where nobody says: the dialect asks for a figure.
const MAX_TOKENS: u64 = 4096;
/// Least budget for thinking that Anthropic takes.
const LEAST_BUDGET: u64 = 1024;

/// How a request asks for thinking.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Mode {
    /// Not at all.
    Disabled,
    /// As much as the model finds right.
    Adaptive,
    /// Up to so many tokens.
    Enabled(u64),
}

/// What a request asks for.
#[derive(Debug)]
pub(super) struct Plan<'a> {
    pub(super) mode: Option<Mode>,
    pub(super) effort: Option<Effort>,
    /// Whether thoughts are to be seen, where that is not what the model does anyway.
    pub(super) display: Option<&'static str>,
    pub(super) max_tokens: u64,
    pub(super) sampling: Sampling<'a>,
}

impl<'a> Plan<'a> {
    pub(super) fn new(
        conversation: &Conversation<'a>,
        sides: &[Side<'_>],
        model: &str,
        dropped: &mut Dropped,
    ) -> Self {
        let generation = Generation::of(model);
        let (mode, effort) = thinking(conversation.thinking, generation, sides, dropped);
        let asked = conversation.max_output_tokens;
        let mut max_tokens = asked.unwrap_or(MAX_TOKENS);
        if let Some(Mode::Enabled(budget)) = mode
            && budget >= max_tokens
        {
            max_tokens = budget.saturating_add(max_tokens);
            if asked.is_some() {
                dropped.add("max_tokens");
            }
        }
        // Older models show their thoughts, and other providers' models may not know the word.
        let display = match conversation.shows_thoughts {
            Some(true) if Generation::is_only_adaptive(generation) => Some("summarized"),
            Some(false) => Some("omitted"),
            _ => None,
        };
        let mut plan = Self { mode, effort, display, max_tokens, sampling: conversation.sampling };
        plan.choose_sampling(generation, dropped);
        plan
    }

    /// Whether the model will think.
    pub(super) fn is_thinking(&self) -> bool {
        matches!(self.mode, Some(Mode::Adaptive | Mode::Enabled(_)))
    }

    fn choose_sampling(&mut self, generation: Option<Generation>, dropped: &mut Dropped) {
        let value = |raw: Option<&str>| raw.and_then(|raw| raw.parse::<f64>().ok()).unwrap_or(1.0);
        let (temperature, top_p) = (value(self.sampling.temperature), value(self.sampling.top_p));
        let is_only_adaptive = Generation::is_only_adaptive(generation);
        let is_bound = self.is_thinking() || is_only_adaptive;
        let mut leave_out = |figure: &mut Option<&str>, name: &'static str, is_default: bool| {
            if figure.take().is_some() && !is_default {
                dropped.add(name);
            }
        };
        let sampling = &mut self.sampling;
        if is_only_adaptive || (is_bound && temperature != 1.0) {
            leave_out(&mut sampling.temperature, "temperature", temperature == 1.0);
        }
        if is_only_adaptive
            || (is_bound && !(0.95..=1.0).contains(&top_p))
            || (sampling.temperature.is_some() && Generation::takes_one_figure(generation))
        {
            leave_out(&mut sampling.top_p, "top_p", top_p == 1.0);
        }
        if is_bound {
            leave_out(&mut sampling.top_k, "top_k", false);
        }
        if sampling.temperature.is_some() && temperature > 1.0 {
            dropped.add("temperature");
            sampling.temperature = Some("1");
        }
    }
}

/// How the model's generation can be asked for the thinking that is wanted.
fn thinking(
    wanted: Option<Thinking>,
    generation: Option<Generation>,
    sides: &[Side<'_>],
    dropped: &mut Dropped,
) -> (Option<Mode>, Option<Effort>) {
    let is_adaptive = Generation::is_adaptive(generation);
    let is_only_adaptive = Generation::is_only_adaptive(generation);
    let (mode, effort) = match wanted {
        None => return (None, None),
        Some(Thinking::Off) if is_only_adaptive => {
            dropped.add("reasoning_effort");
            return (None, None);
        }
        Some(Thinking::Off) => (Mode::Disabled, None),
        Some(Thinking::Adaptive) if is_adaptive || generation.is_none() => (Mode::Adaptive, None),
        Some(Thinking::Adaptive) => (Mode::Enabled(Effort::Medium.budget()), None),
        Some(Thinking::Effort(effort)) if is_adaptive => (Mode::Adaptive, Some(effort)),
        Some(Thinking::Effort(effort)) => (Mode::Enabled(effort.budget()), None),
        Some(Thinking::Budget(tokens)) if is_only_adaptive => {
            (Mode::Adaptive, Some(Effort::of_budget(tokens)))
        }
        Some(Thinking::Budget(tokens)) => (Mode::Enabled(tokens.max(LEAST_BUDGET)), None),
    };
    if matches!(mode, Mode::Enabled(_)) && goes_on_without_thought(sides) {
        dropped.add("reasoning_effort");
        return (None, None);
    }
    (Some(mode), effort)
}

/// Whether the model is to go on with an answer that it began without thoughts, which it refuses when it has a budget
/// for them: after results of tools, or after the beginning of an answer. So it is when another provider's model began
/// it, or when the caller's dialect has no signatures.
fn goes_on_without_thought(sides: &[Side<'_>]) -> bool {
    let (last, before) = match sides {
        [.., before, last] => (last, Some(before)),
        [last] => (last, None),
        [] => return false,
    };
    let began = if last.is_assistant { Some(last) } else { before.filter(|_| last.has_results()) };
    began.is_some_and(|began| !began.begins_with_thought())
}

/// Anthropic's word for an effort.
pub(super) fn effort_word(effort: Effort) -> &'static str {
    match effort {
        Effort::Minimal | Effort::Low => "low",
        Effort::Medium => "medium",
        Effort::High => "high",
        Effort::Max => "max",
    }
}
