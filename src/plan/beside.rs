//! What few rows have beside their ruling: fields that are not sent, another version, refusals, what they share.
//!
//! Kept in blocks of neighboring ordinals, in memory or beyond, and read back block by block with the last few at
//! hand: pass 2 asks in file order. Not here: the rulings (`dispositions.rs`).

use std::io;
use std::sync::{Arc, Mutex, PoisonError};

use crate::digest::UpdateDigest;
use crate::ledger::{FailureKind, Refusal};
use crate::row::Version;
use crate::update::FieldSet;

use super::record::array;
use super::shared::SharedKind;
use super::space::{Partitions, Space};

/// Rows of a block, as a power of two.
const BLOCK_BITS: u32 = 16;

/// Blocks at hand: whoever asks goes through the file from its beginning to its end.
const BLOCKS_CACHED: usize = 2;

/// Bytes of a record that has neither a refusal nor a chain: none is shorter.
const FIXED_BYTES: usize = 4 + 8 + 4 + 2 + 2 + 2 + 1 + 1;

/// Of what a row shares, the bit that says that its wave, its swap, what it is linked with and what is cleared first
/// follow.
const CHAIN_FOLLOWS: u8 = 0x80;

/// With it, the bit that says that the row confirms what it has left.
const CONFIRMS: u8 = 0x40;

/// With it, the bit that says that the version of an update in doubt follows.
const SETTLES: u8 = 0x20;

/// How an update hangs together with those of other subjects: it takes what they give up, or they what it does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Linked {
    /// Ordinal of a row that carries an update it waits for, of those that are sent last; 0 for none.
    pub waits_for: u64,
    /// Number of the group of all that are linked, in whatever way, with each other; 0 for none.
    pub group: u32,
    /// Number of the ring it is part of, where that is broken by a clear; 0 for none.
    pub ring: u32,
    /// With it, updates in the ring.
    pub ring_rows: u32,
}

/// What a row has beside its ruling.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Beside {
    /// Fields that are not sent because an acknowledgement, an intent or a row with a newer version has set them. Told
    /// of superseded rows, too.
    pub left_out: FieldSet,
    /// Fields that are not sent because the ledger has them as they are ([`super::SendMode::Changed`]).
    pub not_sent: FieldSet,
    /// Of a superseded row: what is not left out of it was acknowledged, and it says so again, newer than a failure
    /// or than an open batch, which it overtakes in that.
    pub confirms: bool,
    /// Of a row that is held, fields of its subject whose value at the server nobody knows.
    pub unknown: FieldSet,
    /// The ordinal in the row's version, where a column gives another one than its place.
    pub version_ordinal: Option<u64>,
    /// Definite refusals so far of the update the row carries, in exactly its version; part of the idempotency key.
    /// Of a folded row: of its own version, in case it is sent early ([`super::Folded::Early`]).
    pub refusals: u32,
    /// The refusal that keeps the update from being sent again, where the ruling says so.
    pub refused: Option<Box<Refusal>>,
    /// Of a row that carries an update: the version of one in doubt, of this row and others, whose word for a field
    /// the update repeats. Acknowledged, it settles that. Of a folded row: what it repeats itself, in case it is sent
    /// early.
    pub settles: Option<Version>,
    /// Of an update that waits for that of another subject, and of its parts: in which wave it is sent, from 1.
    pub wave: u32,
    /// With it, what it is linked with; of a row that is held only because another is, that one alone.
    pub linked: Linked,
    /// Of a row held back because its subject swaps with others: which one, from 1 in the order
    /// of [`super::Plan::swaps`], which lists the first of them.
    pub swap: u32,
    /// Of a row that carries an update: fields of its subject that are cleared before, so that others may have what it
    /// gives up ([`super::CyclePolicy::Clear`]).
    pub cleared_first: FieldSet,
    /// With it, the wave of that clear.
    pub clear_wave: u32,
    /// And definite refusals so far of it, in exactly its version.
    pub clear_refusals: u32,
    /// What the row shares, a bit each.
    pub(super) shared: u8,
}

impl Beside {
    /// What a row shares with rows of other subjects, or pairs differently than another row does: to be told, and no
    /// reason to hold it back.
    pub fn shared(&self) -> impl Iterator<Item = SharedKind> {
        let shared = self.shared;
        SharedKind::ALL.into_iter().filter(move |kind| shared & 1 << *kind as u8 != 0)
    }

    pub(super) fn sharing(kind: SharedKind) -> Beside {
        Beside { shared: 1 << kind as u8, ..Beside::default() }
    }

