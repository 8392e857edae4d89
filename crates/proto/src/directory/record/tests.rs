//! Every way in which a record can be false, and what true ones look like.

use potluck_base::{ContentId, NetworkId, PeerId, ShareKey, limits};
use potluck_identity::{SecretKey, Signed};

use super::{
    Entry, EntryKind, Page, PageHead, Place, Presence, Proof, RecordError, ShareHead, Withdrawal,
    check_expiry, leaf, ms, nick_folded, page_of, pages_for, path_of, paths_of, root_of,
    share_digest,
};

const NETWORK: NetworkId = NetworkId([0xaa; 32]);
const ELSEWHERE: NetworkId = NetworkId([0xbb; 32]);
const SHARE: ShareKey = ShareKey([0xcc; 16]);

fn key() -> SecretKey {
    SecretKey::from_seed([7; 32])
}

fn me() -> PeerId {
    key().peer_id()
}

fn other() -> PeerId {
    SecretKey::from_seed([8; 32]).peer_id()
}

fn entry(path: &str) -> Entry {
    Entry {
        path: path.to_owned(),
        content: ContentId([0xc0; 32]),
        size: 300,
        kind: EntryKind::File,
        executable: false,
        modified_s: 1,
    }
}

fn place(page: u16, pages: u16) -> Place {
    Place { network: NETWORK, share: SHARE, page, pages, sequence: 5, expires_ms: 9 }
}

fn page(paths: &[&str]) -> Page {
    Page::make(&key(), place(0, 1), paths.iter().map(|path| entry(path)).collect()).unwrap()
}

/// A page whose head was changed and signed again.
fn resigned(page: &Page, change: impl Fn(&mut PageHead)) -> Page {
    let mut head = page.head.value;
    change(&mut head);
    Page { head: Signed::sign(&key(), head), entries: page.entries.clone() }
}

fn head() -> ShareHead {
    ShareHead {
        network: NETWORK,
        peer: me(),
        share: SHARE,
        name: "films".to_owned(),
        tags: vec!["a".to_owned()],
        content: ContentId([0xc0; 32]),
        kind: EntryKind::Folder,
        size: 1000,
        files: 3,
        partial: false,
        pages: 4,
        sequence: 5,
        expires_ms: 9,
    }
}

fn presence() -> Presence {
    Presence {
        network: NETWORK,
        peer: me(),
        nick: "ann".to_owned(),
        addresses: vec!["192.0.2.7:4567".parse().unwrap()],
        relay: None,
        agent: "potluck".to_owned(),
        p2p_ci: None,
        sequence: 5,
        expires_ms: 9,
    }
}

fn hex(bytes: &[u8]) -> String {
    let text: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    let me: String = me().0.iter().map(|byte| format!("{byte:02x}")).collect();
    let text = text.replace(&"aa".repeat(32), "NETWORK").replace(&"c0".repeat(32), "CONTENT");
    text.replace(&me, "PEER").replace(&"cc".repeat(16), "SHARE").replace(&"dd".repeat(32), "ROOT")
}

#[track_caller]
fn pictured<T>(value: &T, picture: &str)
where
    T: serde::Serialize + serde::de::DeserializeOwned + PartialEq + std::fmt::Debug,
{
    let bytes = postcard::to_allocvec(value).unwrap();
    assert_eq!(hex(&bytes), picture.replace(' ', ""));
    assert_eq!(postcard::from_bytes::<T>(&bytes).as_ref(), Ok(value));
    for end in 0..bytes.len() {
        assert!(postcard::from_bytes::<T>(&bytes[..end]).is_err(), "{end} bytes");
    }
}

#[test]
fn records_look_like_this() {
    pictured(
        &presence(),
        "NETWORK PEER 03 616e6e 01 00 c0000207 d723 00 07 706f746c75636b 00 05 09",
    );
    pictured(&head(), "NETWORK PEER SHARE 05 66696c6d73 01 01 61 CONTENT 01 e807 03 00 04 05 09");
    let gone = Withdrawal { network: NETWORK, peer: me(), share: SHARE, sequence: 300 };
    pictured(&gone, "NETWORK PEER SHARE ac02");
    let page = PageHead {
        network: NETWORK,
        peer: me(),
        share: SHARE,
        page: 3,
        pages: 4,
        entries: 200,
        root: [0xdd; 32],
        sequence: 5,
        expires_ms: 9,
    };
    pictured(&page, "NETWORK PEER SHARE 03 04 c801 ROOT 05 09");
    pictured(&entry("a/b"), "03 612f62 CONTENT ac02 00 00 01");
}

