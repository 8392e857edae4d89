//! Hands bytes of libFuzzer to the decoder of answers about records on the circle, and to searches.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| potluck_fuzz::check("ring_answer", bytes));
