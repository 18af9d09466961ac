//! The fuzz target `ndjson`: see `simsync_fuzz::ndjson`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| simsync_fuzz::ndjson(bytes));
