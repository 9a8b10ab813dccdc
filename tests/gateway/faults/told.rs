//! What has to come of a fault, and whether it did: for the caller, at the targets and in every book.

use serde_json::Value;

use super::page::{PLACES, Row, gets};
use super::seen::Seen;
use super::stage::{Books, Group, Scene, Stage, price};
use super::way::{Caller, Way};
use crate::harness::{Mock, chat_body, until};

/// What the caller gets.
#[derive(Debug, Clone)]
pub enum Gets {
    /// These words to their end.
    Whole(String),
    /// Any words, stopped by a filter.
    Filtered,
    /// This status and the type of the error, as OpenAI's callers get it.
    Refused(u16, &'static str),
    /// A part, and then an error of this type.
    Broken(String, &'static str),
    /// The call of a tool, cut in the middle, and then an error of this type.
    BrokenCall(&'static str),
}

/// What an attempt came to; failures with their class in records.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    Answered,
    /// Before anything of its answer had gone out.
    Failed(&'static str),
    /// The same, when it had counted the prompt.
    Counted(&'static str),
    /// In the middle of its answer.
    BrokeOff(&'static str),
}

/// One attempt: the place of its target, which try it is, and what it came to.
#[derive(Debug, Clone, Copy)]
pub struct Try(pub usize, pub &'static str, pub Fate);

impl Try {
    fn has_delivered(&self) -> bool {
        matches!(self.2, Fate::Answered | Fate::BrokeOff(_))
    }

    fn is_billed(&self) -> bool {
        self.has_delivered() || matches!(self.2, Fate::Counted(_))
    }

    fn class(&self) -> &'static str {
        match self.2 {
            Fate::Answered => "",
            Fate::Failed(class) | Fate::Counted(class) | Fate::BrokeOff(class) => class,
        }
    }
}

/// See the module.
#[derive(Debug, Clone)]
pub struct Told {
    /// What it is about, for the page.
    pub case: &'static str,
    pub scene: Scene,
    pub ways: &'static [Way],
    pub gets: Gets,
    pub tries: Vec<Try>,
    /// The targets that cool afterwards, and why.
    pub cooling: Vec<(usize, &'static str)>,
    /// The targets that began to cool, and may be well again by now.
    pub cooled: Vec<usize>,
    /// Members of the request.
    pub asked_with: fn(Way) -> &'static str,
}

/// The words of an answer with so many.
pub fn words(count: usize) -> String {
    (1..=count).map(|number| format!("word{number}")).collect::<Vec<_>>().join(" ")
}

/// What the mock says to the usual question.
pub fn demo() -> String {
    let answer = Mock::start().chat(&chat_body("demo", ""), &[]).expect(200).json();
    answer["choices"][0]["message"]["content"].as_str().expect("words").to_owned()
}

impl Told {
    /// A case in which the caller gets `gets` after these attempts.
    pub fn new(case: &'static str, ways: &'static [Way], scene: Scene, gets: Gets, tries: &[Try]) -> Self {
        let nothing = |_: Way| "";
        Self {
            case,
            scene,
            ways,
            gets,
            tries: tries.to_vec(),
            cooling: Vec::new(),
            cooled: Vec::new(),
            asked_with: nothing,
        }
    }

    /// The same where a target cools afterwards.
    pub fn cooling(mut self, target: usize, reason: &'static str) -> Self {
        self.cooling.push((target, reason));
        self
    }

    /// The same where a target has cooled, for so short a time that it may be over.
    pub fn ever_cooled(mut self, target: usize) -> Self {
        self.cooled.push(target);
        self
    }

    /// Asks in every way, looks into every book, and gives the rows of the page.
    pub fn check(self) -> Vec<Row> {
        self.check_with(|_, _| {})
    }

    /// The same with a look of the test's own at each answer.
    pub fn check_with(self, look: impl Fn(&Group, &Seen) + Sync) -> Vec<Row> {
        self.check_into(look, |_, _| {})
    }

    /// The same with another look at what is left of each group.
    pub fn check_into(
        self,
        look: impl Fn(&Group, &Seen) + Sync,
        inspect: impl Fn(&Books, &Group),
    ) -> Vec<Row> {
        let stage = Stage::start(&self.scene, self.ways);
        let seen = stage.each(|group| {
            let seen = group.ask_with((self.asked_with)(group.way));
            self.check_answer(group, &seen);
            look(group, &seen);
            seen
        });
        for group in &stage.groups {
            let cooling = |(at, reason): &(usize, &'static str)| (*at, (*reason).to_owned());
            let wanted: Vec<_> = self.cooling.iter().map(cooling).collect();
            let found = || {
                let ill = stage.ill(group).into_iter();
                ill.filter(|(at, _)| !self.cooled.contains(at)).collect::<Vec<_>>()
            };
            // The answer does not wait for the router to take note.
            until(&format!("{wanted:?} cools: {}, {}", self.case, group.name), || found() == wanted);
        }
        let books = stage.end(self.tries.len() * self.ways.len());
        for (group, seen) in books.groups.iter().zip(&seen) {
            self.check_books(&books, group, seen);
            inspect(&books, group);
        }
        books
            .groups
            .iter()
            .zip(&seen)
            .map(|(group, seen)| row(self.case, group, seen, self.ended_by()))
            .collect()
    }

    fn check_answer(&self, group: &Group, seen: &Seen) {
        let place = format!("{}, {}: {seen:#?}", self.case, group.name);
        let (status, said, error) = match &self.gets {
            Gets::Whole(said) => (200, Some(said.as_str()), None),
            Gets::Filtered => (200, None, None),
            Gets::Refused(status, error) => (*status, Some(""), Some(*error)),
            Gets::Broken(said, error) => (200, Some(said.as_str()), Some(*error)),
            Gets::BrokenCall(error) => (200, Some(""), Some(*error)),
        };
        assert_eq!(seen.response.status, status, "{place}");
        if let Some(said) = said {
            assert_eq!(seen.said, said, "{place}");
        }
        let error = error.map(|error| type_for(group.way.caller, status, error));
        assert_eq!(seen.error.as_deref(), error, "{place}");
        if let Gets::Filtered = self.gets {
            let reason = if group.way.caller == Caller::Messages { "refusal" } else { "content_filter" };
            assert_eq!(seen.finish.as_deref(), Some(reason), "{place}");
        }
        if let Gets::BrokenCall(_) = self.gets {
            assert!(seen.calls.starts_with("look{"), "{place}");
        }
        // The head is that of the first answer that began, whoever went on with it.
        let began = self.tries.iter().find(|one| one.has_delivered()).map(|one| one.0);
        assert_eq!(group.served_by(seen), began, "{place}");
        for at in (0..self.scene.targets.len()).filter(|at| group.is_counted(*at)) {
            let tries = self.tries.iter().filter(|one| one.0 == at).count();
            assert_eq!(group.asked()[at], tries as u64, "target {at} of {place}");
        }
    }

    fn check_books(&self, books: &Books, group: &Group, seen: &Seen) {
        let records = books.records(group);
        let place = format!("{}, {}: {records:#?}", self.case, group.name);
        assert_eq!(records.len(), self.tries.len(), "{place}");
        for (at, (record, one)) in records.iter().zip(&self.tries).enumerate() {
            assert_eq!(record["attempt_index"], at, "{place}");
            assert_eq!(record["attempt_model"], group.target(one.0), "{place}");
            assert_eq!(record["attempt_kind"], one.1, "{place}");
            let class = record["error_class"].as_str().unwrap_or_default();
            assert_eq!(class, one.class(), "attempt {at} of {place}");
            self.check_bill(record, one);
        }
        let delivered = records.iter().zip(&self.tries).filter(|(_, one)| one.has_delivered());
        let all = delivered.map(|(record, _)| tokens(record));
        let sum = all.fold((0, 0), |sum, own| (sum.0 + own.0, sum.1 + own.1));
        if seen.is_whole() {
            assert_eq!(seen.usage.unwrap_or(sum), sum, "the caller is told of all: {place}");
        }
        if seen.said.starts_with("word1 ") {
            // A word is a token at least.
            let least = seen.said.split_whitespace().count() as u64;
            assert!(sum.1 >= least, "at least {least} tokens: {place}");
        }
        self.check_metrics(books, group, &records);
    }

    /// Who ended what another target began.
    fn ended_by(&self) -> Option<usize> {
        let is_rescued = self.tries.iter().any(|one| matches!(one.2, Fate::BrokeOff(_)));
        self.tries.last().filter(|last| is_rescued && last.2 == Fate::Answered).map(|last| last.0)
    }

    /// Only what was delivered is billed, at the price of the one who delivered it.
    fn check_bill(&self, record: &Value, one: &Try) {
        let (input, output) = tokens(record);
        let [input_price, output_price] = price(one.0);
        let cost = input * input_price + output * output_price;
        assert_eq!(record["cost_micro_usd"], cost, "{}: {record:#?}", self.case);
        assert_eq!(input > 0, one.is_billed(), "{}: {record:#?}", self.case);
        assert!(output == 0 || one.is_billed(), "{}: {record:#?}", self.case);
    }

    fn check_metrics(&self, books: &Books, group: &Group, records: &[&Value]) {
        let metrics = &books.metrics;
        let count = |name: &str, at: usize| metrics.sum(name, &[("model", &group.target(at))]) as usize;
        for at in 0..self.scene.targets.len() {
            let own: Vec<_> = self.tries.iter().filter(|one| one.0 == at).collect();
            let good = own.iter().filter(|one| one.2 == Fate::Answered).count();
            let place = format!("{}, {}, target {at}", self.case, group.name);
            assert_eq!(count("aisix_deployment_requests_total", at), own.len(), "{place}");
            assert_eq!(count("aisix_deployment_success_responses_total", at), good, "{place}");
            assert_eq!(count("aisix_deployment_failure_responses_total", at), own.len() - good, "{place}");
            let labels = [("model", &*group.name), ("fallback_model", &*group.target(at))];
            for (name, is_good) in [
                ("aisix_routing_successful_fallbacks_total", true),
                ("aisix_routing_failed_fallbacks_total", false),
            ] {
                let wanted =
                    own.iter().filter(|one| one.1 == "fallback" && (one.2 == Fate::Answered) == is_good);
                assert_eq!(metrics.sum(name, &labels) as usize, wanted.count(), "{name}: {place}");
            }
        }
        let cost: u64 = records.iter().filter_map(|record| record["cost_micro_usd"].as_u64()).sum();
        let spend = metrics.sum("aisix_llm_spend_micro_usd_total", &[("model", &group.name)]);
        assert_eq!(spend as u64, cost, "{}, {}", self.case, group.name);
    }
}

/// Input and output tokens of a record.
fn tokens(record: &Value) -> (u64, u64) {
    let number = |member: &str| record[member].as_u64().unwrap_or_else(|| panic!("{member}: {record:#?}"));
    (number("prompt_tokens"), number("completion_tokens"))
}

/// The type of an error as a caller of that dialect gets it.
fn type_for(caller: Caller, status: u16, error: &'static str) -> &'static str {
    match (caller, status) {
        (Caller::Chat | Caller::Responses, _) | (_, 200) => error,
        (Caller::Messages, 400 | 422) => "invalid_request_error",
        (Caller::Messages, 429) => "rate_limit_error",
        (Caller::Messages, 503) => "overloaded_error",
        (Caller::Messages, _) => "api_error",
    }
}

/// A row of the page, as it was seen; the second target is another one that ended what the first began.
pub fn row(case: &str, group: &Group, seen: &Seen, ended_by: Option<usize>) -> Row {
    // Who is not behind a socket is in the records alone.
    let ended = |at: usize| u64::from(ended_by == Some(at));
    let counts = group.asked().into_iter().enumerate();
    let counts = counts.map(|(at, count)| if group.is_counted(at) { count } else { ended(at) });
    let asked = counts.zip(PLACES).filter(|(count, _)| *count > 0);
    let times = |(count, name): (u64, &str)| match count {
        1 => name.to_owned(),
        _ => format!("{name} {count} times"),
    };
    let asked = asked.map(times).collect::<Vec<_>>().join(", ");
    let gets = gets(seen, group.served_by(seen), ended_by);
    Row { case: case.to_owned(), way: group.way, gets, asked }
}
