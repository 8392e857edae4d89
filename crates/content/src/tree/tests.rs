//! Values lead to the plain hash, and only the true bytes have them.

use proptest::prelude::{Strategy, any, prop_oneof, proptest};

use super::*;

const KIB: u64 = 1024;
const GIB: u64 = 1 << 30;

/// Bytes that differ everywhere, the same for the same length.
fn bytes(len: u64) -> Vec<u8> {
    let mut bytes = vec![0; len as usize];
    blake3::Hasher::new().update(&len.to_le_bytes()).finalize_xof().fill(&mut bytes);
    bytes
}

fn piece<'a>(layout: &Layout, index: u32, whole: &'a [u8]) -> &'a [u8] {
    let (offset, len) = layout.span(index);
    &whole[offset as usize..][..len as usize]
}

fn values(layout: &Layout, whole: &[u8]) -> Vec<Value> {
    (0..layout.pieces()).map(|i| piece_value(layout, i, piece(layout, i, whole))).collect()
}

fn any_len() -> impl Strategy<Value = u64> {
    let near = |len: u64| (len - 1)..=(len + 1);
    prop_oneof![
        0..2 * KIB,
        near(64 * KIB),
        0..600 * KIB,
        (1u64..9).prop_flat_map(move |n| near(n * 64 * KIB))
    ]
}

fn check_root(len: u64) {
    let (layout, whole) = (Layout::new(len), bytes(len));
    let values = values(&layout, &whole);
    assert_eq!(root(&layout, &values), hash(&whole), "{len} bytes");
    assert!(Values::verify(layout, hash(&whole), values).is_ok());
}

#[test]
fn the_values_lead_to_the_plain_hash_of_the_file() {
    let many = [17 * 64 * KIB, 33 * 64 * KIB + 1, 64 * 64 * KIB - 1, 100 * 64 * KIB + 1025];
    let edges = [0, 1, 1023, 1024, 1025, 64 * KIB - 1, 64 * KIB, 64 * KIB + 1, 128 * KIB];
    edges.into_iter().chain(many).for_each(check_root);
}

#[test]
fn larger_pieces_lead_to_the_plain_hash_too() {
    for piece_log2 in [17, 20, PIECE_LOG2_MAX] {
        for len in [3 << piece_log2, (2 << piece_log2) + 5, (5 << piece_log2) - 1] {
            let (layout, whole) = (Layout { len, piece_log2 }, bytes(len));
            assert_eq!(root(&layout, &values(&layout, &whole)), hash(&whole));
        }
    }
}

#[test]
fn pieces_grow_with_the_file() {
    let of = |len| (Layout::new(len).piece_log2(), Layout::new(len).pieces());
    assert_eq!(of(0), (16, 0));
    assert_eq!(of(1), (16, 1));
    assert_eq!(of(64 * KIB + 1), (16, 2));
    assert_eq!(of(4 * GIB), (16, 65_536));
    assert_eq!(of(4 * GIB + 1), (17, 32_769));
    assert_eq!(of(256 * GIB), (22, 65_536));
    assert_eq!(of(256 * GIB + 1), (22, 65_537));
    assert_eq!(of(Layout::LEN_MAX), (22, u32::MAX));
    assert_eq!(of(u64::MAX), (22, u32::MAX));
}

#[test]
fn the_last_piece_is_short_and_nothing_is_beyond_it() {
    let layout = Layout::new(150_000);
    assert_eq!(
        [0, 1, 2].map(|i| layout.span(i)),
        [(0, 65_536), (65_536, 65_536), (131_072, 18_928)]
    );
    assert_eq!([3, u32::MAX].map(|i| layout.span(i)), [(150_000, 0), (150_000, 0)]);
}

#[test]
fn values_that_were_changed_are_refused() {
    let (layout, whole) = (Layout::new(5 * 64 * KIB + 9), bytes(5 * 64 * KIB + 9));
    let (id, good) = (hash(&whole), values(&layout, &whole));
    for i in 0..good.len() {
        let mut bad = good.clone();
        bad[i][i] ^= 1;
        assert_eq!(Values::verify(layout, id, bad), Err(Mismatch));
    }
    let mut swapped = good.clone();
    swapped.swap(1, 2);
    assert_eq!(Values::verify(layout, id, swapped), Err(Mismatch));
    assert_eq!(Values::verify(layout, hash(b"other"), good), Err(Mismatch));
}

#[test]
fn a_number_of_values_that_the_length_does_not_give_is_refused() {
    let (layout, whole) = (Layout::new(4 * 64 * KIB), bytes(4 * 64 * KIB));
    let (id, good) = (hash(&whole), values(&layout, &whole));
    // Both halves joined lead to the same id: only the count tells.
    let halves = vec![subtree(&good[..2]), subtree(&good[2..])];
    assert_eq!(root(&layout, &halves), id);
    assert_eq!(Values::verify(layout, id, halves), Err(Mismatch));
    assert_eq!(Values::verify(layout, id, vec![id.0]), Err(Mismatch));
    assert_eq!(Values::verify(Layout::new(0), hash(&[]), vec![[0; 32]]), Err(Mismatch));
    assert_eq!(Values::verify(Layout::new(0), id, vec![]), Err(Mismatch));
    assert_eq!(Values::verify(layout, hash(&[]), vec![]), Err(Mismatch));
}

