//! One line per exchange, written when it closes. Never a prompt, an answer or a credential.

use std::fmt::{self, Display, Formatter};

use crate::pipeline::exchange::{ABANDONED, Exchange, Outcome};

/// Where the lines go: `RUST_LOG=aisix::access=off` silences them.
const TARGET: &str = "aisix::access";

/// Writes the line of an exchange.
pub fn write(exchange: &Exchange) {
    if exchange.snapshot.settings.observability.access_log {
        log::info!(target: TARGET, "{}", Line(exchange));
    }
}

struct Line<'a>(&'a Exchange);

impl Display for Line<'_> {
    fn fmt(&self, out: &mut Formatter<'_>) -> fmt::Result {
        let exchange = self.0;
        let (status, failure) = match exchange.outcome() {
            Outcome::Abandoned => (ABANDONED, Some(("client_disconnected", ""))),
            Outcome::Answered(status) => (*status, None),
            Outcome::Failed { status, class, detail } => (*status, Some((*class, detail.as_str()))),
        };
        let row = exchange.endpoint;
        write!(out, "{} {} {status} {}ms", row.method, row.path, exchange.opened.elapsed().as_millis())?;
        write!(out, " request_id={}", exchange.request_id.to_str().unwrap_or_default())?;
        if let Some(caller) = &exchange.caller {
            write!(out, " api_key={:?} api_key_id={}", caller.name, caller.id)?;
        }
        if let Some(resolved) = &exchange.model {
            write!(out, " model={}", resolved.model.name)?;
            if let Some(capture) = &resolved.capture {
                write!(out, " capture={capture:?}")?;
            }
        }
        if let Some(target) = &exchange.served_by {
            write!(out, " served_by={target}")?;
        }
        if exchange.attempts > 0 {
            write!(
                out,
                " attempts={} upstream_ms={}",
                exchange.attempts,
                exchange.upstream_time.as_millis()
            )?;
        }
        if let Some(cache) = exchange.cache {
            write!(out, " cache={}", cache.as_str())?;
        }
        if let Some(usage) = &exchange.usage {
            let mark = if usage.is_estimated { "~" } else { "" };
            write!(
                out,
                " tokens={mark}{}+{} cost_usd={}",
                usage.prompt,
                usage.completion,
                exchange.cost().to_usd_exact()
            )?;
        }
        if exchange.malformed_events > 0 {
            write!(out, " malformed_events={}", exchange.malformed_events)?;
        }
        match failure {
            Some((class, "")) => write!(out, " error_kind={class}"),
            Some((class, detail)) => write!(out, " error_kind={class} error={detail:?}"),
            None => Ok(()),
        }
    }
}
