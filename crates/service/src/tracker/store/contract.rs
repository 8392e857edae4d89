//! What every store must do, told as stories. Each kind of store runs all of them.

use potluck_base::{PeerId, ShareKey};
use potluck_identity::Revocations;
use potluck_proto::directory::record::{Entry, EntryKind};
use potluck_proto::directory::tracker::{
    Answer, Change, Conflict, FileType, HitProof, Loaded, Query, Question, Sort, Written,
};

use super::scene::{EXPIRES_MS, NOW_MS, Scene, file, files, paths};
use super::{CiRow, TrackerStore};

/// Runs all stories against stores that all keep the same; each call of `open` is a start of the
/// tracker.
pub(crate) fn keep(open: &dyn Fn() -> Box<dyn TrackerStore>) {
    invites_are_counted(open);
    nicknames_are_unique(open);
    newer_records_win(open);
    revocations_follow_each_other(open);
    what_is_published_is_found(open);
    a_page_is_replaced_by_difference(open);
    withdrawn_shares_stay_away(open);
    members_go_with_all_they_had(open);
    what_is_over_expires(open);
    networks_do_not_see_each_other(open);
    groups_count_providers(open);
    filters_and_orders(open);
    lists_go_on_where_they_ended(open);
    foreign_titles_are_found(open);
    everything_is_there_after_a_start(open);
}

fn stale(have: u64) -> Result<Written, Conflict> {
    Err(Conflict::Stale { have })
}

fn invites_are_counted(open: &dyn Fn() -> Box<dyn TrackerStore>) {
    let invite = PeerId([9; 32]);
    let admit = |scene: &Scene<'_>, peer: u8, at_ms| Change::Admit {
        network: scene.network,
        invite,
        uses: 2,
        peer: PeerId([peer; 32]),
        at_ms,
    };
    let store = open();
    let scene = Scene::new(&*store, 1);
    let changes = (1..=3).map(|peer| admit(&scene, peer, 7)).collect();
    let admitted = |number, at_ms| Ok(Written::Admitted { number, at_ms });
    let expected = vec![admitted(1, 7), admitted(2, 7), Err(Conflict::UsedUp)];
    assert_eq!(scene.store.write(changes), expected);
    drop(store);
    let store = open();
    let scene = Scene::again(&*store, 1);
    assert_eq!(scene.write(admit(&scene, 2, 8)), admitted(2, 7), "the same answer again");
    assert_eq!(scene.write(admit(&scene, 4, 8)), Err(Conflict::UsedUp));
}

fn nicknames_are_unique(open: &dyn Fn() -> Box<dyn TrackerStore>) {
    let store = open();
    let scene = Scene::new(&*store, 2);
    let (ann, bob) = (scene.stranger(1), scene.stranger(2));
    scene.ok(scene.put_member(&ann, "Änn", 5));
    assert_eq!(scene.write(scene.put_member(&bob, " äNN ", 6)), Err(Conflict::NickTaken));
    scene.ok(scene.put_member(&bob, "Bob", 6));
    scene.ok(scene.put_member(&ann, "änn", 7));
    scene.ok(Change::Seen { network: scene.network, peer: ann.peer, at_ms: 9 });
    scene.ok(Change::Seen { network: scene.network, peer: ann.peer, at_ms: 3 });
    scene.ok(Change::Seen { network: scene.network, peer: PeerId([77; 32]), at_ms: 3 });
    let loaded = store.load().unwrap();
    let ann = loaded.members.iter().find(|member| member.peer == ann.peer);
    let ann = ann.expect("she is a member");
    assert_eq!((ann.nick.as_str(), ann.first_seen_ms, ann.last_seen_ms), ("änn", 5, 9));
    let elsewhere = Scene::new(&*store, 3);
    elsewhere.ok(elsewhere.put_member(&elsewhere.stranger(3), "Änn", 5));
}

