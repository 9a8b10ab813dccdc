//! Check digits: what tells a number of a card or a person from any other number.

/// Whether digits pass the check of Luhn (ISO/IEC 7812-1, annex B).
#[must_use]
pub fn is_luhn(digits: &[u8]) -> bool {
    let sum: u32 =
        digits.iter().rev().enumerate().map(|(place, digit)| weighed(place, u32::from(*digit))).sum();
    sum.is_multiple_of(10) && digits.iter().any(|digit| *digit > 0)
}

fn weighed(place: usize, digit: u32) -> u32 {
    match (place % 2, digit * 2) {
        (0, _) => digit,
        (_, double @ 0..=9) => double,
        (_, double) => double - 9,
    }
}

/// Weights of the first 17 digits of a Chinese identity number (GB 11643-1999).
const WEIGHTS: [u32; 17] = [7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2];
/// The check character by the weighed sum modulo 11.
const CHECKS: &[u8; 11] = b"10X98765432";

/// Whether 18 characters are a Chinese identity number: a date in the middle and the right check character.
#[must_use]
pub fn is_china_id(text: &[u8]) -> bool {
    let Some((check, digits)) = text.split_last().filter(|(_, digits)| digits.len() == WEIGHTS.len()) else {
        return false;
    };
    if !digits.iter().all(u8::is_ascii_digit) {
        return false;
    }
    let value =
        |from: usize, to: usize| digits[from..to].iter().fold(0, |sum, d| sum * 10 + u32::from(d - b'0'));
    let is_date = (1..=12).contains(&value(10, 12)) && (1..=31).contains(&value(12, 14));
    let sum: u32 = digits.iter().zip(WEIGHTS).map(|(digit, weight)| u32::from(digit - b'0') * weight).sum();
    is_date && CHECKS[(sum % 11) as usize] == check.to_ascii_uppercase()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_numbers_pass_and_their_neighbours_do_not() {
        let digits = |text: &str| text.bytes().map(|byte| byte - b'0').collect::<Vec<_>>();
        for (number, passes) in [
            ("4111111111111111", true),
            ("5500005555555559", true),
            ("378282246310005", true),
            ("4111111111111112", false),
            ("0000000000000000", false),
        ] {
            assert_eq!(is_luhn(&digits(number)), passes, "{number}");
        }
        for (number, passes) in [
            ("11010519491231002X", true),
            ("11010519491231002x", true),
            ("440524188001010014", true),
            ("110105194912310021", false),
            ("11010519491331002X", false),
            ("1101051949", false),
        ] {
            assert_eq!(is_china_id(number.as_bytes()), passes, "{number}");
        }
    }
}
