//! What to do after a failed attempt. A decision of the failure's kind, the rules of the model and what was tried.

use std::time::Duration;

use crate::config::settings::Settings;
use crate::config::snapshot::{Dispatch, Model, Routing};
use crate::error::{Fault, GatewayError, RefusalClass, UpstreamError, UpstreamRefusal};

/// First wait before the same target is asked again; doubles each time (§6.5).
const FIRST_BACKOFF: Duration = Duration::from_millis(250);
/// Longest of those waits.
const LONGEST_BACKOFF: Duration = Duration::from_secs(2);
/// Spread of the waits, so that callers who failed together do not come back together.
const JITTER_MS: u64 = 250;
/// Longest hint of a provider that is waited for.
const LONGEST_HINT: Duration = Duration::from_secs(5);

/// The next step.
#[derive(Debug, PartialEq, Eq)]
pub enum Step {
    /// The caller gets the error.
    Never,
    /// The same target again, after a wait.
    SameTarget(Duration),
    /// The next candidate, at once.
    NextCandidate,
    /// The next candidate that takes longer conversations, at once.
    LargerCandidate,
}

/// The retry rules of one candidate.
pub struct Rules<'a> {
    routing: Option<&'a Routing>,
    has_more: bool,
    /// Tries that the operator asked for at the target or the routing model.
    explicit: Option<u32>,
    /// Tries that every target gets where nobody asked and nobody else is left.
    default: u32,
    used: u32,
}

impl<'a> Rules<'a> {
    /// The rules for a target of a model.
    #[must_use]
    pub fn of(settings: &Settings, model: &'a Model, target: &Model, has_more: bool) -> Self {
        let routing = match &model.dispatch {
            Dispatch::Routing(routing) => Some(routing),
            Dispatch::Direct(_) => None,
        };
        let own = match &target.dispatch {
            Dispatch::Direct(direct) => direct.retries,
            Dispatch::Routing(_) => None,
        };
        let explicit = own.or(routing.and_then(|routing| routing.retries));
        let default = if has_more { 0 } else { settings.upstream.retries };
        Self { routing, has_more, explicit, default, used: 0 }
    }

    /// How often the same target is asked again; one that was slow, only on an operator's word.
    #[must_use]
    pub fn tries(&self) -> u32 {
        self.explicit.unwrap_or(self.default)
    }

    /// Decides, and counts the try that it allows. `left` is the time that the request has; no limit where absent.
    pub fn next(&mut self, error: &GatewayError, left: Option<Duration>) -> Step {
        if left.is_some_and(|left| left.is_zero()) {
            return Step::Never;
        }
        if let Some(step) = self.by_class(error) {
            return step;
        }
        let (may_repeat, may_move) = self.allowed(error);
        let tries = match error {
            // A slow target stays slow: only an operator's word makes it be asked again.
            GatewayError::Upstream(UpstreamError::Late { .. }) => self.explicit.unwrap_or(0),
            _ => self.tries(),
        };
        if may_repeat && self.used < tries {
            self.used += 1;
            let wait = self.wait(error);
            if left.is_none_or(|left| wait < left) {
                return Step::SameTarget(wait);
            }
        }
        if may_move { Step::NextCandidate } else { Step::Never }
    }

    /// What another target may see differently, where the operator says so.
    fn by_class(&self, error: &GatewayError) -> Option<Step> {
        let GatewayError::Upstream(UpstreamError::Refused(refusal)) = error else { return None };
        let rules = self.routing?.fallback_on;
        match refusal.class() {
            RefusalClass::ContextLength if rules.context_length => Some(Step::LargerCandidate),
            RefusalClass::ContentPolicy if rules.content_policy => Some(Step::NextCandidate),
            _ => None,
        }
    }

    /// Whether the same target, and whether another, may be asked after this failure (§6.4).
    fn allowed(&self, error: &GatewayError) -> (bool, bool) {
        match error {
            GatewayError::Upstream(UpstreamError::Refused(refusal)) => match refusal.status {
                Some(status @ 400..=499) => {
                    let listed =
                        self.routing.is_some_and(|rules| rules.fallback_on_statuses.contains(&status));
                    let again = self.routing.is_some_and(|rules| status == 429 && rules.retry_on_429);
                    // Nobody else is free, and the provider says when it is.
                    let told = status == 429 && !self.has_more && short_hint(refusal).is_some();
                    (listed || again || told, listed || again || (status == 429 && self.has_more))
                }
                _ => (true, true),
            },
            GatewayError::Upstream(_) => (true, true),
            // The target's own limit or budget, or what it cannot do: another target may.
            GatewayError::Limit(_) | GatewayError::Uncounted | GatewayError::Budget(_) => (false, true),
            GatewayError::Fault(fault) => match fault {
                Fault::NotImplemented { .. } | Fault::ProviderUnavailable(_) | Fault::ProviderBusy(_) => {
                    (false, true)
                }
                Fault::AllUnavailable { .. } | Fault::Panic => (false, false),
            },
            GatewayError::Request(_)
            | GatewayError::Access(_)
            | GatewayError::Policy(_)
            | GatewayError::Admin(_) => (false, false),
        }
    }

