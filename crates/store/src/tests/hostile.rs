//! Names, links and disks that mean us harm.

use std::os::unix::fs::symlink;

use rustix::io::Errno;

use super::*;

#[test]
fn a_hidden_name_must_be_the_users_own_choice() {
    let world = World::new();
    let receiver = world.receiver();
    for top in [".bashrc", ".ssh", "...", ".a.part"] {
        let plan = plan_of_file(&world, b"evil", top);
        let refused = receiver.begin_download(plan.clone());
        assert!(matches!(refused, Err(StoreError::HiddenName { .. })), "{top}");
        let folder = plan_of(&world, &folder_of(&[("x", b"evil")]), top);
        assert!(matches!(receiver.begin_download(folder), Err(StoreError::HiddenName { .. })));
        assert!(world.names().is_empty());
        let chosen = DownloadPlan { chosen_name: Some(name(top)), ..plan };
        put_all(&receiver.begin_download(chosen).unwrap(), &[b"evil"]).unwrap();
        assert_eq!(world.names(), [top]);
        fs::remove_file(world.target(top)).unwrap();
    }
    let deep = DownloadPlan { name: name("a/b"), ..plan_of_file(&world, b"x", "a") };
    assert!(matches!(receiver.begin_download(deep), Err(StoreError::Bug(_))));
}

#[test]
fn a_manifest_of_another_content_is_refused() {
    let world = World::new();
    let mut plan = plan_of(&world, &folder_of(&[("x", b"x")]), "top");
    plan.content = ContentId([7; 32]);
    let refused = world.receiver().begin_download(plan);
    assert!(matches!(refused, Err(StoreError::Mismatch(_))));
}

#[test]
fn a_link_swapped_into_the_part_is_not_written_through() {
    let world = World::new();
    fs::create_dir(world.path("outside")).unwrap();
    fs::write(world.path("outside/victim"), "precious").unwrap();
    let large = noise(1, 100_000);
    let manifest = folder_of(&[("a/victim", b"evil"), ("b", b"evil!"), ("c/large", &large)]);
    let receiver = world.receiver();
    let download = receiver.begin_download(plan_of(&world, &manifest, "top")).unwrap();
    let part = world.target(&format!(".top.{}.part", manifest.id().short()));
    symlink("../../outside", part.join("a")).unwrap();
    symlink("../../outside/victim", part.join("b")).unwrap();
    symlink("../../outside", part.join("c")).unwrap();
    for (piece, bytes) in [(0, b"evil".as_slice()), (1, b"evil!"), (2, &large[..65_536])] {
        let error = download.write(piece, 0, bytes).unwrap_err();
        assert!(matches!(error, StoreError::Foreign { .. }), "{piece}: {error}");
    }
    assert_eq!(names_in(&world.path("outside")), ["victim"]);
    assert_eq!(fs::read(world.path("outside/victim")).unwrap(), b"precious");
    // And thrown away, links go without what they lead to.
    let number = download.number();
    drop(download);
    receiver.forget_download(number).unwrap();
    assert_eq!(fs::read(world.path("outside/victim")).unwrap(), b"precious");
    assert!(world.names().is_empty());
}

#[test]
fn a_link_swapped_in_after_a_write_does_not_reach_the_target() {
    let world = World::new();
    fs::write(world.path("victim"), "evil").unwrap();
    let manifest = folder_of(&[("a", b"evil")]);
    let receiver = world.receiver();
    let download = receiver.begin_download(plan_of(&world, &manifest, "top")).unwrap();
    download.write(0, 0, b"evil").unwrap();
    download.mark(PieceRange::one(0)).unwrap();
    let part = world.target(&format!(".top.{}.part", manifest.id().short()));
    fs::remove_file(part.join("a")).unwrap();
    symlink("../../victim", part.join("a")).unwrap();
    assert!(matches!(download.finish(&[]), Err(StoreError::Foreign { .. })));
    // A second name of somebody's file is as bad.
    fs::remove_file(part.join("a")).unwrap();
    fs::hard_link(world.path("victim"), part.join("a")).unwrap();
    assert!(matches!(download.finish(&[]), Err(StoreError::Foreign { .. })));
    assert!(!world.target("top").exists());
}

