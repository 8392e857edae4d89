//! The answers of two who keep one key, put together: for the moments when no single one is known
//! to have everything.
//!
//! Everything in them is signed, so that neither can add what is not; what one of them knows to be
//! taken back the other may still show, until they have compared.

use std::collections::BTreeMap;

use potluck_base::limits;
use potluck_identity::Signed;

use super::ask::{Answer, FoundHere, GroupHere, Question, Seen, Told};
use super::found::Key;
use super::record::{Files, Redeemed};
use super::search::is_same;
use crate::directory::record::ShareHead;

/// What either says.
pub(super) fn merge(one: Answer, other: Answer, question: &Question) -> Answer {
    let full = one.full || other.full;
    let told = match (one.told, other.told) {
        (Told::Count(one), Told::Count(other)) => Told::Count(one.max(other)),
        (Told::Found(one), Told::Found(other)) => Told::Found(found(one, other)),
        (
            Told::Providers { providers, more, seen },
            Told::Providers { providers: others, more: more_there, seen: also },
        ) => {
            let providers = newest(providers, others, |one| one.peer, |_| 0);
            Told::Providers { providers, more: more || more_there, seen: numbers(seen, also) }
        }
        (Told::Presences(one), Told::Presences(other)) => {
            Told::Presences(newest(one, other, |one| one.value.peer, |one| one.value.sequence))
        }
        (Told::Shares { shares, more }, Told::Shares { shares: others, more: more_there }) => {
            let sequence = |head: &Signed<ShareHead>| head.value.sequence;
            let shares = newest(shares, others, |head| head.value.share, sequence);
            Told::Shares { shares, more: more || more_there }
        }
        (Told::Files { files, more }, Told::Files { files: others, more: more_there }) => {
            let place = |files: &Files| (files.page.value.page, files.part);
            let files = newest(files, others, place, |files| files.page.value.sequence);
            Told::Files { files, more: more || more_there }
        }
        (Told::Deposits(one), Told::Deposits(other)) => {
            Told::Deposits(newest(one, other, |one| one.value.peer, |one| one.value.sequence))
        }
        (Told::Redemptions(one), Told::Redemptions(other)) => {
            Told::Redemptions(redemptions(one, other))
        }
        // One of them has answered another question.
        (one, other) if fits(&one, question) || !fits(&other, question) => one,
        (_, other) => other,
    };
    Answer { told, full }
}

/// Whether an answer is one to a question.
fn fits(told: &Told, question: &Question) -> bool {
    matches!(
        (told, question),
        (Told::Count(_), Question::Count)
            | (Told::Found(_), Question::Search(_))
            | (Told::Providers { .. }, Question::Providers { .. })
            | (Told::Presences(_), Question::Presence)
            | (Told::Shares { .. }, Question::Shares { .. })
            | (Told::Files { .. }, Question::Files { .. })
            | (Told::Deposits(_), Question::Deposits)
            | (Told::Redemptions(_), Question::Redemptions { .. })
    )
}

/// What either has, the newer of each, in order of what tells them apart.
fn newest<T, K: Ord>(
    one: Vec<T>,
    other: Vec<T>,
    key: impl Fn(&T) -> K,
    sequence: impl Fn(&T) -> u64,
) -> Vec<T> {
    let mut all: BTreeMap<K, T> = BTreeMap::new();
    for item in one.into_iter().chain(other) {
        match all.get(&key(&item)) {
            Some(known) if sequence(known) >= sequence(&item) => {}
            _ => drop(all.insert(key(&item), item)),
        }
    }
    all.into_values().collect()
}

fn numbers(one: Vec<Seen>, other: Vec<Seen>) -> Vec<Seen> {
    newest(one, other, |seen| seen.page, |seen| seen.sequence)
}

