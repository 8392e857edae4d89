//! The entries of one share in pages, as directories keep them: a change of one file changes one
//! page.

use std::collections::{BTreeMap, BTreeSet};

use potluck_base::{ContentId, NetworkId, ShareKey, limits};
use potluck_identity::{SecretKey, Signed};
use potluck_proto::directory::record::{
    Entry, EntryKind, Page, Place, RecordError, ShareHead, leaf, page_of, pages_for, root_of,
    share_digest,
};

/// How far a share may grow or shrink before its files are put into another number of pages.
const REPAGE_AT: u16 = 4;
/// What the fields of an entry beside its path take at most, as the reader of a page counts.
const ENTRY_BYTES: usize = 64;

/// The pages of a share, without signatures: those depend on the network.
#[derive(Clone, Debug)]
pub struct PagedShare {
    lists: Vec<List>,
    size: u64,
    files: u32,
}

/// The entries of one page.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct List {
    entries: Vec<Entry>,
    root: [u8; 32],
    /// The publication in which it last changed.
    sequence: u64,
}

/// What a directory is told about a share beside its entries.
#[derive(Clone, Copy, Debug)]
pub struct HeadFields<'a> {
    /// In which network.
    pub network: NetworkId,
    /// Names it for as long as it is published.
    pub share: ShareKey,
    /// What it is called.
    pub name: &'a str,
    /// Words that it can be found by besides.
    pub tags: &'a [String],
    /// The content as a whole.
    pub content: ContentId,
    /// A file or a folder.
    pub kind: EntryKind,
    /// Whether it is still being fetched.
    pub partial: bool,
    /// The number of this publication.
    pub sequence: u64,
    /// Until when it counts, in unix milliseconds.
    pub expires_ms: u64,
}

impl PagedShare {
    /// Puts entries into pages, all of them of the publication `sequence`.
    ///
    /// `pages` is into how many they were put before, if that is known: the same number is taken
    /// again as long as it fits.
    pub fn new(entries: Vec<Entry>, pages: Option<u16>, sequence: u64) -> Self {
        let pages = pages.filter(|pages| fits(entries.len(), *pages));
        let pages = pages.unwrap_or_else(|| pages_for(entries.len()));
        let (size, files) = totals(&entries);
        let mut lists = into_lists(entries, pages);
        lists.iter_mut().for_each(|list| list.close(sequence));
        Self { lists, size, files }
    }

    /// Takes the entries of the publication `sequence`; returns the pages that changed.
    ///
    /// Those are all if the share has grown or shrunk so much that the number of pages changes.
    pub fn update(&mut self, entries: Vec<Entry>, sequence: u64) -> BTreeSet<u16> {
        (self.size, self.files) = totals(&entries);
        let before = self.pages();
        let pages = if fits(entries.len(), before) { before } else { pages_for(entries.len()) };
        let lists = into_lists(entries, pages);
        let same_number = lists.len() == self.lists.len();
        self.lists.resize_with(lists.len(), List::default);
        let mut changed = BTreeSet::new();
        for (number, (mut new, old)) in (0..).zip(lists.into_iter().zip(&mut self.lists)) {
            if !same_number || new.entries != old.entries {
                new.close(sequence);
                *old = new;
                changed.insert(number);
            }
        }
        changed
    }

    /// Gives all pages a new number, for them to be signed again before they expire.
    pub fn renew(&mut self, sequence: u64) {
        self.lists.iter_mut().for_each(|list| list.sequence = sequence);
    }

    /// Into how many pages the entries are put: a power of two.
    pub fn pages(&self) -> u16 {
        self.lists.len() as u16
    }

    /// How many files there are.
    pub fn files(&self) -> u32 {
        self.files
    }

    /// Bytes of all files.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// The number of the publication in which each page last changed, and its root.
    pub fn roots(&self) -> BTreeMap<u16, (u64, [u8; 32])> {
        (0..).zip(self.lists.iter().map(|list| (list.sequence, list.root))).collect()
    }

