//! What is put when something changes, and words that are too frequent for one key.

use std::collections::BTreeSet;

use super::{
    Circle, ContentId, Found, NETWORK, NOW_MS, Person, Puts, Query, file, folder, names, query,
};
use crate::directory::chord::index::{Record, Subject, Term};
use crate::directory::record::{Entry, EntryKind, ms, page_of, pages_for};
use crate::directory::tracker::Sort;
use potluck_base::limits;

fn many(count: u32, word: &str) -> Vec<Entry> {
    let each = (0..count).map(|number| {
        let path = format!("folder {}/{word} track-{number}.mp3", number % 97);
        let content = potluck_content::hash(&number.to_be_bytes());
        Entry { content, ..file(&path, 0, u64::from(number)) }
    });
    each.collect()
}

#[test]
fn a_changed_file_sends_little() {
    let (mut circle, mut ann) = (Circle::new(), Person::new(1));
    let mut files = many(1000, "song");
    circle.put(ann.publish(1, &folder("Music", &[], &files)));
    let all = (circle.puts, circle.bytes);
    files[500].path = "folder 15/renamed.mp3".to_owned();
    (circle.puts, circle.bytes) = (0, 0);
    circle.put(ann.publish(1, &folder("Music", &[], &files)));
    assert!(circle.puts < all.0 / 40, "{} of {} records", circle.puts, all.0);
    assert!(circle.bytes < all.1 / 20, "{} of {} bytes", circle.bytes, all.1);
    assert_eq!(names(&circle.search(query("renamed"))), ["folder 15/renamed.mp3"]);
    assert!(circle.search(query("song track 500")).groups.is_empty());
    // Nothing changes: only what is said about the share as a whole is new.
    (circle.puts, circle.bytes) = (0, 0);
    circle.put(ann.publish(1, &folder("Music", &[], &files)));
    assert!(circle.puts <= 5, "{}", circle.puts);
}

#[test]
fn a_share_with_another_name_is_found_by_that_alone() {
    let (mut circle, mut ann) = (Circle::new(), Person::new(1));
    let files = many(200, "song");
    circle.put(ann.publish(1, &folder("Music", &["jazz"], &files)));
    assert_eq!(circle.search(query("jazz song")).groups.len(), 50);
    circle.put(ann.publish(1, &folder("Tunes", &[], &files)));
    for gone in ["music", "jazz", "music song", "song jazz"] {
        assert!(circle.search(query(gone)).groups.is_empty(), "{gone}");
    }
    assert_eq!(circle.search(query("tunes song")).groups.len(), 50);
    let tunes = circle.search(Query { words: "tunes".to_owned(), ..Query::default() });
    assert!(tunes.groups.iter().any(|group| group.kind == EntryKind::Folder));
    let heads = circle.shares(ann.id());
    assert_eq!((heads.len(), heads[0].name.as_str()), (1, "Tunes"));
}

#[test]
fn a_share_in_another_number_of_pages_leaves_nothing_behind() {
    let (mut circle, mut ann) = (Circle::new(), Person::new(1));
    for (count, pages) in [(1000, 16), (60, 1), (1000, 16), (10, 4)] {
        let mut share = folder("Music", &[], &many(count, "song"));
        share.pages = pages;
        circle.put(ann.publish(1, &share));
        let found = circle.search(Query { words: "song".to_owned(), ..Query::default() });
        assert_eq!(found.groups.len(), (count as usize).min(100));
        let heads = circle.shares(ann.id());
        let listed = circle.listing(&heads[0]);
        assert_eq!(listed.len(), count as usize);
        let last = circle.search(query(&format!("track {}", count + 3)));
        assert!(last.groups.is_empty(), "{:?}", names(&last));
    }
    assert_eq!(circle.search(query("track 7")).groups.len(), 1);
    assert!(circle.search(query("track 37")).groups.is_empty());
}

