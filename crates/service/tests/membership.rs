//! Members, strangers, borrowed and revoked memberships on links in memory, against the services of
//! real nodes.
#![allow(clippy::unwrap_used, reason = "what fails here fails the test")]

mod membership_scene;

use std::collections::BTreeSet;

use membership_scene::{
    ANN, BEN, CID, EVE, Hand, NETWORK, NOW, OTHER_NETWORK, Shared, claim, insider, key, member,
    member_of, network, nobody, owner_of, peer, story, until,
};
use potluck_base::{ContentId, NetworkId, PieceRange, RelPath, limits};
use potluck_identity::{Membership, Revocations, Role};
use potluck_link::mem::MemoryNet;
use potluck_proto::directory::tracker::Claim;
use potluck_proto::swarm::Message;
use potluck_proto::{Frame, Refusal, What};
use potluck_service::ServiceError;
use potluck_store::{Audience, StoreError};

const LENGTH: usize = 300_000;

/// Everything that can be asked about a content.
fn questions(content: ContentId) -> Vec<Frame> {
    let swarm = |message| Frame::Swarm { content, message };
    vec![
        swarm(Message::Join { have: Vec::new(), wants: true }),
        swarm(Message::Have(vec![PieceRange::new(0, 1)])),
        swarm(Message::Request(vec![PieceRange::new(0, 1)])),
        swarm(Message::Bye),
        Frame::MetaRequest { id: 1, content, what: What::Manifest },
        Frame::MetaRequest { id: 2, content, what: What::Values { files: 0..1 } },
        Frame::MetaRequest { id: 3, content, what: What::Values { files: 0..9_999 } },
    ]
}

/// The answers to all of them, in order, with one name for each content.
async fn answers(hand: &Hand, content: ContentId) -> Vec<String> {
    let mut answers = Vec::new();
    for question in questions(content) {
        let is_meta = matches!(question, Frame::MetaRequest { .. });
        hand.say(question).await;
        // Questions are answered beside the reader: the answer may come after the echo.
        let heard =
            if is_meta { hand.hear().await.into_iter().collect() } else { hand.hear_all().await };
        answers.push(format!("{heard:?}").replace(&format!("{content:?}"), "content"));
    }
    answers
}

fn named(name: &str) -> RelPath {
    RelPath::parse(name).unwrap()
}

fn join(content: ContentId) -> Frame {
    Frame::Swarm { content, message: Message::Join { have: Vec::new(), wants: true } }
}

fn is_refused(frames: &[Frame], content: ContentId) -> bool {
    frames == [Frame::Refuse { content, why: Refusal::NotShared }]
}

fn is_joined(frames: &[Frame]) -> bool {
    let joins = |frame: &Frame| matches!(frame, Frame::Swarm { message: Message::Join { .. }, .. });
    frames.iter().any(joins)
}

fn admitted(networks: &[NetworkId]) -> Frame {
    Frame::Admitted(networks.to_vec())
}

fn revoking(who: &[u8]) -> Revocations {
    let peers = who.iter().map(|who| peer(*who));
    nobody().next(&key(ANN), owner_of(NETWORK), peers, NOW).unwrap()
}

#[test]
fn members_get_what_is_for_their_network() {
    story(async {
        let net = MemoryNet::new();
        let (ann, ben) = (insider(&net, ANN), insider(&net, BEN));
        let film = ann.offer("film", LENGTH, Audience::network(network())).await;
        let got = ben.get_in_network(&film, &[ANN]).await.unwrap();
        assert_eq!(std::fs::read(got.path).unwrap(), film.bytes);
        let linked = ann.fetcher.peers.linked(peer(BEN)).unwrap();
        assert_eq!(linked.role_in(&network()), Some(Role::Member));
        let linked = ben.fetcher.peers.linked(peer(ANN)).unwrap();
        assert_eq!(linked.role_in(&network()), Some(Role::Owner), "the other side claims too");
        assert!(linked.admits_us(&network()));
    });
}

