//! Claims: which subject would hold which value in the end, as records that are brought together by value.
//!
//! Not here: what a value claimed twice means (`conflict.rs`, `shared.rs`), when claims are gathered (`phases.rs`).

use std::io;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::digest::FieldHash;
use crate::ledger::{FieldState, LedgerEntry};
use crate::update::{FIELD_COUNT, FieldKind, FieldSet};

use super::record::{PartData, RowRecord, array};
use super::rows::Rows;

/// Fields of which one value belongs to one subject.
pub(super) const EXCLUSIVE: FieldSet = FieldSet::EXCLUSIVE;

/// Fields whose values identify a subject or its device, so that a value many subjects share is a placeholder.
pub(super) const IDENTIFIERS: FieldSet =
    EXCLUSIVE.union(FieldSet::only(FieldKind::Imei)).union(FieldSet::only(FieldKind::Username));

/// Bytes of a claim.
pub(super) const CLAIM_BYTES: usize = 16;

/// Bytes of a pair.
pub(super) const PAIR_BYTES: usize = 24;

const ORDINAL_BITS: u32 = 44;
const ORDINAL_MASK: u128 = (1 << ORDINAL_BITS) - 1;
const PARTITION_BITS: u32 = 14;
const PARTITION_MASK: u128 = (1 << PARTITION_BITS) - 1;
const LIVE_SHIFT: u32 = ORDINAL_BITS + PARTITION_BITS;
const RELEASE_SHIFT: u32 = LIVE_SHIFT + 1;
const KIND_SHIFT: u32 = RELEASE_SHIFT + 1;

const _: () = assert!(KIND_SHIFT == 60 && FieldKind::ALL.len() < 16, "a claim is 16 bytes");

/// One claim: a value, and who claims it. Ordered by value: hash, then field; claims of one value by partition and row.
///
/// From the top: 64 bits of the value's hash, 4 of its field, 1 for whether it is a release (a subject that gives the
/// value up; behind all claims of the value), 1 for whether the claim is live, 14 of the partition its subject lies
/// in, 44 of the row that makes it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Claim(u128);

impl Claim {
    pub(super) fn new(
        kind: FieldKind,
        hash: FieldHash,
        partition: usize,
        ordinal: u64,
        is_live: bool,
    ) -> Claim {
        let partition = partition as u128;
        assert!(partition <= PARTITION_MASK, "there are far fewer partitions");
        // 17 tera-rows: an input of that size was not read.
        let ordinal = u128::from(ordinal) & ORDINAL_MASK;
        let low = (kind.index() as u128) << KIND_SHIFT
            | u128::from(is_live) << LIVE_SHIFT
            | partition << ORDINAL_BITS
            | ordinal;
        Claim(u128::from(hash.0) << 64 | low)
    }

    /// A subject gives a value up. Live when it is certain that it has it.
    pub(super) fn release(kind: FieldKind, release: Release, partition: usize, ordinal: u64) -> Claim {
        let Release { hash, is_certain } = release;
        Claim(Claim::new(kind, hash, partition, ordinal, is_certain).0 | 1 << RELEASE_SHIFT)
    }

    pub(super) fn is_release(self) -> bool {
        self.0 >> RELEASE_SHIFT & 1 == 1
    }

    pub(super) fn hash(self) -> FieldHash {
        FieldHash(low_u64(self.0 >> 64))
    }

    pub(super) fn kind(self) -> FieldKind {
        FieldKind::ALL[low_usize(self.0 >> KIND_SHIFT & 0xf)]
    }

    pub(super) fn ordinal(self) -> u64 {
        low_u64(self.0 & ORDINAL_MASK)
    }

    pub(super) fn partition(self) -> usize {
        low_usize(self.0 >> ORDINAL_BITS & PARTITION_MASK)
    }

    pub(super) fn is_live(self) -> bool {
        self.0 >> LIVE_SHIFT & 1 == 1
    }

    /// Whether two claims are about one value.
    pub(super) fn is_same_value(&self, other: &Claim) -> bool {
        self.0 >> KIND_SHIFT == other.0 >> KIND_SHIFT
    }

