//! Chord at scale: a million peers in virtual time, the papers' experiments beside the papers'
//! figures, and small worlds full of trouble.

mod case;
mod gauge;
mod ideal;
mod liar;
mod note;
mod player;
mod plot;
mod published;
mod sky;
mod spot;
mod tables;
mod tally;
pub mod trouble;
mod weather;
mod wheel;

pub use case::{Case, Mode, Report, run};
pub use gauge::{Wire, bytes_of, resident_bytes};
pub use ideal::{Ideal, Tables, Wanted};
pub use liar::Liars;
pub use note::{Known, Note};
pub use player::{Beside, Carried, Player};
pub use sky::{Peer, Sky, Told};
pub use spot::{Spot, child_key, first_spot, key};
pub use tables::write_tables;
pub use tally::Tally;
pub use weather::{Delay, apart};
pub use wheel::{Slab, Wheel};
