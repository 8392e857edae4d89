//! Scenes in which somebody asks too much.

use std::time::Duration;

use potluck_base::{ShareKey, limits};
use potluck_identity::Signed;

use super::{
    Command, Config, Denial, Event, Input, Message, Reply, Request, SHARE, Stage, Why, head,
    head_value, id, key, page,
};
use crate::directory::tracker::message::Query;

#[test]
fn a_link_that_asks_too_fast_is_told_to_wait_and_then_heard_again() {
    let mut stage = Stage::with(Config { requests: 10, burst: 50, ..Config::default() });
    stage.register(3, None).unwrap();
    // Registering has cost twenty.
    for _ in 0..30 {
        assert_eq!(stage.ask(3, Request::Renew), Ok(Reply::Done));
    }
    let Err(Denial::Busy { retry_ms }) = stage.ask(3, Request::Renew) else { panic!() };
    // One that was refused costs one, too.
    assert!((200..=202).contains(&retry_ms), "{retry_ms}");
    stage.wait(Duration::from_millis(u64::from(retry_ms)));
    assert_eq!(stage.ask(3, Request::Renew), Ok(Reply::Done));
    assert_eq!(stage.refused(Why::Busy), 1);
    // Another link is not slowed down.
    assert!(stage.register(5, None).is_ok());
}

#[test]
fn who_does_not_listen_is_hung_up_on() {
    let mut stage = Stage::with(Config { requests: 10, burst: 50, ..Config::default() });
    stage.register(3, None).unwrap();
    for _ in 0..200 {
        stage.send(3, Request::Renew);
    }
    assert!(stage.hung_up_on(3));
    let refused = Event::Refused { peer: id(3), why: Why::Flood };
    assert_eq!(stage.events().iter().filter(|event| **event == refused).count(), 1);
    assert_eq!(stage.registry.stats().requests, 1 + 30 + 51);
    // It still counts as online: it may have been a mistake of ours.
    assert!(stage.is_online(3));
}

#[test]
fn searches_cost_more_than_a_word() {
    let mut stage = Stage::with(Config { requests: 1, burst: 100, ..Config::default() });
    stage.register(3, None).unwrap();
    for _ in 0..20 {
        assert!(stage.ask(3, Request::Search { query: Query::default() }).is_ok());
    }
    let busy = stage.ask(3, Request::Search { query: Query::default() });
    assert!(matches!(busy, Err(Denial::Busy { .. })));
    assert_eq!(stage.registry.stats().searches, 20);
}

#[test]
fn open_questions_and_writes_of_one_link_are_bounded() {
    let mut stage = Stage::registered(&[3, 5]);
    stage.held = true;
    let search = || Request::Search { query: Query::default() };
    let asked: Vec<u32> = (0..limits::ASKS_PER_LINK).map(|_| stage.send(3, search())).collect();
    let over = stage.send(3, search());
    assert!(matches!(stage.answer(3, over), Some(Err(Denial::Busy { .. }))));
    let others = stage.send(5, search());
    stage.work();
    assert!(asked.iter().all(|id| stage.answer(3, *id).unwrap().is_ok()));
    assert!(stage.answer(5, others).unwrap().is_ok());
    assert!(stage.ask(3, search()).is_ok());

    stage.held = true;
    let put = |sequence| Request::PutShare { head: head(3, 1, sequence) };
    for sequence in 1..=limits::WRITES_PER_LINK as u64 {
        stage.send(3, put(sequence));
    }
    let over = stage.send(3, put(1000));
    assert!(matches!(stage.answer(3, over), Some(Err(Denial::Busy { .. }))));
    stage.work();
    assert_eq!(stage.ask(3, put(1001)), Ok(Reply::Done));
    assert_eq!(stage.registry.stats().waiting, 0);
}

#[test]
fn what_one_peer_lists_is_bounded() {
    let config =
        Config { shares_per_peer: 2, pages_per_peer: 2, entries_per_peer: 3, ..Config::default() };
    let mut stage = Stage::with(config);
    stage.register(3, None).unwrap();
    let put_share = |stage: &mut Stage, share: u8| {
        let mut value = head_value(3, 1, 1);
        value.share = ShareKey([share; 16]);
        stage.ask(3, Request::PutShare { head: Signed::sign(&key(3), value) })
    };
    assert_eq!(put_share(&mut stage, SHARE.0[0]), Ok(Reply::Done));
    assert_eq!(put_share(&mut stage, 6), Ok(Reply::Done));
    assert!(matches!(put_share(&mut stage, 7), Err(Denial::TooMuch(_))));
    let put_page = |stage: &mut Stage, sequence, paths: &[&str]| {
        stage.ask(3, Request::PutPage { page: page(3, sequence, paths) })
    };
    assert_eq!(put_page(&mut stage, 1, &["a", "b", "c"]), Ok(Reply::Done));
    let over = put_page(&mut stage, 2, &["a", "b", "c", "d"]);
    let Err(Denial::TooMuch(text)) = over else { panic!("{over:?}") };
    assert_eq!(text, "a peer lists at most 3 files");
    assert_eq!(put_page(&mut stage, 2, &["a", "b"]), Ok(Reply::Done));
    assert_eq!(stage.refused(Why::TooMuch), 2);
}

