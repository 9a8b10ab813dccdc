//! The resources as declared: entries with their place in the file, read but not yet resolved.
//!
//! An entry that does not fit keeps its name, so that a reference to it is not reported as a second problem.

pub(crate) mod shapes;

use serde::de::DeserializeOwned;

use self::shapes::{ApiKeyShape, BudgetShape, CachePolicyShape, ModelShape, ProviderKeyShape};
use super::{
    problem::{Place, Problems},
    reader::read,
    tree::{Node, Value},
};

/// The lists of resources, as the file spells them.
pub(super) const LISTS: [&str; 5] = ["provider_keys", "models", "api_keys", "budgets", "cache_policies"];

/// One entry of a list.
#[derive(Debug)]
pub(super) struct Declared<T> {
    /// The entry as written.
    pub(super) node: Node,
    /// Its path, such as `models[2]`.
    pub(super) path: String,
    /// The name by which others refer to it, when it has one.
    pub(super) name: Option<String>,
    /// What it says; nothing when a problem with it is reported.
    pub(super) shape: Option<T>,
}

impl<T> Declared<T> {
    /// Where a finding about this entry stands.
    pub(super) fn place(&self) -> Place<'_> {
        Place { node: &self.node, path: &self.path }
    }
}

/// Every declared resource, in the order of the file.
#[derive(Debug)]
pub(super) struct Resources {
    pub(super) provider_keys: Vec<Declared<ProviderKeyShape>>,
    pub(super) models: Vec<Declared<ModelShape>>,
    pub(super) api_keys: Vec<Declared<ApiKeyShape>>,
    pub(super) budgets: Vec<Declared<BudgetShape>>,
    pub(super) cache_policies: Vec<Declared<CachePolicyShape>>,
}

impl Resources {
    /// Reads every list of the file.
    pub(super) fn read(root: &Node, problems: &mut Problems) -> Self {
        Self {
            provider_keys: list(root, "provider_keys", "display_name", problems),
            models: list(root, "models", "display_name", problems),
            api_keys: list(root, "api_keys", "display_name", problems),
            budgets: list(root, "budgets", "name", problems),
            cache_policies: list(root, "cache_policies", "name", problems),
        }
    }
}

fn list<T: DeserializeOwned>(
    root: &Node,
    kind: &str,
    identity: &str,
    problems: &mut Problems,
) -> Vec<Declared<T>> {
    let Some(node) = root.get(kind) else {
        return Vec::new();
    };
    if !matches!(node.value, Value::Array(_) | Value::Unavailable) {
        let message = format!("expected a list, written as [[{kind}]]");
        problems.add_from(&node.origin, kind, message);
    }
    let entries = node.elements().iter().enumerate();
    entries
        .map(|(index, node)| {
            let path = format!("{kind}[{index}]");
            let shape = read(Place { node, path: &path }, problems);
            Declared { node: node.clone(), path, name: node.text(identity).map(str::to_owned), shape }
        })
        .collect()
}
