//! Records of circles come back as they were, network by network.

use potluck_base::NetworkId;

use crate::{KeptRecord, RecordChange, Store};

const ONE: NetworkId = NetworkId([1; 32]);
const OTHER: NetworkId = NetworkId([2; 32]);

fn record(key: u8, slot: u8, expires_ms: u64, bytes: &[u8]) -> KeptRecord {
    KeptRecord { key: [key; 16], slot: [slot; 16], expires_ms, bytes: bytes.to_vec() }
}

fn keep(record: &KeptRecord) -> RecordChange {
    RecordChange::Keep(record.clone())
}

#[test]
fn records_are_kept_replaced_and_dropped_in_order() {
    let home = tempfile::tempdir().unwrap();
    let (first, second) = (record(7, 1, 100, b"first"), record(3, 2, 200, b"second"));
    let newer = record(7, 1, 300, b"newer");
    {
        let store = Store::open(home.path()).unwrap();
        store.change_circle(&ONE, &[keep(&first), keep(&second), keep(&newer)]).unwrap();
        store.change_circle(&OTHER, &[keep(&first)]).unwrap();
    }
    let store = Store::open(home.path()).unwrap();
    assert_eq!(store.circle_records(&ONE, 0).unwrap(), [second.clone(), newer.clone()]);
    let drop = RecordChange::Drop { key: [3; 16], slot: [2; 16] };
    store.change_circle(&ONE, &[drop.clone(), drop]).unwrap();
    assert_eq!(store.circle_records(&ONE, 0).unwrap(), [newer]);
    assert_eq!(store.circle_records(&OTHER, 0).unwrap(), [first]);
}

#[test]
fn records_whose_time_is_over_are_not_read_again() {
    let home = tempfile::tempdir().unwrap();
    let store = Store::open(home.path()).unwrap();
    let (old, good) = (record(1, 1, 99, b"old"), record(2, 1, 100, b"good"));
    store.change_circle(&ONE, &[keep(&old), keep(&good)]).unwrap();
    store.change_circle(&OTHER, &[keep(&old)]).unwrap();
    for now_ms in [100, 0] {
        let kept = store.circle_records(&ONE, now_ms).unwrap();
        assert_eq!(kept, std::slice::from_ref(&good));
    }
    assert_eq!(store.circle_records(&OTHER, 0).unwrap(), [old]);
}

#[test]
fn a_network_that_is_left_leaves_nothing() {
    let home = tempfile::tempdir().unwrap();
    let store = Store::open(home.path()).unwrap();
    let kept = record(1, 1, 100, b"kept");
    for network in [&ONE, &OTHER] {
        store.put_network(network, b"network").unwrap();
        store.change_circle(network, &[keep(&kept)]).unwrap();
        store.put_circle_contacts(network, b"before").unwrap();
        store.put_circle_contacts(network, b"seen").unwrap();
    }
    assert!(store.remove_network(&ONE).unwrap());
    assert!(!store.remove_network(&ONE).unwrap());
    assert_eq!(store.circle_records(&ONE, 0).unwrap(), []);
    assert_eq!(store.circle_contacts(&ONE).unwrap(), None);
    assert_eq!(store.circle_records(&OTHER, 0).unwrap(), [kept]);
    assert_eq!(store.circle_contacts(&OTHER).unwrap().as_deref(), Some(&b"seen"[..]));
}