#[test]
fn a_file_cut_short_or_changed_in_the_part_does_not_reach_the_target() {
    let world = World::new();
    let bytes = noise(1, 5000);
    let manifest = folder_of(&[("a", &bytes), ("b", &bytes)]);
    let receiver = world.receiver();
    let plan = plan_of(&world, &manifest, "top");
    let part = world.target(&format!(".top.{}.part", manifest.id().short()));
    let download = receiver.begin_download(plan.clone()).unwrap();
    download.write(0, 0, &bytes).unwrap();
    assert_eq!(download.mark(PieceRange::one(0)).unwrap().also, [PieceRange::one(1)]);
    // The twin is copied from what is on the disk, which is not believed.
    fs::write(part.join("a"), noise(2, 5000)).unwrap();
    assert!(matches!(download.finish(&[]), Err(StoreError::Changed { .. })));
    fs::write(part.join("a"), &bytes).unwrap();
    download.checkpoint_synced().unwrap();
    fs::write(part.join("a"), &bytes[..4999]).unwrap();
    assert!(download.finish(&[]).is_err());
    assert!(!world.target("top").exists());
    drop(download);
    let download = receiver.begin_download(plan).unwrap();
    assert!(!download.is_complete());
    put_all(&download, &[&bytes]).unwrap();
    assert_eq!(fs::read(world.target("top/b")).unwrap(), bytes);
}

#[test]
fn a_single_file_cut_short_in_the_part_does_not_reach_the_target() {
    let world = World::new();
    let bytes = noise(1, 5000);
    let receiver = world.receiver();
    let download = receiver.begin_download(plan_of_file(&world, &bytes, "top")).unwrap();
    download.write(0, 0, &bytes).unwrap();
    download.mark(PieceRange::one(0)).unwrap();
    let id = potluck_content::hash(&bytes);
    fs::write(world.target(&format!(".top.{}.part", id.short())), &bytes[1..]).unwrap();
    assert!(matches!(download.finish(&[]), Err(StoreError::Foreign { .. })));
    assert!(!world.target("top").exists());
}

#[test]
fn a_part_that_is_a_link_or_another_name_of_a_file_is_refused() {
    let world = World::new();
    fs::create_dir(world.path("outside")).unwrap();
    fs::write(world.path("outside/victim"), "precious").unwrap();
    let (file, manifest) = (noise(1, 100), folder_of(&[("victim", b"evil")]));
    let part = |id: &ContentId| world.target(&format!(".top.{}.part", id.short()));
    let receiver = world.receiver();
    symlink("../outside/victim", part(&potluck_content::hash(&file))).unwrap();
    symlink("../outside", part(&manifest.id())).unwrap();
    for plan in [plan_of_file(&world, &file, "top"), plan_of(&world, &manifest, "top")] {
        let refused = receiver.begin_download(plan);
        assert!(matches!(refused, Err(StoreError::Foreign { .. })));
    }
    fs::remove_file(part(&potluck_content::hash(&file))).unwrap();
    fs::hard_link(world.path("outside/victim"), part(&potluck_content::hash(&file))).unwrap();
    let refused = receiver.begin_download(plan_of_file(&world, &file, "top"));
    assert!(matches!(refused, Err(StoreError::Foreign { .. })));
    assert_eq!(fs::read(world.path("outside/victim")).unwrap(), b"precious");
}

#[test]
fn a_link_in_an_existing_target_is_not_written_through() {
    let world = World::new();
    fs::create_dir(world.path("outside")).unwrap();
    fs::create_dir(world.target("top")).unwrap();
    symlink("../../outside", world.target("top/sub")).unwrap();
    let manifest = folder_of(&[("sub/x", b"evil")]);
    let plan = DownloadPlan { on_exists: OnExists::Overwrite, ..plan_of(&world, &manifest, "top") };
    let download = world.receiver().begin_download(plan.clone()).unwrap();
    let error = put_all(&download, &[b"evil"]).unwrap_err();
    assert!(matches!(error, StoreError::TargetKind { .. }), "{error}");
    assert!(names_in(&world.path("outside")).is_empty());
    drop(download);
    // The target itself as a link.
    fs::remove_dir_all(world.target("top")).unwrap();
    symlink("../outside", world.target("top")).unwrap();
    let other = Store::open(&world.path("other")).unwrap();
    assert!(matches!(other.begin_download(plan), Err(StoreError::TargetKind { .. })));
    // A file replaces a link, not what it leads to.
    fs::write(world.path("outside/victim"), "precious").unwrap();
    fs::remove_file(world.target("top")).unwrap();
    symlink("../outside/victim", world.target("top")).unwrap();
    let plan =
        DownloadPlan { on_exists: OnExists::Overwrite, ..plan_of_file(&world, b"new", "top") };
    put_all(&other.begin_download(plan).unwrap(), &[b"new"]).unwrap();
    assert_eq!(fs::read(world.path("outside/victim")).unwrap(), b"precious");
    assert_eq!(fs::read(world.target("top")).unwrap(), b"new");
}

