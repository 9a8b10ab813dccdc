//! What a request must be like for a policy to hold.

use std::sync::Arc;

use regex::Regex;

use super::{By, Dimension, Subject};

/// A condition, or some of them.
#[derive(Debug)]
pub enum Condition {
    /// What one dimension must be; false where the request has no such thing.
    Leaf {
        /// The dimension.
        dimension: Dimension,
        /// What it must be.
        test: Test,
        /// Whether the opposite must hold.
        negate: bool,
    },
    /// All of them, or one.
    Group {
        /// Whether one is enough.
        is_any: bool,
        /// The conditions.
        children: Vec<Condition>,
        /// Whether the opposite must hold.
        negate: bool,
    },
}

/// What a dimension must be.
#[derive(Debug)]
pub enum Test {
    /// One of these.
    In(Vec<Arc<str>>),
    /// Anything but this.
    Not(Arc<str>),
    /// Something that the pattern is found in.
    Like(Regex),
}

impl Test {
    /// Whether one of what a request has under a dimension is as it must be; for [`Test::Not`], all of it.
    fn holds<'v>(&self, values: impl Iterator<Item = &'v str>) -> bool {
        let mut values = values.peekable();
        match self {
            _ if values.peek().is_none() => false,
            Self::In(wanted) => values.any(|value| wanted.iter().any(|wanted| **wanted == *value)),
            Self::Not(unwanted) => values.all(|value| **unwanted != *value),
            Self::Like(pattern) => values.any(|value| pattern.is_match(value)),
        }
    }
}

impl Condition {
    /// Whether it holds for a request.
    pub(super) fn holds_for(&self, subject: &Subject<'_>) -> bool {
        match self {
            Self::Leaf { dimension, test, negate } => leaf(*dimension, test, subject) != *negate,
            Self::Group { is_any, children, negate } => {
                let mut holds = children.iter().map(|child| child.holds_for(subject));
                let holds = if *is_any { holds.any(|holds| holds) } else { holds.all(|holds| holds) };
                holds != *negate
            }
        }
    }

    /// What it names, and by which dimension.
    pub(super) fn names(&self) -> Vec<(Dimension, &str)> {
        match self {
            Self::Leaf { dimension, test: Test::In(names), .. } => {
                names.iter().map(|name| (*dimension, &**name)).collect()
            }
            Self::Leaf { dimension, test: Test::Not(name), .. } => vec![(*dimension, &**name)],
            Self::Leaf { test: Test::Like(_), .. } => Vec::new(),
            Self::Group { children, .. } => children.iter().flat_map(Self::names).collect(),
        }
    }

    /// The ids without one of which it cannot hold.
    pub(super) fn keys(&self) -> Option<(By, Vec<Arc<str>>)> {
        match self {
            Self::Leaf { dimension, test: Test::In(ids), negate: false } => {
                let key = match dimension {
                    Dimension::Team => By::Team,
                    Dimension::Member => By::Member,
                    Dimension::ApiKey => By::ApiKey,
                    Dimension::Model => By::Model,
                    Dimension::ModelName | Dimension::Provider => return None,
                };
                Some((key, ids.clone()))
            }
            Self::Group { is_any: false, children, negate: false } => children.iter().find_map(Self::keys),
            Self::Leaf { .. } | Self::Group { .. } => None,
        }
    }

    /// Whether it goes by the model that answers.
    #[must_use]
    pub fn is_of_target(&self) -> bool {
        match self {
            Self::Leaf { dimension, .. } => dimension.is_of_target(),
            Self::Group { children, .. } => children.iter().any(Self::is_of_target),
        }
    }
}

fn leaf(dimension: Dimension, test: &Test, subject: &Subject<'_>) -> bool {
    let caller = subject.caller;
    match dimension {
        Dimension::Team => test.holds(caller.team_id.as_deref().into_iter()),
        Dimension::Member => test.holds(caller.user_id.as_deref().into_iter()),
        Dimension::ApiKey => test.holds(std::iter::once(&*caller.id)),
        Dimension::Model => test.holds(subject.models().map(|model| &*model.id)),
        Dimension::ModelName => {
            let sent = subject.named.map(|(_, sent)| sent);
            test.holds(subject.models().map(|model| &*model.name).chain(sent))
        }
        Dimension::Provider => test.holds(subject.provider().into_iter()),
    }
}
