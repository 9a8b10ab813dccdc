//! Conditions of rate limit policies: what is compared with what, how deep, and how many.

use std::sync::Arc;

use regex::{Regex, RegexBuilder};

use super::Known;
use crate::config::{
    problem::{Place, Problems},
    resources::shapes::{
        ConditionShape, LogicShape, MAX_LEAVES, MAX_LEVELS, MAX_PATTERN, MAX_VALUES, OperatorShape,
        ValueShape,
    },
};
use crate::guardrails::keyword;
use crate::policies::{Condition, Dimension, Test};

/// Resolves the conditions of one policy and reports all that is wrong with them.
pub(super) fn resolve(
    place: Place<'_>,
    shapes: &[ConditionShape],
    known: &Known<'_>,
    problems: &mut Problems,
) -> Vec<Condition> {
    let mut reading = Reading { place, known, problems, leaves: 0 };
    let conditions = reading.all(shapes, "conditions", 1);
    if reading.leaves > MAX_LEAVES {
        let message = format!("expected at most {MAX_LEAVES} comparisons, found {}", reading.leaves);
        place.report("conditions", message, problems);
    }
    conditions
}

struct Reading<'a, 'p> {
    place: Place<'a>,
    known: &'a Known<'a>,
    problems: &'p mut Problems,
    leaves: usize,
}

impl Reading<'_, '_> {
    fn all(&mut self, shapes: &[ConditionShape], field: &str, level: usize) -> Vec<Condition> {
        let shapes = shapes.iter().enumerate();
        shapes.filter_map(|(index, shape)| self.one(shape, &format!("{field}[{index}]"), level)).collect()
    }

    fn report(&mut self, field: &str, message: impl Into<String>) {
        self.place.report(field, message, self.problems);
    }

    fn one(&mut self, shape: &ConditionShape, field: &str, level: usize) -> Option<Condition> {
        let is_leaf = shape.dimension.is_some() || shape.operator.is_some() || shape.value.is_some();
        let is_group = shape.logic.is_some() || shape.children.is_some();
        match (is_leaf, is_group) {
            (true, false) => self.leaf(shape, field),
            (false, true) => self.group(shape, field, level),
            (true, true) => {
                let message =
                    "is either a comparison (dimension, operator, value) or a group (logic, children)";
                self.report(field, message);
                None
            }
            (false, false) => {
                self.report(field, "either \"dimension\", \"operator\" and \"value\", or \"logic\" and \"children\" is required");
                None
            }
        }
    }

    fn group(&mut self, shape: &ConditionShape, field: &str, level: usize) -> Option<Condition> {
        if level >= MAX_LEVELS {
            self.report(field, format!("groups go no deeper than this: at most {MAX_LEVELS} levels"));
            return None;
        }
        let children = shape.children.as_deref().unwrap_or_default();
        let inside = format!("{field}.children");
        if shape.children.is_none() {
            self.report(field, "\"children\" is required beside \"logic\"");
        } else if children.is_empty() {
            self.report(&inside, "expected at least one condition");
        }
        if shape.logic.is_none() {
            self.report(field, "\"logic\" is required beside \"children\"");
        }
        let children = self.all(children, &inside, level.saturating_add(1));
        Some(Condition::Group { is_any: shape.logic? == LogicShape::Or, children, negate: shape.negate })
    }

    fn leaf(&mut self, shape: &ConditionShape, field: &str) -> Option<Condition> {
        self.leaves = self.leaves.saturating_add(1);
        let given = [
            ("dimension", shape.dimension.is_some()),
            ("operator", shape.operator.is_some()),
            ("value", shape.value.is_some()),
        ];
        for (name, _) in given.iter().filter(|(_, is_given)| !is_given) {
            // Where it stands and could not be read, that is reported already.
            if self.place.is_known(&format!("{field}.{name}")) {
                self.report(field, format!("\"{name}\" is required in a comparison"));
            }
        }
        let (dimension, operator) = (shape.dimension?, shape.operator?);
        let test = self.test(dimension, operator, shape.value.as_ref()?, field)?;
        Some(Condition::Leaf { dimension, test, negate: shape.negate })
    }

    fn test(
        &mut self,
        dimension: Dimension,
        operator: OperatorShape,
        value: &ValueShape,
        field: &str,
    ) -> Option<Test> {
        let place = format!("{field}.value");
        match (operator, value) {
            (OperatorShape::In, ValueShape::Several(values)) => {
                if !(1..=MAX_VALUES).contains(&values.len()) {
                    self.report(&place, format!("expected 1 to {MAX_VALUES} strings"));
                }
                let values = values.iter().enumerate();
                let ids =
                    values.map(|(index, value)| self.id(dimension, value, &format!("{place}[{index}]")));
                let ids: Vec<_> = ids.collect();
                ids.into_iter().collect::<Option<Vec<_>>>().map(Test::In)
            }
            (OperatorShape::In, ValueShape::One(_)) => {
                self.report(&place, "expected a list of strings for the operator \"in\"");
                None
            }
            (_, ValueShape::Several(_)) => {
                self.report(&place, "expected one string; only the operator \"in\" takes a list");
                None
            }
            (OperatorShape::Is, ValueShape::One(value)) => {
                self.id(dimension, value, &place).map(|id| Test::In(vec![id]))
            }
            (OperatorShape::IsNot, ValueShape::One(value)) => {
                self.id(dimension, value, &place).map(Test::Not)
            }
            (OperatorShape::Like | OperatorShape::LikeFolded, ValueShape::One(pattern)) => {
                if !matches!(dimension, Dimension::ModelName | Dimension::Provider) {
                    let message = "patterns are for \"model_name\" and \"provider\" only";
                    self.report(&format!("{field}.operator"), message);
                }
                self.pattern(pattern, operator == OperatorShape::LikeFolded, &place).map(Test::Like)
            }
        }
    }

    /// What a dimension is compared with: an id, where the value is a name or an id of something declared.
    fn id(&mut self, dimension: Dimension, value: &str, field: &str) -> Option<Arc<str>> {
        if value.is_empty() {
            self.report(field, "must not be empty");
            return None;
        }
        let directory = match dimension {
            Dimension::ApiKey => &self.known.names.api_keys,
            Dimension::Model => &self.known.names.models,
            Dimension::Team | Dimension::Member | Dimension::ModelName | Dimension::Provider => {
                return Some(value.into());
            }
        };
        directory.look_up(self.place, field, value, self.problems)
    }

    fn pattern(&mut self, pattern: &str, is_folded: bool, field: &str) -> Option<Regex> {
        if pattern.is_empty() {
            self.report(field, "must not be empty");
            return None;
        }
        if pattern.chars().count() > MAX_PATTERN {
            self.report(field, format!("expected at most {MAX_PATTERN} characters"));
            return None;
        }
        let plain = keyword::pattern(pattern);
        let built = plain.map(|plain| match is_folded {
            true => RegexBuilder::new(pattern)
                .case_insensitive(true)
                .build()
                .map_err(|_| "the pattern is too large"),
            false => Ok(plain),
        });
        match built {
            Ok(Ok(pattern)) => Some(pattern),
            Ok(Err(message)) => {
                self.report(field, message);
                None
            }
            Err(message) => {
                self.report(field, message);
                None
            }
        }
    }
}
