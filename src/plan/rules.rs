//! What the operator decides about a plan: policies for duplicates, conflicts and doubt, and the few numbers of the
//! batch that rulings depend on.
//!
//! Not here: where the settings come from (`settings/`), and what follows from them (`join.rs`, `judge.rs`).

use crate::choice::choice;
use crate::digest::SubjectTag;
use crate::update::{FieldKind, FieldSet};

choice! {
    /// What becomes of several rows of one subject.
    #[derive(Default)]
    pub enum DuplicatePolicy {
        /// They fold into one update, later present fields win. The end state of sending them all in order.
        #[default]
        Fold = "fold",
        /// The last row alone is the update.
        Last = "last",
        /// The first row alone is the update.
        First = "first",
        /// Every row is an update of its own, sent in order.
        Each = "each",
        /// The subject is rejected, all its rows.
        Reject = "reject",
    }
}

choice! {
    /// What becomes of updates of two subjects that claim one `number`, `imsi` or `iccid`.
    #[derive(Default)]
    pub enum ConflictPolicy {
        /// They are not sent.
        #[default]
        Hold = "hold",
        /// They are sent, and still listed.
        Send = "send",
    }
}

choice! {
    /// What becomes of a true swap: a ring of subjects of which each takes what the next one gives up.
    #[derive(Default)]
    pub enum CyclePolicy {
        /// Nobody can be first, and it is ruled on as a conflict.
        #[default]
        No = "no",
        /// One subject is cleared of what it gives up; then the others are sent in order, and it at last.
        Clear = "clear",
    }
}

choice! {
    /// What becomes of an update of a subject that an earlier run left in doubt, or of which it left fields unknown.
    #[derive(Default)]
    pub enum InDoubtPolicy {
        /// It is sent, again if need be: updates set absolute values.
        #[default]
        Resend = "resend",
        /// It waits, unless it sets every unknown field and is not the very update that is in doubt.
        Hold = "hold",
    }
}

choice! {
    /// Which fields of an update that has something to change are sent.
    #[derive(Default)]
    pub enum SendMode {
        /// All that its rows have.
        #[default]
        Full = "full",
        /// The key, and the fields that differ from what was last acknowledged.
        Changed = "changed",
    }
}

/// Everything the rulings depend on beside the rows and the ledger.
#[derive(Debug, Clone)]
pub struct PlanRules {
    /// Several rows of one subject.
    pub duplicates: DuplicatePolicy,
    /// Several subjects with one identifier.
    pub conflicts: ConflictPolicy,
    /// True swaps.
    pub break_cycles: CyclePolicy,
    /// Fields that may be cleared to break one.
    pub clearable: FieldSet,
    /// Subjects left in doubt.
    pub in_doubt: InDoubtPolicy,
    /// Which fields of an update are sent.
    pub send: SendMode,
    /// Whether unchanged updates are sent too (`--full`).
    pub full: bool,
    /// Age in seconds from which the acknowledgement of a field no longer makes an update of it unchanged; `None` for
    /// never.
    pub resend_after_s: Option<u64>,
    /// Whether updates refused earlier in this batch are sent again (`--retry-failed`).
    pub retry_failed: bool,
    /// Now, in seconds since the Unix epoch.
    pub now_s: i64,
    /// Sequence number of the batch on its target.
    pub batch: u64,
    /// That of the newest older batch that is open: what it has left to send may say something else than this one, and
    /// leaves no trace of it in the ledger.
    pub older_open: Option<u64>,
    /// The key field, whose value is the subject.
    pub key: FieldKind,
    /// Which entries of the ledger are of this target and key field; `None` counts none of them.
    pub tag: Option<SubjectTag>,
    /// Updates to send that are kept as samples, at most.
    pub samples: usize,
}
