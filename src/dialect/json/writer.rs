//! Writes a JSON text member by member; commas come by themselves.

use bytes::BytesMut;

use super::Text;

/// Appends one JSON text to a buffer.
///
/// Names and literals given as `&'static str` must need no escaping.
#[derive(Debug)]
pub struct Writer<'o> {
    out: &'o mut BytesMut,
    /// Whether the next value or name is the first of its object or array.
    is_first: bool,
}

impl<'o> Writer<'o> {
    /// Begins a JSON text at the end of a buffer.
    #[must_use]
    pub fn new(out: &'o mut BytesMut) -> Self {
        Self { out, is_first: true }
    }

    /// An object: `members` writes what is in it.
    pub fn object(&mut self, members: impl FnOnce(&mut Self)) {
        self.nested(b"{", b"}", members);
    }

    /// An array: `items` writes what is in it.
    pub fn array(&mut self, items: impl FnOnce(&mut Self)) {
        self.nested(b"[", b"]", items);
    }

    /// The name of a member; one value must follow.
    pub fn name(&mut self, name: &str) -> &mut Self {
        self.comma();
        self.out.extend_from_slice(b"\"");
        self.out.extend_from_slice(Text::plain(name).escaped().as_bytes());
        self.out.extend_from_slice(b"\":");
        self.is_first = true;
        self
    }

    /// A value that is JSON already.
    pub fn raw(&mut self, json: &str) {
        self.comma();
        self.out.extend_from_slice(json.as_bytes());
    }

    /// A string, with its escapes as they are.
    pub fn text(&mut self, text: &Text<'_>) {
        self.quoted(text.escaped());
    }

    /// A string that is plain text.
    pub fn string(&mut self, plain: &str) {
        self.quoted(Text::plain(plain).escaped());
    }

    /// A whole number.
    pub fn number(&mut self, number: u64) {
        self.raw(itoa::Buffer::new().format(number));
    }

    /// A truth.
    pub fn bool(&mut self, truth: bool) {
        self.raw(if truth { "true" } else { "false" });
    }

    /// Nothing.
    pub fn null(&mut self) {
        self.raw("null");
    }

    /// A member that is a string, where there is one.
    pub fn text_member(&mut self, name: &str, text: Option<&Text<'_>>) {
        if let Some(text) = text {
            self.name(name).text(text);
        }
    }

    /// A member that is JSON already, where there is one.
    pub fn raw_member(&mut self, name: &str, json: Option<&str>) {
        if let Some(json) = json {
            self.name(name).raw(json);
        }
    }

    fn quoted(&mut self, escaped: &str) {
        self.comma();
        self.out.extend_from_slice(b"\"");
        self.out.extend_from_slice(escaped.as_bytes());
        self.out.extend_from_slice(b"\"");
    }

    fn nested(&mut self, open: &[u8], close: &[u8], inside: impl FnOnce(&mut Self)) {
        self.comma();
        self.out.extend_from_slice(open);
        self.is_first = true;
        inside(self);
        self.out.extend_from_slice(close);
        self.is_first = false;
    }

    fn comma(&mut self) {
        if !self.is_first {
            self.out.extend_from_slice(b",");
        }
        self.is_first = false;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commas_stand_between_and_nowhere_else() {
        let mut out = BytesMut::from("x");
        let mut writer = Writer::new(&mut out);
        writer.object(|w| {
            w.name("a").array(|w| {
                w.number(1);
                w.object(|_| {});
                w.array(|w| w.null());
            });
            w.name("b").object(|w| w.name("c\"").string("d\n"));
            w.text_member("e", Some(&Text::plain("f")));
            w.text_member("g", None);
            w.name("h").bool(true);
        });
        assert_eq!(out, r#"x{"a":[1,{},[null]],"b":{"c\"":"d\n"},"e":"f","h":true}"#);
    }
}
