//! Pictures of every frame's bytes, limits at their edges, and bytes that no peer of ours would
//! send.

use std::net::SocketAddr;

use potluck_base::{ContentId, NetworkId, PeerAddr, PeerId, PieceRange, limits};
use potluck_identity::Revocations;
use potluck_proto::directory::chord::{Neighbours, Notice, Reply, Request};
use potluck_proto::swarm::{GoneWhy, Message};
use potluck_proto::{
    AGENT_BYTES, BLOCK_HEADER_BYTES, BlockHeader, CircleBody, CircleFrame, Frame, Hello, Known,
    REASON_BYTES, RELAY_BYTES, Refusal, RingMessage, Unfit, VERSION, VERSION_MIN, What, WireError,
    judge,
};
use proptest::prelude::{Strategy, any, prop, prop_assert_eq, proptest};

const CONTENT: ContentId = ContentId([0xc0; 32]);

fn hello() -> Hello {
    Hello {
        version: 1,
        features: 5,
        agent: "potluck/0.1.0".to_owned(),
        addresses: vec![address(), SocketAddr::from(([0x2001, 0xdb8, 0, 0, 0, 0, 0, 1], 80))],
        relay: Some("https://r.example".to_owned()),
    }
}

fn address() -> SocketAddr {
    SocketAddr::from(([192, 0, 2, 7], 4567))
}

fn peer(direct: usize) -> PeerAddr {
    PeerAddr { id: PeerId([0xee; 32]), direct: vec![address(); direct], relay: None }
}

fn swarm(message: Message<PeerAddr>) -> Frame {
    Frame::Swarm { content: CONTENT, message }
}

fn range(start: u32, end: u32) -> PieceRange {
    PieceRange::new(start, end)
}

fn hex(bytes: &[u8]) -> String {
    let text: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    text.replace(&"c0".repeat(32), "CONTENT").replace(&"ee".repeat(32), "PEER")
}

/// A picture as the specification draws it, with spaces between the fields.
#[track_caller]
fn pictured(frame: Frame, picture: &str) {
    let bytes = frame.encode();
    assert_eq!(hex(&bytes), picture.replace(' ', ""));
    assert_eq!(Frame::decode(&bytes), Ok(frame));
    // Not one byte may be missing, and none may follow.
    for end in 0..bytes.len() {
        assert!(Frame::decode(&bytes[..end]).is_err(), "{end} of {} bytes", bytes.len());
    }
    let longer = [bytes, vec![0]].concat();
    assert_eq!(Frame::decode(&longer), Err(WireError::Stray(1)));
}

#[test]
fn hello_looks_like_this() {
    pictured(
        Frame::Hello(hello()),
        "00 01 05 0d 706f746c75636b2f302e312e30 \
         02 00 c0000207 d723 01 20010db8000000000000000000000001 50 \
         01 11 68747470733a2f2f722e6578616d706c65",
    );
}

#[test]
fn swarm_messages_look_like_this() {
    let some = vec![range(0, 2), range(300, 301)];
    let join = Message::Join { have: some.clone(), wants: true };
    pictured(swarm(join), "01 CONTENT 00 02 00 02 aa02 01 01");
    pictured(swarm(Message::Have(some.clone())), "01 CONTENT 01 02 00 02 aa02 01");
    pictured(swarm(Message::Grant { bytes: 66_048 }), "01 CONTENT 02 808404");
    pictured(swarm(Message::Request(some.clone())), "01 CONTENT 03 02 00 02 aa02 01");
    pictured(swarm(Message::Cancel(some.clone())), "01 CONTENT 04 02 00 02 aa02 01");
    let gone = Message::Gone { ranges: some, why: GoneWhy::Unreadable };
    pictured(swarm(gone), "01 CONTENT 05 02 00 02 aa02 01 02");
    let peers = Message::Peers(vec![peer(1)]);
    pictured(swarm(peers), "01 CONTENT 06 01 PEER 01 00 c0000207 d723 00");
    pictured(swarm(Message::Finished), "01 CONTENT 07");
    pictured(swarm(Message::Bye), "01 CONTENT 08");
}

