//! Manifests that honest folders give, and hostile ones built byte by byte.

mod any;

use super::*;

fn path(text: &str) -> RelPath {
    RelPath::parse(text).unwrap()
}

fn file(at: &str, size: u64) -> Entry {
    let id = if size == 0 { hash(&[]) } else { ContentId([9; 32]) };
    Entry { path: path(at), kind: Kind::File { size, id, executable: false } }
}

fn link(at: &str, target: &str) -> Entry {
    Entry { path: path(at), kind: Kind::Link { target: target.to_owned() } }
}

fn folder(at: &str) -> Entry {
    Entry { path: path(at), kind: Kind::Folder }
}

/// A manifest of raw entries, with a true count.
fn raw(entries: &[Vec<u8>]) -> Vec<u8> {
    assert!(entries.len() < 128);
    [b"PLMF\x01", &[entries.len() as u8][..], &entries.concat()].concat()
}

/// Kind, path (of less than 16 KiB), and what follows.
fn raw_entry(kind: u8, path: &[u8], rest: &[u8]) -> Vec<u8> {
    [&[kind][..], &raw_len(path), path, rest].concat()
}

fn raw_len(of: &[u8]) -> Vec<u8> {
    match of.len() {
        len @ 0..128 => vec![len as u8],
        len => vec![len as u8 | 0x80, u8::try_from(len >> 7).unwrap()],
    }
}

fn raw_file(path: &str) -> Vec<u8> {
    raw_entry(1, path.as_bytes(), &[&[5][..], &[9; 32]].concat())
}

fn raw_link(path: &str, target: &[u8]) -> Vec<u8> {
    raw_entry(3, path.as_bytes(), &[&raw_len(target)[..], target].concat())
}

fn refusal(bytes: &[u8]) -> ManifestError {
    Manifest::decode(bytes).expect_err("a hostile manifest is refused")
}

#[test]
fn a_folder_survives_the_journey() {
    let run = Kind::File { size: 3, id: hash(b"abc"), executable: true };
    let entries = vec![
        folder("empty"),
        file("b/c.txt", 1 << 40),
        Entry { path: path("b/run"), kind: run },
        link("b/up", "../a/deep"),
        file("a", 0),
        file("b-c", 7),
    ];
    let manifest = Manifest::new(entries).unwrap();
    let order: Vec<_> = manifest.entries().iter().map(|entry| entry.path.as_str()).collect();
    assert_eq!(order, ["a", "b/c.txt", "b/run", "b/up", "b-c", "empty"]);
    assert_eq!((manifest.files(), manifest.total_bytes()), (4, (1 << 40) + 10));
    let bytes = manifest.encode();
    assert_eq!(manifest.id(), hash(&bytes));
    assert_eq!(Manifest::decode(&bytes), Ok(manifest));
}

#[test]
fn a_folder_without_anything_is_a_manifest() {
    let manifest = Manifest::new(Vec::new()).unwrap();
    assert_eq!(manifest.encode(), b"PLMF\x01\x00");
    assert_eq!(Manifest::decode(b"PLMF\x01\x00"), Ok(manifest));
}

#[test]
fn the_id_of_a_manifest_longer_than_what_is_hashed_at_once_is_its_hash() {
    let manifest = Manifest::new((0..5000).map(|i| file(&format!("{i}"), i)).collect()).unwrap();
    assert!(manifest.encode().len() > 2 * HASHED_AT_ONCE);
    assert_eq!(manifest.id(), hash(&manifest.encode()));
}

#[test]
fn the_raw_entries_of_these_tests_are_good_as_they_stand() {
    let long = vec![b'n'; 200];
    let long = raw_entry(0, &long, &[]);
    let all = [raw_file("a"), raw_link("b", b"a"), raw_entry(2, b"c", &[0]), long];
    assert!(Manifest::decode(&raw(&all)).is_ok());
}

