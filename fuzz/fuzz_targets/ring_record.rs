//! Hands bytes of libFuzzer to the decoder of records on the circle, and to what checks them.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| potluck_fuzz::check("ring_record", bytes));