fn newer_records_win(open: &dyn Fn() -> Box<dyn TrackerStore>) {
    let store = open();
    let scene = Scene::new(&*store, 4);
    scene.ok(Change::PutNetwork { record: scene.record(3) });
    scene.ok(Change::PutNetwork { record: scene.record(3) });
    assert_eq!(scene.write(Change::PutNetwork { record: scene.record(2) }), stale(3));
    assert_eq!(scene.write(scene.stranger(1).presence(1)), Err(Conflict::Unknown));
    let ann = scene.member(1);
    scene.ok(ann.presence(5));
    scene.ok(ann.presence(5));
    assert_eq!(scene.write(ann.presence(4)), stale(5));
    let unknown = ann.share(1, 9, files(["a"]));
    assert_eq!(scene.write(unknown.put_pages().remove(0)), Err(Conflict::Unknown));
    let bob = scene.stranger(2);
    assert_eq!(scene.write(bob.share(1, 9, files(["a"])).put_head()), Err(Conflict::Unknown));
}

fn revocations_follow_each_other(open: &dyn Fn() -> Box<dyn TrackerStore>) {
    let store = open();
    let scene = Scene::new(&*store, 5);
    let none = Revocations::none(scene.network);
    let first = scene.revocations(&none, PeerId([1; 32]));
    let second = scene.revocations(&first, PeerId([2; 32]));
    let put = |expected, revocations: &Revocations| Change::PutRevocations {
        network: scene.network,
        expected,
        revocations: revocations.clone(),
    };
    assert_eq!(scene.write(put(1, &second)), stale(0));
    scene.ok(put(0, &first));
    scene.ok(put(0, &first));
    assert_eq!(scene.write(put(0, &second)), stale(1));
    scene.ok(put(1, &second));
    let loaded = open().load().unwrap();
    let kept =
        loaded.networks.into_iter().find(|(record, _)| record.value.network == scene.network);
    assert_eq!(kept.unwrap().1, second);
}

fn what_is_published_is_found(open: &dyn Fn() -> Box<dyn TrackerStore>) {
    let store = open();
    let scene = Scene::new(&*store, 6);
    let ann = scene.member(1);
    let mut share = ann.share(1, 1, files(["Talks/Big_Buck-Bunny.2008.mkv", "notes/Élan.txt"]));
    share.tags = vec!["blender".to_owned()];
    share.pages = 4;
    share.put(&scene);
    for words in ["bunny", "BIG bunny", "buck 2008", "bun", "talks bunny", "blender bunny"] {
        assert_eq!(scene.find(words)[0], "Talks/Big_Buck-Bunny.2008.mkv", "{words}");
    }
    assert_eq!(scene.find("elan"), ["notes/Élan.txt"]);
    assert!(scene.find("bunny elan").is_empty());
    assert!(scene.find("unny").is_empty());
    let folder = scene.groups("share 1");
    let folder = folder.iter().find(|group| group.kind == EntryKind::Folder);
    assert!(matches!(folder.unwrap().hits[0].proof, HitProof::Head(_)));
    let renamed = super::scene::Published {
        name: "Cinema".to_owned(),
        tags: Vec::new(),
        sequence: 2,
        ..share.clone()
    };
    scene.ok(renamed.put_head());
    assert!(scene.find("blender").is_empty());
    assert_eq!(scene.find("cinema").len(), 3);
}

