//! Why a command failed; the one place that maps kinds of failure to exit codes and HTTP statuses.

use std::error::Error;
use std::fmt;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// Whose fault a failure is, in as few kinds as a script needs to tell apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum ErrorKind {
    /// A fault of ours.
    Internal,
    /// The command makes no sense as it was given.
    Usage,
    /// What was named does not exist.
    NotFound,
    /// The system, a peer or this node does not allow it.
    Denied,
    /// No peer that could help can be reached.
    Unreachable,
    /// Bytes are not what they were promised to be, or changed at the source.
    Corrupt,
    /// The disk is full.
    NoSpace,
    /// The target exists.
    Exists,
    /// Stopped before the end; the same command continues.
    Interrupted,
    /// The other end, or what is on disk, is of another version.
    Version,
    /// Another process is using it.
    Busy,
}

impl ErrorKind {
    /// Every kind, by exit code.
    pub const ALL: [ErrorKind; 11] = [
        ErrorKind::Internal,
        ErrorKind::Usage,
        ErrorKind::NotFound,
        ErrorKind::Denied,
        ErrorKind::Unreachable,
        ErrorKind::Corrupt,
        ErrorKind::NoSpace,
        ErrorKind::Exists,
        ErrorKind::Interrupted,
        ErrorKind::Version,
        ErrorKind::Busy,
    ];

    /// Exit code of the program, HTTP status, and what both mean. Scripts rely on these: never
    /// change one.
    const fn row(self) -> (u8, u16, &'static str) {
        match self {
            ErrorKind::Internal => (1, 500, "a fault of Potluck's own"),
            ErrorKind::Usage => (2, 400, "the command or its arguments make no sense"),
            ErrorKind::NotFound => (3, 404, "what was named does not exist"),
            ErrorKind::Denied => (4, 403, "not allowed, by the system, a peer or the node"),
            ErrorKind::Unreachable => (5, 504, "no peer that has it can be reached"),
            ErrorKind::Corrupt => (6, 502, "content is corrupt, or changed at its source"),
            ErrorKind::NoSpace => (7, 507, "the disk is full"),
            ErrorKind::Exists => (8, 409, "the target exists"),
            ErrorKind::Interrupted => (9, 503, "interrupted; the same command continues"),
            ErrorKind::Version => (10, 426, "the other end or the home is of another version"),
            ErrorKind::Busy => (11, 423, "another process is using it"),
        }
    }

    /// The program's exit code.
    pub const fn exit_code(self) -> u8 {
        self.row().0
    }

    /// The status of an HTTP response that carries the error.
    pub const fn http_status(self) -> u16 {
        self.row().1
    }

    /// What the kind means, in a few words.
    pub const fn meaning(self) -> &'static str {
        self.row().2
    }

    /// The name in JSON.
    pub const fn name(self) -> &'static str {
        match self {
            ErrorKind::Internal => "internal",
            ErrorKind::Usage => "usage",
            ErrorKind::NotFound => "not-found",
            ErrorKind::Denied => "denied",
            ErrorKind::Unreachable => "unreachable",
            ErrorKind::Corrupt => "corrupt",
            ErrorKind::NoSpace => "no-space",
            ErrorKind::Exists => "exists",
            ErrorKind::Interrupted => "interrupted",
            ErrorKind::Version => "version",
            ErrorKind::Busy => "busy",
        }
    }
}

/// Why a command failed, for people and for programs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ApiError {
    /// Which kind of failure.
    pub kind: ErrorKind,
    /// What happened, with the name of the thing it happened to; no full stop.
    pub message: String,
    /// What to do about it, if there is something; a command to type stands in double quotes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
    /// What led to it, the nearest first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub causes: Vec<String>,
}

impl ApiError {
    /// A failure without hint or causes.
    pub fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into(), hint: None, causes: Vec::new() }
    }

    /// A failure that is a fault of ours.
    pub fn internal(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Internal, message)
    }

    /// A command that makes no sense.
    pub fn usage(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Usage, message)
    }

    /// A failure told by an error value; its sources become the causes.
    pub fn from_error(kind: ErrorKind, error: &dyn Error) -> Self {
        let mut failure = Self::new(kind, error.to_string());
        if let Some(source) = error.source() {
            failure = failure.because(source);
        }
        failure
    }

    /// The same with a hint.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// The same with an error and its sources as causes.
    #[must_use]
    pub fn because(mut self, error: &dyn Error) -> Self {
        let mut next = Some(error);
        while let Some(cause) = next {
            let text = cause.to_string();
            // Wrappers often print their source too; saying it once is enough.
            if !self.causes.last().is_some_and(|told| told.contains(&text)) {
                self.causes.push(text);
            }
            next = cause.source();
        }
        self
    }
}

impl fmt::Display for ApiError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl Error for ApiError {}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn exit_codes_are_distinct_and_none_means_success() {
        let codes: BTreeSet<u8> = ErrorKind::ALL.iter().map(|kind| kind.exit_code()).collect();
        assert_eq!(codes, (1..=11).collect());
    }

    #[test]
    fn every_kind_has_an_error_status_and_its_json_name() {
        for kind in ErrorKind::ALL {
            assert!((400..600).contains(&kind.http_status()), "{kind:?}");
            assert_eq!(serde_json::to_value(kind).unwrap(), kind.name());
        }
    }

    #[test]
    fn causes_are_told_once_each() {
        #[derive(Debug)]
        struct Outer(std::io::Error);
        impl fmt::Display for Outer {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "cannot read films: {}", self.0)
            }
        }
        impl Error for Outer {
            fn source(&self) -> Option<&(dyn Error + 'static)> {
                Some(&self.0)
            }
        }
        let error = ApiError::internal("sharing failed")
            .because(&Outer(std::io::Error::other("the disk said no")));
        assert_eq!(error.causes, ["cannot read films: the disk said no"]);
    }
}
