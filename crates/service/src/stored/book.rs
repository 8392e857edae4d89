//! Who has how much of what this node is willing to hold: every decision about room, without a
//! disk or a clock.
//!
//! Room is taken before a byte is fetched, so that several files on their way do not fill it twice.
//! A content counts once, however many want it held; it counts against the share of each of them.

use std::collections::BTreeMap;

use potluck_base::{Bytes, ContentId, NetworkId, PeerId, limits};

/// Who wants a content held, and where.
pub type Claimant = (NetworkId, PeerId);

/// Why there is no room for a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoRoom {
    /// This node holds nothing for others.
    #[error("it holds nothing for others")]
    Nothing,
    /// The file alone is more than one publisher may fill.
    #[error("the file is larger than what one member may fill there, {}", Bytes(*.0))]
    TooLarge(u64),
    /// The publisher has had its part of the room.
    #[error("what it holds for you has reached its limit, {}", Bytes(*.0))]
    ShareUsed(u64),
    /// Everything is full.
    #[error("its quota of {} is used up", Bytes(*.0))]
    Full(u64),
    /// So many files that they are no longer looked after.
    #[error("it holds as many files as it can look after")]
    TooMany,
}

/// What is held, or is to be.
#[derive(Debug)]
pub struct Book {
    quota: u64,
    held: BTreeMap<ContentId, Line>,
}

/// One content.
#[derive(Debug)]
struct Line {
    bytes: u64,
    claims: BTreeMap<Claimant, u64>,
    /// Others have it, and are to: it goes as soon as its room is needed.
    spare: bool,
}

impl Book {
    /// Nothing is held yet.
    pub fn new(quota: u64) -> Self {
        Self { quota, held: BTreeMap::new() }
    }

    /// The room that there is in all.
    pub fn quota(&self) -> u64 {
        self.quota
    }

    /// Bytes that are taken, by what is here and by what is on its way.
    pub fn used(&self) -> u64 {
        self.held.values().fold(0, |sum, line| sum.saturating_add(line.bytes))
    }

    /// Whether a content is held, or is to be.
    pub fn has(&self, content: &ContentId) -> bool {
        self.held.contains_key(content)
    }

