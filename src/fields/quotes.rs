//! Quotation marks that a reader left in a cell: the file quotes with another character, or a quote was lost.
//!
//! Asked of identifiers and texts, where any character may stand; in a digit field such a mark is no digit. Marks that
//! belong to a name (`O'Brien`, `'t Hooft`) are none. Not here: quoting as the reader understands it (`input/`), and
//! the apostrophe with which spreadsheets mark text (`clean.rs`).

use super::Context;
use super::clean::Cleaning;
use super::rules::{ERROR_BUT_LENIENT, Rule, RuleId, rule};
use crate::update::FieldKind;

pub(super) const RULES: &[Rule] = &[rule(
    "text.quoted",
    ERROR_BUT_LENIENT,
    "quotation marks or parts of a separator around the value, or a stray quotation mark in it",
    "RFC 4180 clause 2: only the double quote encloses a field",
    "export again with one character as separator, double quotes around cells and each quote inside doubled; values \
     that are really so pass with --severity text.quoted=warn",
)];

const QUOTED: RuleId = RuleId::known("text.quoted");

/// Marks that enclose a value: the first and the last character.
const PAIRS: [(char, char); 16] = [
    ('"', '"'),
    ('\'', '\''),
    ('`', '`'),
    ('`', '\''),
    ('´', '´'),
    ('“', '”'),
    ('”', '”'),
    ('„', '“'),
    ('„', '”'),
    ('‘', '’'),
    ('’', '’'),
    ('‚', '‘'),
    ('«', '»'),
    ('»', '«'),
    ('‹', '›'),
    ('＂', '＂'),
];

/// Notes a value that still stands in quotation marks. A server's echo is as we sent it, and a class that the operator
/// named is as it should be.
pub(super) fn check(value: &str, cleaning: Cleaning, context: &mut Context<'_>) {
    let is_asked = match cleaning {
        Cleaning::Opaque | Cleaning::Text => !context.is_echo(),
        Cleaning::Digits | Cleaning::Verbatim => false,
    };
    if is_asked && is_quoted(value, cleaning) {
        let is_named = context.kind == FieldKind::UserClass && context.rules.names_class(value);
        if !is_named {
            context.raise(QUOTED);
        }
    }
}

fn is_quoted(value: &str, cleaning: Cleaning) -> bool {
    let (Some(&first), Some(&last)) = (value.as_bytes().first(), value.as_bytes().last()) else {
        return false;
    };
    let doubled = value.bytes().filter(|byte| *byte == b'"').count();
    // The usual value begins and ends with a letter or a digit.
    if doubled == 0 && first.is_ascii_alphanumeric() && last.is_ascii_alphanumeric() {
        return false;
    }
    let mut inner = value.chars();
    let ends = inner.next().zip(inner.next_back());
    // The one at the end of a pair without beginning: a spreadsheet's marker was taken for it, as in `'crm-1'`.
    let is_stray = matches!(last, b'\'' | b'`') || first == b'`';
    // No maker's identifier holds a double quote; in people's text they come in pairs.
    let is_odd = if cleaning == Cleaning::Opaque { doubled > 0 } else { doubled % 2 == 1 };
    // What is left of a separator of several characters, as `~|~`.
    let is_rest = |byte: u8| matches!(byte, b'~' | b'|' | b'^');
    is_stray || is_odd || is_rest(first) || is_rest(last) || ends.is_some_and(|ends| PAIRS.contains(&ends))
}

#[cfg(test)]
mod tests {
    use crate::fields::tests::{verdict, verdict_under};
    use crate::fields::{Preset, RuleOptions};
    use crate::update::FieldKind::{
        GenericId, Iccid, Imei, Imsi, Number, UserClass, UserExternalId, Username,
    };

    const TEXTS: [crate::update::FieldKind; 4] = [GenericId, Username, UserExternalId, UserClass];

    #[test]
    fn quotation_marks_around_a_value_reject_the_row() {
        for kind in TEXTS {
            for value in [
                "'crm-1'",
                "crm-1'",
                "\"crm-1\"",
                "\"crm-1",
                "crm-1\"",
                "c\"rm-1",
                "`crm-1`",
                "crm-1`",
                "`crm-1",
                "“crm-1”",
                "„crm-1“",
                "«crm-1»",
                "‘crm-1’",
                "’crm-1’",
                "´crm-1´",
                "\"",
                "\"\"",
                "'@crm-1'",
                "crm-1~",
                "~crm-1",
                "|crm-1",
                "^crm-1^",
                "\"O'Brien\"",
            ] {
                let (sent, codes) = verdict(kind, value);
                assert!(
                    sent.is_none() && codes.contains(&"text.quoted"),
                    "{kind} {value} {sent:?} {codes:?}"
                );
            }
        }
    }

    #[test]
    fn marks_that_belong_to_a_name_stay() {
        for value in
            ["O'Brien", "O’Brien", "'t Hooft", "d'Arc`s", "Zoë \"la directrice\" Dupont", "5' plan", "-_-"]
        {
            for kind in [Username, UserClass] {
                let (sent, codes) = verdict(kind, value);
                assert_eq!(sent.as_deref(), Some(value), "{kind} {value}");
                assert!(!codes.contains(&"text.quoted"), "{kind} {value}");
            }
        }
        for kind in [GenericId, UserExternalId] {
            assert_eq!(verdict(kind, "o'brien-7").1, [""; 0]);
            // The marker of a spreadsheet, not a quote.
            assert_eq!(verdict(kind, "'000042"), (Some("000042".to_owned()), vec!["excel.text_marker"]));
        }
    }

    #[test]
    fn in_digit_fields_a_quote_is_no_digit() {
        for (kind, digits, code) in [
            (Number, "+447911123456", "number.chars"),
            (Imei, "356868000041418", "imei.chars"),
            (Imsi, "310260123456789", "imsi.chars"),
            (Iccid, "8944476500008878576", "iccid.chars"),
        ] {
            for value in
                [format!("'{digits}'"), format!("\"{digits}\""), format!("{digits}\""), format!("`{digits}`")]
            {
                let (sent, codes) = verdict(kind, &value);
                assert!(sent.is_none() && codes.contains(&code), "{kind} {value} {codes:?}");
            }
        }
    }

    #[test]
    fn the_operator_may_want_them() {
        let lenient = RuleOptions { preset: Preset::Lenient, ..RuleOptions::default() };
        let quoted = (Some("\"crm-1\"".to_owned()), vec!["text.quoted"]);
        assert_eq!(verdict_under(&lenient, UserExternalId, "\"crm-1\""), quoted);
        let named = RuleOptions {
            class_map: vec![("'premium'".to_owned(), "premium".to_owned())],
            class_allowed: vec!["TV 32\"".to_owned(), "premium".to_owned()],
            ..RuleOptions::default()
        };
        assert_eq!(verdict_under(&named, UserClass, "'premium'").0.as_deref(), Some("premium"));
        assert_eq!(verdict_under(&named, UserClass, "TV 32\"").0.as_deref(), Some("TV 32\""));
    }
}
