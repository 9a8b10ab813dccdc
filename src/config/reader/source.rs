//! The serde side of a tree: hands a [`Node`] to a visitor.
//!
//! Two values have no type of their own. The text of an environment override takes the type that is asked
//! for. A value that could not be had gives an empty one, so that the rest of its table can still be checked;
//! the reader is told.

use std::cell::Cell;

use serde::{
    Deserializer,
    de::{
        DeserializeSeed, Error, IntoDeserializer, MapAccess, SeqAccess, Unexpected, Visitor,
        value::SeqDeserializer,
    },
    forward_to_deserialize_any,
};

use super::mismatch::{Mismatch, Segment};
use crate::config::tree::{Node, Value};

/// A node to read from.
#[derive(Clone, Copy)]
pub(super) struct Source<'de> {
    node: &'de Node,
    met_unavailable: &'de Cell<bool>,
}

impl<'de> Source<'de> {
    /// Reads from `node`, and notes in `met_unavailable` when a part of it could not be had.
    pub(super) fn new(node: &'de Node, met_unavailable: &'de Cell<bool>) -> Self {
        Self { node, met_unavailable }
    }

    fn at(self, node: &'de Node) -> Self {
        Self { node, ..self }
    }
}

/// Methods that take an override's text or an unavailable value as the type that is asked for.
macro_rules! take_as {
    ($($method:ident $visit:ident $type:ty)*) => {$(
        fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Mismatch> {
            match &self.node.value {
                Value::Loose(text) => match text.trim().parse::<$type>() {
                    Ok(value) => visitor.$visit(value),
                    Err(_) => visitor.visit_str(text),
                },
                Value::Unavailable => {
                    self.met_unavailable.set(true);
                    visitor.$visit(<$type>::default())
                }
                _ => self.deserialize_any(visitor),
            }
        }
    )*};
}

impl<'de> Deserializer<'de> for Source<'de> {
    type Error = Mismatch;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Mismatch> {
        match &self.node.value {
            Value::Str { text, .. } | Value::Loose(text) => visitor.visit_borrowed_str(text),
            Value::Int(number) => visitor.visit_i64(*number),
            Value::Float(number) => visitor.visit_f64(*number),
            Value::Bool(value) => visitor.visit_bool(*value),
            Value::Array(elements) => {
                visitor.visit_seq(Elements { source: self, rest: elements.iter().enumerate() })
            }
            Value::Table(members) => visitor.visit_map(Members::new(self, members)),
            Value::Null => visitor.visit_unit(),
            Value::Unavailable => {
                self.met_unavailable.set(true);
                visitor.visit_str("")
            }
        }
    }

    take_as! {
        deserialize_bool visit_bool bool
        deserialize_u8 visit_u64 u64
        deserialize_u16 visit_u64 u64
        deserialize_u32 visit_u64 u64
        deserialize_u64 visit_u64 u64
        deserialize_i8 visit_i64 i64
        deserialize_i16 visit_i64 i64
        deserialize_i32 visit_i64 i64
        deserialize_i64 visit_i64 i64
        deserialize_f32 visit_f64 f64
        deserialize_f64 visit_f64 f64
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Mismatch> {
        match self.node.value {
            Value::Null => visitor.visit_none(),
            Value::Unavailable => {
                self.met_unavailable.set(true);
                visitor.visit_none()
            }
            _ => visitor.visit_some(self),
        }
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, Mismatch> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Mismatch> {
        match &self.node.value {
            Value::Loose(text) => {
                let items = text.split(',').map(str::trim).filter(|item| !item.is_empty());
                visitor.visit_seq(SeqDeserializer::new(items))
            }
            Value::Unavailable => {
                self.met_unavailable.set(true);
                visitor.visit_seq(SeqDeserializer::new(std::iter::empty::<&str>()))
            }
            _ => self.deserialize_any(visitor),
        }
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Mismatch> {
        match &self.node.value {
            Value::Str { text, .. } | Value::Loose(text) => {
                visitor.visit_enum(text.as_str().into_deserializer())
            }
            _ => self.deserialize_any(visitor),
        }
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Mismatch> {
        match &self.node.value {
            // serde would take the elements for the members, in the order in which a program declares them.
            Value::Array(_) => Err(Mismatch::invalid_type(Unexpected::Seq, &visitor)),
            _ => self.deserialize_any(visitor),
        }
    }

    forward_to_deserialize_any! {
        i128 u128 char str string bytes byte_buf unit unit_struct tuple tuple_struct map identifier ignored_any
    }
}

/// The elements of a list; those that could not be had are left out.
struct Elements<'de> {
    source: Source<'de>,
    rest: std::iter::Enumerate<std::slice::Iter<'de, Node>>,
}

impl<'de> SeqAccess<'de> for Elements<'de> {
    type Error = Mismatch;

    fn next_element_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<Option<T::Value>, Mismatch> {
        let met_unavailable = self.source.met_unavailable;
        let is_there = |(_, node): &(usize, &Node)| {
            let is_there = !matches!(node.value, Value::Unavailable);
            met_unavailable.set(met_unavailable.get() || !is_there);
            is_there
        };
        let Some((index, node)) = self.rest.find(is_there) else {
            return Ok(None);
        };
        seed.deserialize(self.source.at(node))
            .map(Some)
            .map_err(|mismatch| mismatch.within(Segment::Index(index)))
    }
}

/// The members of a table: those that could not be had last, so that they hide nothing.
struct Members<'de> {
    source: Source<'de>,
    rest: std::vec::IntoIter<&'de (String, Node)>,
    current: Option<&'de (String, Node)>,
}

impl<'de> Members<'de> {
    fn new(source: Source<'de>, members: &'de [(String, Node)]) -> Self {
        let mut rest: Vec<_> = members.iter().collect();
        rest.sort_by_key(|(_, node)| matches!(node.value, Value::Unavailable));
        Self { source, rest: rest.into_iter(), current: None }
    }
}

impl<'de> MapAccess<'de> for Members<'de> {
    type Error = Mismatch;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, Mismatch> {
        self.current = self.rest.next();
        let Some((name, _)) = self.current else {
            return Ok(None);
        };
        seed.deserialize(name.as_str().into_deserializer())
            .map(Some)
            .map_err(|mismatch: Mismatch| mismatch.within(Segment::Key(name.clone())))
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, Mismatch> {
        let Some((name, node)) = self.current.take() else {
            return Err(Mismatch::custom("a value was asked for before its key"));
        };
        seed.deserialize(self.source.at(node)).map_err(|mismatch| mismatch.within(Segment::Key(name.clone())))
    }
}
