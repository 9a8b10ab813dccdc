//! A scrape, read back: samples by family and labels.

use std::collections::{BTreeMap, BTreeSet};

/// One sample.
#[derive(Debug, Clone, PartialEq)]
pub struct Sample {
    /// The family, with the `_sum`, `_count` or `_bucket` of the sample.
    pub name: String,
    /// Its labels.
    pub labels: BTreeMap<String, String>,
    /// Its value.
    pub value: f64,
}

/// A scrape.
#[derive(Debug)]
pub struct Metrics {
    samples: Vec<Sample>,
    /// The families by name, with their types.
    pub types: BTreeMap<String, String>,
}

impl Metrics {
    /// Reads a scrape; every sample must belong to the family that was announced before it.
    pub fn read(text: &str) -> Self {
        let (mut samples, mut types, mut helped) = (Vec::new(), BTreeMap::new(), String::new());
        let mut family = (String::new(), String::new());
        for line in text.lines() {
            if let Some(help) = line.strip_prefix("# HELP ") {
                helped = help.split(' ').next().expect("a name").to_owned();
                assert!(help.len() > helped.len() + 1, "no help: {line}");
            } else if let Some(about) = line.strip_prefix("# TYPE ") {
                let (name, kind) = about.split_once(' ').expect("a name and a type");
                assert_eq!(name, helped, "help comes first");
                assert!(types.insert(name.to_owned(), kind.to_owned()).is_none(), "{name} twice");
                family = (name.to_owned(), kind.to_owned());
            } else {
                let sample = read_sample(line);
                let endings: &[&str] = match family.1.as_str() {
                    "summary" => &["", "_sum", "_count"],
                    "histogram" => &["_bucket", "_sum", "_count"],
                    _ => &[""],
                };
                let is_own = endings.iter().any(|ending| sample.name == format!("{}{ending}", family.0));
                assert!(is_own, "{line} stands under {family:?}");
                samples.push(sample);
            }
        }
        let keys: BTreeSet<_> = samples.iter().map(|sample| (&sample.name, &sample.labels)).collect();
        assert_eq!(keys.len(), samples.len(), "no sample comes twice");
        Self { samples, types }
    }

    /// The samples of a name whose labels have these values.
    pub fn all(&self, name: &str, labels: &[(&str, &str)]) -> Vec<&Sample> {
        let has = |sample: &&Sample| {
            let same =
                |(name, value): &(&str, &str)| sample.labels.get(*name).map(String::as_str) == Some(*value);
            sample.name == name && labels.iter().all(same)
        };
        self.samples.iter().filter(has).collect()
    }

    /// The sum of the samples of a name whose labels have these values.
    pub fn sum(&self, name: &str, labels: &[(&str, &str)]) -> f64 {
        self.all(name, labels).iter().map(|sample| sample.value).sum()
    }

    /// The one sample of a name with these labels.
    #[track_caller]
    pub fn one(&self, name: &str, labels: &[(&str, &str)]) -> &Sample {
        let found = self.all(name, labels);
        assert_eq!(found.len(), 1, "{name} {labels:?}: {found:#?}");
        found[0]
    }

    /// Every value of every label.
    pub fn values(&self) -> impl Iterator<Item = &str> {
        self.samples.iter().flat_map(|sample| sample.labels.values()).map(String::as_str)
    }
}

/// `name{a="b",…} value`, or `name value`.
fn read_sample(line: &str) -> Sample {
    let (head, value) = line.rsplit_once(' ').expect("a value");
    let value = value.parse().unwrap_or_else(|_| panic!("no number: {line}"));
    let Some((name, mut rest)) = head.strip_suffix('}').and_then(|head| head.split_once('{')) else {
        return Sample { name: head.to_owned(), labels: BTreeMap::new(), value };
    };
    let mut labels = BTreeMap::new();
    while !rest.is_empty() {
        let (label, after) = rest.split_once("=\"").expect("a label");
        let (mut text, mut characters) = (String::new(), after.char_indices());
        let end = loop {
            match characters.next().expect("a closing quote") {
                (at, '"') => break at,
                (_, '\\') => match characters.next().expect("an escape").1 {
                    'n' => text.push('\n'),
                    other => text.push(other),
                },
                (_, other) => text.push(other),
            }
        };
        assert!(labels.insert(label.to_owned(), text).is_none(), "{label} twice: {line}");
        rest = after[end + 1..].trim_start_matches(',');
    }
    Sample { name: name.to_owned(), labels, value }
}
