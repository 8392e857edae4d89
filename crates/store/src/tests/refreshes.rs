//! Looking again at what is shared.

use std::collections::BTreeSet;
use std::os::unix::fs::symlink;

use super::*;
use crate::{Now, Refresh, Refreshed, ShareRecord};

/// A share that is looked at again and again, as a whole and by what is said to be touched.
struct Watched {
    world: World,
    paths: Vec<PathBuf>,
    verified_ns: Option<i64>,
    record: ShareRecord,
}

impl Watched {
    fn of(world: World, rels: &[&str]) -> Self {
        let paths: Vec<_> = rels.iter().map(|rel| world.path("shared").join(rel)).collect();
        let mut scan = world.sender.scan(&paths).unwrap();
        let ids = world.sender.hash_scan(&mut scan, 1, &|_| {}, &AtomicBool::new(false)).unwrap();
        let record = scan.record(&ids).unwrap();
        Self { world, paths, verified_ns: None, record }
    }

    fn ask(&self, touched: Option<&BTreeSet<PathBuf>>, closed: bool) -> Refreshed {
        let refresh = Refresh {
            paths: &self.paths,
            name: &self.record.name,
            before: Some(&self.record),
            touched,
            verified_ns: self.verified_ns,
            claim: false,
            closed: &|_| closed,
            threads: 1,
            cancel: &AtomicBool::new(false),
        };
        self.world.sender.refresh(&refresh).unwrap()
    }

    /// Looks at what was touched, and at everything: both must find the same.
    fn touch(&mut self, rels: &[&str]) -> Vec<String> {
        let path = |rel: &&str| self.world.path("shared").canonicalize().unwrap().join(rel);
        let touched: BTreeSet<_> = rels.iter().map(path).collect();
        let part = self.ask(Some(&touched), true);
        let whole = self.ask(None, true);
        assert!(whole.full);
        match (part.now, whole.now) {
            (Now::Other(part), Now::Other(whole)) => {
                assert_eq!(part.manifest, whole.manifest);
                assert_eq!((part.id, &part.files), (whole.id, &whole.files));
                self.record = part;
            }
            (Now::Same, Now::Same) => {}
            (part, whole) => panic!("{part:?} is not {whole:?}"),
        }
        self.entries()
    }

    fn entries(&self) -> Vec<String> {
        let entries = self.record.manifest.as_ref().unwrap().entries().iter();
        entries.map(|entry| entry.path.as_str().to_owned()).collect()
    }
}

fn tree() -> Watched {
    let world = World::new();
    for rel in ["t/a", "t/b/c", "t/b/d/e", "t/z"] {
        world.file(rel, rel.as_bytes());
    }
    Watched::of(world, &["t"])
}

#[test]
fn a_file_that_comes_changes_or_goes_is_found_by_looking_at_it_alone() {
    let mut it = tree();
    it.world.file("t/b/new", b"new");
    assert_eq!(it.touch(&["t/b/new"]), ["a", "b/c", "b/d/e", "b/new", "z"]);
    let before = it.record.id;
    it.world.file("t/b/new", b"changed");
    it.touch(&["t/b/new"]);
    assert_ne!(it.record.id, before);
    fs::remove_file(it.world.path("shared/t/a")).unwrap();
    assert_eq!(it.touch(&["t/a"]), ["b/c", "b/d/e", "b/new", "z"]);
    assert_eq!(it.touch(&["t/a", "t/nothing/here"]), ["b/c", "b/d/e", "b/new", "z"]);
    assert!(!it.ask(Some(&BTreeSet::new()), true).full);
}