    pub(super) fn to_bytes(self) -> [u8; CLAIM_BYTES] {
        self.0.to_be_bytes()
    }

    pub(super) fn extend(claims: &mut Vec<Claim>, piece: &[u8]) {
        claims.extend(piece.chunks_exact(CLAIM_BYTES).map(|bytes| Claim(u128::from_be_bytes(array(bytes)))));
    }
}

/// One row's ICCID with its IMSI. Ordered by ICCID, then IMSI.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Pair {
    pub(super) iccid: FieldHash,
    pub(super) imsi: FieldHash,
    pub(super) ordinal: u64,
    pub(super) is_live: bool,
}

impl Pair {
    /// The pair of a row as it was read, if it has both.
    pub(super) fn of(row: &RowRecord, data: &PartData, is_live: bool) -> Option<Pair> {
        let (iccid, imsi) = (data.value(row, FieldKind::Iccid)?, data.value(row, FieldKind::Imsi)?);
        Some(Pair { iccid, imsi, ordinal: row.ordinal, is_live })
    }

    pub(super) fn to_bytes(self) -> [u8; PAIR_BYTES] {
        let mut bytes = [0; PAIR_BYTES];
        bytes[..8].copy_from_slice(&self.iccid.0.to_be_bytes());
        bytes[8..16].copy_from_slice(&self.imsi.0.to_be_bytes());
        bytes[16..].copy_from_slice(&(self.ordinal << 1 | u64::from(self.is_live)).to_be_bytes());
        bytes
    }

    pub(super) fn extend(pairs: &mut Vec<Pair>, piece: &[u8]) {
        pairs.extend(piece.chunks_exact(PAIR_BYTES).map(|bytes| {
            let [iccid, imsi, last] =
                [&bytes[..8], &bytes[8..16], &bytes[16..]].map(|bytes| u64::from_be_bytes(array(bytes)));
            let (iccid, imsi) = (FieldHash(iccid), FieldHash(imsi));
            Pair { iccid, imsi, ordinal: last >> 1, is_live: last & 1 == 1 }
        }));
    }
}

/// The value of the field that the row claims, [`FieldHash::CLEARED`] where it gives it up.
pub(super) fn claim_of(row: &RowRecord, data: &PartData, field: FieldKind) -> Option<FieldHash> {
    let claims = row.marks.has(super::record::Marks::PART) && row.present.contains(field);
    claims.then(|| data.hash(row, field))
}

/// What a subject claims of a field in the end.
#[derive(Debug, Clone, Copy)]
pub(super) struct LastClaim {
    pub(super) hash: FieldHash,
    /// The row that sets it.
    pub(super) ordinal: u64,
    /// Whether any row that sets this value would change something.
    pub(super) is_live: bool,
}

/// What the rows of a subject come to, field by field.
pub(super) struct Ends<'e> {
    entry: Option<&'e LedgerEntry>,
    /// What a subject sets or clears in the end.
    set: [Option<LastClaim>; FIELD_COUNT],
    /// What the first row that tells it says of the value before.
    old: [Option<FieldHash>; FIELD_COUNT],
}

impl<'e> Ends<'e> {
    /// Finds what becomes of these fields.
    pub(super) fn of(rows: &Rows<'_>, entry: Option<&'e LedgerEntry>, kinds: FieldSet) -> io::Result<Self> {
        let mut ends = Ends { entry, set: [None; FIELD_COUNT], old: [None; FIELD_COUNT] };
        rows.look_back(|row, data| {
            for kind in kinds.iter() {
                if let Some(hash) = claim_of(row, data, kind) {
                    let claim = LastClaim { hash, ordinal: row.ordinal, is_live: false };
                    let last = ends.set[kind.index()].get_or_insert(claim);
                    last.is_live |= row.is_live() && last.hash == hash;
                }
                let old = &mut ends.old[kind.index()];
                *old = data.old(row, kind).or(*old);
            }
        })?;
        Ok(ends)
    }

