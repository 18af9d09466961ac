//! The plan: one ruling per row, made before the first request leaves.
//!
//! Pure over iterators. Conditions ([`Filter`]) say which rows are rows of the job. Pass 1 feeds a [`Survey`] row by
//! row, which joins them with the ledger, partition by partition, and makes a [`Plan`]: rulings by ordinal, counts,
//! conflicts. [`gates()`] looks at the counts. Pass 2 asks the plan row by row and folds the rows of a subject into
//! updates with [`Folding`]. Not here: reading rows, hashing values, sending, printing, any clock.

pub use beside::{Beside, Linked};
pub use chain::{CHAIN_LINKS_MAX_DEFAULT, SWAPS_LISTED_MAX, Swap};
pub use conflict::{CONFLICT_GROUPS_MAX, CONFLICT_ORDINALS_MAX, ConflictGroup};
pub use cycle::{Clearing, Obstacle, clear_version};
pub use dispositions::{BesideError, IN_DOUBT_ORDINALS_MAX, Plan};
pub use filter::{Filter, FilterError, Kept, Operator};
pub use folding::{Folded, Folding, ROWS_HELD_MAX_DEFAULT};
pub use gates::{
    ALARM_ROWS_MIN_DEFAULT, BLANK_SHARE_MAX_DEFAULT, CHANGED_SHARE_MAX_DEFAULT, CHANGED_SUBJECTS_MIN_DEFAULT,
    CLEARS_SHARE_MAX_DEFAULT, DAMAGE_SHARE_MAX_DEFAULT, GATE_NAMES, GateRules, KEY_REPEATED,
    KEY_REPEATED_MAX_DEFAULT, KEY_REPEATED_ROWS_MIN_DEFAULT, REJECTED_ROWS_MIN_DEFAULT,
    REJECTED_SHARE_MAX_DEFAULT, REPEATED_MAX_DEFAULT, ROWS_DROP_MAX_DEFAULT, Tripped, USUAL_ROWS_MIN_DEFAULT,
    gates, many_rows,
};
pub use order::{OrderError, OrderKind, OrderValue, RANK_OLDEST};
pub use phases::JoinError;
pub use rules::{ConflictPolicy, CyclePolicy, DuplicatePolicy, InDoubtPolicy, PlanRules, SendMode};
pub use ruling::Ruling;
pub use shared::SharedKind;
pub use space::{Hands, InMemory, LedgerSlices, NoLedger, OneHand, Partitions, Space};
pub use staged::Staged;
pub use survey::{PARTITION_BITS_DEFAULT, SUBJECT_ROWS_MAX_DEFAULT, Survey, SurveyBounds, Surveyed};
pub use tally::Sample;
pub use waves::RINGS_OPEN_MAX;

mod filter;
mod order;

mod rules;
mod ruling;

mod space;
mod staged;
mod survey;

mod record;
mod reorder;

mod phases;

mod large;
mod leaves;
mod rows;
mod ruler;

mod ahead;
mod corrected;
mod join;
mod plain;

mod judge;

mod behind;
mod chain;
mod claim;
mod conflict;
mod cycle;
mod links;
mod matching;
mod shared;
mod values;
mod waves;

mod beside;
mod tally;

mod dispositions;

mod gates;
mod usual;

mod folding;

#[cfg(test)]
mod tests;
