//! The system's clock and its dice.

use std::time::{SystemTime, UNIX_EPOCH};

use crate::error::ServiceError;

/// The time by this machine's clock, milliseconds since 1970.
pub fn now_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

/// A seed for decisions that nobody must guess but nothing secret hangs on.
pub(crate) fn random_seed() -> u64 {
    getrandom::u64().unwrap_or_else(|error| {
        // Only order and pauses depend on it.
        tracing::warn!(%error, "no randomness from the system");
        0
    })
}

/// Bytes for a key.
pub fn random_key<const N: usize>() -> Result<[u8; N], ServiceError> {
    let mut key = [0; N];
    getrandom::fill(&mut key).map_err(|error| ServiceError::NoRandomness(error.to_string()))?;
    Ok(key)
}
