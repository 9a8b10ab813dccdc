//! Marks: what of a JSON body makes its size no bound of what it costs, found without reading it as anything.
//!
//! A body is looked through once for a call, however many targets and attempts want to know.

use std::sync::LazyLock;

use regex::bytes::{Regex, RegexSet};

/// What was found.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Marks {
    /// The provider runs tools for it, each of which brings what nobody has counted.
    pub has_providers_tool: bool,
    /// Some of it stands elsewhere, or is no text.
    pub is_elsewhere: bool,
    /// Pictures, wherever they are.
    pub images: u64,
}

impl Marks {
    /// Looks through a body.
    #[must_use]
    pub fn of(body: &[u8]) -> Self {
        let found = MARKS.matches(body);
        Self {
            has_providers_tool: found.matched(PROVIDERS_TOOL),
            is_elsewhere: found.matched(ELSEWHERE),
            images: IMAGES.find_iter(body).count() as u64,
        }
    }
}

const PROVIDERS_TOOL: usize = 0;
const ELSEWHERE: usize = 1;

/// What makes the size of a request no bound: tools that the provider runs, each of which brings what nobody has counted;
/// and what stands elsewhere, or is no text. Names that are spelled with escapes, which no writer does to letters, may be any
/// of these.
static MARKS: LazyLock<RegexSet> = LazyLock::new(|| {
    let marks = [
        r#"(?x) "type" \s* : \s* "(?: web_search | web_fetch | code_interpreter | code_execution | file_search | mcp
            | computer | image_generation | tool_search | bash_ | text_editor | shell | advisor )
            | "(?: web_search_options | google_?search (?:_retrieval|Retrieval)? | google_?maps | url_?context
            | code_?execution | mcp_servers | container )" \s* :"#,
        r#"(?x) "(?: file_id | file_ids | file_data | file_url | file_?uri | previous_response_id | conversation
            | cached_?content | prompt_id | vector_store_ids | input_audio | video_url | file )" \s* :
            | "type" \s* : \s* "(?: document | file | input_file | input_audio | video | input_video | item_reference )"
            | "mime_?type" \s* : \s* "(?: application | audio | video | text ) | \\u00[4-7]"#,
    ];
    let set = marks.iter().map(|mark| format!("(?i-u){mark}"));
    RegexSet::new(set).expect("marks are regular expressions")
});

/// Pictures, wherever they are.
static IMAGES: LazyLock<Regex> = LazyLock::new(|| {
    let mark =
        r#"(?ix-u) "type" \s* : \s* "(?: image | image_url | input_image )" | "mime_?type" \s* : \s* "image"#;
    Regex::new(mark).expect("a mark is a regular expression")
});

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pictures_are_counted_and_what_has_no_bound_is_seen() {
        let found = |body: &str| {
            let Marks { has_providers_tool, is_elsewhere, images } = Marks::of(body.as_bytes());
            (has_providers_tool, is_elsewhere, images)
        };
        assert_eq!(found(r#"{"messages":[{"role":"user","content":"web_search"}]}"#), (false, false, 0));
        assert_eq!(found(r#"{"tools":[{"type" : "web_search_20250305"}]}"#), (true, false, 0));
        assert_eq!(found(r#"{"content":[{"type":"image_url"},{"type":"input_image"}]}"#), (false, false, 2));
        assert_eq!(found(r#"{"content":[{"file_id":"f"}]}"#), (false, true, 0));
        assert_eq!(
            found(r#"{"content":[{"\u0066ile_id":"f"}]}"#),
            (false, true, 0),
            "spelled with an escape"
        );
    }
}
