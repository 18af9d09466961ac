//! The plan's ruling on a row: its disposition, and how it travels if it is sent.
//!
//! Not here: how the ruling is found (`join.rs`, `judge.rs`, `conflict.rs`).

/// The ruling on a row. One byte, of which the low four bits are enough: the plan keeps one per row.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Ruling {
    /// Rejected by a rule, or by [`super::DuplicatePolicy::Reject`].
    Rejected,
    /// Left out by a filter.
    Filtered,
    /// Another shard's.
    Elsewhere,
    /// Equal to its subject's immediately preceding row.
    Duplicate,
    /// Overtaken by something newer.
    Superseded,
    /// Nothing to change.
    Unchanged,
    /// Another subject claims the same identifier in this batch.
    Conflict,
    /// Kept back while its subject is in doubt.
    Held,
    /// Part of a later row's update.
    Folded,
    /// Part of a later row's update, which is sent after everything else.
    FoldedLate,
    /// Carries an update to send.
    Send,
    /// Carries an update to send after everything else: its subject failed in an earlier batch.
    SendLate,
    /// Carries an update that was refused earlier in this batch: failed without being sent again.
    RefusedBefore,
    /// Part of an update that was refused earlier in this batch; booked as folded.
    FoldedRefused,
    /// Nothing to change; and newer than a failure of its subject, or than an open batch, which it overtakes.
    Confirmed,
}

impl Ruling {
    /// All rulings, each at the index of its byte.
    pub const ALL: [Ruling; 15] = [
        Ruling::Rejected,
        Ruling::Filtered,
        Ruling::Elsewhere,
        Ruling::Duplicate,
        Ruling::Superseded,
        Ruling::Unchanged,
        Ruling::Conflict,
        Ruling::Held,
        Ruling::Folded,
        Ruling::FoldedLate,
        Ruling::Send,
        Ruling::SendLate,
        Ruling::RefusedBefore,
        Ruling::FoldedRefused,
        Ruling::Confirmed,
    ];

    /// The disposition's word, as in reports. An update refused before is booked `failed`.
    pub const fn name(self) -> &'static str {
        match self {
            Ruling::Rejected => "rejected",
            Ruling::Filtered => "filtered",
            Ruling::Elsewhere => "elsewhere",
            Ruling::Duplicate => "duplicate",
            Ruling::Superseded => "superseded",
            Ruling::Unchanged | Ruling::Confirmed => "unchanged",
            Ruling::Conflict => "conflict",
            Ruling::Held => "held",
            Ruling::Folded | Ruling::FoldedLate | Ruling::FoldedRefused => "folded",
            Ruling::Send | Ruling::SendLate => "send",
            Ruling::RefusedBefore => "failed",
        }
    }

    /// Whether the row carries an update to send.
    pub const fn is_sent(self) -> bool {
        matches!(self, Ruling::Send | Ruling::SendLate)
    }

    /// Whether the row's values travel with a later row's update.
    pub const fn is_folded(self) -> bool {
        matches!(self, Ruling::Folded | Ruling::FoldedLate)
    }

    /// Whether the row is booked with a later row, which carries the update.
    pub(super) const fn is_part(self) -> bool {
        matches!(self, Ruling::Folded | Ruling::FoldedLate | Ruling::FoldedRefused)
    }

    /// Whether the row is an update or part of one that would change something at the server.
    pub(super) const fn is_live(self) -> bool {
        match self {
            Ruling::Conflict
            | Ruling::Held
            | Ruling::Folded
            | Ruling::FoldedLate
            | Ruling::Send
            | Ruling::SendLate
            | Ruling::RefusedBefore
            | Ruling::FoldedRefused => true,
            Ruling::Rejected
            | Ruling::Filtered
            | Ruling::Elsewhere
            | Ruling::Duplicate
            | Ruling::Superseded
            | Ruling::Unchanged
            | Ruling::Confirmed => false,
        }
    }

    /// Whether the row has nothing to change.
    pub(super) const fn is_unchanged(self) -> bool {
        matches!(self, Ruling::Unchanged | Ruling::Confirmed)
    }

    /// Whether the row's update is sent after everything else.
    pub const fn is_late(self) -> bool {
        matches!(self, Ruling::SendLate | Ruling::FoldedLate)
    }

    /// The ruling on a row that is part of an update whose carrier has this ruling.
    pub(super) const fn of_part(self) -> Ruling {
        match self {
            Ruling::Send => Ruling::Folded,
            Ruling::SendLate => Ruling::FoldedLate,
            Ruling::RefusedBefore => Ruling::FoldedRefused,
            Ruling::Rejected
            | Ruling::Filtered
            | Ruling::Elsewhere
            | Ruling::Duplicate
            | Ruling::Superseded
            | Ruling::Unchanged
            | Ruling::Conflict
            | Ruling::Held
            | Ruling::Folded
            | Ruling::FoldedLate
            | Ruling::FoldedRefused
            | Ruling::Confirmed => self,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_ruling_stands_at_the_index_of_its_byte() {
        for (index, ruling) in Ruling::ALL.into_iter().enumerate() {
            assert_eq!(usize::from(ruling as u8), index);
        }
    }

    #[test]
    fn a_part_shares_the_fate_of_its_update() {
        assert_eq!(Ruling::Send.of_part(), Ruling::Folded);
        assert_eq!(Ruling::SendLate.of_part(), Ruling::FoldedLate);
        assert_eq!(Ruling::RefusedBefore.of_part(), Ruling::FoldedRefused);
        assert_eq!(Ruling::Conflict.of_part(), Ruling::Conflict);
        assert_eq!(Ruling::Unchanged.of_part(), Ruling::Unchanged);
    }
}
