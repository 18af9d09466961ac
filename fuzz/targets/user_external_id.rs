//! The fuzz target `user_external_id`: see `simsync_fuzz::field`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| simsync_fuzz::field(
    simsync::update::FieldKind::UserExternalId,
    bytes
));
