//! Signatures: a server's complaint with everything that belongs to one row masked, so that equal complaints are
//! equal text and no value leaves this room.
//!
//! Pure. Not here: spellings and cases (`signature/plain.rs`), finding the complaint in a body (`complaint.rs`),
//! counting signatures (`stats.rs`).

mod plain;

use self::plain::{Searched, folded, plain};
use crate::ledger::SIGNATURE_BYTES_MAX;
use crate::update::{FieldKind, Fields};

/// Bytes of a complaint that are looked at.
const COMPLAINT_BYTES_MAX: usize = 4096;

/// A longer word is no word but a value: a token, a hash, an encoded blob.
const WORD_BYTES_MAX: usize = 24;

/// A value shorter than this is masked only where it stands as a word: replacing every `a` of a sentence because
/// the row's class is `a` would hide nothing and tear equal complaints apart.
const SHORT_BYTES_MAX: usize = 3;

/// Times as many bytes as a folded character's its other case may have: the Kelvin sign has three.
const UNFOLDED_BYTES_MAX: usize = 3;

/// What stands for a masked value.
const MASKED: &str = "#";

/// Fields whose values may be a person's name or a credential, of which a server may quote a part.
const IN_PARTS: [FieldKind; 4] =
    [FieldKind::GenericId, FieldKind::Username, FieldKind::Password, FieldKind::UserExternalId];

/// Characters of a part that is masked: of shorter ones nobody could tell whose they are.
const PART_CHARS_MIN: usize = 2;

/// What is to be masked in texts about one request: the values of its row, and its token.
#[derive(Clone, Default)]
pub struct Mask {
    /// As [`plain`] and [`folded`] leave them, the longest first.
    values: Vec<String>,
    /// Words of values that may be quoted in part, folded.
    parts: Vec<String>,
}

impl Mask {
    /// Masks a request's own values and its token.
    pub fn new(sent: &Fields, token: Option<&str>) -> Mask {
        Mask::with_unsent(sent, None, token)
    }

    /// Masks a request's own values, those of its row that the server knows already, and its token.
    pub fn with_unsent(sent: &Fields, unsent: Option<&Fields>, token: Option<&str>) -> Mask {
        let fields = || sent.iter().chain(unsent.into_iter().flat_map(Fields::iter));
        let mut values: Vec<String> = fields()
            .map(|(_, value)| value)
            .chain(token)
            .map(|value| folded(&plain(value)))
            .filter(|value| value.chars().any(|c| c != '#' && c != ' '))
            .collect();
        // The longest first: a user name may contain the number, and its rest must not be left standing.
        values.sort_by(|a, b| b.len().cmp(&a.len()).then_with(|| a.cmp(b)));
        values.dedup();
        let in_parts = fields().filter(|(kind, _)| IN_PARTS.contains(kind)).map(|(_, value)| value);
        let mut parts: Vec<String> = in_parts.chain(token).flat_map(parts).collect();
        parts.sort_unstable();
        parts.dedup();
        Mask { values, parts }
    }

    /// The text on one line, without control characters, with the request's own values masked and nothing else:
    /// what a rule about the wording of a complaint may look at.
    pub(super) fn own_values(&self, text: &str) -> String {
        let mut text = plain(text);
        let is_cut = text.len() > COMPLAINT_BYTES_MAX;
        cut(&mut text, COMPLAINT_BYTES_MAX);
        // Masking one value can bring the parts of another together; every round leaves fewer characters to mask.
        loop {
            let masked = self.values.iter().fold(text.clone(), |text, value| replace(&text, value, false));
            let masked = self.parts.iter().fold(masked, |text, part| replace(&text, part, true));
            if masked == text {
                break;
            }
            text = masked;
        }
        if is_cut {
            // What was cut through is no longer to be known: the place where it may begin is the new end.
            let longest = self.values.first().map_or(0, String::len).max(WORD_BYTES_MAX);
            let end = text.len().saturating_sub(longest * UNFOLDED_BYTES_MAX);
            cut(&mut text, end);
        }
        text
    }

    /// One line of words that come from this machine's own libraries: only the request's own values are masked.
    pub(super) fn line(&self, text: &str) -> String {
        let mut line = self.own_values(text);
        cut(&mut line, SIGNATURE_BYTES_MAX);
        line
    }

    /// The text with the request's own values, quoted text, and everything that looks like a value masked.
    fn all(&self, text: &str) -> String {
        let mut text = self.own_values(text);
        loop {
            let masked = self.own_values(&collapsed(&words(&quoted(&text))));
            if masked == text {
                return text;
            }
            text = masked;
        }
    }
}

/// The words of a value, in its own spelling and in the one that a complaint is read in; not those that name a field.
fn parts(value: &str) -> Vec<String> {
    let spellings = [value.to_owned(), plain(value)];
    let words = spellings.iter().flat_map(|value| value.split(|c: char| !c.is_alphanumeric()));
    let words = words.filter(|word| word.chars().count() >= PART_CHARS_MIN).map(folded);
    words.filter(|word| FieldKind::from_name(word).is_none()).collect()
}

/// Shows how many values are masked, never one of them.
impl std::fmt::Debug for Mask {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Mask({} values)", self.values.len())
    }
}

