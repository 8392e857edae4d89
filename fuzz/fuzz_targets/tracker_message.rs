//! Hands bytes of libFuzzer to the decoder of tracker messages, and to what checks their records.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| potluck_fuzz::check("tracker_message", bytes));
