//! Hands bytes of libFuzzer to the decoder of questions about records on the circle.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| potluck_fuzz::check("ring_question", bytes));
