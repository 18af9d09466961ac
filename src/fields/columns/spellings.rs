//! Two spellings of one thing in a column: cards with and without check digit, classes and identifiers in other case.
//!
//! Memory is bounded by a sample that is chosen by the value itself, so that both spellings are in it or neither is.
//! Rows are noted wherever they are checked (the `…Notes`), stretch by stretch; the notes are taken over in the order
//! of the rows, with the same outcome as row by row. Not here: what an alarm says and when one is in force
//! (`columns.rs`).

use std::collections::HashMap;

use crate::row::Place;

use super::{Tally, shifted};

/// Most values in a sample: all of a file with fewer, an even share of a longer one. 16 bytes each and the map's own.
const SAMPLE_MAX: usize = 16_384;
/// Most different classes that are kept. More than that are no classes of service.
const CLASSES_MAX: usize = 50;
/// Most kinds of Salesforce records in one column; other columns are no Salesforce ids.
const RECORD_KINDS_MAX: usize = 16;

/// A number from a value's bytes, taken eight at a time (FNV-1a otherwise) and mixed so that every bit counts. Not
/// against an adversary: the worst that a collision does is an alarm too many.
fn hash(bytes: &[u8]) -> u64 {
    let mix = |hash: u64| {
        let hash = (hash ^ (hash >> 33)).wrapping_mul(0xFF51_AFD7_ED55_8CCD);
        hash ^ (hash >> 33)
    };
    let (words, rest) = bytes.as_chunks::<8>();
    let mut last = [0; 8];
    last[..rest.len()].copy_from_slice(rest);
    let seed = 0xCBF2_9CE4_8422_2325 ^ u64::try_from(bytes.len()).unwrap_or(u64::MAX);
    let words = words.iter().chain(std::iter::once(&last));
    words.fold(seed, |hash, word| mix(hash ^ u64::from_le_bytes(*word)))
}

/// The hash of a value, whatever the case of its letters.
fn hash_folded(bytes: &[u8]) -> u64 {
    const AT_ONCE: usize = 64;
    // All of them are looked at, many at once: stopping at the first would take one after the other.
    if !bytes.iter().fold(false, |is_any, byte| is_any | byte.is_ascii_uppercase()) {
        return hash(bytes);
    }
    let mut folded = [0; AT_ONCE];
    match folded.get_mut(..bytes.len()) {
        Some(room) => {
            room.copy_from_slice(bytes);
            room.make_ascii_lowercase();
            hash(room)
        }
        None => hash(&bytes.to_ascii_lowercase()),
    }
}

/// A mark per value, for an even sample of all values.
#[derive(Debug, Default)]
struct Sample {
    marks: HashMap<u64, u64>,
    /// So many of the hash's last bits are zero in the sample.
    bits: u32,
}

impl Sample {
    /// The mark of a value that is in the sample, `mark` if it is new there.
    fn mark(&mut self, hash: u64, mark: u64) -> Option<&mut u64> {
        if hash.trailing_zeros() < self.bits {
            return None;
        }
        if self.marks.len() >= SAMPLE_MAX && !self.marks.contains_key(&hash) {
            self.bits += 1;
            let bits = self.bits;
            self.marks.retain(|hash, _| hash.trailing_zeros() >= bits);
            if hash.trailing_zeros() < bits {
                return None;
            }
        }
        Some(self.marks.entry(hash).or_insert(mark))
    }
}

/// A value that may be in a sample.
#[derive(Debug, Clone, Copy)]
struct Marked {
    place: Place,
    hash: u64,
    mark: u64,
}

/// Cards of a stretch of rows.
#[derive(Debug, Default)]
pub(super) struct CardNotes {
    marked: Vec<Marked>,
    /// The sample had so many bits already; it will not have fewer.
    bits: u32,
}

impl CardNotes {
    pub(super) fn observe(&mut self, place: Place, iccid: &str) {
        let (Some(body), mark) = (iccid.get(..19), u64::from(iccid.len() == 20) + 1) else { return };
        if iccid.len() > 20 {
            return;
        }
        let hash = hash(body.as_bytes());
        if hash.trailing_zeros() >= self.bits {
            self.marked.push(Marked { place, hash, mark });
        }
    }
}

/// Cards whose number stands with and without its last digit.
#[derive(Debug, Default)]
pub(super) struct Cards {
    sample: Sample,
    found: Tally,
}

impl Cards {
    /// Takes over the notes of the rows that come next, whose ordinals are `shift` lower than they should be.
    pub(super) fn take(&mut self, notes: &mut CardNotes, shift: u64) {
        for Marked { place, hash, mark: form } in notes.marked.drain(..) {
            if let Some(forms) = self.sample.mark(hash, form)
                && *forms & form == 0
            {
                *forms |= form;
                self.found.add(shifted(place, shift));
            }
        }
        notes.bits = self.sample.bits;
    }