#[test]
fn a_member_who_does_not_say_so_gets_nothing() {
    story(async {
        let net = MemoryNet::new();
        let (ann, ben) = (insider(&net, ANN), insider(&net, BEN));
        let film = ann.offer("film", LENGTH, Audience::network(network())).await;
        let got = ben.get(&film, &[ANN], Audience::anyone()).await;
        assert!(matches!(got, Err(ServiceError::NotShared)), "{got:?}");
        // Claims may come later, on a link that stands.
        let got = loop {
            match ben.get_in_network(&film, &[ANN]).await {
                Err(ServiceError::Store(StoreError::Busy { .. })) => tokio::task::yield_now().await,
                got => break got.unwrap(),
            }
        };
        assert_eq!(std::fs::read(got.path).unwrap(), film.bytes);
    });
}

#[test]
fn a_stranger_cannot_tell_a_private_share_from_none() {
    story(async {
        let net = MemoryNet::new();
        let ann = insider(&net, ANN);
        let members = ann.offer("members", LENGTH, Audience::network(network())).await;
        let for_ben = Audience { peers: BTreeSet::from([peer(BEN)]), ..Audience::nobody() };
        let for_ben = ann.offer("named", LENGTH, for_ben).await;
        let moving = ann.offer("moving", LENGTH, Audience::network(network())).await;
        let ben = net.endpoint(peer(BEN));
        let ben = Hand::dial(&ben, ANN).await;
        ben.ask(Frame::Claims(vec![claim(member(BEN))])).await;
        assert!(ben.joins(moving.content).await);
        let eve = net.endpoint(peer(EVE));
        let eve = Hand::dial(&eve, ANN).await;
        let nothing = answers(&eve, ContentId([9; 32])).await;
        assert!(nothing.iter().all(|answer| answer.contains("NotShared")), "{nothing:?}");
        for private in [&members, &for_ben, &moving] {
            assert_eq!(answers(&eve, private.content).await, nothing);
        }
        assert!(ann.fetcher.swarms.session(members.content).is_none(), "nothing was opened");
        let open = ann.offer("open", LENGTH, Audience::anyone()).await;
        assert!(eve.joins(open.content).await, "what is for anyone is for her");
    });
}

#[test]
fn a_file_in_a_private_folder_is_private() {
    story(async {
        let net = MemoryNet::new();
        let ann = insider(&net, ANN);
        let bytes: Vec<u8> = (0..LENGTH).map(|i| (i / 3) as u8).collect();
        let (content, name) = (potluck_content::hash(&bytes), named("inner"));
        std::fs::create_dir(ann.folder.path().join("box")).unwrap();
        std::fs::write(ann.folder.path().join("box/inner"), &bytes).unwrap();
        let inner = Shared { content, bytes, name };
        let folder = ann.share("box", Vec::new(), Audience::network(network())).await;
        let eve = net.endpoint(peer(EVE));
        let eve = Hand::dial(&eve, ANN).await;
        let nothing = answers(&eve, ContentId([9; 32])).await;
        assert_eq!(answers(&eve, inner.content).await, nothing);
        assert_eq!(answers(&eve, folder.content).await, nothing);
        let ben = insider(&net, BEN);
        let got = ben.get_in_network(&inner, &[ANN]).await.unwrap();
        assert_eq!(std::fs::read(got.path).unwrap(), inner.bytes);
    });
}