/// The signature of a complaint: the status, then the masked text, at most [`SIGNATURE_BYTES_MAX`] bytes.
pub fn signature(status: u16, complaint: &str, mask: &Mask) -> String {
    let text = masked_line(complaint, mask);
    let mut signature = format!("{status} {}", if text.is_empty() { "no explanation" } else { &text });
    cut(&mut signature, SIGNATURE_BYTES_MAX);
    signature
}

/// One masked line, at most [`SIGNATURE_BYTES_MAX`] bytes; empty when nothing is said.
pub(super) fn masked_line(text: &str, mask: &Mask) -> String {
    let mut text = mask.all(text);
    cut(&mut text, SIGNATURE_BYTES_MAX);
    let end = text.trim_end_matches(['.', ' ', ':', ';', ',', '!']).len();
    text.truncate(end);
    text
}

/// Cuts at a space, so that no rest of a word is left that would read as another word.
fn cut(text: &mut String, bytes_max: usize) {
    if text.len() > bytes_max {
        let end = (0..=bytes_max).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0);
        let end = if text[end..].starts_with(' ') { end } else { text[..end].rfind(' ').unwrap_or(0) };
        text.truncate(end);
    }
}

/// Replaces a value, given [`folded`], wherever it stands in whatever case; a part and what is short, where it stands
/// alone.
fn replace(text: &str, value: &str, is_part: bool) -> String {
    let searched = Searched::new(text);
    let mut replaced = String::with_capacity(text.len());
    let mut copied = 0;
    let mut from = 0;
    while let Some((at, end)) = searched.find(value, from) {
        if !is_part && value.len() > SHORT_BYTES_MAX || stands_alone(text, at, end) {
            replaced.push_str(&text[copied..at]);
            replaced.push_str(MASKED);
            copied = end;
            from = end;
        } else {
            from = at + text[at..].chars().next().map_or(1, char::len_utf8);
        }
    }
    replaced.push_str(&text[copied..]);
    replaced
}

fn stands_alone(text: &str, at: usize, end: usize) -> bool {
    let before = text[..at].chars().next_back();
    let after = text[end..].chars().next();
    !before.is_some_and(char::is_alphanumeric) && !after.is_some_and(char::is_alphanumeric)
}

/// Masks quoted text, but for names of fields, which lose their quotes. An open quote masks all that follows.
fn quoted(text: &str) -> String {
    let mut masked = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        let inside = &rest[c.len_utf8()..];
        let Some(close) = closing_quote(c, masked.chars().next_back()) else {
            masked.push(c);
            rest = inside;
            continue;
        };
        let end = inside.char_indices().find(|(at, mark)| {
            let after = inside[at + mark.len_utf8()..].chars().next();
            // An apostrophe within a word closes nothing.
            *mark == close && (close == '"' || !after.is_some_and(char::is_alphanumeric))
        });
        let (content, after) = match end {
            Some((at, mark)) => (&inside[..at], &inside[at + mark.len_utf8()..]),
            None => (inside, ""),
        };
        let is_field = FieldKind::from_name(content).is_some();
        masked.push_str(if is_field { content } else { MASKED });
        rest = after;
    }
    masked
}

fn closing_quote(open: char, before: Option<char>) -> Option<char> {
    // Behind a word, or what is left of one, stands an apostrophe.
    let begins = !before.is_some_and(|c| c.is_alphanumeric() || c == '#');
    match open {
        '"' => Some('"'),
        '\u{201c}' | '\u{201e}' => Some('\u{201d}'),
        '\u{ab}' => Some('\u{bb}'),
        '\'' | '`' if begins => Some(open),
        '\u{2018}' if begins => Some('\u{2019}'),
        _ => None,
    }
}

/// Masks every word that looks like a value: with a digit, an `@` or a dot within, or too long to be a word.
fn words(text: &str) -> String {
    let mut masked = String::with_capacity(text.len());
    let mut word_begin = None;
    for (at, c) in text.char_indices().chain([(text.len(), ' ')]) {
        let belongs = c.is_alphanumeric() || matches!(c, '_' | '-' | '.' | '@' | '+' | '/' | '$' | '%' | '*');
        match (word_begin, belongs) {
            (None, true) => word_begin = Some(at),
            (Some(_), true) => {}
            (Some(begin), false) => {
                push_word(&mut masked, &text[begin..at]);
                word_begin = None;
            }
            (None, false) => {}
        }
        if !belongs && at < text.len() {
            masked.push(c);
        }
    }
    masked
}

fn push_word(masked: &mut String, word: &str) {
    let core = word.trim_end_matches(['.', '-']);
    let is_value = core.chars().any(|c| c.is_numeric() || c == '@')
        || core.trim_start_matches('.').contains('.')
        || core.len() > WORD_BYTES_MAX;
    if is_value {
        masked.push_str(MASKED);
        masked.push_str(&word[core.len()..]);
    } else {
        masked.push_str(word);
    }
}

/// A run of masks, as a number written in groups leaves it, becomes one.
fn collapsed(text: &str) -> String {
    let mut collapsed = String::with_capacity(text.len());
    for c in text.chars() {
        collapsed.push(c);
        for run in ["##", "# #", "#-#"] {
            if collapsed.ends_with(run) {
                collapsed.truncate(collapsed.len() - run.len() + 1);
            }
        }
    }
    collapsed
}

#[cfg(test)]
mod tests;