#[test]
fn everything_is_put_again_before_it_runs_out() {
    let (mut circle, mut ann) = (Circle::new(), Person::new(1));
    let share = folder("Music", &[], &many(100, "song"));
    circle.put(ann.publish(1, &share));
    let first = circle.puts;
    let half = ms(limits::RING_RECORD_LIFETIME) / 2;
    circle.now_ms += half;
    ann.sequence += half;
    ann.pages.clear();
    ann.plan.renew(&potluck_base::ShareKey([1; 16]));
    circle.puts = 0;
    circle.put(ann.publish(1, &share));
    // The folder's content is another one here, which is one record more.
    assert_eq!(circle.puts, first + 1);
    circle.now_ms = NOW_MS + ms(limits::RING_RECORD_LIFETIME) + 10;
    assert_eq!(circle.search(query("track 7")).groups.len(), 11);
    circle.now_ms += half;
    assert!(circle.search(query("track 7")).groups.is_empty(), "the peer is gone");
}

/// What stands under the beginnings of two words and of numbers.
fn popular(puts: Puts) -> Puts {
    let wanted = |record: &Record| match &record.term().of {
        Subject::Word(word) => {
            ["pop", "ite"].contains(&word.as_str()) || word.starts_with(|c: char| c.is_numeric())
        }
        _ => false,
    };
    puts.into_iter().filter(|(_, record)| wanted(record)).collect()
}

fn items(count: u32, number: u32) -> Vec<Entry> {
    let folder = "z".repeat(100);
    let each = (0..count).map(|n| {
        let content = potluck_content::hash(&(n * 7 + number).to_be_bytes());
        let path = format!("{folder}/popular item-{n}-{number}.bin");
        Entry { content, ..file(&path, 0, 1) }
    });
    each.collect()
}

fn has(found: &Found, name: &str) -> bool {
    names(found).iter().any(|path| path.ends_with(&format!(" {name}.bin")))
}

#[test]
fn a_frequent_word_is_spread_over_keys_and_found_under_all() {
    let mut circle = Circle::new();
    let mut people: Vec<Person> = (1..=3).map(Person::new).collect();
    for (number, person) in (0..).zip(&mut people) {
        circle.put(popular(person.publish(1, &folder("x", &[], &items(4000, number)))));
    }
    let home = Term::new(Subject::Word("pop".to_owned()));
    assert!(circle.is_full(home.key(&NETWORK)));
    let children = home.children().filter(|term| circle.under(term.key(&NETWORK)).count() > 0);
    assert_eq!(children.count(), 16, "all of them have some");
    for key in circle.kept.keys() {
        let bytes: usize = circle.under(*key).map(|record| record.bytes()).sum();
        assert!(bytes <= limits::RING_KEY_BYTES, "{bytes}");
    }
    for (number, n) in [(0, 17), (1, 2017), (2, 3999)] {
        let found = circle.search(query(&format!("popular {n}-{number}")));
        assert!(has(&found, &format!("item-{n}-{number}")), "{n}: {:?}", names(&found));
    }
    circle.asks = 0;
    let first = circle.search(query("popular"));
    assert!(first.more && first.groups.len() == 50);
    assert_eq!(circle.asks, 1, "there is enough under the first key");
    // Deeper pages ask on, and show nothing twice.
    let mut seen = BTreeSet::new();
    for offset in (0..3000).step_by(1000) {
        let page = Query { offset, limit: 100, sort: Sort::Name, ..query("popular") };
        let found = circle.search(page);
        assert_eq!(found.groups.len(), 100, "{offset}");
        assert!(found.groups.iter().all(|group| seen.insert(group.content)), "{offset}");
    }
    // What is taken back is gone everywhere.
    circle.put(popular(people[1].withdraw(1)));
    for n in [17, 2017, 3999] {
        let found = circle.search(query(&format!("popular item {n}-1")));
        assert!(!has(&found, &format!("item-{n}-1")), "{:?}", names(&found));
    }
    assert!(has(&circle.search(query("popular item 3999-2")), "item-3999-2"));
}