/// Groups of the first as they are, with what only the second knows; then its others.
fn found(one: FoundHere, other: FoundHere) -> FoundHere {
    let key = |here: &GroupHere| -> Key { (here.group.content, here.group.size, here.group.kind) };
    let mut groups = one.groups;
    for here in other.groups {
        match groups.iter_mut().find(|known| key(known) == key(&here)) {
            Some(known) => add(known, here),
            None => groups.push(here),
        }
    }
    FoundHere { groups, more: one.more || other.more, seen: numbers(one.seen, other.seen) }
}

fn add(known: &mut GroupHere, here: GroupHere) {
    let (group, new) = (&mut known.group, here.group);
    group.providers = group.providers.max(new.providers);
    group.partial = group.partial.max(new.partial);
    group.newest_s = group.newest_s.max(new.newest_s);
    for hit in new.hits {
        let room = group.hits.len() < limits::GROUP_HITS;
        if room && !group.hits.iter().any(|has| is_same(has, &hit)) {
            group.hits.push(hit);
        }
    }
    for (peer, partial) in here.peers {
        let room = known.peers.len() < limits::RING_GROUP_PEERS;
        match known.peers.iter_mut().find(|(has, _)| *has == peer) {
            Some((_, part)) => *part &= partial,
            None if room => known.peers.push((peer, partial)),
            None => {}
        }
    }
    let partial = known.peers.iter().filter(|(_, partial)| *partial).count() as u32;
    group.partial = group.partial.max(partial);
    group.providers = group.providers.max(known.peers.len() as u32 - partial);
}

/// The first uses, as many as the invite has.
fn redemptions(one: Vec<Redeemed>, other: Vec<Redeemed>) -> Vec<Redeemed> {
    let moment = |used: &Redeemed| (used.redemption.value.at_ms, used.redemption.value.peer);
    let mut all = newest(one, other, moment, |_| 0);
    let uses = all.iter().map(|used| used.capability.value.uses).max().unwrap_or(0);
    all.truncate((uses as usize).min(limits::RING_REDEMPTIONS));
    all
}

#[cfg(test)]
mod tests {
    use potluck_base::{ContentId, PeerId};

    use super::*;
    use crate::directory::record::EntryKind;
    use crate::directory::tracker::Group;

    fn here(content: u8, peers: &[(u8, bool)]) -> GroupHere {
        let peers: Vec<_> =
            peers.iter().map(|(peer, partial)| (PeerId([*peer; 32]), *partial)).collect();
        let partial = peers.iter().filter(|(_, partial)| *partial).count() as u32;
        let group = Group {
            content: ContentId([content; 32]),
            size: 1,
            kind: EntryKind::File,
            online: 0,
            providers: peers.len() as u32 - partial,
            partial,
            newest_s: 0,
            hits: Vec::new(),
        };
        GroupHere { group, peers }
    }

    fn answer(told: Told) -> Answer {
        Answer { told, full: false }
    }

    #[test]
    fn what_either_has_is_in_the_answer_and_nothing_twice() {
        let found =
            |groups| answer(Told::Found(FoundHere { groups, more: false, seen: Vec::new() }));
        let one = found(vec![here(1, &[(1, false), (2, true)])]);
        let other = found(vec![here(2, &[(9, false)]), here(1, &[(2, false), (3, false)])]);
        let question = Question::Search(Default::default());
        let Told::Found(both) = merge(one, other, &question).told else { panic!("found") };
        let counts: Vec<_> = both
            .groups
            .iter()
            .map(|here| (here.group.content.0[0], here.group.providers, here.peers.len()))
            .collect();
        assert_eq!(counts, [(1, 3, 3), (2, 1, 1)]);
    }

    #[test]
    fn an_answer_to_another_question_is_dropped_and_a_full_key_stays_full() {
        let count = Answer { told: Told::Count(3), full: true };
        let other = answer(Told::Deposits(Vec::new()));
        for both in [
            merge(count.clone(), other.clone(), &Question::Count),
            merge(other, count, &Question::Count),
        ] {
            assert_eq!((both.told, both.full), (Told::Count(3), true));
        }
    }
}
