//! Tickets that people pass on, damage and forge.

use proptest::collection::vec;
use proptest::option;
use proptest::prelude::{Strategy, any, prop_oneof, proptest};

use super::*;

const NO_PROVIDERS: &[u8] = &[0];

fn provider(direct: &[&str]) -> PeerAddr {
    let direct = direct.iter().map(|address| address.parse().unwrap()).collect();
    PeerAddr { id: PeerId([0x5a; 32]), direct, relay: None }
}

fn film() -> Ticket {
    Ticket {
        content: ContentId([0xa5; 32]),
        kind: TicketKind::File { size: 1_468_006_400, executable: false },
        name: RelPath::parse("holiday-film.mp4").unwrap(),
        providers: vec![provider(&["192.0.2.7:41641"])],
        personal: false,
    }
}

/// A ticket of these bytes with a true checksum.
fn sealed(body: &[u8]) -> String {
    let bytes = [body, &checksum(body)].concat();
    format!("pot1{}", data_encoding::BASE32_NOPAD.encode(&bytes).to_ascii_lowercase())
}

/// The body of a ticket for a file of five bytes, with the rest after the name.
fn named(name: &[u8], rest: &[u8]) -> Vec<u8> {
    let len = u8::try_from(name.len()).unwrap();
    [&[1, 0][..], &[0xa5; 32], &[5, len], name, rest].concat()
}

fn read(text: &str) -> Result<Ticket, TicketError> {
    text.parse()
}

/// The reason for which a whole and undamaged ticket is refused.
fn reason(body: &[u8]) -> &'static str {
    match read(&sealed(body)) {
        Err(TicketError::Invalid(reason)) => reason,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_ticket_prints_and_parses_back() {
    let relay = Some("https://relay.example:4443/".to_owned());
    let addresses = ["198.51.100.3:1", "[2001:db8::7]:65535"];
    let providers = vec![provider(&[]), PeerAddr { relay, ..provider(&addresses) }];
    let run = Ticket {
        kind: TicketKind::File { size: 0, executable: true },
        content: hash(&[]),
        ..film()
    };
    let folder = Ticket { kind: TicketKind::Folder, providers, ..film() };
    let personal = Ticket { personal: true, ..folder.clone() };
    for ticket in [film(), run, folder, personal] {
        assert_eq!(read(&ticket.to_string()), Ok(ticket));
    }
}

#[test]
fn a_ticket_for_a_file_at_one_address_is_short() {
    let text = film().to_string();
    assert!((140..=170).contains(&text.len()), "{} characters", text.len());
    assert!(
        text.starts_with("pot1")
            && text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit())
    );
}

#[test]
fn a_ticket_is_read_however_it_was_passed_on() {
    let text = film().to_string();
    let passed_on = [
        format!("  {text}\r\n"),
        text.to_ascii_uppercase(),
        format!("potluck:{text}"),
        format!("\tPOTLUCK:{}\n", text.to_ascii_uppercase()),
    ];
    for text in passed_on {
        assert_eq!(read(&text), Ok(film()), "{text:?}");
    }
}

#[test]
fn what_is_no_ticket_is_called_so() {
    let long = format!("pot1{}", "a".repeat(limits::TICKET_CHARS));
    for text in
        ["", "pot", "magnet:?xt=1", "https://example.org", "potluck:", "potato", "é", "pöt1", &long]
    {
        assert_eq!(read(text), Err(TicketError::NotATicket), "{text:?}");
    }
}

#[test]
fn a_ticket_with_any_wrong_character_is_damaged() {
    let text = film().to_string();
    for at in PREFIX.len()..text.len() {
        for wrong in ["a", "7", "1", "é", " "] {
            let changed = [&text[..at], wrong, &text[at + 1..]].concat();
            assert!(changed == text || read(&changed).is_err(), "{changed}");
            if at + 1 < text.len() {
                let verdict = read(&changed);
                assert!(changed == text || verdict == Err(TicketError::Damaged), "{changed}");
            }
        }
    }
}

#[test]
fn a_ticket_that_lost_its_end_is_damaged() {
    let text = film().to_string();
    for len in PREFIX.len()..text.len() {
        assert_eq!(read(&text[..len]), Err(TicketError::Damaged), "{len} characters");
    }
}