fn a_page_is_replaced_by_difference(open: &dyn Fn() -> Box<dyn TrackerStore>) {
    let store = open();
    let scene = Scene::new(&*store, 7);
    let ann = scene.member(1);
    let old = ann.share(1, 5, files(["keep.txt", "change.txt", "drop.txt"]));
    old.put(&scene);
    let mut entries = files(["add.txt", "change.txt", "keep.txt"]);
    entries[1].size = 5_000_000;
    let new = ann.share(1, 6, entries);
    scene.ok(new.put_pages().remove(0));
    scene.ok(new.put_pages().remove(0));
    assert_eq!(scene.write(old.put_pages().remove(0)), stale(6));
    let other = ann.share(1, 6, files(["keep.txt"]));
    assert_eq!(scene.write(other.put_pages().remove(0)), stale(6));
    let mut found = scene.find("txt");
    found.sort();
    assert_eq!(found, ["add.txt", "change.txt", "keep.txt"]);
    assert_eq!(scene.groups("change")[0].size, 5_000_000);
    assert!(scene.find("drop").is_empty());
    // Another number of pages: everything begins anew.
    let mut wider = ann.share(1, 7, files(["keep.txt"]));
    wider.pages = 2;
    scene.ok(wider.put_head());
    assert!(scene.find("txt").is_empty());
    assert_eq!(scene.write(new.put_pages().remove(0)), Err(Conflict::Unknown));
    wider.put_pages().into_iter().for_each(|change| scene.ok(change));
    assert_eq!(scene.find("txt"), ["keep.txt"]);
}

fn withdrawn_shares_stay_away(open: &dyn Fn() -> Box<dyn TrackerStore>) {
    let store = open();
    let scene = Scene::new(&*store, 8);
    let ann = scene.member(1);
    let share = ann.share(1, 5, files(["secret.txt"]));
    share.put(&scene);
    assert_eq!(scene.write(ann.withdraw(1, 5)), stale(5));
    scene.ok(ann.withdraw(1, 6));
    scene.ok(ann.withdraw(1, 6));
    assert!(scene.find("secret").is_empty());
    assert_eq!(scene.write(share.put_head()), stale(6), "a replay");
    scene.ok(Change::DropMember { network: scene.network, peer: ann.peer });
    let ann = scene.member(1);
    assert_eq!(scene.write(share.put_head()), stale(6), "a replay after it came back");
    let again = ann.share(1, 8, files(["public.txt"]));
    scene.ok(again.put_head());
    assert_eq!(scene.write(share.put_pages().remove(0)), stale(6));
    again.put_pages().into_iter().for_each(|change| scene.ok(change));
    assert_eq!(scene.find("txt"), ["public.txt"]);
    assert_eq!(scene.write(ann.withdraw(1, 7)), stale(8));
    scene.ok(ann.withdraw(99, 1));
}

fn members_go_with_all_they_had(open: &dyn Fn() -> Box<dyn TrackerStore>) {
    let store = open();
    let scene = Scene::new(&*store, 9);
    let (ann, bob) = (scene.member(1), scene.member(2));
    ann.share(1, 1, files(["one.txt", "two.txt"])).put(&scene);
    ann.share(2, 1, files(["three.txt"])).put(&scene);
    bob.share(1, 1, files(["one.txt"])).put(&scene);
    assert_eq!(scene.find("txt").len(), 3);
    scene.ok(Change::DropMember { network: scene.network, peer: ann.peer });
    scene.ok(Change::DropMember { network: scene.network, peer: ann.peer });
    assert_eq!(scene.find("txt"), ["one.txt"]);
    assert_eq!(scene.groups("one")[0].providers, 1);
    assert!(scene.find("share").iter().all(|path| path != "share-2"));
    scene.ok(scene.put_member(&bob, "peer-1", NOW_MS));
    scene.ok(Change::Ban { peer: ann.peer, at_ms: NOW_MS });
    assert!(store.load().unwrap().banned.contains(&ann.peer));
    scene.ok(Change::Unban { peer: ann.peer });
    assert!(!store.load().unwrap().banned.contains(&ann.peer));
}