#[test]
fn hashes_are_these_of_these_bytes() {
    let bytes = [&[0, 1, b'a'][..], &[0xc0; 32], &[0xac, 2, 0, 0, 1]].concat();
    let one = leaf(&entry("a"));
    assert_eq!(one, potluck_content::hash(&bytes).0);
    let node = |l: [u8; 32], r: [u8; 32]| potluck_content::hash(&[&[1][..], &l, &r].concat()).0;
    let leaves = [1, 2, 3, 4, 5].map(|n| [n; 32]);
    let [a, b, c, d, e] = leaves;
    assert_eq!(root_of(&[]), potluck_content::hash(&[2]).0);
    assert_eq!(root_of(&[a]), a);
    assert_eq!(root_of(&[a, b, c]), node(node(a, b), c));
    assert_eq!(root_of(&leaves), node(node(node(a, b), node(c, d)), e));
    assert_eq!(path_of(&leaves, 4), [node(node(a, b), node(c, d))]);
    assert_eq!(path_of(&leaves, 2), [d, node(a, b), e]);
    let digest = [&[3, 0, 1][..], &a, &[1, 0], &b].concat();
    let pages = [(1, a), (7, root_of(&[])), (256, b)];
    assert_eq!(share_digest(pages), potluck_content::hash(&digest).0);
}

#[test]
fn each_entry_of_pages_of_every_size_is_proved() {
    for count in (0..=17).chain([100, limits::PAGE_ENTRIES]) {
        let names: Vec<String> = (0..count).map(|number| format!("{number:03}")).collect();
        let page = page(&names.iter().map(String::as_str).collect::<Vec<_>>());
        let leaves = page.check(&NETWORK, &me()).unwrap();
        for (index, entry) in page.entries.iter().enumerate() {
            let proof = page.proof(&leaves, index);
            assert!(proof.siblings.len() <= limits::PROOF_HASHES);
            assert_eq!(paths_of(&leaves)[index], proof.siblings);
            assert_eq!(proof.check(&NETWORK, &me(), entry), Ok(()), "{index} of {count}");
        }
    }
}

#[test]
fn a_proof_holds_for_its_entry_and_its_place_only() {
    let page = page(&["a", "b", "c", "d", "e"]);
    let leaves = page.check(&NETWORK, &me()).unwrap();
    let proof = page.proof(&leaves, 2);
    let good = entry("c");
    let refused = |proof: &Proof, entry: &Entry| proof.check(&NETWORK, &me(), entry).unwrap_err();
    let changes: [fn(&mut Entry); 6] = [
        |entry| entry.path = "d".to_owned(),
        |entry| entry.content = ContentId([1; 32]),
        |entry| entry.size = 301,
        |entry| entry.kind = EntryKind::Folder,
        |entry| entry.executable = true,
        |entry| entry.modified_s = 2,
    ];
    for change in changes {
        let mut entry = good.clone();
        change(&mut entry);
        assert_eq!(refused(&proof, &entry), RecordError::Root, "{entry:?}");
    }
    for index in [0, 1, 3, 4, 5, u16::MAX] {
        let moved = Proof { index, ..proof.clone() };
        assert_eq!(refused(&moved, &good), RecordError::Root, "{index}");
    }
    for hash in 0..proof.siblings.len() {
        let mut changed = proof.clone();
        changed.siblings[hash][0] ^= 1;
        assert_eq!(refused(&changed, &good), RecordError::Root);
    }
    let mut short = proof.clone();
    short.siblings.pop();
    assert_eq!(refused(&short, &good), RecordError::Root);
    let mut long = proof.clone();
    long.siblings.push([0; 32]);
    assert_eq!(refused(&long, &good), RecordError::Root);
    assert_eq!(proof.check(&ELSEWHERE, &me(), &good), Err(RecordError::Network));
    assert_eq!(proof.check(&NETWORK, &other(), &good), Err(RecordError::Peer));
}

