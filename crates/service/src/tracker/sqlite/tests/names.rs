//! Names of all kinds, friendly and hostile, through the whole index.

use potluck_proto::directory::record::{Entry, EntryKind};
use potluck_proto::directory::tracker::Query;

use super::Kept;
use crate::tracker::store::scene::{NOW_MS, Published, Scene, file, files};

/// Publishes these names as the only share of a network.
fn with(names: &[&str], look: impl FnOnce(&Scene<'_>)) {
    let kept = Kept::new();
    let store = kept.open();
    let scene = Scene::new(&store, 1);
    let mut entries: Vec<Entry> = names.iter().map(|name| file(name)).collect();
    entries.sort_by(|a, b| a.path.cmp(&b.path));
    let member = scene.member(1);
    Published { kind: EntryKind::File, ..member.share(1, 1, entries) }.put(&scene);
    look(&scene);
}

#[test]
fn hostile_names_are_kept_as_they_are_and_found() {
    let long = format!("{}/long tail.txt", vec!["x".repeat(255); 15].join("/"));
    let names = [
        "in\u{202e}voice\u{202c} gpj.exe",
        "<script>alert('html')</script>",
        "quote\"s '); DROP TABLE files; --",
        "control\u{7}bell \u{1b}[31mred",
        "tab\there",
        "\u{200b}zero\u{200b}width\u{feff}",
        "NEAR(a b) OR NOT words:*",
        "🎉 party.txt",
        "e\u{301}\u{301}\u{301}\u{301}zalgo",
        long.as_str(),
    ];
    let allowed: Vec<&str> =
        names.into_iter().filter(|name| potluck_base::RelPath::parse(name).is_ok()).collect();
    with(&allowed, |scene| {
        let searches = [
            ("invoice", 0),
            ("script alert", 1),
            ("drop table", 2),
            ("bell", 3),
            ("tab here", 4),
            ("zerowidth", 5),
            ("near not words", 6),
            ("🎉", 7),
            ("ezalgo", 8),
            ("long tail", 9),
        ];
        for (words, index) in searches {
            let expected: &[&str] =
                if allowed.contains(&names[index]) { &names[index..=index] } else { &[] };
            assert_eq!(scene.find(words), expected, "{words}");
        }
        assert!(allowed.len() >= 7, "{allowed:?}");
    });
}

#[test]
fn no_query_is_an_error_or_an_operator() {
    with(&["plain words.txt", "other.txt"], |scene| {
        let queries = [
            "\"",
            "'",
            "*",
            "^",
            "a\"b",
            "\"plain",
            "plain\"",
            "plain*",
            "plain OR",
            "OR",
            "AND AND",
            "NOT plain",
            "NEAR(",
            "NEAR(plain words)",
            "text:plain",
            "{text}: plain",
            "- plain",
            "+plain",
            "plain + words",
            "(plain",
            "plain)",
            "\0",
            "plain\0words",
            "%",
            "_",
            "\\",
            "plain; DROP TABLE files",
            "\u{e000}",
            "\u{e007}",
            "\u{202e}plain",
            "?1",
            ":a",
        ];
        for words in queries {
            scene.search(Query { words: words.to_owned(), ..Query::default() });
        }
        assert_eq!(scene.find("plain\0\"words*"), ["plain words.txt"]);
        assert_eq!(scene.find("\u{202e}plain"), ["plain words.txt"]);
        assert!(scene.find("plain OR other").is_empty(), "OR is a word like others");
        assert!(scene.find("NOT plain").is_empty());
        assert!(scene.find("\u{e006}").is_empty(), "marks cannot be asked for");
    });
}

#[test]
fn every_script_is_found_by_words_and_beginnings() {
    let names = [
        "Фильмы/Ёлки 2010.mkv",
        "كتاب الرِّياضيات.pdf",
        "东京大学 入学写真.jpg",
        "さくらの写真 2024年.png",
        "カタカナ.txt",
        "한국어 공부.txt",
        "ภาษาไทย.txt",
        "हिन्दी गीत.mp3",
        "Ελληνικός Τίτλος.txt",
        "Æsop Fábulas Straße.txt",
    ];
    with(&names, |scene| {
        let searches: [(&str, &[usize]); 20] = [
            ("елки", &[0]),
            ("ФИЛЬМЫ ёлк", &[0]),
            ("الرياضيات", &[1]),
            ("كتاب", &[1]),
            ("大学", &[2]),
            ("东京大学", &[2]),
            ("京", &[2]),
            ("真", &[2, 3]),
            ("写真", &[2, 3]),
            ("写真 2024", &[3]),
            ("さくら", &[3]),
            ("ｶﾀｶﾅ", &[4]),
            ("한국", &[5]),
            ("ไทย", &[6]),
            ("हिन्", &[7]),
            ("ελληνικοσ", &[8]),
            ("aesop fabulas", &[9]),
            ("STRASSE", &[9]),
            ("京東", &[]),
            ("大东", &[]),
        ];
        for (words, expected) in searches {
            let mut found = scene.find(words);
            found.sort();
            let mut expected: Vec<&str> = expected.iter().map(|index| names[*index]).collect();
            expected.sort_unstable();
            assert_eq!(found, expected, "{words}");
        }
    });
}

#[test]
fn words_inside_words_are_found_where_capitals_and_digits_show_them() {
    let names = ["Show.S01E02.mkv", "IMG2031.jpg", "MyHolidayVideo.avi", "holiday video.txt"];
    with(&names, |scene| {
        for (words, expected) in [
            ("e02", &names[..1]),
            ("s01e02", &names[..1]),
            ("s01", &names[..1]),
            ("2031", &names[1..2]),
            ("img", &names[1..2]),
            ("img2031", &names[1..2]),
            ("my video", &names[2..3]),
        ] {
            assert_eq!(scene.find(words), expected, "{words}");
        }
        assert_eq!(scene.find("HolidayVideo").len(), 2);
        assert_eq!(scene.find("holiday video")[0], "holiday video.txt");
    });
}

#[test]
fn typing_errors_get_a_suggestion() {
    let names =
        ["Holiday in Rome.avi", "holiday snow.jpg", "wholly.txt", "Élan vital.txt", "写真.jpg"];
    with(&names, |scene| {
        let suggestion = |words: &str| {
            let query = Query { words: words.to_owned(), ..Query::default() };
            scene.search(query).did_you_mean
        };
        let some = |words: &str| Some(words.to_owned());
        assert_eq!(suggestion("holdiay"), some("holiday"));
        assert_eq!(suggestion("ohliday rome"), some("holiday rome"));
        assert_eq!(suggestion("Holyday"), some("holiday"));
        assert_eq!(suggestion("oliday"), some("holiday"));
        assert_eq!(suggestion("holliday Rmoe"), some("holiday rome"));
        assert_eq!(suggestion("ellan vitla"), some("elan vital"));
        assert_eq!(suggestion("holiday"), None, "it was found");
        assert_eq!(suggestion("rome snow"), None, "both are there, but not together");
        assert_eq!(suggestion("zzzzzzzz"), None);
        assert_eq!(suggestion("写眞"), None);
        assert_eq!(suggestion("!!!"), None);
    });
}

#[test]
fn the_newest_matches_of_a_frequent_word_are_looked_at() {
    let kept = Kept::new();
    let store = kept.open();
    let scene = Scene::new(&store, 1);
    let ann = scene.member(1);
    let mut share = ann.share(1, 1, (0..1500).map(|n| file(&format!("common {n}"))).collect());
    share.pages = 32;
    share.put(&scene);
    ann.share(2, 1, files(["common.txt"])).put(&scene);
    assert_eq!(scene.find("common")[0], "common.txt");
}

#[test]
fn a_beginning_that_very_many_files_have_finds_the_frequent_words() {
    let kept = Kept::new();
    let store = kept.open();
    let scene = Scene::new(&store, 1);
    let ann = scene.member(1);
    let names = (0..6000).map(|number| {
        let last = if number < 3000 { "marble" } else { "marvel" };
        file(&format!("{last} {number}.txt"))
    });
    let mut share = ann.share(1, 1, names.collect());
    share.pages = 128;
    share.put(&scene);
    ann.share(2, 1, files(["mar.txt", "mar2024.txt"])).put(&scene);
    let found = scene.search(Query { words: "mar".to_owned(), limit: 100, ..Query::default() });
    assert_eq!((found.groups.len(), found.more), (100, true));
    let first = &crate::tracker::store::scene::paths(&found.groups)[..2];
    assert_eq!(first, ["mar.txt", "mar2024.txt"]);
    assert!(scene.find("m 17").is_empty(), "only the last word may be shorter than 3 letters");
    assert_eq!(scene.find("marv 5999"), ["marvel 5999.txt"]);
    assert_eq!(scene.find("17 marb"), ["marble 17.txt"]);
    // All that there is, page by page, nothing twice.
    let mut paths = Vec::new();
    for offset in (0..1000).step_by(100) {
        let query = Query { words: "marble".to_owned(), limit: 100, offset, ..Query::default() };
        let found = scene.search(query);
        assert!(found.more);
        paths.extend(crate::tracker::store::scene::paths(&found.groups));
    }
    paths.sort();
    paths.dedup();
    assert_eq!(paths.len(), 1000);
}

#[test]
fn sizes_that_no_file_has_do_no_harm() {
    let kept = Kept::new();
    let store = kept.open();
    let scene = Scene::new(&store, 1);
    let ann = scene.member(1);
    let huge = Entry { size: u64::MAX, modified_s: u64::MAX, ..file("huge") };
    ann.share(1, NOW_MS, vec![huge]).put(&scene);
    let groups = scene.groups("huge");
    assert_eq!((groups[0].size, groups[0].newest_s), (u64::MAX, u64::MAX));
}
