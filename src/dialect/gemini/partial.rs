//! A call whose arguments come in pieces (Vertex, `streamFunctionCallArguments`): each piece names its place by a JSON
//! path such as `$.a.b[0]`, and the pieces of a string follow one another at the same place.

use bytes::BytesMut;

use crate::dialect::json::shape::{Json, shape};
use crate::dialect::json::{Text, Writer};

shape! {
    /// A piece of a call's arguments.
    PartialArg {
        "jsonPath" => path: Text<'a>,
        "stringValue" => string: Text<'a>,
        "numberValue" => number: Json<'a>,
        "boolValue" => truth: bool,
        "nullValue" => null: Json<'a>,
    }
}

/// Deepest place that is followed, and longest list: more than a real call has.
const MAX_DEPTH: usize = 32;
const MAX_ITEMS: usize = 4096;

/// The arguments so far.
#[derive(Debug)]
enum Node {
    /// A string, as it stands between its quotes.
    String(String),
    /// Another value, raw.
    Raw(String),
    Object(Vec<(String, Node)>),
    Array(Vec<Node>),
}

/// A step of a path.
enum Step<'p> {
    Member(&'p str),
    Item(usize),
}

/// A call that is not whole yet.
#[derive(Debug)]
pub(super) struct Partial {
    id: Option<Text<'static>>,
    name: Text<'static>,
    arguments: Node,
}

impl Partial {
    /// Begins a call.
    pub(super) fn new(id: Option<Text<'static>>, name: Text<'static>) -> Self {
        Self { id, name, arguments: Node::Object(Vec::new()) }
    }

    /// Adds the pieces of `partialArgs`; those that cannot be read are left out.
    pub(super) fn add(&mut self, raw: &str) {
        for piece in serde_json::from_str::<Vec<PartialArg<'_>>>(raw).unwrap_or_default() {
            let path = piece.path.as_ref().map(Text::decode).unwrap_or_default();
            let Some(steps) = steps(&path) else { continue };
            let value = match (&piece.string, piece.number, piece.truth) {
                (Some(string), _, _) => Node::String(string.escaped().to_owned()),
                (None, Some(number), _) => Node::Raw(number.0.to_owned()),
                (None, None, Some(truth)) => Node::Raw(truth.to_string()),
                (None, None, None) => Node::Raw("null".to_owned()),
            };
            put(&mut self.arguments, &steps, value);
        }
    }

    /// Id, name and arguments of the whole call.
    pub(super) fn into_call(self) -> (Option<Text<'static>>, Text<'static>, Text<'static>) {
        let mut out = BytesMut::new();
        write(&self.arguments, &mut Writer::new(&mut out));
        let arguments = Text::owned(std::str::from_utf8(&out).unwrap_or("{}"));
        (self.id, self.name, arguments)
    }
}

/// The steps of a path; `None` where it is none, or too deep.
fn steps(path: &str) -> Option<Vec<Step<'_>>> {
    let mut rest = path.strip_prefix('$')?;
    let mut steps = Vec::new();
    while !rest.is_empty() {
        if steps.len() >= MAX_DEPTH {
            return None;
        }
        if let Some(member) = rest.strip_prefix('.') {
            let end = member.find(['.', '[']).unwrap_or(member.len());
            steps.push(Step::Member(member.get(..end)?));
            rest = member.get(end..)?;
        } else {
            let (inside, after) = rest.strip_prefix('[')?.split_once(']')?;
            steps.push(match inside.parse::<usize>() {
                Ok(item) => Step::Item(item),
                Err(_) => Step::Member(inside.trim_matches(['\'', '"'])),
            });
            rest = after;
        }
    }
    Some(steps)
}

fn put(node: &mut Node, steps: &[Step<'_>], value: Node) {
    let Some((step, rest)) = steps.split_first() else {
        match (node, value) {
            (Node::String(string), Node::String(more)) => string.push_str(&more),
            (node, value) => *node = value,
        }
        return;
    };
    // A place that was not there yet becomes what its first piece makes of it.
    let fresh = || Node::Raw("null".to_owned());
    match step {
        Step::Member(name) => {
            if !matches!(node, Node::Object(_)) {
                *node = Node::Object(Vec::new());
            }
            let Node::Object(members) = node else { return };
            let found = members.iter().position(|(own, _)| own == name);
            let at = found.unwrap_or_else(|| {
                members.push(((*name).to_owned(), fresh()));
                members.len() - 1
            });
            if let Some((_, child)) = members.get_mut(at) {
                put(child, rest, value);
            }
        }
        Step::Item(item) => {
            if !matches!(node, Node::Array(_)) {
                *node = Node::Array(Vec::new());
            }
            let Node::Array(items) = node else { return };
            if items.len() <= *item && *item < MAX_ITEMS {
                items.resize_with(item + 1, fresh);
            }
            if let Some(child) = items.get_mut(*item) {
                put(child, rest, value);
            }
        }
    }
}

fn write(node: &Node, w: &mut Writer<'_>) {
    match node {
        Node::String(escaped) => w.text(&Text::from_escaped(escaped)),
        Node::Raw(json) => w.raw(json),
        Node::Object(members) => w.object(|w| {
            for (name, child) in members {
                write(child, w.name(name));
            }
        }),
        Node::Array(items) => w.array(|w| items.iter().for_each(|item| write(item, w))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_are_put_where_their_paths_say() {
        let mut partial = Partial::new(None, Text::from_escaped("f"));
        partial.add(r#"[{"jsonPath":"$.a","stringValue":"x\"","willContinue":true},{"jsonPath":"$.b[1].c","numberValue":1.50}]"#);
        partial.add(r#"[{"jsonPath":"$.a","stringValue":"y"},{"jsonPath":"$['d e']","boolValue":true}]"#);
        partial.add(
            r#"[{"jsonPath":"$.n","nullValue":"NULL_VALUE"},{"jsonPath":"no"},{"jsonPath":"$.z[99999999]"}]"#,
        );
        partial.add("nonsense");
        let (_, _, arguments) = partial.into_call();
        let expected = r#"{"a":"x\"y","b":[null,{"c":1.50}],"d e":true,"n":null,"z":[]}"#;
        assert_eq!(arguments, *expected);
    }
}
