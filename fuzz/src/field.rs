//! The laws of fields: what is sent is canonical, sound of form, and made of nothing but the cell.
//!
//! Not here: which values a field should accept; that is what the vectors beside the rules are for.

use std::cell::RefCell;
use std::collections::HashMap;

use simsync::fields::{
    BareNumbers, Checked, Imei14, Imei16, NumberFormat, Preset, RuleOptions, RuleSet, Severity, Spare0,
    canonical, check_row,
};
use simsync::update::FieldKind;

use crate::choices::{self, Choices};

/// Rule sets kept for another input.
const RULE_SETS_MAX: usize = 4096;

thread_local! {
    static RULE_SETS: RefCell<HashMap<u32, (RuleOptions, RuleSet)>> = RefCell::default();
}

/// Holds the cell of a field against the laws. The first two bytes choose the rules.
pub fn field(kind: FieldKind, bytes: &[u8]) {
    let Some((mut choices, content)) = choices::split(bytes) else { return };
    let Ok(cell) = std::str::from_utf8(content) else { return };
    RULE_SETS.with_borrow_mut(|sets| {
        if sets.len() > RULE_SETS_MAX {
            sets.clear();
        }
        let (options, rules) = sets.entry(choices.number()).or_insert_with(|| {
            let options = options(&mut choices);
            let rules = RuleSet::new(&options).expect("sound options");
            (options, rules)
        });
        check(kind, cell, options, rules);
    });
}

fn options(choices: &mut Choices) -> RuleOptions {
    let class_allowed = choices.of(&[&[][..], &["premium", "basic"]]);
    RuleOptions {
        preset: choices.of(&[Preset::Default, Preset::Lenient, Preset::Strict]),
        default_country: choices
            .of(&[None, Some("GB"), Some("US"), Some("IT"), Some("MX"), Some("KZ")])
            .map(str::to_owned),
        bare_numbers: choices.of(&BareNumbers::ALL),
        number_format: choices.of(&NumberFormat::ALL),
        imei_14: choices.of(&Imei14::ALL),
        imei_16: choices.of(&Imei16::ALL),
        imei_spare0: choices.of(&Spare0::ALL),
        allow_plaintext_passwords: choices.flag(),
        class_allowed: class_allowed.iter().map(|class| (*class).to_owned()).collect(),
        ..RuleOptions::default()
    }
}

/// Codes of findings, with their severities.
fn findings(checked: &Checked) -> Vec<(&'static str, Severity)> {
    checked.findings.iter().map(|finding| (finding.rule.rule().code, finding.severity)).collect()
}

fn check(kind: FieldKind, cell: &str, options: &RuleOptions, rules: &RuleSet) {
    let mut first = Checked::default();
    check_row(rules, &|asked| (asked == kind).then_some(cell), &mut first);
    let others = first.fields.present().iter().filter(|field| *field != kind).count();
    assert_eq!(others, 0, "a field sets no other");
    if first.rejected().is_some() {
        assert!(first.fields.get(kind).is_none(), "a rejected value is not sent");
    }
    // An echo is read whether the cell would be accepted or not.
    if let Some(echo) = canonical(rules, kind, cell) {
        assert_eq!(canonical(rules, kind, &echo).as_ref(), Some(&echo), "an echo is canonical");
    }
    let Some(sent) = first.fields.get(kind) else { return };
    assert!(!sent.is_empty(), "nothing is sent as an empty value");
    assert_eq!(canonical(rules, kind, sent).as_deref(), Some(sent), "what is sent is canonical");
    is_accepted_again(kind, sent, options, rules, &first);
    let lowered = options.preset == Preset::Lenient;
    if !lowered {
        assert!(!sent.contains(char::is_control), "no control character is sent");
        is_sound(kind, sent, options);
    }
    is_made_of_the_cell(kind, cell, sent, options);
}

/// Files are fed back: what is sent, read as a cell, is sent again and says nothing new.
fn is_accepted_again(kind: FieldKind, sent: &str, options: &RuleOptions, rules: &RuleSet, first: &Checked) {
    let mut again = Checked::default();
    check_row(rules, &|asked| (asked == kind).then_some(sent), &mut again);
    // A cell wrapped by a spreadsheet may hold the name of a null marker; and digits alone are E.164 only when told.
    let bare =
        kind == FieldKind::Number && !sent.starts_with('+') && options.bare_numbers == BareNumbers::Reject;
    if again.absent_markers > 0 || bare {
        return;
    }
    assert_eq!(again.fields.get(kind), Some(sent), "normalizing is idempotent: {:?}", findings(&again));
    let known = findings(first);
    let new = findings(&again).into_iter().find(|(code, severity)| {
        *severity >= Severity::Warn && !known.iter().any(|(known, _)| known == code)
    });
    assert_eq!(new, None, "an accepted value says nothing new");
}

