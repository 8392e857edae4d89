//! Pictures of what trackers and members say, limits at their edges, and lies of a tracker.

use potluck_base::{ContentId, NetworkId, PeerId, ShareKey, limits};
use potluck_identity::{Membership, Revocations, Role, SecretKey, Signature, Signed};
use potluck_proto::directory::record::{
    Entry, EntryKind, Page, PageHead, Place, Presence, Proof, RecordError, ShareHead, Withdrawal,
};
use potluck_proto::directory::tracker::{
    Claim, Denial, FileType, Found, Group, Hit, HitProof, MemberInfo, Message, Notice, PageState,
    ProviderRecord, Query, Reply, Request, ShareState, Sort, Standing, same_nick,
};
use potluck_proto::{Frame, WireError};

const NETWORK: NetworkId = NetworkId([0xaa; 32]);
const PEER: PeerId = PeerId([0xee; 32]);
const SHARE: ShareKey = ShareKey([0xcc; 16]);
const CONTENT: ContentId = ContentId([0xc0; 32]);
const ROOT: [u8; 32] = [0xdd; 32];

fn signed<T>(value: T) -> Signed<T> {
    Signed { value, signature: Signature([0x5f; 64]) }
}

fn hex(bytes: &[u8]) -> String {
    let mut text: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    let words = [("aa", 32, "NETWORK"), ("ee", 32, "PEER"), ("c0", 32, "CONTENT")];
    for (byte, count, word) in
        words.into_iter().chain([("dd", 32, "HASH"), ("cc", 16, "SHARE"), ("5f", 64, "SIGNED")])
    {
        text = text.replace(&byte.repeat(count), word);
    }
    text
}

#[track_caller]
fn pictured(frame: Frame, picture: &str) {
    let bytes = frame.encode();
    assert_eq!(hex(&bytes), picture.replace(' ', ""));
    assert_eq!(Frame::decode(&bytes), Ok(frame));
    for end in 0..bytes.len() {
        assert!(Frame::decode(&bytes[..end]).is_err(), "{end} of {} bytes", bytes.len());
    }
    let longer = [bytes, vec![0]].concat();
    assert_eq!(Frame::decode(&longer), Err(WireError::Stray(1)));
}

fn tracker(message: Message) -> Frame {
    Frame::Tracker(Box::new(message))
}

#[track_caller]
fn asked(body: Request, picture: &str) {
    let message = Message::Request { id: 7, network: NETWORK, body };
    pictured(tracker(message), &format!("0b 00 07 NETWORK {picture}"));
}

#[track_caller]
fn answered(reply: Reply, picture: &str) {
    pictured(
        tracker(Message::Reply { id: 7, result: Ok(reply) }),
        &format!("0b 01 07 00 {picture}"),
    );
}

#[track_caller]
fn denied(denial: Denial, picture: &str) {
    let message = Message::Reply { id: 7, result: Err(denial) };
    pictured(tracker(message), &format!("0b 01 07 01 {picture}"));
}

fn presence() -> Presence {
    Presence {
        network: NETWORK,
        peer: PEER,
        nick: "ann".to_owned(),
        addresses: Vec::new(),
        relay: None,
        agent: "p".to_owned(),
        p2p_ci: None,
        sequence: 5,
        expires_ms: 9,
    }
}

const PRESENCE: &str = "NETWORK PEER 03616e6e 00 00 0170 00 05 09 SIGNED";

fn head() -> ShareHead {
    ShareHead {
        network: NETWORK,
        peer: PEER,
        share: SHARE,
        name: "f".to_owned(),
        tags: Vec::new(),
        content: CONTENT,
        kind: EntryKind::Folder,
        size: 300,
        files: 2,
        partial: false,
        pages: 1,
        sequence: 5,
        expires_ms: 9,
    }
}

const HEAD: &str = "NETWORK PEER SHARE 0166 00 CONTENT 01 ac02 02 00 01 05 09 SIGNED";

fn page_head() -> PageHead {
    PageHead {
        network: NETWORK,
        peer: PEER,
        share: SHARE,
        page: 0,
        pages: 1,
        entries: 2,
        root: ROOT,
        sequence: 5,
        expires_ms: 9,
    }
}

