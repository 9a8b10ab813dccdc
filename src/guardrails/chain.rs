//! Which guardrails govern a request (§10.1): attachments in order of priority, and of how closely they aim.

use std::cmp::Reverse;
use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use smallvec::SmallVec;

use super::{Guardrail, Hook};

/// What an attachment aims at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Scope {
    /// Every request.
    Env,
    /// Requests for a model, by the id of what the caller named.
    Model(Arc<str>),
    /// Requests of a team's keys.
    Team(Arc<str>),
    /// Requests of one key.
    ApiKey(Arc<str>),
}

impl Scope {
    /// How closely it aims.
    fn closeness(&self) -> u8 {
        match self {
            Self::Env => 0,
            Self::Model(_) => 1,
            Self::Team(_) => 2,
            Self::ApiKey(_) => 3,
        }
    }

    fn covers(&self, subject: &Subject<'_>) -> bool {
        match self {
            Self::Env => true,
            Self::Model(id) => **id == *subject.model_id,
            Self::Team(id) => subject.team_id == Some(&**id),
            Self::ApiKey(id) => **id == *subject.api_key_id,
        }
    }
}

/// Who asks for what.
#[derive(Debug, Clone, Copy)]
pub struct Subject<'a> {
    /// The model that the caller named.
    pub model_id: &'a str,
    /// The caller's key.
    pub api_key_id: &'a str,
    /// The caller's team.
    pub team_id: Option<&'a str>,
}

/// A guardrail and what it is attached to.
#[derive(Debug, Clone)]
pub struct Attachment {
    /// The guardrail, by id.
    pub guardrail: Arc<str>,
    /// Whether it is in force.
    pub enabled: bool,
    /// What it aims at.
    pub scope: Scope,
    /// Higher ones come first.
    pub priority: i32,
}

/// Every guardrail of a configuration, in the order in which they judge.
#[derive(Debug, Default)]
pub struct Guardrails {
    attached: Vec<(Scope, Arc<Guardrail>)>,
}

impl Guardrails {
    /// Orders enabled guardrails. One that no attachment names at all is attached to everything; one that is named only by
    /// attachments that are not in force governs nothing.
    #[must_use]
    pub fn new(guardrails: &[Arc<Guardrail>], attachments: &[Attachment]) -> Self {
        let named: HashSet<&str> = attachments.iter().map(|attachment| &*attachment.guardrail).collect();
        let mut ranked = Vec::new();
        for guardrail in guardrails {
            let created = guardrail.created_at.unwrap_or(Duration::MAX);
            let mut add = |priority: i32, scope: Scope| {
                ranked.push((
                    (Reverse(priority), Reverse(scope.closeness()), created),
                    scope,
                    guardrail.clone(),
                ));
            };
            if !named.contains(&*guardrail.id) {
                add(0, Scope::Env);
            }
            for own in attachments.iter().filter(|own| own.enabled && own.guardrail == guardrail.id) {
                add(own.priority, own.scope.clone());
            }
        }
        // Stable, so that equal ones stay in the order of declaration.
        ranked.sort_by_key(|(rank, _, _)| *rank);
        Self { attached: ranked.into_iter().map(|(_, scope, guardrail)| (scope, guardrail)).collect() }
    }

    /// Whether no request is governed.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.attached.is_empty()
    }

    /// The guardrails that govern a request, each once and at its best place.
    #[must_use]
    pub fn chain(&self, subject: &Subject<'_>) -> Chain {
        let mut members: SmallVec<[Arc<Guardrail>; 4]> = SmallVec::new();
        for (scope, guardrail) in &self.attached {
            if scope.covers(subject) && !members.iter().any(|known| known.id == guardrail.id) {
                members.push(guardrail.clone());
            }
        }
        Chain { members }
    }
}

/// The guardrails of one request, in the order in which they judge.
#[derive(Debug, Clone, Default)]
pub struct Chain {
    members: SmallVec<[Arc<Guardrail>; 4]>,
}

impl Chain {
    /// All of them, in their order.
    pub fn members(&self) -> impl Iterator<Item = &Arc<Guardrail>> {
        self.members.iter()
    }

    /// Whether nobody judges.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.members.is_empty()
    }

    /// Those that judge at a hook.
    pub fn at(&self, hook: Hook) -> impl Iterator<Item = &Arc<Guardrail>> {
        self.members.iter().filter(move |member| member.hook_point.covers(hook))
    }

    /// Whether anybody judges at a hook.
    #[must_use]
    pub fn has(&self, hook: Hook) -> bool {
        self.at(hook).next().is_some()
    }
}

impl FromIterator<Arc<Guardrail>> for Chain {
    fn from_iter<T: IntoIterator<Item = Arc<Guardrail>>>(members: T) -> Self {
        Self { members: members.into_iter().collect() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::guardrails::screening::tests::keyword;

    fn names(guardrails: &Guardrails, model_id: &str, team_id: Option<&str>) -> Vec<String> {
        let chain = guardrails.chain(&Subject { model_id, api_key_id: "k", team_id });
        chain.at(Hook::Input).map(|member| member.name.to_string()).collect()
    }

    fn dated(name: &str, created: Option<u64>) -> Arc<Guardrail> {
        Arc::new(Guardrail { created_at: created.map(Duration::from_secs), ..keyword(name, &["x"]) })
    }

    fn attached(guardrail: &str, scope: Scope, priority: i32) -> Attachment {
        Attachment { guardrail: guardrail.into(), enabled: true, scope, priority }
    }

    #[test]
    fn priority_comes_first_then_closeness_then_age() {
        let all = ["a", "b", "c", "d", "e"].map(|name| dated(name, Some(u64::from(name.as_bytes()[0]))));
        let guardrails = Guardrails::new(
            &all,
            &[
                attached("a", Scope::Env, 0),
                attached("b", Scope::Model("m".into()), 0),
                attached("c", Scope::Team("t".into()), 0),
                attached("d", Scope::ApiKey("k".into()), 0),
                attached("e", Scope::Env, 1),
                attached("a", Scope::ApiKey("other".into()), 9),
            ],
        );
        assert_eq!(names(&guardrails, "m", Some("t")), ["e", "d", "c", "b", "a"]);
        assert_eq!(names(&guardrails, "n", None), ["e", "d", "a"]);
    }

    #[test]
    fn a_guardrail_without_attachments_is_everywhere_and_one_with_disabled_ones_nowhere() {
        let all =
            [dated("undated", None), dated("young", Some(9)), dated("old", Some(1)), dated("off", None)];
        let off = Attachment { enabled: false, ..attached("off", Scope::Env, 5) };
        let guardrails = Guardrails::new(&all, &[off]);
        assert_eq!(names(&guardrails, "m", None), ["old", "young", "undated"]);
        assert!(Guardrails::default().is_empty() && !guardrails.is_empty());
    }

    #[test]
    fn one_that_is_attached_twice_judges_once_at_its_best_place() {
        let all = [dated("twice", None), dated("once", None)];
        let guardrails = Guardrails::new(
            &all,
            &[
                attached("twice", Scope::Env, 0),
                attached("once", Scope::Env, 1),
                attached("twice", Scope::Model("m".into()), 2),
            ],
        );
        assert_eq!(names(&guardrails, "m", None), ["twice", "once"]);
        assert_eq!(names(&guardrails, "n", None), ["once", "twice"]);
    }
}
