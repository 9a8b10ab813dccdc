//! Reload: a changed file is noticed by itself, a bad one changes nothing, and nobody who is being served notices either.

use futures::executor::block_on;

use crate::harness::*;

mod counts;
mod files;
mod progress;
mod reports;

/// Reads the file again, as after a SIGHUP.
fn reload(gateway: &Gateway) -> Result<(), String> {
    block_on(gateway.gateway.registry().expect("it runs").reload())
}

/// The names of the models in force.
fn models(gateway: &Gateway) -> Vec<String> {
    gateway.gateway.snapshot().models().map(|model| model.name.to_string()).collect()
}

/// A file with one provider key, the key `sk-test`, and these models.
fn with_models(upstream: &Upstream, names: &[&str]) -> String {
    let models: String = names.iter().map(|name| model(name, "up", "")).collect();
    provider_key("up", &upstream.url()) + &models + &api_key("sk-test", "\"*\"", "")
}
