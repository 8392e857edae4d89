//! Questions of our own side: they wait a little for a session, ride on it, and are answered once.

use std::collections::BTreeMap;
use std::fmt::Debug;

use potluck_base::{Time, limits};

use super::Client;
use super::session::{Phase, Topic};
use super::values::{Event, Timer, Unanswered};
use crate::directory::record::{Presence, ShareHead};
use crate::directory::tracker::message::{Denial, Reply, Request};
use crate::machine::Outbox;

/// Questions without an answer.
#[derive(Default)]
pub(super) struct Asks {
    open: BTreeMap<u64, Ask>,
}

struct Ask {
    request: Request,
    /// Whether it is on its way.
    flying: bool,
    /// Whether it ever was.
    tried: bool,
    /// When it is given up.
    until: Time,
}

impl Asks {
    /// A question's session has ended; it may wait a little for another.
    pub(super) fn put_back(&mut self, id: u64, now: Time) {
        if let Some(ask) = self.open.get_mut(&id) {
            ask.flying = false;
            ask.until = ask.until.min(now + limits::ASK_WAIT_TIME);
        }
    }
}

impl<P: Copy + Ord + Debug> Client<P> {
    pub(super) fn ask(&mut self, now: Time, id: u64, request: Request, out: &mut Outbox<Self>) {
        if self.asks.open.len() >= limits::ASKS_OPEN || self.asks.open.contains_key(&id) {
            return out.emit(Event::Answered { id, result: Err(Unanswered::Busy) });
        }
        let inside = matches!(self.phase, Phase::Inside { .. });
        // Who was told that there is no tracker need not wait for the next dial.
        if matches!(self.phase, Phase::Waiting) && self.failures > 1 {
            return out.emit(Event::Answered { id, result: Err(Unanswered::Away) });
        }
        let time = if inside { limits::ASK_TIME } else { limits::ASK_WAIT_TIME };
        let ask = Ask { request, flying: false, tried: false, until: now + time };
        self.asks.open.insert(id, ask);
        if inside {
            self.ask_waiting(now, out);
        } else {
            self.plan_asks(out);
        }
    }

    /// Sends every question that waits.
    pub(super) fn ask_waiting(&mut self, now: Time, out: &mut Outbox<Self>) {
        let waiting = self.asks.open.iter_mut().filter(|(_, ask)| !ask.flying);
        let mut requests = Vec::new();
        for (id, ask) in waiting {
            ask.flying = true;
            if !std::mem::replace(&mut ask.tried, true) {
                ask.until = now + limits::ASK_TIME;
            }
            requests.push((*id, ask.request.clone()));
        }
        for (id, request) in requests {
            self.request(now, Topic::Ask(id), request, out);
        }
        self.plan_asks(out);
    }

    pub(super) fn plan_asks(&mut self, out: &mut Outbox<Self>) {
        match self.asks.open.values().map(|ask| ask.until).min() {
            None => self.no_alarm(Timer::Asks, out),
            Some(at) if self.alarms.get(&Timer::Asks) == Some(&at) => {}
            Some(at) => self.alarm(at, Timer::Asks, out),
        }
    }

    pub(super) fn give_up_asks(&mut self, now: Time, out: &mut Outbox<Self>) {
        let late = |ask: &Ask| ask.until <= now;
        let ids: Vec<u64> =
            self.asks.open.iter().filter(|(_, ask)| late(ask)).map(|(id, _)| *id).collect();
        for id in ids {
            let flying = self.asks.open.get(&id).is_some_and(|ask| ask.flying);
            let why = if flying { Unanswered::Silent } else { Unanswered::Away };
            self.answer(id, Err(why), out);
        }
        self.plan_asks(out);
    }

    /// Nothing will be answered any more.
    pub(super) fn answer_all(&mut self, out: &mut Outbox<Self>) {
        for id in self.asks.open.keys().copied().collect::<Vec<u64>>() {
            self.answer(id, Err(Unanswered::Away), out);
        }
        self.plan_asks(out);
    }

    fn answer(&mut self, id: u64, result: Result<Reply, Unanswered>, out: &mut Outbox<Self>) {
        if self.asks.open.remove(&id).is_some() {
            out.emit(Event::Answered { id, result });
        }
    }

    /// The tracker has answered a question. What it cannot prove is dropped.
    pub(super) fn asked(
        &mut self,
        now: Time,
        id: u64,
        result: Result<Reply, Denial>,
        out: &mut Outbox<Self>,
    ) {
        let Some(ask) = self.asks.open.get(&id) else {
            return;
        };
        let result = match result {
            Err(denial) => Err(Unanswered::Denied(denial)),
            Ok(mut reply) => match self.check(now, &ask.request, &mut reply) {
                Truth::Whole => Ok(reply),
                Truth::Part(lies) => {
                    if let Some(peer) = self.counterpart() {
                        out.emit(Event::Liar { peer, what: lies });
                    }
                    Ok(reply)
                }
                Truth::None => Err(Unanswered::Nonsense),
            },
        };
        self.answer(id, result, out);
        self.plan_asks(out);
    }

    /// Drops what is not signed by who it is about.
    fn check(&self, now: Time, request: &Request, reply: &mut Reply) -> Truth {
        let (network, now_ms) = (self.network(), self.unix_ms(now));
        let lies = match (request, reply) {
            (Request::Search { .. }, Reply::Found(found)) => found.drop_lies(&network, now_ms),
            (Request::Providers { content, .. }, Reply::Providers { providers, .. }) => {
                dropped(providers, |record| record.check(&network, content, now_ms).is_ok())
            }
            (Request::Resolve { peer }, Reply::Resolved { presence, .. }) => {
                let fits = |signed: &_| Presence::check(signed, &network, peer).is_ok();
                let lies = presence.as_ref().is_some_and(|signed| !fits(signed));
                if lies {
                    *presence = None;
                }
                usize::from(lies)
            }
            (Request::Browse { peer, share: None, .. }, Reply::Shares { shares, .. }) => {
                dropped(shares, |head| ShareHead::check(head, &network, peer).is_ok())
            }
            (Request::Browse { peer, share: Some(share), .. }, Reply::Entries { entries, .. }) => {
                dropped(entries, |(entry, proof)| {
                    proof.head.value.share == *share && proof.check(&network, peer, entry).is_ok()
                })
            }
            (Request::Members { .. } | Request::Find { .. }, Reply::Members { .. })
            | (Request::Host { .. }, Reply::Hosted)
            | (Request::Revocations, Reply::Revocations(_))
            | (Request::Record, Reply::Record(_))
            | (Request::Revoke { .. }, Reply::Done) => 0,
            _ => return Truth::None,
        };
        if lies == 0 { Truth::Whole } else { Truth::Part("records that their peers did not sign") }
    }
}

/// How much of an answer holds.
enum Truth {
    Whole,
    /// Some of it; says what did not.
    Part(&'static str),
    /// It is no answer to this question.
    None,
}

/// Drops what does not hold, and says how much that was.
fn dropped<T>(list: &mut Vec<T>, holds: impl Fn(&T) -> bool) -> usize {
    let before = list.len();
    list.retain(holds);
    before - list.len()
}
