//! How the copies of a file are: asked of those who are to have them, and awaited.
//!
//! Whoever has fetched a file has verified each piece of it. That it says so truly is taken on
//! trust, as that it keeps it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use potluck_base::{ContentId, NetworkId, PeerId, limits};
use potluck_proto::{CopySaid, What};
use potluck_store::OwnDeposit;
use tokio::sync::mpsc;
use tokio::time::{Instant, timeout};

use super::circle::{Circle, Put};
use super::{Copy, CopyState, Deposit, Step, StoredService, turns};
use crate::error::ServiceError;

/// Bytes of an answer about a copy.
const SAID_BYTES: u64 = limits::COPY_WHY_BYTES as u64 + 16;
/// Time for a member to be reached.
const REACH_TIME: Duration = Duration::from_secs(10);
/// Quiet after which a person is told that nothing moves.
const QUIET: Duration = Duration::from_secs(3);
/// How often somebody may say that it was not told before it is told again.
const TELL_AGAIN: u32 = 5;

/// What one who is to have a copy says, or why it says nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Heard {
    Said(CopySaid),
    Silent { why: String },
}

/// What came of waiting for copies.
pub(super) struct Awaited {
    pub(super) copies: Vec<Copy>,
    /// Copies that were not there when the waiting began.
    pub(super) made: u32,
}

impl StoredService {
    /// Asks one member about its copy.
    pub(super) async fn ask_copy(
        &self,
        peer: PeerId,
        network: NetworkId,
        content: ContentId,
    ) -> Heard {
        let asked = timeout(REACH_TIME, async {
            let peers = &self.fetcher.peers;
            peers.know_in(peer, network).await;
            peers.dial(peer).await?;
            let linked = peers.linked(peer).ok_or(ServiceError::LinkLost(peer))?;
            if !linked.speaks_of_circles() {
                return Ok(None);
            }
            linked.ask(content, What::Stored { network }, SAID_BYTES).await.map(Some)
        });
        let silent = |why: &str| Heard::Silent { why: why.to_owned() };
        match asked.await {
            Ok(Ok(Some(bytes))) => match CopySaid::decode(&bytes) {
                Some(said) => Heard::Said(said),
                None => silent("its answer makes no sense"),
            },
            Ok(Ok(None)) => silent("its program is too old"),
            Ok(Err(ServiceError::Refused { .. })) => silent("it does not answer as a member"),
            Ok(Err(error)) => {
                tracing::debug!(peer = %peer.short(), %error, "a copy could not be asked about");
                silent("it cannot be reached")
            }
            Err(_) => silent("it does not answer"),
        }
    }

    /// Asks several members at once.
    pub(super) async fn ask_copies(
        &self,
        peers: &[PeerId],
        network: NetworkId,
        content: ContentId,
    ) -> BTreeMap<PeerId, Heard> {
        let mut heard = BTreeMap::new();
        for some in peers.chunks(limits::COPIES_ASKED_AT_A_TIME) {
            let asks = some
                .iter()
                .copied()
                .map(|peer| async move { (peer, self.ask_copy(peer, network, content).await) });
            heard.extend(join_all(asks).await);
        }
        heard
    }

    /// Asks those who are to have a copy of a deposit of ours, and those behind them for each that
    /// cannot.
    async fn ask_holders(
        &self,
        circle: &Arc<dyn Circle>,
        own: &OwnDeposit,
    ) -> Result<BTreeMap<PeerId, Heard>, ServiceError> {
        let keepers = circle.keepers(own.content).await?;
        let candidates = turns::candidates(&keepers, &self.sign(own).value);
        let mut heard = BTreeMap::new();
        loop {
            let mut open = turns::chosen(&candidates, own.copies, &heard);
            open.retain(|peer| !heard.contains_key(peer));
            if open.is_empty() {
                return Ok(heard);
            }
            heard.extend(self.ask_copies(&open, own.network, own.content).await);
        }
    }

