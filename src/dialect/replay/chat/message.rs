//! A message, and the deltas that it comes in.

use std::borrow::Cow;

use crate::dialect::json::Writer;
use crate::dialect::replay::members::{
    Member, agree, copy, get, inside, is_nothing, items, list, members, number, say,
};

/// Members whose deltas are pieces of one text.
const TEXTS: [&str; 4] = ["content", "reasoning_content", "reasoning", "refusal"];

/// Whether a message can be said as a delta.
pub(super) fn is_playable(message: &[Member<'_>]) -> bool {
    let calls = get(message, "tool_calls")
        .map(|raw| items(raw).is_some_and(|calls| calls.into_iter().all(is_object)));
    calls.unwrap_or(true)
}

fn is_object(raw: &str) -> bool {
    raw.starts_with('{')
}

/// Writes a message as one delta.
pub(super) fn write_delta(w: &mut Writer<'_>, message: &[Member<'_>]) {
    copy(w, message, &["tool_calls"]);
    let Some(calls) = get(message, "tool_calls").and_then(items) else { return };
    w.name("tool_calls").array(|w| {
        for (place, call) in calls.into_iter().enumerate() {
            w.object(|w| {
                w.name("index").number(place as u64);
                copy(w, &members(call).unwrap_or_default(), &["index"]);
            });
        }
    });
}

/// A message that grows.
#[derive(Default)]
pub(super) struct Message<'a> {
    /// Texts, by their members' names.
    texts: Vec<(Cow<'a, str>, Option<String>)>,
    annotations: Vec<&'a str>,
    /// Thoughts with their signatures, and the place of each.
    details: Vec<(&'a str, &'a str)>,
    calls: Vec<Call<'a>>,
    role: Option<&'a str>,
}

#[derive(Default)]
struct Call<'a> {
    index: u64,
    name: Option<&'a str>,
    arguments: String,
    rest: Vec<Member<'a>>,
}

impl<'a> Message<'a> {
    /// Adds a delta; `None` where it says what cannot be added for certain.
    pub(super) fn add(&mut self, delta: Vec<Member<'a>>) -> Option<()> {
        for (name, raw) in delta {
            match &*name {
                "role" => {
                    self.role = self.role.or(Some(raw).filter(|raw| !is_nothing(raw)));
                }
                own if TEXTS.contains(&own) => self.say(name, raw)?,
                "tool_calls" if !is_nothing(raw) => {
                    items(raw)?.into_iter().try_for_each(|raw| self.call(raw))?;
                }
                "annotations" if !is_nothing(raw) => self.annotations.extend(items(raw)?),
                "reasoning_details" if !is_nothing(raw) => {
                    items(raw)?.into_iter().try_for_each(|raw| self.detail(raw))?;
                }
                _ if is_nothing(raw) => {}
                _ => return None,
            }
        }
        Some(())
    }

    /// Only whole ones: how pieces of one are joined depends on its kind.
    fn detail(&mut self, raw: &'a str) -> Option<()> {
        let place = get(&members(raw)?, "index")?;
        let is_new = self.details.iter().all(|(own, _)| *own != place);
        is_new.then(|| self.details.push((place, raw)))
    }

    fn say(&mut self, name: Cow<'a, str>, raw: &'a str) -> Option<()> {
        let more = if raw == "null" { None } else { Some(inside(raw)?) };
        match (self.texts.iter_mut().find(|(own, _)| *own == name), more) {
            (Some((_, Some(text))), Some(more)) => text.push_str(more),
            (Some((_, text)), Some(more)) => *text = Some(more.to_owned()),
            (Some(_), None) => {}
            (None, more) => self.texts.push((name, more.map(str::to_owned))),
        }
        Some(())
    }

    fn call(&mut self, raw: &'a str) -> Option<()> {
        let found = members(raw)?;
        let index = number(get(&found, "index")?)?;
        let at = self.calls.iter().position(|call| call.index == index).unwrap_or_else(|| {
            self.calls.push(Call { index, ..Call::default() });
            self.calls.len() - 1
        });
        let call = self.calls.get_mut(at)?;
        for (name, raw) in found {
            match &*name {
                "index" => {}
                "function" if !is_nothing(raw) => call.add(members(raw)?)?,
                _ if is_nothing(raw) => {}
                _ => agree(&mut call.rest, name, raw)?,
            }
        }
        Some(())
    }

    pub(super) fn write(&self, w: &mut Writer<'_>) {
        w.name("role").raw(self.role.unwrap_or("\"assistant\""));
        if !self.texts.iter().any(|(name, _)| name == "content") {
            w.name("content").null();
        }
        for (name, text) in &self.texts {
            match text {
                Some(text) => say(w, name, text),
                None => w.name(name).null(),
            }
        }
        if !self.details.is_empty() {
            let details: Vec<&str> = self.details.iter().map(|(_, raw)| *raw).collect();
            list(w, "reasoning_details", &details);
        }
        if !self.annotations.is_empty() {
            list(w, "annotations", &self.annotations);
        }
        if !self.calls.is_empty() {
            w.name("tool_calls").array(|w| self.calls.iter().for_each(|call| w.object(|w| call.write(w))));
        }
    }
}

impl<'a> Call<'a> {
    fn add(&mut self, function: Vec<Member<'a>>) -> Option<()> {
        for (name, raw) in function {
            match &*name {
                "arguments" if raw == "null" => {}
                "arguments" => self.arguments.push_str(inside(raw)?),
                _ if is_nothing(raw) => {}
                "name" if self.name.is_none_or(|own| own == raw) => self.name = Some(raw),
                _ => return None,
            }
        }
        Some(())
    }

    fn write(&self, w: &mut Writer<'_>) {
        copy(w, &self.rest, &[]);
        w.name("function").object(|w| {
            w.name("name").raw(self.name.unwrap_or("\"\""));
            say(w, "arguments", &self.arguments);
        });
    }
}
