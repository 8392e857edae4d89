//! What stands at the target, before and after; what is finished, forgotten, settled.

use super::*;

fn exists(result: Result<Download, StoreError>, path: &Path) -> bool {
    let path = path.parent().unwrap().canonicalize().unwrap().join(path.file_name().unwrap());
    matches!(result, Err(StoreError::TargetExists { path: p }) if p == path)
}

#[test]
fn a_file_that_is_there_is_refused_replaced_or_kept_beside() {
    let world = World::new();
    world.file("film.mkv", b"new");
    let source = world.share(&["film.mkv"]);
    let receiver = world.receiver();
    let target = world.target("film.mkv");
    fs::write(&target, "old").unwrap();
    let plan = |on_exists| DownloadPlan { on_exists, ..world.plan(&source) };
    assert!(exists(receiver.begin_download(plan(OnExists::Refuse)), &target));
    assert_eq!(world.names(), ["film.mkv"]);
    let download = receiver.begin_download(plan(OnExists::Rename)).unwrap();
    fetch_all(&source, &download).unwrap();
    assert_eq!(world.names(), ["film (2).mkv", "film.mkv"]);
    assert_eq!(fs::read(world.target("film (2).mkv")).unwrap(), b"new");
    drop(download);
    fs::remove_file(world.target("film (2).mkv")).unwrap();
    let download = receiver.begin_download(plan(OnExists::Overwrite)).unwrap();
    give_values(&source, &download).unwrap();
    fetch(&source, &download, PieceRange::one(0)).unwrap();
    assert_eq!(fs::read(&target).unwrap(), b"old");
    download.finish(&[]).unwrap();
    assert_eq!(fs::read(&target).unwrap(), b"new");
}

#[test]
fn a_folder_that_is_there_is_refused_joined_or_kept_beside() {
    let world = World::new();
    world.file("a", b"new a");
    world.file("sub/b", b"new b");
    let source = world.share(&[""]);
    let receiver = world.receiver();
    fs::create_dir_all(world.target("shared/sub")).unwrap();
    for rel in ["shared/a", "shared/sub/own"] {
        fs::write(world.target(rel), "old").unwrap();
    }
    let plan = |on_exists| DownloadPlan { on_exists, ..world.plan(&source) };
    assert!(exists(receiver.begin_download(plan(OnExists::Refuse)), &world.target("shared")));
    let download = receiver.begin_download(plan(OnExists::Rename)).unwrap();
    fetch_all(&source, &download).unwrap();
    assert_eq!(tree(&world.target("shared (2)")), tree(&world.path("shared")));
    drop(download);
    let download = receiver.begin_download(plan(OnExists::Overwrite)).unwrap();
    fetch_all(&source, &download).unwrap();
    let read = |rel: &str| fs::read_to_string(world.target(rel)).unwrap();
    assert_eq!(
        [read("shared/a"), read("shared/sub/b"), read("shared/sub/own")],
        ["new a", "new b", "old"]
    );
    assert_eq!(world.names(), ["shared", "shared (2)"]);
}

#[test]
fn a_folder_never_replaces_a_file_nor_a_file_a_folder() {
    let world = World::new();
    world.file("thing/inner", b"x");
    let (folder, file) = (world.share(&["thing"]), world.share(&["thing/inner"]));
    let receiver = world.receiver();
    let plan = |source: &Source| DownloadPlan {
        on_exists: OnExists::Overwrite,
        chosen_name: Some(name("target")),
        ..world.plan(source)
    };
    let refused = |source: &Source| {
        matches!(receiver.begin_download(plan(source)), Err(StoreError::TargetKind { .. }))
    };
    fs::write(world.target("target"), "file").unwrap();
    assert!(refused(&folder) && !refused(&file));
    fs::remove_file(world.target("target")).unwrap();
    fs::create_dir(world.target("target")).unwrap();
    assert!(refused(&file));
    // What appears while the download runs is found at the end.
    fs::remove_dir(world.target("target")).unwrap();
    let download = receiver.begin_download(plan(&file)).unwrap();
    fetch(&file, &download, PieceRange::one(0)).unwrap();
    fs::create_dir(world.target("target")).unwrap();
    assert!(matches!(download.finish(&[]), Err(StoreError::TargetKind { .. })));
    fs::remove_dir(world.target("target")).unwrap();
    download.finish(&[]).unwrap();
    assert_eq!(fs::read(world.target("target")).unwrap(), b"x");
}

