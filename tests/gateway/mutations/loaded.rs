//! All that a configuration means once it is loaded, to be compared; secrets included.

use std::sync::Arc;

use aisix::config::{Kind, Settings, Snapshot};
use aisix_actors::provider_pool::ProviderKey;

/// See the module.
#[derive(PartialEq)]
pub(super) struct Loaded {
    settings: Arc<Settings>,
    provider_keys: Vec<ProviderKey>,
    /// Kind, id and what it says, in order.
    resources: Vec<(Kind, String, String)>,
}

impl Loaded {
    pub(super) fn of(snapshot: &Snapshot) -> Self {
        let entries = |kind: &Kind| {
            let kind = *kind;
            snapshot.resources.entries(kind).map(move |entry| {
                (kind, entry.id().to_string(), entry.to_json().expect("a good entry").to_string())
            })
        };
        Self {
            settings: snapshot.settings.clone(),
            provider_keys: snapshot.provider_keys.clone(),
            resources: Kind::ALL.iter().flat_map(entries).collect(),
        }
    }
}
