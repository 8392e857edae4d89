//! Stories of networks whose members are the directory themselves.
#![allow(clippy::unwrap_used, reason = "what fails here fails the test")]

mod circle_scene;

use std::sync::Arc;

use circle_scene::{Group, Member, story, until};
use futures_util::future::BoxFuture;
use potluck_base::{ContentId, NetworkId, PeerId, ShareKey};
use potluck_identity::Role;
use potluck_proto::directory::chord::{Message, Notice, Request};
use potluck_proto::directory::tracker::{self, Denial};
use potluck_proto::{CircleBody, CircleFrame, Frame};
use potluck_service::ServiceError;
use potluck_service::directory::chord::Health;
use potluck_service::directory::{Announcement, Entry, EntryKind, Query};
use potluck_service::networks::Place;
use potluck_service::peers::{FrameListener, Linked};

const CHORD: Place = Place::Chord { replicas: 3 };

#[test]
fn members_find_their_places_and_each_other() {
    story(async {
        let group = Group::new(CHORD, 4).await;
        group.settled(&[0, 1, 2, 3]).await;
        let last = group.members.last().unwrap();
        for id in group.ids() {
            let located = last.directory(&group.network).resolve(id).await.unwrap().unwrap();
            assert_eq!((located.address.id, located.online), (id, true));
        }
        until("everybody is met", || async {
            let members = last.networks.members(&group.network).await.unwrap();
            members.len() == 4 && members.iter().all(|member| member.online)
        })
        .await;
        let whom = last.networks.whom("member 2", Some(&group.network)).await.unwrap();
        assert_eq!(whom.peer, group.members[1].id());
    });
}

#[test]
fn a_nickname_is_had_by_one() {
    story(async {
        let mut group = Group::new(CHORD, 2).await;
        let invite = group.invite(1);
        let third = Member::new(&group.net, 3);
        let taken = third.networks.join(&invite, Some("MEMBER 2".to_owned())).await;
        let Err(ServiceError::NickTaken { free, .. }) = taken else { panic!("{taken:?}") };
        third.networks.join(&invite, Some(free)).await.unwrap();
        group.members.push(third);
    });
}

#[test]
fn an_invite_for_two_admits_two_in_good_faith() {
    story(async {
        let group = Group::new(CHORD, 1).await;
        let invite = group.invite(2);
        let mut members = Vec::new();
        for number in 2..=4 {
            let member = Member::new(&group.net, number);
            let joined = member.networks.join(&invite, None).await;
            match number {
                4 => assert!(
                    matches!(joined, Err(ServiceError::Denied(Denial::UsedUp))),
                    "{joined:?}"
                ),
                _ => drop(joined.unwrap()),
            }
            members.push(member);
        }
    });
}

fn talk(key: u8, name: &str, number: u8) -> Announcement {
    let entry = Entry {
        path: name.to_owned(),
        content: ContentId([number; 32]),
        size: 1_000,
        kind: EntryKind::File,
        executable: false,
        modified_s: 1_700_000_000,
    };
    Announcement {
        share: ShareKey([key; 16]),
        name: name.to_owned(),
        tags: Vec::new(),
        content: entry.content,
        kind: EntryKind::File,
        size: entry.size,
        partial: false,
        entries: Arc::new(vec![entry]),
    }
}

fn query(words: &str) -> Query {
    Query { words: words.to_owned(), limit: 50, ..Query::default() }
}

/// How many contents a member finds by a word, and how many of their providers are there.
async fn found(member: &Member, network: &NetworkId, words: &str) -> Option<(usize, u32)> {
    let found = member.directory(network).search(query(words)).await.ok()?;
    let online = found.groups.iter().map(|group| group.online).sum();
    found.stale_ms.is_none().then_some((found.groups.len(), online))
}

