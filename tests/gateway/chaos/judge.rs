//! What must be so of every single request.

use std::collections::BTreeSet;
use std::time::Duration;

use serde_json::Value;

use super::caller::{Answered, Kind, Seen};
use super::conduct::{Break, Conduct};
use super::provider::{Entry, Family};
use super::world::{BAD_WORD, RETRIES, TOTAL_MS, World};

/// How much later an answer may begin than it must, on a busy machine.
const TOLERANCE: Duration = Duration::from_millis(1_500);

/// What is wrong.
pub type Wrong = String;

/// Everything that is known of a round.
pub struct Told<'a> {
    pub world: &'a World,
    pub entries: &'a [Entry],
    pub lines: &'a [Value],
}

impl Told<'_> {
    /// What providers were asked for a request, in order.
    pub fn asked(&self, seen: &Seen) -> Vec<&Entry> {
        self.entries.iter().filter(|entry| entry.number == seen.asking.number).collect()
    }

    /// The records of a request.
    pub fn lines(&self, seen: &Seen) -> Vec<&Value> {
        let id = format!("chaos-{}", seen.asking.number);
        self.lines.iter().filter(|line| line["request_id"] == *id).collect()
    }
}

fn ensure(is_so: bool, wrong: impl FnOnce() -> Wrong) -> Result<(), Wrong> {
    if is_so { Ok(()) } else { Err(wrong()) }
}

/// Judges one request.
pub fn judge(told: &Told<'_>, seen: &Seen) -> Result<(), Wrong> {
    let (asked, lines) = (told.asked(seen), told.lines(seen));
    records(seen, &asked, &lines)?;
    attempts(told.world, seen, &asked)?;
    waits(told.world, seen, &lines)?;
    let Some(answer) = &seen.answer else { return Ok(()) };
    let last = asked.last().copied();
    let line = lines.last().copied().unwrap_or(&Value::Null);
    in_time(told.world, seen, answer, line)?;
    status(told.world, seen, answer, &asked, line)?;
    let Some(body) = &answer.told else { return Ok(()) };
    ensure(body.wrong.is_none(), || format!("{:?}", body.wrong))?;
    let is_finished = body.is_finished(seen.asking.kind);
    ensure(is_finished == body.errors.is_empty(), || "it neither finished nor failed".to_owned())?;
    ensure(seen.asking.is_stream || is_finished, || "a whole answer is not finished".to_owned())?;
    let recorded = lines.last().map_or(0, |line| line["status_code"].as_u64().unwrap_or(0));
    ensure(is_finished == (recorded == 200), || format!("finished: {is_finished}, recorded as {recorded}"))?;
    if is_finished {
        let may = last.is_none_or(|last| last.conduct.may_finish() || !seen.asking.is_stream);
        ensure(may, || "what nobody finished is presented as finished".to_owned())?;
    }
    // Each word is some tokens, and what was said is paid for; whoever finishes is believed.
    let counted: u64 = lines.iter().filter_map(|line| line["completion_tokens"].as_u64()).sum();
    let is_paid = is_finished || counted >= body.words.len() as u64;
    ensure(is_paid, || format!("{} words are counted as {counted} tokens", body.words.len()))?;
    let own = lines.last().filter(|line| line.get("usage_estimated").is_none());
    let may_be_told = |tokens| untold(&lines).any(|untold| tokens + untold == counted);
    let is_told = !is_finished || own.is_none() || body.output_tokens.is_none_or(may_be_told);
    ensure(is_told, || format!("{:?} tokens are told, and {counted} counted", body.output_tokens))?;
    words(told.world, seen, &body.words, is_finished, &asked)
}

/// One chain of records, with one end.
fn records(seen: &Seen, asked: &[&Entry], lines: &[&Value]) -> Result<(), Wrong> {
    // Who leaves at once may not have been read.
    let may_be_none = seen.answer.is_none() && asked.is_empty();
    ensure(may_be_none || !lines.is_empty(), || "there is no record".to_owned())?;
    for (place, line) in lines.iter().enumerate() {
        ensure(line["attempt_index"] == place, || format!("record {place} is another: {line}"))?;
        let is_last = place + 1 == lines.len();
        let ends = line["downstream_latency_ms"].is_u64();
        ensure(ends == is_last, || format!("record {place} of {} ends: {ends}", lines.len()))?;
        let has_failed = line["error_class"].is_string();
        ensure(is_last || has_failed, || format!("an attempt before the last has not failed: {line}"))?;
    }
    for target in asked.iter().map(|entry| &entry.target) {
        let times = asked.iter().filter(|entry| entry.target == *target).count();
        let is_of = |line: &&&Value| {
            let name = line.get("attempt_model").unwrap_or(&line["requested_model"]);
            name == target.as_str()
        };
        let known = lines.iter().filter(is_of).count();
        ensure(times <= known, || format!("{target} was asked {times} times, and {known} are recorded"))?;
    }
    Ok(())
}

