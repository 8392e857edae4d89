//! Reading shares in place.

use std::fs;
use std::io::Write;
use std::os::unix::fs::symlink;

use super::*;
use crate::{Origin, ReadFault};

fn read(source: &Source, range: PieceRange) -> Result<Vec<u8>, crate::ReadError> {
    let mut buf = vec![9; 3];
    source.read(range, &mut buf).map(|()| buf)
}

#[test]
fn a_range_over_several_files_is_read_at_once() {
    let world = World::new();
    let (a, b, c) = (noise(1, 70_000), noise(2, 10), noise(3, 200_000));
    world.file("a", &a);
    world.file("b", &b);
    world.file("empty", b"");
    world.file("f", &c);
    let source = world.share(&[""]);
    assert!(source.have().is_full());
    let all = [a.as_slice(), &b, &c].concat();
    assert_eq!(read(&source, PieceRange::new(0, source.map().total())).unwrap(), all);
    assert_eq!(read(&source, PieceRange::new(1, 4)).unwrap(), all[65_536..70_010 + 65_536]);
    let mut buf = Vec::new();
    source.read_part(3, 1000, 500, &mut buf).unwrap();
    assert_eq!(buf, c[1000..1500]);
    source.read_part(0, 65_000, 5000, &mut buf).unwrap();
    assert_eq!(buf, a[65_000..65_536]);
}

#[test]
fn a_changed_truncated_or_deleted_file_is_named_and_others_go_on() {
    let world = World::new();
    let (a, b) = (world.file("a", &noise(1, 200_000)), world.file("b", &noise(2, 100)));
    world.file("c", b"fine");
    let source = world.share(&[""]);
    read(&source, PieceRange::new(0, 5)).unwrap();
    // Changed while it is open.
    let mut file = fs::File::options().write(true).open(&a).unwrap();
    file.write_all(b"!").unwrap();
    let error = read(&source, PieceRange::new(1, 2)).unwrap_err();
    assert!(matches!(error.why, ReadFault::Changed));
    assert_eq!((error.pieces, error.path), (PieceRange::new(0, 4), a.canonicalize().unwrap()));
    file.set_len(10).unwrap();
    assert!(matches!(read(&source, PieceRange::one(3)).unwrap_err().why, ReadFault::Changed));
    fs::remove_file(&b).unwrap();
    let error = read(&source, PieceRange::new(4, 6)).unwrap_err();
    assert!(matches!(error.why, ReadFault::Missing));
    assert_eq!(error.pieces, PieceRange::one(4));
    assert_eq!(read(&source, PieceRange::one(5)).unwrap(), b"fine");
}

#[test]
fn a_file_of_equal_size_and_time_but_another_inode_is_not_served() {
    let world = World::new();
    let path = world.file("file", b"one");
    let source = world.share(&["file"]);
    let time = fs::metadata(&path).unwrap().modified().unwrap();
    fs::write(world.path("other"), "two").unwrap();
    fs::File::options().write(true).open(world.path("other")).unwrap().set_modified(time).unwrap();
    fs::rename(world.path("other"), &path).unwrap();
    assert!(matches!(read(&source, PieceRange::one(0)).unwrap_err().why, ReadFault::Changed));
}

#[test]
fn a_link_swapped_in_after_the_scan_is_never_followed() {
    let world = World::new();
    world.file("sub/file", b"shared");
    world.file("top", b"shared too");
    let source = world.share(&[""]);
    let twice = world.share(&[""]);
    read(&twice, PieceRange::new(0, 2)).unwrap();
    // The very same files, moved out of the share and linked to: even their fingerprints fit.
    fs::create_dir(world.path("outside")).unwrap();
    fs::rename(world.path("shared/sub"), world.path("outside/sub")).unwrap();
    fs::rename(world.path("shared/top"), world.path("outside/top")).unwrap();
    symlink("../outside/sub", world.path("shared/sub")).unwrap();
    symlink("../outside/top", world.path("shared/top")).unwrap();
    for piece in 0..2 {
        let error = read(&source, PieceRange::one(piece)).unwrap_err();
        assert!(matches!(error.why, ReadFault::Changed), "{piece}");
    }
}