    /// All that is held, or is to be.
    pub fn contents(&self) -> impl Iterator<Item = ContentId> + '_ {
        self.held.keys().copied()
    }

    /// Whether a content is held on behalf of anybody in a network.
    pub fn has_network(&self, content: &ContentId, network: &NetworkId) -> bool {
        let line = self.held.get(content);
        line.is_some_and(|line| line.claims.keys().any(|(of, _)| of == network))
    }

    /// Whether nobody else wants a content held but these.
    pub fn would_be_last(&self, content: &ContentId, these: &[Claimant]) -> bool {
        let line = self.held.get(content);
        line.is_none_or(|line| line.claims.keys().all(|of| these.contains(of)))
    }

    /// Whether a content is held on behalf of this one.
    pub fn has_claim(&self, content: &ContentId, of: &Claimant) -> bool {
        self.held.get(content).is_some_and(|line| line.claims.contains_key(of))
    }

    /// Notes what was held before this node started, whether or not there is room: a quota that was
    /// lowered throws nothing out, and lets nothing more in.
    pub fn restore(&mut self, content: ContentId, bytes: u64, of: Claimant, expires_ms: u64) {
        let line = self.held.entry(content).or_insert_with(|| Line::new(bytes));
        line.bytes = line.bytes.max(bytes);
        line.claims.insert(of, expires_ms);
    }

    /// Takes room for a content on behalf of somebody. What has to go for it is returned: spare
    /// contents, those first that run out first; they count no more.
    pub fn take(
        &mut self,
        content: ContentId,
        bytes: u64,
        of: Claimant,
        expires_ms: u64,
    ) -> Result<Vec<ContentId>, NoRoom> {
        if self.has_claim(&content, &of) {
            self.restore(content, bytes, of, expires_ms);
            self.set_spare(&content, false);
            return Ok(Vec::new());
        }
        self.check_share(&content, bytes, &of)?;
        let known = self.held.get(&content).map_or(0, |line| line.bytes);
        let more = bytes.saturating_sub(known);
        let gone = self.make_room(&content, more)?;
        for content in &gone {
            self.held.remove(content);
        }
        self.restore(content, bytes, of, expires_ms);
        self.set_spare(&content, false);
        Ok(gone)
    }

    /// Whether one publisher may have so much more.
    fn check_share(&self, content: &ContentId, bytes: u64, of: &Claimant) -> Result<(), NoRoom> {
        if self.quota == 0 {
            return Err(NoRoom::Nothing);
        }
        let share = self.quota / limits::HELD_SHARE_OF_ONE;
        if bytes > share {
            return Err(NoRoom::TooLarge(share));
        }
        let of_peer = |line: &&Line| line.claims.keys().any(|(_, peer)| *peer == of.1);
        let (mut files, mut filled) = (0, 0u64);
        for (id, line) in &self.held {
            if of_peer(&line) && id != content {
                files += 1;
                filled = filled.saturating_add(line.bytes);
            }
        }
        let many = files >= limits::HELD_FILES_PER_PEER;
        if many || filled.saturating_add(bytes) > share {
            return Err(NoRoom::ShareUsed(share));
        }
        Ok(())
    }

    /// The spare contents that have to go for so many bytes of another.
    fn make_room(&self, content: &ContentId, more: u64) -> Result<Vec<ContentId>, NoRoom> {
        let mut spare: Vec<(&ContentId, &Line)> =
            self.held.iter().filter(|(id, line)| line.spare && *id != content).collect();
        spare.sort_by_key(|(_, line)| line.expires_ms());
        let (mut used, mut files) = (self.used(), self.held.len());
        let mut gone = Vec::new();
        let mut spare = spare.into_iter();
        loop {
            let full = used.checked_add(more).is_none_or(|all| all > self.quota);
            if !full && files < limits::HELD_FILES {
                return Ok(gone);
            }
            let Some((id, line)) = spare.next() else {
                return Err(if full { NoRoom::Full(self.quota) } else { NoRoom::TooMany });
            };
            used = used.saturating_sub(line.bytes);
            files -= 1;
            gone.push(*id);
        }
    }

    /// Says whether a content may go when room is needed.
    pub fn set_spare(&mut self, content: &ContentId, spare: bool) {
        if let Some(line) = self.held.get_mut(content) {
            line.spare = spare;
        }
    }

    /// Somebody no longer wants a content held; whether nobody does.
    pub fn drop_claim(&mut self, content: &ContentId, of: &Claimant) -> bool {
        let Some(line) = self.held.get_mut(content) else { return true };
        line.claims.remove(of);
        let last = line.claims.is_empty();
        if last {
            self.held.remove(content);
        }
        last
    }

    /// Claims whose time is over.
    pub fn expired(&self, now_ms: u64) -> Vec<(ContentId, Claimant)> {
        let mut all = Vec::new();
        for (content, line) in &self.held {
            let over = line.claims.iter().filter(|(_, expires_ms)| **expires_ms < now_ms);
            all.extend(over.map(|(of, _)| (*content, *of)));
        }
        all
    }
}

impl Line {
    fn new(bytes: u64) -> Self {
        Self { bytes, claims: BTreeMap::new(), spare: false }
    }

