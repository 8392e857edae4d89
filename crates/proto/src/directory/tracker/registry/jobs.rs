//! Work in the store and in the index, and what follows when it has ended.

use std::collections::btree_map::Entry;
use std::fmt::Debug;

use potluck_base::{NetworkId, PeerId, ShareKey, Time, limits};
use potluck_identity::{Admission, Membership, Signed};

use super::fact::Fact;
use super::values::{Effect, Outcome};
use super::{Answered, Call, Out, Registry};
use crate::directory::tracker::change::{Answer, Change, Conflict, Question, Written};
use crate::directory::tracker::message::{Denial, Reply};

/// When to try again after the store failed, in milliseconds.
pub(super) const RETRY_MS: u32 = 1000;
/// When to try again if too much waits for the store, in milliseconds.
const FULL_MS: u32 = 100;

/// Work that has not ended.
pub(super) struct Job<P> {
    /// The request that it is for; none for our own.
    call: Option<Call<P>>,
    work: Work,
}

enum Work {
    Write { fact: Fact, then: Then, retry: Option<Box<Change>> },
    Ask,
}

/// What is answered once a change is committed.
pub(super) enum Then {
    /// Nobody waits.
    Nothing,
    /// It is done.
    Done,
    /// A network is kept here.
    Hosted,
    /// This membership is admitted.
    Admitted(Box<Membership>),
    /// The session opens.
    Registered {
        /// Whether the peer was a member before.
        returning: bool,
        /// Whether the name is one that the peer wants.
        chosen: bool,
        /// The list of revoked members that it has.
        revocations: u64,
    },
}

impl<P: Copy + Ord + Debug> Registry<P> {
    /// Has a change committed; the answer follows when that has happened.
    pub(super) fn write(
        &mut self,
        call: &Call<P>,
        change: Change,
        then: Then,
        out: &mut Out<P>,
    ) -> Answered {
        let crowded = self.jobs.len() >= limits::TRACKER_JOBS;
        if let Some(link) = self.links.get_mut(&call.from).filter(|l| l.number == call.link) {
            if crowded || link.writes >= limits::WRITES_PER_LINK {
                return Err(Denial::Busy { retry_ms: FULL_MS });
            }
            link.writes += 1;
        }
        let fact = Fact::of(&change);
        if let Some(key) = head_of(&fact) {
            *self.heads_on_the_way.entry(key).or_default() += 1;
        }
        // A number that is taken can be followed by the next.
        let retry = match &then {
            Then::Registered { returning: false, chosen: false, .. } => {
                Some(Box::new(change.clone()))
            }
            _ => None,
        };
        let work = Work::Write { fact, then, retry };
        let job = self.job(Job { call: Some(*call), work });
        out.perform(Effect::Write { job, change });
        Ok(None)
    }

    /// Has a change committed that nobody asked for.
    pub(super) fn write_alone(&mut self, change: Change, out: &mut Out<P>) {
        let fact = Fact::of(&change);
        let work = Work::Write { fact, then: Then::Nothing, retry: None };
        let job = self.job(Job { call: None, work });
        out.perform(Effect::Write { job, change });
    }

    /// Asks the index; its answer is sent when it comes.
    pub(super) fn ask(&mut self, call: &Call<P>, question: Question, out: &mut Out<P>) -> Answered {
        let crowded = self.jobs.len() >= limits::TRACKER_JOBS;
        if let Some(link) = self.links.get_mut(&call.from) {
            if crowded || link.asks >= limits::ASKS_PER_LINK {
                return Err(Denial::Busy { retry_ms: FULL_MS });
            }
            link.asks += 1;
        }
        let job = self.job(Job { call: Some(*call), work: Work::Ask });
        out.perform(Effect::Ask { job, question });
        Ok(None)
    }

    fn job(&mut self, job: Job<P>) -> u64 {
        self.next_job += 1;
        self.jobs.insert(self.next_job, job);
        self.next_job
    }

    pub(super) fn done(&mut self, _now: Time, outcome: Outcome, out: &mut Out<P>) {
        match outcome {
            Outcome::Written { job, result } => {
                let Some(job) = self.jobs.remove(&job) else { return };
                if let Work::Write { fact, then, retry } = job.work {
                    self.written(job.call, (fact, then, retry), result, out);
                }
            }
            Outcome::Answered { job, answer } => {
                let Some(job) = self.jobs.remove(&job) else { return };
                if let Some(call) = job.call {
                    self.answered(&call, answer, out);
                }
            }
        }
    }

