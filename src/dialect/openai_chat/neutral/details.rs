//! `reasoning_details`: thoughts with what makes their provider believe them again, in OpenRouter's form.
//!
//! An entry is `reasoning.text`, `reasoning.summary` or `reasoning.encrypted`, and `format` says whose it is. A signature
//! of Gemini belongs to a part of the answer; where that is a tool call, its `id` is the call's.

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::dialect::chat::{Origin, Part, Signature, Thought};
use crate::dialect::json::{Text, Writer};

mod waiting;

use waiting::Waiting;

/// One entry.
#[derive(Debug, Deserialize)]
pub(super) struct Detail<'a> {
    #[serde(borrow, rename = "type", default)]
    kind: Option<Text<'a>>,
    #[serde(borrow, default)]
    text: Option<Text<'a>>,
    #[serde(borrow, default)]
    summary: Option<Text<'a>>,
    #[serde(borrow, default)]
    data: Option<Text<'a>>,
    #[serde(borrow, default)]
    signature: Option<Text<'a>>,
    #[serde(borrow, default)]
    format: Option<Text<'a>>,
    #[serde(borrow, default)]
    id: Option<Text<'a>>,
}

/// Reads the list; entries of another shape are passed over.
pub(super) fn read(raw: &str) -> Vec<Detail<'_>> {
    let items: Vec<&RawValue> = serde_json::from_str(raw).unwrap_or_default();
    items.into_iter().filter_map(|item| serde_json::from_str(item.get()).ok()).collect()
}

impl<'a> Detail<'a> {
    /// Whose thoughts they are, where it matters here. Without a format they are Anthropic's, as OpenRouter defines it.
    fn home(&self) -> Option<Origin> {
        let Some(format) = &self.format else { return Some(Origin::Anthropic) };
        let format = format.decode();
        [("anthropic-", Origin::Anthropic), ("openai-", Origin::OpenAi), ("google-", Origin::Google)]
            .into_iter()
            .find(|(prefix, _)| format.starts_with(prefix))
            .map(|(_, origin)| origin)
    }

    /// The words of the thoughts.
    pub(super) fn words(&self) -> Option<&Text<'a>> {
        self.text.as_ref().or(self.summary.as_ref()).filter(|words| !words.is_empty())
    }

    fn is_encrypted(&self) -> bool {
        self.kind.as_ref().is_some_and(|kind| kind == "reasoning.encrypted")
    }

    /// The signature, and whether the thoughts are hidden in it.
    pub(super) fn signature(&self) -> Option<(Signature<'a>, bool)> {
        let own = if self.is_encrypted() { &self.data } else { &self.signature };
        let text = own.clone().filter(|text| !text.is_empty())?;
        let mut signature = Signature::read(text, self.home())?;
        // OpenAI believes its own only with the item's id: together as the Responses dialect keeps them.
        if signature.origin == Origin::OpenAi
            && let Some(id) = self.call_id().filter(|id| !id.escaped().contains(':'))
            && !signature.data.escaped().contains(':')
        {
            let both = format!("{}:{}", id.escaped(), signature.data.escaped());
            signature.data = Text::owned_escaped(&both);
        }
        let is_redacted = self.is_encrypted() && signature.origin == Origin::Anthropic;
        Some((signature, is_redacted))
    }

    /// The tool call that the entry belongs to, where it is one's.
    fn call_id(&self) -> Option<&Text<'a>> {
        self.id.as_ref().filter(|id| !id.is_empty())
    }
}

/// Thoughts of a message, in two kinds: those that stand before everything, and Gemini's signatures of other parts.
#[derive(Debug, Default)]
pub(super) struct Thoughts<'a> {
    /// Before everything.
    pub(super) first: Vec<Part<'a>>,
    /// Signatures that belong to a tool call with this id, or to the next part.
    signatures: Waiting<'a>,
}

impl<'a> Thoughts<'a> {
    /// Sorts the entries; `bare` is the same without its details, used where they have no words.
    pub(super) fn sort(details: Vec<Detail<'a>>, bare: Option<Text<'a>>) -> Self {
        let mut thoughts = Self::default();
        if !details.iter().any(|detail| detail.words().is_some())
            && let Some(text) = bare.filter(|text| !text.is_empty())
        {
            thoughts.push(Thought { text, ..Thought::default() });
        }
        for detail in details {
            thoughts.take(detail);
        }
        thoughts
    }

    fn push(&mut self, thought: Thought<'a>) {
        self.first.push(Part::Thought(Box::new(thought)));
    }

    fn take(&mut self, detail: Detail<'a>) {
        let text = detail.words().cloned().unwrap_or_default();
        match detail.signature() {
            Some((signature, _)) if signature.origin == Origin::Google => {
                if !text.is_empty() {
                    self.push(Thought { text, ..Thought::default() });
                }
                self.signatures.push(detail.call_id(), signature);
            }
            Some((signature, false)) if signature.origin == Origin::OpenAi && text.is_empty() => {
                self.seal(signature);
            }
            Some((signature, is_redacted)) => {
                self.push(Thought { text, signature: Some(signature), is_redacted });
            }
            None if text.is_empty() => {}
            None => self.push(Thought { text, ..Thought::default() }),
        }
    }

