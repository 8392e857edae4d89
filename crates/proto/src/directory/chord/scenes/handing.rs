//! Records that change hands: leaves, joins, circles that become one, and who is asked meanwhile.

use super::{Command, Event, Note, Params, Peer, Town, params, place};
use crate::directory::chord::message::{Message, Reply, Request};
use crate::directory::chord::{Reject, RingId, Value};

const PEERS: [u16; 8] = [100, 220, 340, 460, 580, 700, 820, 940];

fn once() -> Params {
    Params { replicas: 1, ..params(4) }
}

fn put(town: &mut Town, key: u128, note: Note) {
    let copies = note.copies.map_or(town.node(100).params.replicas, usize::from);
    assert_eq!(town.put(100, vec![(place(key), note)])[0].2, Ok(copies as u8));
}

fn has_left(town: &Town, peer: u16) -> bool {
    town.events.iter().any(|(who, event)| *who == Peer(peer) && matches!(event, Event::Left))
}

fn copy(id: u32, key: RingId, note: Note) -> super::Message {
    Message::Call { id, body: Request::Copy { records: vec![(key, note)] } }
}

/// The range of one peer grows, and those behind it do not say what they have of it.
fn unsettle_460(town: &mut Town) {
    fn says_nothing(_: Peer, message: super::Message) -> Option<super::Message> {
        let said = matches!(
            message,
            Message::Answer { body: Reply::Same | Reply::Names(_) | Reply::Parts(_), .. }
        );
        (!said).then_some(message)
    }
    town.twists.insert(Peer(580), says_nothing);
    town.twists.insert(Peer(700), says_nothing);
    town.kill(340);
    run_until(town, |town| !town.node(460).is_settled());
}

/// Lets time pass until something is so.
fn run_until(town: &mut Town, so: impl Fn(&Town) -> bool) {
    for _ in 0..6_000 {
        if so(town) {
            return;
        }
        town.run(10);
    }
    panic!("it does not come to that");
}

#[test]
fn a_keeper_that_has_nothing_does_not_hide_what_an_unsettled_owner_has() {
    let mut town = Town::of(params(4), &PEERS);
    put(&mut town, 400, Note { copies: Some(1), ..Note::new(1, 1) });
    unsettle_460(&mut town);
    assert_eq!(town.ask(100, place(400)), Some((Peer(460), vec![(1, 1)])));
}

#[test]
fn what_keepers_say_who_may_not_know_all_is_put_together_newest_first() {
    let mut town = Town::of(params(4), &PEERS);
    for (peer, slot, version) in [(460, 1, 1), (580, 1, 2), (580, 2, 1), (700, 3, 1)] {
        let note = Note { copies: Some(1), ..Note::new(slot, version) };
        town.send(Peer(100), Peer(peer), copy(9, place(400), note));
    }
    unsettle_460(&mut town);
    let told = town.ask(100, place(400)).unwrap();
    assert_eq!(told.1, [(1, 2), (2, 1), (3, 1)]);
}

#[test]
fn a_leave_takes_no_copy_away() {
    for leaver in [460, 580, 700] {
        let mut town = Town::of(params(4), &PEERS);
        put(&mut town, 400, Note::new(1, 1));
        town.tell(leaver, Command::Leave);
        run_until(&mut town, |town| has_left(town, leaver));
        town.kill(leaver);
        let others = [460, 580, 700, 820].into_iter().filter(|peer| *peer != leaver);
        assert_eq!(town.holders(place(400)), others.collect::<Vec<u16>>(), "{leaver}");
    }
}

#[test]
fn a_leave_takes_no_copy_of_what_is_out_of_place_away() {
    let mut town = Town::of(Params { replicas: 2, ..params(4) }, &PEERS);
    for peer in [820, 940] {
        town.send(Peer(100), Peer(peer), copy(9, place(400), Note::new(1, 1)));
    }
    town.run(1_000);
    town.tell(820, Command::Leave);
    run_until(&mut town, |town| has_left(town, 820));
    town.kill(820);
    assert_eq!(town.holders(place(400)), [100, 940]);
}

#[test]
fn who_is_counted_on_by_a_leaver_does_not_drop_what_it_was_handing_over() {
    let mut town = Town::of(once(), &PEERS);
    put(&mut town, 400, Note::new(1, 1));
    town.send(Peer(100), Peer(580), copy(9, place(400), Note::new(1, 1)));
    // It hands its copy over; the owner's word for it meets the owner's leave.
    let handed = |town: &Town| town.node(580).puts.values().next().is_some();
    run_until(&mut town, handed);
    town.tell(460, Command::Leave);
    run_until(&mut town, |town| has_left(town, 460));
    town.kill(460);
    town.run(5_000);
    assert_eq!(town.holders(place(400)), [580]);
}