#[test]
fn every_claim_that_is_not_good_gets_the_same_empty_answer() {
    story(async {
        let net = MemoryNet::new();
        let ann = insider(&net, ANN);
        let film = ann.offer("film", LENGTH, Audience::network(network())).await;
        assert!(ann.accept(&revoking(&[CID])).await);
        let mut forged = member(EVE);
        if let potluck_identity::Basis::Invited { admission, .. } = &mut forged.basis {
            admission.as_mut().unwrap().signature.0[0] ^= 1;
        }
        let elsewhere = |membership| Claim { network: key(OTHER_NETWORK).network_id(), membership };
        let bad = [
            ("another's key", EVE, claim(member(BEN))),
            ("the owner's key", EVE, claim(member(ANN))),
            ("no invite", EVE, claim(Membership::open(peer(EVE)))),
            ("a forged admission", EVE, claim(forged)),
            ("own key of the network", EVE, claim(Membership::owner(&key(EVE), peer(EVE), NOW))),
            ("a network that Ann is not in", EVE, elsewhere(owner_of(OTHER_NETWORK))),
            ("a network of another network", EVE, elsewhere(member(EVE))),
            (
                "a membership of another network",
                EVE,
                claim(member_of(OTHER_NETWORK, EVE, Role::Member)),
            ),
            ("revoked", CID, claim(member(CID))),
        ];
        for (what, who, claim) in bad {
            let endpoint = net.endpoint(peer(who));
            let hand = Hand::dial(&endpoint, ANN).await;
            let heard = hand.ask(Frame::Claims(vec![claim])).await;
            assert_eq!(heard, [admitted(&[])], "{what}");
            assert!(is_refused(&hand.ask(join(film.content)).await, film.content), "{what}");
        }
        let endpoint = net.endpoint(peer(EVE));
        let hand = Hand::dial(&endpoint, ANN).await;
        assert_eq!(hand.ask(Frame::Claims(Vec::new())).await, [admitted(&[])]);
    });
}

#[test]
fn a_good_claim_is_answered_with_admission_and_a_claim() {
    story(async {
        let net = MemoryNet::new();
        let ann = insider(&net, ANN);
        ann.enter(OTHER_NETWORK, owner_of(OTHER_NETWORK));
        let ben = net.endpoint(peer(BEN));
        let ben = Hand::dial(&ben, ANN).await;
        assert_eq!(ben.hear_all().await, [], "nothing is said of networks before");
        let unknown = Claim { network: NetworkId([5; 32]), membership: member(BEN) };
        let heard = ben.ask(Frame::Claims(vec![unknown, claim(member(BEN))])).await;
        let theirs = Frame::Claims(vec![claim(owner_of(NETWORK))]);
        assert_eq!(heard, [admitted(&[network()]), theirs], "and not a word of other networks");
        let again = ben.ask(Frame::Claims(vec![claim(member(BEN))])).await;
        assert_eq!(again, [admitted(&[network()])], "a claim is made once");
        let linked = ann.fetcher.peers.linked(peer(BEN)).unwrap();
        assert!(!linked.admits_us(&network()));
        let more = vec![network(), NetworkId([5; 32])];
        ben.ask(Frame::Admitted(more)).await;
        assert!(linked.admits_us(&network()));
        assert!(!linked.admits_us(&NetworkId([5; 32])), "what was not claimed is not admitted");
    });
}

#[test]
fn a_peer_that_claims_without_end_is_no_longer_judged() {
    story(async {
        let net = MemoryNet::new();
        let ann = insider(&net, ANN);
        let eve = net.endpoint(peer(EVE));
        let eve = Hand::dial(&eve, ANN).await;
        let many = vec![claim(member(BEN)); limits::CLAIMS];
        for _ in 0..limits::CLAIMS_PER_LINK / limits::CLAIMS {
            assert_eq!(eve.ask(Frame::Claims(many.clone())).await, [admitted(&[])]);
        }
        let good = eve.ask(Frame::Claims(vec![claim(member(EVE))])).await;
        assert_eq!(good, [admitted(&[])], "on this link it is too late");
        let linked = ann.fetcher.peers.linked(peer(EVE)).unwrap();
        assert_eq!(linked.role_in(&network()), None);
    });
}

