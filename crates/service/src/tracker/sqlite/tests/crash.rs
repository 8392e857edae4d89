//! What is acknowledged is there after a crash, and several writers do not disturb each other.

use std::io::{BufRead as _, BufReader, Write as _};
use std::path::Path;
use std::process::{Command, Stdio};

use potluck_base::PeerId;
use potluck_proto::directory::tracker::{Change, Conflict, Written};
use potluck_proto::directory::words::mark;
use rusqlite::Connection;

use super::Kept;
use crate::tracker::sqlite::SqliteStore;
use crate::tracker::store::scene::{Scene, file, files};
use crate::tracker::store::{StoreFault, TrackerStore};

/// Tells the child where its index is.
const CHILD: &str = "POTLUCK_TEST_INDEX";

/// Whether tables and index of words are whole and belong together.
fn check(path: &Path) {
    let connection = Connection::open(path).unwrap();
    let text = |sql: &str| connection.query_row(sql, [], |row| row.get::<_, String>(0)).unwrap();
    let count = |sql: &str| connection.query_row(sql, [], |row| row.get::<_, i64>(0)).unwrap();
    assert_eq!(text("PRAGMA integrity_check"), "ok");
    connection.execute("INSERT INTO words (words) VALUES ('integrity-check')", []).unwrap();
    let files = count("SELECT count(*) FROM files");
    let types = (0..8).map(|number| format!("\"{}\"", mark(number)));
    let any = types.collect::<Vec<_>>().join(" OR ");
    let indexed = "SELECT count(*) FROM words WHERE words MATCH ?1";
    let indexed: i64 = connection.query_row(indexed, [any], |row| row.get(0)).unwrap();
    assert_eq!(indexed, files);
    let listed = count("SELECT coalesce(sum(length(files)) / 8, 0) FROM pages");
    assert_eq!(listed, count("SELECT count(*) FROM files WHERE page IS NOT NULL"));
    assert_eq!(count("SELECT count(*) FROM vocabulary WHERE files <= 0"), 0);
}

/// Not a test of its own: what the test below kills.
#[test]
fn publishes_until_it_is_killed() {
    let Some(path) = std::env::var_os(CHILD) else { return };
    let store = SqliteStore::open(Path::new(&path)).unwrap();
    let scene = Scene::new(&store, 1);
    let ann = scene.member(1);
    for round in 1..u64::MAX {
        let names = (0..50).map(|index| file(&format!("crash round {round} file {index}")));
        let share = ann.share((round % 4) as u8, round, names.collect());
        share.put(&scene);
        writeln!(std::io::stdout(), "\nround={round}").unwrap();
    }
}

#[test]
fn a_process_that_is_killed_loses_nothing_it_acknowledged() {
    let kept = Kept::new();
    let path = kept.folder.path().join("index.db");
    for rounds in [1, 7, 20] {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "--nocapture"])
            .arg("tracker::sqlite::tests::crash::publishes_until_it_is_killed")
            .env(CHILD, &path)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines().map_while(Result::ok);
        let mut done = lines.filter_map(|line| line.strip_prefix("round=")?.parse::<u64>().ok());
        let acknowledged = done.nth(rounds - 1).expect("the child publishes");
        child.kill().unwrap();
        child.wait().unwrap();
        check(&path);
        let store = kept.open();
        let scene = Scene::again(&store, 1);
        let there = !scene.find(&format!("crash {acknowledged} file 49")).is_empty();
        let later = store.load().unwrap().shares.iter().any(|share| share.sequence > acknowledged);
        assert!(there || later, "round {acknowledged} is there");
        std::fs::remove_file(&path).unwrap();
        for end in ["-wal", "-shm"] {
            let _ = std::fs::remove_file(format!("{}{end}", path.display()));
        }
    }
}

#[test]
fn two_processes_write_to_one_file() {
    let kept = Kept::new();
    let (one, two) = (kept.open(), kept.open());
    let scene = Scene::new(&one, 1);
    let members: Vec<_> = (1..=2).map(|number| scene.member(number)).collect();
    let stores: [&dyn TrackerStore; 2] = [&one, &two];
    std::thread::scope(|scope| {
        for (store, member) in stores.into_iter().zip(&members) {
            scope.spawn(move || {
                let scene = Scene::again(store, 1);
                for round in 1..=20 {
                    let names = (0..20).map(|index| file(&format!("{index} of {round}")));
                    member.share(round, u64::from(round), names.collect()).put(&scene);
                    member.share(round, 100 + u64::from(round), files(["last.txt"])).put(&scene);
                }
            });
        }
    });
    assert_eq!(one.stats().unwrap(), two.stats().unwrap());
    assert_eq!(one.stats().unwrap().files, 2 * 20 * 2);
    assert_eq!(scene.groups("last")[0].providers, 2);
    drop((one, two));
    check(&kept.folder.path().join("index.db"));
}

