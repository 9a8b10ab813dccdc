//! The canonical form of a JSON text: what two requests must share to share an answer.
//!
//! White space goes, members are sorted by name, everything else stays as written. Two texts with one canonical form
//! mean the same; the reverse need not hold (`1` and `1.0` differ), which costs a miss and never a wrong answer.

use serde_json::value::RawValue;
use smallvec::SmallVec;

use super::raw::RawObject;

/// Appends the canonical form of an object without its members `except`.
pub fn write_object(object: &RawObject, except: &[&str], out: &mut Vec<u8>) {
    let members = object.members().filter(|(name, _)| !except.contains(name)).collect();
    write_members(members, out);
}

fn write_members(mut members: SmallVec<[(&str, &str); 12]>, out: &mut Vec<u8>) {
    // A stable sort: members of one name (in nested objects) keep their order, which decides what they mean.
    members.sort_by_key(|(name, _)| *name);
    out.push(b'{');
    for (name, value) in members {
        // The length makes the name's end unambiguous; it is already unescaped.
        out.extend_from_slice(&(name.len() as u32).to_le_bytes());
        out.extend_from_slice(name.as_bytes());
        write_value(value, out);
        out.push(b',');
    }
    out.push(b'}');
}

fn write_value(value: &str, out: &mut Vec<u8>) {
    match value.as_bytes().first() {
        Some(b'{') => match serde_json::from_str::<Members<'_>>(value) {
            Ok(Members(members)) => {
                let members = members.iter().map(|(name, value)| (&**name, *value)).collect();
                write_members(members, out);
            }
            Err(_) => out.extend_from_slice(value.as_bytes()),
        },
        Some(b'[') => match serde_json::from_str::<Vec<&RawValue>>(value) {
            Ok(items) => {
                out.push(b'[');
                for item in items {
                    write_value(item.get(), out);
                    out.push(b',');
                }
                out.push(b']');
            }
            Err(_) => out.extend_from_slice(value.as_bytes()),
        },
        _ => out.extend_from_slice(value.as_bytes()),
    }
}

pub(super) type Name<'a> = std::borrow::Cow<'a, str>;

/// The members of a nested object, repeated names included.
pub(super) struct Members<'a>(pub(super) SmallVec<[(Name<'a>, &'a str); 12]>);

impl<'de> serde::Deserialize<'de> for Members<'de> {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;
        impl<'de> serde::de::Visitor<'de> for Visitor {
            type Value = Members<'de>;

            fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                formatter.write_str("an object")
            }

            fn visit_map<A: serde::de::MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut members = SmallVec::new();
                while let Some(name) = map.next_key::<Borrowed<'de>>()? {
                    members.push((name.0, map.next_value::<&'de RawValue>()?.get()));
                }
                Ok(Members(members))
            }
        }
        deserializer.deserialize_map(Visitor)
    }
}

#[derive(serde::Deserialize)]
struct Borrowed<'a>(#[serde(borrow)] Name<'a>);

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use proptest::prelude::*;

    use super::*;

    fn canonical(text: &str) -> Vec<u8> {
        let object = RawObject::parse(Bytes::copy_from_slice(text.as_bytes())).expect("an object");
        let mut out = Vec::new();
        write_object(&object, &["stream"], &mut out);
        out
    }

    #[test]
    fn order_and_space_do_not_matter_and_everything_else_does() {
        let base = canonical(r#"{"a":1,"b":{"x":[1,2],"y":"z"}}"#);
        for same in [
            r#"{"b":{"y":"z","x":[1, 2]},"a":1}"#,
            "{ \"stream\":true,\n\"a\":1,\"b\":{\"x\":[1,2],\"y\":\"z\"}}",
        ] {
            assert_eq!(canonical(same), base, "{same}");
        }
        for other in [
            r#"{"a":2,"b":{"x":[1,2],"y":"z"}}"#,
            r#"{"a":1,"b":{"x":[2,1],"y":"z"}}"#,
            r#"{"a":1,"b":{"x":[12],"y":"z"}}"#,
            r#"{"a":1,"b":{"x":[1,2],"y":"z "}}"#,
            r#"{"a":1,"b":{"x":[1,2],"y":"z"},"c":null}"#,
            r#"{"a":1,"b":{"x":[1,[2]],"y":"z"}}"#,
            r#"{"a":"1","b":{"x":[1,2],"y":"z"}}"#,
            r#"{"a":1,"b":{"x":[1,2],"y":"z","y":"w"}}"#,
        ] {
            assert_ne!(canonical(other), base, "{other}");
        }
    }

    fn json() -> impl Strategy<Value = serde_json::Value> {
        let leaf = prop_oneof![any::<i32>().prop_map(Into::into), "[a-c\"\\\\]{0,3}".prop_map(Into::into)];
        leaf.prop_recursive(3, 20, 4, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..3).prop_map(Into::into),
                prop::collection::btree_map("[ab]{0,2}", inner, 0..3)
                    .prop_map(|map| serde_json::Value::Object(map.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #[test]
        fn different_values_have_different_forms(left in json(), right in json()) {
            let form = |value: &serde_json::Value| canonical(&serde_json::json!({ "v": value }).to_string());
            prop_assert_eq!(left == right, form(&left) == form(&right));
        }
    }
}
