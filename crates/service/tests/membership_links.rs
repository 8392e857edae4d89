//! Links and those who listen to them: trackers, their clients, and how many links there may be.
#![allow(clippy::unwrap_used, reason = "what fails here fails the test")]

mod membership_scene;

use std::sync::{Arc, Mutex};

use futures_util::future::BoxFuture;
use membership_scene::{ANN, BEN, CID, EVE, Hand, insider, network, peer, someone, story, until};
use potluck_base::{PeerAddr, PeerId};
use potluck_link::mem::MemoryNet;
use potluck_proto::Frame;
use potluck_proto::directory::tracker::{Message, Request};
use potluck_service::peers::{FrameListener, Linked};

/// Writes down what it hears.
#[derive(Default)]
struct Scribe(Mutex<Vec<String>>);

impl Scribe {
    fn note(&self, what: String) -> BoxFuture<'_, ()> {
        self.0.lock().unwrap().push(what);
        Box::pin(async {})
    }

    fn heard(&self) -> Vec<String> {
        self.0.lock().unwrap().clone()
    }
}

impl FrameListener for Scribe {
    fn link_up(&self, peer: PeerId) -> BoxFuture<'_, ()> {
        self.note(format!("up {}", peer.short()))
    }

    fn link_down(&self, peer: PeerId) -> BoxFuture<'_, ()> {
        self.note(format!("down {}", peer.short()))
    }

    fn tracker<'a>(&'a self, linked: &'a Arc<Linked>, message: Message) -> BoxFuture<'a, ()> {
        let Message::Request { id, .. } = message else { panic!("nothing else was sent") };
        self.note(format!("{id} from {}", linked.peer.short()))
    }
}

#[test]
fn listeners_hear_of_links_and_of_tracker_frames_in_order() {
    story(async {
        let net = MemoryNet::new();
        let ann = someone(&net, ANN);
        let (first, second) = (Arc::new(Scribe::default()), Arc::new(Scribe::default()));
        ann.fetcher.peers.listen_frames(Arc::clone(&first) as Arc<_>);
        ann.fetcher.peers.listen_frames(Arc::clone(&second) as Arc<_>);
        let endpoint = net.endpoint(peer(BEN));
        let ben = Hand::dial(&endpoint, ANN).await;
        for id in [1, 2] {
            let message = Message::Request { id, network: network(), body: Request::Renew };
            ben.say(Frame::Tracker(Box::new(message))).await;
        }
        ben.hear_all().await;
        // A second link of the same peer takes the place of the first.
        let again = Hand::dial(&endpoint, ANN).await;
        again.hear_all().await;
        again.say(Frame::Goodbye { reason: String::new() }).await;
        until("the end is heard", || second.heard().len() == 6).await;
        let short = peer(BEN).short();
        let story = ["up", "1 from", "2 from", "down", "up", "down"];
        let story: Vec<String> = story.iter().map(|what| format!("{what} {short}")).collect();
        assert_eq!(first.heard(), story);
        assert_eq!(second.heard(), story);
    });
}

#[test]
fn a_node_takes_as_many_links_as_it_is_told() {
    story(async {
        let net = MemoryNet::new();
        let ann = someone(&net, ANN);
        ann.fetcher.peers.set_links_max(2);
        let ends = [BEN, CID, EVE].map(|who| net.endpoint(peer(who)));
        let (ben, cid) = (Hand::dial(&ends[0], ANN).await, Hand::dial(&ends[1], ANN).await);
        until("two are linked", || ann.fetcher.peers.all().len() == 2).await;
        let eve = Hand::dial(&ends[2], ANN).await;
        assert_eq!(eve.hear().await, None, "there is no room for a third");
        cid.say(Frame::Goodbye { reason: String::new() }).await;
        until("there is room", || ann.fetcher.peers.all().len() == 1).await;
        let eve = Hand::dial(&ends[2], ANN).await;
        assert_eq!(eve.hear_all().await, []);
        assert_eq!(ben.hear_all().await, []);
    });
}

#[test]
fn two_members_who_dial_each_other_at_once_admit_each_other() {
    story(async {
        let net = MemoryNet::new();
        let (ann, ben) = (insider(&net, ANN), insider(&net, BEN));
        for (one, other) in [(&ann, BEN), (&ben, ANN)] {
            let peers = &one.fetcher.peers;
            peers.learn(PeerAddr::unknown(peer(other)));
            peers.know_in(peer(other), network()).await;
        }
        let (one, other) = (&ann.fetcher.peers, &ben.fetcher.peers);
        let _ = tokio::join!(one.dial(peer(BEN)), other.dial(peer(ANN)));
        let is_member = |peers: &potluck_service::peers::Peers, of: u8| {
            peers.linked(peer(of)).is_some_and(|linked| linked.role_in(&network()).is_some())
        };
        until("both admit", || is_member(one, BEN) && is_member(other, ANN)).await;
    });
}