#[test]
fn a_revoked_member_is_out_on_a_live_link() {
    story(async {
        let net = MemoryNet::new();
        let ann = insider(&net, ANN);
        let film = ann.offer("film", LENGTH, Audience::network(network())).await;
        let endpoint = net.endpoint(peer(BEN));
        let ben = Hand::dial(&endpoint, ANN).await;
        ben.ask(Frame::Claims(vec![claim(member(BEN))])).await;
        assert!(ben.joins(film.content).await);
        let linked = ann.fetcher.peers.linked(peer(BEN)).unwrap();
        assert!(ann.accept(&revoking(&[BEN])).await);
        assert_eq!(linked.role_in(&network()), None);
        let session = ann.fetcher.swarms.session(film.content).unwrap();
        assert!(!session.outlook.borrow().peers.contains(&peer(BEN)));
        let mut last = None;
        while let Some(frame) = ben.hear().await {
            last = Some(frame);
        }
        assert!(matches!(last, Some(Frame::Goodbye { .. })), "{last:?}");
        // It comes back, and is a stranger.
        let back = Hand::dial(&endpoint, ANN).await;
        assert_eq!(back.ask(Frame::Claims(vec![claim(member(BEN))])).await, [admitted(&[])]);
        assert!(is_refused(&back.ask(join(film.content)).await, film.content));
    });
}

#[test]
fn a_list_that_is_not_good_puts_nobody_out() {
    story(async {
        let net = MemoryNet::new();
        let ann = insider(&net, ANN);
        let ben = net.endpoint(peer(BEN));
        let ben = Hand::dial(&ben, ANN).await;
        ben.ask(Frame::Claims(vec![claim(member(BEN))])).await;
        let by_member = nobody().next(&key(CID), member(CID), [peer(BEN)], NOW).unwrap();
        let forged = nobody().next(&key(EVE), owner_of(NETWORK), [peer(BEN)], NOW).unwrap();
        let foreign = Revocations::none(key(OTHER_NETWORK).network_id());
        let other_owner = owner_of(OTHER_NETWORK);
        let foreign = foreign.next(&key(ANN), other_owner, [peer(BEN)], NOW).unwrap();
        for bad in [by_member, forged, foreign, nobody()] {
            assert!(!ann.accept(&bad).await);
        }
        let first = revoking(&[EVE]);
        let second = first.next(&key(ANN), owner_of(NETWORK), [peer(CID)], NOW).unwrap();
        assert!(ann.accept(&second).await);
        assert!(!ann.accept(&first).await, "old lists are not taken");
        let linked = ann.fetcher.peers.linked(peer(BEN)).unwrap();
        assert_eq!(linked.role_in(&network()), Some(Role::Member), "he is on none that counts");
        assert_eq!(ben.hear_all().await, []);
    });
}

#[test]
fn who_leaves_a_network_serves_its_members_no_longer() {
    story(async {
        let net = MemoryNet::new();
        let ann = insider(&net, ANN);
        let film = ann.offer("film", LENGTH, Audience::network(network())).await;
        let ben = net.endpoint(peer(BEN));
        let ben = Hand::dial(&ben, ANN).await;
        ben.ask(Frame::Claims(vec![claim(member(BEN))])).await;
        assert!(ben.joins(film.content).await);
        ann.fetcher.peers.memberships().remove(&network());
        assert!(!ben.joins(film.content).await);
        ann.fetcher.peers.judge_again(&network()).await;
        let linked = ann.fetcher.peers.linked(peer(BEN)).unwrap();
        assert_eq!(linked.networks(), [], "the link stays, the membership is forgotten");
    });
}

#[test]
fn when_an_audience_shrinks_running_sessions_let_go() {
    story(async {
        let net = MemoryNet::new();
        let ann = insider(&net, ANN);
        let film = ann.offer("film", LENGTH, Audience::anyone()).await;
        let (ben, eve) = (net.endpoint(peer(BEN)), net.endpoint(peer(EVE)));
        let (ben, eve) = (Hand::dial(&ben, ANN).await, Hand::dial(&eve, ANN).await);
        ben.ask(Frame::Claims(vec![claim(member(BEN))])).await;
        for hand in [&ben, &eve] {
            assert!(hand.joins(film.content).await);
        }
        ann.put_offer(&film, Audience::network(network()));
        ann.fetcher.swarms.review_audiences().await.unwrap();
        let refuse = Frame::Refuse { content: film.content, why: Refusal::NotShared };
        while eve.hear().await != Some(refuse.clone()) {}
        assert!(is_refused(&eve.ask(join(film.content)).await, film.content));
        let session = ann.fetcher.swarms.session(film.content).unwrap();
        assert!(session.outlook.borrow().peers.contains(&peer(BEN)));
        assert!(!session.outlook.borrow().peers.contains(&peer(EVE)));
        let heard = ben.hear_all().await;
        assert!(!heard.contains(&refuse), "he is still in it: {heard:?}");
        ann.fetcher.store.unshare(&film.content.to_string()).unwrap();
        ann.fetcher.swarms.review_audiences().await.unwrap();
        assert!(ann.fetcher.swarms.session(film.content).is_none(), "nothing offers it");
    });
}

