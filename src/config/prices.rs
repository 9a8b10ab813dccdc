//! The price table that is shipped with the program: data, read once, by provider and the provider's name for a model.
//!
//! A row is what a provider publishes for everybody; what an operator knows better stands in `cost` of a model.

use std::sync::LazyLock;

use foldhash::{HashMap, HashMapExt};

use super::price::{Decimal, Long, Price, Rates};

/// The file, whose head says what its columns are.
const TABLE: &str = include_str!("prices/table.csv");

/// Parts of a line.
const COLUMNS: usize = 20;

/// What is known of a provider's model.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    /// The provider.
    pub provider: &'static str,
    /// The provider's name for the model, without a date.
    pub model: &'static str,
    /// What it costs.
    pub price: Price,
    /// The most tokens of an answer; nothing when unknown.
    pub max_output_tokens: Option<u64>,
    /// The most tokens of a conversation; nothing when unknown.
    pub context_window: Option<u64>,
    /// The day when the source was read, such as `2026-11-23`.
    pub read: &'static str,
    /// Where the price is published.
    pub source: &'static str,
}

/// Rows by provider and model. A line that cannot be read is no row; a test sees that there is none.
static ROWS: LazyLock<HashMap<&'static str, HashMap<&'static str, Row>>> = LazyLock::new(|| {
    let mut rows: HashMap<_, HashMap<_, _>> = HashMap::new();
    for row in lines().filter_map(parse) {
        rows.entry(row.provider).or_default().insert(row.model, row);
    }
    rows
});

/// The lines of the table that are rows.
fn lines() -> impl Iterator<Item = &'static str> {
    TABLE.lines().filter(|line| !line.starts_with('#')).skip(1)
}

/// Finds what is known of a model: by its name, and otherwise by its name without what tells versions of it apart.
#[must_use]
pub fn find(provider: &str, model: &str) -> Option<&'static Row> {
    let model = model.strip_prefix("models/").unwrap_or(model);
    let rows = ROWS.get(provider)?;
    let mut name = tuned(model);
    loop {
        if let Some(row) = rows.get(name) {
            return Some(row);
        }
        name = unversioned(name)?;
    }
}

/// A fine-tuned model is priced as what it was made from: `ft:gpt-4o-mini-2024-07-18:acme::id`.
fn tuned(model: &str) -> &str {
    let Some(rest) = model.strip_prefix("ft:") else { return model };
    let base = rest.find(':').unwrap_or(rest.len());
    model.get(.."ft:".len() + base).unwrap_or(model)
}

/// A name without the last of what may stand behind it: a date, `-latest`, or a version such as `-001`.
fn unversioned(name: &str) -> Option<&str> {
    if let Some(bare) = name.strip_suffix("-latest") {
        return Some(bare);
    }
    let (bare, last) = name.rsplit_once(['-', '@'])?;
    let is_digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    match last.len() {
        3 | 8 if is_digits(last) => Some(bare),
        2 if is_digits(last) => {
            let (bare, month) = bare.rsplit_once('-')?;
            let (bare, year) = bare.rsplit_once(['-', '@'])?;
            let is_date = month.len() == 2 && year.len() == 4 && is_digits(month) && is_digits(year);
            is_date.then_some(bare)
        }
        _ => None,
    }
}

