//! Every mismatch at once, with its path and line.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::*;
use crate::config::tree;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(dead_code, reason = "only read through Debug")]
struct Outer {
    name: String,
    size: u16,
    mode: Option<Mode>,
    #[serde(default, alias = "item")]
    items: Vec<Inner>,
    #[serde(default)]
    labels: BTreeMap<String, f64>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(dead_code, reason = "only read through Debug")]
struct Inner {
    id: u64,
    flag: Option<bool>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Mode {
    Fast,
    Exact,
}

fn check(text: &str, expected: &[&str]) {
    let mut problems = Problems::new("f");
    let root = tree::parse(text, &|_| None, &mut problems).unwrap();
    let place = Place { node: &root, path: "outer" };
    let value: Option<Outer> = read(place, &mut problems);
    assert_eq!(problems.to_string().lines().collect::<Vec<_>>(), expected, "{text}");
    assert_eq!(value.is_some(), expected.is_empty(), "{text}");
}

#[test]
fn what_fits_is_read() {
    check("name = \"n\"\nsize = 3\n", &[]);
    check("name = \"n\"\nsize = 3\nmode = \"fast\"\nitems = [{ id = 1, flag = true }]\nlabels.a = 1\n", &[]);
}

#[test]
fn every_mismatch_of_a_section_is_reported_with_its_line() {
    check(
        "nam = \"n\"\nsize = 70000\nmode = \"fst\"\n[[items]]\nid = \"x\"\nflag = 1\n[[items]]\n[labels]\na = \"x\"\nb = true\n",
        &[
            "f: outer: \"name\" is required",
            "f:1: outer.nam: no setting is called \"nam\" (did you mean \"name\"?)",
            "f:2: outer.size: expected a whole number from 0 to 65535, found a number out of range",
            "f:3: outer.mode: expected one of \"fast\", \"exact\", found \"fst\" (did you mean \"fast\"?)",
            "f:5: outer.items[0].id: expected a whole number from 0, found a string",
            "f:6: outer.items[0].flag: expected true or false, found a whole number",
            "f:7: outer.items[1]: \"id\" is required",
            "f:9: outer.labels.a: expected a number, found a string",
            "f:10: outer.labels.b: expected a number, found true or false",
        ],
    );
}

#[test]
fn numbers_of_list_elements_stay_right_after_a_bad_one() {
    check(
        "name = \"n\"\nsize = 1\nitems = [\n 7,\n { id = 1 },\n { id = 1, x = 2 },\n]\n",
        &[
            "f:4: outer.items[0]: expected a table, found a whole number",
            "f:6: outer.items[2].x: no setting is called \"x\"; known here: id, flag",
        ],
    );
}

#[test]
fn two_spellings_of_one_setting_are_refused() {
    check(
        "name = \"n\"\nsize = 1\nitems = []\nitem = []\n",
        &["f: outer: \"items\" is given twice, in two spellings"],
    );
}

#[test]
fn a_value_that_could_not_be_had_hides_nothing_else_and_is_not_reported_twice() {
    check(
        "name = \"${NOPE}\"\nsize = \"${NOPE}\"\nmode = \"${NOPE}\"\nextra = 1\n",
        &[
            "f:1: name: environment variable NOPE is not set or empty",
            "f:2: size: environment variable NOPE is not set or empty",
            "f:3: mode: environment variable NOPE is not set or empty",
            "f:4: outer.extra: no setting is called \"extra\"; known here: name, size, mode, item, items, labels",
        ],
    );
}
