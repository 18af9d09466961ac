//! Rows that fill an export until its survey spills. Their subjects are others than those of the model, were
//! acknowledged before the first step, and nothing is ever to be sent for them.
//!
//! Not here: the rows that matter (`rows.rs`).

use std::fmt::Write as _;

use super::journal::Remembered;

/// Rows: of some 100 bytes each in a survey, which may have a megabyte.
pub(crate) const ROWS: u64 = 14_000;

/// What all of them have, and nobody else.
pub(crate) const CLASS: &str = "filler";

/// What their keys begin with.
const PREFIX: &str = "F-";

/// The rows as text, behind others of the same columns.
pub(crate) fn text(is_ranked: bool, has_origin: bool) -> String {
    let mut text = String::new();
    let origin = [is_ranked, has_origin, has_origin].iter().filter(|has| **has).count();
    let origin = ",".repeat(origin);
    for serial in 0..ROWS {
        writeln!(text, "{},,,,{CLASS}{origin}", key(serial)).unwrap();
    }
    text
}

/// The key of one.
pub(crate) fn key(serial: u64) -> String {
    format!("{PREFIX}{serial:06}")
}

/// The journal knows all of them, or none yet, at each target; they are taken out of what is compared.
pub(crate) fn check_and_remove(remembered: &mut Remembered) -> Result<(), String> {
    let all = remembered.entries.len();
    remembered.entries.retain(|(_, subject), _| !subject.starts_with(PREFIX));
    let fillers = u64::try_from(all - remembered.entries.len()).unwrap();
    if fillers.is_multiple_of(ROWS) {
        Ok(())
    } else {
        Err(format!("{fillers} of the rows that fill are known"))
    }
}