#[test]
fn an_invite_for_one_admits_one_of_two_that_come_at_once() {
    let kept = Kept::new();
    let (one, two) = (kept.open(), kept.open());
    let network = Scene::new(&one, 1).network;
    for invite in 0..50 {
        let admit = |store: &SqliteStore, peer: u8| {
            let invite = PeerId([invite; 32]);
            let peer = PeerId([peer; 32]);
            store.write(vec![Change::Admit { network, invite, uses: 1, peer, at_ms: 1 }]).remove(0)
        };
        let results = std::thread::scope(|scope| {
            let other = scope.spawn(|| admit(&two, 2));
            [admit(&one, 1), other.join().unwrap()]
        });
        let admitted = results
            .iter()
            .filter(|result| matches!(result, Ok(Written::Admitted { number: 1, .. })));
        assert_eq!(admitted.count(), 1);
        assert!(results.contains(&Err(Conflict::UsedUp)));
    }
}

#[test]
fn a_change_that_fails_takes_nothing_else_with_it() {
    let kept = Kept::new();
    let store = kept.open();
    let scene = Scene::new(&store, 1);
    let ann = scene.member(1);
    let good = ann.share(1, 1, files(["good.txt"]));
    let mut bad = ann.share(1, 2, files(["bad.txt", "worse.txt"])).put_pages().remove(0);
    if let Change::PutPage { leaves, .. } = &mut bad {
        leaves.pop();
    }
    let mut changes = vec![good.put_head(), good.put_pages().remove(0), bad];
    changes.push(ann.share(2, 3, files(["other.txt"])).put_head());
    let done = Ok(Written::Done);
    let expected = vec![done.clone(), done.clone(), Err(Conflict::Unavailable), done];
    assert_eq!(store.write(changes), expected);
    assert_eq!(scene.find("txt"), ["good.txt"]);
    assert!(scene.find("share").contains(&"share-2".to_owned()));
    drop(store);
    check(&kept.folder.path().join("index.db"));
}

#[test]
fn a_large_share_goes_in_one_change() {
    let kept = Kept::new();
    let store = kept.open();
    let scene = Scene::new(&store, 1);
    let ann = scene.member(1);
    let names = (0..60_000).map(|index| file(&format!("large {index}")));
    let mut share = ann.share(1, 1, names.collect());
    share.pages = 1024;
    share.put(&scene);
    ann.share(2, 1, files(["small"])).put(&scene);
    assert_eq!(store.stats().unwrap().files, 60_003);
    // The change before it is in the same transaction.
    let results = store.write(vec![ann.presence(1), ann.withdraw(1, 2), ann.withdraw(2, 2)]);
    assert_eq!(results, vec![Ok(Written::Done); 3]);
    assert_eq!(store.stats().unwrap().files, 0);
    assert_eq!(store.stats().unwrap().words, 0);
    drop(store);
    check(&kept.folder.path().join("index.db"));
}

#[test]
fn an_index_of_a_newer_program_is_refused_and_left_alone() {
    let kept = Kept::new();
    drop(kept.open());
    let path = kept.folder.path().join("index.db");
    Connection::open(&path).unwrap().pragma_update(None, "user_version", 99).unwrap();
    let error = SqliteStore::open(&path).unwrap_err();
    assert!(matches!(error, StoreFault::Newer { found: 99, .. }));
}

#[test]
fn other_rules_for_words_have_the_index_built_anew() {
    let kept = Kept::new();
    let path = kept.folder.path().join("index.db");
    let store = kept.open();
    let scene = Scene::new(&store, 1);
    scene.member(1).share(1, 1, files(["one.txt", "two.txt"])).put(&scene);
    let before = store.stats().unwrap().words;
    drop(store);
    let connection = Connection::open(&path).unwrap();
    connection
        .execute_batch(
            "UPDATE meta SET value = 0 WHERE name = 'text_rules';
             INSERT INTO words (words) VALUES ('delete-all');
             DELETE FROM vocabulary;",
        )
        .unwrap();
    drop(connection);
    let store = kept.open();
    assert_eq!(Scene::again(&store, 1).find("two"), ["two.txt"]);
    assert_eq!(store.stats().unwrap().words, before);
    drop(store);
    check(&path);
}