    /// The value that the subject claims in the end. Many subjects may clear a field: that is no claim.
    pub(super) fn last_claim(&self, field: FieldKind) -> Option<LastClaim> {
        self.set[field.index()].filter(|claim| claim.hash != FieldHash::CLEARED)
    }

    /// The value of a field that the subject held before this batch: as the ledger knows it, or else as its first row
    /// tells.
    pub(super) fn held_before(&self, field: FieldKind) -> Option<FieldHash> {
        known_before(self.entry, field).or(self.old[field.index()]).filter(|hash| *hash != FieldHash::CLEARED)
    }

    /// The values of a field that the subject gives up in the end: those it held before, where its rows set or clear
    /// the field.
    pub(super) fn released(&self, field: FieldKind) -> impl Iterator<Item = Release> + use<> {
        let set = self.set[field.index()].map(|claim| claim.hash);
        let certain = set.and_then(|_| self.held_before(field));
        let last = set.and_then(|_| self.entry?.last_known(field)).filter(|last| Some(*last) != certain);
        let releases = [(certain, true), (last, false)].into_iter();
        releases
            .filter_map(|(hash, is_certain)| hash.map(|hash| Release { hash, is_certain }))
            .filter(move |release| Some(release.hash) != set)
    }
}

/// The value that the ledger knows the subject to hold, [`FieldHash::CLEARED`] where it holds none.
pub(super) fn known_before(entry: Option<&LedgerEntry>, field: FieldKind) -> Option<FieldHash> {
    match entry?.field(field)?.state {
        FieldState::Known(hash) => Some(hash),
        FieldState::Unknown => None,
    }
}

/// A value that a subject gives up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Release {
    pub(super) hash: FieldHash,
    /// Whether it is known to have it, and not only to have had it before something that is in doubt.
    pub(super) is_certain: bool,
}

/// What a value in a [`Bloom`] is a value of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Slot(u8);

impl Slot {
    /// An ICCID that stands with an IMSI in its row.
    pub(super) const PAIR: Slot = Slot(15);

    /// A field that a subject claims.
    pub(super) const fn of(kind: FieldKind) -> Slot {
        Slot(kind as u8)
    }
}

/// A set of values that may take others for its own, and never misses one of its own.
#[derive(Debug)]
pub(super) struct Bloom {
    bits: Vec<AtomicU64>,
    mask: u64,
}

/// Bits that a value sets.
const PROBES: u32 = 4;

/// Bits per expected value: with four probes, two in a hundred others pass.
const BITS_PER_VALUE: u64 = 8;

const BLOOM_BITS_MIN: u64 = 1 << 12;

impl Bloom {
    /// An empty set for so many values, of at most so many bytes.
    pub(super) fn new(values: u64, bytes_max: u64) -> Bloom {
        let bits_max = (bytes_max.saturating_mul(8) / 2 + 1).next_power_of_two();
        let bits =
            values.saturating_mul(BITS_PER_VALUE).max(BLOOM_BITS_MIN).min(bits_max.max(BLOOM_BITS_MIN));
        let bits = bits.next_power_of_two();
        let words = usize::try_from(bits / 64).unwrap_or(usize::MAX);
        Bloom { bits: (0..words).map(|_| AtomicU64::new(0)).collect(), mask: bits - 1 }
    }

    pub(super) fn insert(&self, what: Slot, hash: FieldHash) {
        for (word, bit) in self.places(what, hash) {
            self.bits[word].fetch_or(bit, Ordering::Relaxed);
        }
    }

    pub(super) fn may_contain(&self, what: Slot, hash: FieldHash) -> bool {
        self.places(what, hash).all(|(word, bit)| self.bits[word].load(Ordering::Relaxed) & bit != 0)
    }