#[test]
fn what_is_no_manifest_is_refused() {
    assert_eq!(refusal(b""), ManifestError::NotAManifest);
    assert_eq!(refusal(b"PLMX\x01\x00"), ManifestError::NotAManifest);
    assert_eq!(refusal(b"PLMF\x00\x00"), ManifestError::NotAManifest);
    assert_eq!(refusal(b"PLMF\x02\x00"), ManifestError::Newer(2));
}

#[test]
fn a_manifest_cut_anywhere_is_refused() {
    let all =
        [raw_file("a"), raw_link("b", b"a"), raw_entry(2, b"c", &[0]), raw_entry(0, b"d", &[])];
    let bytes = raw(&all);
    for len in 5..bytes.len() {
        assert_eq!(refusal(&bytes[..len]), ManifestError::Short, "cut at {len}");
    }
}

#[test]
fn bytes_after_the_end_are_refused() {
    let mut bytes = raw(&[raw_file("a")]);
    bytes.push(0);
    assert_eq!(refusal(&bytes), ManifestError::Trailing);
    assert_eq!(refusal(b"PLMF\x01\x00PLMF"), ManifestError::Trailing);
}

#[test]
fn numbers_have_one_form() {
    assert_eq!(refusal(b"PLMF\x01\x80\x00"), ManifestError::Number);
    assert_eq!(refusal(&raw(&[b"\x00\x81\x00a".to_vec()])), ManifestError::Number);
    let size = [&[0x85, 0x00][..], &[9; 32]].concat();
    assert_eq!(refusal(&raw(&[raw_entry(1, b"a", &size)])), ManifestError::Number);
}

#[test]
fn a_count_beyond_the_limit_is_refused_before_anything_is_read() {
    let count = |count: usize, rest: &[u8]| {
        let mut bytes = b"PLMF\x01".to_vec();
        push_varint(&mut bytes, count as u64);
        [&bytes, rest].concat()
    };
    let over = limits::MANIFEST_ENTRIES + 1;
    assert_eq!(refusal(&count(over, &[])), ManifestError::TooManyEntries);
    assert_eq!(refusal(&count(usize::MAX, &[])), ManifestError::TooManyEntries);
    // An entry that would be refused otherwise: the count alone shows that the bytes are too few.
    let unknown = raw_entry(99, b"a", &[]);
    assert_eq!(refusal(&count(limits::MANIFEST_ENTRIES, &unknown)), ManifestError::Short);
    assert_eq!(refusal(&count(2, &unknown)), ManifestError::Short);
    assert_eq!(refusal(&count(1, &unknown)), ManifestError::Kind(99));
}

#[test]
fn a_manifest_beyond_the_limit_is_refused() {
    let mut bytes = vec![0; limits::MANIFEST_BYTES as usize + 1];
    assert_eq!(refusal(&bytes), ManifestError::TooLong);
    bytes.pop();
    assert_eq!(refusal(&bytes), ManifestError::NotAManifest);
}

#[test]
fn a_folder_with_more_than_a_manifest_holds_is_refused() {
    let entries = [file("a", 0), file("b", 300), folder("c"), link("d", "../d")];
    let encoded = check(&entries[..3], &Bounds::HOUSE).unwrap().encoded;
    let bounds = |entries, encoded| Bounds { entries, encoded };
    assert!(check(&entries[..3], &bounds(3, encoded)).is_ok());
    assert_eq!(check(&entries[..3], &bounds(2, encoded)), Err(ManifestError::TooManyEntries));
    assert_eq!(check(&entries[..3], &bounds(3, encoded - 1)), Err(ManifestError::TooLong));
    assert_eq!(Bounds::HOUSE.entries, limits::MANIFEST_ENTRIES);
    assert_eq!(Bounds::HOUSE.encoded, limits::MANIFEST_BYTES);
}

#[test]
fn an_entry_of_an_unknown_kind_is_refused() {
    for kind in 4..=255 {
        assert_eq!(refusal(&raw(&[raw_entry(kind, b"a", &[])])), ManifestError::Kind(kind));
    }
}