    /// Waits until the copies of a deposit of ours are there, or as many as there can be.
    pub(super) async fn await_copies(
        &self,
        circle: &Arc<dyn Circle>,
        own: &OwnDeposit,
        steps: &mpsc::Sender<Step>,
    ) -> Result<Awaited, ServiceError> {
        let mut wait = Wait::new(own);
        loop {
            let heard = match self.ask_holders(circle, own).await {
                Ok(heard) => heard,
                Err(error) if wait.is_over(self.pace.patience) => return Err(error),
                Err(error) => {
                    wait.tell(steps, error.to_string()).await;
                    tokio::time::sleep(self.pace.ask).await;
                    continue;
                }
            };
            let untold = wait.note(heard);
            if untold > 0 && wait.untold.is_multiple_of(TELL_AGAIN) {
                // The record may have been lost on its way to somebody who has just come.
                let _: Result<Put, _> = circle.put(self.sign(own)).await;
            }
            wait.tell_steps(steps).await;
            if wait.is_settled() || wait.is_over(self.pace.patience) {
                wait.tell_rest(steps).await;
                return Ok(wait.end());
            }
            tokio::time::sleep(self.pace.ask).await;
        }
    }

    /// Asks once how the copies of a deposit of ours are, and tells those again who know nothing.
    pub(super) async fn look_at_copies(
        &self,
        circle: &Arc<dyn Circle>,
        own: &OwnDeposit,
    ) -> Result<Vec<Copy>, ServiceError> {
        let heard = self.ask_holders(circle, own).await?;
        if heard.values().any(|heard| *heard == Heard::Said(CopySaid::Unasked)) {
            circle.put(self.sign(own)).await?;
        }
        let mut wait = Wait::new(own);
        wait.note(heard);
        Ok(wait.end().copies)
    }
}

/// The waiting for the copies of one file.
struct Wait<'a> {
    own: &'a OwnDeposit,
    heard: BTreeMap<PeerId, Heard>,
    /// Who had it when we began.
    before: Option<BTreeSet<PeerId>>,
    told: BTreeSet<PeerId>,
    /// Rounds in which somebody did not know of it.
    untold: u32,
    have: u64,
    moved: Instant,
    said: Option<String>,
}

impl<'a> Wait<'a> {
    fn new(own: &'a OwnDeposit) -> Self {
        Self {
            own,
            heard: BTreeMap::new(),
            before: None,
            told: BTreeSet::new(),
            untold: 0,
            have: 0,
            moved: Instant::now(),
            said: None,
        }
    }

    /// Notes what those say who are to have a copy now; how many do not know of it.
    fn note(&mut self, heard: BTreeMap<PeerId, Heard>) -> usize {
        if self.before.is_none() {
            self.before = Some(there(&heard).collect());
        }
        if self.heard.keys().ne(heard.keys()) {
            self.moved = Instant::now();
        }
        self.told.retain(|peer| heard.contains_key(peer));
        self.heard = heard;
        let have = self.heard.values().map(|heard| self.bytes_of(heard)).sum();
        if have != self.have {
            (self.have, self.moved) = (have, Instant::now());
            self.said = None;
        }
        let unasked = |heard: &&Heard| **heard == Heard::Said(CopySaid::Unasked);
        let untold = self.heard.values().filter(unasked).count();
        self.untold += u32::from(untold > 0);
        untold
    }

    fn bytes_of(&self, heard: &Heard) -> u64 {
        match heard {
            Heard::Said(CopySaid::There) => self.own.bytes,
            Heard::Said(CopySaid::Coming { have }) => (*have).min(self.own.bytes),
            _ => 0,
        }
    }

    /// Whether nothing more is to be expected of anybody.
    fn is_settled(&self) -> bool {
        !self.heard.is_empty() && self.heard.values().all(is_last_word)
    }

