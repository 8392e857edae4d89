//! The `potluck` program.
fn main() {}
