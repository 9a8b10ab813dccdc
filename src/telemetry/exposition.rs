//! Metrics as text, the way Prometheus reads them (text format 0.0.4).
//!
//! What there is to tell comes in sections; a new source of metrics is another line of `SECTIONS`.

use std::fmt::{Display, Write as _};

use super::{configuration, families, gauges, guards, sweep};
use crate::gateway::Gateway;

/// The content type of the text.
pub const CONTENT_TYPE: &str = "text/plain; version=0.0.4";

/// Writes some families.
pub type Section = fn(&Gateway, &mut Exposition);

/// Everything that is told, in order.
const SECTIONS: [Section; 4] = [families::write, gauges::write, guards::write, configuration::write];

/// All metrics of a gateway, as of now.
#[must_use]
pub fn of(gateway: &Gateway) -> String {
    sweep::sweep(gateway);
    let mut exposition = Exposition::default();
    for section in SECTIONS {
        section(gateway, &mut exposition);
    }
    exposition.out
}

/// What a family is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, derive_more::Display)]
pub enum Kind {
    /// Only grows.
    #[display("counter")]
    Counter,
    /// As it is now.
    #[display("gauge")]
    Gauge,
    /// Quantiles, sum and count.
    #[display("summary")]
    Summary,
    /// Buckets, sum and count.
    #[display("histogram")]
    Histogram,
}

/// The text under way.
#[derive(Debug, Default)]
pub struct Exposition {
    out: String,
}

// Writing to a String cannot fail, so results are passed over below.
impl Exposition {
    /// Begins a family; its samples follow.
    pub fn family(&mut self, name: &str, kind: Kind, help: &str) {
        let _ = writeln!(self.out, "# HELP {name} {help}\n# TYPE {name} {kind}");
    }

    /// One sample; `labels` as [`label`] writes them.
    pub fn sample(&mut self, name: &str, labels: &str, value: impl Display) {
        let _ = match labels {
            "" => writeln!(self.out, "{name} {value}"),
            labels => writeln!(self.out, "{name}{{{labels}}} {value}"),
        };
    }
}

/// Adds a label to the labels of a sample.
pub fn label(labels: &mut String, name: &str, value: &str) {
    if !labels.is_empty() {
        labels.push(',');
    }
    labels.push_str(name);
    labels.push_str("=\"");
    for character in value.chars() {
        match character {
            '\\' => labels.push_str("\\\\"),
            '"' => labels.push_str("\\\""),
            '\n' => labels.push_str("\\n"),
            character => labels.push(character),
        }
    }
    labels.push('"');
}

/// Labels from names and values.
#[must_use]
pub fn labels(pairs: &[(&str, &str)]) -> String {
    let mut labels = String::new();
    for (name, value) in pairs {
        label(&mut labels, name, value);
    }
    labels
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_of_labels_are_escaped() {
        assert_eq!(labels(&[("a", "x\"y\\z\nü"), ("b", "")]), "a=\"x\\\"y\\\\z\\nü\",b=\"\"");
    }

    #[test]
    fn a_family_is_introduced_before_its_samples() {
        let mut exposition = Exposition::default();
        exposition.family("x_total", Kind::Counter, "Xs.");
        exposition.sample("x_total", "", 1);
        exposition.sample("x_total", "a=\"b\"", 2.5);
        let text = "# HELP x_total Xs.\n# TYPE x_total counter\nx_total 1\nx_total{a=\"b\"} 2.5\n";
        assert_eq!(exposition.out, text);
    }
}