/// The form of what is sent.
fn is_sound(kind: FieldKind, sent: &str, options: &RuleOptions) {
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    match kind {
        FieldKind::Number => {
            let plain = options.number_format == NumberFormat::Plain;
            let bare = if plain { Some(sent) } else { sent.strip_prefix('+') };
            let bare = bare.expect("an MSISDN begins with +");
            assert!(digits(bare) && !bare.starts_with('0'), "E.164 is digits, the first no zero");
            assert!((7..=15).contains(&bare.len()), "{} digits", bare.len());
        }
        FieldKind::Imei => {
            assert!(digits(sent) && sent.len() == 15, "an IMEI of {} characters", sent.len());
            assert!(sent.bytes().any(|byte| byte != sent.as_bytes()[0]), "a placeholder");
        }
        FieldKind::Imsi => {
            assert!(digits(sent) && (14..=15).contains(&sent.len()), "an IMSI of {} characters", sent.len());
            assert!(!sent.starts_with(['1', '8']) && !sent.starts_with("000"), "no such country");
        }
        FieldKind::Iccid => {
            let hex = sent.bytes().all(|byte| byte.is_ascii_digit() || (b'A'..=b'F').contains(&byte));
            assert!(hex && (17..=22).contains(&sent.len()), "an ICCID of {} characters", sent.len());
            // A card with a letter is no number to a spreadsheet, so nothing zeroed it.
            assert!(
                !(sent.len() == 20 && digits(sent) && sent.ends_with("00000")),
                "zeroed by a spreadsheet"
            );
        }
        FieldKind::Password => {
            let hash = sent.contains('$') || sent.starts_with('{') || sent.starts_with('*');
            assert!(hash || options.allow_plaintext_passwords, "a password that is no hash");
        }
        FieldKind::UserClass => {
            let allowed = &options.class_allowed;
            assert!(allowed.is_empty() || allowed.iter().any(|class| class == sent), "no such class");
        }
        FieldKind::GenericId => assert!(sent.len() <= 255, "longer than a generic id may be"),
        FieldKind::Username | FieldKind::UserExternalId => {}
    }
    // Every byte of a password in clear counts, white space at its ends too.
    assert!(kind == FieldKind::Password || sent.trim() == sent, "no white space around what is sent");
}

/// Nothing is made up: texts are parts of their cell, and digits that came plain are sent as they came.
fn is_made_of_the_cell(kind: FieldKind, cell: &str, sent: &str, options: &RuleOptions) {
    let plain = cell.bytes().all(|byte| byte.is_ascii_digit() || matches!(byte, b' ' | b'-'));
    let digits = || cell.chars().filter(char::is_ascii_digit).collect::<String>();
    match kind {
        FieldKind::Password => assert!(cell.contains(sent), "what is sent stands in the cell"),
        FieldKind::GenericId
        | FieldKind::Username
        | FieldKind::UserExternalId
        | FieldKind::UserClass => {
            let mut rest = cell.chars();
            assert!(sent.chars().all(|c| rest.any(|other| other == c)), "what is sent stands in the cell");
        }
        FieldKind::Imei => {
            let as_is = options.imei_14 == Imei14::Reject
                && options.imei_16 == Imei16::Reject
                && options.imei_spare0 == Spare0::Keep;
            assert!(!plain || !as_is || sent == digits() || sent == cell, "the digits of the cell");
        }
        FieldKind::Imsi | FieldKind::Iccid => {
            assert!(!plain || sent == digits() || sent == cell, "the digits of the cell");
        }
        FieldKind::Number => {
            // A country code may come, and prefixes may go: the subscriber's own digits stay.
            let (from, to) = (digits(), sent.chars().filter(char::is_ascii_digit).collect::<String>());
            let tail = |text: &str| text[text.len().saturating_sub(4)..].to_owned();
            assert!(!plain || tail(&from) == tail(&to), "the digits of the cell");
        }
    }
}
