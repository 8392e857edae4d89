//! Each dialect that was seen as data, and what holds for all of them.

mod cases;

use proptest::prelude::{Just, Strategy, any, prop, prop_assert_eq, prop_oneof, proptest};

use self::cases::CASES;
use super::{
    Dialect, FileHead, Framing, Greeting, HeadReader, Item, LineEnd, Method, Parser, Request, Row,
    Status, Terminator, clean_title, fuzz, print_file_head, print_request, print_rows, read_rows,
};

fn row() -> Row {
    Row { number: 123, title: "A Test".to_owned(), host: "10.0.0.1".to_owned(), port: 5678 }
}

/// Everything that is read from segments, cut where `cuts` says.
fn read(sent: &[&[u8]], mut cuts: impl Iterator<Item = usize>) -> Vec<Item> {
    let mut parser = Parser::new();
    let mut items = Vec::new();
    for segment in sent {
        let mut rest = *segment;
        while !rest.is_empty() {
            let at = cuts.next().unwrap_or(rest.len()).clamp(1, rest.len());
            parser.feed(&rest[..at]);
            rest = &rest[at..];
            items.extend(std::iter::from_fn(|| parser.pull()));
        }
        parser.silence();
        items.extend(std::iter::from_fn(|| parser.pull()));
    }
    parser.end();
    items.extend(std::iter::from_fn(|| parser.pull()));
    items
}

fn whole(sent: &[&[u8]]) -> Vec<Item> {
    read(sent, std::iter::empty())
}

fn statuses(sent: &[&[u8]]) -> Vec<Result<Method, Status>> {
    let of = |item| match item {
        Item::Request(request, _) => Some(request.map(|request: Request| request.method)),
        Item::Say(_) => None,
    };
    whole(sent).into_iter().filter_map(of).collect()
}

#[test]
fn each_dialect_is_read_and_answered_in_kind() {
    for case in CASES {
        let items = whole(case.sent);
        let mut seen = Vec::new();
        for item in &items {
            let Item::Request(Ok(request), _) = item else { panic!("{}: {item:?}", case.name) };
            let host = request.host.as_deref().unwrap_or("");
            let title = request.title.as_deref().unwrap_or("");
            let port = request.port.unwrap_or(0);
            seen.push((request.method, request.number, host, port, title));
        }
        assert_eq!(seen, case.read, "{}", case.name);
        let Item::Request(Ok(first), dialect) = &items[0] else { panic!("{}", case.name) };
        let printed = print_rows(Status::Ok, &[row()], first.method, dialect);
        assert_eq!(String::from_utf8_lossy(&printed), case.answer, "{}", case.name);
    }
}

#[test]
fn each_dialect_is_read_byte_by_byte_too() {
    for case in CASES {
        let bytes = read(case.sent, std::iter::repeat(1));
        assert_eq!(bytes, whole(case.sent), "{}", case.name);
    }
}

#[test]
fn a_greeting_of_one_line_gets_a_line_back_and_its_add_another() {
    let items = whole(&[
        b"h.example:::4000\n",
        b"ADD RFC 1 P2P-CI/1.0 \nHost: h.example\nPort: 4000\nTitle: t\n",
    ]);
    assert_eq!(items[0], Item::Say(b"P2P-CI/1.0 200 OK\n".to_vec()));
    let Item::Request(Ok(request), dialect) = &items[1] else { panic!("{items:?}") };
    assert_eq!((request.method, request.port), (Method::Add, Some(4000)));
    let printed =
        |method| String::from_utf8(print_rows(Status::Ok, &[row()], method, dialect)).unwrap();
    assert_eq!(printed(Method::Add), "P2P-CI/1.0 200 OK\n");
    let rows = "P2P-CI/1.0 200 OK\nRFC 123 A Test 10.0.0.1 5678\nEOF\n";
    assert_eq!(printed(Method::Lookup), rows);
}