#[test]
fn values_survive_as_bytes() {
    let (layout, whole) = (Layout::new(3 * 64 * KIB), bytes(3 * 64 * KIB));
    let values = Values::verify(layout, hash(&whole), values(&layout, &whole)).unwrap();
    let mut stored = values.as_bytes();
    assert_eq!(Values::from_bytes(layout, hash(&whole), &stored), Ok(values));
    stored.push(0);
    assert_eq!(Values::from_bytes(layout, hash(&whole), &stored), Err(Mismatch));
    assert_eq!(Values::from_bytes(layout, hash(&whole), &stored[..64]), Err(Mismatch));
}

#[test]
fn the_value_of_an_only_piece_is_the_id() {
    let (layout, whole) = (Layout::new(1000), bytes(1000));
    let single = Values::single(layout, hash(&whole));
    assert_eq!(Values::verify(layout, hash(&whole), vec![hash(&whole).0]), Ok(single.clone()));
    assert!(single.matches(0, &whole) && !single.matches(0, &bytes(999)));
    let none = Values::single(Layout::new(0), hash(&[]));
    assert!(!none.matches(0, &[]), "an empty file has no piece");
}

#[test]
#[should_panic(expected = "do not follow")]
fn several_values_do_not_follow_from_an_id() {
    Values::single(Layout::new(64 * KIB + 1), ContentId([0; 32]));
}

#[test]
fn only_the_very_bytes_of_a_piece_match() {
    let (layout, whole) = (Layout::new(2 * 64 * KIB + 700), bytes(2 * 64 * KIB + 700));
    let good = Values::verify(layout, hash(&whole), values(&layout, &whole)).unwrap();
    for index in 0..3 {
        let bytes = piece(&layout, index, &whole).to_vec();
        assert!(good.matches(index, &bytes));
        let mut bad = bytes.clone();
        bad[bytes.len() - 1] ^= 0x80;
        assert!(!good.matches(index, &bad));
        assert!(!good.matches(index, &bytes[..bytes.len() - 1]));
        assert!(!good.matches(index, &[&bytes[..], &[0]].concat()));
        assert!(!good.matches(index, &[]));
        assert!(!good.matches((index + 1) % 3, &bytes));
        assert!(!good.matches(index + 3, &bytes));
        assert!(!good.matches(index + 3, &[]));
    }
}

#[test]
fn a_value_made_for_too_few_bytes_does_not_let_them_in() {
    // The maker of a file knows what too few bytes lead to, and may put that among the values.
    let layout = Layout::new(2 * 64 * KIB);
    let short = piece_value(&layout, 1, b"too few");
    let list = vec![piece_value(&layout, 0, &bytes(64 * KIB)), short];
    let values = Values::verify(layout, root(&layout, &list), list).unwrap();
    assert!(!values.matches(1, b"too few"));
    assert!(!values.matches(1, &[7; 65_537]));
}

#[test]
fn a_wrong_number_of_bytes_has_no_value_of_a_piece() {
    let (layout, whole) = (Layout::new(64 * KIB + 2), bytes(64 * KIB + 2));
    let good = values(&layout, &whole);
    let more = [&whole[..65_536], b"more"].concat();
    let wrong = [
        piece_value(&layout, 0, &more),
        piece_value(&layout, 0, &whole[..65_535]),
        piece_value(&layout, 1, &whole[65_536..65_537]),
        piece_value(&layout, 1, &[]),
        piece_value(&layout, 2, &[]),
        piece_value(&layout, 2, b"x"),
    ];
    assert_eq!(wrong, [wrong[0]; 6], "it says nothing about the bytes");
    assert!(!good.contains(&wrong[0]));
}

#[test]
fn a_hasher_of_another_file_is_not_accepted() {
    let (layout, whole) = (Layout::new(64 * KIB + 1), bytes(64 * KIB + 1));
    let good = Values::verify(layout, hash(&whole), values(&layout, &whole)).unwrap();
    let mut hasher = PieceHasher::new(&Layout::new(2 * 64 * KIB), 0);
    hasher.update(piece(&layout, 0, &whole));
    assert_eq!(hasher.clone().finish(), *good.get(0));
    assert!(!good.accepts(hasher));
}

proptest! {
    #[test]
    fn any_length_leads_to_the_plain_hash(len in any_len()) {
        check_root(len);
    }

    #[test]
    fn bytes_that_come_bit_by_bit_give_the_same_value(
        len in any_len(),
        step in 1usize..70_000,
        last in any::<bool>(),
    ) {
        let (layout, whole) = (Layout::new(len), bytes(len));
        let index = if last { layout.pieces().saturating_sub(1) } else { 0 };
        let piece = piece(&layout, index, &whole);
        let mut hasher = PieceHasher::new(&layout, index);
        for part in piece.chunks(step) {
            assert!(!hasher.is_complete());
            hasher.update(part);
        }
        assert!(hasher.is_complete());
        assert_eq!(hasher.finish(), piece_value(&layout, index, piece));
    }
}
