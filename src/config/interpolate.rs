//! References to environment variables inside string values: `${VAR}`, `${VAR:-default}` and `$$`.
//!
//! Secrets stay out of the file this way. A bare `$NAME` is left alone, because passwords and prompts hold
//! dollar signs; a reference that cannot be filled is a problem that names the variable, never an empty
//! string.

/// What a string became, or why it could not.
pub(super) struct Interpolated {
    /// The text with every reference replaced.
    pub(super) text: String,
    /// Whether any part of it came from the environment or its default, and must not be quoted in a message.
    pub(super) is_from_environment: bool,
    /// One message per reference that could not be filled.
    pub(super) problems: Vec<String>,
}

/// Replaces the references in `text` with values of `environment`.
pub(super) fn interpolate(text: &str, environment: &dyn Fn(&str) -> Option<String>) -> Interpolated {
    let mut result = Interpolated {
        text: String::with_capacity(text.len()),
        is_from_environment: false,
        problems: Vec::new(),
    };
    let mut rest = text;
    while let Some(dollar) = rest.find('$') {
        result.text.push_str(&rest[..dollar]);
        rest = &rest[dollar + 1..];
        if let Some(after) = rest.strip_prefix('$') {
            result.text.push('$');
            rest = after;
        } else if let Some(after) = rest.strip_prefix('{') {
            rest = result.take_reference(after, environment);
        } else {
            result.text.push('$');
        }
    }
    result.text.push_str(rest);
    result
}

impl Interpolated {
    /// Replaces the reference whose inside begins at `rest`; gives what follows the closing brace.
    fn take_reference<'t>(&mut self, rest: &'t str, environment: &dyn Fn(&str) -> Option<String>) -> &'t str {
        self.is_from_environment = true;
        let Some(end) = rest.find('}') else {
            self.problems
                .push("a \"${\" is not closed by \"}\"; write \"$$\" for a plain dollar sign".into());
            return "";
        };
        let (inside, after) = (&rest[..end], &rest[end + 1..]);
        let (name, default) = match inside.split_once(":-") {
            Some((name, default)) => (name, Some(default)),
            None => (inside, None),
        };
        if !is_variable_name(name) {
            self.problems
                .push("\"${…}\" holds no variable name; write \"$$\" for a plain dollar sign".into());
            return after;
        }
        match (environment(name).filter(|value| !value.is_empty()), default) {
            (Some(value), _) => self.text.push_str(&value),
            (None, Some(default)) => self.text.push_str(default),
            (None, None) => self.problems.push(format!("environment variable {name} is not set or empty")),
        }
        after
    }
}

fn is_variable_name(name: &str) -> bool {
    !name.is_empty()
        && !name.starts_with(|first: char| first.is_ascii_digit())
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expected: Result<&str, &str>) {
        let environment = |name: &str| match name {
            "KEY" => Some("k1".to_owned()),
            "DOLLAR" => Some("${KEY}".to_owned()),
            "EMPTY" => Some(String::new()),
            _ => None,
        };
        let result = interpolate(text, &environment);
        match expected {
            Ok(expected) => {
                assert_eq!(result.problems, Vec::<String>::new(), "{text}");
                assert_eq!(result.text, expected, "{text}");
            }
            Err(expected) => {
                assert!(result.problems.join("\n").contains(expected), "{text}: {:?}", result.problems)
            }
        }
    }

    #[test]
    fn references_are_filled_and_everything_else_is_left_alone() {
        check("plain", Ok("plain"));
        check("${KEY}", Ok("k1"));
        check("a-${KEY}-${KEY}-b", Ok("a-k1-k1-b"));
        check("${NONE:-d}${EMPTY:-e}${NONE:-}", Ok("de"));
        check("${KEY:-d}", Ok("k1"));
        check("$KEY $ $", Ok("$KEY $ $"));
        check("$${KEY} $$", Ok("${KEY} $"));
        check("${DOLLAR}", Ok("${KEY}"));
        check("é${KEY}é", Ok("ék1é"));
    }

    #[test]
    fn a_reference_that_cannot_be_filled_is_named() {
        check("${NONE}", Err("environment variable NONE is not set or empty"));
        check("${EMPTY}", Err("environment variable EMPTY is not set or empty"));
        check("${KEY", Err("not closed"));
        check("${}", Err("holds no variable name"));
        check("${request.id}", Err("holds no variable name"));
        check("${1A}", Err("holds no variable name"));
    }
}
