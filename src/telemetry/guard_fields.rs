//! What a usage record says of guardrails (§10): names and counts, never a word of what was judged.

use super::fields::{Fields, name, push_number, quoted};
use crate::guardrails::audit::{Audit, Verdict};
use crate::guardrails::pii::Counts;

type Json<'a> = Fields<'a, true>;

/// Writes what guardrails did; nothing but `guardrail_blocked` where there are none.
pub fn write(audit: Option<&Audit>, fields: &mut Json<'_>) {
    fields.flag(name!("guardrail_blocked"), audit.is_some_and(|audit| audit.is_blocked));
    let Some(audit) = audit else { return };
    list(fields.out, ",\"applied_guardrails\":", audit.applied.iter(), |out, (kind, hook)| {
        let mut fields = Json { out };
        fields.text(name!("kind"), kind);
        fields.text(name!("hook"), hook.as_str());
    });
    if let Some(failure) = audit.bypassed {
        fields.text(name!("guardrail_bypassed_reason"), failure.as_str());
    }
    write_counts(fields.out, ",\"redacted_entity_counts\":", &audit.redacted());
    let verdicts = |keeps: fn(&Verdict) -> bool| audit.verdicts.iter().filter(move |one| keeps(one));
    let watched = verdicts(|verdict| verdict.outcome.is_watched());
    list(fields.out, ",\"guardrail_monitor_hits\":", watched, |out, verdict| {
        write_hit(out, verdict);
        if let Some(reason) = &verdict.reason {
            Json { out }.text(name!("reason"), &reason.to_string());
        }
        write_counts(out, ",\"counts\":", &verdict.counts);
    });
    let enforced = verdicts(|verdict| verdict.outcome.is_enforced());
    list(fields.out, ",\"guardrail_enforced_hits\":", enforced, |out, verdict| {
        write_hit(out, verdict);
        if let Some(failure) = verdict.failure {
            Json { out }.text(name!("error_type"), failure.as_str());
        }
        write_counts(out, ",\"counts\":", &verdict.counts);
        let micros = u64::try_from(verdict.took.as_micros()).unwrap_or(u64::MAX);
        Json { out }.number(name!("duration_us"), micros);
    });
}

fn write_hit(out: &mut Vec<u8>, verdict: &Verdict) {
    let mut fields = Json { out };
    fields.text(name!("guardrail_name"), &verdict.guardrail.name);
    fields.text(name!("hook"), verdict.hook.as_str());
    fields.text(name!("action"), verdict.outcome.as_str());
}

/// A list of objects; nothing where it is empty.
fn list<T>(out: &mut Vec<u8>, name: &str, items: impl Iterator<Item = T>, write: impl Fn(&mut Vec<u8>, T)) {
    let mut is_empty = true;
    for item in items {
        out.extend_from_slice(if is_empty { name.as_bytes() } else { b"," });
        if is_empty {
            out.push(b'[');
        }
        is_empty = false;
        let start = out.len();
        write(out, item);
        // The first member has no comma before it.
        if let Some(comma) = out.get_mut(start) {
            *comma = b'{';
        }
        out.push(b'}');
    }
    if !is_empty {
        out.push(b']');
    }
}

fn write_counts(out: &mut Vec<u8>, name: &str, counts: &Counts) {
    if counts.is_empty() {
        return;
    }
    out.extend_from_slice(name.as_bytes());
    for (place, (name, count)) in counts.iter().enumerate() {
        out.push(if place == 0 { b'{' } else { b',' });
        quoted(out, name);
        out.push(b':');
        push_number(out, *count);
    }
    out.push(b'}');
}
