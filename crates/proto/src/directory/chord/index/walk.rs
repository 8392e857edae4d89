//! Which keys are still to be asked, and which answers are waited for.

use std::collections::{BTreeMap, VecDeque};

use potluck_base::{NetworkId, limits};

use super::ask::Question;
use super::term::Term;
use crate::directory::chord::RingId;

/// A question that is to be put to those who keep a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Asked {
    /// Its number; the answer is handed back with it.
    pub id: u32,
    /// Under which key.
    pub key: RingId,
    /// What.
    pub question: Question,
}

/// Keys on the way, a limited number of them.
pub(super) struct Walk {
    network: NetworkId,
    queue: VecDeque<(Term, Question)>,
    open: BTreeMap<u32, (Term, Question)>,
    asked: u32,
    /// Whether something was left out, because a key could not be asked or there were too many.
    pub(super) incomplete: bool,
}

impl Walk {
    pub(super) fn new(network: NetworkId) -> Self {
        let (queue, open) = (VecDeque::new(), BTreeMap::new());
        Self { network, queue, open, asked: 0, incomplete: false }
    }

    /// A key is to be asked, too.
    pub(super) fn add(&mut self, term: Term, question: Question) {
        if self.asked as usize + self.queue.len() < limits::RING_ASKS {
            self.queue.push_back((term, question));
        } else {
            self.incomplete = true;
        }
    }

    /// The next question, if one can be put now.
    pub(super) fn next(&mut self) -> Option<Asked> {
        let (term, question) = self.queue.pop_front()?;
        let (id, key) = (self.asked, term.key(&self.network));
        self.asked += 1;
        self.open.insert(id, (term, question.clone()));
        Some(Asked { id, key, question })
    }

    /// An answer has come, or will not come; to what.
    pub(super) fn close(&mut self, id: u32, answered: bool) -> Option<(Term, Question)> {
        let closed = self.open.remove(&id)?;
        self.incomplete |= !answered;
        Some(closed)
    }

    /// Whether nothing more is to be asked or waited for.
    pub(super) fn is_done(&self) -> bool {
        self.queue.is_empty() && self.open.is_empty()
    }
}