    /// Cards in both forms.
    pub(super) fn prefixes(&self) -> Tally {
        self.found
    }
}

/// Classes of a stretch of rows.
#[derive(Debug, Default)]
pub(super) struct ClassNotes {
    /// In the order in which they appeared.
    seen: Vec<(Box<str>, Tally)>,
    /// Values of further classes, row by row.
    beyond: Vec<(Box<str>, Place)>,
}

impl ClassNotes {
    pub(super) fn observe(&mut self, place: Place, class: &str) {
        // They are few, and most differ in length already.
        match self.seen.iter().position(|(seen, _)| seen.as_ref() == class) {
            Some(index) => self.seen[index].1.add(place),
            None if self.seen.len() >= CLASSES_MAX => self.beyond.push((class.into(), place)),
            None => self.seen.push((class.into(), Tally::of(place))),
        }
    }
}

/// The classes of a column, as long as they may be classes.
#[derive(Debug, Default)]
pub(super) struct Classes {
    /// In order of their names.
    seen: Vec<(Box<str>, Tally)>,
    many: Tally,
}

impl Classes {
    /// Takes over the notes of the rows that come next, whose ordinals are `shift` lower than they should be.
    pub(super) fn take(&mut self, notes: &mut ClassNotes, shift: u64) {
        // Which classes are kept hangs on the order in which they appeared.
        for (class, tally) in notes.seen.drain(..) {
            self.note(class, tally.shifted(shift));
        }
        for (class, place) in notes.beyond.drain(..) {
            self.note(class, Tally::of(shifted(place, shift)));
        }
    }

    fn note(&mut self, class: Box<str>, tally: Tally) {
        match self.seen.binary_search_by(|(seen, _)| seen.cmp(&class)) {
            Ok(index) => self.seen[index].1.merge(tally),
            Err(_) if self.seen.len() >= CLASSES_MAX => self.many.merge(tally),
            Err(index) => self.seen.insert(index, (class, tally)),
        }
    }

    /// Values beyond the most classes that are believed.
    pub(super) fn many(&self) -> Tally {
        self.many
    }

    /// Values whose class is written otherwise more often.
    pub(super) fn case(&self) -> Tally {
        let mut usual: HashMap<String, Tally> = HashMap::new();
        let mut rest = Tally::default();
        for (class, tally) in &self.seen {
            let best = usual.entry(class.to_lowercase()).or_default();
            let rarer = if tally.count > best.count { std::mem::replace(best, *tally) } else { *tally };
            if rarer.count > 0 {
                rest.count += rarer.count;
                rest.first = [rest.first, rarer.first].into_iter().flatten().min();
            }
        }
        rest
    }
}

/// How a GUID may be written: bare or braced, in lower, upper or mixed case.
const GUID_STYLES: usize = 6;

/// Identifiers of a stretch of rows.
#[derive(Debug, Default)]
pub(super) struct ExternalIdNotes {
    marked: Vec<Marked>,
    /// As in [`CardNotes`].
    bits: u32,
    guids: [Tally; GUID_STYLES],
    salesforce: Vec<RecordKind>,
    /// Salesforce ids of further kinds, row by row: their prefix, form and place.
    beyond: Vec<([u8; 3], usize, Place)>,
}

/// The identifiers of a column.
#[derive(Debug, Default)]
pub(super) struct ExternalIds {
    sample: Sample,
    case: Tally,
    guids: [Tally; GUID_STYLES],
    salesforce: Vec<RecordKind>,
}

/// One kind of Salesforce record: ids begin with its three characters.
#[derive(Debug)]
struct RecordKind {
    prefix: [u8; 3],
    /// Ids of 15 characters, and of 18.
    forms: [Tally; 2],
}

impl ExternalIdNotes {
    pub(super) fn observe(&mut self, place: Place, id: &str) {
        let bytes = id.as_bytes();
        let folded = hash_folded(bytes);
        if folded.trailing_zeros() >= self.bits {
            let mark = hash(bytes);
            self.marked.push(Marked { place, hash: folded, mark });
        }
        match bytes.len() {
            36 | 38 => {
                if let Some(style) = guid_style(bytes) {
                    self.guids[style].add(place);
                }
            }
            15 => self.observe_record(place, bytes, 0),
            18 if has_salesforce_suffix(bytes) => self.observe_record(place, bytes, 1),
            _ => {}
        }
    }