/// No more attempts than allowed, and at no target that is not.
fn attempts(world: &World, seen: &Seen, asked: &[&Entry]) -> Result<(), Wrong> {
    let is_group = seen.asking.model == "group";
    let eligible = world.eligible(seen.asking.tags);
    for entry in asked {
        let may =
            if is_group { eligible.contains(&&*entry.target) } else { entry.target == seen.asking.model };
        ensure(may, || format!("{} must not be asked", entry.target))?;
        let group = world.retries.filter(|_| is_group);
        let most = 1 + world.target(&entry.target).retries.or(group).unwrap_or(RETRIES);
        let times = asked.iter().filter(|other| other.target == entry.target).count();
        ensure(times <= most as usize, || format!("{} was asked {times} times of {most}", entry.target))?;
    }
    let targets: BTreeSet<&str> = asked.iter().map(|entry| &*entry.target).collect();
    let most = 1 + world.max_fallbacks.unwrap_or(9) as usize;
    ensure(targets.len() <= most, || format!("{targets:?} were asked, and {most} may be"))?;
    for (place, entry) in asked.iter().enumerate() {
        let goes_back = asked[..place].iter().any(|earlier| earlier.target == entry.target)
            && asked[place - 1].target != entry.target;
        ensure(!goes_back, || format!("{} was left and asked again", entry.target))?;
        let may_go_on = is_group && world.is_rescuing && seen.asking.is_stream && place > 0;
        let has_called = asked[..place].iter().any(|entry| has_called(world, seen, entry));
        ensure(!entry.is_continued || (may_go_on && !has_called), || {
            format!("{} was given a begun answer", entry.target)
        })?;
    }
    Ok(())
}

/// Whether the answer broke off after a tool was called in it: its words must not be gone on with.
fn has_called(world: &World, seen: &Seen, entry: &Entry) -> bool {
    let can_call = match world.target(&entry.target).family {
        Family::Anthropic | Family::Mistral => true,
        Family::OpenAi => seen.asking.kind != Kind::Responses,
        Family::Gemini => false,
    };
    // A reset may take along what was sent before it.
    can_call && matches!(entry.conduct, Conduct::ToolCut(Break::Close | Break::End))
}

/// No wait for a whole answer that is longer than its target's.
fn waits(world: &World, seen: &Seen, lines: &[&Value]) -> Result<(), Wrong> {
    for line in lines.iter().filter(|line| !seen.asking.is_stream && line["pk_label"].is_string()) {
        let name = line.get("attempt_model").unwrap_or(&line["requested_model"]).as_str().unwrap_or_default();
        let limit = Duration::from_millis(world.target(name).timeout.unwrap_or(world.timeout())) + TOLERANCE;
        let waited = Duration::from_millis(line["upstream_latency_ms"].as_u64().unwrap_or(0));
        ensure(waited <= limit, || {
            format!("{name} was waited for {waited:?}, and has {limit:?} at the most")
        })?;
    }
    Ok(())
}

/// An answer that begins in time, as the caller and the gateway saw it: on a busy machine one waits for the other.
fn in_time(world: &World, seen: &Seen, answer: &Answered, line: &Value) -> Result<(), Wrong> {
    if world.is_hasty {
        return Ok(());
    }
    let own = world.total_timeout.filter(|_| seen.asking.model == "group");
    let limit = Duration::from_millis(own.unwrap_or(TOTAL_MS)) + TOLERANCE;
    let recorded = Duration::from_millis(line["downstream_latency_ms"].as_u64().unwrap_or(0));
    let began = answer.head_after.min(recorded);
    ensure(began <= limit, || format!("it began after {began:?}, and had {limit:?} at the most"))
}