#[test]
fn folders_are_entries_only_as_long_as_they_are_empty() {
    let mut it = tree();
    let shared = it.world.path("shared/t");
    fs::remove_file(shared.join("b/d/e")).unwrap();
    assert_eq!(it.touch(&["t/b/d/e"]), ["a", "b/c", "b/d", "z"]);
    it.world.file("t/b/d/f/g", b"deep");
    assert_eq!(it.touch(&["t/b/d/f"]), ["a", "b/c", "b/d/f/g", "z"]);
    fs::remove_dir_all(shared.join("b/d")).unwrap();
    assert_eq!(it.touch(&["t/b/d/f/g", "t/b/d/f", "t/b/d"]), ["a", "b/c", "z"]);
    fs::remove_file(shared.join("b/c")).unwrap();
    fs::remove_dir(shared.join("b")).unwrap();
    // Only the file is told of: that its folder is gone, too, is found.
    assert_eq!(it.touch(&["t/b/c"]), ["a", "z"]);
    fs::create_dir_all(shared.join("x/y")).unwrap();
    assert_eq!(it.touch(&["t/x"]), ["a", "x/y", "z"]);
    for name in ["a", "z"] {
        fs::remove_file(shared.join(name)).unwrap();
    }
    fs::remove_dir_all(shared.join("x")).unwrap();
    assert!(it.touch(&["t/a", "t/x/y", "t/z"]).is_empty());
}

#[test]
fn files_folders_and_links_take_each_others_places() {
    let mut it = tree();
    let shared = it.world.path("shared/t");
    fs::remove_file(shared.join("a")).unwrap();
    it.world.file("t/a/inner", b"x");
    assert_eq!(it.touch(&["t/a"])[0], "a/inner");
    fs::remove_dir_all(shared.join("b")).unwrap();
    symlink("a", shared.join("b")).unwrap();
    assert_eq!(it.touch(&["t/b"]), ["a/inner", "b", "z"]);
    fs::remove_file(shared.join("b")).unwrap();
    symlink("/etc", shared.join("b")).unwrap();
    assert_eq!(it.touch(&["t/b", "t/b/passwd"]), ["a/inner", "z"]);
    // Nobody tells of the folder in the file's place: then everything is looked at.
    fs::remove_file(shared.join("z")).unwrap();
    it.world.file("t/z/inner", b"x");
    assert_eq!(it.touch(&["t/z/inner"]), ["a/inner", "z/inner"]);
}

#[test]
fn a_renamed_tree_is_not_read_again() {
    let mut it = tree();
    let shared = it.world.path("shared/t");
    let inode = fs::metadata(shared.join("b/c")).unwrap().ino();
    fs::rename(shared.join("b"), shared.join("renamed")).unwrap();
    // Nobody can read it now: its hash has to be known. (Root can; then only the id is compared.)
    fs::set_permissions(shared.join("renamed/c"), fs::Permissions::from_mode(0o400)).unwrap();
    assert_eq!(it.touch(&["t/b", "t/renamed"]), ["a", "renamed/c", "renamed/d/e", "z"]);
    let entries = it.record.entries();
    assert_eq!(entries[1].content, potluck_content::hash(b"t/b/c"));
    assert_eq!(fs::metadata(shared.join("renamed/c")).unwrap().ino(), inode);
}

#[test]
fn what_was_verified_and_is_as_it_was_is_not_looked_up_again() {
    let mut it = tree();
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap();
    it.verified_ns = Some(now.as_nanos() as i64);
    let rows = |it: &Watched, sql: &str| it.world.sender.0.db.lock().execute(sql, []).unwrap();
    // Hashes that would be found, if they were looked up.
    rows(&it, "UPDATE hashes SET id = zeroblob(32)");
    assert!(matches!(it.ask(None, true).now, Now::Same));
    // One that was touched too shortly before could have changed again since.
    it.verified_ns = Some(now.as_nanos() as i64 - 59_000_000_000);
    assert!(matches!(it.ask(None, true).now, Now::Other(_)));
    rows(&it, "DELETE FROM hashes");
    assert!(matches!(it.ask(None, true).now, Now::Same));
    // That it may be run is no matter of its bytes.
    it.verified_ns = Some(now.as_nanos() as i64);
    let path = it.world.path("shared/t/a");
    fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
    it.touch(&["t/a"]);
    assert!(it.record.entries()[0].executable);
}

