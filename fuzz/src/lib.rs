//! Laws that hold for every input, each as a function from bytes that panics where a law is broken.
//!
//! The programs under `targets/` hand these functions to libFuzzer, one each. Not here: how a target is built and run
//! (`fuzz/run`), and tests of named cases, which stand beside the code.

mod choices;
mod csv;
mod field;
mod header;
mod ndjson;
mod reading;

pub use csv::csv;
pub use field::field;
pub use header::header;
pub use ndjson::ndjson;
