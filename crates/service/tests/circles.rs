//! Stories of networks whose members are the directory themselves.
#![allow(clippy::unwrap_used, reason = "what fails here fails the test")]

mod circle_scene;

use circle_scene::{Group, Member, story, until};
use potluck_proto::directory::tracker::Denial;
use potluck_service::ServiceError;
use potluck_service::networks::Place;

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