#[test]
fn an_inner_node_does_not_pass_for_an_entry() {
    // The last of three climbs as it is: its sibling is an inner node.
    let page = page(&["a", "b", "c"]);
    let leaves = page.check(&NETWORK, &me()).unwrap();
    let proof = page.proof(&leaves, 2);
    assert_eq!(proof.siblings, [root_of(&leaves[..2])]);
    let shifted = Proof { index: 0, siblings: vec![leaves[2]], ..proof };
    assert_eq!(shifted.check(&NETWORK, &me(), &entry("a")), Err(RecordError::Root));
}

#[test]
fn a_page_is_taken_only_whole_and_in_order() {
    let good = page(&["a", "b", "c"]);
    assert!(good.check(&NETWORK, &me()).is_ok());
    let check = |page: &Page| page.check(&NETWORK, &me()).map(|_| ());
    let with = |entries: Vec<Entry>| Page { head: good.head.clone(), entries };
    let entries = |paths: &[&str]| paths.iter().map(|path| entry(path)).collect::<Vec<_>>();
    assert_eq!(check(&with(entries(&["a", "b"]))), Err(RecordError::Entries));
    assert_eq!(check(&with(entries(&["a", "c", "b"]))), Err(RecordError::Order));
    assert_eq!(check(&with(entries(&["a", "b", "b"]))), Err(RecordError::Order));
    assert_eq!(check(&with(entries(&["a", "b", "d"]))), Err(RecordError::Root));
    for path in ["../c", "/c", "c//d", "", "c\\d", "c\u{0}", "gnp\u{202e}exe"] {
        let mut list = entries(&["a", "b", path]);
        list.sort_by(|a, b| a.path.cmp(&b.path));
        assert_eq!(check(&with(list)), Err(RecordError::Name), "{path:?}");
    }
    assert_eq!(good.check(&ELSEWHERE, &me()), Err(RecordError::Network));
    assert_eq!(good.check(&NETWORK, &other()), Err(RecordError::Peer));
}

#[test]
fn each_field_of_a_page_head_is_signed() {
    let good = page(&["a", "b"]);
    let changes: [fn(&mut PageHead); 9] = [
        |head| head.network = ELSEWHERE,
        |head| head.peer = other(),
        |head| head.share = ShareKey([1; 16]),
        |head| head.page = 1,
        |head| head.pages = 2,
        |head| head.entries = 3,
        |head| head.root = [0; 32],
        |head| head.sequence = 6,
        |head| head.expires_ms = 10,
    ];
    for change in changes {
        let mut changed = good.clone();
        change(&mut changed.head.value);
        let refused = changed.check(&NETWORK, &me()).unwrap_err();
        let foreign = matches!(refused, RecordError::Network | RecordError::Peer);
        assert!(foreign || refused == RecordError::Signature, "{refused}");
    }
    // Signed by another key in our name.
    let forged = Signed::sign(&SecretKey::from_seed([8; 32]), good.head.value);
    let forged = Page { head: forged, ..good };
    assert_eq!(forged.check(&NETWORK, &me()), Err(RecordError::Signature));
}

#[test]
fn a_page_that_was_signed_against_the_rules_is_refused() {
    let good = page(&["a", "b"]);
    let refused = |page: Page| page.check(&NETWORK, &me()).unwrap_err();
    assert_eq!(refused(resigned(&good, |head| head.root = [0; 32])), RecordError::Root);
    assert_eq!(refused(resigned(&good, |head| head.entries = 1)), RecordError::Entries);
    for (page, pages) in [(0, 0), (0, 3), (1, 1), (4, 4), (0, limits::PAGES + 1)] {
        let changed = resigned(&good, |head| (head.page, head.pages) = (page, pages));
        assert_eq!(refused(changed), RecordError::Pages, "{page} of {pages}");
    }
    // Both entries would have to be in the same half.
    let paths: Vec<String> = (0..9).map(|number| format!("f{number}")).collect();
    let all = page_of_all(&paths);
    let halved = resigned(&all, |head| head.pages = 2);
    assert_eq!(refused(halved), RecordError::Place);
    let leaves = all.check(&NETWORK, &me()).unwrap();
    let stray = all.entries.iter().position(|entry| page_of(&entry.path, 2) == 1).unwrap();
    let mut proof = all.proof(&leaves, stray);
    proof.head = resigned(&all, |head| head.pages = 2).head;
    let lie = proof.check(&NETWORK, &me(), &all.entries[stray]);
    assert_eq!(lie, Err(RecordError::Place));
}

