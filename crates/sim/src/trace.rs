//! One number for all that happened: two runs of the same seed must agree on it.

use std::fmt::{self, Debug, Write};

use potluck_base::Time;

/// A running FNV-1a hash over what is written into it.
#[derive(Clone, Debug)]
pub struct Trace(u64);

impl Trace {
    /// Nothing has happened yet.
    pub fn new() -> Self {
        Self(0xcbf2_9ce4_8422_2325)
    }

    /// Something happened to a node.
    pub fn note(&mut self, now: Time, node: u32, what: &dyn Debug) {
        write!(self, "{} {node} {what:?};", now.0).expect("hashing does not fail");
    }

    /// The hash so far.
    pub fn hash(&self) -> u64 {
        self.0
    }
}

impl Default for Trace {
    fn default() -> Self {
        Self::new()
    }
}

impl Write for Trace {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for byte in text.bytes() {
            self.0 = (self.0 ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
        }
        Ok(())
    }
}