    fn wait(&self, error: &GatewayError) -> Duration {
        let hint = match error {
            GatewayError::Upstream(UpstreamError::Refused(refusal)) => short_hint(refusal),
            _ => None,
        };
        let base = match hint {
            Some(hint) => hint,
            None => (FIRST_BACKOFF * 2u32.saturating_pow(self.used.saturating_sub(1))).min(LONGEST_BACKOFF),
        };
        base + Duration::from_millis(fastrand::u64(0..=JITTER_MS))
    }
}

/// What the provider says of when to come back, where that is worth waiting for.
fn short_hint(refusal: &UpstreamRefusal) -> Option<Duration> {
    refusal.retry_after.filter(|hint| !hint.is_zero() && *hint <= LONGEST_HINT)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::RequestError;

    fn status(status: u16, retry_after: Option<u64>) -> GatewayError {
        let retry_after = retry_after.map(Duration::from_secs);
        let refusal = UpstreamRefusal { status: Some(status), retry_after, ..UpstreamRefusal::default() };
        GatewayError::Upstream(UpstreamError::Refused(Box::new(refusal)))
    }

    fn rules(explicit: Option<u32>, has_more: bool) -> Rules<'static> {
        Rules { routing: None, has_more, explicit, default: if has_more { 0 } else { 1 }, used: 0 }
    }

    #[test]
    fn a_servers_failure_is_tried_again_here_and_then_elsewhere() {
        let mut alone = rules(None, false);
        assert!(matches!(alone.next(&status(500, None), None), Step::SameTarget(_)));
        assert_eq!(alone.next(&status(500, None), None), Step::NextCandidate);
        assert_eq!(rules(None, true).next(&status(503, None), None), Step::NextCandidate);
    }

    #[test]
    fn a_callers_mistake_is_not_repeated() {
        for code in [400, 401, 403, 404, 422] {
            assert_eq!(rules(Some(3), true).next(&status(code, None), None), Step::Never, "{code}");
        }
        assert_eq!(rules(Some(3), true).next(&RequestError::invalid("x").into(), None), Step::Never);
    }

    #[test]
    fn a_full_target_passes_the_request_on() {
        assert_eq!(rules(None, true).next(&status(429, Some(9)), None), Step::NextCandidate);
        assert_eq!(rules(Some(2), false).next(&status(429, None), None), Step::Never);
    }

    #[test]
    fn a_full_target_is_waited_for_where_nobody_else_is_free_and_there_is_time() {
        let told = status(429, Some(2));
        let mut alone = rules(None, false);
        assert!(matches!(alone.next(&told, None), Step::SameTarget(wait) if wait >= Duration::from_secs(2)));
        assert_eq!(alone.next(&told, None), Step::Never, "as often as every failure");
        assert_eq!(rules(None, false).next(&status(429, Some(6)), None), Step::Never, "too long");
        let short = Some(Duration::from_secs(1));
        assert_eq!(rules(None, false).next(&told, short), Step::Never, "no time");
        assert_eq!(rules(None, true).next(&told, None), Step::NextCandidate, "somebody is free");
    }

    #[test]
    fn nothing_is_tried_when_the_time_is_over() {
        assert_eq!(rules(Some(3), true).next(&status(500, None), Some(Duration::ZERO)), Step::Never);
    }

    #[test]
    fn a_slow_target_is_asked_again_only_on_an_operators_word() {
        let late = GatewayError::Upstream(UpstreamError::Late { after: Duration::from_secs(1) });
        assert_eq!(rules(None, false).next(&late, None), Step::NextCandidate);
        assert!(matches!(rules(Some(1), false).next(&late, None), Step::SameTarget(_)));
    }

    #[test]
    fn the_wait_grows_and_follows_a_short_hint() {
        let mut rules = rules(Some(9), false);
        for base in [250, 500, 1000, 2000, 2000] {
            let Step::SameTarget(wait) = rules.next(&status(500, None), None) else { panic!("a retry") };
            let base = Duration::from_millis(base);
            assert!(wait >= base && wait <= base + Duration::from_millis(JITTER_MS), "{wait:?}");
        }
        let Step::SameTarget(wait) = rules.next(&status(503, Some(3)), None) else { panic!("a retry") };
        assert!(wait >= Duration::from_secs(3) && wait < Duration::from_secs(4));
    }
}
