//! What is said of one value, value by value: who claims it, who gives it up, which rows pair it with what. However
//! many subjects share a value (a placeholder in ten million rows), no more than a part of it is in memory.
//!
//! Not here: what follows from it (`matching.rs`, `conflict.rs`).

use std::io;

use crate::update::FieldKind;

use super::claim::{Claim, Pair};
use super::space::{Partitions, Space};

/// Bits of a value by which a partition that is too large is split again.
const SPLIT_BITS: u32 = 8;

/// What is shown of a value at a time, where all of it is in memory.
const SHOWN_MAX: usize = 4_096;

/// A record that is brought together with others of its value.
pub(super) trait Valued: Copy + Ord {
    /// The bits that say its partition, the leading ones first.
    fn bits(&self) -> u64;

    /// Whether two records are about one value. Records of one value are neighbors in their order.
    fn is_same_value(&self, other: &Self) -> bool;

    fn write(&self, into: &mut Vec<u8>);

    fn extend(all: &mut Vec<Self>, piece: &[u8]);
}

impl Valued for Claim {
    fn bits(&self) -> u64 {
        self.hash().0
    }

    fn is_same_value(&self, other: &Claim) -> bool {
        Claim::is_same_value(self, other)
    }

    fn write(&self, into: &mut Vec<u8>) {
        into.extend_from_slice(&self.to_bytes());
    }

    fn extend(all: &mut Vec<Claim>, piece: &[u8]) {
        Claim::extend(all, piece);
    }
}

impl Valued for Pair {
    fn bits(&self) -> u64 {
        self.iccid.0
    }

    fn is_same_value(&self, other: &Pair) -> bool {
        self.iccid == other.iccid
    }

    fn write(&self, into: &mut Vec<u8>) {
        into.extend_from_slice(&self.to_bytes());
    }

    fn extend(all: &mut Vec<Pair>, piece: &[u8]) {
        Pair::extend(all, piece);
    }
}

/// All that is said of one value.
pub(super) enum OneValue<'v, V> {
    /// In memory.
    Here(&'v [V]),
    /// A partition that has nothing else, in no order.
    There(&'v dyn Partitions, usize),
}

impl<V: Valued> OneValue<'_, V> {
    /// Shows all of it, part by part; as often as it is asked for.
    pub(super) fn each(&self, show: &mut dyn FnMut(&[V]) -> io::Result<()>) -> io::Result<()> {
        match self {
            OneValue::Here(all) => all.chunks(SHOWN_MAX).try_for_each(show),
            OneValue::There(partitions, partition) => {
                let (mut some, mut shown) = (Vec::new(), Ok(()));
                partitions.read(*partition, &mut |piece| {
                    some.clear();
                    V::extend(&mut some, piece);
                    if shown.is_ok() {
                        shown = some.chunks(SHOWN_MAX).try_for_each(&mut *show);
                    }
                })?;
                shown
            }
        }
    }
}

/// What the claims of one value come to.
#[derive(Debug, Clone, Copy)]
pub(super) struct Sums {
    pub(super) field: FieldKind,
    /// Subjects that claim it.
    pub(super) claims: u64,
    /// Whether one of the claims would change something.
    pub(super) is_live: bool,
    /// The first row that claims it.
    pub(super) first_ordinal: u64,
    /// Subjects that give it up.
    pub(super) releases: u64,
}

impl Sums {
    pub(super) fn of(value: &OneValue<'_, Claim>) -> io::Result<Sums> {
        let field = FieldKind::Number;
        let mut sums = Sums { field, claims: 0, is_live: false, first_ordinal: u64::MAX, releases: 0 };
        value.each(&mut |claims| {
            for claim in claims {
                sums.field = claim.kind();
                if claim.is_release() {
                    sums.releases += 1;
                    continue;
                }
                sums.claims += 1;
                sums.is_live |= claim.is_live();
                sums.first_ordinal = sums.first_ordinal.min(claim.ordinal());
            }
            Ok(())
        })?;
        Ok(sums)
    }
}

/// A partition of values.
#[derive(Clone, Copy)]
pub(super) struct Values<'p> {
    pub(super) partitions: &'p dyn Partitions,
    pub(super) partition: usize,
    /// Leading bits that its values have in common.
    pub(super) bits: u32,
}

