//! The text of one JSON value, and what is wrong with it: a string's content, a number's own digits.
//!
//! Pure. Digits are never computed with: a 20-digit ICCID read as a number is another ICCID. Not here: where the value
//! stands (`members.rs`, `pointer.rs`), what its text means (`fields/`).

use std::borrow::Cow;

use serde_json::error::Category;

use super::UnsafeIntegers;
use super::error::Problem;
use super::pointer::{Lost, Pointer};
use crate::count::plural_len;

/// Largest integer that every JSON writer holds exactly (RFC 8259 clause 6, RFC 7493 clause 2.2): beyond it the
/// digits may have been rounded before they were written.
const SAFE_INTEGER_MAX: u64 = (1 << 53) - 1;

/// What a field may be made of.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Scalar<'v> {
    /// Null, or nothing at all.
    Absent,
    /// The content of a string; borrowed where it has no escapes.
    Text(Cow<'v, str>),
    /// A number, as it is written.
    Number(&'v str),
}

/// How values are taken.
#[derive(Debug, Clone, Copy)]
pub(super) struct Taking {
    pub(super) unsafe_integers: UnsafeIntegers,
    pub(super) depth_max: usize,
}

/// The text of a value that is known to be JSON.
pub(super) fn scalar(value: &str, taking: Taking) -> Result<Scalar<'_>, Problem> {
    match value.as_bytes().first() {
        Some(b'"') => string(value).map(Scalar::Text),
        Some(b'n') => Ok(Scalar::Absent),
        Some(b't' | b'f') => Err(nested("a boolean")),
        Some(b'[') => Err(nested("an array")),
        Some(b'{') => Err(nested("an object")),
        Some(_) | None if is_unsafe_integer(value) && taking.unsafe_integers == UnsafeIntegers::Reject => {
            let detail = "an integer beyond 2^53-1 may have been rounded; write it as a string";
            Err(Problem::new("json.unsafe_integer", detail))
        }
        Some(_) | None => Ok(Scalar::Number(value)),
    }
}

fn string(value: &str) -> Result<Cow<'_, str>, Problem> {
    if !value.contains('\\') {
        return Ok(Cow::Borrowed(value.get(1..value.len() - 1).unwrap_or_default()));
    }
    let decoded: String = serde_json::from_str(value).map_err(|error| {
        let (what, column) = told(&error, value.as_bytes());
        Problem::new("json.syntax", format!("{what} (byte {column} of the value)"))
    })?;
    if decoded.contains('\0') {
        return Err(Problem::new("json.syntax", "a NUL character, \\u0000"));
    }
    Ok(Cow::Owned(decoded))
}

/// What a path leads to within the text of a cell: a JSON object or array, or a text that is neither and leads nowhere.
/// Row files hold a nested member so; a string that itself holds an object is read in the same way.
///
/// Returns whether the path led to something, beside its text.
pub(super) fn nested_in<'t>(
    cell: &'t str,
    pointer: &Pointer,
    taking: Taking,
) -> Result<(bool, Scalar<'t>), Problem> {
    let text = cell.trim();
    if !text.starts_with(['{', '[']) {
        return Ok((false, Scalar::Absent));
    }
    if is_too_deep(text, taking.depth_max) {
        return Err(too_deep(taking.depth_max));
    }
    let found = pointer.follow(text).map_err(|lost| match lost {
        Lost::Duplicate => Problem::new("json.duplicate_member", "a member on the path stands twice"),
        Lost::Json(error) => {
            let (what, column) = told(&error, text.as_bytes());
            Problem::new("json.syntax", format!("{what} (byte {column} of the value)"))
        }
    })?;
    match found {
        Some(value) => scalar(value, taking).map(|scalar| (true, scalar)),
        None => Ok((false, Scalar::Absent)),
    }
}

/// An object or an array within a row that is nested deeper than the bound.
pub(super) fn too_deep(depth_max: usize) -> Problem {
    Problem::new("json.too_deep", format!("nested deeper than {}", plural_len(depth_max, "level")))
}

/// Whether a value of a row is nested so deep that the row, a level itself, is deeper than the bound.
pub(super) fn is_too_deep(value: &str, depth_max: usize) -> bool {
    let is_opening = |byte: &u8| matches!(byte, b'{' | b'[');
    // Counting is many times faster than following, and settles it for nearly every value.
    value.len() >= 2 * depth_max
        && value.as_bytes().iter().filter(|byte| is_opening(byte)).count() >= depth_max
        && nesting(value) >= depth_max
}

/// Levels of objects and arrays in a JSON text; a scalar has none.
fn nesting(value: &str) -> usize {
    let (mut depth, mut deepest, mut in_string, mut escaped) = (0_usize, 0, false, false);
    for byte in value.bytes() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if in_string => escaped = true,
            b'"' => in_string = !in_string,
            _ if in_string => {}
            b'{' | b'[' => {
                depth += 1;
                deepest = deepest.max(depth);
            }
            b'}' | b']' => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    deepest
}

fn nested(what: &str) -> Problem {
    Problem::new("json.nested", format!("{what} where text or a number is expected"))
}

