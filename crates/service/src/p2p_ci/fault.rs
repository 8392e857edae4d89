//! Why something with an old peer or server did not work.

use potluck_proto::p2p_ci::AnswerFault;

/// What went wrong, sorted by whose fault it is.
#[derive(Debug, thiserror::Error)]
pub enum CiFault {
    /// What it said cannot be understood.
    #[error("{0}")]
    Garbled(#[from] AnswerFault),
    /// It sent less than it announced.
    #[error("the file ends after {got} of {wanted} bytes")]
    Short {
        /// Bytes that came.
        got: u64,
        /// Bytes that were announced.
        wanted: u64,
    },
    /// It has no such file.
    #[error("it has no such file")]
    NotFound,
    /// It refused with another status.
    #[error("it refused with status {0}")]
    Refused(u16),
    /// The file is longer than we want to take.
    #[error("the file is longer than {limit} bytes")]
    TooLarge {
        /// Bytes that we would take.
        limit: u64,
    },
    /// It says nothing, or nothing more.
    #[error("it does not answer")]
    Silent,
    /// It cannot be reached, or the connection broke, or the file cannot be written.
    #[error(transparent)]
    Io(#[from] std::io::Error),
}
