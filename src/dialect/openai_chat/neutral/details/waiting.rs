//! Signatures that wait for the tool call they belong to. A message can hold very many of both, so nothing is searched.

use std::collections::{HashMap, VecDeque};

use crate::dialect::chat::Signature;
use crate::dialect::json::Text;

/// Signatures in their order, found by the ids of calls.
#[derive(Debug, Default)]
pub(super) struct Waiting<'a> {
    /// A place is empty once its signature was taken.
    all: Vec<Option<Signature<'a>>>,
    by_id: HashMap<Box<str>, VecDeque<usize>>,
    /// Those that name no call.
    nameless: VecDeque<usize>,
    /// How many of those that wait say this, whoever's they are.
    known: HashMap<Box<str>, usize>,
}

impl<'a> Waiting<'a> {
    /// Adds one, of the call with this id.
    pub(super) fn push(&mut self, id: Option<&Text<'_>>, signature: Signature<'a>) {
        let place = self.all.len();
        match id {
            Some(id) => self.by_id.entry(id.decode().into()).or_default().push_back(place),
            None => self.nameless.push_back(place),
        }
        *self.known.entry(said(&signature)).or_default() += 1;
        self.all.push(Some(signature));
    }

    /// Whether one that says the same waits.
    pub(super) fn knows(&self, signature: &Signature<'_>) -> bool {
        self.known.contains_key(&said(signature))
    }

    /// The first one of a call; the first call may have one that names none.
    pub(super) fn take(&mut self, id: &Text<'_>, is_first: bool) -> Option<Signature<'a>> {
        if self.known.is_empty() {
            return None;
        }
        let nameless = self.nameless.front().copied().filter(|_| is_first);
        let own = self.by_id.get_mut(&*id.decode());
        let named = own.as_ref().and_then(|places| places.front().copied());
        let place = [nameless, named].into_iter().flatten().min()?;
        match own.filter(|_| named == Some(place)) {
            Some(places) => places.pop_front(),
            None => self.nameless.pop_front(),
        };
        let signature = self.all.get_mut(place)?.take()?;
        let said = said(&signature);
        if let Some(count) = self.known.get_mut(&*said) {
            *count -= 1;
            if *count == 0 {
                self.known.remove(&*said);
            }
        }
        Some(signature)
    }

    /// Those that nobody has taken.
    pub(super) fn rest(self) -> impl Iterator<Item = Signature<'a>> {
        self.all.into_iter().flatten()
    }

    /// Whether there is one.
    pub(super) fn is_any(&self) -> bool {
        !self.known.is_empty()
    }
}

/// What a signature says, however it is escaped.
fn said(signature: &Signature<'_>) -> Box<str> {
    Text::from_escaped(&signature.write(None)).decode().into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dialect::chat::Origin;

    #[test]
    fn calls_take_their_own_and_the_first_one_takes_what_names_none() {
        let signature = |data| Signature { origin: Origin::Google, data: Text::plain(data) };
        let mut waiting = Waiting::default();
        for (id, data) in [(Some("b"), "1"), (None, "2"), (Some("a"), "3"), (Some("b"), "1"), (None, "5")] {
            waiting.push(id.map(Text::plain).as_ref(), signature(data));
        }
        assert!(waiting.knows(&signature("3")) && !waiting.knows(&signature("6")));
        assert_eq!(waiting.take(&Text::plain("a"), true), Some(signature("2")));
        assert_eq!(waiting.take(&Text::plain("b"), false), Some(signature("1")));
        assert_eq!(waiting.take(&Text::plain("c"), false), None);
        assert_eq!(waiting.take(&Text::plain("a"), false), Some(signature("3")));
        assert!(waiting.is_any() && !waiting.knows(&signature("3")));
        assert!(waiting.knows(&signature("1")), "another says the same");
        assert_eq!(waiting.rest().collect::<Vec<_>>(), [signature("1"), signature("5")]);
    }
}
