//! JSON that is not one object per line: what the file is instead, told as a whole.
//!
//! Pure. Judged by the head of a file, as far as it is in memory. Not here: what is wrong with one line alone
//! (`value.rs`), and where the head comes from.

use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};

use super::map::{Meaning, Rules};
use super::names::looks_like_data;

/// Objects within objects that are looked into for the array of the rows: `{"d":{"results":[...]}}`.
const WRAPPER_DEPTH_MAX: usize = 3;

/// What a file is instead of one object per line.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Whole {
    /// One array of everything.
    Array,
    /// Objects over several lines.
    Pretty,
    /// Several objects on one line.
    Concatenated,
    /// One object around the array of the rows; the path to it, as jq writes it.
    Wrapped(String),
    /// Lines that are all broken in the same way.
    Broken(Dialect),
}

/// What is written in place of JSON, line by line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dialect {
    /// Objects with a comma behind each: the inside of an array.
    CommaBehind,
    /// A comma before the bracket that closes an object.
    CommaWithin,
    /// Python's own notation: single quotes, `None`, `True`, `False`.
    Python,
}

impl Dialect {
    /// What the operator can do about it.
    pub(super) fn remedy(self) -> &'static str {
        match self {
            Dialect::CommaBehind => {
                "take the comma at each line's end away: sed -E 's/,[[:space:]]*$//' FILE > FILE.ndjson"
            }
            Dialect::CommaWithin => {
                "take the comma before each closing bracket away: sed -E 's/,[[:space:]]*}/}/g' FILE > FILE.ndjson"
            }
            Dialect::Python => {
                "write it with json.dumps, or convert it: python3 -c 'import ast,json,sys; \
                 [print(json.dumps(ast.literal_eval(l))) for l in sys.stdin if l.strip()]' < FILE > FILE.ndjson"
            }
        }
    }
}

impl fmt::Display for Dialect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Dialect::CommaBehind => "every line ends with a comma",
            Dialect::CommaWithin => "every line has a comma before its closing bracket",
            Dialect::Python => "every line is written as Python prints a dict (single quotes, None, True)",
        })
    }
}

/// Lines of a head that are looked at for a dialect.
const DIALECT_LINES_MAX: usize = 20;

/// The dialect of all lines of a head, of which the last may be cut off.
fn dialect(head: &[u8], is_all: bool) -> Option<Dialect> {
    let whole_to = if is_all { head.len() } else { head.iter().rposition(|byte| *byte == b'\n')? };
    let lines = head[..whole_to].split(|byte| *byte == b'\n').map(<[u8]>::trim_ascii);
    let mut dialects = lines.filter(|line| !line.is_empty()).take(DIALECT_LINES_MAX).map(line_dialect);
    let first = dialects.next()??;
    // The last line of an array's inside has no comma behind it; it is JSON.
    let mut others = dialects.peekable();
    while let Some(other) = others.next() {
        let is_last_of_array = first == Dialect::CommaBehind && other.is_none() && others.peek().is_none();
        if other != Some(first) && !is_last_of_array {
            return None;
        }
    }
    Some(first)
}

fn line_dialect(line: &[u8]) -> Option<Dialect> {
    let is_json = |text: &str| serde_json::from_str::<IgnoredAny>(text).is_ok();
    let text = std::str::from_utf8(line).ok().filter(|text| text.starts_with('{') && !is_json(text))?;
    if text.strip_suffix(',').is_some_and(is_json) {
        return Some(Dialect::CommaBehind);
    }
    let inner = text.strip_suffix('}')?.trim_end();
    if inner.strip_suffix(',').is_some_and(|inner| is_json(&format!("{inner}}}"))) {
        return Some(Dialect::CommaWithin);
    }
    let is_python =
        text.starts_with("{'") || [": None", ": True", ": False"].iter().any(|word| text.contains(word));
    is_python.then_some(Dialect::Python)
}

/// The mark before each text of a sequence of JSON texts (RFC 7464 clause 2.2); such a file has one object per line,
/// too.
const RECORD_SEPARATOR: u8 = 0x1e;

/// Record separators at the beginning of a line.
pub(super) fn separators(line: &[u8]) -> usize {
    line.iter().take_while(|byte| **byte == RECORD_SEPARATOR).count()
}

