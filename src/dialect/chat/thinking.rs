//! How much a model thinks, and the signatures by which a provider knows its own thoughts again.

use std::borrow::Cow;

use crate::dialect::json::Text;

/// How much a model is to think.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Thinking {
    /// Not at all.
    Off,
    /// As much as it finds right (Anthropic's `adaptive`, Gemini's budget of −1).
    Adaptive,
    /// By a word.
    Effort(Effort),
    /// Up to so many tokens.
    Budget(u64),
}

/// A word for how much to think.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Effort {
    /// Hardly.
    Minimal,
    /// A little.
    Low,
    /// Some.
    Medium,
    /// Much.
    High,
    /// As much as possible.
    Max,
}

impl Effort {
    /// The word of a budget (§11.6).
    #[must_use]
    pub fn of_budget(tokens: u64) -> Self {
        match tokens {
            4096.. => Self::High,
            2048.. => Self::Medium,
            1024.. => Self::Low,
            _ => Self::Minimal,
        }
    }

    /// A budget that [`Effort::of_budget`] would call by this word; at least 1024, which Anthropic asks for.
    #[must_use]
    pub fn budget(self) -> u64 {
        match self {
            Self::Minimal | Self::Low => 1024,
            Self::Medium => 2048,
            Self::High => 8192,
            Self::Max => 16_384,
        }
    }

    /// OpenAI's word.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Minimal => "minimal",
            Self::Low => "low",
            Self::Medium => "medium",
            Self::High => "high",
            Self::Max => "xhigh",
        }
    }

    /// What a word means; Anthropic writes `max` where OpenAI writes `xhigh`.
    #[must_use]
    pub fn parse(word: &str) -> Option<Self> {
        Some(match word {
            "minimal" => Self::Minimal,
            "low" => Self::Low,
            "medium" => Self::Medium,
            "high" => Self::High,
            "xhigh" | "max" => Self::Max,
            _ => return None,
        })
    }
}

/// Whose signature it is: nobody else believes it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Origin {
    /// Anthropic's thinking blocks.
    Anthropic,
    /// OpenAI's encrypted reasoning.
    OpenAi,
    /// Gemini's thought signatures.
    Google,
}

impl Origin {
    const ALL: [Self; 3] = [Self::Anthropic, Self::OpenAi, Self::Google];

    /// What stands before a signature that travels in another dialect.
    const fn mark(self) -> &'static str {
        match self {
            Self::Anthropic => "aisix.anthropic.",
            Self::OpenAi => "aisix.openai.",
            Self::Google => "aisix.google.",
        }
    }
}

/// What makes a provider believe thoughts that come back to it.
///
/// In its own dialect it travels as it is. In another it has its origin in front, so that it is never shown to a provider
/// that did not write it.
#[derive(Debug, Clone, PartialEq)]
pub struct Signature<'a> {
    /// Whose.
    pub origin: Origin,
    /// The provider's bytes, as a JSON string holds them.
    pub data: Text<'a>,
}

impl<'a> Signature<'a> {
    /// Reads one from a dialect whose own ones are of `home`; `None` for a dialect that has none of its own (OpenAI chat),
    /// where only marked ones mean anything.
    #[must_use]
    pub fn read(text: Text<'a>, home: Option<Origin>) -> Option<Self> {
        for origin in Origin::ALL {
            if let Some(data) = text.escaped().strip_prefix(origin.mark()) {
                let data = Text::owned_escaped(data);
                return Some(Self { origin, data });
            }
        }
        home.map(|origin| Self { origin, data: text })
    }

    /// As it stands in a dialect whose own ones are of `home`.
    #[must_use]
    pub fn write(&self, home: Option<Origin>) -> Cow<'_, str> {
        match home == Some(self.origin) {
            true => Cow::Borrowed(self.data.escaped()),
            false => Cow::Owned(format!("{}{}", self.origin.mark(), self.data.escaped())),
        }
    }

    /// The same, kept beyond what it was read from.
    #[must_use]
    pub fn into_owned(self) -> Signature<'static> {
        Signature { origin: self.origin, data: self.data.into_owned() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signature_comes_home_from_every_dialect() {
        for origin in Origin::ALL {
            for home in [None, Some(Origin::Anthropic), Some(Origin::OpenAi), Some(Origin::Google)] {
                let signature = Signature { origin, data: Text::plain("a/b+c==") };
                let written = signature.write(home).into_owned();
                assert_eq!(written == "a/b+c==", home == Some(origin));
                assert_eq!(Signature::read(Text::plain(&written), home), Some(signature));
            }
        }
        assert_eq!(Signature::read(Text::plain("a"), None), None);
    }

    #[test]
    fn an_effort_is_its_own_budgets_word() {
        for effort in [Effort::Low, Effort::Medium, Effort::High] {
            assert_eq!(Effort::of_budget(effort.budget()), effort);
            assert_eq!(Effort::parse(effort.as_str()), Some(effort));
        }
        assert_eq!(Effort::parse("none"), None);
    }
}