#[test]
fn a_ticket_from_a_newer_version_asks_for_an_update() {
    let mut body = named(b"x", NO_PROVIDERS);
    assert!(read(&sealed(&body)).is_ok());
    body[0] = 2;
    assert_eq!(read(&sealed(&body)), Err(TicketError::Newer));
    assert_eq!(read("pot2aaaa"), Err(TicketError::Newer));
    assert_eq!(read("potluck:POT2AAAA"), Err(TicketError::Newer));
    body[0] = 0;
    assert!(reason(&body).contains("version 0"));
}

#[test]
fn a_forged_kind_is_refused() {
    let mut body = named(b"x", NO_PROVIDERS);
    let personal = 4..=6;
    for flags in (3..=255).filter(|flags| !personal.contains(flags)) {
        body[1] = flags;
        assert!(reason(&body).contains("other than a file or a folder"));
    }
}

#[test]
fn a_forged_size_is_refused() {
    let sized = |size: u64| {
        let mut body = [&[1, 0][..], &[0xa5; 32]].concat();
        push_varint(&mut body, size);
        [&body, &b"\x01x\x00"[..]].concat()
    };
    assert!(read(&sealed(&sized(Layout::LEN_MAX))).is_ok());
    assert!(reason(&sized(Layout::LEN_MAX + 1)).contains("larger than can be shared"));
    assert!(reason(&sized(u64::MAX)).contains("larger than can be shared"));
    assert!(reason(&sized(0)).contains("empty"));
    let mut padded = sized(5);
    padded.splice(34..35, [0x85, 0]);
    assert!(reason(&padded).contains("malformed number"));
}

#[test]
fn a_forged_name_is_refused() {
    let bad = [
        "",
        ".",
        "..",
        "a/b",
        "/",
        "../x",
        "a\\b",
        "C:x",
        "a\0b",
        "a\nb",
        "\u{1b}[2J",
        "gpj.\u{202e}exe",
    ];
    for name in bad {
        assert!(reason(&named(name.as_bytes(), NO_PROVIDERS)).contains("name"), "{name:?}");
    }
    assert!(reason(&named(b"\xff", NO_PROVIDERS)).contains("UTF-8"));
    assert!(read(&sealed(&named(&[b'n'; 255], NO_PROVIDERS))).is_ok());
}

#[test]
fn forged_providers_are_refused() {
    let one = |after_id: &[u8]| named(b"x", &[&[1][..], &[0x5a; 32], after_id].concat());
    assert!(read(&sealed(&one(&[0, 0]))).is_ok());
    let count = limits::TICKET_PROVIDERS as u8 + 1;
    let many = [&[count][..], &[0; 34].repeat(count.into())].concat();
    assert!(reason(&named(b"x", &many)).contains("too many providers"));
    let count = limits::PEER_ADDRS as u8 + 1;
    let many = [&[count][..], &[4, 192, 0, 2, 7, 0, 80].repeat(count.into()), &[0]].concat();
    assert!(reason(&one(&many)).contains("too many addresses"));
    assert!(reason(&one(&[1, 5, 192, 0, 2, 7, 0, 80, 0])).contains("unknown kind"));
    assert!(reason(&one(&[0, 3, b'a', b' ', b'b'])).contains("relay"));
    assert!(reason(&one(&[0, 3, b'a', 0x1b, b'b'])).contains("relay"));
    assert!(reason(&one(&[0, 2, 0xc3, 0xa9])).contains("relay"));
}

#[test]
fn a_body_that_is_too_short_or_too_long_is_refused() {
    let mut body =
        named(b"x", &[&[1][..], &[0x5a; 32], &[1, 4, 192, 0, 2, 7, 0, 80, 2, b'a', b'b']].concat());
    assert!(read(&sealed(&body)).is_ok());
    for len in 0..body.len() {
        assert!(reason(&body[..len]).contains("too early"), "{len} bytes");
    }
    body.push(0);
    assert!(reason(&body).contains("follows its end"));
}