#[test]
fn two_names_that_the_file_system_takes_for_one_are_refused() {
    let world = World::new();
    let manifest = folder_of(&[("Readme", b"one"), ("README", b"two")]);
    let faults = Faults::new();
    let receiver = world.faulty_receiver(&faults);
    faults.fold_names();
    let refused = receiver.begin_download(plan_of(&world, &manifest, "top"));
    assert!(matches!(refused, Err(StoreError::Collision { .. })));
    assert!(world.names().is_empty());
    drop(receiver);
    // Here they are two.
    let receiver = world.receiver();
    let download = receiver.begin_download(plan_of(&world, &manifest, "top")).unwrap();
    put_all(&download, &[b"two", b"one"]).unwrap();
    assert_eq!(names_in(&world.target("top")), ["README", "Readme"]);
    assert_eq!(world.names(), ["top"]);
}

#[test]
fn too_little_space_is_said_before_anything_is_written() {
    let world = World::new();
    let faults = Faults::new();
    let receiver = world.faulty_receiver(&faults);
    // Two equal files: the copy needs room too.
    let bytes = noise(1, 10_000);
    let manifest = folder_of(&[("a", &bytes), ("b", &bytes)]);
    faults.free_space(2 * 12_288 - 1);
    let refused = receiver.begin_download(plan_of(&world, &manifest, "top"));
    assert!(matches!(refused, Err(StoreError::NoSpace { needed: 24_576, free: 24_575 })));
    assert!(world.names().is_empty());
    faults.free_space(2 * 12_288);
    receiver.begin_download(plan_of(&world, &manifest, "top")).unwrap();
}

#[test]
fn a_disk_that_fills_up_or_breaks_stops_the_download_and_leaves_it_resumable() {
    let world = World::new();
    let bytes = noise(1, 400_000);
    world.file("film", &bytes);
    let source = world.share(&["film"]);
    let faults = Faults::new();
    let receiver = world.faulty_receiver(&faults);
    let download = receiver.begin_download(world.plan(&source)).unwrap();
    give_values(&source, &download).unwrap();
    faults.full_after(150_000);
    let all = PieceRange::new(0, 7);
    let error = fetch(&source, &download, all).unwrap_err();
    assert!(matches!(error, StoreError::NoSpace { needed, .. } if needed > 200_000), "{error}");
    assert!(matches!(download.finish(&[]), Err(StoreError::Bug(_))));
    faults.broken_after(70_000);
    let error = fetch(&source, &download, all).unwrap_err();
    let eio = |e: &std::io::Error| e.raw_os_error() == Some(Errno::IO.raw_os_error());
    assert!(matches!(&error, StoreError::Io { source, .. } if eio(source)), "{error}");
    let had = download.have().len();
    drop((download, receiver));
    let receiver = world.receiver();
    let download = receiver.begin_download(world.plan(&source)).unwrap();
    assert!(download.have().len() >= had && had >= 2);
    fetch_all(&source, &download).unwrap();
    assert_eq!(fs::read(world.target("film")).unwrap(), bytes);
}

#[test]
fn errors_of_the_system_are_named() {
    let path = Path::new("/x");
    let sort = |errno: Errno| StoreError::io("write", path, errno.into());
    assert!(matches!(sort(Errno::NOSPC), StoreError::NoSpace { .. }));
    assert!(matches!(sort(Errno::ROFS), StoreError::ReadOnly { .. }));
    assert!(matches!(sort(Errno::ACCESS), StoreError::Denied { .. }));
    assert!(matches!(sort(Errno::NOENT), StoreError::NotFound { .. }));
    let world = World::new();
    let plan = DownloadPlan { folder: world.path("nowhere"), ..plan_of_file(&world, b"x", "x") };
    assert!(matches!(world.receiver().begin_download(plan), Err(StoreError::NotFound { .. })));
    // Files can be made nowhere below /proc, not even by root.
    let plan = DownloadPlan { folder: "/proc/self".into(), ..plan_of_file(&world, b"", "x") };
    let refused = world.receiver().begin_download(plan);
    assert!(matches!(refused, Err(StoreError::NotFound { .. } | StoreError::Denied { .. })));
}

#[test]
fn what_an_error_says_cannot_act_on_the_terminal() {
    let path = Path::new("/tmp/\u{1b}[2J\u{202e}x");
    let shown = StoreError::io("write", path, Errno::ROFS.into()).to_string();
    assert_eq!(shown, "/tmp/\\u{1b}[2J\\u{202e}x is read-only");
}