#[test]
fn a_file_inside_is_not_replaced_by_a_folder_and_the_other_way_round() {
    let world = World::new();
    world.file("a/x", b"x");
    world.file("b", b"b");
    let source = world.share(&[""]);
    let receiver = world.receiver();
    let plan = DownloadPlan { on_exists: OnExists::Overwrite, ..world.plan(&source) };
    fs::create_dir_all(world.target("shared/b")).unwrap();
    fs::write(world.target("shared/a"), "file").unwrap();
    let download = receiver.begin_download(plan).unwrap();
    for blocker in ["shared/a", "shared/b"] {
        let error = fetch_all(&source, &download).unwrap_err();
        assert!(matches!(error, StoreError::TargetKind { .. }), "{error}");
        let path = world.target(blocker);
        if path.is_dir() { fs::remove_dir(path).unwrap() } else { fs::remove_file(path).unwrap() }
    }
    fetch_all(&source, &download).unwrap();
    assert_eq!(tree(&world.target("shared")), tree(&world.path("shared")));
}

#[test]
fn what_appears_at_the_target_meanwhile_is_not_lost() {
    let world = World::new();
    world.file("film", b"film");
    let source = world.share(&["film"]);
    let receiver = world.receiver();
    for (on_exists, whole) in [(OnExists::Refuse, false), (OnExists::Rename, true)] {
        let plan = DownloadPlan { on_exists, ..world.plan(&source) };
        let download = receiver.begin_download(plan).unwrap();
        fetch(&source, &download, PieceRange::one(0)).unwrap();
        fs::write(world.target("film"), "precious").unwrap();
        let finished = download.finish(&[]);
        assert_eq!(finished.is_ok(), whole);
        if !whole {
            assert!(matches!(finished, Err(StoreError::TargetExists { .. })));
            fs::remove_file(world.target("film")).unwrap();
        }
    }
    assert_eq!(world.names(), ["film", "film (2)"]);
    assert_eq!(fs::read(world.target("film")).unwrap(), b"precious");
}

#[test]
fn a_folder_that_appears_at_the_target_meanwhile_is_not_joined() {
    let world = World::new();
    world.file("a", b"new");
    let source = world.share(&[""]);
    let receiver = world.receiver();
    for on_exists in [OnExists::Refuse, OnExists::Rename] {
        let plan = DownloadPlan { on_exists, ..world.plan(&source) };
        let download = receiver.begin_download(plan).unwrap();
        fetch(&source, &download, PieceRange::one(0)).unwrap();
        fs::create_dir(world.target("shared")).unwrap();
        fs::write(world.target("shared/own"), "precious").unwrap();
        let finished = download.finish(&[]);
        assert_eq!(names_in(&world.target("shared")), ["own"]);
        if on_exists == OnExists::Refuse {
            assert!(matches!(finished, Err(StoreError::TargetExists { .. })));
            fs::remove_dir_all(world.target("shared")).unwrap();
        } else {
            finished.unwrap();
        }
    }
    assert_eq!(world.names(), ["shared", "shared (2)"]);
}

#[test]
fn a_complete_result_is_known_and_one_that_the_user_changed_is_protected() {
    let world = World::new();
    world.file("a", b"a");
    world.file("b", &noise(1, 100_000));
    let source = world.share(&[""]);
    let receiver = world.receiver();
    let begin =
        |on_exists| receiver.begin_download(DownloadPlan { on_exists, ..world.plan(&source) });
    fetch_all(&source, &begin(OnExists::Refuse).unwrap()).unwrap();
    for on_exists in [OnExists::Refuse, OnExists::Rename, OnExists::Overwrite] {
        let download = begin(on_exists).unwrap();
        assert!(download.is_complete());
        assert_eq!(download.finish(&[]).unwrap().path, download.target());
        assert_eq!(world.names(), ["shared"]);
    }
    // Touched but not changed.
    fs::write(world.target("shared/a"), "a").unwrap();
    assert!(begin(OnExists::Refuse).unwrap().is_complete());
    // Deleted: fetched again.
    fs::remove_file(world.target("shared/a")).unwrap();
    let download = begin(OnExists::Refuse).unwrap();
    assert_eq!(fetch_all(&source, &download).unwrap(), 1);
    drop(download);
    // Changed: protected.
    fs::write(world.target("shared/a"), "mine").unwrap();
    assert!(exists(begin(OnExists::Refuse), &world.target("shared/a")));
    let download = begin(OnExists::Rename).unwrap();
    fetch_all(&source, &download).unwrap();
    drop(download);
    assert_eq!(world.names(), ["shared", "shared (2)"]);
    assert_eq!(fs::read(world.target("shared/a")).unwrap(), b"mine");
}

#[test]
fn files_that_were_given_up_are_named_and_leave_nothing_behind() {
    let world = World::new();
    world.file("a", &noise(1, 200_000));
    world.file("b", b"b");
    world.file("only/c", b"c");
    let source = world.share(&[""]);
    let receiver = world.receiver();
    let download = receiver.begin_download(world.plan(&source)).unwrap();
    give_values(&source, &download).unwrap();
    fetch(&source, &download, PieceRange::new(0, 2)).unwrap();
    fetch(&source, &download, PieceRange::one(4)).unwrap();
    // Written, never verified.
    download.write(5, 0, b"?").unwrap();
    assert!(matches!(download.finish(&[0]), Err(StoreError::Bug(_))));
    let finished = download.finish(&[0, 2]).unwrap();
    assert_eq!(finished.missing, [name("a"), name("only/c")]);
    assert_eq!(names_in(&world.target("shared")), ["b"]);
    let served = receiver.open_source(&source.content()).unwrap().unwrap();
    assert_eq!(served.have().ranges().collect::<Vec<_>>(), [PieceRange::one(4)]);
    drop(download);
    let download = receiver.begin_download(world.plan(&source)).unwrap();
    fetch_all(&source, &download).unwrap();
    assert_eq!(tree(&world.target("shared")), tree(&world.path("shared")));
}

