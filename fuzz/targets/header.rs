//! The fuzz target `header`: see `simsync_fuzz::header`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| simsync_fuzz::header(bytes));