    /// What all pages come to.
    pub fn digest(&self) -> [u8; 32] {
        share_digest((0..).zip(self.lists.iter().map(|list| list.root)))
    }

    /// Signs a page for a network, with the number of its last change; none if there is no such
    /// page.
    pub fn page(
        &self,
        page: u16,
        key: &SecretKey,
        network: NetworkId,
        share: ShareKey,
        expires_ms: u64,
    ) -> Option<Result<Page, RecordError>> {
        let list = self.lists.get(usize::from(page))?;
        let (pages, sequence) = (self.pages(), list.sequence);
        let place = Place { network, share, page, pages, sequence, expires_ms };
        Some(Page::make(key, place, list.entries.clone()))
    }

    /// Signs what is said about the share as a whole.
    pub fn head(&self, key: &SecretKey, fields: &HeadFields<'_>) -> Signed<ShareHead> {
        Signed::sign(
            key,
            ShareHead {
                network: fields.network,
                peer: key.peer_id(),
                share: fields.share,
                name: fields.name.to_owned(),
                tags: fields.tags.to_vec(),
                content: fields.content,
                kind: fields.kind,
                size: self.size,
                files: self.files,
                partial: fields.partial,
                pages: self.pages(),
                sequence: fields.sequence,
                expires_ms: fields.expires_ms,
            },
        )
    }
}

impl List {
    fn close(&mut self, sequence: u64) {
        let leaves: Vec<_> = self.entries.iter().map(leaf).collect();
        (self.root, self.sequence) = (root_of(&leaves), sequence);
    }

    /// Whether a reader would take it as a page.
    fn fits(&self) -> bool {
        let bytes = self.entries.iter().map(|entry| entry.path.len() + ENTRY_BYTES);
        self.entries.len() <= limits::PAGE_ENTRIES && bytes.sum::<usize>() <= limits::PAGE_BYTES
    }
}

/// Whether so many entries may stay in so many pages.
fn fits(entries: usize, pages: u16) -> bool {
    let (best, pages) = (u32::from(pages_for(entries)), u32::from(pages));
    let (most, change) = (u32::from(limits::PAGES), u32::from(REPAGE_AT));
    pages.is_power_of_two() && pages <= most && pages < best * change && best < pages * change
}

/// Puts entries into at least so many pages, so that none is too large, each sorted by path.
fn into_lists(entries: Vec<Entry>, pages: u16) -> Vec<List> {
    let mut lists = vec![List::default(); usize::from(pages)];
    for entry in entries {
        let page = page_of(&entry.path, pages);
        lists[usize::from(page)].entries.push(entry);
    }
    if pages < limits::PAGES && !lists.iter().all(List::fits) {
        let entries = lists.into_iter().flat_map(|list| list.entries).collect();
        return into_lists(entries, pages * 2);
    }
    for list in &mut lists {
        list.entries.sort_unstable_by(|a, b| a.path.cmp(&b.path));
    }
    lists
}

