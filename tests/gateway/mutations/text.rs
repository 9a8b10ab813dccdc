//! Mutants by bytes: what slips of the hand, broken editors and cut transfers make of a file.

use fastrand::Rng;

use super::SHIPPED;

/// Characters that mean something in TOML, and some that mean nothing anywhere.
const STRANGE: [&str; 24] = [
    "\"", "'", "[", "]", "{", "}", "=", ",", ".", "#", "\n", "\r", "\t", "\0", "\\", "$", "${", "é",
    "\u{202e}", "\u{feff}", "1", "-", "_", "*",
];

pub(super) fn mutant(number: u64) -> String {
    let mut random = Rng::with_seed(number);
    let mut text = SHIPPED.to_owned();
    let times = if number.is_multiple_of(4) { random.usize(2..5) } else { 1 };
    for _ in 0..times {
        mutate(&mut text, &mut random);
    }
    text
}

/// A place that is not in a comment, mostly: what stands in comments says nothing.
fn place(text: &str, random: &mut Rng) -> usize {
    for _ in 0..20 {
        let at = random.usize(..text.len().max(1));
        let line = text[..floor(text, at)].rsplit('\n').next().unwrap_or_default();
        if !line.contains('#') {
            return floor(text, at);
        }
    }
    0
}

fn floor(text: &str, at: usize) -> usize {
    (0..=at.min(text.len())).rev().find(|at| text.is_char_boundary(*at)).unwrap_or_default()
}

fn mutate(text: &mut String, random: &mut Rng) {
    let at = place(text, random);
    let lines = || text.split_inclusive('\n').map(str::to_owned).collect::<Vec<_>>();
    let line = text[..at].matches('\n').count();
    match random.u8(..12) {
        0 | 1 => {
            let end = floor(text, at + random.usize(1..4)).max(at);
            text.replace_range(at..end, "");
        }
        2 | 3 => text.insert_str(at, STRANGE[random.usize(..STRANGE.len())]),
        4 => text.insert(at, random.char('!'..='~')),
        5 | 6 => {
            let end = floor(text, at + 1).max(at);
            text.replace_range(at..end, &random.char('!'..='~').to_string());
        }
        7 => {
            let mut characters: Vec<char> = text.chars().collect();
            let at = text[..at].chars().count();
            if at + 1 < characters.len() {
                characters.swap(at, at + 1);
            }
            *text = characters.into_iter().collect();
        }
        8 => text.truncate(at),
        9 => {
            let mut all = lines();
            if let Some(line) = all.get(line).cloned() {
                all.insert(random.usize(..all.len()), line);
            }
            *text = all.concat();
        }
        10 => {
            let mut all = lines();
            let other = random.usize(..all.len().max(1));
            if line < all.len() {
                all.swap(line, other);
            }
            *text = all.concat();
        }
        _ => match random.u8(..4) {
            0 => *text = text.replace('\n', "\r"),
            1 => *text = text.replace('\n', "\r\n"),
            2 => {
                let mut all = lines();
                if line < all.len() {
                    all.remove(line);
                }
                *text = all.concat();
            }
            _ => *text = format!("{}{}", &text[..at], "\0".repeat(random.usize(1..5))),
        },
    }
}
