//! The resources as declared: entries with their origin, read but not yet resolved.
//!
//! Every kind is one line of the table below; the file's lists, the Admin API's collections, the store and the schemas
//! follow from it. An entry that does not fit keeps its name, so that a reference to it is not a second problem.

pub(crate) mod shapes;

use std::sync::Arc;

use schemars::{Schema, SchemaGenerator};
use serde::{Serialize, de::DeserializeOwned};
use serde_json::value::RawValue;

use self::shapes::{
    ApiKeyShape, AttachmentShape, BudgetShape, CachePolicyShape, GuardrailShape, ModelShape,
    ProviderKeyShape, RateLimitPolicyShape,
};
use super::{
    problem::{Place, Problems},
    reader::read_what_fits,
    stored::Row,
    tree::{Node, Origin, Value},
    validate::id_of,
};

/// One entry, of a kind that the type tells.
#[derive(Debug)]
pub(crate) struct Declared<T> {
    /// The entry as written; only its origin is kept once it is checked.
    pub(super) node: Node,
    /// Its path in the file, such as `models[2]`; empty for stored ones.
    pub(super) path: String,
    /// Chosen by who stored it; made from the name otherwise.
    pub(super) id: Arc<str>,
    /// The name by which others refer to it, when it has one.
    pub(super) name: Option<Arc<str>>,
    /// How often a stored entry was written; 0 for others.
    pub(super) revision: u64,
    /// What it says, but for what is reported already; nothing when too little is left to be checked further.
    pub(super) shape: Option<T>,
}

impl<T> Declared<T> {
    /// Where a finding about this entry stands.
    pub(super) fn place(&self) -> Place<'_> {
        Place { node: &self.node, path: &self.path }
    }
}

/// One entry, of any kind.
pub trait Entry {
    /// The id.
    fn id(&self) -> &Arc<str>;
    /// The name by which others refer to it.
    fn name(&self) -> Option<&Arc<str>>;
    /// Where it comes from.
    fn origin(&self) -> &Origin;
    /// Its path in the file, such as `models[2]`; empty for stored ones.
    fn path(&self) -> &str;
    /// Where a finding about it stands.
    fn place(&self) -> Place<'_>;
    /// How often a stored entry was written; 0 for others.
    fn revision(&self) -> u64;
    /// What it says, with secrets masked.
    ///
    /// # Errors
    /// What it says is not known, because it could not be read.
    fn to_json(&self) -> serde_json::Result<Box<RawValue>>;
}

impl<T: Serialize> Entry for Declared<T> {
    fn id(&self) -> &Arc<str> {
        &self.id
    }

    fn name(&self) -> Option<&Arc<str>> {
        self.name.as_ref()
    }

    fn origin(&self) -> &Origin {
        &self.node.origin
    }

    fn path(&self) -> &str {
        &self.path
    }

    fn place(&self) -> Place<'_> {
        self.place()
    }

    fn revision(&self) -> u64 {
        self.revision
    }

    fn to_json(&self) -> serde_json::Result<Box<RawValue>> {
        serde_json::value::to_raw_value(&self.shape)
    }
}

macro_rules! kinds {
    ($($(#[$doc:meta])* $kind:ident: $list:ident of $shape:ty, $noun:literal by $identity:literal;)*) => {
        /// The kinds of resources.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum Kind {
            $($(#[$doc])* $kind,)*
        }

        impl Kind {
            /// All of them, in the order of the file.
            pub const ALL: &[Self] = &[$(Self::$kind),*];

            /// The list in the file, and the collection of the Admin API.
            pub const fn collection(self) -> &'static str {
                match self { $(Self::$kind => stringify!($list),)* }
            }

            /// One of them, in words.
            pub const fn noun(self) -> &'static str {
                match self { $(Self::$kind => $noun,)* }
            }

            /// The member that names one.
            pub const fn identity(self) -> &'static str {
                match self { $(Self::$kind => $identity,)* }
            }

            /// The schema of one, by reference to the generator's definitions.
            pub fn schema(self, generator: &mut SchemaGenerator) -> Schema {
                match self { $(Self::$kind => generator.subschema_for::<$shape>(),)* }
            }
        }

        /// The lists of resources, as the file spells them.
        pub(super) const LISTS: &[&str] = &[$(stringify!($list)),*];

        /// Every resource, in the order of declaration.
        #[derive(Clone, Debug, Default)]
        pub struct Resources {
            $(pub(super) $list: Vec<Arc<Declared<$shape>>>,)*
        }

        impl Resources {
            /// Reads every list of the file, and takes it out of the tree: there may be a hundred thousand entries.
            pub(super) fn take(root: &mut Node, problems: &mut Problems) -> Self {
                Self { $($list: list(root, Kind::$kind, problems),)* }
            }

            /// The entries of a kind.
            pub fn entries(&self, kind: Kind) -> Box<dyn Iterator<Item = &dyn Entry> + '_> {
                match kind {
                    $(Kind::$kind => Box::new(self.$list.iter().map(|entry| &**entry as &dyn Entry)),)*
                }
            }

            /// How many there are of a kind.
            pub fn count(&self, kind: Kind) -> usize {
                match kind { $(Kind::$kind => self.$list.len(),)* }
            }

            /// Adds an entry at the end of its list, or in the place of the one with its id.
            pub(crate) fn put(&mut self, resource: Resource) {
                match resource {
                    $(Resource::$kind(entry) => {
                        match self.$list.iter_mut().find(|known| known.id == entry.id) {
                            Some(known) => *known = entry,
                            None => self.$list.push(entry),
                        }
                    })*
                }
            }

            /// Adds an entry whose id nobody has.
            pub(crate) fn push(&mut self, resource: Resource) {
                match resource { $(Resource::$kind(entry) => self.$list.push(entry),)* }
            }

            /// Takes an entry out.
            pub(crate) fn remove(&mut self, kind: Kind, id: &str) {
                match kind { $(Kind::$kind => self.$list.retain(|entry| *entry.id != *id),)* }
            }

            /// These, and then the others.
            pub(crate) fn followed_by(&self, others: &Self) -> Self {
                let mut all = self.clone();
                $(all.$list.extend(others.$list.iter().cloned());)*
                all
            }

            /// Forgets how the entries were written, which only messages need, but for their origin.
            pub(crate) fn compact(&mut self) {
                $(for entry in self.$list.iter_mut().filter_map(Arc::get_mut) {
                    entry.node = Node::empty_table(entry.node.origin.clone());
                })*
            }
        }

        /// One entry of any kind, with its type.
        #[derive(Clone, Debug)]
        pub(crate) enum Resource {
            $($kind(Arc<Declared<$shape>>),)*
        }

        impl Resource {
            /// Reads a stored entry.
            pub(crate) fn read(kind: Kind, row: &Row<'_>, problems: &mut Problems) -> Self {
                match kind { $(Kind::$kind => Self::$kind(Arc::new(stored(kind, row, problems))),)* }
            }

            /// The entry.
            pub(crate) fn entry(&self) -> &dyn Entry {
                match self { $(Self::$kind(entry) => &**entry,)* }
            }
        }
    };
}

