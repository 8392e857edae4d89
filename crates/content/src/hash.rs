//! The hash that names content.

use potluck_base::ContentId;

/// The plain BLAKE3 hash of some bytes: their content id.
pub fn hash(bytes: &[u8]) -> ContentId {
    ContentId(*blake3::hash(bytes).as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_id_is_what_b3sum_prints() {
        let nothing = "af1349b9f5f9a1a6a0404dea36dcc9499bcb25c9adc112b7cc9a93cae41f3262";
        assert_eq!(hash(b"").to_string(), nothing);
        let abc = "6437b3ac38465133ffb63b75273a8db548c558465d79db03fd359c6cd5bd9d85";
        assert_eq!(hash(b"abc").to_string(), abc);
    }
}