#[test]
fn the_other_frames_look_like_this() {
    let ask = |what| Frame::MetaRequest { id: 7, content: CONTENT, what };
    pictured(ask(What::Manifest), "02 07 CONTENT 00");
    pictured(ask(What::Values { files: 2..200 }), "02 07 CONTENT 01 02 c801");
    let chunk = Frame::MetaChunk { id: 7, total: 300, offset: 2, bytes: b"abc".to_vec() };
    pictured(chunk, "03 07 ac02 02 03 616263");
    pictured(Frame::MetaRefused { id: 7, why: Refusal::Busy }, "04 07 02");
    pictured(Frame::Refuse { content: CONTENT, why: Refusal::NotShared }, "05 CONTENT 00");
    pictured(Frame::Ping(1), "06 01");
    pictured(Frame::Pong(u64::MAX), "07 ffffffffffffffffff01");
    pictured(Frame::Goodbye { reason: "done".to_owned() }, "08 04 646f6e65");
}

#[test]
fn what_members_of_a_circle_say_looks_like_this() {
    let network = NetworkId([0xaa; 32]);
    let picture = |body, picture: &str| {
        let frame = Frame::Chord(Box::new(CircleFrame { network, body }));
        pictured(frame, &format!("0c {} {picture}", "aa".repeat(32)));
    };
    let ring = |message| CircleBody::Ring(message);
    picture(ring(RingMessage::Call { id: 7, body: Request::State }), "00 00 07 00");
    let state = Neighbours { predecessor: Some(peer(1)), successors: vec![peer(0)] };
    picture(
        ring(RingMessage::Answer { id: 300, body: Reply::State(state) }),
        "00 01 ac02 00 01 PEER 01 00 c0000207 d723 00 01 PEER 00 00",
    );
    let between = RingMessage::Tell(Notice::Between(peer(0)));
    picture(ring(between), "00 02 01 PEER 00 00");
    let known = Known { record: 1, list: 300, revoked: [0xbb; 8] };
    picture(CircleBody::Have(known), "01 01 ac02 bbbbbbbbbbbbbbbb");
    let nobody = Revocations::none(network);
    picture(CircleBody::Revoked(nobody), &format!("03 {} 00", "aa".repeat(32)));
}

#[test]
fn a_member_of_a_circle_has_no_more_addresses_than_it_may() {
    let frame = |direct| {
        let body = CircleBody::Ring(RingMessage::Tell(Notice::Between(peer(direct))));
        Frame::Chord(Box::new(CircleFrame { network: NetworkId([1; 32]), body })).encode()
    };
    assert!(Frame::decode(&frame(limits::PEER_ADDRS)).is_ok());
    assert_eq!(Frame::decode(&frame(limits::PEER_ADDRS + 1)), Err(WireError::Malformed));
}

#[test]
fn refusals_and_reasons_keep_their_numbers() {
    let refusals = [Refusal::NotShared, Refusal::Denied, Refusal::Busy, Refusal::Changed];
    for (number, why) in refusals.into_iter().enumerate() {
        assert_eq!(Frame::MetaRefused { id: 0, why }.encode(), [4, 0, number as u8]);
    }
    for (number, why) in
        [GoneWhy::Changed, GoneWhy::Missing, GoneWhy::Unreadable].iter().enumerate()
    {
        let bytes = swarm(Message::Gone { ranges: vec![range(0, 1)], why: *why }).encode();
        assert_eq!(bytes.last(), Some(&(number as u8)));
    }
    assert_eq!(Frame::decode(&[4, 0, 4]), Err(WireError::Malformed));
    assert_eq!(Frame::decode(&[9]), Err(WireError::Malformed));
    assert_eq!(Frame::decode(&[]), Err(WireError::Malformed));
}

