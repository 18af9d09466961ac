//! The cleaning of a cell before any rule of its field: invisible marks, spreadsheet wrappers, foreign digits.
//!
//! A clean cell is passed on as it is, without a copy. Cleaning is idempotent. Not here: separators inside a
//! number (each field has its own), damaged numbers (`mangle.rs`), null markers (`options.rs`).

use std::borrow::Cow;

use super::rules::{Damage, ERROR, FIX, Rule, RuleId, rule};

pub(super) const RULES: &[Rule] = &[
    rule(
        "text.cleaned",
        FIX,
        "outer white space or invisible marks were removed",
        "field-rules 1: pre-clean of identifier cells",
        "nothing to do; trim the column in the export to get rid of the note",
    ),
    rule(
        "text.digits",
        FIX,
        "non-ASCII digits were written as ASCII digits",
        "Unicode general category Nd; field-rules 1",
        "nothing to do; export the column with ASCII digits to get rid of the note",
    ),
    rule(
        "excel.text_marker",
        FIX,
        "a spreadsheet's text marker (leading apostrophe or =\"...\") was removed",
        "OWASP CSV injection; field-rules 4.2",
        "nothing to do; the marker only protected the cell inside the spreadsheet",
    )
    .of_damage(Damage::Marked),
    rule(
        "text.object",
        ERROR,
        "[object …]: a program wrote the name of a thing where its value should be",
        "ECMAScript 20.1.3.6 Object.prototype.toString",
        "correct the program that writes the export, or empty the cell, which leaves the field as it is",
    ),
    rule(
        "excel.error_value",
        ERROR,
        "the cell holds a spreadsheet error such as #REF! or ####, not a value",
        "field-rules 4.2",
        "repair the formula or widen the column in the spreadsheet, then export again",
    ),
];

pub(super) const CLEANED: RuleId = RuleId::known("text.cleaned");
pub(super) const DIGITS: RuleId = RuleId::known("text.digits");
pub(super) const TEXT_MARKER: RuleId = RuleId::known("excel.text_marker");
pub(super) const ERROR_VALUE: RuleId = RuleId::known("excel.error_value");
pub(super) const OBJECT: RuleId = RuleId::known("text.object");

/// How far the cell of a field may be cleaned.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cleaning {
    /// A number: marks are removed everywhere, foreign digits are written as ASCII.
    Digits,
    /// An opaque identifier: marks are removed everywhere, digits stay.
    Opaque,
    /// Text of people: its ends are cleaned, and inside only marks without any meaning are removed; joiners and
    /// directions belong to scripts.
    Text,
    /// A secret: the field itself decides, since every byte may count.
    Verbatim,
}

/// A cleaned cell and what was done to it.
#[derive(Debug)]
pub(super) struct Cleaned<'a> {
    pub(super) value: Cow<'a, str>,
    /// The rules under which it was changed, in order; `None` fills up.
    pub(super) fixes: [Option<RuleId>; 3],
}

impl Cleaned<'_> {
    /// A cell that is clean.
    fn untouched(cell: &str) -> Cleaned<'_> {
        Cleaned { value: Cow::Borrowed(cell), fixes: [None; 3] }
    }
}

/// A cell as its rules will see it: cleaned, without a word about what was done to it.
pub fn bare(cell: &str, cleaning: Cleaning) -> Cow<'_, str> {
    clean(cell, cleaning).value
}

/// Cleans a cell.
pub(super) fn clean(cell: &str, cleaning: Cleaning) -> Cleaned<'_> {
    let plain = |byte: &u8| byte.is_ascii_graphic();
    let wrapped = cell.starts_with(['\'', '=']);
    if cleaning == Cleaning::Verbatim || (!wrapped && cell.as_bytes().iter().all(plain)) {
        return Cleaned::untouched(cell);
    }
    let mut fixes = [None; 3];
    if cell.is_ascii() || !cell.contains(|c| is_removed(c, cleaning) || is_foreign_digit(c, cleaning)) {
        let (inner, marked) = unwrap(cell, cleaning);
        if inner.len() != cell.len() {
            fixes[usize::from(marked)] = Some(if marked { TEXT_MARKER } else { CLEANED });
        }
        return Cleaned { value: Cow::Borrowed(inner), fixes };
    }
    let mut bare = String::with_capacity(cell.len());
    for c in cell.chars() {
        if is_removed(c, cleaning) {
            fixes[0] = Some(CLEANED);
        } else if let Some(digit) = ascii_digit(c).filter(|_| cleaning == Cleaning::Digits) {
            fixes[2] = Some(DIGITS);
            bare.push(digit);
        } else {
            bare.push(c);
        }
    }
    let (inner, marked) = unwrap(&bare, cleaning);
    if marked {
        fixes[1] = Some(TEXT_MARKER);
    } else if inner.len() != bare.len() {
        fixes[0] = Some(CLEANED);
    }
    Cleaned { value: Cow::Owned(inner.to_owned()), fixes }
}