#[test]
fn a_greeting_of_host_and_binary_port_is_acknowledged_twice() {
    let items = whole(&[
        b"4c17862e6157",
        &[0, 0, 0x1f, 0x40],
        b"ADD RFC 123 P2P-CI/1.0\n\rHost: 4c17862e6157\n\rPort: 8000\n\rTitle: A test\n\r\n\r",
        b"BLAH ALL P2P-CI/1.0\n\rHost: x\n\rPort: 8000\n\r\n\r",
    ]);
    assert_eq!(items[..2], [Item::Say(b"A".to_vec()), Item::Say(b"A".to_vec())]);
    let Item::Request(Ok(request), dialect) = &items[2] else { panic!("{items:?}") };
    assert_eq!((request.method, request.number), (Method::Add, Some(123)));
    assert_eq!(dialect.greeting, Greeting::Acks);
    assert!(matches!(items[3], Item::Request(Err(Status::BadRequest), _)), "{items:?}");
}

#[test]
fn the_port_of_a_greeting_stands_in_for_a_missing_one() {
    let items = whole(&[b"my-host\n5678\n", b"LIST ALL P2P-CI/1.0\n\n"]);
    let Item::Request(Ok(request), _) = &items[0] else { panic!("{items:?}") };
    assert_eq!((request.host.as_deref(), request.port), (Some("my-host"), Some(5678)));
}

#[test]
fn other_versions_are_told_so() {
    let add = b"ADD RFC 1 P2P-CI/2.0\r\nHost: h\r\nPort: 1\r\nTitle: t\r\n\r\n";
    assert_eq!(statuses(&[add]), [Err(Status::Version)]);
    let items = whole(&[b"GET RFC 1 P2P-CI/0.1\r\nHost: h\r\n\r\n"]);
    let Item::Request(Err(status), dialect) = &items[0] else { panic!("{items:?}") };
    let printed = print_rows(*status, &[], Method::Get, dialect);
    assert_eq!(printed, b"P2P-CI/1.0 505 P2P-CI Version Not Supported\r\n\r\n");
}

#[test]
fn what_makes_no_sense_is_refused_and_what_follows_is_read() {
    let refused: &[&[u8]] = &[
        b"LOGIN me c2VjcmV0\n\n",
        b"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
        b"ADD RFC 1 P2P-CI/1.0\r\nHost: h\r\nTitle: no port\r\n\r\n",
        b"ADD RFC 1 P2P-CI/1.0\r\nHost: h\r\nPort: 0\r\nTitle: t\r\n\r\n",
        b"ADD RFC 1 P2P-CI/1.0\r\nHost: h\r\nPort: 65536\r\nTitle: t\r\n\r\n",
        b"ADD RFC -1 P2P-CI/1.0\r\nHost: h\r\nPort: 1\r\nTitle: t\r\n\r\n",
        b"ADD RFC 4294967296 P2P-CI/1.0\r\nHost: h\r\nPort: 1\r\nTitle: t\r\n\r\n",
        b"ADD RFC 1 P2P-CI/1.0\r\nHost: two words\r\nPort: 1\r\nTitle: t\r\n\r\n",
        b"ADD RFC 1 P2P-CI/1.0\r\nHost: h\r\nPort: 1\r\nTitle: a\rRFC 2 evil 10.0.0.9 1\r\n\r\n",
        b"ADD RFC 1 P2P-CI/1.0\r\nHost: h\r\nPort: 1\r\nTitle: a\x1b[2J\r\n\r\n",
        "ADD RFC 1 P2P-CI/1.0\r\nHost: h\r\nPort: 1\r\nTitle: a\u{202e}b\r\n\r\n".as_bytes(),
        b"ADD RFC 1 P2P-CI/1.0\r\nno colon\r\nHost: h\r\nPort: 1\r\nTitle: t\r\n\r\n",
        b"(lp0\nI60123\na.\n\n",
    ];
    let good: &[u8] = b"LIST ALL P2P-CI/1.0\r\nHost: h\r\nPort: 1\r\n\r\n";
    for bad in refused {
        let seen = statuses(&[bad, good]);
        let shown = String::from_utf8_lossy(bad);
        assert_eq!(seen, [Err(Status::BadRequest), Ok(Method::List)], "{shown}");
    }
}