const PAGE_HEAD: &str = "NETWORK PEER SHARE 00 01 02 HASH 05 09 SIGNED";

fn entry() -> Entry {
    let (size, kind) = (300, EntryKind::File);
    Entry { path: "a".to_owned(), content: CONTENT, size, kind, executable: true, modified_s: 1 }
}

const ENTRY: &str = "0161 CONTENT ac02 00 01 01";

fn proof() -> Proof {
    Proof { head: signed(page_head()), index: 1, siblings: vec![ROOT] }
}

fn hit(proof: HitProof) -> Hit {
    Hit { peer: PEER, share: SHARE, entry: entry(), proof, online: true, last_seen_ms: 7 }
}

#[test]
fn frames_of_networks_look_like_this() {
    let membership = Membership::open(PEER);
    let claims = vec![Claim { network: NETWORK, membership }];
    pictured(Frame::Claims(claims), "09 01 NETWORK 01 PEER 00");
    pictured(Frame::Admitted(vec![NETWORK]), "0a 01 NETWORK");
    assert_eq!(Frame::decode(&[12]), Err(WireError::Malformed));
}

#[test]
fn requests_look_like_this() {
    let membership = Membership::open(PEER);
    let gone = Withdrawal { network: NETWORK, peer: PEER, share: SHARE, sequence: 5 };
    let page = Page { head: signed(page_head()), entries: vec![entry()] };
    let query = Query {
        words: "a b".to_owned(),
        kinds: vec![FileType::Video, FileType::Folder],
        min_size: Some(300),
        max_size: None,
        sort: Sort::Size,
        offset: 1,
        limit: 20,
    };
    asked(Request::Join { membership: membership.clone() }, "01 01 PEER 00");
    let nick = Some("ann".to_owned());
    let register = Request::Register { membership, nick, revocations: 300 };
    asked(register, "02 01 PEER 00 01 03616e6e ac02");
    asked(Request::Announce { presence: signed(presence()) }, &format!("03 {PRESENCE}"));
    asked(Request::Renew, "04");
    asked(Request::States, "05");
    asked(Request::PageRoots { share: SHARE, from: 300 }, "06 SHARE ac02");
    asked(Request::PutShare { head: signed(head()) }, &format!("07 {HEAD}"));
    asked(Request::PutPage { page }, &format!("08 {PAGE_HEAD} 01 {ENTRY}"));
    let withdraw = Request::Withdraw { withdrawal: signed(gone) };
    asked(withdraw, "09 NETWORK PEER SHARE 05 SIGNED");
    asked(Request::Search { query }, "0a 03612062 02 00 07 01 ac02 00 02 01 14");
    asked(Request::Providers { content: CONTENT, offset: 2 }, "0b CONTENT 02");
    asked(Request::Resolve { peer: PEER }, "0c PEER");
    let browse = Request::Browse { peer: PEER, share: Some(SHARE), after: Some("a".to_owned()) };
    asked(browse, "0d PEER 01 SHARE 01 0161");
    asked(Request::Members { after: Some(PEER) }, "0e 01 PEER");
    asked(Request::Find { nick: "ann".to_owned() }, "0f 03616e6e");
    asked(Request::Revoke { revocations: Revocations::none(NETWORK) }, "10 NETWORK 00");
    asked(Request::Revocations, "11");
    asked(Request::Record, "12");
    asked(Request::Leave { forget: true }, "13 01");
}

