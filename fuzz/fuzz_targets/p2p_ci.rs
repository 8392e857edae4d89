//! Hands bytes of libFuzzer to the decoder of P2P-CI/1.0.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| potluck_fuzz::check("p2p_ci", bytes));
