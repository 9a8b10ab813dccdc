//! What models of Anthropic take, by the generation that their names tell.
//!
//! Since 4.6 a model can find out itself how much to think; since 4.7 it insists on that, and refuses figures that steer
//! sampling. Names that tell no generation are taken for older: other providers speak the dialect as it was then.

/// A generation: `(4, 6)` of `claude-opus-4-6`, `(3, 7)` of `claude-3-7-sonnet-20250219`, `(5, 0)` of `claude-sonnet-5`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Generation(u16, u16);

impl Generation {
    /// Reads a model's name, with whatever stands before and after.
    pub(super) fn of(model: &str) -> Option<Self> {
        let (_, name) = model.split_once("claude-")?;
        let mut words = name.split(['-', '.', '@', ':']).skip_while(|word| version(word).is_none());
        let major = words.next().and_then(version)?;
        let minor = words.next().and_then(version).unwrap_or(0);
        Some(Self(major, minor))
    }

    /// Whether it can find out itself how much to think.
    pub(super) fn is_adaptive(model: Option<Self>) -> bool {
        model >= Some(Self(4, 6))
    }

    /// Whether it takes only one of `temperature` and `top_p`.
    pub(super) fn takes_one_figure(model: Option<Self>) -> bool {
        model >= Some(Self(4, 1))
    }

    /// Whether it takes neither a budget for thinking nor figures that steer sampling.
    pub(super) fn is_only_adaptive(model: Option<Self>) -> bool {
        model >= Some(Self(4, 7))
    }
}

/// A number of a version; a date has more digits.
fn version(word: &str) -> Option<u16> {
    if word.len() > 2 { None } else { word.parse().ok() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_tells_its_generation() {
        for (name, generation) in [
            ("claude-opus-4-6", Some((4, 6))),
            ("claude-sonnet-5", Some((5, 0))),
            ("claude-sonnet-4-5-20250929", Some((4, 5))),
            ("claude-opus-4-20250514", Some((4, 0))),
            ("claude-opus-4-1@20250805", Some((4, 1))),
            ("claude-3-7-sonnet-20250219", Some((3, 7))),
            ("claude-3-5-haiku-latest", Some((3, 5))),
            ("claude-3-haiku-20240307", Some((3, 0))),
            ("us.anthropic.claude-haiku-4-5-20251001-v1:0", Some((4, 5))),
            ("anthropic/claude-4.6-opus", Some((4, 6))),
            ("claude-instant", None),
            ("kimi-k2", None),
        ] {
            assert_eq!(Generation::of(name).map(|Generation(a, b)| (a, b)), generation, "{name}");
        }
        assert!(!Generation::is_adaptive(None) && !Generation::is_adaptive(Some(Generation(4, 5))));
        assert!(Generation::is_only_adaptive(Some(Generation(5, 0))));
    }
}
