//! Fetching: pieces, marks, equal files, what is on this machine already.

use super::*;
use crate::ReadFault;

const KIB: usize = 1024;

#[test]
fn a_tree_arrives_with_names_bytes_bits_links_and_empty_things() {
    let world = World::new();
    world.file("large.bin", &noise(1, 1_000_000));
    world.file("sub/deep/日本語.txt", b"hello");
    world.file("sub/empty", b"");
    make_executable(&world.file("run.sh", b"#!/bin/sh"));
    fs::create_dir_all(world.path("shared/nothing/here")).unwrap();
    std::os::unix::fs::symlink("deep/日本語.txt", world.path("shared/sub/link")).unwrap();
    let source = world.share(&[""]);
    let receiver = world.receiver();
    let download = receiver.begin_download(world.plan(&source)).unwrap();
    fetch_all(&source, &download).unwrap();
    assert_eq!(tree(&world.target("shared")), tree(&world.path("shared")));
    assert_eq!(world.names(), ["shared"]);
    // It can be served from where it is, by the download and by its successor.
    let mut buf = Vec::new();
    let (mut theirs, all) = (Vec::new(), PieceRange::new(0, source.map().total()));
    source.read(all, &mut theirs).unwrap();
    download.read(all, &mut buf).unwrap();
    assert_eq!(buf, theirs);
    let again = receiver.open_source(&source.content()).unwrap().unwrap();
    again.read(all, &mut buf).unwrap();
    assert_eq!(buf, theirs);
    assert!(again.values(again.map().locate(0).file).unwrap().is_some());
    assert!(receiver.unfinished().unwrap().is_empty());
    assert_eq!(receiver.shares().unwrap().len(), 1);
}

#[test]
fn bits_that_the_sender_sets_never_go_beyond_execution() {
    let world = World::new();
    let path = world.file("tool", b"#!/bin/sh");
    fs::set_permissions(&path, fs::Permissions::from_mode(0o6777)).unwrap();
    // Even where the user lets everybody do everything.
    let before = rustix::process::umask(rustix::fs::Mode::empty());
    let plain = world.file("sub/plain", b"x");
    fs::set_permissions(&plain, fs::Permissions::from_mode(0o666)).unwrap();
    for rels in [["tool"], [""]] {
        let source = world.share(&rels);
        let receiver = world.receiver();
        let download = receiver.begin_download(world.plan(&source)).unwrap();
        fetch_all(&source, &download).unwrap();
    }
    rustix::process::umask(before);
    let mode = |rel: &str| fs::metadata(world.target(rel)).unwrap().mode() & 0o7777;
    for rel in ["tool", "shared/tool"] {
        assert_eq!(mode(rel) & !0o755, 0, "{rel}");
        assert_eq!(mode(rel) & 0o100, 0o100, "{rel}");
    }
    assert_eq!(mode("shared/sub/plain") & !0o644, 0);
    assert_eq!(mode("shared/sub") & !0o755, 0);
}

#[test]
fn nothing_stands_at_the_target_before_the_end() {
    let world = World::new();
    world.file("film", &noise(1, 200_000));
    let source = world.share(&["film"]);
    let receiver = world.receiver();
    let download = receiver.begin_download(world.plan(&source)).unwrap();
    give_values(&source, &download).unwrap();
    fetch(&source, &download, PieceRange::new(0, 3)).unwrap();
    assert_eq!(world.names(), [format!(".film.{}.part", source.content().short())]);
    assert!(matches!(download.finish(&[]), Err(StoreError::Bug(_))));
    fetch_all(&source, &download).unwrap();
    assert_eq!(world.names(), ["film"]);
    assert_eq!(download.finish(&[]).unwrap().path, download.target());
}

#[test]
fn only_pieces_that_are_here_are_served() {
    let world = World::new();
    world.file("film", &noise(1, 200_000));
    let source = world.share(&["film"]);
    let receiver = world.receiver();
    let download = receiver.begin_download(world.plan(&source)).unwrap();
    give_values(&source, &download).unwrap();
    fetch(&source, &download, PieceRange::one(2)).unwrap();
    let mut buf = Vec::new();
    download.read(PieceRange::one(2), &mut buf).unwrap();
    assert_eq!(buf, noise(1, 200_000)[2 * 65_536..3 * 65_536]);
    for range in [PieceRange::new(1, 3), PieceRange::new(2, 4)] {
        assert!(matches!(download.read(range, &mut buf).unwrap_err().why, ReadFault::Missing));
    }
    assert!(download.read_part(1, 0, 9, &mut buf).is_err());
}