#[test]
fn a_path_that_leads_elsewhere_is_refused() {
    let bad = [
        "",
        "/etc/passwd",
        "../x",
        "a/../../x",
        ".",
        "a//b",
        "a/",
        "C:/x",
        "a\\b",
        "\\\\s\\x",
        "a\0b",
        "\u{1b}[2J",
        "x\u{202e}y",
        "a\r\nb",
    ];
    for text in bad {
        for kind in 0..=3 {
            let bytes = raw(&[raw_entry(kind, text.as_bytes(), &[0])]);
            assert!(matches!(refusal(&bytes), ManifestError::Path(_)), "{text:?}");
        }
    }
    let long = ["a".repeat(256), vec!["a"; 129].join("/"), vec!["abcdefghi"; 500].join("/")];
    for text in long {
        let bytes = raw(&[raw_entry(0, text.as_bytes(), &[])]);
        assert_eq!(refusal(&bytes), ManifestError::Path(PathError::TooLong));
    }
}

#[test]
fn a_path_that_is_not_text_is_refused() {
    // A lone surrogate, an over-long slash, an over-long zero, half a character.
    for text in [&b"\xed\xa0\x80"[..], b"\xc0\xaf", b"\xc0\x80", b"a\xe2\x82"] {
        assert_eq!(refusal(&raw(&[raw_entry(0, text, &[])])), ManifestError::NotText);
        assert_eq!(refusal(&raw(&[raw_link("a", text)])), ManifestError::NotText);
    }
}

#[test]
fn entries_out_of_order_are_refused() {
    assert_eq!(refusal(&raw(&[raw_file("b"), raw_file("a")])), ManifestError::Order(path("a")));
    // Names are compared, not bytes: what is below `a` comes before `a-b`.
    let bytes_order = raw(&[raw_file("a-b"), raw_file("a/b")]);
    assert_eq!(refusal(&bytes_order), ManifestError::Order(path("a/b")));
    assert!(Manifest::decode(&raw(&[raw_file("a/b"), raw_file("a-b")])).is_ok());
}

#[test]
fn a_path_that_is_there_twice_is_refused() {
    let twice = ManifestError::Duplicate(path("a"));
    assert_eq!(refusal(&raw(&[raw_file("a"), raw_file("a")])), twice);
    assert_eq!(refusal(&raw(&[raw_link("a", b"b"), raw_file("a")])), twice);
    assert_eq!(Manifest::new(vec![file("a", 1), file("b", 1), folder("a")]), Err(twice));
}

#[test]
fn an_entry_below_something_that_contains_nothing_is_refused() {
    for above in [raw_file("a"), raw_link("a", b"b"), raw_entry(0, b"a", &[])] {
        for below in ["a/b", "a/b/c"] {
            let bytes = raw(&[above.clone(), raw_file(below)]);
            assert_eq!(refusal(&bytes), ManifestError::Below(path(below)));
        }
    }
    let entries = vec![file("a/b", 1), file("a-c", 1), folder("a")];
    assert_eq!(Manifest::new(entries), Err(ManifestError::Below(path("a/b"))));
    assert!(Manifest::new(vec![folder("a"), file("ab", 1)]).is_ok());
}

#[test]
fn a_link_that_leads_out_is_refused() {
    let out = [
        "",
        "/",
        "/etc/passwd",
        "//server/x",
        "../../x",
        "../..",
        "./../../x",
        "x/../../../y",
        "C:",
        "c:\\x",
        "..\\..\\x",
        "a\nb",
        "\u{1b}[2J",
        "../\u{202e}x",
    ];
    for target in out {
        let bytes = raw(&[raw_link("d/l", target.as_bytes())]);
        assert_eq!(refusal(&bytes), ManifestError::Link(path("d/l")), "{target:?}");
    }
    assert_eq!(refusal(&raw(&[raw_link("l", b"..")])), ManifestError::Link(path("l")));
    let long = "./".repeat(limits::PATH_BYTES / 2 + 1);
    assert_eq!(refusal(&raw(&[raw_link("l", long.as_bytes())])), ManifestError::Link(path("l")));
}

