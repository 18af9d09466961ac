//! The laws of NDJSON: an accepted row is what serde_json reads in its line.
//!
//! Not here: the laws of every format (`reading.rs`).

use std::fmt;

use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;
use simsync::input::{Bounds, Format, InputOptions, UnsafeIntegers};
use simsync::update::FieldKind;

use crate::choices::{self, Choices};
use crate::reading::{self, Reading, Seen};

/// Holds an NDJSON input against the laws. The first two bytes choose the settings.
pub fn ndjson(bytes: &[u8]) {
    let Some((mut choices, content)) = choices::split(bytes) else { return };
    let options = options(&mut choices);
    let Some(reading) = reading::read(content, &options) else { return };
    // A file with our own columns in its first line is a row file, and read as one whatever the format.
    if reading.inputs.files().iter().all(|file| file.format == Format::Ndjson) {
        rows_are_their_lines(&reading, content, &options);
    }
}

fn options(choices: &mut Choices) -> InputOptions {
    let bounds = if choices.flag() {
        Bounds {
            record_bytes_max: 80,
            columns_max: 6,
            field_bytes_max: 24,
            json_depth_max: 3,
            ..Bounds::default()
        }
    } else {
        Bounds::default()
    };
    let pointer = (FieldKind::Number, "/contact/phone".to_owned());
    InputOptions {
        format: Format::Ndjson,
        bounds,
        unsafe_integers: choices.of(&[UnsafeIntegers::Reject, UnsafeIntegers::Accept]),
        columns: choices.flag().then_some(pointer).into_iter().collect(),
        ..InputOptions::default()
    }
}

/// The members of an object as written, doubles included: what a map would hide.
struct Members<'j>(Vec<(String, &'j RawValue)>);

impl<'de> Deserialize<'de> for Members<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Members<'de>, D::Error> {
        struct Reader;
        impl<'de> Visitor<'de> for Reader {
            type Value = Members<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Members<'de>, A::Error> {
                let mut members = Vec::new();
                while let Some(member) = map.next_entry::<String, &'de RawValue>()? {
                    members.push(member);
                }
                Ok(Members(members))
            }
        }
        deserializer.deserialize_map(Reader)
    }
}

fn rows_are_their_lines(reading: &Reading, content: &[u8], options: &InputOptions) {
    let content = content.strip_prefix(b"\xef\xbb\xbf").unwrap_or(content);
    let notes = reading.inputs.mapping_notes();
    let lines: Vec<&[u8]> = content.split(|byte| *byte == b'\n').collect();
    for row in &reading.rows {
        let Seen::Row { place, cells, .. } = row else { continue };
        let at = usize::try_from(place.line - 1).expect("a line");
        let line = std::str::from_utf8(lines[at]).expect("a row is UTF-8");
        let line = line.trim_end_matches(['\u{1a}', '\r', ' ', '\t', '\u{c}']);
        // A record separator may begin a line (RFC 7464).
        let line = line.trim_start_matches(['\u{feff}', ' ', '\t', '\u{c}']);
        let line = line.strip_prefix('\u{1e}').unwrap_or(line);
        let Members(members) =
            serde_json::from_str(line).unwrap_or_else(|error| panic!("line {}: {error}", place.line));
        for (at, (name, _)) in members.iter().enumerate() {
            assert!(!members[..at].iter().any(|(other, _)| other == name), "a member twice is no row");
        }
        for field in FieldKind::ALL {
            let names = notes.iter().filter(|note| note.field == field).map(|note| note.column.as_str());
            let names: Vec<&str> = names.collect();
            let found: Vec<_> = members.iter().filter(|(name, _)| names.contains(&name.as_str())).collect();
            let cell = cells[field.index()].as_deref();
            let mapped = options.columns.iter().any(|(mapped, _)| *mapped == field);
            match found.as_slice() {
                [] => assert!(cell.is_none() || mapped, "a cell from nowhere"),
                [(_, value)] if !mapped => agrees(cell, value, options),
                // Several claims, or one by pointer: which is the stronger is for the header's laws to say.
                _ => {}
            }
        }
    }
}

/// A cell is a string's content or a number's digits, to the last one.
fn agrees(cell: Option<&str>, value: &RawValue, options: &InputOptions) {
    let text = value.get();
    match text.as_bytes().first() {
        Some(b'"') => {
            let decoded: String = serde_json::from_str(text).expect("an accepted string can be decoded");
            assert_eq!(cell, Some(decoded.as_str()), "the string's content");
            assert!(!decoded.contains('\0'), "no NUL is accepted");
        }
        Some(b'n') => assert_eq!(cell, None, "null is absent"),
        Some(b'-' | b'0'..=b'9') => {
            assert_eq!(cell, Some(text), "the number's digits");
            if text.bytes().all(|byte| byte.is_ascii_digit())
                && options.unsafe_integers == UnsafeIntegers::Reject
            {
                let safe = text.parse::<u64>().is_ok_and(|value| value < 1 << 53);
                assert!(safe, "an integer that may have been rounded");
            }
        }
        _ => panic!("a value that is neither text nor number is no cell"),
    }
}
