//! Being a member: entering under a name, having the use of an invite counted, and saying where we
//! are for as long as we are there.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use potluck_base::{PeerAddr, PeerId, limits};
use potluck_identity::{Basis, Signed};
use potluck_proto::directory::chord::Command;
use potluck_proto::directory::chord::index::{
    Question, Subject, Term, Told, presence_puts, redemption_put,
};
use potluck_proto::directory::record::{Presence, nick_folded};
use potluck_proto::directory::tracker::{Denial, Nick, same_nick};
use tokio::sync::mpsc;
use tokio::time::{Instant, timeout};

use super::heart::{Heart, Phase};
use crate::chance::now_ms;
use crate::directory::{Happened, State};
use crate::error::ServiceError;

/// Pause between two looks whether our own addresses have changed.
const LOOK_EVERY: Duration = Duration::from_secs(10);
/// Pause before something that did not work is tried again.
const AGAIN: Duration = Duration::from_secs(1);
/// How long a person gets to choose another name.
const NAME_TIME: Duration = Duration::from_secs(10);
/// Names like a taken one that are tried.
const NAMES_TRIED: u32 = 8;

/// What a life needs besides.
pub(super) struct Life {
    pub(super) heart: Arc<Heart>,
    pub(super) nick: Nick,
    /// Whether we were in before: the use of the invite is counted.
    pub(super) counted: bool,
    pub(super) renames: mpsc::Receiver<String>,
}

/// How it came that we are not in.
enum Out {
    /// Nobody answers, or not now.
    Away,
    /// Somebody else has the name.
    Taken {
        /// The name.
        nick: String,
        /// One like it that is free.
        free: String,
    },
    /// For good.
    Denied(Denial),
}

impl Life {
    /// Lives until we are put out.
    pub(super) async fn run(mut self) {
        let mut phase = self.heart.phase.subscribe();
        self.heart.core.wish(Command::Start).await;
        loop {
            let now = phase.borrow_and_update().clone();
            match now {
                Phase::On => match self.come_in().await {
                    Ok(()) => self.stay(&mut phase).await,
                    Err(Out::Away) => tokio::time::sleep(AGAIN).await,
                    Err(Out::Taken { nick, free }) => self.wait_for_name(nick, free).await,
                    Err(Out::Denied(denial)) => return self.heart.enter(State::Denied(denial)),
                },
                Phase::Looking { tried } => {
                    let why = tried.then(|| "no member of it is reached".to_owned());
                    self.heart.enter(State::Connecting { why, retry_at_ms: None });
                    if phase.changed().await.is_err() {
                        return;
                    }
                }
                Phase::Gone => return self.heart.enter(State::Away),
            }
        }
    }

    /// Takes a name, has the invite's use counted and says where we are.
    async fn come_in(&mut self) -> Result<(), Out> {
        let own = self.heart.own();
        let before = self.heart.presence_of(own).await.map_err(|_| Out::Away)?;
        let returning = before.as_ref().map(|presence| presence.value.sequence);
        let nick = self.name(before.as_ref().map(|presence| &presence.value.nick)).await?;
        if !self.counted {
            self.heart.count_use().await?;
            self.counted = true;
        }
        self.heart.say_where(&nick).await.map_err(|_| Out::Away)?;
        self.nick = Nick::Suggested(nick.clone());
        self.heart.tell(Happened::Named(nick.clone()));
        self.heart.enter(State::Online { nick, returning });
        Ok(())
    }

    /// Tells that the name is taken. Unless another is given at once, we take part under one that
    /// nobody chose.
    async fn wait_for_name(&mut self, nick: String, free: String) {
        self.heart.enter(State::NickTaken { nick, free });
        self.nick = match timeout(NAME_TIME, self.renames.recv()).await {
            Ok(Some(nick)) => Nick::Chosen(nick),
            Ok(None) | Err(_) => Nick::Any,
        };
    }

    /// The name under which we are there.
    async fn name(&self, before: Option<&String>) -> Result<String, Out> {
        let heart = &self.heart;
        let wanted = match &self.nick {
            Nick::Chosen(nick) | Nick::Suggested(nick) => nick.trim().to_owned(),
            Nick::Any => match before {
                Some(nick) => nick.clone(),
                None => format!("peer-{}", &heart.own().to_string()[..6]),
            },
        };
        if nick_folded(&wanted).is_none() {
            let why = "the nickname is empty, too long, or cannot be shown".to_owned();
            return Err(Out::Denied(Denial::BadRecord(why)));
        }
        if !heart.is_taken(&wanted).await.map_err(|_| Out::Away)? {
            return Ok(wanted);
        }
        for number in 2..2 + NAMES_TRIED {
            let head: String = wanted.chars().take(limits::NICK_CHARS - 3).collect();
            let free = format!("{head}{number}");
            if heart.is_taken(&free).await.map_err(|_| Out::Away)? {
                continue;
            }
            return match &self.nick {
                Nick::Chosen(nick) => Err(Out::Taken { nick: nick.clone(), free }),
                _ => Ok(free),
            };
        }
        Ok(format!("peer-{}", &heart.own().to_string()[..6]))
    }