/// Recognises a file by its first line that is not blank. `is_all`: the head is the whole file.
pub(super) fn whole(head: &[u8], is_all: bool, rules: &Rules) -> Option<Whole> {
    let head = head.trim_ascii_start();
    let head = head[separators(head)..].trim_ascii_start();
    let end = head.iter().position(|byte| *byte == b'\n').unwrap_or(head.len());
    let (first, rest) = (head[..end].trim_ascii_end(), head[end..].trim_ascii_start());
    if let Some(dialect) = dialect(head, is_all) {
        return Some(Whole::Broken(dialect));
    }
    let mut values = serde_json::Deserializer::from_slice(first).into_iter::<IgnoredAny>();
    let value = values.next()?;
    let behind = first.get(values.byte_offset()..).unwrap_or_default().trim_ascii_start();
    match (first.first()?, value) {
        // Lines that are arrays, each of its own, are not one array.
        (b'[', Ok(_)) if !rest.is_empty() && behind.is_empty() => None,
        (b'[', _) => Some(Whole::Array),
        (b'{', Ok(_)) if behind.starts_with(b"{") => Some(Whole::Concatenated),
        (b'{', Err(error)) if error.is_eof() => {
            let goes_on = spans_lines(head).is_some() || (!rest.is_empty() && !rest.starts_with(b"{"));
            // One line without an end in sight: no row is so long.
            let is_endless = rest.is_empty() && !is_all;
            match wrapper(head, rules) {
                Some(path) if goes_on || is_endless || !is_all => Some(Whole::Wrapped(path)),
                Some(_) | None => goes_on.then_some(Whole::Pretty),
            }
        }
        (_, Ok(_) | Err(_)) => None,
    }
}

/// Whether a line that ends too early is the beginning of a value over several lines; `text` begins with the line.
pub(super) fn spans_lines(text: &[u8]) -> Option<Whole> {
    let text = text.trim_ascii_start();
    let mut values = serde_json::Deserializer::from_slice(text).into_iter::<IgnoredAny>();
    values.next()?.ok()?;
    if !text.get(..values.byte_offset())?.contains(&b'\n') {
        return None;
    }
    match text.first()? {
        b'{' => Some(Whole::Pretty),
        b'[' => Some(Whole::Array),
        _ => None,
    }
}

/// The path to an array of objects, when the first value is an object around one and is no row itself. The text may
/// end within the value.
pub(super) fn wrapper(text: &[u8], rules: &Rules) -> Option<String> {
    let mut search = Search { rules, path: Vec::new(), found: None, is_row: false };
    let mut deserializer = serde_json::Deserializer::from_slice(text);
    let searched = Below { search: &mut search, is_element: false }.deserialize(&mut deserializer);
    // Text that makes no sense is no wrapper: a row that was cut off, rather, and the next one.
    if searched.is_err_and(|error| !error.is_eof()) {
        return None;
    }
    let path = search.found.filter(|_| !search.is_row)?;
    let steps: Vec<String> = path.iter().map(|step| jq_step(step)).collect::<Option<_>>()?;
    Some(format!("{}[]", steps.concat()))
}

fn jq_step(name: &str) -> Option<String> {
    let is_plain = name.chars().all(|letter| letter.is_ascii_alphanumeric() || letter == '_')
        && !name.starts_with(|letter: char| letter.is_ascii_digit());
    if looks_like_data(name) || name.contains(['\'', '\\']) || name.contains(char::is_control) {
        return None;
    }
    Some(if is_plain && !name.is_empty() {
        format!(".{name}")
    } else {
        format!(".[\"{}\"]", name.replace('"', "\\\""))
    })
}

struct Search<'r> {
    rules: &'r Rules,
    path: Vec<String>,
    found: Option<Vec<String>>,
    /// A member of the outermost object stands for a field.
    is_row: bool,
}

/// Looks at one value below the path.
struct Below<'s, 'r> {
    search: &'s mut Search<'r>,
    /// It is the first element of an array, which tells what the others are.
    is_element: bool,
}

