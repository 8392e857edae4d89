//! The texts that people pass on: a prefix, then bytes and their checksum in base32.
//!
//! Goals: they survive chat programs, mail, terminals and QR codes, and say so when they were
//! damaged. Non-goals: secrecy, proof of who made them.

use potluck_base::limits;

const SCHEME: &str = "potluck:";
const CHECKSUM_BYTES: usize = 4;

/// Why a text cannot be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TextError {
    /// It does not look like one at all.
    #[error("this is not {what}: it would start with \"{prefix}\"")]
    Other {
        /// What was to be read.
        what: &'static str,
        /// How that starts.
        prefix: &'static str,
    },
    /// Characters are missing or wrong.
    #[error("{what} is damaged here: copy it again, from the first to the last character")]
    Damaged {
        /// What was to be read.
        what: &'static str,
    },
    /// It follows rules that are newer than this program.
    #[error("{what} was made by a newer version of Potluck here: update this one")]
    Newer {
        /// What was to be read.
        what: &'static str,
    },
    /// It arrived as it was made, but what it says makes no sense.
    #[error("{what} cannot be used: {why}")]
    Invalid {
        /// What was to be read.
        what: &'static str,
        /// What is wrong.
        why: &'static str,
    },
}

/// One kind of text.
pub(crate) struct TextForm {
    /// What it is, with its article.
    pub(crate) what: &'static str,
    /// What all versions start with.
    pub(crate) family: &'static str,
    /// What this version starts with: the family and 1.
    pub(crate) prefix: &'static str,
}

impl TextForm {
    /// The text of some bytes.
    pub(crate) fn print(&self, body: &[u8]) -> String {
        let bytes = [body, &checksum(body)].concat();
        let mut text = data_encoding::BASE32_NOPAD.encode(&bytes);
        text.make_ascii_lowercase();
        format!("{}{text}", self.prefix)
    }

    /// The bytes of a text, as they were made; in any case, with or without `potluck:` before it.
    pub(crate) fn read(&self, text: &str) -> Result<Vec<u8>, TextError> {
        let text = text.trim();
        let text = strip_prefix(text, SCHEME).unwrap_or(text);
        if text.len() > limits::INVITE_CHARS {
            return Err(TextError::Other { what: self.what, prefix: self.prefix });
        }
        let text = strip_prefix(text, self.prefix).ok_or_else(|| self.not_ours(text))?;
        let damaged = TextError::Damaged { what: self.what };
        let mut bytes = data_encoding::BASE32_NOPAD
            .decode(text.to_ascii_uppercase().as_bytes())
            .map_err(|_| damaged)?;
        let (body, sum) = bytes.split_last_chunk::<CHECKSUM_BYTES>().ok_or(damaged)?;
        if *sum != checksum(body) {
            return Err(damaged);
        }
        bytes.truncate(bytes.len() - CHECKSUM_BYTES);
        Ok(bytes)
    }

    /// What is wrong with a text that is whole but makes no sense.
    pub(crate) fn invalid(&self, why: &'static str) -> TextError {
        TextError::Invalid { what: self.what, why }
    }

    /// A later version would count on.
    fn not_ours(&self, text: &str) -> TextError {
        let later = strip_prefix(text, self.family)
            .is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_digit()));
        if later {
            TextError::Newer { what: self.what }
        } else {
            TextError::Other { what: self.what, prefix: self.prefix }
        }
    }
}

fn checksum(body: &[u8]) -> [u8; CHECKSUM_BYTES] {
    let hash = blake3::hash(body);
    std::array::from_fn(|i| hash.as_bytes()[i])
}

/// The rest of `text` after `prefix`, in whatever case.
fn strip_prefix<'a>(text: &'a str, prefix: &str) -> Option<&'a str> {
    let (start, rest) = text.split_at_checked(prefix.len())?;
    start.eq_ignore_ascii_case(prefix).then_some(rest)
}