#[test]
fn what_a_member_published_is_found_while_it_is_away() {
    story(async {
        let group = Group::new(CHORD, 5).await;
        group.settled(&[0, 1, 2, 3, 4]).await;
        for (at, member) in group.members.iter().enumerate() {
            let share = talk(at as u8, &format!("lecture {at}.mp4"), at as u8 + 1);
            member.directory(&group.network).announce(share).await.unwrap();
        }
        let last = &group.members[4];
        until("all are found", || async {
            found(last, &group.network, "lecture").await == Some((5, 5))
        })
        .await;
        group.members[0].kill().await;
        until("the first is away, what it has is known", || async {
            found(last, &group.network, "lecture").await == Some((5, 4))
        })
        .await;
        let providers = last.directory(&group.network).providers(ContentId([1; 32])).await.unwrap();
        assert_eq!((providers[0].peer, providers[0].online), (group.members[0].id(), false));
        assert_eq!(providers[0].nick, "peer-".to_owned() + &group.members[0].id().to_string()[..6]);
        let shares = last.networks.shares_of(&group.network, group.members[0].id()).await.unwrap();
        assert_eq!(shares.len(), 1);
        let key = shares[0].share;
        let listed = last.networks.entries_of(&group.network, group.members[0].id(), key, None);
        assert_eq!(listed.await.unwrap().0[0].path, "lecture 0.mp4");
    });
}

#[test]
fn an_invite_is_good_when_who_made_it_is_gone() {
    story(async {
        let group = Group::new(CHORD, 3).await;
        group.settled(&[0, 1, 2]).await;
        let invite = group.invite(1);
        assert!(invite.contacts.len() >= 2, "{:?}", invite.contacts);
        group.members[0].kill().await;
        let fourth = Member::new(&group.net, 4);
        fourth.networks.join(&invite, None).await.unwrap();
        until("it finds the others", || async {
            let members = fourth.networks.members(&group.network).await.unwrap_or_default();
            members.iter().filter(|member| member.online).count() == 3
        })
        .await;
    });
}

#[test]
fn a_network_that_was_switched_off_finds_itself_again() {
    story(async {
        let group = Group::new(CHORD, 4).await;
        group.settled(&[0, 1, 2, 3]).await;
        let share = talk(1, "lecture.mp4", 1);
        group.members[1].directory(&group.network).announce(share).await.unwrap();
        until("it is found", || async {
            found(&group.members[3], &group.network, "lecture").await == Some((1, 1))
        })
        .await;
        let Group { members, network, .. } = group;
        let mut homes = Vec::new();
        for member in &members {
            member.stop().await;
            homes.push((member.number, Arc::clone(&member.home)));
        }
        drop(members);
        let net = potluck_link::mem::MemoryNet::new();
        let mut again = Vec::new();
        // The publisher stays away: what it said must come from the disks of the others.
        for (number, home) in homes.into_iter().filter(|(number, _)| *number != 2) {
            let member = Member::again(&net, number, home).await;
            member.networks.load().await.unwrap();
            member.networks.start().await.unwrap();
            again.push(member);
        }
        let group = Group { net, members: again, network };
        group.settled(&[0, 1, 2]).await;
        until("it is found again", || async {
            found(&group.members[2], &network, "lecture").await == Some((1, 0))
        })
        .await;
    });
}

#[test]
fn who_leaves_hands_over_what_it_keeps() {
    story(async {
        let group = Group::new(Place::Chord { replicas: 1 }, 4).await;
        group.settled(&[0, 1, 2, 3]).await;
        for number in 0..8 {
            let share = talk(number, &format!("lecture {number}.mp4"), number + 1);
            group.members[0].directory(&group.network).announce(share).await.unwrap();
        }
        let first = &group.members[0];
        until("all are found", || async {
            found(first, &group.network, "lecture").await == Some((8, 8))
        })
        .await;
        for member in &group.members[1..3] {
            member.circle(&group.network).leave().await.unwrap();
            assert_eq!(member.circle(&group.network).status().await.health, Health::Away);
        }
        group.settled(&[0, 3]).await;
        assert_eq!(found(first, &group.network, "lecture").await, Some((8, 8)));
        assert_eq!(found(&group.members[3], &group.network, "lecture").await, Some((8, 8)));
    });
}

