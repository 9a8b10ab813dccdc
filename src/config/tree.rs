//! A configuration as written: a tree of values that know where they stand.
//!
//! Syntax is settled here, once, with every error of the file and not only the first; what the values mean is
//! for `reader` and `validate`. A tree can be made without a file (the Admin API's JSON, environment
//! overrides), so a line is optional.

use std::sync::Arc;

use toml::de::{DeTable, DeValue};

use super::{interpolate::interpolate, problem::Problems};

/// Values nested deeper than this are refused; the deepest setting stands at level six.
pub(super) const MAX_DEPTH: usize = 32;

/// Where a value comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    /// A 1-based line of the configuration file.
    Line(usize),
    /// An environment variable.
    Variable(Arc<str>),
    /// The store: `<collection>/<id>`.
    Stored(Arc<str>),
    /// Neither.
    Unknown,
}

/// A value and where it stands.
#[derive(Clone, Debug)]
pub struct Node {
    /// The value.
    pub value: Value,
    /// Where it stands; for a member of a table, where its key stands.
    pub origin: Origin,
}

/// The value of a [`Node`].
#[derive(Clone)]
pub enum Value {
    /// A string; also a date, as written.
    Str {
        /// The text, with references to the environment filled in.
        text: String,
        /// Whether the text may be quoted in a message: nothing of it came from the environment.
        is_quotable: bool,
    },
    /// The text of an environment override, whose type is the type that is asked for.
    Loose(String),
    /// A whole number.
    Int(i64),
    /// A number with a fraction.
    Float(f64),
    /// True or false.
    Bool(bool),
    /// A list.
    Array(Vec<Node>),
    /// A table, in the order of the file.
    Table(Vec<(String, Node)>),
    /// JSON's `null`, which stands for an absent value where one may be absent.
    Null,
    /// A value that could not be had, for a reason that is already reported.
    Unavailable,
}

/// Shows the kind only: any string may be a secret.
impl std::fmt::Debug for Value {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Array(items) => items.fmt(f),
            Self::Table(members) => members.fmt(f),
            other => f.write_str(other.kind()),
        }
    }
}

impl Value {
    /// What the value is, in words for a message.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Str { .. } | Self::Loose(_) => "a string",
            Self::Int(_) => "a whole number",
            Self::Float(_) => "a number with a fraction",
            Self::Bool(_) => "true or false",
            Self::Array(_) => "a list",
            Self::Table(_) => "a table",
            Self::Null | Self::Unavailable => "nothing",
        }
    }
}

impl Node {
    /// An empty table from `origin`.
    pub fn empty_table(origin: Origin) -> Self {
        Self { value: Value::Table(Vec::new()), origin }
    }

    /// The members of a table; nothing for other values.
    pub fn members(&self) -> &[(String, Node)] {
        match &self.value {
            Value::Table(members) => members,
            _ => &[],
        }
    }

    /// The elements of a list; nothing for other values.
    pub fn elements(&self) -> &[Node] {
        match &self.value {
            Value::Array(elements) => elements,
            _ => &[],
        }
    }

    /// The member called `name` of a table.
    pub fn get(&self, name: &str) -> Option<&Node> {
        self.members().iter().find(|(key, _)| key == name).map(|(_, node)| node)
    }

    /// Takes the member called `name` out of a table.
    pub fn take(&mut self, name: &str) -> Option<Node> {
        let Value::Table(members) = &mut self.value else { return None };
        let at = members.iter().position(|(key, _)| key == name)?;
        Some(members.remove(at).1)
    }

    /// The text of a string member called `name`.
    pub fn text(&self, name: &str) -> Option<&str> {
        match &self.get(name)?.value {
            Value::Str { text, .. } => Some(text),
            _ => None,
        }
    }

    /// The value as JSON, secrets included; what could not be had is left out.
    pub(crate) fn to_json(&self) -> serde_json::Value {
        use serde_json::Value as Json;
        match &self.value {
            Value::Str { text, .. } | Value::Loose(text) => Json::String(text.clone()),
            Value::Int(number) => (*number).into(),
            Value::Float(number) => (*number).into(),
            Value::Bool(flag) => (*flag).into(),
            Value::Array(items) => items.iter().map(Self::to_json).collect(),
            Value::Table(members) => {
                let members = members.iter().map(|(name, node)| (name.clone(), node.to_json()));
                Json::Object(members.collect())
            }
            Value::Null | Value::Unavailable => Json::Null,
        }
    }