#[test]
fn answers_look_like_this() {
    answered(Reply::Done, "00");
    answered(Reply::Hosted, "01");
    answered(Reply::Admitted { membership: Membership::open(PEER) }, "02 01 PEER 00");
    let state = ShareState { share: SHARE, sequence: 300, digest: ROOT };
    answered(Reply::States { shares: vec![state] }, "04 01 SHARE ac02 HASH");
    let root = PageState { page: 3, sequence: 300, root: ROOT };
    answered(Reply::PageRoots { roots: vec![root], more: true }, "05 01 03 ac02 HASH 01");
    let resolved =
        Reply::Resolved { presence: Some(signed(presence())), online: true, last_seen_ms: 7 };
    answered(resolved, &format!("08 01 {PRESENCE} 01 07"));
    let shares = Reply::Shares { shares: vec![signed(head())], more: false };
    answered(shares, &format!("09 01 {HEAD} 00"));
    let entries = Reply::Entries { entries: vec![(entry(), proof())], more: false };
    answered(entries, &format!("0a 01 {ENTRY} {PAGE_HEAD} 01 01 HASH 00"));
    let member = MemberInfo {
        peer: PEER,
        nick: "ann".to_owned(),
        role: Role::Admin,
        online: true,
        last_seen_ms: 7,
        agent: "p".to_owned(),
        shares: 1,
        files: 2,
        bytes: 300,
    };
    let members = Reply::Members { members: vec![member], more: false };
    answered(members, "0b 01 PEER 03616e6e 02 01 07 0170 01 02 ac02 00");
    answered(Reply::Revocations(Revocations::none(NETWORK)), "0c NETWORK 00");
    let closing = Message::Notice { network: NETWORK, notice: Notice::Closing };
    pictured(tracker(closing), "0b 02 NETWORK 02");
    let none = Notice::Revoked(Revocations::none(NETWORK));
    pictured(
        tracker(Message::Notice { network: NETWORK, notice: none }),
        "0b 02 NETWORK 00 NETWORK 00",
    );
}

#[test]
fn what_is_found_looks_like_this() {
    let foreign =
        HitProof::Unverified { source: "x".to_owned(), host: "h".to_owned(), port: 300, number: 2 };
    let group = Group {
        content: CONTENT,
        size: 300,
        kind: EntryKind::File,
        online: 1,
        providers: 2,
        partial: 3,
        newest_s: 4,
        hits: vec![hit(HitProof::Page(proof())), hit(HitProof::Head(signed(head()))), hit(foreign)],
    };
    let found = Found {
        groups: vec![group],
        more: true,
        did_you_mean: Some("a".to_owned()),
        revision: 300,
    };
    let hits = format!(
        "PEER SHARE {ENTRY} 00 {PAGE_HEAD} 01 01 HASH 01 07 \
         PEER SHARE {ENTRY} 01 {HEAD} 01 07 \
         PEER SHARE {ENTRY} 02 0178 0168 ac02 02 01 07"
    );
    let picture = format!("06 01 CONTENT ac02 00 01 02 03 04 03 {hits} 01 01 0161 ac02");
    answered(Reply::Found(found), &picture);
    let provider = ProviderRecord {
        peer: PEER,
        online: false,
        last_seen_ms: 7,
        presence: None,
        hit: hit(HitProof::Page(proof())),
    };
    let picture =
        format!("07 01 PEER 00 07 00 PEER SHARE {ENTRY} 00 {PAGE_HEAD} 01 01 HASH 01 07 00");
    answered(Reply::Providers { providers: vec![provider], more: false }, &picture);
}

#[test]
fn denials_keep_their_numbers() {
    denied(Denial::Stranger, "00");
    denied(Denial::Busy { retry_ms: 300 }, "01 ac02");
    denied(Denial::NickTaken { free: "b".to_owned() }, "02 0162");
    denied(Denial::UsedUp, "03");
    denied(Denial::Expired, "04");
    denied(Denial::Stale { have: 300 }, "05 ac02");
    denied(Denial::NotYours, "06");
    denied(Denial::BadRecord("a".to_owned()), "07 0161");
    denied(Denial::TooMuch("a".to_owned()), "08 0161");
    denied(Denial::Role { needed: Role::Member }, "09 01");
    denied(Denial::Unknown, "0a");
    denied(Denial::Unavailable { retry_ms: 300 }, "0b ac02");
}

