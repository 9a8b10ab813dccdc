//! What a provider does with one request.

use std::time::Duration;

use fastrand::Rng;

/// How a connection ends before the answer does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Break {
    /// With a TCP reset.
    Reset,
    /// Closed in the middle.
    Close,
    /// As if all were said.
    End,
}

/// See the module. Places are counts of words.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Conduct {
    Well,
    Huge,
    /// A word that guardrails may mind.
    BadWord,
    /// A tool is called after the words.
    Tool,
    /// A pause after each piece.
    Slow(Duration),
    Status(u16),
    Limited(Option<u64>),
    ContextLength,
    Reset,
    Silent,
    LateHead(Duration),
    LateFirst(Duration),
    LateToken(Duration),
    /// The head, the first event and the first token each as late.
    LateAll(Duration),
    Cut(usize, Break),
    ToolCut(Break),
    Stall(usize),
    InBand(usize, Option<u16>),
    Malformed(usize),
    NoLastWord,
    FinishedCut(Break),
    Garbled,
    /// A whole answer where a stream was asked for, and the other way round.
    Swapped,
    /// The same, and it does not come to its end.
    SwappedStall,
    Page,
}

impl Conduct {
    /// The conduct towards one request.
    pub fn of(rng: &mut Rng) -> Self {
        let late = |rng: &mut Rng| Duration::from_millis(rng.u64(20..900));
        let place = rng.usize(..4);
        let way = rng.choice([Break::Reset, Break::Close, Break::End]).expect("some");
        match rng.u32(..100) {
            0..25 => Self::Well,
            25..32 => Self::Cut(1 + place, way),
            32..34 => Self::Huge,
            34..38 => Self::BadWord,
            38..41 => Self::Tool,
            41..44 => Self::Slow(Duration::from_millis(rng.u64(5..60))),
            44..50 => {
                Self::Status(rng.choice([400, 401, 403, 404, 408, 422, 500, 502, 503, 529]).expect("some"))
            }
            50..54 => Self::Limited(rng.choice([None, Some(0), Some(1), Some(30)]).expect("some")),
            54..56 => Self::ContextLength,
            56..59 => Self::Reset,
            59..62 => Self::Silent,
            62..65 => Self::LateHead(late(rng)),
            65..67 => Self::LateFirst(late(rng)),
            67 => Self::LateToken(late(rng)),
            68 => Self::LateAll(late(rng)),
            69..76 => Self::Cut(place, way),
            76..78 => Self::ToolCut(way),
            78..82 => Self::Stall(place),
            82..87 => Self::InBand(place, rng.choice([None, Some(429), Some(500), Some(400)]).expect("some")),
            87..90 => Self::Malformed(place),
            90..92 => Self::NoLastWord,
            92..94 => Self::FinishedCut(way),
            94..96 => Self::Garbled,
            96..98 => Self::Swapped,
            98 => Self::SwappedStall,
            _ => Self::Page,
        }
    }

    /// Whether an answer may be finished that is as this one, given time.
    pub fn may_finish(self) -> bool {
        match self {
            Self::Well
            | Self::Huge
            | Self::BadWord
            | Self::Tool
            | Self::Slow(_)
            | Self::LateHead(_)
            | Self::LateFirst(_)
            | Self::LateToken(_)
            | Self::LateAll(_)
            | Self::Malformed(_)
            | Self::NoLastWord
            | Self::FinishedCut(_) => true,
            Self::Status(_)
            | Self::Limited(_)
            | Self::ContextLength
            | Self::Reset
            | Self::Silent
            | Self::Cut(..)
            | Self::ToolCut(_)
            | Self::Stall(_)
            | Self::InBand(..)
            | Self::Garbled
            | Self::Swapped
            | Self::SwappedStall
            | Self::Page => false,
        }
    }

    /// The statuses that an unstreamed answer, or one that has not begun, may have for it.
    pub fn statuses(self) -> Vec<u16> {
        match self {
            Self::Well | Self::Tool | Self::NoLastWord | Self::Malformed(_) => vec![200],
            Self::BadWord => vec![200, 422],
            Self::Huge => vec![200, 502],
            Self::Slow(_)
            | Self::LateHead(_)
            | Self::LateFirst(_)
            | Self::LateToken(_)
            | Self::LateAll(_) => vec![200],
            Self::Status(status @ 400..=499) => vec![status],
            Self::Limited(_) => vec![429],
            Self::ContextLength => vec![400],
            Self::InBand(_, Some(status @ 400..=499)) => vec![200, 502, status],
            Self::FinishedCut(_) | Self::Cut(..) | Self::ToolCut(_) | Self::InBand(..) | Self::Swapped => {
                vec![200, 502]
            }
            Self::Stall(_) => vec![200],
            Self::Status(_) | Self::Reset | Self::Garbled | Self::Page => vec![502],
            Self::Silent | Self::SwappedStall => vec![504],
        }
    }
}