#[test]
fn a_block_header_looks_like_this() {
    let header = BlockHeader {
        content: CONTENT,
        range: range(0x0102, 0x0103),
        offset: 0x0004_0000,
        bytes: 0x0002_0000,
        last: true,
    };
    let bytes = header.encode();
    assert_eq!(bytes.len(), BLOCK_HEADER_BYTES);
    let picture = "b1 01 0000 CONTENT 02010000 03010000 00000400 00000200";
    assert_eq!(hex(&bytes), picture.replace(' ', ""));
    assert_eq!(BlockHeader::decode(&bytes), Ok(header));
    let several = BlockHeader { range: range(5, 9), offset: 0, ..header };
    assert_eq!(BlockHeader::decode(&several.encode()), Ok(several));
}

#[test]
fn a_block_header_beyond_its_limits_is_refused() {
    let good = BlockHeader {
        content: CONTENT,
        range: range(7, 7 + limits::BLOCK_PIECES),
        offset: 0,
        bytes: limits::BLOCK_BYTES as u32,
        last: true,
    };
    assert_eq!(BlockHeader::decode(&good.encode()), Ok(good));
    let bad = [
        BlockHeader { range: range(7, 8 + limits::BLOCK_PIECES), ..good },
        BlockHeader { range: PieceRange { start: 7, end: 7 }, ..good },
        BlockHeader { range: PieceRange { start: 8, end: 7 }, ..good },
        BlockHeader { bytes: limits::BLOCK_BYTES as u32 + 1, ..good },
        BlockHeader { bytes: u32::MAX, ..good },
        BlockHeader { bytes: 0, ..good },
        // Parts of a piece name that piece only.
        BlockHeader { offset: 1, ..good },
        BlockHeader { last: false, ..good },
    ];
    for header in bad {
        let decoded = BlockHeader::decode(&header.encode());
        assert!(matches!(decoded, Err(WireError::Header(_))), "{header:?}");
    }
    for (at, value) in [(0, 0), (1, 2), (2, 1), (3, 1)] {
        let mut bytes = good.encode();
        bytes[at] = value;
        assert!(BlockHeader::decode(&bytes).is_err(), "byte {at}");
    }
}

#[test]
fn lists_are_read_up_to_their_limit_and_not_beyond() {
    let ranges = |count: u32| (0..count).map(|i| range(2 * i, 2 * i + 1)).collect::<Vec<_>>();
    let most = limits::RANGES as u32;
    let hello = |count| Frame::Hello(Hello { addresses: vec![address(); count], ..hello() });
    let agent = |count| Frame::Hello(Hello { agent: "x".repeat(count), ..self::hello() });
    let relay = |count| Frame::Hello(Hello { relay: Some("x".repeat(count)), ..self::hello() });
    let chunk =
        |count| Frame::MetaChunk { id: 1, total: 1 << 40, offset: 0, bytes: vec![7; count] };
    let peers = |count| swarm(Message::Peers(vec![peer(1); count]));
    let relayed = |count| {
        let relay = Some("x".repeat(count));
        swarm(Message::Peers(vec![PeerAddr { relay, ..peer(0) }]))
    };
    let goodbye = |count| Frame::Goodbye { reason: "x".repeat(count) };
    let edges = [
        (swarm(Message::Have(ranges(most))), swarm(Message::Have(ranges(most + 1)))),
        (swarm(Message::Request(ranges(most))), swarm(Message::Request(ranges(most + 1)))),
        (peers(limits::EXCHANGE_PEERS), peers(limits::EXCHANGE_PEERS + 1)),
        (
            swarm(Message::Peers(vec![peer(limits::PEER_ADDRS)])),
            swarm(Message::Peers(vec![peer(limits::PEER_ADDRS + 1)])),
        ),
        (relayed(RELAY_BYTES), relayed(RELAY_BYTES + 1)),
        (hello(limits::PEER_ADDRS), hello(limits::PEER_ADDRS + 1)),
        (agent(AGENT_BYTES), agent(AGENT_BYTES + 1)),
        (relay(RELAY_BYTES), relay(RELAY_BYTES + 1)),
        (chunk(limits::META_CHUNK_BYTES), chunk(limits::META_CHUNK_BYTES + 1)),
        (goodbye(REASON_BYTES), goodbye(REASON_BYTES + 1)),
    ];
    for (number, (good, bad)) in edges.into_iter().enumerate() {
        assert_eq!(Frame::decode(&good.encode()), Ok(good), "edge {number}");
        assert_eq!(Frame::decode(&bad.encode()), Err(WireError::Malformed), "edge {number}");
    }
}

