//! Does what a member's machine says: messages over links, records onto the disk, answers to
//! whoever asked.

use std::sync::Arc;

use potluck_proto::directory::chord::index::Record;
use potluck_proto::directory::chord::{Effect, Event};

use super::contact::Contact;
use super::heart::{Heart, Phase};
use super::machine::{RingEvent, RingSays, Seen};
use crate::runner::Player;

/// Plays the machine of one circle.
pub(super) struct RingPlayer {
    pub(super) heart: Arc<Heart>,
}

impl Player<Seen> for RingPlayer {
    async fn send(&mut self, to: Contact, message: RingSays) {
        self.heart.lines.say(to, message);
    }

    fn hang_up(&mut self, contact: Contact) {
        if let Some(linked) = self.heart.peers.linked(contact.peer) {
            linked.close("it says what cannot be");
        }
    }

    fn perform(&mut self, effect: Effect<Record>) {
        self.heart.deposits.note(&effect);
        self.heart.keeper.note(effect);
    }

    fn emit(&mut self, event: RingEvent) {
        let Some(event) = self.heart.core.answer(event) else { return };
        match event {
            Event::Joined { alone } => {
                tracing::debug!(network = %self.heart.network().short(), alone, "on the circle");
                self.heart.phase.send_replace(Phase::On);
                self.heart.turned.notify_one();
            }
            Event::Unreached => {
                self.heart.phase.send_replace(Phase::Looking { tried: true });
            }
            Event::Neighbours => {
                self.heart.deposits.turn();
                self.heart.turned.notify_one();
            }
            Event::Left => {
                self.heart.phase.send_replace(Phase::Gone);
            }
            Event::Liar { peer, what } => {
                tracing::warn!(peer = %peer.peer.short(), what, "a member says what cannot be");
            }
            // Answers, which have gone to whoever asked.
            Event::Found { .. }
            | Event::Lost { .. }
            | Event::Put { .. }
            | Event::Told { .. }
            | Event::Visited { .. } => {}
        }
    }
}
