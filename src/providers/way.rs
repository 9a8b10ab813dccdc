//! One way in which a provider answers: for which task, in which dialect, under which path.

use std::borrow::Cow;

use super::Auth;
use crate::dialect::Dialect;
use crate::operation::Task;

/// See the module.
#[derive(Debug, Clone, Copy)]
pub struct Way {
    /// What the provider does.
    pub task: Task,
    /// The wire format that it speaks.
    pub dialect: Dialect,
    /// The path below the API's root, with its query; `{model}` is the provider's name for the model.
    path: &'static str,
    /// The path for streams, where it is another.
    stream_path: Option<&'static str>,
    /// How a credential travels there, where not as everywhere else at the provider.
    pub auth: Option<Auth>,
}

impl Way {
    /// A way with one path.
    pub(super) const fn new(task: Task, dialect: Dialect, path: &'static str) -> Self {
        Self { task, dialect, path, stream_path: None, auth: None }
    }

    /// With a credential that travels in another way.
    pub(super) const fn authorized_by(self, auth: Auth) -> Self {
        Self { auth: Some(auth), ..self }
    }

    /// With another path for streams.
    pub(super) const fn streamed_at(self, path: &'static str) -> Self {
        Self { stream_path: Some(path), ..self }
    }

    /// The path for a model.
    #[must_use]
    pub fn path(&self, model: &str, is_stream: bool) -> Cow<'static, str> {
        let path = self.stream_path.filter(|_| is_stream).unwrap_or(self.path);
        match path.contains("{model}") {
            true => path.replace("{model}", &in_path(model)).into(),
            false => path.into(),
        }
    }
}

/// A name as it may stand in a path: slashes stay, what would end the path does not.
fn in_path(name: &str) -> Cow<'_, str> {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~/:@".contains(&byte);
    if name.bytes().all(is_plain) && !name.split('/').any(|part| part == "..") {
        return name.into();
    }
    let escaped = name.bytes().map(|byte| match is_plain(byte) && byte != b'.' {
        true => char::from(byte).to_string(),
        false => format!("%{byte:02X}"),
    });
    escaped.collect::<String>().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_models_name_cannot_leave_its_place_in_the_path() {
        let way = Way::new(Task::Converse, Dialect::Gemini, "/m/{model}:one")
            .streamed_at("/m/{model}:many?alt=sse");
        for (model, path) in [
            ("gemini-2.5-pro", "/m/gemini-2.5-pro:many?alt=sse"),
            ("a/b", "/m/a/b:many?alt=sse"),
            ("../x?y#z", "/m/%2E%2E/x%3Fy%23z:many?alt=sse"),
            ("ü", "/m/%C3%BC:many?alt=sse"),
        ] {
            assert_eq!(way.path(model, true), path);
        }
        assert_eq!(way.path("a", false), "/m/a:one");
    }
}
