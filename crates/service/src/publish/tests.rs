//! What happens at the paths of an offer is announced, whatever it is.

use std::collections::BTreeSet;
use std::fs;
use std::io::Write;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::time::Instant;

use potluck_base::PeerId;
use potluck_content::hash;
use potluck_store::Audience;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

use super::*;
use crate::share::{Sharing, offer};

/// Time for anything to be announced: much more than it takes, tests run on busy machines.
const PATIENCE: Duration = Duration::from_secs(20);

#[derive(Debug)]
enum Told {
    Changed(Changed),
    Dropped(ContentId),
    Warned(Warned),
}

struct Ear(UnboundedSender<Told>);

impl Ear {
    fn tell(&self, told: Told) {
        // A test that is over does not listen.
        let _ = self.0.send(told);
    }
}

impl Announcer for Ear {
    fn changed(&self, changed: Changed) -> BoxFuture<'_, ()> {
        self.tell(Told::Changed(changed));
        Box::pin(std::future::ready(()))
    }

    fn dropped(&self, content: ContentId) -> BoxFuture<'_, ()> {
        self.tell(Told::Dropped(content));
        Box::pin(std::future::ready(()))
    }

    fn warned(&self, warned: Warned) {
        self.tell(Told::Warned(warned));
    }
}

/// A node's home and a shared folder.
struct World {
    folder: tempfile::TempDir,
    store: Store,
    publisher: Publisher,
    told: UnboundedReceiver<Told>,
    /// Warnings that came while something else was waited for.
    warned: Vec<Warned>,
    offer: Offer,
}

impl World {
    /// Shares `share` and watches it.
    async fn new() -> Self {
        Self::with(PublishConfig { rescan_every: PATIENCE * 10, ..Default::default() }, &["share"])
            .await
    }

    async fn with(config: PublishConfig, paths: &[&str]) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let write = |rel: &str| write(&folder.path().join(rel), rel);
        write("share/a");
        write("share/sub/b");
        let store = Store::open(&folder.path().join("home")).expect("a home");
        let sharing = Sharing {
            paths: paths.iter().map(|path| folder.path().join(path)).collect(),
            name: None,
            tags: Vec::new(),
            listed: BTreeSet::new(),
            audience: Audience::anyone(),
            watch: true,
        };
        let (steps, _) = mpsc::channel(64);
        let offer = offer(&store, sharing, &steps).await.expect("shared");
        let (tell, told) = unbounded_channel();
        let publisher = Publisher::start(store.clone(), config, Arc::new(Ear(tell)));
        let publisher = publisher.expect("started");
        // The first look sets the watches; from now on each change is heard.
        publisher.look(offer.key).await;
        Self { folder, store, publisher, told, warned: Vec::new(), offer }
    }

    fn path(&self, rel: &str) -> PathBuf {
        self.folder.path().join(rel)
    }

    async fn next(&mut self) -> Told {
        let told = tokio::time::timeout(PATIENCE, self.told.recv()).await;
        told.expect("it is told in time").expect("the publisher runs")
    }

    /// Waits until the offer is announced with just these files.
    async fn until(&mut self, expected: &[&str]) -> Changed {
        let mut last = String::new();
        let began = Instant::now();
        while began.elapsed() < PATIENCE {
            let told = tokio::time::timeout(PATIENCE, self.told.recv()).await;
            let changed = match told {
                Ok(Some(Told::Changed(changed))) => changed,
                Ok(Some(Told::Warned(warned))) => {
                    self.warned.push(warned);
                    continue;
                }
                _ => continue,
            };
            self.consistent(&changed);
            if paths(&changed) == expected {
                return changed;
            }
            last = format!("{:?}", paths(&changed));
        }
        panic!("{last} is not {expected:?}");
    }

    async fn warning(&mut self) -> Warned {
        loop {
            if !self.warned.is_empty() {
                return self.warned.remove(0);
            }
            if let Told::Warned(warned) = self.next().await {
                return warned;
            }
        }
    }

    /// What is announced is what is recorded, and each file is what its id says.
    fn consistent(&self, changed: &Changed) {
        let offer = self.store.offer(&changed.offer.key).expect("read").expect("there");
        if !changed.there || offer.content != changed.offer.content {
            return;
        }
        assert_eq!(entries_of(&self.store, &offer.content).expect("read"), *changed.entries);
        for entry in changed.entries.iter().filter(|entry| entry.size > 0) {
            let source = self.store.open_file_source(&entry.content).expect("read");
            let Some(source) = source else { continue };
            let mut bytes = Vec::new();
            let all = potluck_base::PieceRange::new(0, source.map().total());
            if source.read(all, &mut bytes).is_ok() {
                assert_eq!(hash(&bytes), entry.content, "{}", entry.path);
            }
        }
    }
}