    /// When nobody wants it any more.
    fn expires_ms(&self) -> u64 {
        self.claims.values().copied().max().unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NET: NetworkId = NetworkId([9; 32]);

    fn id(number: u8) -> ContentId {
        ContentId([number; 32])
    }

    fn of(peer: u8) -> Claimant {
        (NET, PeerId([peer; 32]))
    }

    #[test]
    fn room_is_taken_before_anything_comes_and_given_back() {
        let mut book = Book::new(100);
        assert_eq!(book.take(id(1), 40, of(1), 5), Ok(vec![]));
        assert_eq!(book.take(id(2), 40, of(2), 5), Ok(vec![]));
        assert_eq!(book.take(id(3), 30, of(3), 5), Err(NoRoom::Full(100)));
        assert_eq!(book.used(), 80);
        assert!(book.drop_claim(&id(1), &of(1)));
        assert_eq!(book.take(id(3), 30, of(3), 5), Ok(vec![]));
        assert_eq!(book.used(), 70);
    }

    #[test]
    fn a_quota_of_nothing_holds_nothing() {
        let mut book = Book::new(0);
        assert_eq!(book.take(id(1), 0, of(1), 5), Err(NoRoom::Nothing));
        assert!(!book.has(&id(1)));
    }

    #[test]
    fn one_publisher_fills_half_at_most() {
        let mut book = Book::new(100);
        assert_eq!(book.take(id(1), 51, of(1), 5), Err(NoRoom::TooLarge(50)));
        assert_eq!(book.take(id(1), 30, of(1), 5), Ok(vec![]));
        assert_eq!(book.take(id(2), 30, of(1), 5), Err(NoRoom::ShareUsed(50)));
        assert_eq!(book.take(id(2), 20, of(1), 5), Ok(vec![]));
        assert_eq!(book.take(id(3), 1, of(1), 5), Err(NoRoom::ShareUsed(50)));
        let elsewhere = (NetworkId([8; 32]), of(1).1);
        assert_eq!(book.take(id(3), 1, elsewhere, 5), Err(NoRoom::ShareUsed(50)));
        assert_eq!(book.take(id(3), 50, of(2), 5), Ok(vec![]));
    }

    #[test]
    fn one_publisher_has_so_many_files_at_most() {
        let mut book = Book::new(u64::MAX);
        for number in 0..limits::HELD_FILES_PER_PEER as u32 {
            let mut content = id(0);
            content.0[..4].copy_from_slice(&number.to_be_bytes());
            assert_eq!(book.take(content, 0, of(1), 5), Ok(vec![]));
        }
        assert!(matches!(book.take(id(7), 0, of(1), 5), Err(NoRoom::ShareUsed(_))));
        assert_eq!(book.take(id(7), 0, of(2), 5), Ok(vec![]));
    }

    #[test]
    fn a_content_counts_once_and_goes_with_its_last_claim() {
        let mut book = Book::new(100);
        assert_eq!(book.take(id(1), 50, of(1), 5), Ok(vec![]));
        assert_eq!(book.take(id(1), 50, of(2), 9), Ok(vec![]));
        assert_eq!(book.used(), 50);
        assert_eq!(book.take(id(2), 1, of(2), 5), Err(NoRoom::ShareUsed(50)));
        assert!(!book.drop_claim(&id(1), &of(1)));
        assert_eq!(book.used(), 50);
        assert!(book.drop_claim(&id(1), &of(2)));
        assert_eq!(book.used(), 0);
    }

    #[test]
    fn a_renewed_claim_takes_no_more_room() {
        let mut book = Book::new(100);
        assert_eq!(book.take(id(1), 50, of(1), 5), Ok(vec![]));
        assert_eq!(book.take(id(1), 50, of(1), 9), Ok(vec![]));
        assert_eq!((book.used(), book.expired(6)), (50, vec![]));
        assert_eq!(book.expired(10), [(id(1), of(1))]);
    }

    #[test]
    fn what_is_spare_goes_for_what_is_needed_and_what_runs_out_first_goes_first() {
        let mut book = Book::new(100);
        for (number, expires_ms) in [(1, 30), (2, 10), (3, 20)] {
            assert_eq!(book.take(id(number), 30, of(number), expires_ms), Ok(vec![]));
        }
        assert_eq!(book.take(id(4), 30, of(4), 5), Err(NoRoom::Full(100)));
        for number in [1, 2, 3] {
            book.set_spare(&id(number), true);
        }
        assert_eq!(book.take(id(4), 40, of(4), 5), Ok(vec![id(2)]));
        assert_eq!(book.take(id(3), 30, of(3), 25), Ok(vec![]));
        assert_eq!(book.take(id(5), 30, of(5), 5), Ok(vec![id(1)]));
        assert_eq!(book.take(id(6), 30, of(6), 5), Err(NoRoom::Full(100)));
        assert_eq!(book.used(), 100, "what was refused made nothing go");
    }

    #[test]
    fn a_lowered_quota_throws_nothing_out_and_lets_nothing_in() {
        let mut book = Book::new(10);
        book.restore(id(1), 50, of(1), 5);
        assert_eq!(book.take(id(2), 1, of(2), 5), Err(NoRoom::Full(10)));
        assert_eq!(book.take(id(1), 50, of(1), 9), Ok(vec![]), "it is renewed all the same");
    }

    #[test]
    fn sizes_that_no_disk_has_do_not_overflow() {
        let mut book = Book::new(u64::MAX);
        assert_eq!(book.take(id(1), u64::MAX, of(1), 5), Err(NoRoom::TooLarge(u64::MAX / 2)));
        book.restore(id(1), u64::MAX, of(1), 5);
        book.restore(id(2), u64::MAX, of(2), 5);
        assert_eq!(book.used(), u64::MAX);
        assert_eq!(book.take(id(3), 1, of(3), 5), Err(NoRoom::Full(u64::MAX)));
    }
}
