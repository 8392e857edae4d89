//! The examples of `docs/spec` are what the code makes.

use potluck_base::{ContentId, PeerAddr, PeerId, RelPath};
use potluck_content::{
    Entry, Kind, Layout, Manifest, Ticket, TicketKind, Values, hash, piece_value, root,
};

const CONTENT: &str = include_str!("../../../docs/spec/01-content.md");
const MANIFEST: &str = include_str!("../../../docs/spec/03-manifest.md");
const TICKET: &str = include_str!("../../../docs/spec/04-ticket.md");

/// The blocks of one language after the heading `Example`.
fn blocks<'a>(spec: &'a str, language: &str) -> Vec<&'a str> {
    let (_, example) = spec.split_once("\n## Example\n").expect("the spec has an example");
    let fence = format!("```{language}\n");
    example
        .split(&fence)
        .skip(1)
        .map(|rest| rest.split_once("```").expect("a block ends").0)
        .collect()
}

/// The bytes of a block: on each line, the hexadecimal digits before two spaces.
fn bytes(block: &str) -> Vec<u8> {
    let digits: String = block
        .lines()
        .filter_map(|line| line.split("  ").next())
        .flat_map(|hex| hex.chars().filter(|c| !c.is_whitespace()))
        .collect();
    let pair = |i| u8::from_str_radix(&digits[i..i + 2], 16).expect("two hexadecimal digits");
    (0..digits.len()).step_by(2).map(pair).collect()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn path(text: &str) -> RelPath {
    RelPath::parse(text).expect("a path of an example is good")
}

#[test]
fn the_values_of_the_example_file_are_as_the_spec_says() {
    let file: Vec<u8> = (0..131_073).map(|i: u32| (i % 251) as u8).collect();
    let layout = Layout::new(131_073);
    let values: Vec<_> = (0..layout.pieces())
        .map(|i| {
            let (offset, len) = layout.span(i);
            piece_value(&layout, i, &file[offset as usize..][..len as usize])
        })
        .collect();
    let written = [values.as_flattened(), &root(&layout, &values).0].concat();
    assert_eq!(hex(&bytes(blocks(CONTENT, "hex")[0])), hex(&written));
    assert!(Values::verify(layout, hash(&file), values).is_ok());
}

#[test]
fn the_example_manifest_is_as_the_spec_says() {
    let file = |size, id, executable| Kind::File { size, id, executable };
    let link = Kind::Link { target: "../hello.txt".to_owned() };
    let entries = [
        ("hello.txt", file(3, hash(b"abc"), false)),
        ("bin/run", file(0, hash(b""), true)),
        ("bin/hello", link),
        ("empty", Kind::Folder),
    ];
    let entries = entries.map(|(at, kind)| Entry { path: path(at), kind });
    let manifest = Manifest::new(entries.into()).unwrap();
    let written = blocks(MANIFEST, "hex");
    assert_eq!(hex(&bytes(written[0])), hex(&manifest.encode()));
    assert_eq!(hex(&bytes(written[1])), manifest.id().to_string());
    assert_eq!(Manifest::decode(&bytes(written[0])), Ok(manifest));
}

#[test]
fn the_example_ticket_is_as_the_spec_says() {
    let key = bytes("d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a");
    let ticket = Ticket {
        content: hash(b"abc"),
        kind: TicketKind::File { size: 3, executable: false },
        name: path("hello.txt"),
        providers: vec![PeerAddr {
            id: PeerId(key.try_into().unwrap()),
            direct: vec!["192.0.2.7:41641".parse().unwrap()],
            relay: None,
        }],
        personal: false,
    };
    let text = blocks(TICKET, "text")[0].trim();
    assert_eq!(text, ticket.to_string());
    assert_eq!(text.parse(), Ok(ticket));
    let body = data_encoding::BASE32_NOPAD.decode(text[4..].to_ascii_uppercase().as_bytes());
    assert_eq!(hex(&bytes(blocks(TICKET, "hex")[0])), hex(&body.unwrap()));
}

#[test]
fn the_limits_of_the_specs_are_those_of_the_code() {
    use potluck_base::limits;
    let line = |spec: &str, limit: &str, name: &str| {
        let found = spec.lines().any(|line| line.contains(limit) && line.contains(name));
        assert!(found, "{limit} for {name}");
    };
    assert_eq!(limits::MANIFEST_BYTES, 256 << 20);
    line(MANIFEST, "256 MiB", "MANIFEST_BYTES");
    assert_eq!(limits::MANIFEST_ENTRIES, 4_000_000);
    line(MANIFEST, "4,000,000", "MANIFEST_ENTRIES");
    line(MANIFEST, &limits::PATH_BYTES.to_string(), "PATH_BYTES");
    line(MANIFEST, &limits::PATH_DEPTH.to_string(), "PATH_DEPTH");
    line(MANIFEST, &limits::NAME_BYTES.to_string(), "NAME_BYTES");
    line(TICKET, &limits::TICKET_CHARS.to_string(), "TICKET_CHARS");
    line(TICKET, &limits::TICKET_PROVIDERS.to_string(), "TICKET_PROVIDERS");
    line(TICKET, &limits::PEER_ADDRS.to_string(), "PEER_ADDRS");
    assert_eq!(limits::VALUES_BYTES, 4 << 20);
    assert_eq!(Layout::LEN_MAX, (1 << 54) - (4 << 20));
    assert_eq!(hash(b""), ContentId(*blake3::hash(b"").as_bytes()));
}
