//! What holds for any manifest, and for any bytes.

use proptest::collection::vec;
use proptest::prelude::{Just, Strategy, any, prop_oneof, proptest};

use super::*;

fn any_path() -> impl Strategy<Value = RelPath> {
    let name = prop_oneof!["[a-c]{1,3}", "[A-Cé .-]{1,9}", Just("n".repeat(255))];
    vec(name, 1..5).prop_filter_map("a path", |names| RelPath::parse(&names.join("/")).ok())
}

fn any_entry() -> impl Strategy<Value = Entry> {
    let size = prop_oneof![Just(0), 0u64..300, any::<u64>().prop_map(|size| size >> 12)];
    let file = (size, any::<[u8; 32]>(), any::<bool>()).prop_map(|(size, id, executable)| {
        Kind::File { size, id: if size == 0 { hash(&[]) } else { ContentId(id) }, executable }
    });
    let link = "[a-c./]{1,9}".prop_map(|target| Kind::Link { target });
    let kind = prop_oneof![4 => file, 1 => Just(Kind::Folder), 1 => link];
    (any_path(), kind).prop_map(|(path, kind)| Entry { path, kind })
}

/// A manifest of what can stand together of some entries.
fn any_manifest() -> impl Strategy<Value = Manifest> {
    vec(any_entry(), 0..30).prop_map(|entries| {
        let mut kept = Vec::new();
        for entry in entries {
            kept.push(entry);
            if Manifest::new(kept.clone()).is_err() {
                kept.pop();
            }
        }
        Manifest::new(kept).expect("it was possible a moment ago")
    })
}

/// Collisions as the definition has them: each path and each folder on the way, folded.
fn collides(manifest: &Manifest) -> bool {
    let mut seen = BTreeMap::new();
    manifest.entries().iter().any(|entry| {
        let all = (1..=entry.path.names().count()).map(|names| outermost(&entry.path, names));
        let all: Vec<_> = all.collect();
        all.into_iter().any(|path| *seen.entry(path.folded()).or_insert(path.clone()) != path)
    })
}

proptest! {
    #[test]
    fn any_manifest_survives_the_journey(manifest in any_manifest()) {
        let bytes = manifest.encode();
        assert_eq!(manifest.totals.encoded, bytes.len() as u64);
        assert_eq!(manifest.id(), hash(&bytes));
        assert_eq!(Manifest::decode(&bytes), Ok(manifest));
    }

    #[test]
    fn the_order_in_which_entries_are_given_does_not_matter(manifest in any_manifest()) {
        let reversed = manifest.entries().iter().rev().cloned().collect();
        assert_eq!(Manifest::new(reversed), Ok(manifest));
    }

    #[test]
    fn collisions_are_found_wherever_they_are(manifest in any_manifest()) {
        assert_eq!(manifest.collisions().is_some(), collides(&manifest));
    }

    #[test]
    fn what_is_decoded_encodes_to_the_same_bytes(
        manifest in any_manifest(),
        changes in vec((any::<proptest::sample::Index>(), any::<u8>()), 0..3),
    ) {
        let mut bytes = manifest.encode();
        for (at, change) in changes {
            let at = at.index(bytes.len());
            bytes[at] = change;
        }
        if let Ok(manifest) = Manifest::decode(&bytes) {
            assert_eq!(manifest.encode(), bytes);
            assert_eq!(manifest.id(), hash(&bytes));
        }
    }

    #[test]
    fn any_bytes_are_read_or_refused_without_a_panic(
        bytes in vec(prop_oneof![0u8..5, any::<u8>()], 0..200),
    ) {
        let bytes = [&b"PLMF\x01"[..], &bytes].concat();
        for start in [0, 1, 5] {
            if let Ok(manifest) = Manifest::decode(&bytes[start..]) {
                assert_eq!(manifest.encode(), bytes[start..]);
            }
        }
    }
}