impl<'de> DeserializeSeed<'de> for Below<'_, '_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Below<'_, '_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let search = self.search;
        if self.is_element {
            search.found = (!search.path.is_empty()).then(|| search.path.clone());
            while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
            return Ok(());
        }
        while let Some(name) = map.next_key::<String>()? {
            if search.path.is_empty() {
                let meaning = search.rules.meaning(&name);
                search.is_row |= matches!(meaning, Meaning::Fields(claims) if !claims.is_empty());
            }
            if search.path.len() >= WRAPPER_DEPTH_MAX {
                map.next_value::<IgnoredAny>()?;
                continue;
            }
            search.path.push(name);
            map.next_value_seed(Below { search: &mut *search, is_element: false })?;
            search.path.pop();
        }
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<(), A::Error> {
        if !self.is_element && self.search.found.is_none() {
            let first = Below { search: self.search, is_element: true };
            if seq.next_element_seed(first)?.is_none() {
                return Ok(());
            }
        }
        while seq.next_element::<IgnoredAny>()?.is_some() {}
        Ok(())
    }

    fn visit_bool<E>(self, _: bool) -> Result<(), E> {
        Ok(())
    }

    fn visit_i64<E>(self, _: i64) -> Result<(), E> {
        Ok(())
    }

    fn visit_u64<E>(self, _: u64) -> Result<(), E> {
        Ok(())
    }

    fn visit_f64<E>(self, _: f64) -> Result<(), E> {
        Ok(())
    }

    fn visit_str<E>(self, _: &str) -> Result<(), E> {
        Ok(())
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_told_by_its_head() {
        let rules = Rules::default();
        let wrapped = |path: &str| Some(Whole::Wrapped(path.to_owned()));
        for (head, is_all, expected) in [
            ("{\"imei\":1}\n{\"imei\":2}", true, None),
            ("", true, None),
            ("imei,imsi\n", true, None),
            ("[{\"imei\":1}]", true, Some(Whole::Array)),
            ("[\n{\"imei\":1},\n", false, Some(Whole::Array)),
            ("[{\"imei\":1},\n{\"imei\":2}]\n", true, Some(Whole::Array)),
            ("[{\"imei\":1},{\"im", false, Some(Whole::Array)),
            ("{\"a\":1},\n{\"a\":2}\n", true, Some(Whole::Broken(Dialect::CommaBehind))),
            ("{\"a\":1},\n{\"a\":2},\n{\"a", false, Some(Whole::Broken(Dialect::CommaBehind))),
            ("{\"a\":1,}\n{\"a\":2, }\n", true, Some(Whole::Broken(Dialect::CommaWithin))),
            ("{'a': '1'}\n{'a': None}\n", true, Some(Whole::Broken(Dialect::Python))),
            ("{\"a\": None}\n{\"a\": None}\n", true, Some(Whole::Broken(Dialect::Python))),
            ("{\"a\":1,}\n{\"a\":2}\n{\"a\":3}\n", true, None),
            ("{\"a\":1}\n{\"a\":2},\n", true, None),
            ("[1]\n[2]\n", true, None),
            ("{\"a\":1}{\"a\":2}\n", true, Some(Whole::Concatenated)),
            ("{\"a\":1} {\"a\":2}\n", true, Some(Whole::Concatenated)),
            ("{\n \"a\": 1\n}\n", true, Some(Whole::Pretty)),
            ("{\n \"imei\": 1,\n \"phones\": [{\"a\":1}]\n}\n", true, Some(Whole::Pretty)),
            ("{\n \"phones\": [{\"a\":1}], \"imei\": 1\n}\n", true, Some(Whole::Pretty)),
            ("{ \"a\":\n1 }", true, Some(Whole::Pretty)),
            ("{\n {\n", true, None),
            ("{\"a\":", true, None),
            ("{\"a\":1\n{\"a\":2}\n", true, None),
            ("{\n\"records\": [\n{\"imei\":1},\n", false, wrapped(".records[]")),
            ("{\"records\":[\n{\"imei\":1},\n{\"imei\":2}]}", true, wrapped(".records[]")),
            ("{\"done\":true,\"data\":[{\"imei\":1},{\"im", false, wrapped(".data[]")),
            ("{\"d\":{\"results\":[{\"imei\":1},{\"im", false, wrapped(".d.results[]")),
            ("{\"odata.value\":[{\"imei\":1},{\"im", false, wrapped(".[\"odata.value\"][]")),
            ("{\"x\":[{\"a\":1\n{\"imei\":1}\n", false, None),
            ("\u{1e}{\n\"a\":1}\n", true, Some(Whole::Pretty)),
            ("\u{1e}{\"a\":1}\n\u{1e}{\"a\":1}\n", true, None),
        ] {
            assert_eq!(whole(head.as_bytes(), is_all, &rules), expected, "{head}");
        }
    }
}