/// Takes off white space, marks and spreadsheet wrappers from the ends, until nothing more comes off. The second
/// member says whether a wrapper was among them.
fn unwrap(cell: &str, cleaning: Cleaning) -> (&str, bool) {
    let mut value = trim(cell);
    let mut marked = false;
    loop {
        let inner = if let Some(quoted) = value.strip_prefix("=\"") {
            quoted.strip_suffix('"').unwrap_or(quoted)
        } else if let Some(rest) = value.strip_prefix('\'') {
            // A name may begin with an apostrophe; exporters guard only what would begin a formula.
            if cleaning == Cleaning::Text && !rest.starts_with(['=', '+', '-', '@']) {
                return (value, marked);
            }
            // A pair encloses the value: the file quotes with another character, which is told as that.
            if rest.ends_with('\'') {
                return (value, marked);
            }
            rest
        } else {
            return (value, marked);
        };
        marked = true;
        value = trim(inner);
    }
}

/// Without white space (of any script) and invisible marks at both ends.
pub(super) fn trim(cell: &str) -> &str {
    cell.trim_matches(|c: char| c.is_whitespace() || is_mark(c))
}

/// Byte order mark, soft hyphen, zero-width and direction marks: they come with copied text and are invisible in a
/// spreadsheet.
fn is_mark(c: char) -> bool {
    matches!(c,
        '\u{AD}' | '\u{61C}' | '\u{FEFF}' | '\u{200B}'..='\u{200F}' | '\u{202A}'..='\u{202E}' | '\u{2060}'..='\u{2064}'
        | '\u{2066}'..='\u{2069}')
}

/// Whether the mark is removed wherever it stands. In text these are: byte order mark (of files that were joined),
/// zero-width space and word joiner, which nobody types and no script needs.
fn is_removed(c: char, cleaning: Cleaning) -> bool {
    match cleaning {
        Cleaning::Text => matches!(c, '\u{FEFF}' | '\u{200B}' | '\u{2060}'),
        Cleaning::Digits | Cleaning::Opaque => is_mark(c),
        Cleaning::Verbatim => false,
    }
}

fn is_foreign_digit(c: char, cleaning: Cleaning) -> bool {
    cleaning == Cleaning::Digits && ascii_digit(c).is_some()
}

/// Zeros of the scripts in whose digits numbers are really kept; the other nine follow each. Then the full-width
/// plus sign, which travels with full-width digits.
fn ascii_digit(c: char) -> Option<char> {
    const ZEROS: [u32; 19] = [
        0x0660, 0x06F0, 0x07C0, 0x0966, 0x09E6, 0x0A66, 0x0AE6, 0x0B66, 0x0BE6, 0x0C66, 0x0CE6, 0x0D66,
        0x0E50, 0x0ED0, 0x0F20, 0x1040, 0x17E0, 0x1810, 0xFF10,
    ];
    let code = u32::from(c);
    match c {
        '\0'..='\u{65F}' => None,
        '\u{FF0B}' => Some('+'),
        _ => ZEROS
            .into_iter()
            .find(|zero| (*zero..zero + 10).contains(&code))
            .and_then(|zero| char::from_digit(code - zero, 10)),
    }
}

/// Whether the cell shows a spreadsheet's error instead of a value: `#N/A`, a column too narrow (`####`), or capitals
/// between `#` and `!` or `?`, as in `#REF!` and, since spreadsheets translate them, `#BEZUG!` and `#¿NOMBRE?`.
pub(super) fn is_error_value(value: &str) -> bool {
    let Some(name) = value.strip_prefix('#') else { return false };
    let is_capital = |c: char| c.is_uppercase() || c.is_ascii_digit() || matches!(c, '/' | '_' | '¡' | '¿');
    name == "N/A"
        || (name.len() > 1 && name.bytes().all(|byte| byte == b'#'))
        || name.strip_suffix(['!', '?']).is_some_and(|name| !name.is_empty() && name.chars().all(is_capital))
}

/// Whether the cell is what JavaScript writes for a value that has no text: `[object Object]`.
pub(super) fn is_object(value: &str) -> bool {
    let name = value.strip_prefix("[object ").and_then(|rest| rest.strip_suffix(']'));
    name.is_some_and(|name| !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric()))
}

/// Whether the text holds a control character. None of them can be typed, so the cell is damaged.
pub(super) fn has_control(value: &str) -> bool {
    // Most values are ASCII, where one comparison a byte says it.
    if value.is_ascii() {
        value.bytes().any(|b| b.is_ascii_control())
    } else {
        value.contains(char::is_control)
    }
}