impl Values<'_> {
    /// Shows value by value. Of a partition of more bytes than this only parts are in memory.
    pub(super) fn each<V: Valued>(
        self,
        (space, bytes_max): (&dyn Space, u64),
        show: &mut dyn FnMut(&OneValue<'_, V>) -> io::Result<()>,
    ) -> io::Result<()> {
        let bytes = self.partitions.bytes(self.partition);
        if bytes > bytes_max && self.is_one_value::<V>()? {
            return show(&OneValue::There(self.partitions, self.partition));
        }
        // Values that no bit tells apart are of several fields: they are few.
        if bytes <= bytes_max || self.bits + SPLIT_BITS > u64::BITS {
            let mut all = Vec::with_capacity(usize::try_from(bytes).unwrap_or(usize::MAX) / size_of::<V>());
            self.partitions.read(self.partition, &mut |piece| V::extend(&mut all, piece))?;
            // Threads came in any order; in this one they are all alike.
            all.sort_unstable();
            return all.chunk_by(V::is_same_value).try_for_each(|value| show(&OneValue::Here(value)));
        }
        let split = self.split::<V>(space)?;
        (0..1 << SPLIT_BITS).try_for_each(|partition| {
            let of = Values { partitions: &*split, partition, bits: self.bits + SPLIT_BITS };
            of.each((space, bytes_max), show)
        })
    }

    fn is_one_value<V: Valued>(self) -> io::Result<bool> {
        let (mut some, mut first, mut is_one) = (Vec::<V>::new(), None, true);
        self.partitions.read(self.partition, &mut |piece| {
            some.clear();
            V::extend(&mut some, piece);
            let Some(first) = first.or(some.first().copied()).inspect(|of| first = Some(*of)) else { return };
            is_one &= some.iter().all(|of| of.is_same_value(&first));
        })?;
        Ok(is_one)
    }

    fn split<V: Valued>(self, space: &dyn Space) -> io::Result<Box<dyn Partitions>> {
        let split = space.partitions(1 << SPLIT_BITS);
        let shift = u64::BITS - self.bits - SPLIT_BITS;
        let (mut some, mut bytes, mut failed) = (Vec::<V>::new(), Vec::new(), None);
        self.partitions.read(self.partition, &mut |piece| {
            some.clear();
            V::extend(&mut some, piece);
            for one in &some {
                let partition = one.bits() >> shift & ((1 << SPLIT_BITS) - 1);
                bytes.clear();
                one.write(&mut bytes);
                if failed.is_none() {
                    failed = split.append(usize::try_from(partition).unwrap_or_default(), &bytes).err();
                }
            }
        })?;
        failed.map_or(Ok(split), Err)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::super::space::InMemory;
    use super::*;
    use crate::digest::FieldHash;

    #[test]
    fn of_a_value_that_does_not_fit_only_a_part_is_in_memory() {
        const SHARED: u64 = 0x1234_5678_0000_0000;
        let partitions = InMemory.partitions(1);
        let (mut expected, mut bytes) = (BTreeMap::<u64, u64>::new(), Vec::new());
        for row in 0..20_000_u64 {
            // The neighbors of the shared value have most of their bits in common with it.
            let hash = if row.is_multiple_of(100) { SHARED + ((row / 1_000) << 16) } else { SHARED };
            *expected.entry(hash).or_default() += 1;
            bytes.clear();
            Claim::new(FieldKind::Imsi, FieldHash(hash), 0, row, row == 7).write(&mut bytes);
            partitions.append(0, &bytes).unwrap();
        }
        for bits in [0, 10] {
            let (mut found, mut there) = (BTreeMap::new(), 0);
            let values = Values { partitions: &*partitions, partition: 0, bits };
            let each = values.each::<Claim>((&InMemory, 1_000), &mut |value| {
                there += u64::from(matches!(value, OneValue::There(..)));
                let sums = Sums::of(value)?;
                let mut hash = 0;
                value.each(&mut |claims| {
                    assert!(claims.len() <= SHOWN_MAX);
                    hash = claims[0].hash().0;
                    Ok(())
                })?;
                assert_eq!((sums.is_live, sums.releases), (hash == SHARED, 0));
                found.insert(hash, sums.claims);
                Ok(())
            });
            each.unwrap();
            assert_eq!((&found, there), (&expected, 1));
        }
    }
}