    /// Takes what another part of the plan says of the same row.
    fn merge(&mut self, other: Beside) {
        self.left_out = self.left_out.union(other.left_out);
        self.not_sent = self.not_sent.union(other.not_sent);
        self.unknown = self.unknown.union(other.unknown);
        self.confirms |= other.confirms;
        self.version_ordinal = self.version_ordinal.or(other.version_ordinal);
        self.refusals = self.refusals.max(other.refusals);
        self.refused = self.refused.take().or(other.refused);
        self.settles = self.settles.max(other.settles);
        self.wave = self.wave.max(other.wave);
        let Linked { waits_for, group, ring, ring_rows } = other.linked;
        self.linked.waits_for = self.linked.waits_for.max(waits_for);
        self.linked.group = self.linked.group.max(group);
        self.linked.ring = self.linked.ring.max(ring);
        self.linked.ring_rows = self.linked.ring_rows.max(ring_rows);
        self.swap = self.swap.max(other.swap);
        self.cleared_first = self.cleared_first.union(other.cleared_first);
        self.clear_wave = self.clear_wave.max(other.clear_wave);
        self.clear_refusals = self.clear_refusals.max(other.clear_refusals);
        self.shared |= other.shared;
    }

    fn encode(&self, offset: u32, into: &mut Vec<u8>) {
        into.extend_from_slice(&offset.to_le_bytes());
        into.extend_from_slice(&self.version_ordinal.unwrap_or_default().to_le_bytes());
        into.extend_from_slice(&self.refusals.to_le_bytes());
        into.extend_from_slice(&self.left_out.bits().to_le_bytes());
        into.extend_from_slice(&self.not_sent.bits().to_le_bytes());
        into.extend_from_slice(&self.unknown.bits().to_le_bytes());
        let has_chain = self.wave != 0 || self.swap != 0 || self.linked != Linked::default();
        let confirms = if self.confirms { CONFIRMS } else { 0 };
        let settles = if self.settles.is_some() { SETTLES } else { 0 };
        into.push(self.shared | confirms | settles | if has_chain { CHAIN_FOLLOWS } else { 0 });
        if has_chain {
            into.extend_from_slice(&self.wave.to_le_bytes());
            into.extend_from_slice(&self.swap.to_le_bytes());
            into.extend_from_slice(&self.linked.waits_for.to_le_bytes());
            into.extend_from_slice(&self.linked.group.to_le_bytes());
            into.extend_from_slice(&self.linked.ring.to_le_bytes());
            into.extend_from_slice(&self.linked.ring_rows.to_le_bytes());
            into.extend_from_slice(&self.cleared_first.bits().to_le_bytes());
            into.extend_from_slice(&self.clear_wave.to_le_bytes());
            into.extend_from_slice(&self.clear_refusals.to_le_bytes());
        }
        if let Some(settles) = self.settles {
            into.extend_from_slice(&settles.batch.to_le_bytes());
            into.extend_from_slice(&settles.ordinal.to_le_bytes());
        }
        let Some(refusal) = &self.refused else {
            into.push(0);
            return;
        };
        // Signatures are bounded to 160 bytes when they are made.
        let mut len = refusal.signature.len().min(usize::from(u8::MAX) - 1);
        while !refusal.signature.is_char_boundary(len) {
            len -= 1;
        }
        into.push(u8::try_from(len + 1).unwrap_or(u8::MAX));
        into.extend_from_slice(&refusal.version.batch.to_le_bytes());
        into.extend_from_slice(&refusal.version.ordinal.to_le_bytes());
        into.extend_from_slice(&refusal.batch.to_le_bytes());
        into.extend_from_slice(&refusal.digest.0.to_le_bytes());
        into.push(refusal.kind as u8);
        into.extend_from_slice(&refusal.count.to_le_bytes());
        into.extend_from_slice(&refusal.status.unwrap_or_default().to_le_bytes());
        into.extend_from_slice(&refusal.signature.as_bytes()[..len]);
    }

