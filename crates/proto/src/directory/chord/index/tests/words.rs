//! Searches, as the contract of all directories tells them, and what is only so on a circle.

use proptest::prelude::{ProptestConfig, Strategy, prop};
use proptest::{prop_assert_eq, proptest};

use super::{
    Announced, Circle, ContentId, NETWORK, Person, Query, Search, file, folder, names, query,
};
use crate::directory::chord::index::found::read;
use crate::directory::chord::index::{Subject, Term, There, Unanswerable};
use crate::directory::record::EntryKind;
use crate::directory::tracker::{FileType, Sort};

fn talks() -> Announced {
    let files = [file("2024/Big-Bang.mp4", 1, 5_000), file("notes.txt", 2, 100)];
    folder("Talks", &["physics"], &files)
}

#[test]
fn the_contract_of_directories_is_kept() {
    let (mut circle, mut ann, mut ben) = (Circle::new(), Person::new(1), Person::new(2));
    assert!(circle.search(query("anything")).groups.is_empty());
    assert!(circle.providers(ContentId([1; 32])).is_empty());
    circle.put(ann.publish(1, &talks()));
    for words in ["bang", "BANG big", "ban", "physics bang", "talks 2024 bang", "mp4 bang"] {
        let found = circle.search(query(words));
        assert_eq!(names(&found), ["2024/Big-Bang.mp4"], "{words}");
        let group = &found.groups[0];
        assert_eq!((group.content, group.size), (ContentId([1; 32]), 5_000));
        assert_eq!((group.online, group.providers, group.partial), (1, 1, 0));
        assert_eq!((group.hits[0].online, group.hits[0].last_seen_ms), (true, 7));
    }
    assert!(circle.search(query("bang crunch")).groups.is_empty());
    assert_eq!(circle.search(query("physics")).groups.len(), 3, "the folder and its files");
    let large = Query { min_size: Some(1_000), max_size: Some(5_000), ..query("2024") };
    assert_eq!(names(&circle.search(large)), ["2024/Big-Bang.mp4"]);
    let larger = Query { min_size: Some(5_001), ..query("bang") };
    assert!(circle.search(larger).groups.is_empty());

    let providers = circle.providers(ContentId([1; 32]));
    assert_eq!((providers.len(), providers[0].peer), (1, ann.id()));
    assert_eq!(providers[0].hit.entry, talks().entries[0]);
    let heads = circle.shares(ann.id());
    let folder_itself = circle.providers(heads[0].content);
    assert_eq!(folder_itself[0].hit.entry.kind, EntryKind::Folder);

    let mut mirror = folder("Mirror", &[], &[file("copy of bang.mp4", 1, 5_000)]);
    mirror.partial = true;
    circle.put(ben.publish(2, &mirror));
    let found = circle.search(query("bang"));
    let group = &found.groups[0];
    assert_eq!((found.groups.len(), group.online), (1, 2));
    assert_eq!((group.providers, group.partial, group.hits.len()), (1, 1, 2));
    assert_eq!(circle.providers(ContentId([1; 32])).len(), 2);

    let rip = [file("2024/Big-Bang.mp4", 1, 5_000), file("2024/Big-Rip.mp4", 3, 7)];
    circle.put(ann.publish(1, &folder("Talks", &["physics"], &rip)));
    assert_eq!(names(&circle.search(query("rip"))), ["2024/Big-Rip.mp4"]);
    assert!(circle.search(query("notes")).groups.is_empty());
    let sizes = Query { sort: Sort::Size, ..query("2024") };
    assert_eq!(names(&circle.search(sizes))[1], "2024/Big-Rip.mp4");
    let page = Query { offset: 1, limit: 1, sort: Sort::Name, ..query("2024") };
    let page = circle.search(page);
    assert_eq!((names(&page), page.more), (vec!["2024/Big-Rip.mp4"], false));

    circle.put(ann.withdraw(1));
    assert!(ann.withdraw(9).is_empty(), "what was never published");
    let found = circle.search(query("bang"));
    assert_eq!((found.groups.len(), found.groups[0].online), (1, 1));
    for words in ["rip", "physics", "talks"] {
        assert!(circle.search(query(words)).groups.is_empty(), "{words}");
    }
    assert!(circle.shares(ann.id()).is_empty());
    assert_eq!(circle.providers(ContentId([1; 32])).len(), 1);
    // It may be published again.
    circle.put(ann.publish(1, &talks()));
    assert_eq!(names(&circle.search(query("notes"))), ["notes.txt"]);
}

