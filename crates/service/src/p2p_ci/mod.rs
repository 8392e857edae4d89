//! The classic course protocol P2P-CI/1.0 on this node's side: serving files to old peers, and
//! fetching from them.
//!
//! - [`GetServer`]: a peer's own GET server, over [`CiFiles`].
//! - [`fetch`]: a file from an old peer. [`CiClient`]: ADD, LOOKUP and LIST at an old server.
//!
//! Everything here is clear text between programs that prove nothing: see
//! `docs/spec/09-p2p-ci.md`.

mod body;
mod client;
mod fault;
mod fetch;
mod keep;
pub(crate) mod listen;
mod offered;
mod serve;
pub(crate) mod talk;
#[cfg(test)]
mod tests;

use potluck_base::ContentId;

pub use client::{CiClient, Me};
pub use fault::CiFault;
pub use fetch::{Fetched, Wanted, fetch};
pub use keep::fetch_and_place;
pub use offered::Offered;
pub use serve::{CiFile, CiFiles, GetServer};

/// The number under which a file goes in P2P-CI. Files called like `rfc123.txt`, `123.txt` or
/// `RFC 123 …` have that number; others the first 31 bits of their content id. Never 0.
pub fn number_of(name: &str, content: &ContentId) -> u32 {
    let [a, b, c, d, ..] = content.0;
    let bits = u32::from_be_bytes([a, b, c, d]) >> 1;
    number_in(name).unwrap_or_else(|| bits.max(1))
}

/// The number that a name says.
fn number_in(name: &str) -> Option<u32> {
    let name = name.rsplit('/').next().unwrap_or(name).trim().to_ascii_lowercase();
    let stem = name.rsplit_once('.').map_or(name.as_str(), |(stem, _)| stem);
    let (rest, named) = match stem.strip_prefix("rfc") {
        Some(rest) => (rest.trim_start_matches([' ', '-', '_']), true),
        None => (stem, false),
    };
    let digits = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
    let follows = rest[digits..].chars().next();
    let ends = if named { !follows.is_some_and(char::is_alphanumeric) } else { follows.is_none() };
    let number: u32 = rest[..digits].parse().ok()?;
    (ends && (1..=i32::MAX as u32).contains(&number)).then_some(number)
}

/// Our operating system, as a header says it.
pub(crate) fn os() -> String {
    format!("Potluck on {}", std::env::consts::OS)
}
