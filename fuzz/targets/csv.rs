//! The fuzz target `csv`: see `simsync_fuzz::csv`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| simsync_fuzz::csv(bytes));