    /// Puts an encrypted entry to the summary before it.
    fn seal(&mut self, signature: Signature<'a>) {
        match self.first.last_mut() {
            Some(Part::Thought(thought)) if thought.signature.is_none() => {
                thought.signature = Some(signature)
            }
            _ => self.push(Thought { signature: Some(signature), ..Thought::default() }),
        }
    }

    /// A signature of Gemini found beside a part rather than in the details; mostly it stands in both.
    pub(super) fn add_signature(&mut self, id: Option<Text<'a>>, signature: Signature<'a>) {
        if !self.signatures.knows(&signature) {
            self.signatures.push(id.as_ref(), signature);
        }
    }

    /// The signature of a tool call; the first call takes one that names none.
    pub(super) fn of_call(&mut self, id: &Text<'_>, is_first: bool) -> Option<Part<'a>> {
        self.signatures.take(id, is_first).map(lone)
    }

    /// The signatures that no call has taken.
    pub(super) fn others(self) -> impl Iterator<Item = Part<'a>> {
        self.signatures.rest().map(lone)
    }

    /// Whether a signature waits for a part.
    pub(super) fn is_waiting(&self) -> bool {
        self.signatures.is_any()
    }
}

fn lone(signature: Signature<'_>) -> Part<'_> {
    Part::Thought(Box::new(Thought { signature: Some(signature), ..Thought::default() }))
}

/// Gemini's signature in `extra_content`, where its compatible endpoint puts it.
pub(super) fn extra_signature(raw: &str) -> Option<Signature<'_>> {
    #[derive(Deserialize)]
    struct Extra<'a> {
        #[serde(borrow, default)]
        google: Option<Google<'a>>,
    }
    #[derive(Deserialize)]
    struct Google<'a> {
        #[serde(borrow, default)]
        thought_signature: Option<Text<'a>>,
    }
    let extra: Extra<'_> = serde_json::from_str(raw).ok()?;
    let text = extra.google?.thought_signature.filter(|text| !text.is_empty())?;
    Signature::read(text, Some(Origin::Google))
}

/// Writes Gemini's signature of a tool call as its compatible endpoint does: its clients hand back nothing else.
pub(super) fn write_extra(signature: Option<&Signature<'_>>, w: &mut Writer<'_>) {
    let Some(own) = signature.filter(|own| own.origin == Origin::Google) else { return };
    w.name("extra_content").object(|w| {
        w.name("google").object(|w| w.name("thought_signature").text(&own.data));
    });
}

/// Writes the entries of one thought that has a signature: `call` is the id of the tool call right behind it.
pub(super) fn write(
    w: &mut Writer<'_>,
    index: &mut u64,
    text: &Text<'_>,
    signature: &Signature<'_>,
    is_redacted: bool,
    call: Option<&Text<'_>>,
) {
    let sealed = signature.write(None);
    let format = match signature.origin {
        Origin::Anthropic => "anthropic-claude-v1",
        Origin::OpenAi => "openai-responses-v1",
        Origin::Google => "google-gemini-v1",
    };
    let mut entry = |kind: &str, members: &dyn Fn(&mut Writer<'_>)| {
        w.object(|w| {
            w.name("type").string(kind);
            members(w);
            w.name("format").string(format);
            w.name("index").number(*index);
        });
        *index += 1;
    };
    let sealed = Text::from_escaped(&sealed);
    if signature.origin == Origin::Anthropic && !is_redacted {
        return entry("reasoning.text", &|w| {
            w.name("text").text(text);
            w.name("signature").text(&sealed);
        });
    }
    if !text.is_empty() && !is_redacted {
        let is_summary = signature.origin == Origin::OpenAi;
        let (kind, name) =
            if is_summary { ("reasoning.summary", "summary") } else { ("reasoning.text", "text") };
        entry(kind, &|w| w.name(name).text(text));
    }
    entry("reasoning.encrypted", &|w| {
        w.name("data").text(&sealed);
        w.text_member("id", call.filter(|_| signature.origin == Origin::Google));
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn openais_reasoning_keeps_the_id_of_its_item() {
        let data = |json: &str| {
            let details = read(json);
            details[0].signature().map(|(signature, _)| signature.data.escaped().to_owned())
        };
        let entry = |id: &str, data: &str| {
            format!(
                r#"[{{"type":"reasoning.encrypted","format":"openai-responses-v1","id":"{id}","data":"{data}"}}]"#
            )
        };
        assert_eq!(data(&entry("rs_1", "gAAA")).as_deref(), Some("rs_1:gAAA"));
        assert_eq!(data(&entry("rs_1", "aisix.openai.rs_2:gAAA")).as_deref(), Some("rs_2:gAAA"));
        assert_eq!(data(&entry("", "gAAA")).as_deref(), Some("gAAA"));
    }
}
