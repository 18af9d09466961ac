//! Names of columns: how they are compared, which of them are known, and which are only worth a suggestion.
//!
//! Pure. Not here: which column of a file is taken for a field (`map.rs`). The known names are those of
//! `field-rules.md` 4.3; they stand here already normalised.

use crate::near::{self, edits};
use crate::update::FieldKind;

/// Names that are taken for a field without being told. A password is never among them: it is mapped by name only.
const SYNONYMS: [(FieldKind, &[&str]); 8] = [
    (
        FieldKind::Number,
        &[
            "number",
            "msisdn",
            "mobile",
            "mobilephone",
            "mobilenumber",
            "phone",
            "phonenumber",
            "telephone",
            "telephone1",
            "cell",
            "cellphone",
            "mdn",
            "ctn",
            "subscribernumber",
            "linenumber",
            "servicenumber",
            "gsm",
            "rufnummer",
            "mobilnummer",
            "handy",
            "telefono",
            "movil",
            "celular",
            "telefone",
            "telemovel",
            "portable",
            "cellulare",
        ],
    ),
    (FieldKind::GenericId, &["genericid", "androidid", "idfa", "advertisingid"]),
    (FieldKind::Imei, &["imei", "imeinumber", "imeino", "imei1", "deviceimei", "handsetimei"]),
    (FieldKind::Imsi, &["imsi", "imsinumber", "networkidentifier"]),
    (
        FieldKind::Iccid,
        &[
            "iccid",
            "icc",
            "sim",
            "simnumber",
            "simno",
            "simcard",
            "simserial",
            "simserialnumber",
            "iccidnumber",
        ],
    ),
    (FieldKind::Username, &["username", "login"]),
    (
        FieldKind::UserExternalId,
        &["userexternalid", "externalid", "customerid", "crmid", "contactid", "recordid", "rowid"],
    ),
    (
        FieldKind::UserClass,
        &["userclass", "classofservice", "cos", "serviceclass", "tier", "plan", "segment"],
    ),
];

/// Names that may mean a field and may mean something else: suggested in error texts, never taken.
const AMBIGUOUS: [(&str, FieldKind); 7] = [
    ("userid", FieldKind::Username),
    ("accountid", FieldKind::UserExternalId),
    ("id", FieldKind::UserExternalId),
    ("deviceid", FieldKind::GenericId),
    ("identifier", FieldKind::Iccid),
    ("password", FieldKind::Password),
    ("passwordhash", FieldKind::Password),
];

/// Names about the row rather than of a field; similar as some are to a field's name, none is ever suggested.
const ABOUT_THE_ROW: [&str; 8] = [
    "status",
    "isdeleted",
    "lastmodified",
    "lastmodifieddate",
    "modifiedon",
    "updatedat",
    "effectivedate",
    "createdat",
];

/// Our own columns in row files. They are never mapped to a field and never reported as unknown.
const RESERVED: [&str; 8] = ["_run", "_row", "_file", "_line", "_reason", "_signature", "_detail", "_raw"];

/// Near names that an error text lists at most.
const NEAR_MAX: usize = 3;

/// Longest name, in characters, that the search for similar names looks at.
const NEAR_NAME_CHARS_MAX: usize = 40;

/// Column names that an error text lists at most.
const LISTED_MAX: usize = 40;

/// Longest column name, in characters, that an error text shows whole.
const LISTED_CHARS_MAX: usize = 60;

/// Digits in a column name from which on it is taken for a value: a file without a header shows its first row.
const DATA_DIGITS_MIN: usize = 6;

/// A name as it is compared: lower case, without accents, `__c`, punctuation and spaces; quotes and marks that were
/// left around it are punctuation.
pub(super) fn normalize(name: &str) -> String {
    let lower = name.trim_matches(|letter: char| !letter.is_alphanumeric()).to_lowercase();
    let bare = lower.strip_suffix("__c").unwrap_or(&lower);
    bare.chars().map(without_accent).filter(|letter| letter.is_alphanumeric()).collect()
}

/// The letter under a Latin letter with an accent. Combining accents fall to the filter of [`normalize`].
fn without_accent(letter: char) -> char {
    match letter {
        'à'..='å' | 'ā' | 'ă' | 'ą' => 'a',
        'ç' | 'ć' | 'č' | 'ċ' | 'ĉ' => 'c',
        'ď' | 'đ' => 'd',
        'è'..='ë' | 'ē' | 'ė' | 'ę' | 'ě' => 'e',
        'ğ' | 'ģ' | 'ġ' | 'ĝ' => 'g',
        'ķ' => 'k',
        'ì'..='ï' | 'ī' | 'į' | 'ı' => 'i',
        'ł' | 'ľ' | 'ĺ' | 'ļ' => 'l',
        'ñ' | 'ń' | 'ň' | 'ņ' => 'n',
        'ò'..='ö' | 'ø' | 'ō' | 'ő' => 'o',
        'ŕ' | 'ř' | 'ŗ' => 'r',
        'ś' | 'š' | 'ş' | 'ș' => 's',
        'ť' | 'ţ' | 'ț' => 't',
        'ù'..='ü' | 'ū' | 'ů' | 'ű' | 'ų' | 'ŭ' => 'u',
        'ý' | 'ÿ' => 'y',
        'ź' | 'ż' | 'ž' => 'z',
        // The full-width forms of ASCII, in East Asian exports.
        '\u{ff01}'..='\u{ff5e}' => {
            u32::from(letter).checked_sub(0xfee0).and_then(char::from_u32).unwrap_or(letter)
        }
        other => other,
    }
}

/// The field that a normalised name stands for without being told.
pub(super) fn synonym(normal: &str) -> Option<FieldKind> {
    SYNONYMS.iter().find(|(_, names)| names.contains(&normal)).map(|(kind, _)| *kind)
}