fn page_of_all(paths: &[String]) -> Page {
    page(&paths.iter().map(String::as_str).collect::<Vec<_>>())
}

#[test]
fn a_page_has_no_more_entries_and_bytes_than_it_may() {
    let make = |count: usize, names: usize| {
        let filler = format!("{}/", "x".repeat(199)).repeat(names);
        let path = |number| format!("{filler}{number:04}");
        Page::make(&key(), place(0, 1), (0..count).map(|n| entry(&path(n))).collect())
    };
    assert!(make(limits::PAGE_ENTRIES, 0).is_ok());
    assert_eq!(make(limits::PAGE_ENTRIES + 1, 0), Err(RecordError::Entries));
    let most = make(limits::PAGE_BYTES / (64 + 2004), 10).unwrap();
    assert!(postcard::to_allocvec(&most).unwrap().len() + 1000 < limits::FRAME_BYTES);
    assert_eq!(make(limits::PAGE_BYTES / (64 + 2004) + 1, 10), Err(RecordError::Entries));
    // Not even read, if a peer sends it.
    let mut long = make(limits::PAGE_ENTRIES, 0).unwrap();
    long.entries.push(entry("z"));
    let bytes = postcard::to_allocvec(&long).unwrap();
    assert!(postcard::from_bytes::<Page>(&bytes).is_err());
}

#[test]
fn each_field_of_a_share_is_signed_and_within_the_rules() {
    let good = Signed::sign(&key(), head());
    assert_eq!(ShareHead::check(&good, &NETWORK, &me()), Ok(&head()));
    assert_eq!(ShareHead::check(&good, &ELSEWHERE, &me()), Err(RecordError::Network));
    assert_eq!(ShareHead::check(&good, &NETWORK, &other()), Err(RecordError::Peer));
    let changes: [fn(&mut ShareHead); 11] = [
        |head| head.share = ShareKey([1; 16]),
        |head| head.name = "other".to_owned(),
        |head| head.tags.clear(),
        |head| head.content = ContentId([1; 32]),
        |head| head.kind = EntryKind::File,
        |head| head.size = 1,
        |head| head.files = 1,
        |head| head.partial = true,
        |head| head.pages = 8,
        |head| head.sequence = 6,
        |head| head.expires_ms = 10,
    ];
    for change in changes {
        let mut changed = good.clone();
        change(&mut changed.value);
        let refused = ShareHead::check(&changed, &NETWORK, &me());
        assert_eq!(refused, Err(RecordError::Signature), "{:?}", changed.value);
    }
    let signed = |change: fn(&mut ShareHead)| {
        let mut value = head();
        change(&mut value);
        ShareHead::check(&Signed::sign(&key(), value), &NETWORK, &me()).map(|_| ())
    };
    assert_eq!(signed(|head| head.pages = 3), Err(RecordError::Pages));
    assert_eq!(signed(|head| head.pages = 0), Err(RecordError::Pages));
    assert_eq!(signed(|head| head.name = "a/b".to_owned()), Err(RecordError::Name));
    assert_eq!(signed(|head| head.name = "..".to_owned()), Err(RecordError::Name));
}