#[test]
fn pickles_and_objects_are_refused_and_nothing_more_is_read() {
    let follows: &[u8] = b"LIST ALL P2P-CI/1.0\r\n\r\n";
    for bad in [&b"\x80\x04\x95\x10\0\0\0\0\0\0\0]"[..], b"\xac\xed\0\x05t\0\x04", b"\0\0\0\x05"] {
        assert_eq!(statuses(&[bad, follows]), [Err(Status::BadRequest)], "{bad:?}");
    }
}

#[test]
fn limits_hold() {
    let line = [b"ADD ".as_slice(), &vec![b'x'; 10_000]].concat();
    assert_eq!(statuses(&[&line]), [Err(Status::BadRequest)]);
    let lines = b"ADD RFC 1 P2P-CI/1.0\n".iter().copied().chain(b"X: y\n".repeat(1000));
    assert_eq!(statuses(&[&lines.collect::<Vec<u8>>()]), [Err(Status::BadRequest)]);
    assert_eq!(statuses(&[b"9999999999"]), [Err(Status::BadRequest)]);
    let title = "t".repeat(1025);
    let add = format!("ADD RFC 1 P2P-CI/1.0\nHost: h\nPort: 1\nTitle: {title}\n\n");
    assert_eq!(statuses(&[add.as_bytes()]), [Err(Status::BadRequest)]);
}

#[test]
fn what_lacks_headers_waits_for_the_longer_silence() {
    let mut parser = Parser::new();
    parser.feed(b"LOOKUP RFC 1 P2P-CI/1.0\r\n");
    let first = parser.waits();
    parser.silence();
    assert_eq!(parser.pull(), None);
    assert!(parser.waits() > first);
    parser.silence();
    let Some(Item::Request(Ok(request), _)) = parser.pull() else { panic!("{parser:?}") };
    assert_eq!((request.method, request.number), (Method::Lookup, Some(1)));
    assert_eq!(parser.waits(), None);
    // The headers come too late, and are no message.
    parser.feed(b"Host: h\r\nPort: 1\r\n\r\n");
    parser.end();
    assert_eq!(parser.pull(), None);
}

#[test]
fn an_add_that_never_becomes_whole_is_refused_in_the_end() {
    let mut parser = Parser::new();
    parser.feed(b"ADD RFC 1 P2P-CI/1.0\r\nHost: h\r\n");
    for _ in 0..2 {
        parser.silence();
        assert_eq!(parser.pull(), None);
    }
    parser.silence();
    assert!(matches!(parser.pull(), Some(Item::Request(Err(Status::BadRequest), _))));
}

#[test]
fn rows_cannot_be_forged_by_what_is_in_them() {
    let bad = Row { host: "h 1\r\nRFC 9 x y".to_owned(), ..row() };
    let title = "a\r\nRFC 9 forged 10.0.0.9 1\u{202e}".to_owned();
    let long = Row { title, ..row() };
    let printed = print_rows(Status::Ok, &[bad, long], Method::List, &Dialect::default());
    let text = String::from_utf8(printed).unwrap();
    let expected =
        "P2P-CI/1.0 200 OK\r\n\r\nRFC 123 a??RFC 9 forged 10.0.0.9 1? 10.0.0.1 5678\r\n\r\n";
    assert_eq!(text, expected);
    assert_eq!(clean_title(" \t\n ", 5), "??");
    assert_eq!(clean_title("  ", 5), "RFC 5");
}

#[test]
fn a_frame_of_two_bytes_holds_the_rows_that_fit() {
    let dialect = Dialect { framing: Framing::Utf, ..Dialect::default() };
    let rows = vec![Row { title: "t".repeat(500), ..row() }; 1000];
    let printed = print_rows(Status::Ok, &rows, Method::List, &dialect);
    assert!(printed.len() <= 65_537);
    assert!(read_rows(&printed, Framing::Utf).unwrap().rows.len() > 100);
}