    fn answered(&mut self, call: &Call<P>, answer: Answer, out: &mut Out<P>) {
        if let Some(link) = self.links.get_mut(&call.from).filter(|l| l.number == call.link) {
            link.asks -= 1;
        }
        // Who was put out meanwhile learns nothing any more.
        let result = match self.links.get(&call.from) {
            Some(link) if link.number == call.link => {
                self.role_of(call).and_then(|_| self.answer(call, answer))
            }
            _ => return,
        };
        match result {
            Ok(reply) => self.reply(call, Ok(reply), out),
            Err(denial) => self.refuse(call, denial, out),
        }
    }

    fn written(
        &mut self,
        call: Option<Call<P>>,
        (fact, then, retry): (Fact, Then, Option<Box<Change>>),
        result: Result<Written, Conflict>,
        out: &mut Out<P>,
    ) {
        if let Some(call) = &call
            && let Some(link) = self.links.get_mut(&call.from).filter(|l| l.number == call.link)
        {
            link.writes -= 1;
        }
        if let Some(key) = head_of(&fact)
            && let Entry::Occupied(mut count) = self.heads_on_the_way.entry(key)
        {
            *count.get_mut() -= 1;
            if *count.get() == 0 {
                count.remove();
            }
        }
        let answered = match result {
            Ok(written) => {
                self.counts.writes += 1;
                self.apply(fact, &written, out);
                let Some(call) = &call else { return };
                self.follow(call, then, &written, out)
            }
            Err(conflict) => {
                let Some(call) = &call else { return };
                self.conflict(call, conflict, (fact, then, retry), out)
            }
        };
        let Some(call) = call else { return };
        match answered {
            Ok(None) => {}
            Ok(Some(reply)) => self.reply(&call, Ok(reply), out),
            Err(denial) => self.refuse(&call, denial, out),
        }
    }

    /// What follows for who asked for a change that is committed.
    fn follow(
        &mut self,
        call: &Call<P>,
        then: Then,
        written: &Written,
        out: &mut Out<P>,
    ) -> Answered {
        match then {
            Then::Nothing => Ok(None),
            Then::Done => Ok(Some(Reply::Done)),
            Then::Hosted => Ok(Some(Reply::Hosted)),
            Then::Admitted(membership) => {
                let Written::Admitted { number, at_ms } = *written else {
                    return Err(Denial::Unavailable { retry_ms: RETRY_MS });
                };
                let capability = membership.capability().ok_or(Denial::Stranger)?;
                let invite = capability.key;
                let admission =
                    Admission { network: call.network, invite, peer: call.peer, number, at_ms };
                let signed = Signed::sign(&self.setup.key, admission);
                Ok(Some(Reply::Admitted { membership: membership.with_admission(signed) }))
            }
            Then::Registered { returning, revocations, .. } => {
                self.registered(call, returning, revocations, out)
            }
        }
    }

    /// The store has the last word.
    fn conflict(
        &mut self,
        call: &Call<P>,
        conflict: Conflict,
        (fact, then, retry): (Fact, Then, Option<Box<Change>>),
        out: &mut Out<P>,
    ) -> Answered {
        match conflict {
            Conflict::Stale { have } => Err(Denial::Stale { have }),
            Conflict::UsedUp => Err(Denial::UsedUp),
            Conflict::Unknown => Err(Denial::Unknown),
            Conflict::Unavailable => Err(Denial::Unavailable { retry_ms: RETRY_MS }),
            Conflict::NickTaken => {
                let known = self.networks.get_mut(&call.network).ok_or(Denial::Stranger)?;
                let Some(mut change) = retry else {
                    let Fact::Member { nick, .. } = fact else { return Err(Denial::Unknown) };
                    return Err(Denial::NickTaken { free: known.free_nick_like(&nick) });
                };
                if let Change::PutMember { nick, .. } = &mut *change {
                    *nick = known.numbered();
                }
                self.write(call, *change, then, out)
            }
        }
    }
}

/// The share whose head is being written.
fn head_of(fact: &Fact) -> Option<(NetworkId, PeerId, ShareKey)> {
    match fact {
        Fact::Share { network, peer, share, .. } => Some((*network, *peer, *share)),
        _ => None,
    }
}