kinds! {
    /// Credentials and addresses of providers.
    ProviderKeys: provider_keys of ProviderKeyShape, "provider key" by "display_name";
    /// Names that callers send.
    Models: models of ModelShape, "model" by "display_name";
    /// What callers hold.
    ApiKeys: api_keys of ApiKeyShape, "API key" by "display_name";
    /// What may be spent.
    Budgets: budgets of BudgetShape, "budget" by "name";
    /// How often may be asked, by whom and what.
    RateLimitPolicies: rate_limit_policies of RateLimitPolicyShape, "rate limit policy" by "name";
    /// Which answers are kept.
    CachePolicies: cache_policies of CachePolicyShape, "cache policy" by "name";
    /// What may be asked and answered.
    Guardrails: guardrails of GuardrailShape, "guardrail" by "name";
    /// Where guardrails are in force.
    GuardrailAttachments: guardrail_attachments of AttachmentShape, "guardrail attachment" by "name";
}

impl Kind {
    /// The kind of a collection; `apikeys` is another spelling of `api_keys`.
    pub fn of_collection(name: &str) -> Option<Self> {
        let name = if name == "apikeys" { "api_keys" } else { name };
        Self::ALL.iter().copied().find(|kind| kind.collection() == name)
    }
}

impl Resources {
    /// The entry with an id.
    pub fn find(&self, kind: Kind, id: &str) -> Option<&dyn Entry> {
        self.entries(kind).find(|entry| **entry.id() == *id)
    }
}

fn list<T: DeserializeOwned>(root: &mut Node, kind: Kind, problems: &mut Problems) -> Vec<Arc<Declared<T>>> {
    let collection = kind.collection();
    let Some(node) = root.take(collection) else {
        return Vec::new();
    };
    let entries = match node.value {
        Value::Array(entries) => entries,
        Value::Unavailable => return Vec::new(),
        _ => {
            let message = format!("expected a list, written as [[{collection}]]");
            problems.add_from(&node.origin, collection, message);
            return Vec::new();
        }
    };
    entries
        .into_iter()
        .enumerate()
        .map(|(index, node)| {
            let path = format!("{collection}[{index}]");
            let (shape, without) = read_what_fits(Place { node: &node, path: &path }, problems);
            let name: Option<Arc<str>> = node.text(kind.identity()).map(Into::into);
            let id = name.as_deref().map_or_else(|| Arc::from(path.as_str()), |name| id_of(kind, name));
            let node = without.unwrap_or(node);
            Arc::new(Declared { node, path, id, name, revision: 0, shape })
        })
        .collect()
}

fn stored<T: DeserializeOwned>(kind: Kind, row: &Row<'_>, problems: &mut Problems) -> Declared<T> {
    let origin = Origin::Stored(format!("{}/{}", kind.collection(), row.id).into());
    let node = row.node(&origin, problems);
    let (shape, without) = read_what_fits(Place { node: &node, path: "" }, problems);
    let name = node.text(kind.identity()).map(Into::into);
    let node = without.unwrap_or(node);
    Declared { node, path: String::new(), id: row.id.into(), name, revision: row.revision, shape }
}