fn what_is_over_expires(open: &dyn Fn() -> Box<dyn TrackerStore>) {
    const HOUR_MS: u64 = 3_600_000;
    let store = open();
    let scene = Scene::new(&*store, 10);
    let ann = scene.member(1);
    // Long before what the other stories publish.
    let mut short = ann.share(1, 1, files(["short.txt"]));
    short.expires_ms = EXPIRES_MS - 20 * HOUR_MS;
    short.put(&scene);
    let mut long = ann.share(2, 1, files(["long.txt"]));
    long.put(&scene);
    long.expires_ms = short.expires_ms;
    long.sequence = 2;
    scene.ok(long.put_pages().remove(0));
    let expire = |now_ms| scene.write(Change::Expire { now_ms });
    let nothing = Ok(Written::Expired { shares: Vec::new(), pages: Vec::new() });
    assert_eq!(expire(short.expires_ms + HOUR_MS), nothing, "clocks may differ");
    let expected = Ok(Written::Expired {
        shares: vec![(scene.network, ann.peer, ShareKey([1; 16]))],
        pages: vec![(scene.network, ann.peer, ShareKey([2; 16]), 0)],
    });
    assert_eq!(expire(short.expires_ms + 3 * HOUR_MS), expected);
    assert!(scene.find("txt").is_empty());
    assert_eq!(scene.find("share"), ["share-2"]);
}

fn networks_do_not_see_each_other(open: &dyn Fn() -> Box<dyn TrackerStore>) {
    let store = open();
    let (here, there) = (Scene::new(&*store, 11), Scene::new(&*store, 12));
    here.member(1).share(1, 1, files(["shibboleth.txt"])).put(&here);
    let other = there.member(1);
    other.share(1, 1, files(["else.txt"])).put(&there);
    assert_eq!(here.find("shibboleth").len(), 1);
    let query = Query { words: "shibolleth".to_owned(), ..Query::default() };
    assert_eq!(here.search(query.clone()).did_you_mean.as_deref(), Some("shibboleth"));
    let found = there.search(query);
    assert!(found.groups.is_empty() && found.did_you_mean.is_none());
    let content = file("shibboleth.txt").content;
    let question = Question::Providers { network: there.network, content, offset: 0 };
    assert_eq!(there.ask(&question), Answer::Providers { providers: Vec::new(), more: false });
    let unknown = Scene::again(&*store, 99);
    assert!(unknown.find("shibboleth").is_empty());
}

fn groups_count_providers(open: &dyn Fn() -> Box<dyn TrackerStore>) {
    let store = open();
    let scene = Scene::new(&*store, 13);
    let members: Vec<_> = (1..=4).map(|number| scene.member(number)).collect();
    for (index, member) in members.iter().enumerate() {
        let entry = Entry { path: format!("film-{index}.mkv"), ..file("film") };
        let mut share = member.share(1, 1, vec![entry]);
        share.partial = index == 3;
        share.put(&scene);
    }
    let online = [members[1].peer, members[3].peer];
    let online = |_: &_, peer: &PeerId| online.contains(peer);
    let query = Query { words: "film".to_owned(), limit: 10, ..Query::default() };
    let question = Question::Search { network: scene.network, query };
    let Answer::Found(found) = store.ask(&question, &online).unwrap() else { panic!() };
    let group = &found.groups[0];
    assert_eq!((group.online, group.providers, group.partial), (2, 3, 1));
    assert_eq!(group.hits.len(), 3);
    assert!(group.hits[0].online && group.hits[1].online && !group.hits[2].online);
    let content = file("film").content;
    let ask = |offset| {
        let question = Question::Providers { network: scene.network, content, offset };
        match store.ask(&question, &online).unwrap() {
            Answer::Providers { providers, more } => (providers, more),
            other => panic!("{other:?}"),
        }
    };
    let (providers, more) = ask(0);
    let order: Vec<_> = providers.iter().map(|provider| provider.online).collect();
    assert_eq!((order, more), (vec![true, true, false, false], false));
    for provider in &providers {
        provider.check(&scene.network, &content, NOW_MS).unwrap();
    }
    assert_eq!(providers[0].peer, members[1].peer, "whole before partial");
    assert_eq!(ask(3).0, providers[3..]);
    assert!(ask(4).0.is_empty() && ask(u32::MAX).0.is_empty());
}

