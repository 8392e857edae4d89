//! Records: put, copied, repaired, handed over.

use super::{Note, OnRing, Params, Peer, Reject, Town, Value, params, place};

const PEERS: [u16; 8] = [100, 220, 340, 460, 580, 700, 820, 940];

fn put_all(town: &mut Town, keys: &[u128]) {
    let records = keys.iter().map(|key| (place(*key), Note::new(*key as u64, 1))).collect();
    for (key, _, result) in town.put(100, records) {
        assert_eq!(result, Ok(3), "{key:?}");
    }
}

#[test]
fn what_is_acknowledged_has_as_many_copies_as_was_said() {
    let mut town = Town::of(params(4), &PEERS);
    put_all(&mut town, &[150, 400, 999]);
    assert_eq!(town.holders(place(150)), [220, 340, 460]);
    assert_eq!(town.holders(place(400)), [460, 580, 700]);
    assert_eq!(town.holders(place(999)), [100, 220, 340]);
    assert_eq!(town.ask(940, place(400)), Some((Peer(460), vec![(400, 1)])));
}

#[test]
fn a_record_may_want_more_copies_than_the_network_s() {
    let mut town = Town::of(params(4), &PEERS);
    let note = Note { copies: Some(5), ..Note::new(1, 1) };
    assert_eq!(town.put(100, vec![(place(150), note)])[0].2, Ok(5));
    town.run(60_000);
    assert_eq!(town.holders(place(150)), [220, 340, 460, 580, 700]);
}

#[test]
fn two_who_know_only_each_other_have_two_copies() {
    let mut town = Town::of(params(4), &[100, 600]);
    let results = town.put(100, vec![(place(700), Note::new(1, 1)), (place(200), Note::new(2, 1))]);
    assert!(results.iter().all(|(_, _, result)| *result == Ok(2)), "{results:?}");
}

#[test]
fn one_alone_keeps_ten_thousand_records_in_one_put() {
    let mut town = Town::of(params(4), &[100]);
    let records = (0..10_000u64).map(|n| (place(u128::from(n % 1000)), Note::new(n, 1)));
    let results = town.put(100, records.collect());
    assert_eq!(results.len(), 10_000);
    assert_eq!(town.node(100).record_count(), 10_000);
}

#[test]
fn the_newer_version_stays_and_the_older_is_refused() {
    let mut town = Town::of(params(4), &PEERS);
    let version = |version| vec![(place(400), Note::new(1, version))];
    assert_eq!(town.put(100, version(2))[0].2, Ok(3));
    assert_eq!(town.put(700, version(1))[0].2, Err(Reject::Stale));
    assert_eq!(town.put(700, version(3))[0].2, Ok(3));
    assert_eq!(town.ask(340, place(400)).unwrap().1, [(1, 3)]);
    let bad = Note { bad: true, ..Note::new(9, 1) };
    assert_eq!(town.put(100, vec![(place(400), bad)])[0].2, Err(Reject::Bad));
    let over = Note { expires_ms: 1, ..Note::new(9, 1) };
    assert_eq!(town.put(100, vec![(place(400), over)])[0].2, Err(Reject::Bad));
}

#[test]
fn what_is_acknowledged_outlives_the_death_of_all_keepers_but_one() {
    let mut town = Town::of(params(4), &PEERS);
    put_all(&mut town, &[400]);
    town.kill(460);
    town.kill(700);
    assert_eq!(town.ask(100, place(400)).unwrap().1, [(400, 1)]);
    town.run(60_000);
    assert_eq!(town.holders(place(400)), [580, 820, 940]);
}

#[test]
fn a_joiner_gets_what_is_its_own_and_others_let_go() {
    let mut town = Town::of(params(4), &PEERS);
    put_all(&mut town, &[390, 400]);
    town.come(395, &[100]);
    town.run(5_000);
    assert_eq!(town.ask(940, place(390)), Some((Peer(395), vec![(390, 1)])));
    town.run(300_000);
    assert_eq!(town.holders(place(390)), [395, 460, 580]);
    assert_eq!(town.holders(place(400)), [460, 580, 700]);
}

#[test]
fn who_asks_a_joiner_at_once_is_not_told_that_there_is_nothing() {
    let mut town = Town::of(params(4), &PEERS);
    put_all(&mut town, &[390]);
    town.come(395, &[100]);
    for _ in 0..40 {
        town.run(10);
        if town.node(395).is_joined() {
            break;
        }
    }
    assert!(town.node(395).is_joined() && !town.node(395).is_settled());
    assert_eq!(town.ask(100, place(390)).unwrap().1, [(390, 1)]);
}

