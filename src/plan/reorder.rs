//! The order of a subject's rows where a column gives it.
//!
//! Not here: reading the column (`order.rs`).

use crate::row::Version;

use super::record::{Displaced, Marks, Part, same_subject};

/// Gives the rows of a subject the versions of the order that a column says: the ordinals they have, dealt out anew,
/// the newest row getting the last one. From here on they are rows with a version of their own, as replayed rows are,
/// and everything that versions decide (folding, the ledger, a resume, a replay) follows the column. Rejected rows take
/// part, for they may come back corrected. Rows that are replayed keep the version they have. Tells the new ordinals
/// of those that got another one. The part must be sorted.
pub(super) fn reorder(part: &mut Part, batch: u64, told: &mut dyn FnMut(u64, u64)) {
    if !part.is_ranked() {
        return;
    }
    let Part { records, displaced, data, .. } = part;
    let mut displaced = displaced.as_slice();
    let mut order = Order::default();
    for rows in records.chunk_by_mut(same_subject) {
        let subject = rows[0].subject;
        while displaced.first().is_some_and(|row| row.subject < subject) {
            order.extend_rejected(&mut displaced);
            order.deal(told);
        }
        if displaced.first().is_some_and(|row| row.subject == subject) {
            order.extend_rejected(&mut displaced);
        }
        let ordinary = rows.iter().filter(|row| !row.marks.has(Marks::REPLAYED));
        order.rows.extend(ordinary.map(|row| (data.rank(row), row.ordinal)));
        order.deal(told);
        for row in rows {
            let dealt = order.dealt.binary_search_by_key(&row.ordinal, |(ordinal, _)| *ordinal);
            if let Ok(at) = dealt {
                data.set_version(row, Version { batch, ordinal: order.dealt[at].1 });
            }
        }
    }
    while !displaced.is_empty() {
        order.extend_rejected(&mut displaced);
        order.deal(told);
    }
}

/// The rows of one subject that a column orders.
#[derive(Debug, Default)]
struct Order {
    /// Rank and ordinal of each.
    rows: Vec<(i128, u64)>,
    /// Their ordinals, to be dealt out.
    ordinals: Vec<u64>,
    /// Those that got another one, by ordinal.
    dealt: Vec<(u64, u64)>,
}

impl Order {
    /// Takes the rejected rows of the first subject among them.
    fn extend_rejected(&mut self, displaced: &mut &[Displaced]) {
        let Some(first) = displaced.first() else { return };
        let (rows, rest) = displaced.split_at(displaced.partition_point(|row| row.subject == first.subject));
        self.rows.extend(rows.iter().map(|row| (row.rank, row.ordinal)));
        *displaced = rest;
    }

    /// Deals out the ordinals by rank and forgets the rows.
    fn deal(&mut self, told: &mut dyn FnMut(u64, u64)) {
        // Rows of equal rank stay in the order of the file.
        self.rows.sort_unstable();
        self.ordinals.clear();
        self.ordinals.extend(self.rows.iter().map(|(_, ordinal)| *ordinal));
        self.ordinals.sort_unstable();
        self.dealt.clear();
        let dealt = self.rows.drain(..).map(|(_, ordinal)| ordinal).zip(self.ordinals.iter().copied());
        self.dealt.extend(dealt.filter(|(ordinal, dealt)| ordinal != dealt));
        self.dealt.sort_unstable();
        self.dealt.iter().for_each(|(ordinal, dealt)| told(*ordinal, *dealt));
    }
}
