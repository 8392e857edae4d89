//! Whose turn it is to hold a file: a decision without a clock, a disk or a network.
//!
//! Those who keep the key of a content stand in one order that all of them know. The first of them
//! hold it; for each of those that cannot, the next one behind them does.

use std::collections::BTreeMap;

use potluck_base::{PeerId, limits};
use potluck_proto::CopySaid;
use potluck_proto::directory::chord::index::Deposit;

use super::copies::Heard;

/// Those of whom some hold a deposit's content, in order: as many as there are to be copies, then
/// the spare ones. Whoever published it is left out, as its own file is no copy.
pub(crate) fn candidates(keepers: &[PeerId], deposit: &Deposit) -> Vec<PeerId> {
    let most = usize::from(deposit.copies) + limits::DEPOSIT_SPARES;
    keepers.iter().filter(|peer| **peer != deposit.peer).take(most).copied().collect()
}

/// Those whose turn it is: the first `copies` of the candidates that have not said that they
/// cannot hold it.
pub(super) fn chosen(
    candidates: &[PeerId],
    copies: u8,
    heard: &BTreeMap<PeerId, Heard>,
) -> Vec<PeerId> {
    let can = candidates.iter().filter(|peer| !heard.get(peer).is_some_and(cannot));
    can.take(usize::from(copies)).copied().collect()
}

/// Whether somebody says that it cannot hold a file, not now and not before long. One that is
/// silent says nothing: it is back in a moment, or the circle closes over its place.
fn cannot(heard: &Heard) -> bool {
    matches!(heard, Heard::Said(CopySaid::Missing { again: false, .. }))
}

#[cfg(test)]
mod tests {
    use potluck_base::{ContentId, NetworkId};
    use potluck_proto::directory::record::EntryKind;

    use super::*;

    fn peer(number: u8) -> PeerId {
        PeerId([number; 32])
    }

    fn deposit(copies: u8) -> Deposit {
        Deposit {
            network: NetworkId([1; 32]),
            peer: peer(9),
            content: ContentId([2; 32]),
            name: "film".to_owned(),
            size: 1,
            kind: EntryKind::File,
            copies,
            sequence: 1,
            expires_ms: 1,
            removed: false,
        }
    }

    fn said(all: &[(u8, CopySaid)]) -> BTreeMap<PeerId, Heard> {
        all.iter().map(|(who, said)| (peer(*who), Heard::Said(said.clone()))).collect()
    }

    fn missing(again: bool) -> CopySaid {
        CopySaid::Missing { why: String::new(), again }
    }

    #[test]
    fn the_publisher_is_no_candidate_and_there_are_as_many_spares_as_agreed() {
        let keepers: Vec<PeerId> = [9, 1, 2, 3, 4, 5].map(peer).to_vec();
        assert_eq!(candidates(&keepers, &deposit(2)), [1, 2, 3, 4].map(peer));
        assert_eq!(candidates(&keepers[..2], &deposit(2)), [peer(1)]);
    }

    #[test]
    fn the_next_one_takes_the_turn_of_each_that_cannot() {
        let all = [1, 2, 3, 4].map(peer);
        assert_eq!(chosen(&all, 2, &said(&[])), [peer(1), peer(2)]);
        assert_eq!(chosen(&all, 2, &said(&[(1, missing(false))])), [peer(2), peer(3)]);
        let full = said(&[(1, missing(false)), (2, missing(false)), (3, missing(false))]);
        assert_eq!(chosen(&all, 2, &full), [peer(4)]);
    }

    #[test]
    fn who_will_have_it_or_is_silent_keeps_its_turn() {
        let all = [1, 2, 3].map(peer);
        let mut heard = said(&[(1, missing(true)), (2, CopySaid::Coming { have: 0 })]);
        assert_eq!(chosen(&all, 2, &heard), [peer(1), peer(2)]);
        heard.insert(peer(1), Heard::Silent { why: "it does not answer".to_owned() });
        assert_eq!(chosen(&all, 2, &heard), [peer(1), peer(2)]);
    }
}