#[test]
fn a_leaver_hands_over_even_what_has_no_other_copy() {
    let once = Params { replicas: 1, ..params(4) };
    let mut town = Town::of(once, &PEERS);
    let keys: Vec<u128> = (341..460).step_by(2).collect();
    let records = keys.iter().map(|key| (place(*key), Note::new(*key as u64, 1))).collect();
    assert!(town.put(100, records).iter().all(|(_, _, result)| *result == Ok(1)));
    town.tell(460, super::Command::Leave);
    town.run(3_000);
    town.kill(460);
    for key in keys {
        assert_eq!(town.holders(place(key)), [580], "{key}");
    }
}

#[test]
fn who_comes_back_with_an_old_disk_learns_what_is_new_and_brings_what_others_lost() {
    let mut town = Town::of(params(4), &PEERS);
    put_all(&mut town, &[400]);
    town.kill(460);
    assert_eq!(town.put(100, vec![(place(400), Note::new(400, 2))])[0].2, Ok(3));
    let lost = Note::new(77, 1);
    town.disk.get_mut(&Peer(460)).unwrap().insert((place(600), lost.slot()), lost);
    town.come(460, &[820]);
    town.run(120_000);
    assert_eq!(town.ask(940, place(400)).unwrap().1, [(400, 2)]);
    assert_eq!(town.holders(place(600)), [700, 820, 940]);
}

#[test]
fn records_whose_time_is_over_are_forgotten_everywhere() {
    let mut town = Town::of(params(4), &PEERS);
    let now_ms = 1_000_000 + 80_000;
    let short = Note { expires_ms: now_ms + 200_000, ..Note::new(1, 1) };
    assert_eq!(town.put(100, vec![(place(400), short)])[0].2, Ok(3));
    town.run(600_000);
    assert_eq!(town.holders(place(400)), [0; 0]);
    assert!(town.disk.values().all(|disk| disk.is_empty()));
}

#[test]
fn what_finds_no_room_under_its_key_goes_under_others() {
    let mut town = Town::of(params(4), &PEERS);
    let large = |slot| Note {
        bytes: 100 * 1024,
        parts: vec![place(700 + slot as u128 % 16)],
        ..Note::new(slot, 1)
    };
    let records: Vec<_> = (0..20).map(|slot| (place(300), large(slot))).collect();
    let results = town.put(100, records);
    assert!(results.iter().all(|(_, _, result)| result.is_ok()), "{results:?}");
    let under: Vec<_> = town.node(340).records().filter(|(key, _)| *key == place(300)).collect();
    assert!((8..=10).contains(&under.len()), "{}", under.len());
    assert!(results.iter().any(|(key, ..)| *key != place(300)));

    // What takes others away goes to both, and the key stays split when it has room again.
    let parts = (0..16).map(|part| place(700 + part)).collect();
    let removal = Note { removes: true, parts, ..Note::new(99, 1) };
    let results = town.put(100, vec![(place(300), removal)]);
    assert_eq!(results.iter().filter(|(_, _, result)| result.is_ok()).count(), 16);
    let has = |key: u128| {
        town.node(town.owner(place(key)).0)
            .records()
            .any(|(under, note)| under == place(key) && note.slot == 99)
    };
    assert!(has(300) && has(700) && has(715));
    for slot in 0..9 {
        town.put(100, vec![(place(300), Note { bytes: 10, ..Note::new(slot, 2) })]);
    }
    let late = Note { parts: vec![place(710)], ..Note::new(50, 1) };
    assert_eq!(town.put(100, vec![(place(300), late)])[0].0, place(710));
}

#[test]
fn many_records_are_repaired_part_by_part() {
    let mut town = Town::of(params(4), &PEERS);
    let records = (0..6_000u64).map(|n| (place(461).plus(u128::from(n) << 90), Note::new(n, 1)));
    let results = town.put(100, records.collect());
    assert!(results.iter().all(|(_, _, result)| *result == Ok(3)));
    town.kill(580);
    town.run(300_000);
    for peer in [700, 820, 940] {
        assert_eq!(town.node(peer).record_count(), 6_000, "{peer}");
    }
    assert!(Peer(580).ring_id() > place(461).plus(6_000 << 90));
}
