//! Texts on one line, in one spelling, and what it takes to find one within another whatever its case.
//!
//! Pure. Not here: what is looked for, and what becomes of it (`signature.rs`).

/// Longest character reference of HTML that is read, from `&` to `;`, in bytes.
const REFERENCE_BYTES_MAX: usize = 10;

/// Bytes of an escape of JSON: `\u00e9`.
const ESCAPE_BYTES: usize = 6;

/// One line: white space and control characters become single spaces; characters without a shape, which could hide a
/// value from the mask or turn a terminal's text around, are dropped; escapes of JSON and character references of
/// HTML are read, as often as the text was escaped. What comes out has none of them left.
pub(super) fn plain(text: &str) -> String {
    let mut line = String::with_capacity(text.len());
    for c in text.chars() {
        push(&mut line, c);
    }
    line.truncate(line.trim_end().len());
    line
}

/// Every step shortens what is left of the text, so that this ends.
fn push(line: &mut String, c: char) {
    if c.is_whitespace() || c.is_control() {
        if !line.is_empty() && !line.ends_with(' ') {
            line.push(' ');
        }
        return;
    }
    if is_shapeless(c) {
        return;
    }
    line.push(c);
    let escape = match c {
        '/' | '\\' | '"' | '\'' if line[..line.len() - 1].ends_with('\\') => Some((2, c)),
        ';' => reference_at_end(line),
        _ if c.is_ascii_hexdigit() => escape_at_end(line),
        _ => None,
    };
    if let Some((bytes, meant)) = escape {
        line.truncate(line.len() - bytes);
        push(line, meant);
    }
}

/// `\u00e9` at the end, or the two of them that are one character; the first of two waits for the second.
fn escape_at_end(line: &str) -> Option<(usize, char)> {
    let unit = unit_at_end(line)?;
    let Some(meant) = char::from_u32(unit) else {
        let before = unit_at_end(&line[..line.len() - ESCAPE_BYTES])?;
        let is_pair = (0xd800..0xdc00).contains(&before) && (0xdc00..0xe000).contains(&unit);
        let meant = is_pair.then(|| 0x10000 + ((before - 0xd800) << 10) + (unit - 0xdc00))?;
        return Some((2 * ESCAPE_BYTES, char::from_u32(meant)?));
    };
    Some((ESCAPE_BYTES, meant))
}

/// The code unit of the escape that a text ends with.
fn unit_at_end(line: &str) -> Option<u32> {
    let digits = line.get(line.len().checked_sub(ESCAPE_BYTES)?..)?.strip_prefix("\\u")?;
    let is_hex = digits.bytes().all(|digit| digit.is_ascii_hexdigit());
    is_hex.then(|| u32::from_str_radix(digits, 16).ok())?
}

/// `&#39;`, `&#x27;` or `&amp;` at the end.
fn reference_at_end(line: &str) -> Option<(usize, char)> {
    let begin = line.rfind('&').filter(|begin| line.len() - begin <= REFERENCE_BYTES_MAX)?;
    let name = &line[begin + 1..line.len() - 1];
    let meant = match name {
        "amp" => '&',
        "lt" => '<',
        "gt" => '>',
        "quot" => '"',
        "apos" => '\'',
        _ => {
            let number = name.strip_prefix('#')?;
            let code = match number.strip_prefix(['x', 'X']) {
                Some(hex) => u32::from_str_radix(hex, 16),
                None => number.parse(),
            };
            char::from_u32(code.ok()?)?
        }
    };
    Some((line.len() - begin, meant))
}

fn is_shapeless(c: char) -> bool {
    matches!(c,
        '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
        | '\u{2060}'..='\u{206f}' | '\u{fe00}'..='\u{fe0f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}'
        | '\u{e0000}'..='\u{e0fff}')
}

/// A text without regard to case: character by character, so that parts of a text are parts of it here, too.
pub(super) fn folded(text: &str) -> String {
    if text.is_ascii() { text.to_ascii_lowercase() } else { text.chars().flat_map(fold).collect() }
}

/// By way of upper case: the letters of one that have several lower cases become one.
fn fold(c: char) -> impl Iterator<Item = char> {
    c.to_uppercase().flat_map(char::to_lowercase)
}

/// A text to be searched without regard to case, and where each character of it stands.
pub(super) struct Searched {
    /// Bytes of the text.
    len: usize,
    folded: String,
    /// Where characters begin in both, and both ends; empty where they begin at the same places.
    places: Vec<(usize, usize)>,
}

impl Searched {
    pub(super) fn new(text: &str) -> Searched {
        let mut searched = Searched { len: text.len(), folded: folded(text), places: Vec::new() };
        if !text.is_ascii() {
            let mut at = 0;
            for (begin, c) in text.char_indices() {
                searched.places.push((at, begin));
                at += fold(c).map(char::len_utf8).sum::<usize>();
            }
            searched.places.push((at, text.len()));
        }
        searched
    }

    /// The first place, at or behind that of a character, of a text that is [`folded`]: where it begins and ends, in
    /// whole characters.
    pub(super) fn find(&self, value: &str, from: usize) -> Option<(usize, usize)> {
        let from = self.place_in_folded(from);
        let found = from + self.folded[from..].find(value)?;
        Some((self.place_in_text(found, false), self.place_in_text(found + value.len(), true)))
    }

    fn place_in_folded(&self, at: usize) -> usize {
        match self.places.binary_search_by_key(&at, |(_, begin)| *begin) {
            Ok(found) => self.places[found].0,
            Err(_) => at,
        }
    }

    /// Of a place within what a character has become, where that character begins or ends.
    fn place_in_text(&self, at: usize, is_end: bool) -> usize {
        match self.places.binary_search_by_key(&at, |(folded, _)| *folded) {
            Ok(found) => self.places[found].1,
            Err(_) if self.places.is_empty() => at,
            Err(next) if is_end => self.places.get(next).map_or(self.len, |place| place.1),
            Err(next) => self.places[next.saturating_sub(1)].1,
        }
    }
}
