//! Death of the program and of the machine, at every step.

use std::os::unix::fs::FileExt;

use super::*;

/// Runs a story on a disk on which the program dies at step 0, 1, 2... until it comes to its end;
/// after each death `after` looks at what is left.
fn at_every_step(
    story: &dyn Fn(&World, &Store) -> Result<(), StoreError>,
    after: &dyn Fn(&World, &Faults),
) {
    for steps in 0.. {
        let world = World::new();
        let faults = Faults::new();
        faults.crash_after(steps);
        let receiver = world.faulty_receiver(&faults);
        let told = story(&world, &receiver);
        drop(receiver);
        assert_eq!(told.is_err(), faults.dead(), "step {steps}: {told:?}");
        after(&world, &faults);
        if !faults.dead() {
            assert!(steps > 10);
            return;
        }
    }
}

fn share_tree(world: &World) -> Arc<Source> {
    world.file("large", &noise(1, 300_000));
    world.file("a/small", b"small");
    world.file("a/twin", b"small");
    world.file("b/other", &noise(2, 5000));
    world.file("b/empty", b"");
    fs::create_dir(world.path("shared/void")).unwrap();
    std::os::unix::fs::symlink("a/small", world.path("shared/link")).unwrap();
    world.share(&[""])
}

/// Fetches with checkpoints in between.
fn story(source: &Source, receiver: &Store, plan: DownloadPlan) -> Result<(), StoreError> {
    let download = receiver.begin_download(plan)?;
    give_values(source, &download)?;
    for piece in 0..source.map().total() {
        fetch(source, &download, PieceRange::one(piece))?;
        match piece % 3 {
            0 => download.checkpoint()?,
            1 => download.checkpoint_synced()?,
            _ => {}
        }
    }
    download.finish(&[]).map(|_| ())
}

fn ends_well(world: &World, on_exists: OnExists) {
    let source = world.share(&[""]);
    let receiver = world.receiver();
    let plan = DownloadPlan { on_exists, ..world.plan(&source) };
    let download = receiver.begin_download(plan).unwrap();
    // All that it says to have is right.
    let (mut theirs, mut ours) = (Vec::new(), Vec::new());
    for range in download.have().ranges() {
        source.read(range, &mut theirs).unwrap();
        download.read(range, &mut ours).unwrap();
        assert!(theirs == ours, "{range:?}");
    }
    fetch_all(&source, &download).unwrap();
    drop(download);
    assert!(receiver.unfinished().unwrap().is_empty());
    let served = receiver.open_source(&source.content()).unwrap().unwrap();
    assert!(served.have().is_full());
}

#[test]
fn the_program_dies_at_any_step_and_the_next_attempt_ends_well() {
    let fetch = |world: &World, receiver: &Store| {
        let source = share_tree(world);
        story(&source, receiver, world.plan(&source))
    };
    at_every_step(&fetch, &|world, _| {
        // Whatever stands under the final name is complete.
        if world.target("shared").exists() {
            assert_eq!(tree(&world.target("shared")), tree(&world.path("shared")));
        }
        ends_well(world, OnExists::Refuse);
        assert_eq!(tree(&world.target("shared")), tree(&world.path("shared")));
        assert_eq!(world.names(), ["shared"]);
    });
}

#[test]
fn the_machine_dies_at_any_step_and_nothing_lost_is_presented() {
    let fetch = |world: &World, receiver: &Store| {
        let source = share_tree(world);
        story(&source, receiver, world.plan(&source))
    };
    at_every_step(&fetch, &|world, faults| {
        faults.lose_unsynced().unwrap();
        let reboot = |store: Store| {
            store.0.db.lock().execute("UPDATE downloads SET boot = 'before'", []).unwrap();
        };
        reboot(world.receiver());
        let source = world.share(&[""]);
        let settled = world.receiver().settle().unwrap();
        // What was finished but lost is not served.
        if let Some(served) = world.receiver().open_source(&source.content()).unwrap() {
            let mut buf = Vec::new();
            for piece in served.have().iter() {
                served.read(PieceRange::one(piece), &mut buf).unwrap();
                let at = served.map().locate(piece);
                assert!(source.values(at.file).unwrap().unwrap().matches(at.index, &buf));
            }
            assert!(!settled.damaged.is_empty() || served.have().is_full());
        }
        ends_well(world, OnExists::Overwrite);
        assert_eq!(tree(&world.target("shared")), tree(&world.path("shared")));
    });
}

