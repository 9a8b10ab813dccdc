//! The names of buckets: requests with the same name share their counts.

use std::sync::Arc;

use aisix_actors::rate_limiter::Scope;

use super::{Dimension, Subject, Whose};

/// Which requests share a bucket.
#[derive(Debug)]
pub enum Grouping {
    /// All of them.
    Shared(Arc<Scope>),
    /// Those that are alike in these dimensions.
    By {
        /// What every bucket's name begins with.
        prefix: Arc<str>,
        /// The dimensions, in the order of the name; of the classic form the member alone, without its name.
        dimensions: Dimensions,
    },
}

/// How the rest of a bucket's name is made.
#[derive(Debug)]
pub enum Dimensions {
    /// `:<dimension>=<value>` for each.
    Named(Vec<Dimension>),
    /// `:<member>`.
    Member,
}

/// What the names of a policy's buckets begin with: that of what it is for, where it is for one thing.
#[must_use]
pub fn prefix(policy_id: &str, of: Option<(Whose, &str)>) -> String {
    let mut prefix = String::from("policy:");
    match of {
        Some((whose, id)) => {
            prefix.push_str(whose.as_str());
            prefix.push(':');
            push_escaped(&mut prefix, id);
        }
        None => prefix.push_str("v2"),
    }
    prefix.push(':');
    push_escaped(&mut prefix, policy_id);
    prefix
}

/// The name of a request's bucket; nothing where it has not all that the name needs.
pub(super) fn id(prefix: &str, dimensions: &Dimensions, subject: &Subject<'_>) -> Option<String> {
    let mut id = String::with_capacity(prefix.len() + 48);
    id.push_str(prefix);
    match dimensions {
        Dimensions::Member => {
            id.push(':');
            push_escaped(&mut id, value(Dimension::Member, subject)?);
        }
        Dimensions::Named(dimensions) => {
            for dimension in dimensions {
                let value = value(*dimension, subject)?;
                id.push(':');
                id.push_str(dimension.as_str());
                id.push('=');
                push_escaped(&mut id, value);
            }
        }
    }
    Some(id)
}

/// What a request has under a dimension; of models the one that answers.
fn value<'a>(dimension: Dimension, subject: &Subject<'a>) -> Option<&'a str> {
    match dimension {
        Dimension::Team => subject.caller.team_id.as_deref(),
        Dimension::Member => subject.caller.user_id.as_deref(),
        Dimension::ApiKey => Some(&subject.caller.id),
        Dimension::Model => subject.models().next().map(|model| &*model.id),
        Dimension::ModelName => subject.models().next().map(|model| &*model.name),
        Dimension::Provider => subject.provider(),
    }
}

/// Adds a value so that no other one reads the same.
fn push_escaped(out: &mut String, value: &str) {
    for character in value.chars() {
        match character {
            '%' => out.push_str("%25"),
            ':' => out.push_str("%3A"),
            '=' => out.push_str("%3D"),
            other => out.push(other),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_begins_with_what_a_policy_is_for() {
        assert_eq!(prefix("p-1", None), "policy:v2:p-1");
        assert_eq!(prefix("p:1", Some((Whose::TeamMember, "red:x"))), "policy:team_member:red%3Ax:p%3A1");
    }

    #[test]
    fn a_value_cannot_pass_for_two() {
        for (value, expected) in [
            ("red", "red"),
            ("a:b", "a%3Ab"),
            ("a=b", "a%3Db"),
            ("100%", "100%25"),
            ("%3A", "%253A"),
            ("ü", "ü"),
        ] {
            let mut out = String::new();
            push_escaped(&mut out, value);
            assert_eq!(out, expected);
        }
    }
}
