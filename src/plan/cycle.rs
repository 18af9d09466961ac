//! How a ring is broken in which nobody can be first: one subject is cleared of what it gives up to the others, who
//! then form a chain with it at the end ([`super::CyclePolicy::Clear`]).
//!
//! Not here: which rings there are and the order that follows (`chain.rs`), sending the clears (`deliver/`).

use crate::row::Version;
use crate::update::{FieldKind, FieldSet};

/// Subjects of a ring that are looked at, at most: those of the first rows, which are the ones that are listed.
pub(super) const CANDIDATES_MAX: usize = 10;

/// The subject that is cleared before the others of its ring are sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Clearing {
    /// Ordinal of the row that carries its update, which is sent last.
    pub ordinal: u64,
    /// What it is cleared of.
    pub fields: FieldSet,
}

/// The version of the clear that comes before the row of this version: before all rows of its batch.
pub fn clear_version(row: Version) -> Version {
    Version { ordinal: Version::BEFORE_ALL_ROWS, ..row }
}

/// Why a ring is not broken although it was asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Obstacle {
    /// These fields would have to be cleared and may not be.
    NotClearable(FieldSet),
    /// Clearing one subject leaves a ring of others.
    Tangled,
    /// Every row is an update of its own ([`super::DuplicatePolicy::Each`]): what its subject gives up lies in the
    /// middle of its rows.
    Each,
}

impl Obstacle {
    /// Why, in words.
    pub fn why(self) -> String {
        match self {
            Obstacle::NotClearable(fields) => {
                let names: Vec<&str> = fields.iter().map(FieldKind::name).collect();
                format!("rules.clearable does not name {}", names.join(", "))
            }
            Obstacle::Tangled => "clearing one of them leaves a ring of others".to_owned(),
            Obstacle::Each => "--duplicates each keeps plan.break_cycles from breaking it".to_owned(),
        }
    }
}

/// How rings are dealt with.
#[derive(Debug, Clone, Copy)]
pub(super) enum Breaking {
    /// They are not broken.
    Never,
    /// It was asked for, and cannot be under this policy.
    Impossible(Obstacle),
    /// By clearing one or several of these fields.
    Clearing(FieldSet),
}

/// A ring whose members are numbered from 0 in the order of their rows: links within it, by the member that they
/// begin at.
pub(super) type Members = Vec<Vec<(usize, FieldKind)>>;

/// Which member is cleared of what.
pub(super) fn clearing(ring: &Members, breaking: Breaking) -> Result<(usize, FieldSet), Option<Obstacle>> {
    let clearable = match breaking {
        Breaking::Never => return Err(None),
        Breaking::Impossible(obstacle) => return Err(Some(obstacle)),
        Breaking::Clearing(clearable) => clearable,
    };
    let mut obstacle = None;
    for (member, links) in ring.iter().enumerate().take(CANDIDATES_MAX) {
        let fields: FieldSet = links.iter().map(|(_, kind)| *kind).collect();
        let forbidden = fields.minus(clearable);
        if !forbidden.is_empty() {
            obstacle = obstacle.or(Some(Obstacle::NotClearable(forbidden)));
        } else if has_order_without(ring, member) {
            return Ok((member, fields));
        } else {
            obstacle = Some(Obstacle::Tangled);
        }
    }
    Err(obstacle)
}

/// Whether the ring has an order once this member gives nothing up any more.
fn has_order_without(ring: &Members, cleared: usize) -> bool {
    let targets = |member: usize| ring[member].iter().filter(move |_| member != cleared).map(|(to, _)| *to);
    let mut waiting_for = vec![0_u32; ring.len()];
    (0..ring.len()).flat_map(targets).for_each(|to| waiting_for[to] += 1);
    let mut free: Vec<usize> = (0..ring.len()).filter(|member| waiting_for[*member] == 0).collect();
    let mut ordered = 0;
    while let Some(member) = free.pop() {
        ordered += 1;
        for to in targets(member) {
            waiting_for[to] -= 1;
            if waiting_for[to] == 0 {
                free.push(to);
            }
        }
    }
    ordered == ring.len()
}

#[cfg(test)]
mod tests {
    use super::*;
    use FieldKind::{Iccid, Imsi, Number};

    const SIM: FieldSet = FieldSet::only(Imsi).union(FieldSet::only(Iccid));

    fn ring(members: usize, links: &[(usize, usize, FieldKind)]) -> Members {
        let mut ring = vec![Vec::new(); members];
        links.iter().for_each(|(from, to, kind)| ring[*from].push((*to, *kind)));
        ring
    }

    #[test]
    fn the_first_that_may_be_cleared_of_all_it_gives_up_within_the_ring_is() {
        let pair = [(0, 1, Imsi), (0, 1, Iccid), (1, 0, Imsi)];
        assert_eq!(clearing(&ring(2, &pair), Breaking::Clearing(SIM)), Ok((0, SIM)));
        let imsi = FieldSet::only(Imsi);
        assert_eq!(clearing(&ring(2, &pair), Breaking::Clearing(imsi)), Ok((1, imsi)));
        let number = ring(2, &[(0, 1, Number), (1, 0, Number)]);
        let forbidden = Err(Some(Obstacle::NotClearable(FieldSet::only(Number))));
        assert_eq!(clearing(&number, Breaking::Clearing(SIM)), forbidden);
        assert_eq!(clearing(&number, Breaking::Never), Err(None));
        assert_eq!(clearing(&number, Breaking::Impossible(Obstacle::Each)), Err(Some(Obstacle::Each)));
    }

    #[test]
    fn a_ring_that_clearing_one_leaves_a_ring_stays_whole() {
        // Two rings that share member 2 fall apart with it alone; two that share a link with either end of it.
        let eight =
            ring(4, &[(0, 2, Imsi), (2, 0, Iccid), (2, 1, Imsi), (1, 2, Iccid), (1, 3, Imsi), (3, 1, Iccid)]);
        assert_eq!(clearing(&eight, Breaking::Clearing(SIM)), Err(Some(Obstacle::Tangled)));
        let joined = ring(3, &[(0, 2, Imsi), (2, 0, Iccid), (2, 1, Imsi), (1, 2, Iccid)]);
        assert_eq!(clearing(&joined, Breaking::Clearing(SIM)), Ok((2, SIM)));
    }
}
