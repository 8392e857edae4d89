//! Scanning and hashing.

use std::os::unix::fs::symlink;
use std::os::unix::net::UnixListener;
use std::sync::atomic::Ordering;

use super::*;
use crate::{Scan, hash_files};

fn paths(scan: &Scan) -> Vec<&str> {
    scan.files.iter().map(|file| file.rel.as_str()).collect()
}

fn warned(scan: &Scan) -> Vec<String> {
    let file_name = |w: &crate::Warning| w.path.file_name().unwrap().to_string_lossy().into_owned();
    let mut warned: Vec<_> = scan.warnings.iter().map(file_name).collect();
    warned.sort();
    warned
}

fn scan(world: &World, rel: &str) -> Scan {
    world.sender.scan(&[world.path("shared").join(rel)]).unwrap()
}

#[test]
fn a_scan_lists_files_in_manifest_order_and_only_empty_folders() {
    let world = World::new();
    for rel in ["a.x", "a/b/c", "a/c", "a-b", "z"] {
        world.file(rel, rel.as_bytes());
    }
    std::fs::create_dir_all(world.path("shared/empty/inner")).unwrap();
    let scan = scan(&world, "");
    assert_eq!(paths(&scan), ["a/b/c", "a/c", "a-b", "a.x", "z"]);
    assert_eq!(scan.folders, [name("empty/inner")]);
    assert_eq!((scan.name.as_str(), scan.kind), ("shared", ShareKind::Folder));
    assert!(scan.warnings.is_empty());
}

#[test]
fn links_inside_are_kept_and_links_out_are_left_with_a_warning() {
    let world = World::new();
    std::fs::create_dir(world.path("outside")).unwrap();
    std::fs::write(world.path("outside/secret"), "x").unwrap();
    world.file("sub/file", b"hello");
    let link = |target: &str, at: &str| symlink(target, world.path("shared").join(at)).unwrap();
    link("sub/file", "inside");
    link("../sub", "sub/round");
    link("nothing", "dangling");
    link("../outside/secret", "out");
    link("../../outside", "sub/out-folder");
    link(world.path("shared/sub/file").to_str().unwrap(), "absolute");
    // A way that no manifest takes.
    link("sub/../sub/file", "detour");
    // Inside by its text, outside in truth.
    link("sub/out-folder/secret", "sly");
    let scan = scan(&world, "");
    let links: Vec<_> = scan.links.iter().map(|(path, _)| path.as_str()).collect();
    assert_eq!(links, ["dangling", "inside", "sub/round"]);
    assert_eq!(warned(&scan), ["absolute", "detour", "out", "out-folder", "sly"]);
    assert_eq!(paths(&scan), ["sub/file"]);
}

#[test]
fn what_cannot_travel_is_left_out_with_a_warning() {
    use std::ffi::OsStr;
    use std::os::unix::ffi::OsStrExt;
    let world = World::new();
    world.file("good", b"x");
    world.file("back\\slash", b"x");
    world.file("esc\u{1b}[2J", b"x");
    world.file(".film.mkv.0123abcd.part", b"x");
    let _socket = UnixListener::bind(world.path("shared/socket")).unwrap();
    std::fs::write(world.path("shared").join(OsStr::from_bytes(b"caf\xe9")), "x").unwrap();
    let scan = scan(&world, "");
    assert_eq!(paths(&scan), ["good"]);
    assert_eq!(scan.warnings.len(), 5);
    assert!(warned(&scan).contains(&"socket".to_owned()));
}

#[test]
fn the_home_of_the_node_is_never_shared() {
    let world = World::new();
    world.file("good", b"x");
    let scan = world.sender.scan(&[world.path("")]).unwrap();
    assert!(!paths(&scan).iter().any(|path| path.starts_with("sender")));
    assert_eq!(warned(&scan), ["sender"]);
}

#[test]
fn an_unreadable_file_is_left_out() {
    let world = World::new();
    world.file("good", b"x");
    let locked = world.file("locked", b"x");
    std::fs::set_permissions(&locked, std::fs::Permissions::from_mode(0o000)).unwrap();
    if rustix::process::geteuid().is_root() {
        // Nothing is unreadable to root.
        assert_eq!(paths(&scan(&world, "")), ["good", "locked"]);
    } else {
        assert_eq!(
            (paths(&scan(&world, "")), warned(&scan(&world, ""))),
            (vec!["good"], vec!["locked".to_owned()])
        );
    }
}

#[test]
fn several_paths_make_one_folder_and_equal_names_are_refused() {
    let world = World::new();
    world.file("b.txt", b"b");
    world.file("a/inner/x", b"x");
    world.file("other/b.txt", b"other");
    let given = |rels: &[&str]| -> Vec<_> {
        rels.iter().map(|rel| world.path("shared").join(rel)).collect()
    };
    let source = world.share_paths(&given(&["b.txt", "a"]));
    assert_eq!(source.kind(), ShareKind::Folder);
    assert_eq!(source.name().as_str(), "b.txt and 1 more");
    let mut buf = Vec::new();
    source.read(PieceRange::new(0, 2), &mut buf).unwrap();
    assert_eq!(buf, b"xb");
    let error = world.sender.scan(&given(&["b.txt", "a", "other/b.txt"])).unwrap_err();
    assert!(matches!(error, StoreError::DuplicateName { name, .. } if name.as_str() == "b.txt"));
    assert!(matches!(world.sender.scan(&[]), Err(StoreError::NothingToShare)));
}