fn totals(entries: &[Entry]) -> (u64, u32) {
    let files = u32::try_from(entries.len()).unwrap_or(u32::MAX);
    (entries.iter().map(|entry| entry.size).sum(), files)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(number: u32) -> Entry {
        Entry {
            path: format!("folder-{}/file-{number}.txt", number % 97),
            content: ContentId([(number % 251) as u8; 32]),
            size: u64::from(number),
            kind: EntryKind::File,
            executable: false,
            modified_s: 1,
        }
    }

    fn entries(count: u32) -> Vec<Entry> {
        (0..count).map(entry).collect()
    }

    fn fields(sequence: u64) -> HeadFields<'static> {
        HeadFields {
            network: NetworkId([2; 32]),
            share: ShareKey([3; 16]),
            name: "share",
            tags: &[],
            content: ContentId([4; 32]),
            kind: EntryKind::Folder,
            partial: false,
            sequence,
            expires_ms: 9,
        }
    }

    #[test]
    fn a_file_more_in_a_hundred_thousand_costs_one_page() {
        let mut share = PagedShare::new(entries(100_000), None, 7);
        assert_eq!((share.pages(), share.files()), (2048, 100_000));
        let (roots, digest) = (share.roots(), share.digest());
        let changed = share.update(entries(100_001), 8);
        let [page] = changed.iter().copied().collect::<Vec<_>>()[..] else {
            panic!("{changed:?}");
        };
        assert_ne!(share.digest(), digest);
        for (number, (sequence, root)) in share.roots() {
            assert_eq!(sequence, if number == page { 8 } else { 7 });
            assert_eq!(root == roots[&number].1, number != page);
        }
        // Back again: the digest is what it was, the numbers are not.
        assert_eq!(share.update(entries(100_000), 9), changed);
        assert_eq!(share.digest(), digest);
        assert_eq!(share.roots()[&page], (9, roots[&page].1));
        assert!(share.update(entries(100_000), 10).is_empty());
    }

    #[test]
    fn pages_and_heads_are_signed_so_that_a_reader_takes_them() {
        let key = SecretKey::from_seed([1; 32]);
        let (network, peer) = (NetworkId([2; 32]), key.peer_id());
        let share = PagedShare::new(entries(1000), None, 7);
        let mut read = Vec::new();
        for (number, (sequence, root)) in share.roots() {
            let page = share.page(number, &key, network, ShareKey([3; 16]), 9).unwrap().unwrap();
            page.check(&network, &peer).unwrap();
            let head = page.head.value;
            assert_eq!((head.sequence, head.root, head.pages), (sequence, root, 16));
            read.extend(page.entries);
        }
        assert!(share.page(16, &key, network, ShareKey([3; 16]), 9).is_none());
        read.sort_by_key(|entry| entry.size);
        assert_eq!(read, entries(1000));
        let head = share.head(&key, &fields(8));
        let head = ShareHead::check(&head, &network, &peer).unwrap();
        assert_eq!((head.files, head.size, head.pages), (1000, 499_500, 16));
    }

    #[test]
    fn the_number_of_pages_stays_until_the_share_has_grown_or_shrunk_fourfold() {
        let mut share = PagedShare::new(entries(1000), None, 1);
        assert_eq!(share.pages(), 16);
        for (count, pages) in [(2000, 16), (3000, 64), (1100, 64), (1000, 16), (600, 16), (64, 1)] {
            let all = share.pages();
            let changed = share.update(entries(count), 2);
            assert_eq!(share.pages(), pages, "{count}");
            assert!(pages == all || changed.len() == usize::from(pages));
        }
        // After a restart the number is known from before.
        assert_eq!(PagedShare::new(entries(2000), Some(16), 1).pages(), 16);
        assert_eq!(PagedShare::new(entries(2000), Some(3), 1).pages(), 32);
        assert_eq!(PagedShare::new(entries(2000), Some(2), 1).pages(), 32);
        assert_eq!(PagedShare::new(Vec::new(), None, 1).pages(), 1);
    }

    #[test]
    fn long_paths_get_more_pages_so_that_each_can_be_sent() {
        let key = SecretKey::from_seed([1; 32]);
        let long = |number: u32| {
            let names = [format!("{number}"), "x".repeat(250)].into_iter();
            let path: Vec<_> = names.chain((0..14).map(|_| "y".repeat(250))).collect();
            Entry { path: path.join("/"), ..entry(number) }
        };
        let share = PagedShare::new((0..2000).map(long).collect(), None, 1);
        assert!(share.pages() >= 32);
        for number in 0..share.pages() {
            let page = share.page(number, &key, NetworkId([2; 32]), ShareKey([3; 16]), 9);
            page.unwrap().unwrap();
        }
    }
}