#[test]
fn bytes_of_a_piece_that_is_here_are_dropped() {
    let world = World::new();
    let bytes = noise(1, 200_000);
    world.file("film", &bytes);
    let source = world.share(&["film"]);
    let receiver = world.receiver();
    let download = receiver.begin_download(world.plan(&source)).unwrap();
    give_values(&source, &download).unwrap();
    fetch(&source, &download, PieceRange::new(0, 4)).unwrap();
    download.write(1, 0, &vec![0; 65_536]).unwrap();
    download.write(1, 100, &[0; 100]).unwrap();
    download.finish(&[]).unwrap();
    assert_eq!(fs::read(world.target("film")).unwrap(), bytes);
    assert!(matches!(download.write(3, 3000, &[0; 4000]), Err(StoreError::Bug(_))));
    assert!(matches!(download.write(4, 0, &[0]), Err(StoreError::Bug(_))));
    assert!(matches!(download.mark(PieceRange::one(4)), Err(StoreError::Bug(_))));
}

#[test]
fn a_piece_that_two_writers_mixed_is_read_again_before_it_counts() {
    let world = World::new();
    let bytes = noise(1, 130_000);
    world.file("film", &bytes);
    let source = world.share(&["film"]);
    let receiver = world.receiver();
    let download = receiver.begin_download(world.plan(&source)).unwrap();
    give_values(&source, &download).unwrap();
    let half = 32 * KIB;
    // An honest writer writes both halves; a liar gets in between and after.
    download.write(0, 0, &bytes[..half]).unwrap();
    download.write(0, 0, &vec![0; half]).unwrap();
    download.write(0, half as u32, &bytes[half..2 * half]).unwrap();
    let bad = download.mark(PieceRange::new(0, 1)).unwrap().bad;
    assert_eq!(bad, [PieceRange::one(0)]);
    assert!(!download.have().contains(0));
    // A writer who starts again where another stopped makes it right.
    download.write(0, 0, &bytes[..half]).unwrap();
    download.write(0, 0, &bytes[..half]).unwrap();
    download.write(0, half as u32, &bytes[half..2 * half]).unwrap();
    assert!(download.mark(PieceRange::one(0)).unwrap().bad.is_empty());
    // Half a piece is no piece.
    download.write(1, 0, &bytes[2 * half..3 * half]).unwrap();
    assert_eq!(download.mark(PieceRange::one(1)).unwrap().bad, [PieceRange::one(1)]);
    fetch_all(&source, &download).unwrap();
    assert_eq!(fs::read(world.target("film")).unwrap(), bytes);
}

#[test]
fn values_of_another_file_are_refused() {
    let world = World::new();
    world.file("a", &noise(1, 100_000));
    world.file("b", &noise(2, 100_000));
    let source = world.share(&[""]);
    let receiver = world.receiver();
    let download = receiver.begin_download(world.plan(&source)).unwrap();
    let wrong = download.set_values(0, source.values(1).unwrap().unwrap());
    assert!(matches!(wrong, Err(StoreError::Mismatch(_))));
    assert!(download.values(0).unwrap().is_none());
}

#[test]
fn equal_files_are_fetched_once_and_copied() {
    let world = World::new();
    let (same, other) = (noise(1, 150_000), noise(2, 70_000));
    for rel in ["a/one", "b/two", "c/three"] {
        world.file(rel, &same);
    }
    make_executable(&world.path("shared/c/three"));
    world.file("other", &other);
    let source = world.share(&[""]);
    let receiver = world.receiver();
    let download = receiver.begin_download(world.plan(&source)).unwrap();
    assert_eq!(download.wanted().len(), 3 + 2);
    give_values(&source, &download).unwrap();
    fetch(&source, &download, PieceRange::new(0, 2)).unwrap();
    let mut buf = Vec::new();
    source.read(PieceRange::one(2), &mut buf).unwrap();
    download.write(2, 0, &buf).unwrap();
    let also = download.mark(PieceRange::one(2)).unwrap().also;
    assert_eq!(also, [PieceRange::new(3, 6), PieceRange::new(6, 9)]);
    // The copies can be served before they are made.
    download.read(PieceRange::new(3, 9), &mut buf).unwrap();
    assert_eq!(buf, [same.as_slice(), &same].concat());
    assert_eq!(fetch_all(&source, &download).unwrap(), 2);
    assert_eq!(tree(&world.target("shared")), tree(&world.path("shared")));
}

