//! Delivery, decided: what to send next, when, and what an outcome means. Pure: no clock, no randomness, no I/O;
//! moments and jitter are passed in, so that a test can live through thousands of bad days in seconds.
//!
//! One update's way: `offer` → a place in its subject's lane → `next` (an attempt, under a permit the caller holds)
//! → `on_outcome` → a verdict. What stands in the way of sending is one file each: the shared quiet (`pause.rs`),
//! the breaker (`breaker.rs`), the token (`token.rs`), the guard at first contact (`guard.rs`), how many may be on
//! the wire at once (`concurrency.rs`), and the spacing for a server that fails many (`brake.rs`), turns away
//! what comes too fast (`shed.rs`) or counts what it takes (`quota.rs`). What is read beyond what is offered, while the
//! server is down, stands in `ahead.rs`.
//!
//! Not here: the rate limit (`engine/permits.rs`), HTTP (`api/`), the journal, and which passes a run makes
//! (`deliver.rs`).

mod ahead;
mod alone;
mod brake;
mod breaker;
mod budget;
mod concurrency;
mod decision;
mod free;
mod guard;
mod in_a_row;
mod lanes;
mod pause;
mod quota;
mod redirects;
mod retry;
mod ruling;
mod same;
mod schedule;
mod shed;
mod slowing;
mod suspects;
mod token;
mod turned_away;
mod unprocessed;

pub mod outcome;
pub mod rules;

pub use ahead::Ahead;
pub use concurrency::Bound;
pub use decision::{
    Action, Attempt, Condition, Decision, Leftover, Offer, REASON_QUOTA, REASON_RETRY_AFTER,
    REASON_THROTTLED, TokenRead, UpdateId,
};
pub use rules::DeliveryRules;
pub use schedule::Scheduler;
pub use slowing::Slowing;
pub use turned_away::{FEW_MAX, TurnedAway};

#[cfg(test)]
mod sim;
#[cfg(test)]
mod tests;