fn filters_and_orders(open: &dyn Fn() -> Box<dyn TrackerStore>) {
    let store = open();
    let scene = Scene::new(&*store, 14);
    let entries = [("b.mkv", 3_000, 30), ("a.mp3", 1_000_000, 10), ("c.MP4", 40_000_000, 20)];
    let entries = entries.map(|(name, size, modified_s)| {
        let path = format!("thing {name}");
        Entry { size, modified_s, ..file(&path) }
    });
    scene.member(1).share(1, 1, entries.to_vec()).put(&scene);
    let query = Query { words: "thing".to_owned(), ..Query::default() };
    let find = |query: Query| {
        let names = paths(&scene.search(query).groups);
        names.iter().map(|path| path["thing ".len()..].to_owned()).collect::<Vec<_>>()
    };
    let of = |sort| find(Query { sort, ..query.clone() });
    assert_eq!(of(Sort::Name), ["a.mp3", "b.mkv", "c.MP4"]);
    assert_eq!(of(Sort::Size), ["c.MP4", "a.mp3", "b.mkv"]);
    assert_eq!(of(Sort::Newest), ["b.mkv", "c.MP4", "a.mp3"]);
    assert_eq!(of(Sort::Providers).len(), 3);
    let query = Query { sort: Sort::Name, ..query };
    let kinds = |kinds: &[FileType]| find(Query { kinds: kinds.to_vec(), ..query.clone() });
    assert_eq!(kinds(&[FileType::Video]), ["b.mkv", "c.MP4"]);
    assert_eq!(kinds(&[FileType::Audio, FileType::Video]).len(), 3);
    assert!(kinds(&[FileType::Image]).is_empty());
    let sized = |min_size, max_size| find(Query { min_size, max_size, ..query.clone() });
    assert_eq!(sized(Some(3_001), None), ["a.mp3", "c.MP4"]);
    assert_eq!(sized(None, Some(1_000_000)), ["a.mp3", "b.mkv"]);
    assert_eq!(sized(Some(1_000_000), Some(1_000_000)), ["a.mp3"]);
    assert!(sized(Some(2), Some(1)).is_empty());
    let all = Query { kinds: vec![FileType::Folder], ..Query::default() };
    assert_eq!(paths(&scene.search(all).groups), ["share-1"]);
    assert_eq!(scene.search(Query::default()).groups.len(), 4, "no words: everything");
}

fn lists_go_on_where_they_ended(open: &dyn Fn() -> Box<dyn TrackerStore>) {
    let store = open();
    let scene = Scene::new(&*store, 15);
    let ann = scene.member(1);
    let entries: Vec<_> = (0..1500).map(|index| file(&format!("many {index:04}.txt"))).collect();
    let mut share = ann.share(1, 1, entries);
    share.pages = 32;
    share.put(&scene);
    let mut found = Vec::new();
    loop {
        let query = Query {
            words: "many".to_owned(),
            limit: 100,
            offset: found.len() as u32,
            ..Query::default()
        };
        let answer = scene.search(query);
        found.extend(paths(&answer.groups));
        if !answer.more {
            break;
        }
    }
    let shown = found.len();
    found.sort();
    found.dedup();
    assert_eq!((shown, found.len()), (1500, 1500));
    let mut listed: Vec<String> = Vec::new();
    loop {
        let after = listed.last().cloned();
        let share = ShareKey([1; 16]);
        let question = Question::Entries { network: scene.network, peer: ann.peer, share, after };
        let Answer::Entries { entries, more } = scene.ask(&question) else { panic!() };
        for (entry, proof) in entries {
            proof.check(&scene.network, &ann.peer, &entry).unwrap();
            listed.push(entry.path);
        }
        if !more {
            break;
        }
    }
    assert_eq!(listed, found);
    for number in 2..5 {
        scene.ok(ann.share(number, 1, Vec::new()).put_head());
    }
    let shares = |after: Option<u8>| {
        let after = after.map(|number| ShareKey([number; 16]));
        match scene.ask(&Question::Shares { network: scene.network, peer: ann.peer, after }) {
            Answer::Shares { shares, more: false } => shares.len(),
            other => panic!("{other:?}"),
        }
    };
    assert_eq!((shares(None), shares(Some(2)), shares(Some(4))), (4, 2, 0));
}