#[test]
fn case_accents_parts_and_scripts_are_read_as_a_tracker_does() {
    let (mut circle, mut ann) = (Circle::new(), Person::new(1));
    let names_there =
        ["Éclair au Café.txt", "MyHolidayVideo.mkv", "show.S01E02.mkv", "写真2024年.jpg"];
    let files: Vec<_> = (1..).zip(names_there).map(|(n, name)| file(name, n, 1)).collect();
    circle.put(ann.publish(1, &folder("x", &[], &files)));
    let cases = [
        ("eclair cafe", 0),
        ("ECLA", 0),
        ("holiday", 1),
        ("HolidayVideo", 1),
        ("MyHoliday", 1),
        ("my video", 1),
        ("s01e02", 2),
        ("e02 show", 2),
        ("写真", 3),
        ("2024 写真", 3),
        ("写", 3),
        ("真", 3),
    ];
    for (words, index) in cases {
        assert_eq!(names(&circle.search(query(words))), [names_there[index]], "{words}");
    }
    assert!(circle.search(query("oliday")).groups.is_empty());
}

#[test]
fn a_word_with_capitals_inside_is_found_where_it_stands_apart() {
    let (mut circle, mut ann) = (Circle::new(), Person::new(1));
    let files = [file("my video.mkv", 1, 1), file("myvideo.mkv", 2, 1), file("MyVideo.avi", 3, 1)];
    circle.put(ann.publish(1, &folder("x", &[], &files)));
    assert_eq!(circle.search(query("MyVideo")).groups.len(), 3);
    assert_eq!(circle.search(query("myvideo")).groups.len(), 2);
}

#[test]
fn short_words_are_found_whole_and_help_longer_ones() {
    let (mut circle, mut ann) = (Circle::new(), Person::new(1));
    let files = [file("tv guide.txt", 1, 1), file("tvs.txt", 2, 1), file("年.txt", 3, 1)];
    circle.put(ann.publish(1, &folder("x", &[], &files)));
    assert_eq!(names(&circle.search(query("tv"))), ["tv guide.txt"]);
    assert_eq!(names(&circle.search(query("年"))), ["年.txt"], "a word by itself");
    assert!(circle.searched(query("tv")).is_whole_words());
    assert!(!circle.searched(query("tv txt")).is_whole_words());
    assert_eq!(circle.search(query("txt tv")).groups.len(), 2, "the last word may go on");
    assert_eq!(circle.search(query("tv txt")).groups.len(), 1);
}

#[test]
fn what_cannot_be_answered_says_why() {
    let refused = |query| Search::new(NETWORK, query).err();
    assert_eq!(refused(query("")), Some(Unanswerable::NoWords));
    assert_eq!(refused(query(" -?*")), Some(Unanswerable::NoWords));
    let deep = Query { offset: 10_001, ..query("word") };
    assert_eq!(refused(deep), Some(Unanswerable::TooDeep));
    assert!(refused(query("a")).is_none());
}

#[test]
fn types_and_newest_are_told_apart() {
    let (mut circle, mut ann) = (Circle::new(), Person::new(1));
    let files = [file("trip.mkv", 1, 1), file("trip.jpg", 2, 1), file("trip/a.mkv", 3, 1)];
    circle.put(ann.publish(1, &folder("trip", &[], &files)));
    let kinds = |kinds: &[FileType]| Query { kinds: kinds.to_vec(), ..query("trip") };
    assert_eq!(circle.search(kinds(&[FileType::Video])).groups.len(), 2);
    assert_eq!(circle.search(kinds(&[FileType::Folder])).groups.len(), 1);
    assert_eq!(circle.search(kinds(&[FileType::Audio])).groups.len(), 0);
    let newest = Query { sort: Sort::Newest, kinds: vec![FileType::Video], ..query("trip") };
    assert_eq!(names(&circle.search(newest)), ["trip/a.mkv", "trip.mkv"]);
}