fn is_unsafe_integer(literal: &str) -> bool {
    let digits = literal.strip_prefix('-').unwrap_or(literal);
    let is_integer = digits.bytes().all(|byte| byte.is_ascii_digit());
    is_integer && digits.parse::<u64>().map_or(true, |value| value > SAFE_INTEGER_MAX)
}

/// A syntax error in words of our own, without any value, and the byte it is about; the first is 1.
pub(super) fn told(error: &serde_json::Error, text: &[u8]) -> (String, usize) {
    let column = error.column();
    let said = error.to_string();
    let said = said.split(" at line ").next().unwrap_or_default();
    let at = column.saturating_sub(1).min(text.len());
    let (before, rest) = text.split_at(at);
    let what = match error.classify() {
        Category::Eof => "the object ends too early",
        Category::Data | Category::Io => "not an object",
        Category::Syntax => syntax(said, before, rest),
    };
    (what.to_owned(), column)
}

fn syntax<'s>(said: &'s str, before: &[u8], rest: &[u8]) -> &'s str {
    const BOM: &[u8] = b"\xef\xbb\xbf";
    let last = before.trim_ascii_end().last();
    let is_word = rest.first().is_some_and(|byte| byte.is_ascii_alphabetic() || *byte == b'_');
    if said.contains("surrogate") || said.contains("unexpected end of hex escape") {
        return "a lone surrogate: half of a pair of \\uD800 to \\uDFFF, which stands for no character";
    }
    if said.contains("control character") {
        return "a control character within a string; write it as an escape";
    }
    match rest {
        [b'\'', ..] => "single quotes; JSON has double quotes only",
        [b'/', ..] | [b'#', ..] => "a comment, which JSON does not have",
        _ if rest.starts_with(BOM) => "a byte order mark within the file",
        _ if rest.starts_with(b"NaN") || rest.starts_with(b"Infinity") => NOT_A_NUMBER,
        _ if said == "invalid number" && rest.starts_with(b"I") => NOT_A_NUMBER,
        [b'0'..=b'9', ..] if said == "invalid number" && last == Some(&b'0') => {
            "a number with a leading zero, which JSON does not have; write it as a string"
        }
        [b'{', ..] if said == "trailing characters" => {
            "several objects on one line; write one per line: jq -c . FILE"
        }
        [b',', ..] if said == "trailing characters" => {
            "a comma after the object; write one object per line, with nothing between them"
        }
        _ if said == "trailing characters" => "text after the object",
        _ if said == "trailing comma" => "a comma with nothing after it",
        [b']' | b'}', ..] if last == Some(&b',') => "a comma with nothing after it",
        [b'+' | b'.', ..] => "a number that JSON does not write so",
        _ if said == "key must be a string" && is_word => "a member name without quotes",
        _ if said == "expected value" && is_word => "a word that JSON does not have; text needs quotes",
        _ => said,
    }
}

const NOT_A_NUMBER: &str = "NaN or Infinity, which JSON does not have";

#[cfg(test)]
mod tests {
    use super::*;

    const TAKING: Taking = Taking { unsafe_integers: UnsafeIntegers::Reject, depth_max: 4 };

    #[test]
    fn depth_is_bounded_with_the_row_itself() {
        let deep = |levels: usize| "[".repeat(levels) + &"]".repeat(levels);
        assert!(is_too_deep(&deep(4), 4) && !is_too_deep(&deep(3), 4));
        assert!(!is_too_deep(&"[],".repeat(9), 4) && !is_too_deep("[\"[[[[[[\"]", 4));
    }

    #[test]
    fn depth_is_counted_outside_strings() {
        for (text, depth) in
            [("1", 0), (r#""[[[[""#, 0), ("[]", 1), (r#"[{"a":"}}","b":"\"[["},[[]]]"#, 3), ("{\"a\":{}}", 2)]
        {
            assert_eq!(nesting(text), depth, "{text}");
        }
    }

    #[test]
    fn what_is_nested_in_a_cell_is_found_or_told() {
        let pointer = Pointer::parse("/contact/phone").unwrap();
        let told = |cell: &str| match nested_in(cell, &pointer, TAKING) {
            Ok((led, Scalar::Absent)) => format!("{led}"),
            Ok((_, Scalar::Text(text))) => text.into_owned(),
            Ok((_, Scalar::Number(text))) => format!("#{text}"),
            Err(problem) => format!("!{}", problem.code),
        };
        for (cell, expected) in [
            ("", "false"),
            ("John", "false"),
            ("{}", "false"),
            ("[]", "false"),
            (" {\"phone\":\"+44\"} ", "+44"),
            ("{\"phone\":44}", "#44"),
            ("{\"phone\":null}", "true"),
            ("{\"phone\":{}}", "!json.nested"),
            ("{\"phone\":9007199254740993}", "!json.unsafe_integer"),
            ("{\"phone\":1,\"phone\":1}", "!json.duplicate_member"),
            ("{\"phone\":\"+44", "!json.syntax"),
            ("{\"phone\":1}{}", "!json.syntax"),
            ("{\"x\":[[[1]]]}", "!json.too_deep"),
        ] {
            assert_eq!(told(cell), expected, "{cell}");
        }
    }
}