    /// Places of a value's bits: another set of them for each field.
    fn places(&self, what: Slot, hash: FieldHash) -> impl Iterator<Item = (usize, u64)> + use<> {
        let mixed = hash.0 ^ (u64::from(what.0) + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let start = (mixed ^ mixed >> 32).wrapping_mul(0xd6e8_feb8_6659_fd93);
        let step = (start ^ start >> 32).wrapping_mul(0xc2b2_ae3d_27d4_eb4f) | 1;
        let mask = self.mask;
        (0..PROBES).map(move |probe| {
            let at = start.wrapping_add(step.wrapping_mul(u64::from(probe))) >> 16 & mask;
            (usize::try_from(at / 64).unwrap_or_default(), 1 << (at % 64))
        })
    }
}

#[expect(clippy::cast_possible_truncation, reason = "the caller has masked or shifted the upper half away")]
const fn low_u64(value: u128) -> u64 {
    value as u64
}

/// Of a value of which the caller has masked all but a few bits away.
fn low_usize(value: u128) -> usize {
    usize::try_from(value).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_claim_keeps_all_it_was_made_of() {
        for (kind, hash, partition, ordinal, is_live) in [
            (FieldKind::Number, 1, 0, 1, true),
            (FieldKind::UserClass, u64::MAX - 1, 1023, (1 << ORDINAL_BITS) - 1, false),
            (FieldKind::Imsi, 1 << 63, 16_383, 77, true),
        ] {
            let claim = Claim::new(kind, FieldHash(hash), partition, ordinal, is_live);
            let mut read = Vec::new();
            Claim::extend(&mut read, &claim.to_bytes());
            assert_eq!(read, [claim]);
            assert_eq!((claim.kind(), claim.hash().0, claim.partition()), (kind, hash, partition));
            assert_eq!((claim.ordinal(), claim.is_live()), (ordinal, is_live));
        }
        let claim = |kind, live| Claim::new(kind, FieldHash(7), 3, 9, live);
        let given_up = |is_certain| Release { hash: FieldHash(7), is_certain };
        let release = Claim::release(FieldKind::Imsi, given_up(true), 3, 9);
        let uncertain = Claim::release(FieldKind::Imsi, given_up(false), 3, 9);
        assert!(release.is_live() && uncertain.is_release() && !uncertain.is_live());
        assert!(release.is_release() && !claim(FieldKind::Imsi, true).is_release());
        assert!(
            release.is_same_value(&claim(FieldKind::Imsi, false)) && release > claim(FieldKind::Imsi, true)
        );
        assert_eq!((release.kind(), release.partition(), release.ordinal()), (FieldKind::Imsi, 3, 9));
        assert!(claim(FieldKind::Imsi, true).is_same_value(&claim(FieldKind::Imsi, false)));
        assert!(!claim(FieldKind::Imsi, true).is_same_value(&claim(FieldKind::Iccid, true)));
    }

    #[test]
    fn a_pair_keeps_all_it_was_made_of() {
        let pair =
            Pair { iccid: FieldHash(1), imsi: FieldHash(u64::MAX - 1), ordinal: 1 << 40, is_live: true };
        let mut read = Vec::new();
        Pair::extend(&mut read, &pair.to_bytes());
        assert_eq!(read, [pair]);
    }

    #[test]
    fn a_filter_misses_none_of_its_own_and_passes_few_others() {
        let bloom = Bloom::new(10_000, 1 << 20);
        let hash = |value: u64| FieldHash(value.wrapping_mul(0x5851_f42d_4c95_7f2d) ^ value << 40);
        (0..10_000).for_each(|value| bloom.insert(Slot::of(FieldKind::Imsi), hash(value)));
        assert!((0..10_000).all(|value| bloom.may_contain(Slot::of(FieldKind::Imsi), hash(value))));
        let others = (10_000..20_000)
            .filter(|value| bloom.may_contain(Slot::of(FieldKind::Imsi), hash(*value)))
            .count();
        let fields =
            (0..10_000).filter(|value| bloom.may_contain(Slot::of(FieldKind::Iccid), hash(*value))).count();
        assert!(others < 1_000 && fields < 1_000, "{others} {fields}");
        assert!(!Bloom::new(0, 0).may_contain(Slot::of(FieldKind::Imsi), hash(1)));
    }
}