#[test]
fn the_word_with_the_fewest_entries_is_asked_for() {
    let (mut circle, mut ann) = (Circle::new(), Person::new(1));
    let files: Vec<_> = (0..50u8).map(|n| file(&format!("common {n}.txt"), n, 1)).collect();
    let files = [files, vec![file("common pearl.txt", 99, 1)]].concat();
    circle.put(ann.publish(1, &folder("x", &[], &files)));
    let mut search = Search::new(NETWORK, query("common pearl")).unwrap();
    let mut keys = Vec::new();
    while let Some(asked) = search.next_ask() {
        let answer = circle.answer(&asked);
        search.told(asked.id, answer, NOW);
        keys.push(asked.key);
    }
    let rare = Term::new(Subject::Word("pea".to_owned())).key(&NETWORK);
    assert_eq!((keys.len(), keys[2]), (3, rare), "two counts and one search");
    let found = search.finish(&|_| There::default());
    assert_eq!((names(&found), found.groups[0].online), (vec!["common pearl.txt"], 0));
    // A word that nothing has ends it at once.
    circle.asks = 0;
    assert!(circle.search(query("common nothing")).groups.is_empty());
    assert_eq!(circle.asks, 2);
}

#[test]
fn a_key_that_cannot_be_asked_costs_what_is_there_and_is_told() {
    let (mut circle, mut ann) = (Circle::new(), Person::new(1));
    circle.put(ann.publish(1, &talks()));
    circle.silent.insert(Term::new(Subject::Word("ban".to_owned())).key(&NETWORK));
    let search = circle.searched(query("big bang"));
    assert!(search.is_incomplete());
    assert_eq!(names(&search.finish(&|_| There::default())), ["2024/Big-Bang.mp4"]);
    let search = circle.searched(query("bang"));
    assert!(search.is_incomplete() && search.finish(&|_| There::default()).groups.is_empty());
}

#[test]
fn those_who_are_online_come_first() {
    let (mut circle, mut ann, mut ben) = (Circle::new(), Person::new(1), Person::new(2));
    circle.put(ann.publish(1, &folder("x", &[], &[file("bang.mp4", 1, 1)])));
    circle.put(ben.publish(1, &folder("x", &[], &[file("a bang.mp4", 2, 1)])));
    let order = |search: Search, online: Vec<_>| {
        let there = |peer: &_| There { online: online.contains(peer), last_seen_ms: 0 };
        let found = search.finish(&there);
        names(&found).into_iter().map(str::to_owned).collect::<Vec<_>>()
    };
    let search = circle.searched(query("bang"));
    assert_eq!(search.peers().len(), 2);
    assert_eq!(order(search, vec![]), ["bang.mp4", "a bang.mp4"]);
    let search = circle.searched(query("bang"));
    assert_eq!(order(search, vec![ben.id()]), ["a bang.mp4", "bang.mp4"]);
}

const NOW: u64 = super::NOW_MS;

const PIECES: &[&str] = &[
    "Big", "buck", "bucket", "my", "Video", "a", "S01E02", "éc", "ecla", "东京", "大", "かな", "7",
];
const GAPS: &[&str] = &["", " ", "-", "/"];

/// Names with words inside words, capitals, digits, accents and scripts without spaces.
fn name() -> impl Strategy<Value = String> {
    let piece = (prop::sample::select(PIECES), prop::sample::select(GAPS));
    prop::collection::vec(piece, 1..5).prop_map(|pieces| {
        let text: String = pieces.iter().flat_map(|(piece, gap)| [*piece, *gap]).collect();
        text.trim_matches(['/', ' ']).to_owned()
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Whichever key is asked, everything is found that fits, and nothing else.
    #[test]
    fn a_search_finds_what_fits_and_nothing_else(
        names in prop::collection::btree_set(name(), 1..12),
        share in name(),
        asked in name(),
    ) {
        let (mut circle, mut ann) = (Circle::new(), Person::new(1));
        let mut share = share.replace('/', "-");
        share.truncate(60);
        let files: Vec<_> = (1..).zip(&names).map(|(number, name)| file(name, number, 1)).collect();
        let what = folder(&share, &["tag"], &files);
        circle.put(ann.publish(1, &what));
        let wanted = read(&asked);
        let fits = |path: &str| wanted.fits([path, &share, "tag"]);
        let all = names.iter().map(String::as_str);
        let mut expected: Vec<&str> = all.filter(|n| fits(n)).collect();
        if fits("") {
            expected.push(&share);
        }
        let found = circle.search(query(&asked));
        let mut told = super::names(&found);
        told.sort_unstable();
        expected.sort_unstable();
        prop_assert_eq!(told, expected, "{:?}", asked);
    }
}