fn paths(changed: &Changed) -> Vec<&str> {
    changed.entries.iter().map(|entry| entry.path.as_str()).collect()
}

fn write(path: &Path, text: &str) {
    fs::create_dir_all(path.parent().expect("a folder")).expect("folders");
    fs::write(path, text).expect("written");
}

fn content_of(changed: &Changed, path: &str) -> ContentId {
    changed.entries.iter().find(|entry| entry.path == path).expect("there").content
}

#[tokio::test(flavor = "multi_thread")]
async fn files_that_come_change_and_go_are_announced_soon() {
    let mut world = World::new().await;
    write(&world.path("share/new"), "new");
    let changed = world.until(&["a", "new", "sub/b"]).await;
    assert_eq!(content_of(&changed, "new"), hash(b"new"));
    assert_ne!(changed.offer.content, world.offer.content);
    assert!(changed.offer.sequence > world.offer.sequence);
    let before = world.offer.content;
    assert!(matches!(world.next().await, Told::Dropped(content) if content == before));
    assert!(world.store.open_source(&world.offer.content).expect("read").is_none());
    write(&world.path("share/new"), "changed");
    let changed = world.until(&["a", "new", "sub/b"]).await;
    assert_eq!(content_of(&changed, "new"), hash(b"changed"));
    fs::rename(world.path("share/new"), world.path("share/sub/renamed")).expect("renamed");
    let changed = world.until(&["a", "sub/b", "sub/renamed"]).await;
    assert_eq!(content_of(&changed, "sub/renamed"), hash(b"changed"));
    fs::remove_file(world.path("share/a")).expect("removed");
    world.until(&["sub/b", "sub/renamed"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_replaced_by_a_rename_is_announced_as_programs_save() {
    let mut world = World::new().await;
    let (temporary, path) = (world.path("share/.a.swp"), world.path("share/a"));
    fs::write(&temporary, "saved").expect("written");
    fs::rename(&temporary, &path).expect("renamed");
    loop {
        let changed = world.until(&["a", "sub/b"]).await;
        if content_of(&changed, "a") == hash(b"saved") {
            break;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_thousand_files_at_once_and_deep_new_folders_are_announced() {
    let mut world = World::new().await;
    let mut expected = vec!["a".to_owned(), "sub/b".to_owned()];
    for number in 0..1000 {
        let rel = format!("many/{number:04}");
        write(&world.path("share").join(&rel), &rel);
        expected.push(rel);
    }
    let deep = "x/y/z/".repeat(10) + "deep";
    write(&world.path("share").join(&deep), "deep");
    expected.push(deep.clone());
    expected.sort();
    let all: Vec<&str> = expected.iter().map(String::as_str).collect();
    world.until(&all).await;
    // The new folders are watched, too.
    let beside = deep.replace("deep", "beside");
    write(&world.path("share").join(&beside), "beside");
    expected.push(beside);
    expected.sort();
    let all: Vec<&str> = expected.iter().map(String::as_str).collect();
    world.until(&all).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn folders_are_watched_where_they_were_moved_to_and_no_longer_where_they_were() {
    let mut world = World::new().await;
    fs::rename(world.path("share/sub"), world.path("share/moved")).expect("renamed");
    world.until(&["a", "moved/b"]).await;
    write(&world.path("share/moved/c"), "c");
    world.until(&["a", "moved/b", "moved/c"]).await;
    fs::rename(world.path("share/moved"), world.path("outside")).expect("renamed");
    world.until(&["a"]).await;
    write(&world.path("outside/d"), "d");
    write(&world.path("share/e"), "e");
    world.until(&["a", "e"]).await;
    fs::rename(world.path("outside"), world.path("share/sub")).expect("renamed");
    world.until(&["a", "e", "sub/b", "sub/c", "sub/d"]).await;
    fs::remove_dir_all(world.path("share/sub")).expect("removed");
    fs::create_dir(world.path("share/sub")).expect("made");
    world.until(&["a", "e"]).await;
    write(&world.path("share/sub/f"), "f");
    world.until(&["a", "e", "sub/f"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_folder_that_is_deleted_is_withdrawn_and_comes_back() {
    let mut world = World::new().await;
    fs::remove_dir_all(world.path("share")).expect("removed");
    loop {
        if let Told::Changed(changed) = world.next().await
            && !changed.there
        {
            assert!(changed.entries.is_empty());
            break;
        }
    }
    assert!(matches!(world.warning().await, Warned::Gone { .. }));
    let offer = world.store.offer(&world.offer.key).expect("read").expect("it stays");
    assert!(world.store.open_source(&offer.content).expect("read").is_none());
    write(&world.path("share/again"), "again");
    let changed = world.until(&["again"]).await;
    assert!(changed.there && changed.offer.sequence > offer.sequence);
    assert!(matches!(world.warning().await, Warned::Back { .. }));
    write(&world.path("share/more"), "more");
    world.until(&["again", "more"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn another_folder_in_the_place_of_the_shared_one_is_taken_for_it() {
    let mut world = World::new().await;
    write(&world.path("other/x"), "x");
    fs::rename(world.path("share"), world.path("old")).expect("renamed");
    fs::rename(world.path("other"), world.path("share")).expect("renamed");
    world.until(&["x"]).await;
    write(&world.path("old/y"), "y");
    write(&world.path("share/z"), "z");
    world.until(&["x", "z"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_read_is_left_out_until_it_can() {
    let mut world = World::new().await;
    let secret = world.path("share/secret");
    fs::write(&secret, "secret").expect("written");
    world.until(&["a", "secret", "sub/b"]).await;
    fs::set_permissions(&secret, fs::Permissions::from_mode(0o000)).expect("changed");
    if fs::File::open(&secret).is_ok() {
        // Root reads everything.
        return;
    }
    world.until(&["a", "sub/b"]).await;
    fs::set_permissions(&secret, fs::Permissions::from_mode(0o600)).expect("changed");
    world.until(&["a", "secret", "sub/b"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn links_are_not_followed_and_those_that_lead_out_are_named() {
    let mut world = World::new().await;
    write(&world.path("outside/secret"), "secret");
    symlink(world.path("outside"), world.path("share/out")).expect("linked");
    let Warned::LeftOut { warning, .. } = world.warning().await else { panic!("left out") };
    assert!(warning.path.ends_with("share/out"));
    // Not watched through the link either.
    write(&world.path("outside/more"), "more");
    write(&world.path("share/c"), "c");
    world.until(&["a", "c", "sub/b"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_is_written_slowly_is_announced_once_it_is_complete() {
    let mut world = World::new().await;
    let mut file = fs::File::create(world.path("share/slow")).expect("made");
    for _ in 0..10 {
        file.write_all(&[7; 1000]).expect("written");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    write(&world.path("share/c"), "c");
    // Others need not wait for it.
    let changed = world.until(&["a", "c", "sub/b"]).await;
    assert_eq!(changed.entries.len(), 3);
    file.write_all(&[7; 1000]).expect("written");
    drop(file);
    let changed = world.until(&["a", "c", "slow", "sub/b"]).await;
    assert_eq!(content_of(&changed, "slow"), hash(&[7; 11_000]));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_its_writer_keeps_open_is_announced_when_it_has_been_quiet() {
    let mut world = World::new().await;
    let mut file = fs::File::create(world.path("share/log")).expect("made");
    file.write_all(b"a line").expect("written");
    let changed = world.until(&["a", "log", "sub/b"]).await;
    assert_eq!(content_of(&changed, "log"), hash(b"a line"));
    drop(file);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_single_file_is_followed() {
    let config = PublishConfig { rescan_every: PATIENCE * 10, ..Default::default() };
    let mut world = World::with(config, &["share/a"]).await;
    assert_eq!(world.offer.content, hash(b"share/a"));
    write(&world.path("share/other"), "nobody cares");
    write(&world.path("share/a"), "changed");
    let changed = world.until(&["a"]).await;
    assert_eq!((changed.offer.content, changed.kind), (hash(b"changed"), EntryKind::File));
    write(&world.path("share/.a.new"), "saved");
    fs::rename(world.path("share/.a.new"), world.path("share/a")).expect("renamed");
    let changed = world.until(&["a"]).await;
    assert_eq!(changed.offer.content, hash(b"saved"));
    fs::remove_file(world.path("share/a")).expect("removed");
    world.until(&[]).await;
    write(&world.path("share/a"), "back");
    let changed = world.until(&["a"]).await;
    assert_eq!(changed.offer.content, hash(b"back"));
}

#[tokio::test(flavor = "multi_thread")]
async fn without_watching_a_rescan_finds_the_same() {
    let config = PublishConfig {
        watch: false,
        rescan_every_unwatched: Duration::from_millis(200),
        ..Default::default()
    };
    let mut world = World::with(config, &["share"]).await;
    write(&world.path("share/new/deep"), "new");
    world.until(&["a", "new/deep", "sub/b"]).await;
    fs::rename(world.path("share/new"), world.path("share/old")).expect("renamed");
    fs::remove_file(world.path("share/a")).expect("removed");
    world.until(&["old/deep", "sub/b"]).await;
    write(&world.path("share/sub/b"), "changed");
    let changed = world.until(&["old/deep", "sub/b"]).await;
    assert_eq!(content_of(&changed, "sub/b"), hash(b"changed"));
}

#[tokio::test(flavor = "multi_thread")]
async fn where_no_more_can_be_watched_a_rescan_finds_the_same_and_a_warning_says_so() {
    let config = PublishConfig {
        watched_folders: 1,
        rescan_every_unwatched: Duration::from_millis(200),
        ..Default::default()
    };
    let mut world = World::with(config, &["share"]).await;
    assert!(matches!(world.warning().await, Warned::Unwatched { .. }));
    write(&world.path("share/sub/new"), "new");
    world.until(&["a", "sub/b", "sub/new"]).await;
    fs::remove_dir_all(world.path("share/sub")).expect("removed");
    // Now there are watches enough, and it is heard again.
    world.until(&["a"]).await;
    assert!(world.warned.is_empty(), "{:?}", world.warned);
}

#[tokio::test(flavor = "multi_thread")]
async fn two_offers_of_equal_folders_go_their_own_ways() {
    let mut world = World::new().await;
    write(&world.path("copy/a"), "share/a");
    write(&world.path("copy/sub/b"), "share/sub/b");
    let sharing = Sharing {
        paths: vec![world.path("copy")],
        name: None,
        tags: Vec::new(),
        listed: BTreeSet::new(),
        audience: Audience { peers: BTreeSet::from([PeerId([1; 32])]), ..Audience::nobody() },
        watch: true,
    };
    let (steps, _) = mpsc::channel(64);
    let copy = offer(&world.store, sharing, &steps).await.expect("shared");
    assert_eq!(copy.content, world.offer.content);
    assert!(world.store.audience(&copy.content).expect("read").expect("there").anyone);
    world.publisher.add(&copy).await;
    world.publisher.look(copy.key).await;
    fs::remove_dir_all(world.path("copy")).expect("removed");
    world.until(&[]).await;
    // What is left is served from where it is.
    world.publisher.look(world.offer.key).await;
    let source = world.store.open_source(&world.offer.content).expect("read").expect("there");
    let mut bytes = Vec::new();
    source.read(potluck_base::PieceRange::new(0, source.map().total()), &mut bytes).expect("read");
    world.publisher.remove(copy.key).await;
    world.store.remove_offer(&copy.key).expect("removed");
    write(&world.path("share/c"), "c");
    world.until(&["a", "c", "sub/b"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_happened_while_the_node_was_down_is_announced_when_it_starts() {
    let world = World::new().await;
    let World { folder, store, publisher, .. } = world;
    drop(publisher);
    write(&folder.path().join("share/while-away"), "x");
    let (tell, mut told) = unbounded_channel();
    let publisher = Publisher::start(store, PublishConfig::default(), Arc::new(Ear(tell)));
    let _publisher = publisher.expect("started");
    let told = tokio::time::timeout(PATIENCE, told.recv()).await.expect("in time");
    let Some(Told::Changed(changed)) = told else { panic!("{told:?}") };
    assert_eq!(paths(&changed), ["a", "sub/b", "while-away"]);
}