#[test]
fn the_longest_frames_fit() {
    // As many ranges as may be, as far apart as they can be.
    let step = u32::MAX / limits::RANGES as u32;
    let have = (0..limits::RANGES as u32).map(|i| range(i * step, i * step + step / 2)).collect();
    let join = swarm(Message::Join { have, wants: true });
    assert!(join.encode().len() < limits::FRAME_BYTES);
    assert_eq!(Frame::decode(&join.encode()), Ok(join));
    let far = PeerAddr {
        direct: vec!["[ffff:ffff::ffff]:65535".parse().unwrap(); limits::PEER_ADDRS],
        relay: Some("x".repeat(RELAY_BYTES)),
        ..peer(0)
    };
    let peers = swarm(Message::Peers(vec![far; limits::EXCHANGE_PEERS]));
    assert!(peers.encode().len() < limits::FRAME_BYTES);
    let long = vec![6; limits::FRAME_BYTES + 1];
    assert_eq!(Frame::decode(&long), Err(WireError::TooLong(limits::FRAME_BYTES + 1)));
}

#[test]
fn lengths_that_lie_are_refused_and_take_no_memory() {
    // -1 in 32 and 64 bits, 2^31, 2^62, and just more than is there.
    let lengths: [&[u8]; 5] = [
        &[0xff, 0xff, 0xff, 0xff, 0x0f],
        &[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01],
        &[0x80, 0x80, 0x80, 0x80, 0x08],
        &[0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x40],
        &[0x7f],
    ];
    let content = [0xc0; 32];
    let before_each_length: Vec<Vec<u8>> = vec![
        vec![0, 1, 0],                                             // hello: agent
        vec![0, 1, 0, 0],                                          // hello: addresses
        vec![0, 1, 0, 0, 0, 1],                                    // hello: relay
        [&[1][..], &content, &[0]].concat(),                       // join: ranges
        [&[1][..], &content, &[1]].concat(),                       // have
        [&[1][..], &content, &[3]].concat(),                       // request
        [&[1][..], &content, &[4]].concat(),                       // cancel
        [&[1][..], &content, &[5]].concat(),                       // gone
        [&[1][..], &content, &[6]].concat(),                       // peers
        [&[1][..], &content, &[6, 1], &content].concat(),          // peers: addresses
        [&[1][..], &content, &[6, 1], &content, &[0, 1]].concat(), // peers: relay
        vec![3, 7, 9, 0],                                          // chunk: bytes
        vec![8],                                                   // goodbye: reason
    ];
    for start in before_each_length {
        for length in lengths {
            let bytes = [&start[..], length, &[0, 1]].concat();
            assert_eq!(Frame::decode(&bytes), Err(WireError::Malformed), "{bytes:02x?}");
        }
    }
}

#[test]
fn ranges_that_are_empty_or_run_over_are_refused() {
    let have = |ranges: &[u8]| {
        let bytes = [&[1][..], &[0xc0; 32], &[1], ranges].concat();
        Frame::decode(&bytes)
    };
    assert_eq!(have(&[1, 5, 1]), Ok(swarm(Message::Have(vec![range(5, 6)]))));
    assert_eq!(have(&[1, 5, 0]), Err(WireError::Malformed));
    let max = [0xff, 0xff, 0xff, 0xff, 0x0f];
    assert!(have(&[&[1, 0][..], &max].concat()).is_ok());
    assert_eq!(have(&[&[1, 1][..], &max].concat()), Err(WireError::Malformed));
    assert_eq!(have(&[&[2, 0][..], &max, &[0, 1]].concat()), Err(WireError::Malformed));
    assert_eq!(have(&[&[2, 0, 1][..], &max, &[1]].concat()), Err(WireError::Malformed));
    let files = |files: &[u8]| Frame::decode(&[&[2, 7][..], &[0xc0; 32], &[1], files].concat());
    assert!(files(&[3, 4]).is_ok());
    assert_eq!(files(&[3, 3]), Err(WireError::Malformed));
    assert_eq!(files(&[4, 3]), Err(WireError::Malformed));
}