#[test]
fn each_field_of_a_presence_and_a_withdrawal_is_signed() {
    let good = Signed::sign(&key(), presence());
    assert_eq!(Presence::check(&good, &NETWORK, &me()), Ok(&presence()));
    let changes: [fn(&mut Presence); 7] = [
        |presence| presence.nick = "bob".to_owned(),
        |presence| presence.addresses.clear(),
        |presence| presence.relay = Some("https://r.example".to_owned()),
        |presence| presence.agent.clear(),
        |presence| presence.p2p_ci = presence.addresses.first().copied(),
        |presence| presence.sequence = 6,
        |presence| presence.expires_ms = 10,
    ];
    for change in changes {
        let mut changed = good.clone();
        change(&mut changed.value);
        let refused = Presence::check(&changed, &NETWORK, &me());
        assert_eq!(refused, Err(RecordError::Signature), "{:?}", changed.value);
    }
    let unnamed = Presence { nick: "\u{7}".to_owned(), ..presence() };
    let refused = Signed::sign(&key(), unnamed);
    assert_eq!(Presence::check(&refused, &NETWORK, &me()), Err(RecordError::Nick));

    let gone = Withdrawal { network: NETWORK, peer: me(), share: SHARE, sequence: 5 };
    let good = Signed::sign(&key(), gone);
    assert_eq!(Withdrawal::check(&good, &NETWORK, &me()), Ok(&gone));
    assert_eq!(Withdrawal::check(&good, &ELSEWHERE, &me()), Err(RecordError::Network));
    assert_eq!(Withdrawal::check(&good, &NETWORK, &other()), Err(RecordError::Peer));
    for changed in
        [Withdrawal { sequence: 6, ..gone }, Withdrawal { share: ShareKey([1; 16]), ..gone }]
    {
        let forged = Signed { value: changed, signature: good.signature };
        let refused = Withdrawal::check(&forged, &NETWORK, &me());
        assert_eq!(refused, Err(RecordError::Signature));
    }
    // A signature for one kind of record is worth nothing under another.
    let stolen = Signed { value: head(), signature: good.signature };
    assert_eq!(ShareHead::check(&stolen, &NETWORK, &me()), Err(RecordError::Signature));
}

#[test]
fn clocks_may_be_wrong_by_an_hour_but_not_by_a_day() {
    let (now, hour, life) = (1_700_000_000_000, 3_600_000, limits::RECORD_LIFETIME);
    let check = |expires_ms| check_expiry(expires_ms, life, now);
    assert_eq!(check(now - hour), Ok(()));
    assert_eq!(check(now + ms(life) + hour), Ok(()));
    assert_eq!(check(now - 24 * hour), Err(RecordError::Expired));
    assert_eq!(check(now + ms(life) + 24 * hour), Err(RecordError::TooLong));
    assert_eq!(check(u64::MAX), Err(RecordError::TooLong));
    assert_eq!(check(0), Err(RecordError::Expired));
    assert_eq!(check_expiry(0, life, 0), Ok(()));
    assert_eq!(check_expiry(u64::MAX, life, u64::MAX), Ok(()));
}

#[test]
fn pages_are_a_power_of_two_of_about_sixty_four_files() {
    let pages = [0, 1, 64, 65, 128, 129, 1000, 100_000, 2_097_152, usize::MAX].map(pages_for);
    assert_eq!(pages, [1, 1, 1, 2, 2, 4, 16, 2048, 32_768, 32_768]);
    // Of a hundred thousand files no page has more than it may.
    let mut counts = vec![0; usize::from(pages_for(100_000))];
    for number in 0..100_000 {
        counts[usize::from(page_of(&format!("folder/file {number}.txt"), 2048))] += 1;
    }
    assert!(counts.iter().all(|count| (10..150).contains(count)));
}

#[test]
fn a_page_is_found_by_the_first_bits_of_the_hash() {
    let hash = potluck_content::hash(b"a").0;
    assert_eq!(page_of("a", 1), 0);
    assert_eq!(page_of("a", 2), u16::from(hash[0] >> 7));
    assert_eq!(page_of("a", 256), u16::from(hash[0]));
    assert_eq!(page_of("a", 32_768), u16::from_be_bytes([hash[0], hash[1]]) >> 1);
}

#[test]
fn nicknames_are_compared_without_case_and_spaces() {
    assert_eq!(nick_folded(" Änn "), Some("änn".to_owned()));
    assert_eq!(nick_folded("a b"), Some("a b".to_owned()));
    for bad in ["", "  ", "a\tb", "a\u{202e}b", "a\u{200b}b", &"x".repeat(33)] {
        assert_eq!(nick_folded(bad), None, "{bad:?}");
    }
    assert!(nick_folded(&"👩".repeat(32)).is_some());
}
