//! How long to wait for a provider, and the clocks that watch a stream.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use futures::FutureExt;
use futures::future::Either;
use tokio::time::{Sleep, sleep_until, timeout};

use crate::config::settings::Settings;
use crate::config::snapshot::{Model, TimeoutRule};
use crate::error::UpstreamError;

/// The limits of one attempt (§6.6). `None` is no limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Patience {
    /// A whole unstreamed answer.
    pub whole: Option<Duration>,
    /// The head of the answer.
    pub head: Option<Duration>,
    /// Between two chunks of a stream.
    pub gap: Option<Duration>,
    /// A whole stream.
    pub stream: Option<Duration>,
    /// The first event of a stream; a comment is none. Later is a failure, and another target may be tried.
    pub first_event: Option<Duration>,
    /// The first token of a stream: what only opens it is none.
    pub first_token: Option<Duration>,
    /// All of it until the answer begins: what the request has left.
    pub beginning: Option<Duration>,
    /// How long the caller's 200 is withheld for the first event where nothing of it has a limit of its own.
    withheld: Duration,
}

impl Patience {
    /// Resolves the limits: target, then the routing model above it, then the deployment.
    #[must_use]
    pub fn of(settings: &Settings, target: &Model, parent: Option<&Model>) -> Self {
        let levels = [Some(target), parent];
        let resource = first_rule(levels.iter().flatten().map(|model| model.timeout));
        let streamed = first_rule(levels.iter().flatten().map(|model| model.stream_timeout));
        let from_resource = match streamed {
            TimeoutRule::Inherit => resource,
            rule => rule,
        };
        let gap = match from_resource {
            TimeoutRule::After(limit) => Some(limit),
            TimeoutRule::None => None,
            TimeoutRule::Inherit => settings.upstream.stream_timeout(),
        };
        let whole = match resource {
            TimeoutRule::After(limit) => Some(limit),
            TimeoutRule::None => None,
            TimeoutRule::Inherit => settings.upstream.timeout(),
        };
        let keepalive = settings.downstream.sse_keepalive_interval().unwrap_or(Duration::MAX);
        let (first_event, withheld) = match from_resource {
            TimeoutRule::After(limit) => (Some(limit), Duration::MAX),
            TimeoutRule::None | TimeoutRule::Inherit => (None, keepalive),
        };
        let head = settings.upstream.first_byte_timeout();
        let stream = settings.upstream.stream_total_timeout();
        let first_token = match first_rule(levels.iter().flatten().map(|model| model.ttft_timeout)) {
            TimeoutRule::After(limit) => Some(limit),
            TimeoutRule::None => None,
            TimeoutRule::Inherit => settings.upstream.ttft_timeout(),
        };
        Self { whole, head, gap, stream, first_event, first_token, beginning: None, withheld }
    }

    /// The same where the request has no more than `left` until its answer begins.
    #[must_use]
    pub fn cut_to(self, left: Option<Duration>) -> Self {
        let Some(left) = left else { return self };
        Self { whole: Some(self.whole.map_or(left, |limit| limit.min(left))), beginning: Some(left), ..self }
    }

    /// How long the caller's 200 is withheld. What has begun can go to no other target: where the beginning has a limit of
    /// its own, it is waited for.
    #[must_use]
    pub fn withheld(&self) -> Duration {
        match (self.first_event, self.first_token, self.beginning) {
            (None, None, None) => self.withheld,
            _ => Duration::MAX,
        }
    }

    /// The limit for the head of a streamed answer.
    #[must_use]
    pub fn stream_head(&self) -> Option<Duration> {
        [self.head, self.gap, self.first_token].into_iter().flatten().min()
    }
}

fn first_rule(mut rules: impl Iterator<Item = TimeoutRule>) -> TimeoutRule {
    rules.find(|rule| !matches!(rule, TimeoutRule::Inherit)).unwrap_or(TimeoutRule::Inherit)
}

/// Waits for `work` no longer than `limit`: `Late` with the limit that passed, or what `work` fails with.
///
/// Not an `async fn`: that would keep room for `work` twice, and requests are moved around.
pub fn within<T>(
    limit: Option<Duration>,
    work: impl Future<Output = Result<T, UpstreamError>>,
) -> impl Future<Output = Result<T, UpstreamError>> {
    match limit {
        None => Either::Left(work),
        Some(after) => Either::Right(
            timeout(after, work).map(move |outcome| outcome.unwrap_or(Err(UpstreamError::Late { after }))),
        ),
    }
}

/// Notices that nothing happened for a while.
///
/// Activity only notes the time; the timer is moved when it fires, not at every chunk.
pub struct Watch {
    /// The longest silence.
    pub period: Duration,
    last: Instant,
    timer: Pin<Box<Sleep>>,
}

impl Watch {
    /// Starts watching.
    #[must_use]
    pub fn start(period: Duration) -> Self {
        let now = Instant::now();
        Self { period, last: now, timer: Box::pin(sleep_until((now + period).into())) }
    }

    /// Something happened.
    pub fn touch(&mut self, now: Instant) {
        self.last = now;
    }

    /// Ready when it was silent for the period; wakes the task at that time otherwise.
    pub fn poll_silence(&mut self, context: &mut Context<'_>) -> Poll<()> {
        loop {
            futures::ready!(self.timer.as_mut().poll(context));
            let due = self.last + self.period;
            if due <= Instant::now() {
                self.last = Instant::now();
                let next = self.last + self.period;
                self.timer.as_mut().reset(next.into());
                return Poll::Ready(());
            }
            self.timer.as_mut().reset(due.into());
        }
    }
}
