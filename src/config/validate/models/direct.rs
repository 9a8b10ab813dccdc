//! Models with one upstream of their own.

use std::{sync::Arc, time::Duration};

use aisix_actors::candidate_router::{CooldownRule, Group, Member, Strategy, Target, WhenAllUnavailable};

use super::{Known, assemble, check_networks, check_statuses, is_wildcard};
use crate::{
    config::{
        price::{Decimal, Price, Rates},
        prices,
        problem::{Place, Problems},
        resources::{
            Declared,
            shapes::{BackgroundCheckShape, CooldownShape, CostShape, ModelShape},
        },
        snapshot::{BackgroundCheck, Direct, Dispatch, Model, Tariff},
        validate::provider_keys::CheckedKey,
    },
    dialect::Dialect,
    operation::Operation,
    providers::{self, Provider},
};

/// Longest provider id.
const MAX_PROVIDER: usize = 64;

/// Resolves one direct model; `None` when a problem with it, or with its provider key, is reported.
pub(super) fn resolve(
    entry: &Declared<ModelShape>,
    shape: &ModelShape,
    known: &Known<'_>,
    problems: &mut Problems,
) -> Option<Model> {
    let place = entry.place();
    let upstream_model = upstream_model(place, shape, problems);
    let cost = shape.cost.as_ref().and_then(|cost| price(place, cost, problems));
    let cooldown = cooldown(place, shape.cooldown.as_ref(), problems);
    check_networks(place, shape, problems);
    for (field, number) in
        [("context_window", shape.context_window), ("max_output_tokens", shape.max_output_tokens)]
    {
        if number == Some(0) {
            place.report(field, "expected 1 or more", problems);
        }
    }
    let check = shape.background_model_check.as_ref();
    let background_check = check.and_then(|check| background_check(place, check, problems));
    let is_label = shape.provider.as_deref().is_none_or(is_provider_id);
    if !is_label {
        let message = "expected 1 to 64 lower-case letters, digits, \".\", \"_\" or \"-\"";
        place.report("provider", message, problems);
    }
    let key = provider_key(place, shape, known, problems)?;
    if background_check.is_some() && !converses(key.provider) {
        place.report("background_model_check", "this provider answers no conversations", problems);
    }
    let id = entry.id.clone();
    let check_stale_after = background_check.as_ref().map(|check| check.stale_after);
    let target = Arc::new(Target { id: id.clone(), cooldown, check_stale_after });
    let row = upstream_model.and_then(|model| prices::find(key.provider.priced_as(), model));
    let price = cost.as_ref().or(row.map(|row| &row.price));
    let tariff = Tariff { cost, max_output_tokens: shape.max_output_tokens, row };
    let cost = price.map(|price| price.rates.input.saturating_add(price.rates.output));
    let member = Member { cost, ..Member::new(target, shape.display_name.as_str().into()) };
    // A model that is asked for by name is always tried: there is nothing else to choose.
    let group = Group {
        when_all_unavailable: WhenAllUnavailable::TryAnyway,
        ..Group::new(id, Strategy::Failover, vec![member])
    };
    let direct = Direct {
        provider: key.provider,
        provider_label: shape.provider.as_deref().map_or_else(|| key.label.clone(), Into::into),
        upstream_model: upstream_model?.into(),
        provider_key: key.key.id.clone(),
        provider_key_name: key.key.name.clone(),
        key: key.key.clone(),
        provider_key_budgets: key.budgets.clone(),
        retries: shape.retries,
        tariff,
        context_window: shape.context_window,
        prefill: shape.prefill,
        background_check: background_check.map(Box::new),
        default_headers: key.default_headers.clone(),
        forwarded_headers: key.forwarded_headers.clone(),
    };
    Some(assemble(shape, group, Dispatch::Direct(direct), known))
}

fn upstream_model<'s>(place: Place<'_>, shape: &'s ModelShape, problems: &mut Problems) -> Option<&'s str> {
    let is_wildcard = is_wildcard(place, shape, problems);
    match shape.model_name.as_deref() {
        Some("") => place.report("model_name", "must not be empty", problems),
        Some(name) if name.contains('*') && !is_wildcard && place.is_known("display_name") => {
            let message = "holds a \"*\", but display_name holds none to fill it with";
            place.report("model_name", message, problems);
        }
        Some(name) if name.matches('*').count() > 1 => {
            place.report("model_name", "may hold one \"*\", not more", problems);
        }
        Some(name) => return Some(name),
        None if shape.provider_key.is_none() && shape.provider_key_id.is_none() => {
            let message = "either \"provider_key\" and \"model_name\", or \"routing\" is required";
            place.report("", message, problems);
        }
        None => place.report("", "\"model_name\" is required", problems),
    }
    None
}

fn provider_key<'c>(
    place: Place<'_>,
    shape: &ModelShape,
    known: &'c Known<'_>,
    problems: &mut Problems,
) -> Option<&'c CheckedKey> {
    let (field, reference) = match (&shape.provider_key, &shape.provider_key_id) {
        (Some(name), None) => ("provider_key", name),
        (None, Some(id)) => ("provider_key_id", id),
        (Some(_), Some(_)) => {
            let message = "names the provider key a second time; keep one of the two";
            place.report("provider_key_id", message, problems);
            return None;
        }
        (None, None) => {
            // Without a model name either, the report says so already.
            if shape.model_name.is_some() {
                place.report("", "\"provider_key\" is required", problems);
            }
            return None;
        }
    };
    let id = known.names.provider_keys.look_up(place, field, reference, problems)?;
    known.provider_keys.get(&*id).copied()
}