#[test]
fn shares_survive_a_restart_with_their_values() {
    let world = World::new();
    let bytes = noise(5, 300_000);
    world.file("file.bin", &bytes);
    let before = kind_of(&world.share(&["file.bin"]));
    let World { folder, sender } = world;
    drop(sender);
    let sender = Store::open(&folder.path().join("sender")).unwrap();
    let source = sender.open_source(&before.1).unwrap().unwrap();
    assert_eq!(kind_of(&source), before);
    let values = source.values(0).unwrap().unwrap();
    assert!(values.matches(1, &read(&source, PieceRange::one(1)).unwrap()));
    let shares = sender.shares().unwrap();
    assert_eq!((shares.len(), shares[0].files, shares[0].size), (1, 1, 300_000));
    assert_eq!(shares[0].origin, Origin::Shared);
    assert_eq!(shares[0].path, folder.path().canonicalize().unwrap().join("shared/file.bin"));
}

#[test]
fn a_share_is_taken_away_by_a_unique_beginning_of_its_id() {
    let world = World::new();
    world.file("a", b"a");
    world.file("b", b"b");
    let (a, b) = (world.share(&["a"]).content(), world.share(&["b"]).content());
    let remove = |prefix: &str| world.sender.remove_share(prefix);
    assert!(matches!(remove(""), Err(StoreError::NoSuchShare { .. })));
    assert!(matches!(remove("zz"), Err(StoreError::NoSuchShare { .. })));
    assert_eq!(remove(&a.to_string()[..6].to_uppercase()).unwrap().id, a);
    assert!(world.sender.open_source(&a).unwrap().is_none());
    assert!(world.sender.open_source(&b).unwrap().is_some());
    assert!(world.path("shared/a").exists());
    // Many shares, until two ids start alike.
    let mut starts = vec![b.to_string()[..1].to_owned()];
    let clash = loop {
        let file = format!("n{}", starts.len());
        world.file(&file, file.as_bytes());
        let start = world.share(&[&file]).content().to_string()[..1].to_owned();
        if starts.contains(&start) {
            break start;
        }
        starts.push(start);
    };
    assert!(matches!(remove(&clash), Err(StoreError::AmbiguousShare { .. })));
}

#[test]
fn a_share_whose_files_do_not_fit_is_refused() {
    let world = World::new();
    world.file("a", b"a");
    let mut scan = world.sender.scan(&[world.path("shared")]).unwrap();
    let cancel = AtomicBool::new(false);
    let ids = world.sender.hash_scan(&mut scan, 1, &|_| {}, &cancel).unwrap();
    let mut record = scan.record(&ids).unwrap();
    record.files.push(None);
    assert!(matches!(world.sender.put_share(&record), Err(StoreError::Bug(_))));
    record.files.pop();
    record.id = ContentId([1; 32]);
    assert!(matches!(world.sender.put_share(&record), Err(StoreError::Mismatch(_))));
}

#[test]
fn a_folder_that_was_replaced_by_its_equal_is_served_again() {
    let world = World::new();
    world.file("sub/a", b"a");
    let source = world.share(&["sub"]);
    read(&source, PieceRange::one(0)).unwrap();
    // The folder is another, the file in it is the same.
    fs::rename(world.path("shared/sub"), world.path("old")).unwrap();
    fs::create_dir(world.path("shared/sub")).unwrap();
    fs::rename(world.path("old/a"), world.path("shared/sub/a")).unwrap();
    assert_eq!(read(&source, PieceRange::one(0)).unwrap(), b"a");
}

#[test]
fn sources_and_downloads_can_be_shared_between_threads() {
    fn shared<T: Send + Sync>() {}
    shared::<Source>();
    shared::<Download>();
    shared::<Store>();
}
