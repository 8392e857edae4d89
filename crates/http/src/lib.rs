//! The HTTP API over a NodeHandle.
