//! Who has what, always: what peers publish, and the directories that hand it on.

pub mod chord;
pub mod record;
pub mod tracker;
pub mod words;
