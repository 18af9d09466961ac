//! The fuzz target `number`: see `simsync_fuzz::field`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| simsync_fuzz::field(simsync::update::FieldKind::Number, bytes));
