//! Stories of the index.