#[test]
fn a_download_in_a_network_is_for_its_members_only() {
    story(async {
        let net = MemoryNet::new();
        let ben = insider(&net, BEN);
        let ann = insider(&net, ANN);
        let film = ann.offer("film", LENGTH, Audience::network(network())).await;
        // Nobody provides it, so it runs while it is looked at.
        ann.fetcher.peers.stop().await;
        let (fetcher, open) = (ben.fetcher.clone(), ContentId([0x33; 32]));
        let by_ticket = Shared { content: open, bytes: film.bytes.clone(), name: named("open") };
        let content = film.content;
        let fetching = async move {
            let private = ben.get_in_network(&film, &[ANN]);
            let public = ben.get(&by_ticket, &[ANN], Audience::anyone());
            tokio::join!(private, public)
        };
        let fetching = tokio::spawn(fetching);
        let is_running = |content| fetcher.swarms.session(content).is_some();
        until("both run", || is_running(content) && is_running(open)).await;
        let eve = net.endpoint(peer(EVE));
        let eve = Hand::dial(&eve, BEN).await;
        assert!(is_refused(&eve.ask(join(content)).await, content));
        assert!(eve.joins(open).await, "who has the ticket may take part");
        let cid = net.endpoint(peer(CID));
        let cid = Hand::dial(&cid, BEN).await;
        cid.ask(Frame::Claims(vec![claim(member(CID))])).await;
        assert!(cid.joins(content).await);
        fetching.abort();
    });
}

#[test]
fn a_peer_that_others_tell_of_is_told_nothing_before_it_shows_that_it_is_a_member() {
    story(async {
        let net = MemoryNet::new();
        let ben = insider(&net, BEN);
        let ann = insider(&net, ANN);
        let film = ann.offer("film", LENGTH, Audience::network(network())).await;
        ann.fetcher.peers.stop().await;
        let fetcher = ben.fetcher.clone();
        let content = film.content;
        let fetching = tokio::spawn(async move { ben.get_in_network(&film, &[ANN]).await });
        until("it runs", || fetcher.swarms.session(content).is_some()).await;
        let session = fetcher.swarms.session(content).unwrap();
        // Eve and Cid were named by somebody; Eve is not a member.
        let (eve, cid) = (net.endpoint(peer(EVE)), net.endpoint(peer(CID)));
        let (eve, cid) = (Hand::dial(&eve, BEN).await, Hand::dial(&cid, BEN).await);
        until("both are linked", || fetcher.peers.all().len() == 2).await;
        fetcher.peers.connect_for(&session, peer(EVE));
        fetcher.peers.connect_for(&session, peer(CID));
        assert!(matches!(eve.hear().await, Some(Frame::Claims(_))), "the network is inherited");
        assert!(matches!(cid.hear().await, Some(Frame::Claims(_))));
        let before = eve.ask(Frame::Claims(vec![claim(member(CID))])).await;
        cid.say(Frame::Claims(vec![claim(member(CID))])).await;
        while !is_joined(&cid.hear().await.into_iter().collect::<Vec<_>>()) {}
        let after = eve.hear_all().await;
        assert!(!is_joined(&before) && !is_joined(&after), "{before:?} {after:?}");
        fetching.abort();
    });
}
