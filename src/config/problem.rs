//! What is wrong with a configuration: one [`Problem`] per finding, all of them together in [`Problems`].
//!
//! Everything is checked before anything is reported, so that an operator repairs a file in one go. A message
//! names places and names; it never quotes a value that may be a secret.

use std::{fmt, sync::Arc};

use super::tree::{Node, Origin};

/// The file that stands for the process environment in a [`Problem`].
const ENVIRONMENT: &str = "environment";

/// The file that stands for the store of the Admin API.
const STORE: &str = "store";

/// Names with a different beginning or more than a few changed letters are offered only when they are this
/// much alike.
const LIKENESS_FLOOR: f64 = 0.85;

/// One finding, with its place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// The file as the operator named it, or `environment`.
    pub file: Arc<str>,
    /// 1-based line in the file, when the finding has one.
    pub line: Option<usize>,
    /// The setting, such as `models[2].provider_key`, or the name of the environment variable. Empty for the
    /// whole file.
    pub path: String,
    /// What is wrong and, where possible, what is right.
    pub message: String,
    /// The stored resource that it is about, as `<collection>/<id>`.
    pub stored: Option<Arc<str>>,
    /// Whether the thing would be good if another did not have the same name, id or key.
    pub is_conflict: bool,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.file)?;
        if let Some(line) = self.line {
            write!(f, ":{line}")?;
        }
        if let Some(address) = &self.stored {
            write!(f, ": {address}")?;
        }
        if !self.path.is_empty() {
            write!(f, ": {}", self.path)?;
        }
        write!(f, ": {}", self.message)
    }
}

/// All findings of one load. Displayed one per line, in the order of the file.
#[derive(Clone, Debug)]
pub struct Problems {
    file: Arc<str>,
    found: Vec<Problem>,
}

impl Problems {
    /// An empty report about `file`.
    pub fn new(file: &str) -> Self {
        Self { file: file.into(), found: Vec::new() }
    }

    /// Adds a finding about the file at `line`.
    pub fn add(&mut self, line: Option<usize>, path: impl Into<String>, message: impl Into<String>) {
        self.found.push(Problem {
            file: self.file.clone(),
            line,
            path: path.into(),
            message: message.into(),
            stored: None,
            is_conflict: false,
        });
    }

    /// Adds a finding about something that came from `origin`.
    pub fn add_from(&mut self, origin: &Origin, path: impl Into<String>, message: impl Into<String>) {
        match origin {
            Origin::Line(line) => self.add(Some(*line), path, message),
            Origin::Unknown => self.add(None, path, message),
            Origin::Variable(variable) => self.add_variable(variable, message),
            Origin::Stored(address) => self.found.push(Problem {
                file: STORE.into(),
                line: None,
                path: path.into(),
                message: message.into(),
                stored: Some(address.clone()),
                is_conflict: false,
            }),
        }
    }

    /// Adds a finding about an environment variable.
    pub fn add_variable(&mut self, variable: &str, message: impl Into<String>) {
        self.found.push(Problem {
            file: ENVIRONMENT.into(),
            line: None,
            path: variable.into(),
            message: message.into(),
            stored: None,
            is_conflict: false,
        });
    }

    /// The findings, in the order in which they were made.
    pub fn iter(&self) -> impl Iterator<Item = &Problem> {
        self.found.iter()
    }

    /// Whether nothing was found.
    pub fn is_empty(&self) -> bool {
        self.found.is_empty()
    }

    /// The number of findings so far.
    pub fn len(&self) -> usize {
        self.found.len()
    }

    /// The findings in the order of the file, those without a line first.
    pub fn sorted(&self) -> Vec<&Problem> {
        let mut sorted: Vec<&Problem> = self.found.iter().collect();
        sorted.sort_by_key(|problem| problem.line);
        sorted
    }
}

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, problem) in self.sorted().into_iter().enumerate() {
            if index > 0 {
                f.write_str("\n")?;
            }
            problem.fmt(f)?;
        }
        Ok(())
    }
}

impl std::error::Error for Problems {}

/// One declared thing (an entry of an array, or the settings), so that a finding about a field of it has a
/// place.
#[derive(Clone, Copy, Debug)]
pub struct Place<'a> {
    /// The thing as written.
    pub node: &'a Node,
    /// Its path, such as `models[2]`; empty for the settings.
    pub path: &'a str,
}

impl Place<'_> {
    /// Adds a finding about `field` of this thing; an empty field means the thing itself. What could not be had is
    /// reported already, and so is whatever follows from it.
    pub fn report(&self, field: &str, message: impl Into<String>, problems: &mut Problems) {
        if self.is_known(field) {
            self.add(field, message, problems);
        }
    }

    /// Whether all of `field` could be had.
    pub(super) fn is_known(&self, field: &str) -> bool {
        !self.node.lacks_something_at(field)
    }

    /// Adds a finding about `field`, whatever else is known of it.
    pub(super) fn add(&self, field: &str, message: impl Into<String>, problems: &mut Problems) {
        let path = match (self.path, field) {
            (path, "") => path.to_owned(),
            ("", field) => field.to_owned(),
            (path, field) => format!("{path}.{field}"),
        };
        problems.add_from(self.node.origin_of(field), path, message);
    }

    /// Adds a finding about `field`, whose value another thing has already.
    pub fn report_conflict(&self, field: &str, message: impl Into<String>, problems: &mut Problems) {
        let known = problems.len();
        self.report(field, message, problems);
        for problem in problems.found.iter_mut().skip(known) {
            problem.is_conflict = true;
        }
    }
}

/// The name among `known` that `name` was probably meant to be: one letter in three may be wrong.
pub fn nearest<'a>(name: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let bearable = name.chars().count().saturating_add(1) / 3;
    known
        .into_iter()
        .map(|known| (strsim::osa_distance(name, known), strsim::jaro_winkler(name, known), known))
        .filter(|(distance, likeness, _)| *distance <= bearable || *likeness >= LIKENESS_FLOOR)
        .min_by(|left, right| left.0.cmp(&right.0).then(right.1.total_cmp(&left.1)))
        .map(|(_, _, known)| known)
}

/// ` (did you mean "…"?)` for the nearest known name, or nothing.
pub fn did_you_mean<'a>(name: &str, known: impl IntoIterator<Item = &'a str>) -> String {
    nearest(name, known).map(|candidate| format!(" (did you mean \"{candidate}\"?)")).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_is_one_line_per_finding_in_the_order_of_the_file() {
        let mut problems = Problems::new("config.toml");
        problems.add(Some(41), "models[2].provider_key", "no provider key is called \"x\"");
        problems.add(Some(7), "", "expected a value");
        problems.add_variable("AISIX_PROXY__ADDR", "expected an address");
        assert_eq!(
            problems.to_string(),
            "environment: AISIX_PROXY__ADDR: expected an address\n\
             config.toml:7: expected a value\n\
             config.toml:41: models[2].provider_key: no provider key is called \"x\""
        );
    }

    #[test]
    fn the_nearest_name_is_offered_only_when_it_is_near() {
        let known = ["openai-main", "anthropic", "groq"];
        assert_eq!(nearest("opnai-main", known), Some("openai-main"));
        assert_eq!(nearest("gorq", known), Some("groq"));
        assert_eq!(nearest("anthropic-main", known), Some("anthropic"));
        assert_eq!(nearest("x", ["a"]), None);
        assert_eq!(nearest("zzz", known), None);
    }
}
