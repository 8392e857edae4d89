//! Hands bytes of libFuzzer to the decoder of invites.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| potluck_fuzz::check("invite", bytes));