#[test]
fn the_program_dies_at_any_step_of_replacing_a_folder() {
    let fetch = |world: &World, receiver: &Store| {
        let source = share_tree(world);
        fs::create_dir_all(world.target("shared/a")).unwrap();
        for rel in ["large", "a/small", "a/own"] {
            fs::write(world.target("shared").join(rel), "old").unwrap();
        }
        let plan = DownloadPlan { on_exists: OnExists::Overwrite, ..world.plan(&source) };
        story(&source, receiver, plan)
    };
    at_every_step(&fetch, &|world, _| {
        // Each file is the old one or the new one, never a mixture.
        for rel in ["large", "a/small"] {
            let bytes = fs::read(world.target("shared").join(rel)).unwrap();
            assert!(bytes == b"old" || bytes == fs::read(world.path("shared").join(rel)).unwrap());
        }
        ends_well(world, OnExists::Overwrite);
        assert_eq!(fs::read(world.target("shared/a/own")).unwrap(), b"old");
        fs::remove_file(world.target("shared/a/own")).unwrap();
        assert_eq!(tree(&world.target("shared")), tree(&world.path("shared")));
        assert_eq!(world.names(), ["shared"]);
    });
}

/// A receiver that has fetched pieces 0 to 9 of a file of 13, of which `synced` with a sync.
fn half_fetched(world: &World, synced: u32) -> (Arc<Source>, PathBuf) {
    world.file("film", &noise(1, 800_000));
    let source = world.share(&["film"]);
    let receiver = world.receiver();
    let download = receiver.begin_download(world.plan(&source)).unwrap();
    give_values(&source, &download).unwrap();
    fetch(&source, &download, PieceRange::new(0, synced)).unwrap();
    download.checkpoint_synced().unwrap();
    fetch(&source, &download, PieceRange::new(synced, 9)).unwrap();
    let part = world.target(&format!(".film.{}.part", source.content().short()));
    (source, part)
}

fn have_again(world: &World, source: &Source) -> (Vec<PieceRange>, u32) {
    let receiver = world.receiver();
    let download = receiver.begin_download(world.plan(source)).unwrap();
    let have = download.have().ranges().collect();
    let fetched = fetch_all(source, &download).unwrap();
    assert_eq!(
        fs::read(world.target("film")).unwrap(),
        fs::read(world.path("shared/film")).unwrap()
    );
    (have, fetched)
}

#[test]
fn what_was_found_again_is_no_safer_than_before() {
    let world = World::new();
    world.file("film", &noise(1, 400_000));
    world.file("sub/small", &noise(2, 400));
    let source = world.share(&[""]);
    let faults = Faults::new();
    let receiver = world.faulty_receiver(&faults);
    let download = receiver.begin_download(world.plan(&source)).unwrap();
    give_values(&source, &download).unwrap();
    fetch(&source, &download, PieceRange::new(0, 8)).unwrap();
    drop((download, receiver));
    // The next attempt finds all of it, and the machine dies before it writes anything.
    let receiver = world.faulty_receiver(&faults);
    let download = receiver.begin_download(world.plan(&source)).unwrap();
    assert!(download.is_complete());
    faults.crash_after(faults.steps_done());
    drop((download, receiver));
    faults.lose_unsynced().unwrap();
    let download = world.receiver().begin_download(world.plan(&source)).unwrap();
    assert!(download.have().is_empty());
}

#[test]
fn a_download_goes_on_where_it_was_dropped() {
    let world = World::new();
    let (source, _) = half_fetched(&world, 5);
    assert_eq!(have_again(&world, &source), (vec![PieceRange::new(0, 9)], 4));
}

#[test]
fn garbage_among_doubtful_pieces_is_found_and_fetched_again() {
    let world = World::new();
    let (source, part) = half_fetched(&world, 5);
    let file = fs::File::options().write(true).open(part).unwrap();
    file.write_all_at(b"garbage", 6 * 65_536 + 1000).unwrap();
    // And where nothing was noted.
    file.write_all_at(&noise(9, 65_536), 10 * 65_536).unwrap();
    let expected = vec![PieceRange::new(0, 6), PieceRange::new(7, 9)];
    assert_eq!(have_again(&world, &source), (expected, 5));
}