#[test]
fn a_single_file_that_was_given_up_is_no_result() {
    let world = World::new();
    world.file("a", b"a");
    let source = world.share(&["a"]);
    let download = world.receiver().begin_download(world.plan(&source)).unwrap();
    assert!(matches!(download.finish(&[0]), Err(StoreError::Bug(_))));
}

#[test]
fn a_forgotten_download_leaves_nothing_and_touches_nothing_else() {
    let world = World::new();
    world.file("a", &noise(1, 100_000));
    let (file, folder) = (world.share(&["a"]), world.share(&[""]));
    let receiver = world.receiver();
    for source in [&file, &folder] {
        let download = receiver.begin_download(world.plan(source)).unwrap();
        give_values(source, &download).unwrap();
        fetch(source, &download, PieceRange::one(0)).unwrap();
    }
    fs::write(world.target("own"), "x").unwrap();
    let unfinished = receiver.unfinished().unwrap();
    assert_eq!(unfinished.iter().map(|d| d.have).collect::<Vec<_>>(), [65_536, 65_536]);
    for download in unfinished {
        receiver.forget_download(download.number).unwrap();
        let again = receiver.forget_download(download.number);
        assert!(matches!(again, Err(StoreError::NoSuchDownload(_))));
    }
    assert_eq!(world.names(), ["own"]);
    assert!(receiver.unfinished().unwrap().is_empty());
}

#[test]
fn a_finished_download_cannot_be_forgotten_as_if_it_were_not() {
    let world = World::new();
    world.file("a", b"a");
    let source = world.share(&["a"]);
    let receiver = world.receiver();
    let download = receiver.begin_download(world.plan(&source)).unwrap();
    fetch_all(&source, &download).unwrap();
    let number = download.number();
    drop(download);
    assert!(matches!(receiver.forget_download(number), Err(StoreError::NoSuchDownload(_))));
    assert_eq!(world.names(), ["a"]);
}

#[test]
fn after_a_crash_of_the_machine_a_result_is_read_again_before_it_is_served() {
    let world = World::new();
    world.file("a", &noise(1, 100_000));
    world.file("b", b"fine");
    let source = world.share(&[""]);
    let receiver = world.receiver();
    let download = receiver.begin_download(world.plan(&source)).unwrap();
    fetch_all(&source, &download).unwrap();
    drop(download);
    // The machine is another since, and has lost bytes without a trace.
    let reboot = |store: &Store| {
        store.0.db.lock().execute("UPDATE downloads SET boot = 'before'", []).unwrap();
    };
    reboot(&receiver);
    let path = world.target("shared/a");
    let time = fs::metadata(&path).unwrap().modified().unwrap();
    let file = fs::File::options().write(true).open(&path).unwrap();
    std::os::unix::fs::FileExt::write_all_at(&file, &[0; 4096], 8192).unwrap();
    file.set_modified(time).unwrap();
    assert!(receiver.open_source(&source.content()).unwrap().is_none());
    let settled = receiver.settle().unwrap();
    assert_eq!(settled.damaged, [path.canonicalize().unwrap()]);
    let served = receiver.open_source(&source.content()).unwrap().unwrap();
    assert_eq!(served.have().ranges().collect::<Vec<_>>(), [PieceRange::one(2)]);
    // Safe now, whatever happens to the machine.
    reboot(&receiver);
    assert!(receiver.open_source(&source.content()).unwrap().is_some());
    assert_eq!(receiver.settle().unwrap(), crate::Settled::default());
}

#[test]
fn an_unsynced_result_is_read_again_before_it_counts_as_complete() {
    let world = World::new();
    world.file("a", &noise(1, 100_000));
    let source = world.share(&["a"]);
    let receiver = world.receiver();
    let download = receiver.begin_download(world.plan(&source)).unwrap();
    fetch_all(&source, &download).unwrap();
    drop(download);
    receiver.0.db.lock().execute("UPDATE downloads SET boot = 'before'", []).unwrap();
    let path = world.target("a");
    let time = fs::metadata(&path).unwrap().modified().unwrap();
    fs::write(&path, vec![0; 100_000]).unwrap();
    fs::File::open(&path).unwrap().set_modified(time).unwrap();
    let again = receiver.begin_download(world.plan(&source));
    assert!(exists(again, &path));
}
