//! What a member says about its copy of a file that is stored in a network: the answer to
//! [`What::Stored`](crate::What::Stored).

use potluck_base::{bounded, limits};
use serde::{Deserialize, Serialize};

/// How a copy is, by the word of whoever is to have it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum CopySaid {
    /// It has not been told that it is to have one.
    Unasked,
    /// It is there: every piece was verified when it came, and the file is as it was then.
    There,
    /// It is being fetched, or is about to be.
    Coming {
        /// Bytes that are there and verified.
        have: u64,
    },
    /// It is not there.
    Missing {
        /// Why, as half a sentence for people; escape before showing.
        #[serde(deserialize_with = "bounded::text::<_, { limits::COPY_WHY_BYTES }>")]
        why: String,
        /// Whether it tries again by itself before long.
        again: bool,
    },
}

impl CopySaid {
    /// The bytes of the answer; a reason that is too long is cut.
    pub fn encode(mut self) -> Vec<u8> {
        if let Self::Missing { why, .. } = &mut self {
            why.truncate(why.floor_char_boundary(limits::COPY_WHY_BYTES));
        }
        postcard::to_allocvec(&self).expect("writing to memory does not fail")
    }

    /// Reads an answer; none if it is not one.
    pub fn decode(bytes: &[u8]) -> Option<Self> {
        let (said, rest) = postcard::take_from_bytes(bytes).ok()?;
        rest.is_empty().then_some(said)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_read_as_they_were_written() {
        let pictures: [(CopySaid, &[u8]); 4] = [
            (CopySaid::Unasked, &[0]),
            (CopySaid::There, &[1]),
            (CopySaid::Coming { have: 300 }, &[2, 0xac, 2]),
            (CopySaid::Missing { why: "full".to_owned(), again: true }, b"\x03\x04full\x01"),
        ];
        for (said, bytes) in pictures {
            assert_eq!(said.clone().encode(), bytes);
            assert_eq!(CopySaid::decode(bytes), Some(said));
        }
        for bad in [&[][..], &[4], &[0, 0], &[2], &[3, 1, b'x', 2]] {
            assert_eq!(CopySaid::decode(bad), None);
        }
    }

    #[test]
    fn a_long_reason_is_cut_by_the_sender_and_refused_from_others() {
        let why = "é".repeat(limits::COPY_WHY_BYTES);
        let bytes = CopySaid::Missing { why: why.clone(), again: false }.encode();
        let Some(CopySaid::Missing { why: cut, .. }) = CopySaid::decode(&bytes) else { panic!() };
        assert!(cut.len() <= limits::COPY_WHY_BYTES && why.starts_with(&cut));
        let long = postcard::to_allocvec(&CopySaid::Missing { why, again: false }).unwrap();
        assert_eq!(CopySaid::decode(&long), None);
    }
}
