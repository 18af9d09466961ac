//! Two spellings of one thing in a column: cards with and without check digit, classes and identifiers in other case.
//!
//! Memory is bounded by a sample that is chosen by the value itself, so that both spellings are in it or neither is.
//! Not here: what an alarm says and when one is in force (`columns.rs`).

use std::collections::HashMap;

use crate::row::Place;

use super::Tally;

/// Most values in a sample: all of a file with fewer, an even share of a longer one. 16 bytes each and the map's own.
const SAMPLE_MAX: usize = 16_384;
/// Most different classes that are kept. More than that are no classes of service.
const CLASSES_MAX: usize = 50;
/// Most kinds of Salesforce records in one column; other columns are no Salesforce ids.
const RECORD_KINDS_MAX: usize = 16;

/// A number from a value's bytes (FNV-1a, then mixed so that every bit counts). Not against an adversary: the worst
/// that a collision does is an alarm too many.
fn hash(bytes: impl Iterator<Item = u8>) -> u64 {
    let mut hash: u64 = 0xCBF2_9CE4_8422_2325;
    for byte in bytes {
        hash = (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01B3);
    }
    hash = (hash ^ (hash >> 33)).wrapping_mul(0xFF51_AFD7_ED55_8CCD);
    hash ^ (hash >> 33)
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

/// Cards whose number stands with and without its last digit.
#[derive(Debug, Default)]
pub(super) struct Cards {
    sample: Sample,
    found: Tally,
}

impl Cards {
    pub(super) fn observe(&mut self, place: Place, iccid: &str) {
        let (Some(body), form) = (iccid.get(..19), u64::from(iccid.len() == 20) + 1) else { return };
        if iccid.len() > 20 {
            return;
        }
        if let Some(forms) = self.sample.mark(hash(body.bytes()), form)
            && *forms & form == 0
        {
            *forms |= form;
            self.found.add(place);
        }
    }

    /// Cards in both forms.
    pub(super) fn prefixes(&self) -> Tally {
        self.found
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
    pub(super) fn observe(&mut self, place: Place, class: &str) {
        match self.seen.binary_search_by(|(seen, _)| seen.as_ref().cmp(class)) {
            Ok(index) => self.seen[index].1.count += 1,
            Err(_) if self.seen.len() >= CLASSES_MAX => self.many.add(place),
            Err(index) => {
                let tally = Tally { count: 1, first: Some(place) };
                self.seen.insert(index, (class.into(), tally));
            }
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

impl ExternalIds {
    pub(super) fn observe(&mut self, place: Place, id: &str) {
        let bytes = id.as_bytes();
        let folded = hash(bytes.iter().map(u8::to_ascii_lowercase));
        if folded.trailing_zeros() >= self.sample.bits {
            let exact = hash(bytes.iter().copied());
            if self.sample.mark(folded, exact).is_some_and(|mark| *mark != exact) {
                self.case.add(place);
            }
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