/// The field whose value of before a normalised name stands for: `oldiccid`, `previousmsisdn`, `imsiold`.
pub(super) fn old_synonym(normal: &str) -> Option<FieldKind> {
    const BEFORE: [&str; 4] = ["old", "previous", "prev", "former"];
    let stem = BEFORE.iter().find_map(|before| normal.strip_prefix(before));
    synonym(stem.or_else(|| normal.strip_suffix("old"))?)
}

/// Whether the column is our own (see [`RESERVED`]).
pub(super) fn is_reserved(name: &str) -> bool {
    name.starts_with('_') && RESERVED.contains(&name)
}

/// Whether a column is known to be of no use: Dynamics writes three of its own into every export.
pub(super) fn is_silent(name: &str) -> bool {
    const DYNAMICS: &str = "(do not modify)";
    name.get(..DYNAMICS.len()).is_some_and(|start| start.eq_ignore_ascii_case(DYNAMICS))
}

/// Whether a column of this name tells that the line is a header, whatever is mapped in the end.
pub(super) fn is_header_like(name: &str) -> bool {
    let normal = normalize(name);
    is_reserved(name) || synonym(&normal).is_some() || ambiguous(&normal).is_some()
}

fn ambiguous(normal: &str) -> Option<FieldKind> {
    AMBIGUOUS.iter().find(|(name, _)| *name == normal).map(|(_, kind)| *kind)
}

/// The field that an unknown column may be meant for: an ambiguous name, or one a slip away from a known name.
pub(super) fn suggestion(name: &str) -> Option<FieldKind> {
    let normal = normalize(name);
    if let Some(kind) = ambiguous(&normal) {
        return Some(kind);
    }
    let state_of_a_swap = normal.starts_with("old") || normal.starts_with("new");
    if state_of_a_swap || is_second(&normal) || ABOUT_THE_ROW.contains(&normal.as_str()) {
        return None;
    }
    let letters = normal.chars().count();
    if !(4..=NEAR_NAME_CHARS_MAX).contains(&letters) {
        return None;
    }
    let slips_max = if letters < 8 { 1 } else { 2 };
    SYNONYMS
        .iter()
        .flat_map(|(kind, names)| names.iter().map(move |known| (*kind, *known)))
        .filter(|(_, known)| known.len() >= 4 && known.len().abs_diff(letters) <= slips_max)
        .map(|(kind, known)| (edits(&normal, known), kind))
        .filter(|(distance, _)| *distance <= slips_max)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, kind)| kind)
}

/// Whether a name is that of a second device, card or number: `imei2`. Near as it is, it is not the one that is meant.
fn is_second(normal: &str) -> bool {
    let stem = normal.trim_end_matches(|letter: char| letter.is_ascii_digit());
    let number = &normal[stem.len()..];
    !matches!(number, "" | "1") && (synonym(stem).is_some() || synonym(&format!("{stem}1")).is_some())
}

/// Names that are near one that no column has, the nearest first; none where a name looks like data.
pub(super) fn near<'n>(name: &str, columns: impl Iterator<Item = &'n str>) -> Vec<&'n str> {
    let columns: Vec<&str> = columns.filter(|column| !column.is_empty()).collect();
    if columns.iter().any(|column| looks_like_data(column)) || name.chars().count() > NEAR_NAME_CHARS_MAX {
        return Vec::new();
    }
    let normal = normalize(name);
    let distance_max = (normal.chars().count() / 3).clamp(1, near::EDITS_MAX);
    let mut near: Vec<(usize, &str)> = columns
        .into_iter()
        .filter(|column| column.chars().count() <= NEAR_NAME_CHARS_MAX)
        .map(|column| (edits(&normal, &normalize(column)), column))
        .filter(|(distance, _)| *distance <= distance_max)
        .collect();
    near.sort_by_key(|(distance, _)| *distance);
    near.into_iter().map(|(_, column)| column).take(NEAR_MAX).collect()
}

/// The known names of all fields, for an error text.
pub(super) fn known_names() -> String {
    let fields: Vec<String> = SYNONYMS.iter().map(|(kind, names)| list(*kind, names)).collect();
    fields.join("\n")
}

fn list(kind: FieldKind, names: &[&str]) -> String {
    const SHOWN_MAX: usize = 5;
    let shown = names[..names.len().min(SHOWN_MAX)].join(", ");
    let more = if names.len() > SHOWN_MAX { ", ..." } else { "" };
    format!("  {kind}: {shown}{more}")
}

/// Column names as an error text may show them. A file without a header has data in its first line, and no error
/// text may hold a value: one name that looks like data hides them all.
pub(super) fn shown<'n>(names: impl IntoIterator<Item = &'n str>) -> String {
    let names: Vec<&str> = names.into_iter().filter(|name| !name.is_empty()).collect();
    if names.iter().any(|name| looks_like_data(name)) {
        return format!("not shown ({}), because they look like data, not like names", names.len());
    }
    let mut text = names.iter().take(LISTED_MAX).map(|name| cut(name)).collect::<Vec<_>>().join(", ");
    if names.len() > LISTED_MAX {
        text.push_str(", ...");
    }
    text
}

fn cut(name: &str) -> String {
    let mut letters = name.chars();
    let text: String = letters.by_ref().take(LISTED_CHARS_MAX).collect();
    let dots = if letters.next().is_some() { "..." } else { "" };
    format!("`{}{dots}`", text.escape_debug())
}

/// Whether a column's name is rather a value.
pub(super) fn looks_like_data(name: &str) -> bool {
    name.contains('@') || name.chars().filter(char::is_ascii_digit).count() >= DATA_DIGITS_MIN
}

#[cfg(test)]
mod tests;
