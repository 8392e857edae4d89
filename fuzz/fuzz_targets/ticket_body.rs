//! Hands bytes of libFuzzer to the decoder of what stands in a ticket.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| potluck_fuzz::check("ticket_body", bytes));