#[test]
fn heads_of_files_are_printed_strictly() {
    let head = FileHead {
        now: 0,
        modified: 951_782_400,
        length: 12,
        os: "Linux\r\nEvil: 1".to_owned(),
        content_type: "text/plain",
    };
    let text = print_file_head(Status::Ok, Some(&head), &Dialect::default());
    assert_eq!(
        text,
        "P2P-CI/1.0 200 OK\r\nDate: Thu, 01 Jan 1970 00:00:00 GMT\r\nOS: LinuxEvil: 1\r\n\
         Last-Modified: Tue, 29 Feb 2000 00:00:00 GMT\r\nContent-Length: 12\r\n\
         Content-Type: text/plain\r\n\r\n"
    );
    let bare = Dialect { blank_line: false, line_end: LineEnd::Lf, ..Dialect::default() };
    assert_eq!(print_file_head(Status::NotFound, None, &bare), "P2P-CI/1.0 404 Not Found\n");
}

#[test]
fn heads_of_files_are_read_however_they_end() {
    let head = "P2P-CI/1.0 200 OK\nDate: now\nOS: x\nLast Modified: then\nContent-Length: 6\n\
                Content-Type: text/text\n";
    let cases: &[(&str, &str, &str)] = &[
        ("\n", "\n", "first\n"),
        ("", "", "first\n"),
        ("\nEND\n", "", "first\n"),
        ("\n", "\n", "\nirst\n"),
        ("\r\n", "\r\n", "E\n\n\n\n\n"),
    ];
    for (end, gap, body) in cases {
        let text = format!("{head}{end}{body}");
        for cut in [1, 7, text.len()] {
            let mut reader = HeadReader::new(Framing::Text);
            let mut pieces = text.as_bytes().chunks(cut);
            let mut found = None;
            for piece in pieces.by_ref() {
                found = reader.feed(piece).unwrap();
                if found.is_some() {
                    break;
                }
            }
            let mut found = found.unwrap_or_else(|| reader.end().unwrap());
            found.start.extend(pieces.flatten());
            assert_eq!((found.code, found.length), (200, Some(6)), "{end:?} {cut}");
            let shown = String::from_utf8_lossy(&found.start).into_owned();
            assert_eq!((shown.as_str(), found.gap.as_slice()), (*body, gap.as_bytes()), "{cut}");
        }
    }
}

#[test]
fn an_empty_line_belongs_to_the_file_if_only_then_its_length_is_right() {
    let mut reader = HeadReader::new(Framing::Text);
    let text = b"P2P-CI/1.0 200 OK\r\nContent-Length: 7\r\n\r\nhello";
    let body = reader.feed(text).unwrap().unwrap();
    assert!(body.owns_gap(b"hello"));
    assert!(body.owns_gap(b"helloEOR\n"));
    assert!(!body.owns_gap(b"hello, "));
    assert!(!body.owns_gap(b"hello, EOR\n"));
    assert!(!body.owns_gap(b"hell"));
    let mut reader = HeadReader::new(Framing::Text);
    let body = reader.feed(b"P2P-CI/1.0 200 OK\n\nText\n").unwrap().unwrap();
    assert_eq!((body.gap, body.start), (Vec::new(), b"\nText\n".to_vec()));
}

#[test]
fn rows_are_read_however_they_are_set() {
    let cases: &[&str] = &[
        "P2P-CI/1.0 200 OK\r\n\r\nRFC 5 A  Title h 80\r\n\r\n",
        "P2P-CI/1.0 200 OK \n5 A Title h 80\n",
        "Welcome!\n\nP2P-CI/1.0 200 OK\nRFC 5 A Title h 80\nEOR\n",
        "P2P-CI/1.0 200 OK\n5<c>A Title<c>h<c>80\n",
        "P2P-CI/1.0 200 OK\n5<sp> A Title<sp>h<sp>40112<sp>80\n",
        "P2P-CI/1.0\t200\tOK\r\n\r\nRFC\t5\tA Title\th\t80\r\n\r\n",
        "P2P-CI/1.0 200 OK\nRFC5 A Title name/h:4711 80",
    ];
    let title = "A Title".to_owned();
    let expected = Row { number: 5, title, host: "h".to_owned(), port: 80 };
    for case in cases {
        let answer = read_rows(case.as_bytes(), Framing::Text).unwrap();
        assert_eq!((answer.code, answer.rows), (200, vec![expected.clone()]), "{case:?}");
    }
    assert!(read_rows(b"hello", Framing::Text).is_err());
    assert!(read_rows(b"99        x", Framing::Prefixed).is_err());
}