    /// The value at `path` (`routing.targets[1].model`).
    pub fn at(&self, path: &str) -> Option<&Node> {
        let (node, is_whole) = self.walk(path);
        is_whole.then_some(node)
    }

    /// The origin of the value at `path`, or of the nearest value around it.
    pub fn origin_of(&self, path: &str) -> &Origin {
        &self.walk(path).0.origin
    }

    /// Whether a part of the value at `path` could not be had.
    pub(super) fn lacks_something_at(&self, path: &str) -> bool {
        let (node, is_whole) = self.walk(path);
        matches!(node.value, Value::Unavailable) || (is_whole && node.lacks_something())
    }

    fn lacks_something(&self) -> bool {
        match &self.value {
            Value::Unavailable => true,
            Value::Table(members) => members.iter().any(|(_, node)| node.lacks_something()),
            _ => self.lacks_elements(),
        }
    }

    /// Whether a list in here has elements that could not be had, so that those behind them have other numbers.
    pub(super) fn lacks_elements(&self) -> bool {
        match &self.value {
            Value::Array(elements) => elements.iter().any(Self::lacks_something),
            Value::Table(members) => members.iter().any(|(_, node)| node.lacks_elements()),
            _ => false,
        }
    }

    /// Goes along `path` as far as there are values; tells whether that was the whole way.
    fn walk(&self, path: &str) -> (&Node, bool) {
        let mut node = self;
        for segment in path.split(['.', '[']).filter(|segment| !segment.is_empty()) {
            let next = match segment.strip_suffix(']') {
                Some(index) => index.parse().ok().and_then(|index: usize| node.elements().get(index)),
                None => node.get(segment),
            };
            match next {
                Some(found) => node = found,
                None => return (node, false),
            }
        }
        (node, true)
    }
}

/// Reads TOML into a tree whose root is a table, and reports every reference that cannot be filled.
///
/// # Errors
///
/// Every syntax error. A file with one of them is not read further: what a broken table header made of the
/// lines below it would only hide the cause.
pub fn parse(
    text: &str,
    environment: &dyn Fn(&str) -> Option<String>,
    problems: &mut Problems,
) -> Result<Node, Problems> {
    let lines = Lines::of(text);
    let (root, errors) = DeTable::parse_recoverable(text);
    for error in &errors {
        let line = error.span().map(|span| lines.line_at(span.start));
        problems.add(line, "", error.message().replace('\n', " "));
    }
    if !errors.is_empty() {
        return Err(problems.clone());
    }
    let mut builder = Builder { lines, environment, problems };
    let value = builder.table(root.into_inner(), "", 0);
    Ok(Node { value, origin: Origin::Unknown })
}

/// Turns the parser's values into nodes.
struct Builder<'a> {
    lines: Lines,
    environment: &'a dyn Fn(&str) -> Option<String>,
    problems: &'a mut Problems,
}

impl Builder<'_> {
    fn table(&mut self, table: DeTable<'_>, path: &str, depth: usize) -> Value {
        // The parser sorts keys by name; the order of the file is the order of their spans.
        let mut members: Vec<_> = table.into_iter().collect();
        members.sort_by_key(|(key, _)| key.span().start);
        let members = members
            .into_iter()
            .map(|(key, value)| {
                let line = self.lines.line_at(key.span().start);
                let name = key.into_inner().into_owned();
                let path = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
                let node = self.node(value.into_inner(), line, &path, depth + 1);
                (name, node)
            })
            .collect();
        Value::Table(members)
    }

    fn node(&mut self, value: DeValue<'_>, line: usize, path: &str, depth: usize) -> Node {
        let value = match value {
            _ if depth > MAX_DEPTH => self.unavailable(line, path, "is nested too deeply"),
            DeValue::String(text) => self.string(&text, line, path),
            DeValue::Integer(digits) => match i64::from_str_radix(digits.as_str(), digits.radix()) {
                Ok(number) => Value::Int(number),
                Err(_) => self.unavailable(line, path, "the number is out of range"),
            },
            DeValue::Float(digits) => match digits.as_str().parse() {
                Ok(number) => Value::Float(number),
                Err(_) => self.unavailable(line, path, "the number is out of range"),
            },
            DeValue::Boolean(value) => Value::Bool(value),
            DeValue::Datetime(date) => Value::Str { text: date.to_string(), is_quotable: true },
            DeValue::Array(items) => {
                let elements = items.into_iter().enumerate().map(|(index, item)| {
                    let line = self.lines.line_at(item.span().start);
                    self.node(item.into_inner(), line, &format!("{path}[{index}]"), depth + 1)
                });
                Value::Array(elements.collect())
            }
            DeValue::Table(table) => self.table(table, path, depth),
        };
        Node { value, origin: Origin::Line(line) }
    }

    fn string(&mut self, text: &str, line: usize, path: &str) -> Value {
        let filled = interpolate(text, self.environment);
        if filled.problems.is_empty() {
            return Value::Str { text: filled.text, is_quotable: !filled.is_from_environment };
        }
        for problem in filled.problems {
            self.problems.add(Some(line), path, problem);
        }
        Value::Unavailable
    }

    fn unavailable(&mut self, line: usize, path: &str, message: &str) -> Value {
        self.problems.add(Some(line), path, message);
        Value::Unavailable
    }
}

