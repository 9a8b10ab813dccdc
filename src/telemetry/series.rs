//! A row of the meters: one set of labels, and everything that is counted under it.
//!
//! One row feeds many families; which, is worked out when somebody scrapes. A row is written by one worker only.

use std::hash::{BuildHasher, Hash, Hasher};
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering::Relaxed};

use aisix_actors::types::MicroUsd;

use super::record::{Attempt, Record};
use super::spread::{Buckets, Cell, Spread};
use crate::config::snapshot::{Direct, Dispatch, Model};
use crate::dialect::Usage;
use crate::endpoints;
use crate::error::Kind;

/// What a row is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Part {
    /// A whole exchange, with its last attempt.
    Exchange,
    /// An attempt that was not the last.
    Attempt,
}

/// The labels of a row that are no texts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Marks {
    /// What it is about.
    pub part: Part,
    /// The place of the endpoint in the table.
    pub place: u8,
    /// Whether a target was chosen: a hit of the cache needs none.
    pub is_asked: bool,
    /// Whether the caller asked for a stream.
    pub is_stream: bool,
    /// Whether a later target answered.
    pub is_fallback: bool,
    /// What the caller saw, or would have seen.
    pub status: u16,
}

/// The labels of a row that are texts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(usize)]
pub enum Text {
    /// The model that the caller named.
    Model,
    /// The provider that was asked.
    Provider,
    /// The provider's name for the model.
    UpstreamModel,
    /// The provider key.
    ProviderKeyId,
    /// What the provider key is called.
    ProviderKeyName,
    /// The direct model that was asked.
    Target,
    /// Its id, or that of the model that the caller named.
    TargetId,
    /// The caller's key.
    ApiKeyId,
    /// The team that pays.
    TeamId,
    /// The person behind the key.
    UserId,
    /// What that person is called.
    UserName,
}

/// How many texts a row has.
pub const TEXTS: usize = Text::UserName as usize + 1;

/// Values that stand where nothing better may.
#[derive(Debug)]
pub struct Words {
    /// A dimension that is missing.
    pub unknown: Arc<str>,
    /// A model that nobody configured: a caller's own words are no label.
    pub unresolved: Arc<str>,
    /// What does not get a row of its own.
    pub other: Arc<str>,
    /// No id.
    pub none: Arc<str>,
}

impl Default for Words {
    fn default() -> Self {
        Self {
            unknown: "unknown".into(),
            unresolved: "unresolved".into(),
            other: "other".into(),
            none: "".into(),
        }
    }
}

/// The labels of a row, borrowed for a look-up.
#[derive(Debug, Clone, Copy)]
pub struct Labels<'a> {
    /// Those that are no texts.
    pub marks: Marks,
    /// Those that are.
    pub texts: [&'a Arc<str>; TEXTS],
}

impl<'a> Labels<'a> {
    /// The labels of an exchange, or of one of its attempts.
    #[must_use]
    pub fn of(words: &'a Words, record: &Record<'a>, attempt: Option<&'a Attempt>, marks: Marks) -> Self {
        let Words { unknown, unresolved, none, .. } = words;
        let is_unresolved = record.failure.is_some_and(|failure| failure.kind == Kind::ModelNotFound);
        let named = record.model.map(|resolved| &resolved.model);
        let asked = attempt.map(|attempt| &attempt.target).or(named);
        let direct = asked.and_then(|model| direct(model));
        let known = |text: Option<&'a Arc<str>>| text.unwrap_or(unknown);
        let caller = record.caller;
        let texts = [
            known(named.map(|model| &model.name).or(is_unresolved.then_some(unresolved))),
            known(direct.map(|direct| &direct.provider_label)),
            known(direct.map(|direct| &direct.upstream_model)),
            known(direct.map(|direct| &direct.provider_key)),
            known(direct.map(|direct| &direct.provider_key_name)),
            known(direct.and(asked).map(|model| &model.name)),
            asked.map_or(none, |model| &model.id),
            known(caller.map(|caller| &caller.id)),
            known(caller.and_then(|caller| caller.team_id.as_ref())),
            known(caller.and_then(|caller| caller.user_id.as_ref())),
            known(caller.and_then(|caller| caller.user_name.as_ref())),
        ];
        Self { marks, texts }
    }

    /// The same without the caller, for when there are too many rows.
    #[must_use]
    pub fn without_caller(mut self, words: &'a Words) -> Self {
        self.texts[Text::ApiKeyId as usize..].fill(&words.other);
        self
    }

    /// The same with neither caller nor model.
    #[must_use]
    pub fn without_model(mut self, words: &'a Words) -> Self {
        self.texts.fill(&words.other);
        self
    }

    /// A hash of what mostly differs between rows.
    #[must_use]
    pub fn hash(&self, state: &impl BuildHasher) -> u64 {
        let mut hasher = state.build_hasher();
        self.marks.hash(&mut hasher);
        for text in [Text::Model, Text::TargetId, Text::ApiKeyId] {
            hasher.write(self.texts[text as usize].as_bytes());
        }
        hasher.finish()
    }
}

fn direct(model: &Model) -> Option<&Direct> {
    match &model.dispatch {
        Dispatch::Direct(direct) => Some(direct),
        Dispatch::Routing(_) => None,
    }
}

/// What becomes of the rows with some labels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Fate {
    /// They stay.
    Stays,
    /// Their caller is not known any more: they go on among those without one.
    LosesCaller,
    /// Their model is not known any more: they go on among those with neither.
    LosesModel,
}