    fn observe_record(&mut self, place: Place, bytes: &[u8], form: usize) {
        let Some(prefix) = bytes.first_chunk::<3>() else { return };
        if !bytes.iter().all(u8::is_ascii_alphanumeric) {
            return;
        }
        if let Some(kind) = self.salesforce.iter_mut().find(|kind| kind.prefix == *prefix) {
            kind.forms[form].add(place);
        } else if self.salesforce.len() < RECORD_KINDS_MAX {
            let mut kind = RecordKind { prefix: *prefix, forms: [Tally::default(); 2] };
            kind.forms[form].add(place);
            self.salesforce.push(kind);
        } else {
            self.beyond.push((*prefix, form, place));
        }
    }
}

impl ExternalIds {
    /// Takes over the notes of the rows that come next, whose ordinals are `shift` lower than they should be.
    pub(super) fn take(&mut self, notes: &mut ExternalIdNotes, shift: u64) {
        for Marked { place, hash, mark: exact } in notes.marked.drain(..) {
            if self.sample.mark(hash, exact).is_some_and(|mark| *mark != exact) {
                self.case.add(shifted(place, shift));
            }
        }
        notes.bits = self.sample.bits;
        for (style, tally) in self.guids.iter_mut().zip(&mut notes.guids) {
            style.merge(std::mem::take(tally).shifted(shift));
        }
        for kind in notes.salesforce.drain(..) {
            self.note_record(kind.prefix, kind.forms.map(|form| form.shifted(shift)));
        }
        for (prefix, form, place) in notes.beyond.drain(..) {
            let mut forms = [Tally::default(); 2];
            forms[form] = Tally::of(shifted(place, shift));
            self.note_record(prefix, forms);
        }
    }

    fn note_record(&mut self, prefix: [u8; 3], forms: [Tally; 2]) {
        if let Some(kind) = self.salesforce.iter_mut().find(|kind| kind.prefix == prefix) {
            for (known, form) in kind.forms.iter_mut().zip(forms) {
                known.merge(form);
            }
        } else if self.salesforce.len() < RECORD_KINDS_MAX {
            self.salesforce.push(RecordKind { prefix, forms });
        }
    }

    /// Identifiers that were seen before in other case.
    pub(super) fn case(&self) -> Tally {
        self.case
    }

    /// Salesforce ids in the rarer form of their kind.
    pub(super) fn salesforce_mix(&self) -> Tally {
        let rarer = |kind: &RecordKind| kind.forms.into_iter().min_by_key(|form| form.count);
        sum(self.salesforce.iter().filter_map(rarer))
    }

    /// GUIDs that are not in the column's usual style.
    pub(super) fn guid_mix(&self) -> Tally {
        let usual = (0..GUID_STYLES).max_by_key(|style| self.guids[*style].count);
        let others = self.guids.iter().enumerate().filter(|(style, _)| Some(*style) != usual);
        sum(others.map(|(_, tally)| *tally))
    }
}

fn sum(tallies: impl Iterator<Item = Tally>) -> Tally {
    tallies.fold(Tally::default(), |sum, tally| Tally {
        count: sum.count + tally.count,
        first: [sum.first, tally.first].into_iter().flatten().min(),
    })
}

/// The style of a GUID (RFC 9562 clause 4); `None` for anything else, and for one without a letter, which shows none.
fn guid_style(bytes: &[u8]) -> Option<usize> {
    let bare = bytes.strip_prefix(b"{").and_then(|rest| rest.strip_suffix(b"}")).unwrap_or(bytes);
    let is_guid = bare.len() == 36
        && bare.iter().enumerate().all(|(at, byte)| match at {
            8 | 13 | 18 | 23 => *byte == b'-',
            _ => byte.is_ascii_hexdigit(),
        });
    if !is_guid {
        return None;
    }
    let case = match (bare.iter().any(u8::is_ascii_lowercase), bare.iter().any(u8::is_ascii_uppercase)) {
        (true, false) => 0,
        (false, true) => 1,
        (true, true) => 2,
        (false, false) => return None,
    };
    Some(case + if bare.len() == bytes.len() { 0 } else { 3 })
}

/// Whether the last three of 18 characters are those that tell the case of the first fifteen: a bit for every
/// upper-case letter, five to a character.
fn has_salesforce_suffix(bytes: &[u8]) -> bool {
    const ALPHABET: &[u8; 32] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ012345";
    let Some((id, suffix)) = bytes.split_at_checked(15) else { return false };
    id.chunks(5).zip(suffix).all(|(chunk, mark)| {
        let bits = chunk.iter().rev().fold(0, |bits, byte| bits * 2 + usize::from(byte.is_ascii_uppercase()));
        ALPHABET.get(bits).is_some_and(|expected| expected.eq_ignore_ascii_case(mark))
    })
}