fn parse(line: &'static str) -> Option<Row> {
    let cells: [&'static str; COLUMNS] = line.split(',').collect::<Vec<_>>().try_into().ok()?;
    let [provider, model, tokens @ .., max_output_tokens, context_window, read, source] = cells;
    let [i, o, c, w, h, above, long_i, long_o, long_c, long_w, long_h, hour, image, characters] = tokens;
    let long = match above {
        "" => None,
        above => {
            Some(Long { above: above.parse().ok()?, rates: rates([long_i, long_o, long_c, long_w, long_h])? })
        }
    };
    let price = Price {
        rates: rates([i, o, c, w, h])?,
        long,
        audio_hour: amount(hour, 12)?,
        image: amount(image, 12)?,
        character: amount(characters, 6)?,
    };
    let (max_output_tokens, context_window) = (count(max_output_tokens)?, count(context_window)?);
    Some(Row { provider, model, price, max_output_tokens, context_window, read, source })
}

/// Dollars per million tokens.
fn rates([input, output, cached_input, cache_write, cache_write_hour]: [&str; 5]) -> Option<Rates> {
    let or = |text: &str, other: u64| if text.is_empty() { Some(other) } else { amount(text, 6) };
    let input = amount(input, 6)?;
    let cache_write = or(cache_write, input)?;
    Some(Rates {
        input,
        output: amount(output, 6)?,
        cached_input: or(cached_input, input)?,
        cache_write,
        cache_write_hour: or(cache_write_hour, cache_write)?,
    })
}

/// An amount times a power of ten; nothing is charged where none stands.
fn amount(text: &str, places: usize) -> Option<u64> {
    if text.is_empty() { Some(0) } else { Decimal::read(text)?.shifted(places) }
}

/// A count, or that there is none.
fn count(text: &str) -> Option<Option<u64>> {
    if text.is_empty() { Some(None) } else { text.parse().ok().map(Some) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::providers;

    #[test]
    fn every_row_is_plausible_and_stands_there_once() {
        let names = providers::names();
        let mut count = 0;
        for line in lines() {
            let row = parse(line).unwrap_or_else(|| panic!("{line}"));
            count += 1;
            assert!(names.contains(&row.provider), "{line}: no such provider");
            let Price { rates, long, .. } = row.price;
            for rates in [Some(rates), long.map(|long| long.rates)].into_iter().flatten() {
                assert!(rates.cached_input <= rates.input, "{line}: a cache that costs more");
                assert!(rates.cache_write >= rates.input, "{line}");
                assert!(rates.cache_write_hour >= rates.cache_write, "{line}");
                assert!(rates.input <= 200_000_000 && rates.output <= 1_000_000_000, "{line}: per thousand?");
            }
            if let Some(long) = long {
                assert!(long.above >= 100_000 && long.rates.input >= rates.input, "{line}");
            }
            assert!(
                row.context_window >= row.max_output_tokens.filter(|_| row.context_window.is_some()),
                "{line}"
            );
            assert!(row.read.parse::<jiff::civil::Date>().is_ok(), "{line}: when?");
            assert!(row.source.starts_with("https://"), "{line}: whence?");
        }
        assert_eq!(ROWS.values().map(HashMap::len).sum::<usize>(), count, "a model twice");
    }

    #[test]
    fn a_model_is_found_with_and_without_its_version() {
        for (provider, model, row) in [
            ("openai", "gpt-4o", Some("gpt-4o")),
            ("openai", "gpt-4o-2024-08-06", Some("gpt-4o")),
            ("openai", "gpt-4o-2024-05-13", Some("gpt-4o-2024-05-13")),
            ("openai", "chatgpt-4o-latest", Some("chatgpt-4o")),
            ("openai", "ft:gpt-4o-mini-2024-07-18:acme::id", Some("ft:gpt-4o-mini")),
            ("anthropic", "claude-sonnet-4-20250514", Some("claude-sonnet-4")),
            ("anthropic", "claude-sonnet-4-5@20250929", Some("claude-sonnet-4-5")),
            ("gemini", "models/gemini-2.5-pro", Some("gemini-2.5-pro")),
            ("gemini", "imagen-4.0-generate-001", Some("imagen-4.0-generate")),
            ("openai", "gpt-4-0613", Some("gpt-4-0613")),
            ("openai", "gpt-3.5-turbo-0125", Some("gpt-3.5-turbo-0125")),
            ("openai", "gpt-4-1106-preview", Some("gpt-4-1106-preview")),
            ("openai", "gpt-4o-nonsense", None),
            ("openai", "", None),
            ("groq", "gpt-4o", None),
        ] {
            assert_eq!(find(provider, model).map(|row| row.model), row, "{model}");
        }
    }

    #[test]
    fn prices_are_as_published() {
        let whisper = find("openai", "whisper-1").expect("a row").price;
        assert_eq!(whisper.audio_hour, 360_000_000_000, "0.006 USD a minute");
        let picture = |model| find("openai", model).expect("a row").price.image;
        assert_eq!((picture("dall-e-2"), picture("dall-e-3")), (20_000_000_000, 80_000_000_000));
        let sonnet = find("anthropic", "claude-sonnet-4-5").expect("a row").price;
        assert_eq!((sonnet.rates.input, sonnet.rates.cache_write_hour), (3_000_000, 6_000_000));
        assert_eq!(sonnet.long.map(|long| long.rates.output), Some(22_500_000));
    }
}