#[test]
fn what_another_key_knows_to_be_older_is_not_shown() {
    let (mut circle, mut ann, mut ben) = (Circle::new(), Person::new(1), Person::new(2));
    let home = Term::new(Subject::Word("pop".to_owned())).key(&NETWORK);
    circle.put(popular(ann.publish(1, &folder("x", &[], &items(6000, 0)))));
    assert!(circle.is_full(home));
    let mine = [file("popular mine.txt", 1, 1), file("popular other.txt", 2, 1)];
    circle.put(ben.publish(1, &folder("x", &[], &mine)));
    assert!(!circle.under(home).any(|record| record.peer() == ben.id()), "no room");
    assert_eq!(names(&circle.search(query("popular mine"))), ["popular mine.txt"]);
    // There is room again when Ann has gone; what Ben then puts there counts.
    circle.put(popular(ann.withdraw(1)));
    assert!(!circle.is_full(home));
    let hot = |circle: &mut Circle, asked: &str| circle.search(query(asked)).groups.len();
    assert_eq!((hot(&mut circle, "popul mine"), hot(&mut circle, "popular")), (1, 2));
    circle.put(ben.publish(1, &folder("x", &[], &mine[..1])));
    assert!(circle.under(home).any(|record| record.peer() == ben.id()));
    assert_eq!((hot(&mut circle, "popular other"), hot(&mut circle, "popular")), (0, 1));
    circle.put(ben.withdraw(1));
    assert_eq!(hot(&mut circle, "popular"), 0);
}

#[test]
fn paths_that_are_too_long_for_one_record_are_cut_into_parts() {
    let (mut circle, mut ann) = (Circle::new(), Person::new(1));
    let long = |number: usize, count: usize| {
        let folders = vec!["y".repeat(250); count];
        let path = format!("{}/{number}.txt", folders.join("/"));
        file(&path, number as u8, 1)
    };
    let files: Vec<Entry> = (0..100).map(|number| long(number, 15)).collect();
    let mut share = folder("Long", &[], &files);
    share.pages = 1;
    circle.put(ann.publish(1, &share));
    let group = Subject::pages(ann.id(), potluck_base::ShareKey([1; 16]), 0);
    assert_eq!(circle.under(Term::new(group.clone()).key(&NETWORK)).count(), 5);
    let heads = circle.shares(ann.id());
    let listed = circle.listing(&heads[0]);
    assert_eq!(listed.len(), 100);
    for (entry, proof) in &listed {
        proof.check(&NETWORK, &ann.id(), entry).unwrap();
    }
    assert_eq!(circle.search(query("long 77")).groups.len(), 1);
    // Fewer parts: those that are left over are taken away.
    share.entries.truncate(30);
    circle.put(ann.publish(1, &share));
    let heads = circle.shares(ann.id());
    assert_eq!(circle.listing(&heads[0]).len(), 30);
    assert!(circle.search(query("long 77")).groups.is_empty());
}

#[test]
fn a_share_of_fifty_thousand_files_is_planned_page_by_page() {
    let mut ann = Person::new(1);
    let files: Vec<Entry> = many(50_000, "song");
    let share = folder("Music", &[], &files);
    assert_eq!(share.pages, pages_for(50_000));
    let head = ann.head(potluck_base::ShareKey([1; 16]), &share);
    let mut lists = vec![Vec::new(); usize::from(share.pages)];
    for entry in &files {
        lists[usize::from(page_of(&entry.path, share.pages))].push(entry.clone());
    }
    let signed = (0..).zip(lists).map(|(page, entries)| {
        ann.page(potluck_base::ShareKey([1; 16]), (page, share.pages), entries).0
    });
    let pages: Vec<_> = signed.collect();
    let (mut count, mut bytes) = (ann.plan.head(&head).0.len(), 0);
    for page in &pages {
        let puts = ann.plan.page(page);
        count += puts.len();
        bytes += puts.iter().map(|(_, record)| record.bytes()).sum::<usize>();
    }
    assert_eq!(ann.plan.records(), count);
    // Each file costs about a record for its content, and its share of those for words.
    assert!((50_000..200_000).contains(&count), "{count} records");
    assert!(bytes < 200 << 20, "{bytes} bytes");
}

#[test]
fn a_record_of_a_content_names_it_and_no_other() {
    let mut ann = Person::new(1);
    let files = [file("a.txt", 1, 1), file("b.txt", 1, 1), file("c.txt", 2, 1)];
    let puts = ann.publish(1, &folder("x", &[], &files));
    let of = Subject::Content(ContentId([1; 32]));
    let found: Vec<_> = puts.iter().filter(|(_, record)| record.term().of == of).collect();
    let [(_, Record::Files(files))] = &found[..] else { panic!("one record") };
    let paths: Vec<_> = files.entries.iter().map(|entry| entry.path.as_str()).collect();
    assert_eq!(paths, ["a.txt", "b.txt"]);
}