    fn decode(mut bytes: &[u8]) -> (u32, Beside, &[u8]) {
        let mut take = |len: usize| {
            let (head, rest) = bytes.split_at(len);
            bytes = rest;
            head
        };
        let offset = u32::from_le_bytes(array(take(4)));
        let version_ordinal = Some(u64::from_le_bytes(array(take(8)))).filter(|ordinal| *ordinal != 0);
        let refusals = u32::from_le_bytes(array(take(4)));
        let fields = |bytes| FieldSet::from_bits(u16::from_le_bytes(array(bytes))).unwrap_or_default();
        let (left_out, not_sent, unknown) = (fields(take(2)), fields(take(2)), fields(take(2)));
        let shared = take(1)[0];
        let (mut wave, mut swap, mut linked) = (0, 0, Linked::default());
        let (mut cleared_first, mut clear_wave, mut clear_refusals) = (FieldSet::EMPTY, 0, 0);
        if shared & CHAIN_FOLLOWS != 0 {
            wave = u32::from_le_bytes(array(take(4)));
            swap = u32::from_le_bytes(array(take(4)));
            linked.waits_for = u64::from_le_bytes(array(take(8)));
            linked.group = u32::from_le_bytes(array(take(4)));
            linked.ring = u32::from_le_bytes(array(take(4)));
            linked.ring_rows = u32::from_le_bytes(array(take(4)));
            cleared_first = fields(take(2));
            clear_wave = u32::from_le_bytes(array(take(4)));
            clear_refusals = u32::from_le_bytes(array(take(4)));
        }
        let confirms = shared & CONFIRMS != 0;
        let settles = (shared & SETTLES != 0).then(|| {
            let mut number = || u64::from_le_bytes(array(take(8)));
            Version { batch: number(), ordinal: number() }
        });
        let (shared, len) = (shared & !(CHAIN_FOLLOWS | CONFIRMS | SETTLES), usize::from(take(1)[0]));
        let refused = (len > 0).then(|| {
            let mut number = || u64::from_le_bytes(array(take(8)));
            let version = Version { batch: number(), ordinal: number() };
            let (batch, digest) = (number(), UpdateDigest(number()));
            let kind = FailureKind::ALL[usize::from(take(1)[0])];
            let count = u32::from_le_bytes(array(take(4)));
            let status = Some(u16::from_le_bytes(array(take(2)))).filter(|status| *status != 0);
            let signature = String::from_utf8_lossy(take(len - 1)).into_owned();
            Box::new(Refusal { version, batch, digest, kind, count, status, signature })
        });
        let beside = Beside {
            left_out,
            not_sent,
            unknown,
            confirms,
            version_ordinal,
            refusals,
            refused,
            settles,
            wave,
            linked,
            swap,
            cleared_first,
            clear_wave,
            clear_refusals,
            shared,
        };
        (offset, beside, bytes)
    }
}

/// What the rows of a block have, as it was written: decoded, it would take five times the memory.
#[derive(Debug)]
struct Block {
    bytes: Vec<u8>,
    /// Offset of each record's row and where the record begins, ascending.
    begins: Vec<(u32, u32)>,
}

impl Block {
    fn read(blocks: &dyn Partitions, block: usize) -> io::Result<Block> {
        // Grown step by step, both would be there twice, and what they leave behind fits nothing else.
        let len = usize::try_from(blocks.bytes(block)).map_err(io::Error::other)?;
        let mut bytes = Vec::with_capacity(len);
        blocks.read(block, &mut |piece| bytes.extend_from_slice(piece))?;
        let mut begins = Vec::with_capacity(bytes.len() / FIXED_BYTES);
        let mut rest = &bytes[..];
        while !rest.is_empty() {
            let begin = u32::try_from(bytes.len() - rest.len()).map_err(io::Error::other)?;
            let (offset, _, behind) = Beside::decode(rest);
            begins.push((offset, begin));
            rest = behind;
        }
        begins.sort_unstable();
        Ok(Block { bytes, begins })
    }

    /// What a row has, of all parts that were told.
    fn get(&self, offset: u32) -> Beside {
        let first = self.begins.partition_point(|(other, _)| *other < offset);
        let parts = self.begins[first..].iter().take_while(|(other, _)| *other == offset);
        let mut beside = Beside::default();
        for (_, begin) in parts {
            beside.merge(Beside::decode(&self.bytes[*begin as usize..]).1);
        }
        beside
    }
}

/// What all rows have beside their rulings.
#[derive(Debug)]
pub(super) struct Besides {
    blocks: Box<dyn Partitions>,
    /// The blocks read last, the newest in front.
    cache: Mutex<Vec<(usize, Arc<Block>)>>,
}

impl Besides {
    /// Room for so many rows.
    pub(super) fn new(space: &dyn Space, rows: u64) -> Besides {
        let blocks = place_of(rows.max(1)).0 + 1;
        Besides { blocks: space.partitions(blocks), cache: Mutex::default() }
    }

    /// Adds what is known of rows. A row may be told of several times; the parts are merged.
    pub(super) fn add(&self, entries: &[(u64, Beside)]) -> io::Result<()> {
        let mut bytes = Vec::with_capacity(entries.len() * FIXED_BYTES);
        let mut places = Vec::with_capacity(entries.len());
        for (ordinal, beside) in entries {
            let (block, offset) = place_of(*ordinal);
            let begin = bytes.len();
            beside.encode(offset, &mut bytes);
            places.push((block, begin..bytes.len()));
        }
        self.blocks.append_each(&mut places.into_iter().map(|(block, range)| (block, &bytes[range])))
    }

