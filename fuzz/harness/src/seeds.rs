//! Valid encodings of every kind, made by the code that writes them.

use std::net::{Ipv6Addr, SocketAddr};

use potluck_base::{ContentId, PeerAddr, PeerId, PieceRange, RelPath, limits};
use potluck_content::{Entry, Kind, Layout, Manifest, Ticket, TicketKind, hash, piece_value, root};
use potluck_proto::swarm::{GoneWhy, Message};
use potluck_proto::{BlockHeader, CopySaid, Frame, Hello, Refusal, VERSION, What};

/// Control frames of every kind.
pub fn frames() -> Vec<Vec<u8>> {
    let content = ContentId([7; 32]);
    let ranges = || vec![PieceRange::new(0, 3), PieceRange::new(9, 4_000_000)];
    let messages = [
        Message::Join { have: ranges(), wants: true },
        Message::Join { have: Vec::new(), wants: false },
        Message::Have(ranges()),
        Message::Grant { bytes: 4 << 20 },
        Message::Request(ranges()),
        Message::Cancel(ranges()),
        Message::Gone { ranges: ranges(), why: GoneWhy::Changed },
        Message::Peers(vec![peer(1), peer(2)]),
        Message::Finished,
        Message::Bye,
    ];
    let mut frames: Vec<Frame> =
        messages.into_iter().map(|message| Frame::Swarm { content, message }).collect();
    frames.extend([
        Frame::MetaRequest { id: 1, content, what: What::Manifest },
        Frame::MetaRequest { id: 2, content, what: What::Values { files: 3..70_000 } },
        Frame::MetaChunk { id: 1, total: 300, offset: 100, bytes: vec![5; 200] },
        Frame::MetaChunk { id: 1, total: 0, offset: 0, bytes: Vec::new() },
        Frame::MetaRefused { id: 2, why: Refusal::Changed },
        Frame::Refuse { content, why: Refusal::NotShared },
        Frame::Ping(u64::MAX),
        Frame::Pong(0),
        Frame::Goodbye { reason: "the node stops".to_owned() },
    ]);
    frames.extend(crate::tracker::frames());
    let written = frames.iter().map(Frame::encode);
    written.chain(hellos()).collect()
}

/// First frames, also of a version to come.
pub fn hellos() -> Vec<Vec<u8>> {
    let hello = |version: u16, agent: &str| {
        let PeerAddr { direct, relay, .. } = peer(1);
        let agent = agent.to_owned();
        Frame::Hello(Hello { version, features: 5, agent, addresses: direct, relay }).encode()
    };
    let mut later = hello(VERSION + 1, "potluck/9.0.0");
    later.extend_from_slice(b"something that we do not understand yet");
    vec![hello(VERSION, "potluck/0.1.0"), hello(0, "a\u{1b}[2Jb"), later]
}

/// Headers of blocks.
pub fn block_headers() -> Vec<Vec<u8>> {
    let header = |start, end, offset, bytes, last| {
        let range = PieceRange::new(start, end);
        BlockHeader { content: ContentId([9; 32]), range, offset, bytes, last }.encode().to_vec()
    };
    vec![
        header(0, 1, 0, 1, true),
        header(5, 69, 0, limits::BLOCK_BYTES as u32, true),
        header(5, 6, 1 << 20, limits::BLOCK_BYTES as u32, false),
        header(u32::MAX - 1, u32::MAX, 0, 77, true),
    ]
}

/// Tickets as texts.
pub fn tickets() -> Vec<Vec<u8>> {
    ticket_values().iter().map(|ticket| ticket.to_string().into_bytes()).collect()
}

/// What stands in tickets, without text form and checksum.
pub fn ticket_bodies() -> Vec<Vec<u8>> {
    let body = |ticket: Ticket| {
        let text = ticket.to_string().to_ascii_uppercase();
        let mut bytes = data_encoding::BASE32_NOPAD
            .decode(&text.as_bytes()[TICKET_PREFIX.len()..])
            .expect("a ticket is base32");
        bytes.truncate(bytes.len() - TICKET_SUM_BYTES);
        bytes
    };
    ticket_values().into_iter().map(body).collect()
}

