//! What Gemini's families of models take differently, by the names that Google documents.
//!
//! Sources: Google's guides "Gemini thinking" (budgets of 2.5, levels of 3) and "Thought signatures".

use crate::dialect::chat::{Effort, Thinking};

/// A family, as far as requests differ.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Family {
    /// Before 2.5, and Gemma: no thinking.
    Plain,
    /// 2.5: budgets in tokens, from and up to so many; whether thinking can be switched off.
    Budget { least: u64, most: u64, has_off: bool },
    /// 3 and later: words. The lesser models know `minimal`, some of the greater ones no `medium`.
    Level { has_minimal: bool, has_medium: bool },
    /// A name that says nothing, such as that of a tuned model: budgets are what every thinking model reads.
    Unknown,
}

/// What `thinkingConfig` says about how much to think.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Amount {
    /// `thinkingBudget`.
    Budget(i64),
    /// `thinkingLevel`.
    Level(&'static str),
}

impl Family {
    /// The family of a model by the provider's name for it.
    pub(super) fn of(model: &str) -> Self {
        let name = model.rsplit('/').next().unwrap_or(model);
        if name.starts_with("gemma") {
            return Self::Plain;
        }
        let Some(rest) = name.strip_prefix("gemini-") else { return Self::Unknown };
        let is_lesser = rest.contains("flash");
        if rest.starts_with("1.") || rest.starts_with("2.0") || rest.starts_with("pro-vision") {
            Self::Plain
        } else if rest.starts_with("2.5-flash-lite") {
            Self::Budget { least: 512, most: 24_576, has_off: true }
        } else if rest.starts_with("2.5-flash") {
            Self::Budget { least: 1, most: 24_576, has_off: true }
        } else if rest.starts_with("2.") {
            Self::Budget { least: 128, most: 32_768, has_off: false }
        } else if rest.starts_with(|c: char| c.is_ascii_digit()) || rest.ends_with("-latest") {
            let is_first = rest == "3-pro" || rest.starts_with("3-pro-");
            Self::Level { has_minimal: is_lesser, has_medium: !is_first }
        } else {
            Self::Unknown
        }
    }

    /// Whether a call without its signature is refused, and files may stand in what a tool said.
    pub(super) fn is_third(self) -> bool {
        matches!(self, Self::Level { .. })
    }

    /// What to write for a wish; `None` where nothing is the way to say it.
    pub(super) fn amount(self, thinking: Thinking) -> Option<Amount> {
        match self {
            Self::Plain => None,
            Self::Level { has_minimal, has_medium } => {
                let effort = match thinking {
                    Thinking::Adaptive => return None,
                    Thinking::Off => Effort::Minimal,
                    Thinking::Effort(effort) => effort,
                    Thinking::Budget(tokens) => Effort::of_budget(tokens),
                };
                Some(Amount::Level(match effort {
                    Effort::Minimal if has_minimal => "minimal",
                    Effort::Minimal | Effort::Low => "low",
                    Effort::Medium if has_medium => "medium",
                    Effort::Medium | Effort::High | Effort::Max => "high",
                }))
            }
            Self::Budget { least, most, has_off } => Some(budget(thinking, least, most, has_off)),
            Self::Unknown => Some(budget(thinking, 1, u64::MAX, true)),
        }
    }
}

fn budget(thinking: Thinking, least: u64, most: u64, has_off: bool) -> Amount {
    let tokens = match thinking {
        Thinking::Off | Thinking::Budget(0) if has_off => return Amount::Budget(0),
        Thinking::Adaptive => return Amount::Budget(-1),
        Thinking::Off => least,
        Thinking::Effort(effort) => effort.budget(),
        Thinking::Budget(tokens) => tokens,
    };
    Amount::Budget(i64::from(u32::try_from(tokens.clamp(least, most)).unwrap_or(u32::MAX >> 1)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_family_is_told_in_its_own_words() {
        use Amount::{Budget, Level};
        use Thinking::{Adaptive, Off};
        let high = Thinking::Effort(Effort::High);
        for (model, thinking, amount) in [
            ("gemini-2.0-flash", high, None),
            ("gemini-1.5-pro", Off, None),
            ("gemini-2.5-flash", Off, Some(Budget(0))),
            ("gemini-2.5-flash", Adaptive, Some(Budget(-1))),
            ("gemini-2.5-flash", high, Some(Budget(8192))),
            ("gemini-2.5-flash", Thinking::Budget(100_000), Some(Budget(24_576))),
            ("gemini-2.5-flash-lite", Thinking::Budget(1), Some(Budget(512))),
            ("gemini-2.5-pro", Off, Some(Budget(128))),
            ("models/gemini-2.5-pro", Thinking::Budget(0), Some(Budget(128))),
            ("gemini-3-pro-preview", Off, Some(Level("low"))),
            ("gemini-3-pro-preview", Thinking::Effort(Effort::Medium), Some(Level("high"))),
            ("gemini-3.1-pro-preview", Thinking::Effort(Effort::Medium), Some(Level("medium"))),
            ("gemini-3-flash-preview", Off, Some(Level("minimal"))),
            ("gemini-3.5-flash", Thinking::Budget(1024), Some(Level("low"))),
            ("gemini-3.5-flash", Adaptive, None),
            ("gemini-flash-latest", Thinking::Effort(Effort::Max), Some(Level("high"))),
            ("gemma-3-27b-it", high, None),
            ("1234567890", Thinking::Budget(99), Some(Budget(99))),
        ] {
            assert_eq!(Family::of(model).amount(thinking), amount, "{model} {thinking:?}");
        }
    }
}