#[test]
fn a_chunk_beyond_its_total_is_refused() {
    let chunk = |total, offset| Frame::MetaChunk { id: 1, total, offset, bytes: vec![7; 4] };
    assert!(Frame::decode(&chunk(10, 6).encode()).is_ok());
    for (total, offset) in [(10, 7), (3, 0), (0, 0), (u64::MAX, u64::MAX - 3 + 1)] {
        let decoded = Frame::decode(&chunk(total, offset).encode());
        assert_eq!(decoded, Err(WireError::Malformed), "{offset} of {total}");
    }
    let empty = Frame::MetaChunk { id: 1, total: 0, offset: 0, bytes: Vec::new() };
    assert_eq!(Frame::decode(&empty.encode()), Ok(empty));
}

#[test]
fn text_that_is_not_utf8_is_refused() {
    assert_eq!(Frame::decode(&[8, 2, 0xc0, 0x80]), Err(WireError::Malformed));
    assert_eq!(Frame::decode(&[8, 3, 0xed, 0xa0, 0x80]), Err(WireError::Malformed));
    assert!(Frame::decode(&[8, 1, 0]).is_ok(), "a NUL is text; showing it is escaping it");
}

#[test]
fn a_hello_of_a_later_version_may_say_more() {
    let later = Hello { version: VERSION + 1, ..hello() };
    let bytes = [Frame::Hello(later.clone()).encode(), vec![1, 2, 3]].concat();
    assert_eq!(Frame::decode(&bytes), Ok(Frame::Hello(later)));
    let bytes = [Frame::Hello(hello()).encode(), vec![1, 2, 3]].concat();
    assert_eq!(Frame::decode(&bytes), Err(WireError::Stray(3)));
}

#[test]
fn sides_of_one_version_agree_on_what_both_can_do() {
    let versions = VERSION_MIN..=VERSION;
    let agreed = judge(versions.clone(), 0b1100, &Hello { features: 0b0101, ..hello() }).unwrap();
    assert_eq!((agreed.version, agreed.features), (1, 0b0100));
    let unknown = judge(versions, 0, &Hello { features: u64::MAX, ..hello() }).unwrap();
    assert_eq!(unknown.features, 0);
}

#[test]
fn who_is_to_be_updated_is_said() {
    let agent = "evil\u{1b}[2J/1".to_owned();
    let old = judge(3..=5, 0, &Hello { version: 2, agent: agent.clone(), ..hello() }).unwrap_err();
    assert!(matches!(old, Unfit::TooOld { version: 2, needed: 3, .. }));
    assert!(old.to_string().ends_with("update Potluck on the other side"), "{old}");
    let new = judge(3..=5, 0, &Hello { version: 6, agent, ..hello() }).unwrap_err();
    assert!(matches!(new, Unfit::TooNew { version: 6, known: 5, .. }));
    assert!(new.to_string().ends_with("update Potluck on this side"), "{new}");
    assert!(!new.to_string().contains('\u{1b}'), "{new}");
    assert!(judge(3..=5, 0, &Hello { version: 4, ..hello() }).is_ok());
}

fn any_ranges() -> impl Strategy<Value = Vec<PieceRange>> {
    prop::collection::vec((0u32..5000, 1u32..5000), 0..20).prop_map(|pairs| {
        let mut at = 0;
        let ranges = pairs.into_iter().map(|(gap, length)| {
            let start = at + gap;
            at = start + length;
            range(start, at)
        });
        ranges.collect()
    })
}

