//! The stored files that this node is to know of: the deposits among the records that it keeps.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard};
use std::time::Duration;

use futures_util::future::join_all;
use potluck_base::{ContentId, PeerId};
use potluck_identity::Signed;
use potluck_proto::directory::chord::index::{
    Deposit, Question, Record, Subject, Term, Told, deposit_put,
};
use potluck_proto::directory::chord::{Effect, Reject, RingId, Slot, Value};
use potluck_proto::directory::record::{Entry, EntryKind};
use tokio::sync::watch;
use tokio::time::timeout;

use super::ChordDirectory;
use super::core::away;
use crate::chance::now_ms;
use crate::directory::{Group, Offered, Provider};
use crate::error::ServiceError;
use crate::stored::candidates;

/// Found contents whose holders are counted, and how long that may take.
const COUNTED: usize = 16;
const COUNT_TIME: Duration = Duration::from_secs(2);

/// The deposits that are kept here.
pub(super) struct Deposits {
    kept: Mutex<BTreeMap<(RingId, Slot), Signed<Deposit>>>,
    changes: watch::Sender<u64>,
}

impl Deposits {
    /// Those among the records that were kept before.
    pub(super) fn among(records: &[(RingId, Record)]) -> Self {
        let kept = records.iter().filter_map(|(key, record)| match record {
            Record::Deposit(stored) => Some(((*key, record.slot()), stored.deposit.clone())),
            _ => None,
        });
        Self { kept: Mutex::new(kept.collect()), changes: watch::Sender::new(0) }
    }

    /// Takes note of what the machine keeps and drops.
    pub(super) fn note(&self, effect: &Effect<Record>) {
        let changed = match effect {
            Effect::Keep { key, record: record @ Record::Deposit(stored) } => {
                self.lock().insert((*key, record.slot()), stored.deposit.clone());
                true
            }
            Effect::Keep { .. } => false,
            Effect::Drop { key, slot } => self.lock().remove(&(*key, *slot)).is_some(),
        };
        if changed {
            self.changes.send_modify(|count| *count += 1);
        }
    }

    /// Others stand beside us now.
    pub(super) fn turn(&self) {
        self.changes.send_modify(|count| *count += 1);
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<(RingId, Slot), Signed<Deposit>>> {
        self.kept.lock().expect("no panic while held")
    }
}

impl ChordDirectory {
    /// All deposits that are kept here at the moment, those that were taken back too: the machine
    /// has verified them. This node is their owner, or has a copy.
    pub fn deposits(&self) -> Vec<Signed<Deposit>> {
        self.heart.deposits.lock().values().cloned().collect()
    }

    /// Changes whenever those are others, and whenever somebody else stands beside us: then others
    /// may be the first of those who are to have a copy.
    pub fn deposit_changes(&self) -> watch::Receiver<u64> {
        self.heart.deposits.changes.subscribe()
    }

    /// Has a deposit kept by those whose key its content is; how many keep it now.
    pub async fn put_deposit(
        &self,
        deposit: Signed<Deposit>,
    ) -> Result<Result<u8, Reject>, ServiceError> {
        let ended = self.put(vec![deposit_put(&self.heart.network(), deposit)]).await?;
        ended.into_iter().next().map(|(_, _, ended)| ended).ok_or_else(away)
    }

    /// Who keeps the key of a content, in order: its owner, and those behind it.
    pub async fn keepers(&self, content: ContentId) -> Result<Vec<PeerId>, ServiceError> {
        let found = self.lookup(self.place_of_content(&content)).await?;
        let mut keepers = vec![found.owner.peer];
        for contact in found.successors {
            if !keepers.contains(&contact.peer) {
                keepers.push(contact.peer);
            }
        }
        Ok(keepers)
    }

    /// Counts those who hold contents that nobody else who is here has: what was stored is there
    /// when whoever put it there is away.
    pub(super) async fn count_holders(&self, groups: &mut [Group]) {
        let away =
            groups.iter_mut().filter(|group| group.online == 0 && group.kind == EntryKind::File);
        let counting = away.take(COUNTED).map(|group| async move {
            let Ok(Some(deposit)) = self.deposit_of(group.content).await else { return };
            let Ok(keepers) = self.keepers(group.content).await else { return };
            let mut holders = candidates(&keepers, &deposit);
            holders.truncate(usize::from(deposit.copies));
            let known = |peer: &PeerId| {
                group.hits.iter().any(|hit| matches!(hit.by, Offered::Member(by, _) if by == *peer))
            };
            let new = holders.iter().filter(|peer| !known(peer)).count() as u32;
            group.online = holders.len() as u32;
            group.providers = group.providers.saturating_add(new);
        });
        // Those that are not counted in time are shown without.
        let _ = timeout(COUNT_TIME, join_all(counting)).await;
    }

    /// A deposit of a content that counts.
    async fn deposit_of(&self, content: ContentId) -> Result<Option<Deposit>, ServiceError> {
        let mut deposits = self.deposits_of(content).await?;
        deposits.retain(|signed| !signed.value.removed && signed.value.expires_ms >= now_ms());
        Ok(deposits.into_iter().map(|signed| signed.value).max_by_key(|deposit| deposit.copies))
    }

    /// Those who are to hold a stored file, as providers of it: whether they have it already, they
    /// say themselves. Those behind them may stand in for one that cannot, or hold it still: they
    /// count as partial.
    pub(super) async fn holders(&self, content: ContentId) -> Result<Vec<Provider>, ServiceError> {
        let Some(deposit) = self.deposit_of(content).await? else { return Ok(Vec::new()) };
        let keepers = self.keepers(content).await?;
        let mut first = candidates(&keepers, &deposit);
        first.truncate(usize::from(deposit.copies));
        let entry = Entry {
            path: deposit.name,
            content,
            size: deposit.size,
            kind: deposit.kind,
            executable: false,
            modified_s: deposit.sequence / 1000,
        };
        let others = keepers.into_iter().filter(|peer| *peer != self.heart.own());
        let holder = |peer| Provider {
            peer,
            nick: self.nick_of(peer).unwrap_or_default(),
            address: self.heart.lines.address(peer),
            online: true,
            last_seen_ms: now_ms(),
            partial: !first.contains(&peer),
            entry: entry.clone(),
        };
        Ok(others.map(holder).collect())
    }

    /// The deposits of a content, by the word of those who keep its key, those that were taken back
    /// too. Each is signed by who it names.
    pub async fn deposits_of(
        &self,
        content: ContentId,
    ) -> Result<Vec<Signed<Deposit>>, ServiceError> {
        let network = self.heart.network();
        let key = Term::new(Subject::Deposit(content)).key(&network);
        let told = self.ask_key(key, Question::Deposits).await?;
        let Some((_, answer)) = told else { return Err(away()) };
        let Told::Deposits(mut deposits) = answer.told else { return Ok(Vec::new()) };
        deposits.retain(|signed| {
            signed.value.content == content
                && Deposit::check(signed, &network, &signed.value.peer).is_ok()
        });
        Ok(deposits)
    }
}