#[test]
fn a_member_that_is_revoked_is_out_everywhere() {
    story(async {
        let group = Group::new(CHORD, 4).await;
        group.settled(&[0, 1, 2, 3]).await;
        let (owner, out) = (&group.members[0].networks, &group.members[2]);
        assert_eq!(owner.revoke(&group.network, out.id()).await.unwrap(), 1);
        let all = &group.members;
        until("everybody knows, and it too", || async {
            all.iter().all(|member| {
                let view = &member.networks.list()[0];
                view.revocations == 1 && view.role.is_none() == (member.id() == out.id())
            })
        })
        .await;
        group.settled(&[0, 1, 3]).await;
        until("nobody is linked to it", || async {
            let others = all.iter().filter(|member| member.id() != out.id());
            others.into_iter().all(|member| member.peers.linked(out.id()).is_none())
        })
        .await;
        let denied = out.directory(&group.network).search(query("lecture")).await;
        assert!(matches!(denied, Err(ServiceError::Expelled)), "{denied:?}");
    });
}

#[test]
fn two_lists_of_revoked_members_with_one_number_become_one() {
    story(async {
        let mut group = Group::new(CHORD, 4).await;
        let owner = &group.members[0].networks;
        let expires_ms = potluck_service::now_ms() + circle_scene::DAY_MS;
        let invite = owner.invite(&group.network, Role::Admin, 1, expires_ms).unwrap();
        let admin = Member::new(&group.net, 5);
        admin.networks.join(&invite, None).await.unwrap();
        group.members.push(admin);
        group.settled(&[0, 1, 2, 3, 4]).await;
        let (second, third) = (group.members[1].id(), group.members[2].id());
        let (one, other) = tokio::join!(
            group.members[0].networks.revoke(&group.network, second),
            group.members[4].networks.revoke(&group.network, third),
        );
        one.unwrap();
        other.unwrap();
        let rest = [0, 3, 4].map(|at| &group.members[at]);
        until("both are out", || async {
            rest.iter().all(|member| member.networks.list()[0].revocations >= 2)
        })
        .await;
        group.settled(&[0, 3, 4]).await;
    });
}

/// Hears what members say to somebody.
#[derive(Default)]
struct Ear(std::sync::Mutex<usize>);

impl FrameListener for Ear {
    fn link_up(&self, _: PeerId) -> BoxFuture<'_, ()> {
        Box::pin(async {})
    }

    fn link_down(&self, _: PeerId) -> BoxFuture<'_, ()> {
        Box::pin(async {})
    }

    fn tracker<'a>(&'a self, _: &'a Arc<Linked>, _: tracker::Message) -> BoxFuture<'a, ()> {
        Box::pin(async {})
    }

    fn circle<'a>(&'a self, _: &'a Arc<Linked>, _: &'a CircleFrame) -> BoxFuture<'a, ()> {
        *self.0.lock().unwrap() += 1;
        Box::pin(async {})
    }
}

#[test]
fn a_stranger_is_not_heard() {
    story(async {
        let group = Group::new(CHORD, 2).await;
        group.settled(&[0, 1]).await;
        let (stranger, ear) = (Member::new(&group.net, 66), Arc::new(Ear::default()));
        stranger.peers.listen_frames(Arc::clone(&ear) as Arc<_>);
        let owner = group.members[0].id();
        stranger.peers.dial(owner).await.unwrap();
        let linked = stranger.peers.linked(owner).unwrap();
        let say = |body| {
            let frame = CircleFrame { network: group.network, body: CircleBody::Ring(body) };
            Frame::Chord(Box::new(frame))
        };
        for (id, body) in [Request::State, Request::Enter].into_iter().enumerate() {
            linked.send(&say(Message::Call { id: id as u32, body })).await.unwrap();
        }
        linked.send(&say(Message::Tell(Notice::Predecessor))).await.unwrap();
        linked.echo().await.unwrap();
        assert_eq!(*ear.0.lock().unwrap(), 0, "no answer");
        let status = group.members[0].circle(&group.network).status().await;
        assert_eq!(status.predecessor.map(|p| p.peer), Some(group.members[1].id()));
        assert_eq!(status.successors.len(), 1);
    });
}