    /// What a row has.
    pub(super) fn get(&self, ordinal: u64) -> io::Result<Beside> {
        let (block, offset) = place_of(ordinal);
        Ok(self.block(block)?.get(offset))
    }

    fn block(&self, block: usize) -> io::Result<Arc<Block>> {
        // A panic while the lock was held leaves a cache all the same.
        let mut cache = self.cache.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(at) = cache.iter().position(|(cached, _)| *cached == block) {
            cache[..=at].rotate_right(1);
            return Ok(Arc::clone(&cache[0].1));
        }
        // One goes before another comes.
        cache.truncate(BLOCKS_CACHED - 1);
        let read = Arc::new(Block::read(&*self.blocks, block)?);
        cache.insert(0, (block, Arc::clone(&read)));
        Ok(read)
    }
}

/// Block of a row, and its offset in there.
fn place_of(ordinal: u64) -> (usize, u32) {
    let block = usize::try_from(ordinal >> BLOCK_BITS).unwrap_or(usize::MAX);
    let offset = ordinal & ((1 << BLOCK_BITS) - 1);
    (block, u32::try_from(offset).unwrap_or_default())
}

#[cfg(test)]
impl Besides {
    /// Memory of the blocks at hand.
    fn cached_bytes(&self) -> usize {
        let cache = self.cache.lock().unwrap_or_else(PoisonError::into_inner);
        let bytes_of =
            |block: &Block| block.bytes.capacity() + block.begins.capacity() * size_of::<(u32, u32)>();
        cache.iter().map(|(_, block)| bytes_of(block)).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::super::space::InMemory;
    use super::*;
    use crate::update::FieldKind;

    #[test]
    fn what_is_told_of_a_row_in_parts_is_found_as_one() {
        let rows = 300_000;
        let besides = Besides::new(&InMemory, rows);
        let refusal = Refusal {
            version: Version { batch: 3, ordinal: 4 },
            batch: 6,
            digest: UpdateDigest(5),
            kind: FailureKind::EchoMismatch,
            count: 2,
            status: Some(422),
            signature: "422 é".repeat(30),
        };
        let full = Beside {
            left_out: FieldSet::only(FieldKind::Imsi),
            not_sent: FieldSet::only(FieldKind::UserClass),
            unknown: FieldSet::only(FieldKind::Number),
            confirms: true,
            version_ordinal: Some(rows),
            refusals: 7,
            refused: Some(Box::new(refusal)),
            wave: 3,
            linked: Linked { waits_for: 1 << 40, group: 9, ring: 8, ring_rows: 6 },
            swap: 4,
            cleared_first: FieldSet::only(FieldKind::Iccid),
            clear_wave: 2,
            clear_refusals: 5,
            settles: Some(Version { batch: 7, ordinal: 1 << 33 }),
            shared: 0,
        };
        besides.add(&[(rows, full.clone()), (1, Beside::sharing(SharedKind::Imei))]).unwrap();
        besides.add(&[(65_536, full.clone()), (rows, Beside::sharing(SharedKind::Pair))]).unwrap();
        besides.add(&[(1, Beside::sharing(SharedKind::Pair))]).unwrap();
        assert_eq!(besides.get(65_536).unwrap(), full);
        assert_eq!(besides.get(rows).unwrap(), Beside { shared: 2, ..full });
        assert_eq!(
            besides.get(1).unwrap().shared().collect::<Vec<_>>(),
            [SharedKind::Imei, SharedKind::Pair]
        );
        assert_eq!(besides.get(2).unwrap(), Beside::default());
    }

    /// Where everybody shares something, every row has something beside its ruling.
    #[test]
    fn what_is_at_hand_takes_little_more_than_what_was_told() {
        let rows = 3 << BLOCK_BITS;
        let besides = Besides::new(&InMemory, rows);
        let told: Vec<_> = (1..=rows).map(|ordinal| (ordinal, Beside::sharing(SharedKind::Imei))).collect();
        besides.add(&told).unwrap();
        let mut bytes_max = 0;
        for ordinal in 1..=rows {
            assert_eq!(besides.get(ordinal).unwrap(), Beside::sharing(SharedKind::Imei));
            bytes_max = bytes_max.max(besides.cached_bytes());
        }
        assert!(bytes_max < 5 << 20, "{bytes_max}");
    }
}