#[test]
fn a_link_that_was_given_is_shared_under_its_own_name() {
    let world = World::new();
    world.file("release-1.2.bin", b"bytes");
    symlink("release-1.2.bin", world.path("shared/latest.bin")).unwrap();
    let source = world.share(&["latest.bin"]);
    assert_eq!((source.kind(), source.name().as_str()), (ShareKind::File, "latest.bin"));
    let mut buf = Vec::new();
    source.read(PieceRange::one(0), &mut buf).unwrap();
    assert_eq!(buf, b"bytes");
    symlink("/dev/null", world.path("shared/device")).unwrap();
    let device = world.sender.scan(&[world.path("shared/device")]);
    assert!(matches!(device, Err(StoreError::NotShareable { .. })));
}

#[test]
fn hashes_are_those_of_the_bytes_for_every_size_and_number_of_threads() {
    let world = World::new();
    let sizes = [0, 1, 4096, 65_536, 65_537, 1_048_576, 1_048_577, 9_000_001, 20_000_000];
    for (seed, size) in (0..).zip(sizes) {
        world.file(&format!("{seed}"), &noise(seed, size));
    }
    let scan = scan(&world, "");
    for threads in [1, 3] {
        let cancel = AtomicBool::new(false);
        let last = std::cell::Cell::new(0);
        let hashed = hash_files(&scan.files, threads, &|done| last.set(done), &cancel).unwrap();
        for (file, hash) in scan.files.iter().zip(&hashed) {
            let bytes = std::fs::read(&file.path).unwrap();
            assert_eq!(hash.id, potluck_content::hash(&bytes), "{}", file.rel);
            assert_eq!(hash.values.is_some(), bytes.len() > 65_536);
        }
        assert_eq!(last.get(), scan.bytes());
    }
}

#[test]
fn a_file_that_changes_between_scan_and_hash_is_noticed() {
    let world = World::new();
    let path = world.file("file", b"before");
    let scan = scan(&world, "");
    std::fs::write(&path, "after!").unwrap();
    let cancel = AtomicBool::new(false);
    let error = hash_files(&scan.files, 1, &|_| {}, &cancel).unwrap_err();
    assert!(matches!(error, StoreError::Changed { path: p } if p == path.canonicalize().unwrap()));
}

#[test]
fn hashing_a_scan_takes_changes_along_and_leaves_out_what_vanished() {
    let world = World::new();
    let (changed, gone) = (world.file("changed", b"before"), world.file("gone", b"x"));
    world.file("same", b"same");
    let mut scan = scan(&world, "");
    std::fs::write(&changed, "after, and longer").unwrap();
    std::fs::remove_file(&gone).unwrap();
    let cancel = AtomicBool::new(false);
    let ids = world.sender.hash_scan(&mut scan, 2, &|_| {}, &cancel).unwrap();
    assert_eq!(paths(&scan), ["changed", "same"]);
    assert_eq!(ids, [potluck_content::hash(b"after, and longer"), potluck_content::hash(b"same")]);
    assert_eq!(warned(&scan), ["gone"]);
    scan.record(&ids).unwrap();
}

#[test]
fn hashing_stops_when_it_is_cancelled() {
    let world = World::new();
    world.file("file", &noise(1, 5_000_000));
    let scan = scan(&world, "");
    let cancel = AtomicBool::new(false);
    cancel.store(true, Ordering::Relaxed);
    assert!(matches!(hash_files(&scan.files, 2, &|_| {}, &cancel), Err(StoreError::Cancelled)));
}

#[test]
fn an_unchanged_tree_is_not_read_again_but_a_racy_file_is() {
    let world = World::new();
    let (old, racy) = (world.file("old", b"old"), world.file("racy", b"racy"));
    age(&racy, 0);
    let hash = |world: &World| {
        let mut scan = scan(world, "");
        let cancel = AtomicBool::new(false);
        world.sender.hash_scan(&mut scan, 1, &|_| {}, &cancel).unwrap()
    };
    hash(&world);
    // Other bytes of the same length, with the time set back: only the hash could tell.
    for path in [&old, &racy] {
        let before = std::fs::metadata(path).unwrap().modified().unwrap();
        let len = std::fs::metadata(path).unwrap().len() as usize;
        std::fs::write(path, vec![b'!'; len]).unwrap();
        let file = std::fs::File::options().write(true).open(path).unwrap();
        file.set_modified(before).unwrap();
    }
    assert_eq!(hash(&world), [potluck_content::hash(b"old"), potluck_content::hash(b"!!!!")]);
}