    fn is_over(&self, patience: Duration) -> bool {
        self.moved.elapsed() > patience
    }

    fn ended(&self, peer: PeerId, heard: &Heard) -> Step {
        let name = self.own.name.as_str().to_owned();
        Step::Ended { content: self.own.content, name, peer, state: state_of(heard) }
    }

    async fn tell_steps(&mut self, steps: &mpsc::Sender<Step>) {
        let content = self.own.content;
        for (peer, heard) in &self.heard {
            if is_last_word(heard) && self.told.insert(*peer) {
                // Nobody listening is no fault.
                let _ = steps.send(self.ended(*peer, heard)).await;
            }
        }
        let wanted = u32::from(self.own.copies);
        let _ = steps.try_send(Step::Copying {
            content,
            name: self.own.name.as_str().to_owned(),
            done: self.have,
            total: self.own.bytes.saturating_mul(u64::from(wanted)),
            copies: there(&self.heard).count() as u32,
            wanted,
        });
        if self.moved.elapsed() > QUIET {
            let reason = self.why_nothing_moves();
            self.tell(steps, reason).await;
        }
    }

    /// Tells of those who are waited for no longer.
    async fn tell_rest(&mut self, steps: &mpsc::Sender<Step>) {
        for (peer, heard) in &self.heard {
            if self.told.insert(*peer) {
                let _ = steps.send(self.ended(*peer, heard)).await;
            }
        }
    }

    async fn tell(&mut self, steps: &mpsc::Sender<Step>, reason: String) {
        if self.said.as_ref() != Some(&reason) {
            self.said = Some(reason.clone());
            let _ = steps.send(Step::Waiting { reason }).await;
        }
    }

    fn why_nothing_moves(&self) -> String {
        let open = self.heard.values().find(|heard| !is_last_word(heard));
        match open {
            Some(Heard::Silent { why }) => format!("a member who is to have it: {why}"),
            Some(Heard::Said(CopySaid::Missing { why, .. })) => why.clone(),
            Some(Heard::Said(CopySaid::Unasked)) => {
                "a member who is to have it has not heard of it yet".to_owned()
            }
            Some(Heard::Said(_)) => "a member who is to have it gets nothing".to_owned(),
            None => "nobody else is on the circle".to_owned(),
        }
    }

    fn end(self) -> Awaited {
        let before = self.before.unwrap_or_default();
        let made = there(&self.heard).filter(|peer| !before.contains(peer)).count() as u32;
        let copy = |(peer, heard): (&PeerId, &Heard)| Copy { peer: *peer, state: state_of(heard) };
        let mut copies: Vec<Copy> = self.heard.iter().map(copy).collect();
        copies.sort_by_key(|copy| rank(&copy.state));
        Awaited { copies, made }
    }
}

fn there(heard: &BTreeMap<PeerId, Heard>) -> impl Iterator<Item = PeerId> {
    let has = |(_, heard): &(&PeerId, &Heard)| **heard == Heard::Said(CopySaid::There);
    heard.iter().filter(has).map(|(peer, _)| *peer)
}

/// Whether somebody will say nothing else before long.
fn is_last_word(heard: &Heard) -> bool {
    matches!(heard, Heard::Said(CopySaid::There | CopySaid::Missing { again: false, .. }))
}

fn state_of(heard: &Heard) -> CopyState {
    let missing =
        |why: &str| CopyState::Missing { why: potluck_base::escape(why, limits::COPY_WHY_BYTES) };
    match heard {
        Heard::Said(CopySaid::There) => CopyState::There,
        Heard::Said(CopySaid::Coming { .. }) => CopyState::Coming,
        Heard::Said(CopySaid::Missing { why, .. }) | Heard::Silent { why } => missing(why),
        Heard::Said(CopySaid::Unasked) => missing("it has not heard of it yet"),
    }
}