    /// Says where we are whenever that changes, and before it is forgotten; until we are off the
    /// circle.
    async fn stay(&mut self, phase: &mut tokio::sync::watch::Receiver<Phase>) {
        let mut said = Instant::now();
        let mut told = self.heart.peers.own_address();
        loop {
            tokio::select! {
                () = tokio::time::sleep(LOOK_EVERY) => {}
                changed = phase.changed() => {
                    if changed.is_err() || *phase.borrow() != Phase::On {
                        return;
                    }
                }
                Some(nick) = self.renames.recv() => {
                    self.nick = Nick::Chosen(nick);
                    return;
                }
            }
            let address = self.heart.peers.own_address();
            let due = said.elapsed() > limits::PRESENCE_LIFETIME / 3;
            let State::Online { nick, .. } = self.heart.state.borrow().clone() else { return };
            if (due || address != told) && self.heart.say_where(&nick).await.is_ok() {
                (said, told) = (Instant::now(), address);
            }
        }
    }
}

impl Heart {
    /// Whether somebody else is called so. Who was called so and has another name now does not
    /// count.
    async fn is_taken(&self, nick: &str) -> Result<bool, ServiceError> {
        Ok(!self.called(nick, Some(self.own())).await?.is_empty())
    }

    /// Who is called so, somebody left out.
    pub(super) async fn called(
        &self,
        nick: &str,
        but: Option<PeerId>,
    ) -> Result<Vec<Signed<Presence>>, ServiceError> {
        let Some(folded) = nick_folded(nick) else { return Ok(Vec::new()) };
        let key = Term::new(Subject::Nick(folded)).key(&self.network());
        let mut called = Vec::new();
        for one in self.presences(key).await? {
            if Some(one.value.peer) == but || !same_nick(&one.value.nick, nick) {
                continue;
            }
            let latest = self.presence_of(one.value.peer).await?.unwrap_or_else(|| one.clone());
            if same_nick(&latest.value.nick, nick) {
                called.push(latest);
            }
        }
        Ok(called)
    }

    /// Has the use of our invite counted by those who keep its key. Who comes too late is out; this
    /// rests on everybody's good faith, and on revoking those who lack it.
    async fn count_use(&self) -> Result<(), Out> {
        let Basis::Invited { capability, redemption, .. } = &self.parts.membership.basis else {
            return Ok(());
        };
        let (uses, invite) = (capability.value.uses as usize, capability.value.key);
        if now_ms() > capability.value.expires_ms {
            return Err(Out::Denied(Denial::Expired));
        }
        let network = self.network();
        let record = redemption_put(&network, capability.clone(), redemption.clone());
        let put = self.core.put(vec![record]).await.map_err(|_| Out::Away)?;
        if !put.iter().any(|(_, _, ended)| ended.is_ok()) {
            tracing::info!(?put, "the use of the invite was not counted");
        }
        let key = Term::new(Subject::Invite(invite)).key(&network);
        let question = Question::Redemptions { issuer: capability.value.issuer };
        let told = self.core.ask(key, question).await.map_err(|_| Out::Away)?;
        let Some((_, answer)) = told else { return Err(Out::Away) };
        let Told::Redemptions(all) = answer.told else { return Ok(()) };
        let first: BTreeSet<PeerId> = all
            .iter()
            .filter(|used| used.redemption.verify(&invite).is_ok())
            .map(|used| used.redemption.value.peer)
            .collect();
        let too_late = first.len() >= uses && !first.contains(&self.own());
        if too_late { Err(Out::Denied(Denial::UsedUp)) } else { Ok(()) }
    }

    /// Says under our place and our name where we are.
    async fn say_where(&self, nick: &str) -> Result<(), ServiceError> {
        let lifetime = limits::PRESENCE_LIFETIME.as_millis() as u64;
        self.say(nick, self.peers.own_address(), now_ms() + lifetime).await
    }

    /// Says that we are nowhere any more.
    pub(super) async fn forget_us(&self) {
        let State::Online { nick, .. } = self.state.borrow().clone() else { return };
        let nowhere = PeerAddr::unknown(self.own());
        // What was said before runs out if nobody can be told.
        let _ = self.say(&nick, nowhere, now_ms()).await;
    }

    async fn say(
        &self,
        nick: &str,
        address: PeerAddr,
        expires_ms: u64,
    ) -> Result<(), ServiceError> {
        let presence = Presence {
            network: self.network(),
            peer: self.own(),
            nick: nick.to_owned(),
            addresses: address.direct,
            relay: address.relay,
            agent: self.parts.agent.clone(),
            p2p_ci: self.parts.p2p_ci,
            sequence: self.parts.store.next_sequence(now_ms())?,
            expires_ms,
        };
        let presence = Signed::sign(&self.parts.secret, presence);
        self.people.note(&presence);
        let records = presence_puts(&self.network(), &presence);
        let ended = self.core.put(records).await?;
        match ended.iter().any(|(_, _, ended)| ended.is_ok()) {
            true => Ok(()),
            false => Err(super::core::away()),
        }
    }
}