/// Where each line begins, to turn a byte offset into a line number.
struct Lines {
    starts: Vec<usize>,
}

impl Lines {
    fn of(text: &str) -> Self {
        let starts = std::iter::once(0).chain(text.match_indices('\n').map(|(at, _)| at + 1)).collect();
        Self { starts }
    }

    fn line_at(&self, offset: usize) -> usize {
        self.starts.partition_point(|start| *start <= offset).max(1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tree(text: &str) -> (Node, Problems) {
        let mut problems = Problems::new("config.toml");
        let node = parse(text, &|_| None, &mut problems).unwrap();
        (node, problems)
    }

    #[test]
    fn every_value_knows_its_line_and_tables_keep_the_order_of_the_file() {
        let (root, problems) = tree(
            "z = 1\na = [\n  \"x\",\n  \"y\",\n]\n\n[[m]]\nq = true\n[m.c]\np = 0.5\n[[m]]\nq = false\n",
        );
        assert!(problems.is_empty(), "{problems}");
        let names: Vec<&str> = root.members().iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(names, ["z", "a", "m"]);
        for (path, line) in [
            ("z", 1),
            ("a", 2),
            ("a[1]", 4),
            ("m[0].q", 8),
            ("m[0].c.p", 10),
            ("m[1]", 11),
            ("m[1].nothing", 11),
        ] {
            assert_eq!(root.origin_of(path), &Origin::Line(line), "{path}");
        }
    }

    #[test]
    fn all_syntax_errors_are_reported() {
        let text = "a = \nb = 1\nc = ]\nb = 2\n";
        let problems = parse(text, &|_| None, &mut Problems::new("config.toml")).unwrap_err();
        let lines: Vec<Option<usize>> = problems.sorted().iter().map(|problem| problem.line).collect();
        assert!(
            lines.contains(&Some(1)) && lines.contains(&Some(3)) && lines.contains(&Some(4)),
            "{problems}"
        );
    }

    #[test]
    fn an_unset_variable_is_reported_where_it_is_used() {
        let (root, problems) = tree("[[provider_keys]]\napi_key = \"${NOT_SET}\"\n");
        assert_eq!(
            problems.to_string(),
            "config.toml:2: provider_keys[0].api_key: environment variable NOT_SET is not set or empty"
        );
        assert!(matches!(
            root.get("provider_keys").unwrap().elements()[0].get("api_key").unwrap().value,
            Value::Unavailable
        ));
    }

    #[test]
    fn deep_nesting_is_a_problem_and_not_a_crash() {
        let deep = [
            format!("a = {}1{}", "[".repeat(50_000), "]".repeat(50_000)),
            format!("{}x = 1", "a.".repeat(40)),
            format!("[{}x]", "a.".repeat(40)),
        ];
        for text in deep {
            let mut problems = Problems::new("config.toml");
            let problems =
                parse(&text, &|_| None, &mut problems).map_or_else(|found| found, |_| problems.clone());
            assert!(!problems.is_empty(), "{text}");
        }
    }

    #[test]
    fn a_value_is_never_printed() {
        let (root, _) = tree("api_key = \"sk-secret\"");
        assert!(!format!("{root:?}").contains("sk-secret"));
    }
}
