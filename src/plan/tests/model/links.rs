//! The judge's word on several subjects: who takes what another gives up, who waits for whom, who swaps.
//!
//! Not here: conflicts, and one subject's rows (`model.rs`).

use super::*;

/// What the model says of all rows, subject by subject.
type AllSaid = [(Vec<ModelRow>, Vec<Said>)];

fn is_sent(said: &Said) -> bool {
    matches!(said.ruling, Ruling::Send | Ruling::SendLate)
}

/// Whether a subject takes what another gives up: for certain, or where it may hold it still.
fn takes_from(
    said: &AllSaid,
    entries: &[Option<&LedgerEntry>],
    (one, other): (usize, usize),
    is_certain: bool,
) -> bool {
    let last = |subject: usize, kind: FieldKind| {
        said[subject].1.iter().rev().find_map(|said| said.claims.get(&kind).copied())
    };
    let before = |subject: usize, kind: FieldKind| match entries[subject]?.field(kind)?.state {
        FieldState::Known(hash) => Some(hash.0),
        FieldState::Unknown => None,
    };
    let once = |subject: usize, kind: FieldKind| Some(entries[subject]?.last_known(kind)?.0);
    [FieldKind::Number, IMSI, ICCID].into_iter().any(|kind| {
        let Some(taken) = last(one, kind) else { return false };
        let is_live = said[one].1.iter().any(|said| is_part(said) && said.claims.get(&kind) == Some(&taken));
        let had = before(other, kind) == Some(taken) || !is_certain && once(other, kind) == Some(taken);
        let gives_up = had && last(other, kind).is_some_and(|set| set != taken);
        is_live && before(one, kind) != Some(taken) && gives_up
    })
}

/// Holds whoever takes what a held subject gives up, and so on.
pub(super) fn hold_behind_held(said: &mut AllSaid, entries: &[Option<&LedgerEntry>]) {
    let mut waits: Vec<bool> = vec![false; said.len()];
    loop {
        let is_held = |subject: usize| {
            let rows = &said[subject].1;
            let is_any_held = rows.iter().any(|said| said.ruling == Ruling::Held);
            waits[subject] || !rows.iter().any(is_sent) && is_any_held
        };
        let next = (0..said.len()).find(|one| {
            let is_behind = |other: usize| is_held(other) && takes_from(said, entries, (*one, other), false);
            !waits[*one] && said[*one].1.iter().any(is_sent) && (0..said.len()).any(is_behind)
        });
        let Some(next) = next else { break };
        waits[next] = true;
    }
    for ((_, said), _) in said.iter_mut().zip(waits).filter(|(_, waits)| *waits) {
        for said in said.iter_mut() {
            if is_sent(said) || matches!(said.ruling, Ruling::Folded | Ruling::FoldedLate) {
                said.ruling = if said.is_equal { of_equal(said) } else { Ruling::Held };
            }
        }
    }
}

/// Which subjects take, in a ring, what the next one gives up.
pub(super) fn swaps(said: &AllSaid, entries: &[Option<&LedgerEntry>]) -> Vec<bool> {
    let is_sent = |subject: usize| said[subject].1.iter().any(is_sent);
    let waits_for = |one: usize, other: usize| {
        takes_from(said, entries, (one, other), true) && is_sent(one) && is_sent(other)
    };
    let all = 0..said.len();
    let mut reaches: Vec<Vec<bool>> =
        all.clone().map(|one| all.clone().map(|other| waits_for(one, other)).collect()).collect();
    for via in all.clone() {
        for (one, other) in all.clone().flat_map(|one| all.clone().map(move |other| (one, other))) {
            reaches[one][other] |= reaches[one][via] && reaches[via][other];
        }
    }
    all.map(|subject| reaches[subject][subject]).collect()
}