fn price(place: Place<'_>, cost: &CostShape, problems: &mut Problems) -> Option<Price> {
    let mut or = |field: &str, amount: Option<&Decimal>, read: fn(&Decimal) -> Option<u64>, other| {
        let Some(amount) = amount else { return other };
        let price = read(amount);
        if price.is_none() {
            let message = "expected at most nine decimal places and a reasonable amount";
            place.report(&format!("cost.{field}"), message, problems);
        }
        price
    };
    let of_1k = Decimal::per_thousand;
    let input = or("input_per_1k", Some(&cost.input_per_1k), of_1k, None);
    let output = or("output_per_1k", Some(&cost.output_per_1k), of_1k, None);
    let cached_input = or("cached_input_per_1k", cost.cached_input_per_1k.as_ref(), of_1k, input);
    let cache_write = or("cache_write_per_1k", cost.cache_write_per_1k.as_ref(), of_1k, input);
    let per_hour = |minute: &Decimal| minute.per_piece()?.checked_mul(60);
    let audio_hour = or("per_audio_minute", cost.per_audio_minute.as_ref(), per_hour, Some(0));
    let image = or("per_image", cost.per_image.as_ref(), Decimal::per_piece, Some(0));
    let character = or("per_1k_characters", cost.per_1k_characters.as_ref(), of_1k, Some(0));
    let rates = Rates {
        input: input?,
        output: output?,
        cached_input: cached_input?,
        cache_write: cache_write?,
        cache_write_hour: cache_write?,
    };
    Some(Price { rates, long: None, audio_hour: audio_hour?, image: image?, character: character? })
}

fn cooldown(place: Place<'_>, shape: Option<&CooldownShape>, problems: &mut Problems) -> CooldownRule {
    let usual = CooldownRule::default();
    let Some(shape) = shape else { return usual };
    if shape.max_seconds == Some(0) {
        place.report("cooldown.max_seconds", "expected 1 or more", problems);
    }
    let statuses = shape.trigger_statuses.as_deref().unwrap_or_default();
    check_statuses(place, "cooldown.trigger_statuses", statuses, 100..=599, problems);
    CooldownRule {
        enabled: shape.enabled.unwrap_or(usual.enabled),
        default: shape.default_seconds.map_or(usual.default, Duration::from_secs),
        max: shape.max_seconds.map_or(usual.max, Duration::from_secs),
        honor_retry_after: shape.honor_retry_after.unwrap_or(usual.honor_retry_after),
        trigger_statuses: shape.trigger_statuses.clone().unwrap_or(usual.trigger_statuses),
        trigger_on_timeout: shape.trigger_on_timeout.unwrap_or(usual.trigger_on_timeout),
        trigger_on_transport: shape.trigger_on_transport.unwrap_or(usual.trigger_on_transport),
    }
}

/// How a model is checked; nothing where that is switched off.
fn background_check(
    place: Place<'_>,
    shape: &BackgroundCheckShape,
    problems: &mut Problems,
) -> Option<BackgroundCheck> {
    let mut at_least = |field: &str, value: u64, least: u64| {
        if value < least {
            let message = format!("expected {least} or more");
            place.report(&format!("background_model_check.{field}"), message, problems);
        }
    };
    at_least("interval_seconds", shape.interval_seconds, 5);
    at_least("timeout_seconds", shape.timeout_seconds, 1);
    at_least("max_tokens", shape.max_tokens.into(), 1);
    let until_next = shape.interval_seconds.saturating_add(shape.timeout_seconds);
    if shape.stale_after_seconds <= until_next {
        let message =
            format!("expected more than interval_seconds and timeout_seconds together ({until_next})");
        place.report("background_model_check.stale_after_seconds", message, problems);
    }
    if shape.prompt.is_empty() {
        place.report("background_model_check.prompt", "must not be empty", problems);
    }
    let statuses = &shape.ignore_statuses;
    check_statuses(place, "background_model_check.ignore_statuses", statuses, 100..=599, problems);
    shape.enabled.then(|| BackgroundCheck {
        interval: Duration::from_secs(shape.interval_seconds),
        timeout: Duration::from_secs(shape.timeout_seconds),
        prompt: shape.prompt.as_str().into(),
        max_tokens: shape.max_tokens,
        stale_after: Duration::from_secs(shape.stale_after_seconds),
        ignore_statuses: statuses.clone(),
    })
}

/// Whether a provider can be asked what a background check asks.
fn converses(provider: &dyn Provider) -> bool {
    providers::way(provider, Operation::Chat, Dialect::OpenAiChat).is_some()
}

fn is_provider_id(text: &str) -> bool {
    let is_inner = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"._-".contains(&byte);
    (1..=MAX_PROVIDER).contains(&text.len())
        && text.bytes().all(is_inner)
        && text.starts_with(|first: char| first.is_ascii_alphanumeric())
}
