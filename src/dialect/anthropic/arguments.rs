//! How far the arguments of a tool call are that come in pieces.
//!
//! Nobody says when a call's arguments are complete but the JSON itself: an object that has ended cannot grow.

use super::super::json::Text;

/// How far a JSON object is.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Progress {
    /// Objects and arrays that are open.
    depth: u32,
    has_begun: bool,
    is_in_string: bool,
    is_escaped: bool,
}

impl Progress {
    /// Takes the next piece in.
    pub(super) fn take(&mut self, fragment: &Text<'_>) {
        for byte in fragment.decode().bytes() {
            match byte {
                _ if std::mem::take(&mut self.is_escaped) => {}
                b'\\' if self.is_in_string => self.is_escaped = true,
                b'"' => self.is_in_string = !self.is_in_string,
                _ if self.is_in_string => {}
                b'{' | b'[' => {
                    self.depth = self.depth.saturating_add(1);
                    self.has_begun = true;
                }
                b'}' | b']' => self.depth = self.depth.saturating_sub(1),
                _ => {}
            }
        }
    }

    /// Whether the object has ended.
    pub(super) fn is_complete(&self) -> bool {
        self.has_begun && self.depth == 0 && !self.is_in_string
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_object_is_complete_with_its_last_brace_wherever_it_is_cut() {
        let json = r#" {"a":["}",{"b\"}":"\\"}],"c":1}"#;
        for cut in 0..json.len() {
            let mut progress = Progress::default();
            progress.take(&Text::plain(&json[..cut]));
            assert!(!progress.is_complete(), "{cut}");
            progress.take(&Text::plain(&json[cut..]));
            assert!(progress.is_complete(), "{cut}");
        }
        assert!(!Progress::default().is_complete());
    }
}