fn dialects() -> impl Strategy<Value = Dialect> {
    let framing = prop_oneof![Just(Framing::Text), Just(Framing::Prefixed), Just(Framing::Utf)];
    let end = prop_oneof![Just(LineEnd::CrLf), Just(LineEnd::Lf)];
    let word = prop_oneof![Just(None), Just(Some(Terminator::End)), Just(Some(Terminator::Eor))];
    (framing, end, word, any::<bool>(), any::<bool>()).prop_map(
        |(framing, line_end, word, blank, whole)| {
            let text = framing == Framing::Text;
            let whole_lines = !text || whole || blank;
            Dialect {
                framing,
                line_end,
                terminator: word.filter(|_| text && whole_lines),
                blank_line: text && blank,
                whole_lines,
                ..Dialect::default()
            }
        },
    )
}

fn requests() -> impl Strategy<Value = Request> {
    let method =
        prop_oneof![Just(Method::Add), Just(Method::Lookup), Just(Method::List), Just(Method::Get)];
    let title = "[A-Za-zäöü0-9]{1,9}( [A-Za-z0-9.,]{1,9}){0,3}";
    let names = ("[a-z][a-z0-9.-]{0,20}", title, 1u16.., 0u32..=i32::MAX as u32);
    (method, names).prop_map(|(method, (host, title, port, number))| {
        let titled = matches!(method, Method::Add | Method::Lookup);
        Request {
            method,
            number: (method != Method::List).then_some(number),
            title: titled.then_some(title),
            host: Some(host),
            port: (method != Method::Get).then_some(port),
            os: (method == Method::Get).then(|| "Linux 6".to_owned()),
        }
    })
}

proptest! {
    #[test]
    fn what_is_printed_is_read_again_however_it_is_cut(
        dialect in dialects(),
        requests in prop::collection::vec(requests(), 1..4),
        cuts in prop::collection::vec(1usize..20, 0..40),
    ) {
        let printed: Vec<_> = requests.iter().map(|r| print_request(r, &dialect)).collect();
        let segments: Vec<_> = printed.iter().map(Vec::as_slice).collect();
        let items = read(&segments, cuts.into_iter());
        let of = |item| match item {
            Item::Request(Ok(request), _) => request,
            other => panic!("{other:?} in {segments:?}"),
        };
        let seen: Vec<_> = items.into_iter().map(of).collect();
        prop_assert_eq!(seen, requests);
    }

    #[test]
    fn any_bytes_give_the_same_items_however_they_are_cut(
        segments in prop::collection::vec(pieces(), 1..5),
        cuts in prop::collection::vec(1usize..9, 0..60),
    ) {
        let segments: Vec<_> = segments.iter().map(Vec::as_slice).collect();
        prop_assert_eq!(read(&segments, cuts.into_iter()), whole(&segments));
    }

    #[test]
    fn no_bytes_break_a_reader(bytes in pieces()) {
        fuzz(&bytes);
    }
}

/// Bytes that look a little like messages.
fn pieces() -> impl Strategy<Value = Vec<u8>> {
    let words: &[&[u8]] = &[
        b"ADD RFC 12 P2P-CI/1.0",
        b"LIST ALL P2P-CI/1.0",
        b"GET",
        b"\r\n",
        b"\n",
        b"\n\r",
        b"\r",
        b"Host: h",
        b"Port: 80",
        b"Title: a b",
        b"OS: x",
        b"END",
        b"EOR\n",
        b"\0",
        b"\x80",
        b"9",
        b"24        ",
        b"h",
        b"h:::5\n",
        b" ",
        b":",
        b"\0\x05LIST ",
        "ü".as_bytes(),
        b"\xfc",
        b"P2P-CI/1.0 200 OK\n",
        b"RFC 5 a b 80",
        b"Content-Length: 7\n",
    ];
    let words: Vec<Vec<u8>> = words.iter().map(|word| word.to_vec()).collect();
    let byte = any::<u8>().prop_map(|byte| vec![byte]);
    let word = prop_oneof![9 => prop::sample::select(words), 1 => byte];
    prop::collection::vec(word, 0..12).prop_map(|words| words.concat())
}