#[test]
fn a_part_that_was_cut_short_loses_only_what_is_missing() {
    let world = World::new();
    let (source, part) = half_fetched(&world, 9);
    fs::File::options().write(true).open(part).unwrap().set_len(4 * 65_536 + 5000).unwrap();
    assert_eq!(have_again(&world, &source), (vec![PieceRange::new(0, 4)], 9));
}

#[test]
fn a_part_that_was_deleted_is_begun_anew() {
    let world = World::new();
    let (source, part) = half_fetched(&world, 9);
    fs::remove_file(part).unwrap();
    assert_eq!(have_again(&world, &source), (vec![], 13));
}

#[test]
fn durable_pieces_with_holes_are_not_believed() {
    let world = World::new();
    let (source, part) = half_fetched(&world, 9);
    // The file has its length again, but no data beyond the cut.
    let file = fs::File::options().write(true).open(part).unwrap();
    file.set_len(4 * 65_536).unwrap();
    file.set_len(800_000).unwrap();
    assert_eq!(have_again(&world, &source), (vec![PieceRange::new(0, 4)], 9));
}

#[test]
fn pieces_that_were_never_noted_are_found_in_the_part() {
    let world = World::new();
    let (source, part) = half_fetched(&world, 5);
    // As if nothing had been noted at all: the state is lost. And one piece is garbage.
    fs::remove_dir_all(world.path("receiver")).unwrap();
    let file = fs::File::options().write(true).open(part).unwrap();
    file.write_all_at(b"garbage", 3 * 65_536).unwrap();
    let receiver = world.receiver();
    let download = receiver.begin_download(world.plan(&source)).unwrap();
    assert!(download.have().is_empty());
    let found = download.set_values(0, source.values(0).unwrap().unwrap()).unwrap();
    assert_eq!(found, [PieceRange::new(0, 3), PieceRange::new(4, 9)]);
    assert_eq!(fetch_all(&source, &download).unwrap(), 5);
    assert_eq!(
        fs::read(world.target("film")).unwrap(),
        fs::read(world.path("shared/film")).unwrap()
    );
}

#[test]
fn small_files_that_were_never_noted_are_found_and_wrong_ones_are_not() {
    let world = World::new();
    for i in 0..20u64 {
        world.file(&format!("{i:02}"), &noise(i, 1000));
    }
    let source = world.share(&[""]);
    let receiver = world.receiver();
    let download = receiver.begin_download(world.plan(&source)).unwrap();
    fetch(&source, &download, PieceRange::new(0, 12)).unwrap();
    drop((download, receiver));
    fs::remove_dir_all(world.path("receiver")).unwrap();
    let part = world.target(&format!(".shared.{}.part", source.content().short()));
    fs::write(part.join("03"), noise(99, 1000)).unwrap();
    fs::write(part.join("04"), noise(4, 999)).unwrap();
    let receiver = world.receiver();
    let download = receiver.begin_download(world.plan(&source)).unwrap();
    let have: Vec<_> = download.have().ranges().collect();
    assert_eq!(have, [PieceRange::new(0, 3), PieceRange::new(5, 12)]);
    assert_eq!(fetch_all(&source, &download).unwrap(), 10);
    assert_eq!(tree(&world.target("shared")), tree(&world.path("shared")));
}

#[test]
fn zeros_that_the_disk_keeps_as_holes_are_not_fetched_again() {
    let world = World::new();
    let bytes = [noise(1, 131_072), vec![0; 131_072], noise(2, 70_000)].concat();
    world.file("film", &bytes);
    let source = world.share(&["film"]);
    let receiver = world.receiver();
    let download = receiver.begin_download(world.plan(&source)).unwrap();
    give_values(&source, &download).unwrap();
    fetch(&source, &download, PieceRange::new(0, 4)).unwrap();
    download.checkpoint_synced().unwrap();
    drop((download, receiver));
    // A file system that compresses does this by itself.
    let part = world.target(&format!(".film.{}.part", source.content().short()));
    let file = fs::File::options().write(true).open(part).unwrap();
    file.set_len(131_072).unwrap();
    file.set_len(bytes.len() as u64).unwrap();
    assert_eq!(have_again(&world, &source), (vec![PieceRange::new(0, 4)], 2));
}
