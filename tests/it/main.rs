//! The integration tests, in one binary: linking is what costs.
#![expect(clippy::unwrap_used, reason = "in a test, a panic is the report")]

// What holds for every source file: layers, doors, sizes, headers.
mod tidy;

// What every test of the real binary needs.
mod support;

// The front door: settings and their origins, address, token, help, usage.
mod door;

// Inputs that cannot be used, and every fixture by its table.
mod bad_input;

// A corpus of CSV dialects.
mod spectrum;

// Validation alone: verdicts row by row, the table, alarms, explanations.
mod check;

// NDJSON and the mapping of columns: nested members, files of other forms, hints.
mod ndjson_cases;

// Compressed inputs, other encodings, transfers that broke off.
mod bytes;

// CSV files as exports really are, through the real binary.
mod csv_cases;

// What a run tells: summary, JSON Lines, run directory, history, terminal.
mod reports;

// Row files fed back by the command that is printed.
mod fed_back;

// The demo, the sandbox command, and rehearsals with `--sandbox`.
mod demo;

// What the README says, held to the code.
mod readme;

// What an answer, or the lack of one, leads to on the wire: the verdict table, seen from both ends.
mod wire;

// The same behind a real proxy, with its own limits, pages and outages.
mod nginx;

// The doctor: every check, and the probe.
mod doctor;

// What is sent at all: rulings of the plan over several runs, replays, policies.
mod rulings;

// What plans show, and saved plans.
mod plans;

// The gates of the plan.
mod gates;
// Sending again what a run left, by run, kind and signature.
mod replay;
mod replay_each;

// Failures that an export overtakes without sending anything.
mod confirmed;
mod corrected;

// Replays that are interrupted and run again.
mod replay_resumed;

// Staging and production: what one target acknowledged says nothing of another.
mod targets;
mod tended;

// What other tools are known to get wrong, trap by trap.
mod traps;

// What can be known from outside about a run that was killed.
mod witness;

// SIGKILL at any instant, two runs at once, signals.
mod kill;

// Which rows count, in which order, and what clears a field.
mod select;

// What may change between an interrupted run and the next.
mod resume;

// SIGKILL with many rows of few subjects under `each`.
mod each;

// A run that drained, and the one that goes on with it.
mod drained;

// Older batches run late, and what is in doubt over several batches.
mod overtaken;

// Batches left open, and what is said since of what they have left.
mod left;
mod left_open;

// The state directory damaged, unwritable, full; and what must not stand in it in clear.
mod state_dir;

// No value in a file of the journal, in any spelling.
mod private;

// Faults that were found once, each by the scenario that showed it.
mod regressions;

// What an operator came upon: advice that does not help, and states nobody gets out of.
mod regressions4;

// What the model test came upon.
mod regressions5;

// What was last acknowledged for a subject.
mod lookup;

// The journal's tools: numbers, verifying, compacting.
mod tools;

// A state directory that may not be written to, or not be read.
mod permission;

// Subjects and old runs removed, so that nothing of them is left.
mod forget;

// An export recorded as applied.
mod adopt;

// Surveys beyond their memory, and what is sent of an update.
mod spill;

// One key value with more rows than memory has room for.
mod large;

// SIM swaps: chains, rings, and what a kill leaves of them.
mod swaps;

// Rings of swaps, broken by clearing one subject first.
mod rings;

// Rings begun and not finished.
mod rings_open;

// Rings and chains of which one is held.
mod rings_held;

// Rings and chains that do not wait for each other.
mod rings_apart;

// Everybody is turned away in the middle of rings and chains.
mod rings_stopped;

// What an operator is told, held to what helps.
mod told;

// Random sequences of runs against a plain model of the memory.
mod model;

// How much memory a run takes, and how it keeps to that.
mod memory;