/// See the module.
#[derive(Debug)]
pub struct Row {
    /// What becomes of it, a [`Fate`]; shared by all rows with its labels.
    pub fate: Arc<AtomicU8>,
    /// The labels that are no texts.
    pub marks: Marks,
    /// The labels that are.
    pub texts: [Arc<str>; TEXTS],
    /// Exchanges or attempts.
    pub count: Cell,
    /// Those of them for which a provider was asked.
    pub sent: Cell,
    /// Those of them whose caller left before the head of the answer.
    pub cancelled: Cell,
    /// Usage records made of them.
    pub events: Cell,
    /// Usage records that found no room in the queue.
    pub drops_full: Cell,
    /// Usage records that found nobody to write them.
    pub drops_closed: Cell,
    /// Tokens sent.
    pub input: Cell,
    /// Tokens received.
    pub output: Cell,
    /// Tokens in all, as the provider counts them.
    pub total: Cell,
    /// Micro-dollars.
    pub spend: Cell,
    /// How long it took; only for exchanges.
    pub times: Option<Times>,
    /// How the caller's limits stood last.
    pub standing: Standing,
}

/// What is known of the times of an exchange.
#[derive(Debug)]
pub struct Times {
    /// Until the response was handed over.
    pub duration: Spread,
    /// Until the exchange was over.
    pub e2e: Buckets,
    /// Until the first event of a stream, for streams.
    pub first: Option<FirstEvent>,
}

/// How long the first event of a stream took.
#[derive(Debug)]
pub struct FirstEvent {
    /// From the start of the attempt.
    pub upstream: Spread,
    /// From the start of the exchange.
    pub downstream: Buckets,
}

/// How the caller's limits stood at the last exchange of a row.
#[derive(Debug, Default)]
pub struct Standing {
    /// The minute of the Unix clock that this is true of; zero for none.
    pub minute: Cell,
    /// Requests left, plus one; zero where there is no limit.
    pub requests: Cell,
    /// Tokens left, plus one; zero where there is no limit.
    pub tokens: Cell,
}

impl Row {
    /// An empty row with these labels; `edges` are the numbers of edges of the two histograms.
    #[must_use]
    pub fn new(labels: &Labels<'_>, edges: (usize, usize)) -> Self {
        let Marks { part, is_stream, .. } = labels.marks;
        let first = || FirstEvent { upstream: Spread::default(), downstream: Buckets::new(edges.1) };
        let times = || Times {
            duration: Spread::default(),
            e2e: Buckets::new(edges.0),
            first: is_stream.then(first),
        };
        Self {
            fate: Arc::default(),
            marks: labels.marks,
            texts: labels.texts.map(Arc::clone),
            count: Cell::default(),
            sent: Cell::default(),
            cancelled: Cell::default(),
            events: Cell::default(),
            drops_full: Cell::default(),
            drops_closed: Cell::default(),
            input: Cell::default(),
            output: Cell::default(),
            total: Cell::default(),
            spend: Cell::default(),
            times: (part == Part::Exchange).then(times),
            standing: Standing::default(),
        }
    }

    /// What becomes of it.
    #[must_use]
    pub fn fate(&self) -> Fate {
        let fate = self.fate.load(Relaxed);
        let fates = [Fate::LosesCaller, Fate::LosesModel];
        fates.into_iter().find(|known| *known as u8 == fate).unwrap_or(Fate::Stays)
    }

    /// Its labels.
    #[must_use]
    pub fn labels(&self) -> Labels<'_> {
        Labels { marks: self.marks, texts: self.texts.each_ref() }
    }

    /// Counts what a target has delivered.
    pub fn add_tokens(&self, usage: &Usage, cost: MicroUsd) {
        self.input.add(usage.prompt);
        self.output.add(usage.completion);
        self.total.add(usage.total);
        self.spend.add(cost.0);
    }

    /// Everything that only grows and is no time.
    fn counters(&self) -> [&Cell; 10] {
        let Self { count, sent, cancelled, events, drops_full, drops_closed, .. } = self;
        let Self { input, output, total, spend, .. } = self;
        [count, sent, cancelled, events, drops_full, drops_closed, input, output, total, spend]
    }

    /// Adds what another row has counted; for the one writer. How limits stood is of that caller only.
    pub fn absorb(&self, other: &Self) {
        self.counters().into_iter().zip(other.counters()).for_each(|(own, other)| own.add(other.read()));
        if let (Some(own), Some(other)) = (&self.times, &other.times) {
            own.duration.absorb(&other.duration);
            own.e2e.absorb(&other.e2e);
            if let (Some(own), Some(other)) = (&own.first, &other.first) {
                own.upstream.absorb(&other.upstream);
                own.downstream.absorb(&other.downstream);
            }
        }
    }

    /// Whether it has these labels.
    #[must_use]
    pub fn has(&self, labels: &Labels<'_>) -> bool {
        let same = |(own, other): (&Arc<str>, &&Arc<str>)| Arc::ptr_eq(own, other) || **own == ***other;
        self.marks == labels.marks && self.texts.iter().zip(&labels.texts).all(same)
    }

    /// One of its texts.
    #[must_use]
    pub fn text(&self, text: Text) -> &str {
        &self.texts[text as usize]
    }

    /// Its endpoint.
    #[must_use]
    pub fn endpoint(&self) -> Option<&'static endpoints::Endpoint> {
        endpoints::ENDPOINTS.get(usize::from(self.marks.place))
    }
}