#[test]
fn a_ticket_names_as_many_providers_as_fit() {
    let six = ["[2001:db8::7]:41641"; limits::PEER_ADDRS];
    let large = PeerAddr { relay: Some("h".repeat(255)), ..provider(&six) };
    let text = Ticket { providers: vec![large.clone(); 200], ..film() }.to_string();
    assert!(text.len() <= limits::TICKET_CHARS);
    let kept = read(&text).unwrap().providers;
    assert!(kept.len() >= 8 && kept.iter().all(|provider| *provider == large));
    let small = Ticket { providers: vec![provider(&[]); 200], ..film() };
    assert_eq!(read(&small.to_string()).unwrap().providers.len(), limits::TICKET_PROVIDERS);
}

#[test]
fn what_does_not_travel_is_left_out() {
    let relays = ["r".repeat(256), String::new(), "two words".to_owned(), "bell\u{7}".to_owned()];
    let relayed = relays.map(|relay| PeerAddr { relay: Some(relay), ..provider(&[]) });
    let ticket = Ticket { providers: relayed.to_vec(), ..film() };
    assert_eq!(read(&ticket.to_string()).unwrap().providers, vec![provider(&[]); 4]);
    let scoped = Ticket { providers: vec![provider(&["[fe80::1%3]:80"])], ..film() };
    let unscoped = Ticket { providers: vec![provider(&["[fe80::1]:80"])], ..film() };
    assert_eq!(read(&scoped.to_string()), Ok(unscoped));
    let many = Ticket { providers: vec![provider(&["192.0.2.7:1"; 20])], ..film() };
    assert_eq!(read(&many.to_string()).unwrap().providers[0].direct.len(), limits::PEER_ADDRS);
    let deep = Ticket { name: RelPath::parse("a/b").unwrap(), ..film() };
    assert_eq!(read(&deep.to_string()).unwrap().name.as_str(), "b");
}

fn any_provider() -> impl Strategy<Value = PeerAddr> {
    let four = (any::<[u8; 4]>(), any::<u16>()).prop_map(SocketAddr::from);
    let six = (any::<[u8; 16]>(), any::<u16>()).prop_map(SocketAddr::from);
    let relay = option::of("https://[a-z.]{1,40}(:[0-9]{1,5})?/");
    (any::<[u8; 32]>(), vec(prop_oneof![four, six], 0..=limits::PEER_ADDRS), relay)
        .prop_map(|(id, direct, relay)| PeerAddr { id: PeerId(id), direct, relay })
}

fn any_ticket() -> impl Strategy<Value = Ticket> {
    let file = (1..=Layout::LEN_MAX, any::<bool>())
        .prop_map(|(size, executable)| TicketKind::File { size, executable });
    let kind = prop_oneof![file, proptest::prelude::Just(TicketKind::Folder)];
    let name = "[a-zA-Z0-9é日._ -]{1,60}"
        .prop_filter_map("a name", |name| RelPath::parse_name(&name).ok());
    (any::<[u8; 32]>(), kind, name, vec(any_provider(), 0..8), any::<bool>()).prop_map(
        |(content, kind, name, providers, personal)| Ticket {
            content: ContentId(content),
            kind,
            name,
            providers,
            personal,
        },
    )
}

proptest! {
    #[test]
    fn any_ticket_prints_and_parses_back(ticket in any_ticket()) {
        let text = ticket.to_string();
        assert!(text.len() <= limits::TICKET_CHARS);
        assert_eq!(read(&text), Ok(ticket));
    }

    #[test]
    fn any_text_is_read_or_refused_without_a_panic(
        text in "\\PC{0,80}",
        base32 in "[a-z2-7]{0,300}",
    ) {
        let _ = read(&text);
        let _ = read(&format!("pot1{text}"));
        let _ = read(&format!("potluck:pot1{base32}"));
    }

    #[test]
    fn what_is_read_prints_the_same(
        ticket in any_ticket(),
        changes in vec((any::<proptest::sample::Index>(), any::<u8>()), 0..3),
        cut in 0usize..20,
    ) {
        let mut body = ticket.to_bytes();
        body.truncate(body.len() - CHECKSUM_BYTES);
        for (at, change) in changes {
            let at = at.index(body.len());
            body[at] = change;
        }
        body.truncate(body.len().saturating_sub(cut / 10 * cut));
        let text = sealed(&body);
        if let Ok(ticket) = read(&text) {
            assert_eq!(ticket.to_string(), text);
        }
    }
}