#[test]
fn shares_that_are_being_written_count_too() {
    let mut stage = Stage::with(Config { shares_per_peer: 1, ..Config::default() });
    stage.register(3, None).unwrap();
    stage.held = true;
    let one = stage.send(3, Request::PutShare { head: head(3, 1, 1) });
    let mut value = head_value(3, 1, 1);
    value.share = ShareKey([6; 16]);
    let other = stage.send(3, Request::PutShare { head: Signed::sign(&key(3), value) });
    stage.work();
    assert_eq!(stage.answer(3, one), Some(Ok(Reply::Done)));
    assert!(matches!(stage.answer(3, other), Some(Err(Denial::TooMuch(_)))));
}

#[test]
fn a_network_takes_no_more_members_than_it_may() {
    let mut stage = Stage::with(Config { members: 1, ..Config::default() });
    stage.register(3, None).unwrap();
    assert!(matches!(stage.register(5, None), Err(Denial::TooMuch(_))));
    assert!(stage.register(13, None).is_ok());
}

#[test]
fn results_have_an_end_and_pages_have_a_size() {
    let mut stage = Stage::registered(&[3]);
    let offset = limits::SEARCH_OFFSET + 1;
    let query = Query { offset, ..Query::default() };
    assert!(matches!(stage.ask(3, Request::Search { query }), Err(Denial::TooMuch(_))));
    stage.held = true;
    stage.send(3, Request::Search { query: Query { limit: 5000, ..Query::default() } });
    stage.send(3, Request::Search { query: Query { limit: 7, ..Query::default() } });
    let asked: Vec<u16> = stage
        .waiting
        .iter()
        .filter_map(|effect| match effect {
            super::Effect::Ask {
                question: crate::directory::tracker::change::Question::Search { query, .. },
                ..
            } => Some(query.limit),
            _ => None,
        })
        .collect();
    assert_eq!(asked, [limits::SEARCH_RESULTS as u16, 7]);
}

#[test]
fn a_long_answer_is_cut_so_that_it_fits_into_a_frame() {
    let mut stage = Stage::registered(&[3, 5]);
    stage.ask(3, Request::PutShare { head: head(3, 1, 1) }).unwrap();
    // A hundred files whose paths are as long as paths can be.
    let names: Vec<String> = (0..100)
        .map(|n| {
            let deep = vec!["x".repeat(255); 15].join("/");
            format!("film{n:03}/{deep}/{}", "y".repeat(200))
        })
        .collect();
    let paths: Vec<&str> = names.iter().map(String::as_str).collect();
    stage.ask(3, Request::PutPage { page: page(3, 2, &paths) }).unwrap();
    let (mut offset, mut found) = (0, 0);
    loop {
        let query = Query { words: "film".to_owned(), offset, ..Query::default() };
        let reply = stage.ask(5, Request::Search { query });
        let Ok(Reply::Found(answer)) = &reply else { panic!("{reply:?}") };
        let (groups, more) = (answer.groups.len(), answer.more);
        fits(reply);
        (offset, found) = (offset + groups as u32, found + groups);
        if !more {
            break;
        }
    }
    assert_eq!(found, 101);
    let (mut after, mut found) = (None, 0);
    loop {
        let body = Request::Browse { peer: id(3), share: Some(SHARE), after };
        let reply = stage.ask(5, body);
        let Ok(Reply::Entries { entries, more }) = &reply else { panic!("{reply:?}") };
        found += entries.len();
        after = entries.last().map(|(entry, _)| entry.path.clone());
        let more = *more;
        fits(reply);
        if !more {
            break;
        }
    }
    assert_eq!(found, 100);
}

#[track_caller]
fn fits(result: Result<Reply, Denial>) {
    let frame = crate::Frame::Tracker(Box::new(Message::Reply { id: 1, result }));
    assert!(frame.encode().len() < limits::REPLY_BYTES + 10_000);
}

#[test]
fn bad_records_cost_the_link() {
    let mut stage = Stage::registered(&[3]);
    let forged = Signed::sign(&key(5), head_value(3, 1, 1));
    for _ in 0..limits::TRACKER_FAULTS {
        assert!(!stage.hung_up_on(3));
        stage.send(3, Request::PutShare { head: forged.clone() });
    }
    assert!(stage.hung_up_on(3));
    assert_eq!(stage.refused(Why::BadRecord), u64::from(limits::TRACKER_FAULTS));
}

#[test]
fn stats_count_what_there_is_and_what_was_refused() {
    let mut stage = Stage::registered(&[3, 5]);
    stage.ask(3, Request::PutShare { head: head(3, 1, 1) }).unwrap();
    stage.ask(3, Request::PutPage { page: page(3, 1, &["a", "b"]) }).unwrap();
    stage.put(Input::LinkUp(6));
    stage.ask(6, Request::Renew).unwrap_err();
    stage.out.clear();
    stage.command(Command::Stats);
    let [Event::Stats(stats)] = &stage.events()[..] else { panic!() };
    assert_eq!((stats.networks, stats.members, stats.online, stats.links), (1, 2, 2, 3));
    assert_eq!((stats.shares, stats.files, stats.bytes), (1, 2, 1000));
    assert_eq!(stats.refusals[&Why::Stranger], 1);
    assert_eq!(**stats, stage.registry.stats());
}

#[test]
fn a_peer_whose_clock_is_wrong_is_refused_but_not_cut_off() {
    let mut stage = Stage::registered(&[3]);
    for _ in 0..2 * limits::TRACKER_FAULTS {
        let old = super::presence(3, "p3", 1, 0);
        let refused = stage.ask(3, Request::Announce { presence: old });
        assert!(matches!(refused, Err(Denial::BadRecord(_))), "{refused:?}");
        stage.wait(limits::TRACKER_FORGIVES);
    }
    assert!(!stage.hung_up_on(3));
}
