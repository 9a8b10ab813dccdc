//! What is personal data and what only looks like it.

use super::*;
use crate::guardrails::keyword::pattern;

fn known(kind: DetectorKind, action: Action) -> Rule {
    Rule::new(kind.as_str(), Finder::Known(Detector::new(kind).expect("compiles")), action)
}

fn all() -> Pii {
    use DetectorKind as K;
    let kinds = [
        K::Email,
        K::ChinaMobile,
        K::ChinaIdCard,
        K::BankCard,
        K::UsSsn,
        K::IpAddress,
        K::ApiKey,
        K::Jwt,
        K::PrivateKey,
    ];
    Pii::new(kinds.map(|kind| known(kind, Action::Mask)).into())
}

#[test]
fn what_is_found_is_masked_under_its_name() {
    let key = "a".repeat(40);
    for (text, masked_text) in [
        ("write to ann.b+c@mail.example.org.", "write to [EMAIL_REDACTED]."),
        ("手机13800138000，", "手机[CHINA_MOBILE_REDACTED]，"),
        ("13800138000 13900139000", "[CHINA_MOBILE_REDACTED] [CHINA_MOBILE_REDACTED]"),
        ("+86 138-0013-8000", "[CHINA_MOBILE_REDACTED]"),
        ("id 11010519491231002X!", "id [CHINA_ID_CARD_REDACTED]!"),
        ("card 4111 1111 1111 1111, 12", "card [BANK_CARD_REDACTED], 12"),
        ("1234 4111-1111-1111-1111 99", "1234 [BANK_CARD_REDACTED] 99"),
        ("ssn 123-45-6789", "ssn [US_SSN_REDACTED]"),
        ("at 10.0.0.1.", "at [IP_ADDRESS_REDACTED]."),
        ("jwt eyJhbGciOi.eyJzdWIiOi.sig_x ok", "jwt [JWT_REDACTED] ok"),
    ] {
        assert_eq!(masked(&all(), text), masked_text);
    }
    for secret in [
        format!("sk-{key}"),
        "AKIA0123456789ABCDEF".to_owned(),
        format!("ghp_{key}"),
        format!("github_pat_{key}"),
        "xoxb-123456789012".to_owned(),
        format!("AIza{}", &key[..35]),
    ] {
        assert_eq!(masked(&all(), &format!("k={secret};")), "k=[API_KEY_REDACTED];");
    }
    let pem = "x -----BEGIN RSA PRIVATE KEY-----\nMIIE\n-----END RSA PRIVATE KEY----- y";
    assert_eq!(masked(&all(), pem), "x [PRIVATE_KEY_REDACTED] y");
    assert_eq!(masked(&all(), &pem[..40]), "x [PRIVATE_KEY_REDACTED]");
}

#[test]
fn what_only_looks_like_it_stays() {
    for text in [
        "4111 1111 1111 1112",
        "41111111111111111111111",
        "000-12-3456 666-12-3456 900-12-3456 123-00-4567 123-45-0000 1123-45-6789",
        "1.2.3.4.5 256.1.1.1 1.2.3",
        "113800138000",
        "110105194912310021",
        "a task-aaaaaaaaaaaaaaaaaaaaaaaaaaaa",
        "name@host",
        "eyJ.a.b",
        "-----BEGIN PUBLIC KEY-----",
    ] {
        assert_eq!(masked(&all(), text), text);
    }
}

#[test]
fn a_pattern_of_the_operator_masks_its_first_group_only() {
    let mut rule =
        Rule::new("badge no.", Finder::Custom(pattern("badge: ([0-9]+)").expect("good")), Action::Mask);
    assert_eq!(masked(&Pii::new(vec![rule]), "badge: 12 badge: x"), "badge: [BADGE_NO__REDACTED] badge: x");
    rule = Rule::new("x", Finder::Custom(pattern("x*").expect("good")), Action::Mask);
    rule.replacement = "-".into();
    assert_eq!(masked(&Pii::new(vec![rule]), "axxb"), "a-b");
}

#[test]
fn finds_that_overlap_leave_nothing_of_either() {
    let long = Rule::new("long", Finder::Custom(pattern("bcd").expect("good")), Action::Mask);
    let early = Rule::new("early", Finder::Custom(pattern("abc").expect("good")), Action::Mask);
    let pii = Pii::new(vec![long, early]);
    let mut counts = Counts::new();
    let mut passage = Passage::new("xabcdx".to_owned());
    pii.mask(&mut passage, &mut counts, true);
    assert_eq!(passage.current(), "x[EARLY_REDACTED]x");
    assert_eq!(counts.values().copied().collect::<Vec<_>>(), [1, 1]);
}

#[test]
fn what_is_to_be_refused_is_not_masked() {
    let pii = Pii::new(vec![
        known(DetectorKind::Email, Action::Block),
        known(DetectorKind::IpAddress, Action::Mask),
    ]);
    assert!(pii.refuses("a@b.example", 0) && !pii.refuses("10.0.0.1", 0));
    assert_eq!(masked(&pii, "a@b.example 10.0.0.1"), "a@b.example [IP_ADDRESS_REDACTED]");
}