#[test]
fn only_what_is_selected_is_fetched_and_made() {
    let world = World::new();
    world.file("a", &noise(1, 100_000));
    world.file("b", b"b");
    world.file("sub/c", b"c");
    fs::create_dir(world.path("shared/void")).unwrap();
    let source = world.share(&[""]);
    let receiver = world.receiver();
    let plan = DownloadPlan { selected: Some([1].into()), ..world.plan(&source) };
    let download = receiver.begin_download(plan).unwrap();
    assert_eq!(download.wanted().ranges().collect::<Vec<_>>(), [PieceRange::one(2)]);
    fetch_all(&source, &download).unwrap();
    assert_eq!(names_in(&world.target("shared")), ["b"]);
    drop(download);
    // The rest joins it later, without a question.
    let download = receiver.begin_download(world.plan(&source)).unwrap();
    assert_eq!(fetch_all(&source, &download).unwrap(), 3);
    assert_eq!(tree(&world.target("shared")), tree(&world.path("shared")));
    assert_eq!(world.names(), ["shared"]);
    let beyond = DownloadPlan { selected: Some([4].into()), ..world.plan(&source) };
    assert!(matches!(receiver.begin_download(beyond), Err(StoreError::Bug(_))));
}

#[test]
fn files_of_other_shares_are_copied_instead_of_fetched_if_they_are_unchanged() {
    let world = World::new();
    let (a, b, c) = (noise(1, 300_000), noise(2, 1000), noise(3, 1000));
    world.file("a", &a);
    world.file("b", &b);
    world.file("c", &c);
    let source = world.share(&[""]);
    let receiver = world.receiver();
    // The receiver shares the same bytes under other names, and has changed one since.
    fs::create_dir(world.path("own")).unwrap();
    for (rel, bytes) in [("own/x", &a), ("own/y", &b), ("own/z", &c)] {
        fs::write(world.path(rel), bytes).unwrap();
        age(&world.path(rel), 60);
    }
    let mut scan = receiver.scan(&[world.path("own")]).unwrap();
    let cancel = AtomicBool::new(false);
    let ids = receiver.hash_scan(&mut scan, 1, &|_| {}, &cancel).unwrap();
    receiver.put_share(&scan.record(&ids).unwrap()).unwrap();
    let before = fs::metadata(world.path("own/z")).unwrap().modified().unwrap();
    fs::write(world.path("own/z"), noise(4, 1000)).unwrap();
    fs::File::open(world.path("own/z")).unwrap().set_modified(before).unwrap();
    let download = receiver.begin_download(world.plan(&source)).unwrap();
    let mut adopted = download.adopt_local(&cancel).unwrap();
    adopted.sort();
    assert_eq!(adopted, [PieceRange::new(0, 5), PieceRange::one(5)]);
    assert_eq!(fetch_all(&source, &download).unwrap(), 1);
    assert_eq!(tree(&world.target("shared")), tree(&world.path("shared")));
}

#[test]
fn a_second_download_of_the_same_to_the_same_place_is_refused_while_the_first_runs() {
    let world = World::new();
    world.file("film", b"film");
    let source = world.share(&["film"]);
    let receiver = world.receiver();
    let first = receiver.begin_download(world.plan(&source)).unwrap();
    let busy = |store: &Store| {
        matches!(store.begin_download(world.plan(&source)), Err(StoreError::Busy { .. }))
    };
    assert!(busy(&receiver));
    assert!(matches!(receiver.forget_download(first.number()), Err(StoreError::Busy { .. })));
    // Another node on this machine, with a home of its own.
    let other = Store::open(&world.path("other")).unwrap();
    assert!(busy(&other));
    drop(first);
    assert!(!busy(&other));
}

#[test]
fn a_folder_without_any_file_arrives_too() {
    let world = World::new();
    fs::create_dir(world.path("shared/void")).unwrap();
    let source = world.share(&[""]);
    let receiver = world.receiver();
    let download = receiver.begin_download(world.plan(&source)).unwrap();
    assert!(download.is_complete());
    download.finish(&[]).unwrap();
    assert_eq!(tree(&world.target("shared")), tree(&world.path("shared")));
}

#[test]
fn many_threads_fetch_and_read_at_once() {
    let world = World::new();
    for i in 0..200u64 {
        world.file(&format!("{}/{}/file", i % 7, i), &noise(i, 3000));
    }
    world.file("large", &noise(999, 3_000_000));
    let source = world.share(&[""]);
    let receiver = world.receiver();
    let download = receiver.begin_download(world.plan(&source)).unwrap();
    give_values(&source, &download).unwrap();
    let total = source.map().total();
    std::thread::scope(|scope| {
        for start in 0..4 {
            let (source, download) = (&source, &download);
            scope.spawn(move || {
                let mut buf = Vec::new();
                // Half of the pieces come from two threads.
                for piece in (0..total).filter(|piece| piece % 4 == start || piece % 2 == start % 2)
                {
                    fetch(source, download, PieceRange::one(piece)).unwrap();
                    download.read(PieceRange::one(piece), &mut buf).unwrap();
                }
                download.checkpoint().unwrap();
            });
        }
    });
    download.finish(&[]).unwrap();
    assert_eq!(tree(&world.target("shared")), tree(&world.path("shared")));
}