#[test]
fn lists_and_texts_beyond_their_limits_are_refused() {
    let decodes = |frame: Frame| Frame::decode(&frame.encode()).is_ok();
    let reply = |reply| decodes(tracker(Message::Reply { id: 1, result: Ok(reply) }));
    let request = |body| decodes(tracker(Message::Request { id: 1, network: NETWORK, body }));
    let claim = || Claim { network: NETWORK, membership: Membership::open(PEER) };
    let claims = |count| decodes(Frame::Claims((0..count).map(|_| claim()).collect()));
    assert!(claims(limits::CLAIMS) && !claims(limits::CLAIMS + 1));
    let admitted = |count| decodes(Frame::Admitted(vec![NETWORK; count]));
    assert!(admitted(limits::CLAIMS) && !admitted(limits::CLAIMS + 1));
    let find = |bytes| request(Request::Find { nick: "x".repeat(bytes) });
    assert!(find(limits::NICK_BYTES) && !find(limits::NICK_BYTES + 1));
    let words = |bytes| {
        request(Request::Search { query: Query { words: "x".repeat(bytes), ..Query::default() } })
    };
    assert!(words(limits::QUERY_BYTES) && !words(limits::QUERY_BYTES + 1));
    let kinds = |count| {
        let kinds = vec![FileType::Other; count];
        request(Request::Search { query: Query { kinds, ..Query::default() } })
    };
    assert!(kinds(limits::QUERY_KINDS) && !kinds(limits::QUERY_KINDS + 1));
    let state = ShareState { share: SHARE, sequence: u64::MAX, digest: ROOT };
    let states = |count| reply(Reply::States { shares: vec![state; count] });
    assert!(states(limits::SHARES_PER_PEER) && !states(limits::SHARES_PER_PEER + 1));
    let root = PageState { page: u16::MAX, sequence: u64::MAX, root: ROOT };
    let roots = |count| reply(Reply::PageRoots { roots: vec![root; count], more: false });
    assert!(roots(limits::PAGE_ROOTS) && !roots(limits::PAGE_ROOTS + 1));
    let tags = |count: usize, bytes: usize| {
        let head = ShareHead { tags: vec!["x".repeat(bytes); count], ..head() };
        request(Request::PutShare { head: signed(head) })
    };
    assert!(tags(limits::TAGS, limits::TAG_BYTES));
    assert!(!tags(limits::TAGS + 1, 1) && !tags(1, limits::TAG_BYTES + 1));
    let siblings = |count| {
        let proof = Proof { siblings: vec![ROOT; count], ..proof() };
        reply(Reply::Entries { entries: vec![(entry(), proof)], more: false })
    };
    assert!(siblings(limits::PROOF_HASHES) && !siblings(limits::PROOF_HASHES + 1));
    let path = |bytes| {
        let entry = Entry { path: "x".repeat(bytes), ..entry() };
        reply(Reply::Entries { entries: vec![(entry, proof())], more: false })
    };
    assert!(path(limits::PATH_BYTES) && !path(limits::PATH_BYTES + 1));
}

#[test]
fn the_longest_page_fits_into_a_frame() {
    let key = SecretKey::from_seed([7; 32]);
    let place =
        Place { network: NETWORK, share: SHARE, page: 0, pages: 1, sequence: 1, expires_ms: 1 };
    let long = format!("{}/", "x".repeat(200)).repeat(4);
    let paths = (0..limits::PAGE_ENTRIES).map(|number| format!("{long}{number:04}"));
    let entries = paths.map(|path| Entry { path, ..entry() }).collect();
    let page = Page::make(&key, place, entries).unwrap();
    let message = Message::Request { id: 1, network: NETWORK, body: Request::PutPage { page } };
    tracker(message).encode();
}

/// A share of one page, as it really was published.
fn published() -> (SecretKey, Signed<ShareHead>, Page) {
    let key = SecretKey::from_seed([7; 32]);
    let expires_ms = 1000;
    let head = ShareHead { peer: key.peer_id(), expires_ms, ..head() };
    let place =
        Place { network: NETWORK, share: SHARE, page: 0, pages: 1, sequence: 1, expires_ms };
    let entries = ["a", "b", "c"].map(|path| Entry { path: path.to_owned(), ..entry() });
    let page = Page::make(&key, place, entries.into()).expect("a good page");
    let head = Signed::sign(&key, head);
    (key, head, page)
}