/// Whether the character separates groups of digits only to the eye: white space and dashes of any kind, those of
/// full width too. A line break or a tab does not: it separates values.
pub(super) fn is_spacing(c: char) -> bool {
    match c {
        '-' | ' ' => true,
        '\0'..='\x7F' => false,
        _ => {
            matches!(c, '\u{2010}'..='\u{2015}' | '\u{2212}' | '\u{30FC}' | '\u{FF0D}')
                || (c.is_whitespace() && !matches!(c, '\u{85}' | '\u{2028}' | '\u{2029}'))
        }
    }
}

/// The value without the characters that `is_separator` names; borrowed when there are none.
pub(super) fn without(value: &str, is_separator: impl Fn(char) -> bool) -> Cow<'_, str> {
    if value.contains(&is_separator) {
        Cow::Owned(value.chars().filter(|c| !is_separator(*c)).collect())
    } else {
        Cow::Borrowed(value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cleaned(cell: &str, cleaning: Cleaning) -> (String, Vec<&'static str>) {
        let cleaned = clean(cell, cleaning);
        let fixes = cleaned.fixes.into_iter().flatten().map(|id| id.rule().code).collect();
        (cleaned.value.into_owned(), fixes)
    }

    #[test]
    fn cells_as_spreadsheets_and_people_leave_them() {
        let all: [&str; 0] = [];
        for (cell, want, fixes) in [
            ("356868000041418", "356868000041418", &all[..]),
            (" 356868000041418\u{A0}", "356868000041418", &["text.cleaned"]),
            ("\t356868000041418", "356868000041418", &["text.cleaned"]),
            ("\u{FEFF}3568\u{200B}68", "356868", &["text.cleaned"]),
            ("\u{202A}+44791\u{202C}", "+44791", &["text.cleaned"]),
            ("\u{61C}35\u{AD}68", "3568", &["text.cleaned"]),
            ("'+4479", "+4479", &["excel.text_marker"]),
            ("=\"0123\"", "0123", &["excel.text_marker"]),
            ("=\"0123", "0123", &["excel.text_marker"]),
            // Half of a pair of quotation marks is no spreadsheet's marker.
            ("'0123'", "'0123'", &[]),
            ("= \"0123\"", "= \"0123\"", &[]),
            ("''=\"'01\"", "01", &["excel.text_marker"]),
            ("٣٥٦", "356", &["text.digits"]),
            ("\u{FF0B}\u{FF14}\u{FF14}", "+44", &["text.digits"]),
            ("  ", "", &["text.cleaned"]),
        ] {
            let (value, codes) = cleaned(cell, Cleaning::Digits);
            assert_eq!((value.as_str(), codes.as_slice()), (want, fixes), "{cell:?}");
        }
    }

    #[test]
    fn text_keeps_what_has_a_meaning_inside() {
        assert_eq!(cleaned("\u{200C}نا\u{200C}مه ", Cleaning::Text).0, "نا\u{200C}مه");
        assert_eq!(cleaned("'t Hooft", Cleaning::Text).0, "'t Hooft");
        assert_eq!(cleaned("'@handle", Cleaning::Text).0, "@handle");
        assert_eq!(cleaned("٣", Cleaning::Opaque).0, "٣");
        assert_eq!(cleaned(" secret ", Cleaning::Verbatim).0, " secret ");
    }

    #[test]
    fn marks_without_a_meaning_are_removed_from_texts_too() {
        let fixed = |value: &str| (value.to_owned(), vec!["text.cleaned"]);
        for cleaning in [Cleaning::Text, Cleaning::Opaque] {
            for mark in ['\u{FEFF}', '\u{200B}', '\u{2060}'] {
                assert_eq!(cleaned(&format!("pre{mark}mium"), cleaning), fixed("premium"), "{mark:?}");
                assert_eq!(cleaned(&format!("{mark}premium{mark}"), cleaning), fixed("premium"), "{mark:?}");
                let marked = cleaned(&format!("'{mark}=premium"), cleaning);
                assert_eq!(marked, ("=premium".to_owned(), vec!["text.cleaned", "excel.text_marker"]));
            }
        }
        assert_eq!(cleaned("نا\u{200C}مه\u{200D}x", Cleaning::Text).1, [""; 0]);
    }

    #[test]
    fn spreadsheet_errors_are_recognized() {
        for shown in [
            "#REF!",
            "#VALUE!",
            "#NAME?",
            "#DIV/0!",
            "#N/A",
            "#####",
            "####",
            "#BEZUG!",
            "#¡REF!",
            "#¿NOMBRE?",
            "#ЗНАЧ!",
        ] {
            assert!(is_error_value(shown), "{shown}");
        }
        for value in ["#tag", "#", "#!", "##", "#Wow!", "REF!"] {
            assert!(!is_error_value(value), "{value}");
        }
    }
}