/// A status that what happened explains.
fn status(
    world: &World,
    seen: &Seen,
    answer: &Answered,
    asked: &[&Entry],
    line: &Value,
) -> Result<(), Wrong> {
    let Answered { status, retry_after, error_type, .. } = answer;
    let last = asked.last().map(|entry| entry.conduct);
    let is_explained = match *status {
        504 => line["error_class"] == "timeout",
        503 => retry_after.is_some(),
        501 => matches!(seen.asking.kind, Kind::Embed),
        400 if asked.is_empty() => world.eligible(seen.asking.tags).is_empty(),
        429 if world.is_limited => true,
        422 if world.guard == "block" && last == Some(Conduct::BadWord) => true,
        // Tokens are counted here for those who cannot.
        200 if asked.is_empty() => matches!(seen.asking.kind, Kind::Count | Kind::GeminiCount),
        502 if world.is_small && last == Some(Conduct::Huge) => true,
        // What has begun goes on elsewhere.
        200 => asked.iter().any(|entry| entry.conduct.statuses().contains(&200)),
        status => last.is_some_and(|last| last.statuses().contains(&status)),
    };
    ensure(is_explained, || format!("nothing explains {status} {error_type}"))?;
    let may_tell = matches!(status, 429 | 503) || retry_after.is_none();
    ensure(may_tell, || format!("{status} says to come back in {retry_after:?}"))?;
    let is_well = last.is_some_and(|last| last == Conduct::Well);
    let may_fail =
        matches!(status, 429 | 503 | 504) || answer.told.as_ref().is_some_and(|told| !told.errors.is_empty());
    ensure(!is_well || *status == 200 || may_fail, || format!("a good answer became {status}"))
}

/// The words are those of the targets that were asked: whole of the last one where it finished, parts of others before.
fn words(
    world: &World,
    seen: &Seen,
    said: &[String],
    is_finished: bool,
    asked: &[&Entry],
) -> Result<(), Wrong> {
    let is_blocked = world.guard == "block" && said.iter().any(|word| word == BAD_WORD);
    ensure(!is_blocked, || "what guardrails do not let through came through".to_owned())?;
    let mut left = said;
    let (last, earlier) = match asked.split_last() {
        Some((last, earlier)) => (Some(last), earlier),
        None => (None, asked),
    };
    let whole =
        |entry: &Entry| -> Vec<String> { entry.words.iter().map(|word| word.trim().to_owned()).collect() };
    for entry in earlier {
        let count = left.iter().zip(whole(entry)).take_while(|(said, own)| **said == *own).count();
        ensure(count == 0 || world.is_rescuing, || "words of a target that was left".to_owned())?;
        left = &left[count..];
    }
    let own = last.map(|entry| whole(entry)).unwrap_or_default();
    let talks = !matches!(seen.asking.kind, Kind::Embed | Kind::Count | Kind::GeminiCount);
    let is_right = match is_finished {
        true => !talks || left == own,
        false => own.starts_with(left),
    };
    ensure(is_right, || format!("{:?} were said instead of {:?}", first(left), first(&own)))
}

/// The beginning of what may be very long.
fn first(words: &[String]) -> &[String] {
    &words[..words.len().min(12)]
}

impl World {
    /// The targets that a request with these tags may be sent to.
    fn eligible(&self, wanted: &str) -> Vec<&str> {
        let with = |is_wanted: &dyn Fn(&&str) -> bool| -> Vec<&str> {
            let fit = self.targets.iter().filter(|target| target.tags.iter().any(is_wanted));
            fit.map(|target| &*target.name).collect()
        };
        let all = || self.targets.iter().map(|target| &*target.name).collect();
        let usual = with(&|tag| *tag == "default");
        let wanted: Vec<&str> = wanted.split(',').map(str::trim).filter(|tag| !tag.is_empty()).collect();
        let asked_for = with(&|tag| wanted.contains(tag));
        if self.targets.iter().all(|target| target.tags.is_empty()) {
            all()
        } else if wanted.is_empty() {
            if usual.is_empty() { all() } else { usual }
        } else if asked_for.is_empty() {
            usual
        } else {
            asked_for
        }
    }
}

/// What may be counted and not told: attempts before the last that had counted something when they failed, of which the
/// caller saw nothing. Every sum of some of them.
fn untold(lines: &[&Value]) -> impl Iterator<Item = u64> + use<> {
    let earlier = lines.split_last().map_or(&[][..], |(_, earlier)| earlier);
    // The gateway estimates what it has delivered; of what it has not, it knows the provider's count alone.
    let failed =
        earlier.iter().filter(|line| line["status_code"] != 200 && line.get("usage_estimated").is_none());
    let counted: Vec<u64> = failed.filter_map(|line| line["completion_tokens"].as_u64()).collect();
    (0..1_u32 << counted.len().min(16)).map(move |some| {
        let is_in = |place: usize| some >> place & 1 == 1;
        counted.iter().enumerate().filter(|(place, _)| is_in(*place)).map(|(_, tokens)| tokens).sum()
    })
}
