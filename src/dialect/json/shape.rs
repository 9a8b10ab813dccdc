//! Objects as dialects know them: the members that are understood, and the names of those that are not.
//!
//! `serde`'s derive either refuses unknown members or loses them. A translation has to name them.

use std::borrow::Cow;
use std::marker::PhantomData;

use serde::de::{Deserialize, Deserializer, Error};
use serde_json::value::RawValue;

use super::Text;

/// The name of a member, borrowed unless it has escapes.
#[derive(serde::Deserialize)]
pub struct Name<'a>(#[serde(borrow)] pub Cow<'a, str>);

/// A text, or a list: how several dialects write what somebody says.
#[derive(Debug)]
pub enum TextOr<'a, T> {
    /// Only words.
    Text(Text<'a>),
    /// A list of pieces.
    List(Vec<T>),
}

impl<'de: 'a, 'a, T: Deserialize<'de>> Deserialize<'de> for TextOr<'a, T> {
    fn deserialize<D: Deserializer<'de>>(source: D) -> Result<Self, D::Error> {
        let raw = <&'de RawValue>::deserialize(source)?.get();
        match raw.as_bytes().first() {
            Some(b'"') => {
                Text::from_json(raw).map(Self::Text).ok_or_else(|| D::Error::custom("expected a string"))
            }
            Some(b'[') => serde_json::from_str(raw).map(Self::List).map_err(D::Error::custom),
            _ => Err(D::Error::custom("expected a string or an array")),
        }
    }
}

/// A number as it is written.
#[derive(Debug, Clone, Copy)]
pub struct Number<'a>(pub &'a str);

impl<'de: 'a, 'a> Deserialize<'de> for Number<'a> {
    fn deserialize<D: Deserializer<'de>>(source: D) -> Result<Self, D::Error> {
        let raw = <&'de RawValue>::deserialize(source)?.get();
        match raw.as_bytes().first() {
            Some(b'-' | b'0'..=b'9') => Ok(Self(raw)),
            _ => Err(D::Error::custom("expected a number")),
        }
    }
}

/// Any JSON, as it is written.
#[derive(Debug, Clone, Copy)]
pub struct Json<'a>(pub &'a str);

impl<'de: 'a, 'a> Deserialize<'de> for Json<'a> {
    fn deserialize<D: Deserializer<'de>>(source: D) -> Result<Self, D::Error> {
        <&'de RawValue>::deserialize(source).map(|raw| Self(raw.get()))
    }
}

/// Makes a visitor hold on to a lifetime.
#[derive(Debug)]
pub struct Borrowing<'a, T>(pub PhantomData<(&'a (), T)>);

/// Declares objects: each member is optional and may have a second name, `null` counts as absent, and the names of unknown
/// members that are not `null` are kept in `unknown`.
///
/// ```text
/// shape! {
///     /// A message.
///     Message {
///         "role" => role: Text<'a>,
///         "content" => content: TextOr<'a, Piece<'a>>,
///     }
/// }
/// ```
macro_rules! shape {
    ($($(#[$meta:meta])* $shape:ident { $($key:literal $(| $other:literal)? => $field:ident: $type:ty,)* })*) => {$(
        $(#[$meta])*
        #[derive(Debug)]
        pub(super) struct $shape<'a> {
            $(pub(super) $field: Option<$type>,)*
            /// Names of members that the shape does not have.
            pub(super) unknown: smallvec::SmallVec<[std::borrow::Cow<'a, str>; 1]>,
        }

        impl<'de: 'a, 'a> serde::de::Deserialize<'de> for $shape<'a> {
            fn deserialize<D: serde::de::Deserializer<'de>>(source: D) -> Result<Self, D::Error> {
                use $crate::dialect::json::shape::Borrowing;
                source.deserialize_map(Borrowing::<$shape<'a>>(std::marker::PhantomData))
            }
        }

        impl<'de: 'a, 'a> serde::de::Visitor<'de> for $crate::dialect::json::shape::Borrowing<'a, $shape<'a>> {
            type Value = $shape<'a>;

            fn expecting(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                out.write_str("an object")
            }

            fn visit_map<A: serde::de::MapAccess<'de>>(self, mut map: A) -> Result<$shape<'a>, A::Error> {
                use $crate::dialect::json::shape::Name;
                let mut shape = $shape { $($field: None,)* unknown: smallvec::SmallVec::new() };
                while let Some(Name(name)) = map.next_key::<Name<'de>>()? {
                    match &*name {
                        $($key $(| $other)? => shape.$field = map.next_value::<Option<$type>>()?,)*
                        _ => {
                            if map.next_value::<Option<serde::de::IgnoredAny>>()?.is_some() {
                                shape.unknown.push(name);
                            }
                        }
                    }
                }
                Ok(shape)
            }
        }
    )*};
}

pub(crate) use shape;

#[cfg(test)]
mod tests {
    use super::*;

    shape! {
        /// A message.
        Message {
            "role" => role: Text<'a>,
            "content" => content: TextOr<'a, Piece<'a>>,
            "n" | "n_2" => number: Number<'a>,
            "any" => any: Json<'a>,
        }
        /// A piece.
        Piece {
            "text" => text: Text<'a>,
            "deep" => deep: Vec<Piece<'a>>,
        }
    }

    #[test]
    fn known_members_are_read_and_the_others_named() {
        let text = r#"{"role":"a\"b","x":null,"y":{"z":[1]},"n":1.50,"any":[ 1],
            "content":[{"text":"t","deep":[{"q":1}]},{"text":null}]}"#;
        let message: Message<'_> = serde_json::from_str(text).expect("reads");
        assert_eq!(message.role, Text::from_json(r#""a\"b""#));
        assert_eq!(message.unknown.as_slice(), ["y"]);
        assert_eq!(message.number.map(|number| number.0), Some("1.50"));
        assert_eq!(message.any.map(|json| json.0), Some("[ 1]"));
        let Some(TextOr::List(pieces)) = message.content else { panic!("a list") };
        assert_eq!(pieces.len(), 2);
        assert_eq!(pieces[0].deep.as_ref().expect("deep")[0].unknown.as_slice(), ["q"]);
        assert!(pieces[1].text.is_none() && pieces[1].unknown.is_empty());
    }

    #[test]
    fn another_type_is_refused() {
        for text in ["[]", "1", r#"{"role":1}"#, r#"{"content":1}"#, r#"{"n":"1"}"#, r#"{"content":[1]}"#] {
            assert!(serde_json::from_str::<Message<'_>>(text).is_err(), "{text}");
        }
        let message = serde_json::from_str::<Message<'_>>(r#"{"content":"c","n_2":2}"#).expect("reads");
        assert!(matches!(message.content, Some(TextOr::Text(_))));
        assert_eq!(message.number.map(|number| number.0), Some("2"));
    }
}
