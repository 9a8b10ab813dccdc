//! Each recorded answer, given to callers of each dialect: it tells the same.

use aisix::dialect::Dialect;
use aisix::dialect::chat::Stamp;
use aisix::dialect::codec;
use aisix::error::UpstreamError;
use aisix::operation::Task;
use bytes::Bytes;
use serde_json::Value;

use super::corpus::{Recording, recordings};
use super::told::{Answer, Told, told};
use super::{assert_none, limits};

/// The caller's name for the model, as raw JSON.
pub const MODEL: &str = "\"our-model\"";

/// What the gateway says in what it writes itself.
pub fn stamp() -> Stamp {
    Stamp {
        model: MODEL.into(),
        id: "0123456789abcdef".into(),
        created: 1_700_000_000,
        wants_usage: true,
        ..Stamp::default()
    }
}

/// A recorded answer as a caller gets it.
///
/// # Errors
/// It is none, under a status of success.
pub fn given(recording: &Recording, caller: Dialect) -> Result<Value, UpstreamError> {
    let body = Bytes::from(recording.body.clone());
    let reply = match recording.dialect == caller {
        true => codec::own_reply(Task::Converse, caller, body, MODEL)?,
        false => codec::translated_reply(Task::Converse, recording.dialect, caller, &body, &stamp())?,
    };
    Ok(serde_json::from_slice(&reply.body).unwrap_or_else(|error| panic!("{}: {error}", recording.id)))
}

#[test]
fn every_recorded_answer_tells_every_caller_the_same() {
    let (all, mut problems, mut count) = (recordings(), Vec::new(), 0);
    for recording in all.iter().filter(|recording| recording.is_whole()) {
        let body: Value = serde_json::from_str(&recording.body).expect("JSON");
        for caller in Dialect::CALLERS {
            count += 1;
            let place = format!("{} to {caller:?}", recording.id);
            let found =
                match (given(recording, caller), limits::is_no_answer(&body, recording.dialect == caller)) {
                    (Ok(found), false) => found,
                    (Err(_), true) => continue,
                    (Ok(_), true) => {
                        problems.push(format!("{place}: a failure was given as an answer"));
                        continue;
                    }
                    (Err(error), false) => {
                        problems.push(format!("{place}: it was not given: {error}"));
                        continue;
                    }
                };
            let wanted = told(recording.dialect, &body);
            let found = told(caller, &found);
            let differs = differences(recording.dialect, caller, &wanted, &found);
            problems.extend(differs.into_iter().map(|problem| format!("{place}: {problem}")));
        }
    }
    assert_none(&problems, count);
}

/// How what a caller was told differs from what the provider told.
pub fn differences(provider: Dialect, caller: Dialect, wanted: &Told, found: &Told) -> Vec<String> {
    let mut wanted = wanted.clone();
    if provider != caller {
        limits::shown_to(caller, &mut wanted);
    }
    let mut problems = Vec::new();
    let mut check = |what: &str, wanted: String, found: String| {
        if wanted != found {
            let cut = |text: String| text.chars().take(1000).collect::<String>();
            problems.push(format!("{what}:\n   wanted {}\n   found  {}", cut(wanted), cut(found)));
        }
    };
    check("answers", wanted.answers.len().to_string(), found.answers.len().to_string());
    check("usage", format!("{:?}", wanted.usage), format!("{:?}", found.usage));
    for (wanted, found) in wanted.answers.iter().zip(&found.answers) {
        let Answer { text, refusal, thoughts, calls, urls, pictures, finish } = wanted;
        check("text", text.clone(), found.text.clone());
        check("refusal", refusal.clone(), found.refusal.clone());
        check("thoughts", thoughts.clone(), found.thoughts.clone());
        check("calls", format!("{calls:?}"), format!("{:?}", found.calls));
        check("urls", format!("{urls:?}"), format!("{:?}", found.urls));
        check("pictures", format!("{pictures:?}"), format!("{:?}", found.pictures));
        check("finish", finish.clone(), found.finish.clone());
    }
    problems
}