fn foreign_titles_are_found(open: &dyn Fn() -> Box<dyn TrackerStore>) {
    let store = open();
    let scene = Scene::new(&*store, 16);
    let (ci, network) = (store.ci(), scene.network);
    let row = |number, host: &str, title: &str| CiRow {
        number,
        title: title.to_owned(),
        host: host.to_owned(),
        port: 5678,
    };
    ci.add(&network, &row(123, "b.example", "A Proferred Official ICP")).unwrap();
    ci.add(&network, &row(123, "a.example", "A Proferred Official ICP")).unwrap();
    ci.add(&network, &row(2345, "a.example", "Domain Names")).unwrap();
    ci.add(&network, &row(2345, "a.example", "Domain Names and Company Name Retrieval")).unwrap();
    assert_eq!(ci.lookup(&network, 123).unwrap().len(), 2);
    assert_eq!(ci.lookup(&network, 2345).unwrap()[0].title.len(), 39);
    assert!(ci.lookup(&network, 1).unwrap().is_empty());
    assert_eq!(ci.list(&network).unwrap().len(), 3);
    let groups = scene.groups("official icp");
    assert_eq!((groups.len(), groups[0].providers, groups[0].hits.len()), (1, 2, 2));
    let HitProof::Unverified { source, host, port, number } = &groups[0].hits[0].proof else {
        panic!("nobody signed it")
    };
    assert_eq!((source.as_str(), *port, *number), ("p2p-ci", 5678, 123));
    assert!(host.ends_with(".example"));
    assert_eq!(scene.find("2345 domain").len(), 1);
    assert_eq!(ci.drop_host(&network, "a.example", 5678).unwrap(), 2);
    assert_eq!(ci.drop_host(&network, "a.example", 5678).unwrap(), 0);
    assert!(scene.find("domain").is_empty());
    assert_eq!(scene.groups("icp")[0].providers, 1);
    ci.clear().unwrap();
    assert!(scene.find("icp").is_empty() && ci.list(&network).unwrap().is_empty());
}

fn everything_is_there_after_a_start(open: &dyn Fn() -> Box<dyn TrackerStore>) {
    let store = open();
    let scene = Scene::new(&*store, 17);
    let ann = scene.member(1);
    scene.ok(ann.presence(3));
    let mut share = ann.share(1, 4, files(["a.txt", "b.txt", "c.txt"]));
    share.pages = 2;
    share.put(&scene);
    let of = |loaded: Loaded| {
        let mut here = loaded;
        here.networks.retain(|(record, _)| record.value.network == scene.network);
        here.members.retain(|member| member.network == scene.network);
        here.shares.retain(|share| share.network == scene.network);
        here.pages.retain(|page| page.network == scene.network);
        here
    };
    let before = of(store.load().unwrap());
    assert_eq!(of(open().load().unwrap()), before);
    assert_eq!((before.networks.len(), before.members.len()), (1, 1));
    assert_eq!(before.members[0].presence.as_ref().unwrap().value.sequence, 3);
    let kept = &before.shares[0];
    assert_eq!((kept.sequence, kept.pages, kept.size), (4, 2, 3000));
    let entries: u16 = before.pages.iter().map(|page| page.entries).sum();
    assert_eq!(entries, 3);
    assert!(store.stats().unwrap().files >= 4);
    store.upkeep().unwrap();
    assert_eq!(scene.find("txt").len(), 3);
}
