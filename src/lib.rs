//! simsync keeps a telecom device-management platform in step with a CRM: it reads CSV or NDJSON exports, checks every
//! row, plans what has to change, and sends one update per subscriber, at the rate the API allows, never losing a
//! row and never repeating an acknowledged one.
//!
//! This page is the map of the code.
//!
//! # Bird's-eye view
//!
//! A run is a batch worker: it starts, does the job, tells what it did, and ends with an exit code ([`exit`]). It
//! goes over the input twice. Pass 1 ([`survey`]) has no network: it checks every row, joins the batch with the ledger
//! of what was last acknowledged, and gives every row exactly one disposition ([`plan`]). Gates may stop the run there.
//! Pass 2 ([`deliver`]) reads the same bytes again and sends what the plan ruled to be sent. Where rows need a
//! person, a last reading writes them into files that can be corrected and fed back as they are.
//!
//! # Life of a row
//!
//! ```text
//! pass 1   input ─▶ map columns ─▶ check fields ─▶ identify ─▶ partitions of subjects ─┐ (stretches of CSV on all cores)
//!          ledger, in the same slices ─────────────────────────────────────────────────┴─▶ Plan: one Ruling per row
//! pass 2   input ─▶ the same judge ─▶ Ruling? ─▶ Folding ─▶ intent (journal) ─▶ Scheduler ─▶ permit ─▶ attempt
//!                                                                                   ▲                  │
//!                                                              retry in ────────────┘◀── Outcome ──────┤
//!                                                              outcome record (journal) ◀── Verdict ───┘
//!                                                              durable ─▶ event ─▶ every report
//! end      input ─▶ the same judge ─▶ Ruling and fate ─▶ rejected, failed, in_doubt, conflicts, superseded .csv
//! ```
//!
//! # Code map, in reading order
//!
//! | room | what it is |
//! |---|---|
//! | [`cli`], [`config`], [`settings`] | the front door: as typed, then as meant (one final, validated `Settings`) |
//! | [`survey`], [`deliver`] | wiring: pass 1 (several threads, gathered in order) and pass 2 (main, chronic, chains, broken swaps, deferred); the only emitters of events |
//! | [`engine`] | edge: threads, runtimes, permit dispatcher, clock, chance, signals, one heap |
//! | [`input`] | edge: bytes to text, CSV and NDJSON to rows, header mapping; block hashes, so that both passes see the same bytes |
//! | [`journal`] | edge: the only sled and grenad; log, watermark, ledger generations, lock; a view without the lock; verify, rewrite, forget |
//! | [`api`] | edge: the only reqwest; envelope, token, answer to outcome, signatures |
//! | [`report`] | edge: the only printer; progress, summary, JSON Lines, run directory, row files |
//! | [`sandbox`] | edge: the embedded API with faults on demand |
//! | [`spill`] | edge: private temporary partitions, in memory and then in one file without a name |
//! | [`plan`] | pure: conditions, order of a subject's rows, the join with the ledger in partitions, fold of rows, conflicts, chains of swaps, gates |
//! | [`delivery`] | pure: what to send next, when, how much at once, and what an outcome means |
//! | [`fields`] | pure: one file per field, the table of rules, what only whole columns show |
//! | [`row`], [`update`], [`digest`], [`ledger`], [`event`], [`stats`], [`exit`] | facts: types everyone may know |
//! | [`choice`], [`near`], [`count`] | facts: how enums have names, how a mistyped name finds its neighbor, and counts in words |
//!
//! # Invariants, most of them absences
//!
//! - Nothing imports upward, and edges never import each other; pure code knows no clock, no randomness, no logger. One
//!   third-party crate has one home. The tidy test in `tests/it` holds all of that, and the sizes of files and
//!   functions.
//! - No event, log, metric, journal record or error text holds a value of a field. The journal knows keyed hashes
//!   ([`digest::StateKey`]); only the row files hold values, and they are private.
//! - Every number anywhere is a fold over events ([`stats::Stats`]); nothing else counts anything.
//! - A fact is reported after it is durable, never before: the driver emits `UpdateSynced` when the journal has
//!   answered.
//! - At most one attempt per subject is on the wire, and every attempt has a permit of its own.
//! - What one request sets is decided by the plan alone; delivery only decides when it goes out and what its outcome
//!   means.
//!
//! # Durability
//!
//! An intent is durable before its request may leave, an outcome before it is reported. A commit is sled's flush,
//! then `sync_data` on the log's own file, then the watermark's. After `kill -9` or power loss the same command again
//! sends every unacknowledged row and no row whose acknowledgement was committed; updates with an intent and no
//! outcome are *in doubt*, are named, and are sent again or held, as `in_doubt` says. How many they can be is bounded
//! by [`deliver::DeliverRules::window`], besides those that wait for a retry or behind one of their subject; what is
//! read ahead while the server is down has no intent until it is sent.
//! Past its bound the log is folded beside the commits; intents still open are carried beside their entries, so that
//! a later refusal or withdrawal restores what was known. An opening after a kill reads the log once, in stretches on
//! several threads, and folds it by shares of the subjects' range; beside a run a fold takes one thread and little of
//! the disk.
//!
//! # Memory
//!
//! Of a row one byte stays, its ruling. What else pass 1 knows of rows lies in partitions by subject, in memory up to
//! `plan.memory_max` and beyond it in [`spill`]; a partition is joined with its slice of the ledger on one of several
//! threads. The rules walk over the rows of a subject, which lie in chunks on the disk where they are more than
//! `plan.subject_rows_max`. The value partitions that find conflicts and swaps hold only what a changing row claims, or
//! what matches one; of a value that millions share only a part is in memory. What became of failed updates lies in
//! partitions by subject too, until the row files ask for it by row. Threads share one heap ([`engine::memory`]).
//!
//! # How to add
//!
//! A field kind: a file in `fields/` and a line in its table. An input format: a file in `input/` and a match arm. A
//! report: a file in `report/` and a line. An event: add the variant, and the compiler lists who must care. A setting:
//! a line in the table of [`settings`].

pub mod cli;
pub mod config;
pub mod settings;

pub mod deliver;
pub mod survey;

pub mod api;
pub mod engine;
pub mod input;
pub mod journal;
pub mod report;
pub mod sandbox;
pub mod spill;

pub mod delivery;
pub mod fields;
pub mod plan;

pub mod choice;
pub mod count;
pub mod digest;
pub mod event;
pub mod exit;
pub mod ledger;
pub mod near;
pub mod row;
pub mod stats;
pub mod update;