#[test]
fn links_that_lead_out_only_together_are_refused() {
    // `a/b/up` leads to the top, so what looks like `a` to the eye is above the top on the disk.
    let links = [raw_link("a/b/up", b"../.."), raw_link("out", b"a/b/up/../secret")];
    assert_eq!(refusal(&raw(&links)), ManifestError::Link(path("out")));
    assert!(Manifest::decode(&raw(&links[..1])).is_ok());
}

#[test]
fn a_link_within_the_folder_is_taken() {
    for target in ["x", "./x", "../x", "..", "../e/f/", ".", "a b", "...", "../.././../d/x/y"] {
        assert!(link_stays_inside(&path("a/b/c/l"), target), "{target:?}");
    }
}

#[test]
fn a_file_larger_than_a_file_can_be_is_refused() {
    let large = |size| {
        let mut rest = Vec::new();
        push_varint(&mut rest, size);
        rest.extend_from_slice(&[9; 32]);
        refusal(&raw(&[raw_entry(1, b"a", &rest)]))
    };
    assert_eq!(large(1 << 63), ManifestError::FileTooLarge(path("a")));
    assert_eq!(large(u64::MAX), ManifestError::FileTooLarge(path("a")));
    assert_eq!(large((1 << 63) - 1), ManifestError::TooManyPieces);
}

#[test]
fn more_pieces_than_have_numbers_are_refused() {
    let half = 1 << 53;
    let (a, b) = (file("a", half), file("b", half));
    assert_eq!(Manifest::new(vec![a.clone(), b]), Err(ManifestError::TooManyPieces));
    assert!(Manifest::new(vec![a, file("b", half - (4 << 20))]).is_ok());
    assert!(Manifest::new(vec![file("a", Layout::LEN_MAX)]).is_ok());
    let over = vec![file("a", Layout::LEN_MAX + 1)];
    assert_eq!(Manifest::new(over), Err(ManifestError::TooManyPieces));
}

#[test]
fn an_empty_file_has_the_hash_of_nothing() {
    let kind = Kind::File { size: 0, id: ContentId([9; 32]), executable: false };
    let entry = Entry { path: path("a"), kind };
    assert_eq!(Manifest::new(vec![entry]), Err(ManifestError::EmptyFile(path("a"))));
    let manifest = Manifest::decode(&raw(&[raw_entry(1, b"a", &[0])])).unwrap();
    assert_eq!(manifest.entries(), [file("a", 0)]);
}

#[test]
fn paths_that_some_file_systems_take_for_one_are_found() {
    let collisions = |paths: &[&str]| {
        let manifest = Manifest::new(paths.iter().map(|path| file(path, 0)).collect()).unwrap();
        manifest.collisions().map(|(a, b)| (a.as_str().to_owned(), b.as_str().to_owned()))
    };
    let both = |a: &str, b: &str| Some((a.to_owned(), b.to_owned()));
    assert_eq!(collisions(&["README", "a", "readme"]), both("README", "readme"));
    assert_eq!(collisions(&["é", "e\u{301}"]), both("e\u{301}", "é"));
    // Folders, though what they contain differs; a folder and a file; deep below equal folders.
    assert_eq!(collisions(&["A/x", "B/z", "a/y"]), both("A", "a"));
    assert_eq!(collisions(&["A/x/y", "B", "a"]), both("A", "a"));
    assert_eq!(collisions(&["t/A/x", "t/B/x/y", "t/a"]), both("t/A", "t/a"));
    assert_eq!(collisions(&["a/x", "b/x", "b/y/x", "c/X", "x"]), None);
    assert_eq!(collisions(&[]), None);
}

#[test]
fn a_link_that_another_spelling_of_a_folder_would_follow_is_a_collision() {
    let manifest = Manifest::new(vec![link("Docs", "elsewhere"), file("docs/x", 1)]).unwrap();
    assert_eq!(manifest.collisions(), Some((path("Docs"), path("docs"))));
}
