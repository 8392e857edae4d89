//! Words in names: how a text becomes words, how a query is read, and what fits it. The tracker's
//! index, the ring's and the lists in memory all read names in this one way.

mod kinds;
mod query;
mod score;
mod text;

pub use kinds::file_type;
pub use query::{Wanted, WantedWord};
pub use score::Judge;
pub use text::{Kind, Token, mark, tokens};