#[test]
fn a_file_that_is_being_written_waits_and_the_share_keeps_what_it_had() {
    let mut it = tree();
    let path = it.world.path("shared/t/a");
    fs::write(&path, "half").unwrap();
    fs::write(it.world.path("shared/t/new"), "half").unwrap();
    let looked = it.ask(None, false);
    assert!(matches!(looked.now, Now::Same), "{looked:?}");
    assert_eq!(looked.later.len(), 2);
    // Its writer has closed it, or has been quiet for a while.
    assert!(matches!(it.ask(None, true).now, Now::Other(_)));
    age(&path, 2);
    age(&it.world.path("shared/t/new"), 2);
    let looked = it.ask(None, false);
    assert!(looked.later.is_empty());
    assert!(matches!(looked.now, Now::Other(_)));
    it.touch(&["t/a", "t/new"]);
    assert_eq!(it.entries(), ["a", "b/c", "b/d/e", "new", "z"]);
}

#[test]
fn several_paths_stay_a_folder_even_if_one_is_left() {
    let world = World::new();
    for rel in ["one.txt", "two/x", "two/y"] {
        world.file(rel, rel.as_bytes());
    }
    let mut it = Watched::of(world, &["one.txt", "two"]);
    it.world.file("two/z", b"z");
    assert_eq!(it.touch(&["two/z"]), ["one.txt", "two/x", "two/y", "two/z"]);
    fs::remove_file(it.world.path("shared/one.txt")).unwrap();
    let looked = it.ask(None, true);
    assert_eq!(looked.missing, [it.world.path("shared/one.txt")]);
    assert_eq!(it.touch(&["one.txt"]), ["two/x", "two/y", "two/z"]);
    fs::remove_dir_all(it.world.path("shared/two")).unwrap();
    assert!(matches!(it.ask(None, true).now, Now::Gone));
    it.world.file("one.txt", b"again");
    assert_eq!(it.touch(&["one.txt"]), ["one.txt"]);
}

#[test]
fn a_single_file_is_followed_through_changes_and_absence() {
    let world = World::new();
    let path = world.file("one.txt", b"one");
    let it = Watched::of(world, &["one.txt"]);
    assert!(matches!(it.ask(None, false).now, Now::Same));
    fs::write(it.world.path("shared/other"), "two").unwrap();
    fs::rename(it.world.path("shared/other"), &path).unwrap();
    let Now::Other(record) = it.ask(None, true).now else { panic!("it changed") };
    assert_eq!((record.id, record.kind), (potluck_content::hash(b"two"), ShareKind::File));
    fs::remove_file(&path).unwrap();
    assert!(matches!(it.ask(None, true).now, Now::Gone));
    fs::write(&path, "young").unwrap();
    let looked = it.ask(None, false);
    assert_eq!(looked.later, [path]);
    assert!(matches!(looked.now, Now::Same));
}

#[test]
fn parts_and_the_home_stay_out_of_what_is_looked_at() {
    let world = World::new();
    world.file("t/a", b"a");
    let home = world.path("sender");
    let mut it = Watched::of(world, &["t"]);
    it.world.file("t/.x.abababab.part/inner", b"x");
    assert_eq!(it.touch(&["t/.x.abababab.part/inner"]), ["a"]);
    // A share that contains the node's home.
    it.paths = vec![it.world.path("")];
    let touched = BTreeSet::from([home.canonicalize().unwrap().join("state.db")]);
    let Now::Other(record) = it.ask(None, true).now else { panic!("it is larger") };
    it.record = record;
    let looked = it.ask(Some(&touched), true);
    assert!(!looked.full && matches!(looked.now, Now::Same), "{looked:?}");
}