#[test]
fn a_leaver_that_gets_no_answer_asks_again_before_it_goes() {
    let mut town = Town::of(once(), &[100, 600]);
    put(&mut town, 400, Note::new(1, 1));
    town.part(&[100], &[600]);
    town.tell(600, Command::Leave);
    town.run(2_500);
    town.heal();
    run_until(&mut town, |town| has_left(town, 600));
    town.kill(600);
    assert_eq!(town.holders(place(400)), [100]);
}

#[test]
fn a_leaver_whose_only_neighbour_is_just_coming_in_waits_for_it() {
    let mut town = Town::of(once(), &[600]);
    let note = Note::new(1, 1);
    assert_eq!(town.put(600, vec![(place(400), note)])[0].2, Ok(1));
    town.come(100, &[600]);
    // It has asked the leaver to take it in, and is not in yet.
    run_until(&mut town, |town| town.node(600).predecessor() == Some(Peer(100)));
    town.tell(600, Command::Leave);
    run_until(&mut town, |town| has_left(town, 600));
    town.kill(600);
    assert_eq!(town.holders(place(400)), [100]);
}

#[test]
fn who_leaves_while_it_joins_comes_in_first_and_takes_nothing_along() {
    let mut town = Town::of(once(), &PEERS);
    let lost = Note::new(1, 1);
    town.disk.entry(Peer(500)).or_default().insert((place(200), lost.slot()), lost);
    town.come(500, &[100]);
    town.tell(500, Command::Leave);
    run_until(&mut town, |town| has_left(town, 500));
    town.kill(500);
    town.run(120_000);
    assert_eq!(town.holders(place(200)), [220]);
    town.assert_whole();
}

#[test]
fn a_copy_that_came_a_moment_ago_waits_for_its_owner_before_it_is_handed_over() {
    let mut town = Town::of(params(4), &PEERS);
    put(&mut town, 400, Note::new(1, 1));
    town.send(Peer(460), Peer(940), copy(9, place(400), Note::new(1, 1)));
    town.run(25_000);
    assert_eq!(town.holders(place(400)), [460, 580, 700, 940]);
    town.run(60_000);
    assert_eq!(town.holders(place(400)), [460, 580, 700]);
}

#[test]
fn what_is_handed_over_and_finds_no_room_goes_on_and_is_forgotten_where_it_was() {
    // The key that follows is another's, or belongs to who hands over.
    for child in [650, 800] {
        let mut town = Town::of(params(4), &PEERS);
        for slot in 0..9 {
            let note = Note { bytes: 100 * 1024, ..Note::new(slot, 1) };
            put(&mut town, 300, note);
        }
        let parts = vec![place(child)];
        let stray = Note { bytes: 100 * 1024, parts, ..Note::new(77, 1) };
        let late = town.put(100, vec![(place(300), Note { parts: Vec::new(), ..stray.clone() })]);
        assert_eq!(late[0].2, Err(Reject::Full));
        town.disk.get_mut(&Peer(820)).unwrap().insert((place(300), stray.slot()), stray);
        town.kill(820);
        town.come(820, &[100]);
        town.run(200_000);
        let has = |peer: u16, key: u128| {
            let mut records = town.node(peer).records();
            records.any(|(under, note)| under == place(key) && note.slot == 77)
        };
        assert!(!has(820, 300), "{child}");
        assert!(has(town.owner(place(child)).0, child), "{child}");
        assert_eq!(town.holders(place(child)).len(), 3, "{child}");
    }
}

#[test]
fn a_joiner_is_settled_when_it_has_even_what_is_kept_once() {
    let mut town = Town::of(once(), &PEERS);
    put(&mut town, 390, Note::new(1, 1));
    town.come(395, &[100]);
    run_until(&mut town, |town| town.node(395).is_settled());
    assert_eq!(town.holders(place(390)), [395, 460]);
}

#[test]
fn a_joiner_is_settled_when_it_has_what_did_not_fit_into_one_message() {
    let mut town = Town::of(params(4), &PEERS);
    let note = |slot| Note { bytes: 100 * 1024, ..Note::new(slot, 1) };
    let records = (0..20u64).map(|slot| (place(345 + u128::from(slot)), note(slot)));
    let results = town.put(100, records.collect());
    assert!(results.iter().all(|(_, _, result)| *result == Ok(3)));
    town.come(395, &[100]);
    run_until(&mut town, |town| town.node(395).is_settled());
    assert_eq!(town.node(395).record_count(), 20);
}