#[test]
fn a_tracker_that_lies_is_found_out() {
    let (key, head, page) = published();
    let leaves = page.check(&NETWORK, &key.peer_id()).unwrap();
    let true_hit = Hit {
        peer: key.peer_id(),
        entry: page.entries[1].clone(),
        proof: HitProof::Page(page.proof(&leaves, 1)),
        ..hit(HitProof::Head(head.clone()))
    };
    let check = |hit: &Hit| hit.check(&NETWORK, 1000);
    assert_eq!(check(&true_hit), Ok(Standing::Signed));
    let folder =
        Hit { entry: head.value.entry(), proof: HitProof::Head(head.clone()), ..true_hit.clone() };
    assert_eq!(check(&folder), Ok(Standing::Signed));
    // Another content under the name, another peer, another share, another network, too late.
    let mut lie = true_hit.clone();
    lie.entry.content = ContentId([1; 32]);
    assert_eq!(check(&lie), Err(RecordError::Root));
    let mut lie = folder.clone();
    lie.entry.content = ContentId([1; 32]);
    assert_eq!(check(&lie), Err(RecordError::Root));
    assert_eq!(check(&Hit { peer: PEER, ..true_hit.clone() }), Err(RecordError::Peer));
    let share = ShareKey([1; 16]);
    assert_eq!(check(&Hit { share, ..true_hit.clone() }), Err(RecordError::Share));
    assert_eq!(true_hit.check(&NetworkId([1; 32]), 1000), Err(RecordError::Network));
    assert_eq!(true_hit.check(&NETWORK, 1000 + 24 * 3_600_000), Err(RecordError::Expired));
    assert_eq!(true_hit.check(&NETWORK, 1000 + 3_600_000), Ok(Standing::Signed));
    // A true hit under a content that it is not.
    let group = |content, hit: &Hit| Group {
        content,
        size: 300,
        kind: EntryKind::File,
        online: 1,
        providers: 1,
        partial: 0,
        newest_s: 1,
        hits: vec![hit.clone()],
    };
    let groups = vec![group(CONTENT, &true_hit), group(ContentId([1; 32]), &true_hit)];
    let mut found = Found { groups, ..Found::default() };
    assert_eq!(found.drop_lies(&NETWORK, 1000), 1);
    assert_eq!(found.groups, [group(CONTENT, &true_hit)]);
}

#[test]
fn a_provider_is_who_says_so_itself() {
    let (key, _, page) = published();
    let leaves = page.check(&NETWORK, &key.peer_id()).unwrap();
    let hit = Hit {
        peer: key.peer_id(),
        entry: page.entries[0].clone(),
        proof: HitProof::Page(page.proof(&leaves, 0)),
        ..hit(HitProof::Page(proof()))
    };
    let there = Signed::sign(&key, Presence { peer: key.peer_id(), ..presence() });
    let provider = ProviderRecord {
        peer: key.peer_id(),
        online: true,
        last_seen_ms: 7,
        presence: Some(there.clone()),
        hit,
    };
    let check = |provider: &ProviderRecord, content| provider.check(&NETWORK, &content, 1000);
    assert_eq!(check(&provider, CONTENT), Ok(Standing::Signed));
    assert_eq!(check(&provider, ContentId([1; 32])), Err(RecordError::Root));
    let other = ProviderRecord { peer: PEER, ..provider.clone() };
    assert_eq!(check(&other, CONTENT), Err(RecordError::Peer));
    // Foreign addresses.
    let mut moved = provider.clone();
    let mut forged = there;
    forged.value.addresses.push("203.0.113.9:1".parse().unwrap());
    moved.presence = Some(forged);
    assert_eq!(check(&moved, CONTENT), Err(RecordError::Signature));
}

#[test]
fn denials_say_what_is_wrong_and_never_act_on_a_screen() {
    let told = Denial::BadRecord("a\u{1b}[2J".to_owned()).to_string();
    assert_eq!(told, "the tracker refuses the record: a\\u{1b}[2J");
    let told = Denial::NickTaken { free: "gnp\u{202e}".to_owned() }.to_string();
    assert_eq!(told, "another member has this nickname; \"gnp\\u{202e}\" is free");
    assert!(same_nick(" Ann", "aNN ") && !same_nick("ann", "anna") && !same_nick("", ""));
}