fn any_peer() -> impl Strategy<Value = PeerAddr> {
    let address = any::<([u8; 16], bool, u16)>().prop_map(|(ip, v6, port)| match v6 {
        true => SocketAddr::from((ip, port)),
        false => SocketAddr::from(([ip[0], ip[1], ip[2], ip[3]], port)),
    });
    (any::<[u8; 32]>(), prop::collection::vec(address, 0..5), any::<Option<bool>>()).prop_map(
        |(id, direct, relay)| PeerAddr {
            id: PeerId(id),
            direct,
            relay: relay.map(|long| "r".repeat(if long { RELAY_BYTES } else { 0 })),
        },
    )
}

fn any_frame() -> impl Strategy<Value = Frame> {
    let lists = (any_ranges(), prop::collection::vec(any_peer(), 0..4));
    (0u8..16, lists, any::<(u32, u64, [u8; 32], bool)>(), ".{0,20}").prop_map(
        |(kind, (have, peers), (small, large, id, flag), text)| {
            let content = ContentId(id);
            let swarm = |message| Frame::Swarm { content, message };
            match kind {
                0 => Frame::Hello(Hello {
                    version: 1,
                    features: large,
                    agent: text.chars().take(16).collect(),
                    addresses: peers.into_iter().flat_map(|peer| peer.direct).take(16).collect(),
                    relay: flag.then_some(text),
                }),
                1 => swarm(Message::Join { have, wants: flag }),
                2 => swarm(Message::Have(have)),
                3 => swarm(Message::Grant { bytes: small }),
                4 => swarm(Message::Request(have)),
                5 => swarm(Message::Cancel(have)),
                6 => swarm(Message::Gone { ranges: have, why: GoneWhy::Missing }),
                7 => swarm(Message::Peers(peers)),
                8 => swarm(if flag { Message::Finished } else { Message::Bye }),
                9 => Frame::MetaRequest { id: small, content, what: What::Manifest },
                10 => {
                    let what = What::Values { files: small / 2..small / 2 + 1 };
                    Frame::MetaRequest { id: small, content, what }
                }
                11 => Frame::MetaChunk {
                    id: small,
                    total: (large >> 1) + text.len() as u64,
                    offset: large >> 1,
                    bytes: text.into_bytes(),
                },
                12 => Frame::MetaRefused { id: small, why: Refusal::Denied },
                13 => Frame::Refuse { content, why: Refusal::Changed },
                14 => {
                    if flag {
                        Frame::Ping(large)
                    } else {
                        Frame::Pong(large)
                    }
                }
                _ => Frame::Goodbye { reason: text },
            }
        },
    )
}

proptest! {
    #[test]
    fn every_frame_survives_the_journey(frame in any_frame()) {
        prop_assert_eq!(Frame::decode(&frame.encode()), Ok(frame));
    }

    #[test]
    fn arbitrary_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        if let Ok(frame) = Frame::decode(&bytes) {
            prop_assert_eq!(Frame::decode(&frame.encode()), Ok(frame));
        }
    }

    #[test]
    fn damaged_frames_never_panic(
        frame in any_frame(),
        at in any::<prop::sample::Index>(),
        byte in any::<u8>(),
    ) {
        let mut bytes = frame.encode();
        let at = at.index(bytes.len());
        bytes[at] = byte;
        if let Ok(frame) = Frame::decode(&bytes) {
            prop_assert_eq!(Frame::decode(&frame.encode()), Ok(frame));
        }
    }

    #[test]
    fn arbitrary_block_headers_never_panic(
        mut bytes in any::<[u8; BLOCK_HEADER_BYTES]>(),
        tame in any::<bool>(),
    ) {
        if tame {
            bytes[..4].copy_from_slice(&[0xb1, 1, 0, 0]);
            for at in [38, 39, 42, 43, 44, 45, 46, 47, 50, 51] {
                bytes[at] = 0;
            }
        }
        if let Ok(header) = BlockHeader::decode(&bytes) {
            prop_assert_eq!(header.encode(), bytes);
        }
    }
}