/// Takes bytes for what stands in a ticket and adds checksum and text form.
pub fn ticket_of_body(bytes: &[u8]) -> Vec<u8> {
    let mut whole = bytes.to_vec();
    whole.extend_from_slice(&hash(bytes).0[..TICKET_SUM_BYTES]);
    let text = data_encoding::BASE32_NOPAD.encode(&whole).to_ascii_lowercase();
    format!("{TICKET_PREFIX}{text}").into_bytes()
}

const TICKET_PREFIX: &str = "pot1";
const TICKET_SUM_BYTES: usize = 4;

fn ticket_values() -> Vec<Ticket> {
    let ticket = |kind, name: &str, providers| {
        let name = RelPath::parse_name(name).expect("a good name");
        Ticket { content: hash(b"something"), kind, name, providers, personal: false }
    };
    let empty = Ticket {
        content: hash(b""),
        ..ticket(TicketKind::File { size: 0, executable: false }, "nothing", Vec::new())
    };
    vec![
        ticket(TicketKind::File { size: 1 << 30, executable: true }, "film.mkv", vec![peer(1)]),
        ticket(TicketKind::Folder, "фото 日本", vec![peer(1), peer(2), PeerAddr::unknown(id(3))]),
        empty,
    ]
}

/// Lists of folders.
pub fn manifests() -> Vec<Vec<u8>> {
    let entry = |path: &str, kind| Entry { path: RelPath::parse(path).expect("a good path"), kind };
    let file = |size| Kind::File { size, id: hash(b"x"), executable: false };
    let script = Kind::File { size: 9, id: hash(b"y"), executable: true };
    let empty = Kind::File { size: 0, id: hash(b""), executable: false };
    let link = |target: &str| Kind::Link { target: target.to_owned() };
    let lists = [
        vec![],
        vec![entry("a", file(1))],
        vec![
            entry("a/deep/tree/of/folders/large.bin", file(5 << 30)),
            entry("a/deep/tree/script.sh", script),
            entry("a/nothing", empty),
            entry("b", Kind::Folder),
            entry("c/link", link("../a/deep")),
            entry("c/same", link("link")),
            entry("Ünï/日本語.txt", file(70_000)),
        ],
        (0..60).map(|index| entry(&format!("f{index:02}"), file(index + 1))).collect(),
    ];
    lists.map(|list| Manifest::new(list).expect("a good list").encode()).into()
}

/// Piece values: a length, an id, the values.
pub fn values() -> Vec<Vec<u8>> {
    let sizes = [(1_u64 << 16) + 1, 3 << 16, 5 << 16];
    let list = |size: u64| {
        let layout = Layout::new(size);
        let bytes = vec![3; size as usize];
        let values: Vec<_> = (0..layout.pieces())
            .map(|index| {
                let (offset, length) = layout.span(index);
                piece_value(&layout, index, &bytes[offset as usize..][..length as usize])
            })
            .collect();
        let id = root(&layout, &values);
        [size.to_le_bytes().as_slice(), id.0.as_slice(), values.as_flattened()].concat()
    };
    sizes.map(list).into()
}

/// Paths, in many scripts.
pub fn paths() -> Vec<Vec<u8>> {
    let paths = ["a", "a/b.txt", "Ünï/日本語/наука", "...", "xy:z", "COM1.txt", "a b/c. "];
    paths.map(|path| path.as_bytes().to_vec()).into()
}

fn id(number: u8) -> PeerId {
    PeerId([number; 32])
}

fn peer(number: u8) -> PeerAddr {
    let v6 = SocketAddr::from((Ipv6Addr::LOCALHOST, 4242));
    PeerAddr {
        id: id(number),
        direct: vec![SocketAddr::from(([192, 0, 2, number], 4242)), v6],
        relay: Some("https://relay.example".to_owned()),
    }
}

/// Answers about copies of stored files.
pub fn copies_said() -> Vec<Vec<u8>> {
    let missing = |again| CopySaid::Missing { why: "its disk is full".to_owned(), again };
    let all = [CopySaid::Unasked, CopySaid::There, CopySaid::Coming { have: 1 << 40 }];
    all.into_iter().chain([missing(false), missing(true)]).map(CopySaid::encode).collect()
}