fn rank(state: &CopyState) -> u8 {
    match state {
        CopyState::There => 0,
        CopyState::Coming => 1,
        CopyState::Missing { .. } => 2,
    }
}

/// A deposit of ours, with what was last heard of its copies.
pub(super) fn view(own: &OwnDeposit) -> Deposit {
    // What an older program wrote is as good as nothing.
    let heard: Option<Vec<Copy>> = postcard::from_bytes(&own.heard).ok();
    let why = match &heard {
        Some(copies) => why_fewer(own.copies, copies),
        None => Some("nothing has been heard of its copies yet".to_owned()),
    };
    let copies = heard.unwrap_or_default();
    Deposit {
        content: own.content,
        name: own.name.as_str().to_owned(),
        bytes: own.bytes,
        network: own.network,
        wanted: own.copies,
        why,
        copies,
        expires_ms: own.expires_ms,
    }
}

/// Notes what was heard of copies with the deposit.
pub(super) fn note(own: &mut OwnDeposit, copies: &[Copy]) {
    own.heard = postcard::to_allocvec(copies).expect("writing to memory does not fail");
}

/// How many copies are there.
pub(super) fn count(copies: &[Copy]) -> u32 {
    copies.iter().filter(|copy| copy.state == CopyState::There).count() as u32
}

/// Why there are fewer copies than there should be, in words.
fn why_fewer(wanted: u8, copies: &[Copy]) -> Option<String> {
    let (wanted, there) = (usize::from(wanted), count(copies) as usize);
    if there >= wanted {
        return None;
    }
    let mut reasons: Vec<String> = Vec::new();
    match copies.len() {
        0 => return Some("nobody else is on the circle".to_owned()),
        1 if wanted > 1 => reasons.push("there is only 1 other member on the circle".to_owned()),
        some if some < wanted => {
            reasons.push(format!("there are only {some} other members on the circle"));
        }
        _ => {}
    }
    for copy in copies {
        let reason = match &copy.state {
            CopyState::There => continue,
            CopyState::Coming => "a copy is on its way".to_owned(),
            CopyState::Missing { why } => format!("a member could not: {why}"),
        };
        if !reasons.contains(&reason) {
            reasons.push(reason);
        }
    }
    Some(reasons.join("; "))
}

#[cfg(test)]
mod tests {
    use potluck_base::RelPath;

    use super::*;

    #[test]
    fn why_there_are_fewer_copies_is_said_once_for_each_reason() {
        let copy = |number: u8, state: CopyState| Copy { peer: PeerId([number; 32]), state };
        let full = || CopyState::Missing { why: "its quota of 1 kB is used up".to_owned() };
        let two = [copy(1, CopyState::There), copy(2, CopyState::There)];
        assert_eq!(why_fewer(2, &two), None);
        assert_eq!(
            why_fewer(3, &two).as_deref(),
            Some("there are only 2 other members on the circle")
        );
        let three = [copy(1, full()), copy(2, full()), copy(3, CopyState::Coming)];
        assert_eq!(
            why_fewer(3, &three).as_deref(),
            Some("a member could not: its quota of 1 kB is used up; a copy is on its way")
        );
        assert_eq!(why_fewer(1, &[]).as_deref(), Some("nobody else is on the circle"));
    }

    #[test]
    fn as_long_as_nothing_is_heard_of_copies_nobody_is_blamed() {
        let mut own = OwnDeposit {
            network: NetworkId([1; 32]),
            content: ContentId([2; 32]),
            name: RelPath::parse("film").unwrap(),
            bytes: 10,
            copies: 2,
            sequence: 1,
            expires_ms: 1,
            removed: false,
            offer: None,
            heard: Vec::new(),
        };
        let fresh = view(&own).why.unwrap();
        assert_eq!(fresh, "nothing has been heard of its copies yet");
        note(&mut own, &[]);
        assert_eq!(view(&own).why.unwrap(), "nobody else is on the circle");
    }
}
