//! Phase 2 of the join, second half, and phase 4: what subjects claim and give up is brought together by value.
//!
//! Not here: who claims what (`phases.rs`), how the claims of a value are read (`values.rs`).

use std::io;
use std::sync::atomic::Ordering;

use crate::event::Repeated;

use super::beside::Beside;
use super::claim::{Claim, EXCLUSIVE, Pair};
use super::conflict::ConflictList;
use super::dispositions::BESIDE;
use super::phases::{JoinError, Phases, append_claims, lock};
use super::shared::{SharedKind, more_repeated};
use super::space::{LedgerSlices, Partitions};
use super::survey::index_of;
use super::values::{OneValue, Sums, Valued, Values};

/// What is told of values is put where it belongs once it is so much.
const TOLD_MAX: usize = 16_384;

/// What a partition of values tells.
#[derive(Default)]
struct Told {
    most: Option<Repeated>,
    shares: [bool; SharedKind::ALL.len()],
    besides: Vec<(u64, Beside)>,
    contested: Vec<Claim>,
    links: Vec<Claim>,
}

impl<L: LedgerSlices> Phases<'_, L> {
    /// Brings together what is claimed of the values of a partition.
    pub(super) fn match_values(&self, partition: usize) -> Result<(), JoinError<L::Error>> {
        let mut told = Told::default();
        self.each_value(&*self.claims, partition, &mut |value| self.match_claims(value, &mut told))?;
        self.each_value(&*self.pairs, partition, &mut |value| self.match_pairs(value, &mut told))?;
        self.tell(&mut told).map_err(JoinError::Space)?;
        let mut found = lock(&self.found);
        found.repeated = more_repeated(found.repeated, told.most);
        found.shares.iter_mut().zip(told.shares).for_each(|(all, shares)| *all |= shares);
        Ok(())
    }

    /// Lists the conflicts among the final claims of the values of a partition.
    pub(super) fn list_conflicts(
        &self,
        claims: &dyn Partitions,
        partition: usize,
    ) -> Result<(), JoinError<L::Error>> {
        let mut list = ConflictList::default();
        self.each_value(claims, partition, &mut |value| list.take(value))?;
        lock(&self.found).conflicts.append(list);
        Ok(())
    }

    fn each_value<V: Valued>(
        &self,
        from: &dyn Partitions,
        partition: usize,
        show: &mut dyn FnMut(&OneValue<'_, V>) -> io::Result<()>,
    ) -> Result<(), JoinError<L::Error>> {
        let bounds = &self.survey.bounds;
        let values = Values { partitions: from, partition, bits: bounds.partition_bits };
        values.each((&*self.survey.space, bounds.part_bytes_max), show).map_err(JoinError::Space)
    }

    fn match_claims(&self, value: &OneValue<'_, Claim>, told: &mut Told) -> io::Result<()> {
        let Sums { field, claims, is_live, first_ordinal, releases } = Sums::of(value)?;
        let is_linked = releases > 0 && is_live;
        // Claimed by several subjects, and one of the claims would change something.
        let is_claimed_twice = claims > 1 && is_live;
        if is_claimed_twice {
            told.most = more_repeated(told.most, Some(Repeated { field, subjects: claims, first_ordinal }));
        }
        let is_imei = is_claimed_twice && Some(field) == SharedKind::Imei.field();
        told.shares[SharedKind::Imei as usize] |= is_imei;
        let is_contested = is_claimed_twice && EXCLUSIVE.contains(field);
        if !is_linked && !is_imei && !is_contested {
            return Ok(());
        }
        value.each(&mut |all| {
            let claims = all.iter().filter(|claim| !claim.is_release());
            if is_linked {
                let takes_or_releases = |claim: &&Claim| claim.is_release() || claim.is_live();
                told.links.extend(all.iter().filter(takes_or_releases));
            }
            if is_contested {
                told.contested.extend(claims.clone());
            }
            if is_imei {
                let sharing = |claim: &Claim| (claim.ordinal(), Beside::sharing(SharedKind::Imei));
                told.besides.extend(claims.map(sharing));
            }
            self.tell_if_much(told)
        })
    }

    /// Tells of the rows of one ICCID if they pair it with different IMSIs, and one of them would change something.
    /// Rows that will not be sent are among them, if they were valid: each is as likely to be the wrong one.
    fn match_pairs(&self, value: &OneValue<'_, Pair>, told: &mut Told) -> io::Result<()> {
        let (mut first, mut differs, mut is_live) = (None, false, false);
        value.each(&mut |pairs| {
            for pair in pairs {
                differs |= *first.get_or_insert(pair.imsi) != pair.imsi;
                is_live |= pair.is_live;
            }
            Ok(())
        })?;
        if !differs || !is_live {
            return Ok(());
        }
        told.shares[SharedKind::Pair as usize] = true;
        value.each(&mut |pairs| {
            let sharing = |pair: &Pair| (pair.ordinal, Beside::sharing(SharedKind::Pair));
            told.besides.extend(pairs.iter().map(sharing));
            self.tell_if_much(told)
        })
    }

    fn tell_if_much(&self, told: &mut Told) -> io::Result<()> {
        let much = told.besides.len() + told.contested.len() + told.links.len();
        if much < TOLD_MAX { Ok(()) } else { self.tell(told) }
    }

    /// Puts what was told to the rows and the partitions of the subjects.
    fn tell(&self, told: &mut Told) -> io::Result<()> {
        for (ordinal, _) in &told.besides {
            self.rulings()[index_of(*ordinal)].fetch_or(BESIDE, Ordering::Relaxed);
        }
        self.besides.add(&told.besides)?;
        told.besides.clear();
        let to = [
            (&mut told.contested, &*self.contested, &self.is_contested),
            (&mut told.links, &*self.links, &self.is_linked),
        ];
        for (claims, partitions, flags) in to {
            for claim in &*claims {
                flags[claim.partition()].store(true, Ordering::Relaxed);
            }
            append_claims(partitions, claims, Claim::partition)?;
            claims.clear();
        }
        Ok(())
    }
}
