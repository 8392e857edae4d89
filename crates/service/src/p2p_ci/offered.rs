//! What this node publishes in networks, for old peers to GET.

use std::io::{self, Read};
use std::sync::Mutex;
use std::time::{Duration, Instant};

use potluck_base::{ContentId, PieceRange};
use potluck_store::{Source, Store};

use super::{CiFile, CiFiles, number_of};
use crate::publish::entries_of;

/// How long a list of what is published is good for.
const LISTED_FOR: Duration = Duration::from_secs(2);

/// The files of a node's listed offers.
pub struct Offered {
    store: Store,
    listed: Mutex<Option<(Instant, Vec<Listed>)>>,
}

#[derive(Clone)]
struct Listed {
    number: u32,
    name: String,
    content: ContentId,
    size: u64,
    modified: u64,
}

impl Offered {
    /// What this store offers in networks.
    pub fn new(store: Store) -> Self {
        Self { store, listed: Mutex::default() }
    }

    fn listed(&self) -> Vec<Listed> {
        let mut known = self.listed.lock().expect("no panic while held");
        if let Some((at, listed)) = &*known
            && at.elapsed() < LISTED_FOR
        {
            return listed.clone();
        }
        let mut listed = Vec::new();
        let offers = self.store.offers().unwrap_or_default();
        // What is for named peers only is not for old clients: nobody knows who they are.
        let open = |offer: &&potluck_store::Offer| !offer.audience.networks.is_empty();
        for offer in offers.iter().filter(|offer| !offer.listed.is_empty()).filter(open) {
            for entry in entries_of(&self.store, &offer.content).unwrap_or_default() {
                listed.push(Listed {
                    number: number_of(&entry.path, &entry.content),
                    name: entry.path.rsplit('/').next().unwrap_or_default().to_owned(),
                    content: entry.content,
                    size: entry.size,
                    modified: entry.modified_s,
                });
            }
        }
        *known = Some((Instant::now(), listed.clone()));
        listed
    }
}

impl CiFiles for Offered {
    fn open(&self, number: u32, title: Option<&str>) -> Option<CiFile> {
        let fits: Vec<Listed> =
            self.listed().into_iter().filter(|listed| listed.number == number).collect();
        let titled = fits.iter().find(|listed| Some(listed.name.as_str()) == title);
        let chosen = titled.or(fits.first())?.clone();
        let source = self.store.open_source(&chosen.content).ok()??;
        Some(CiFile {
            title: chosen.name,
            size: chosen.size,
            modified: chosen.modified,
            reader: Box::new(Pieces { source, next: 0, buffer: Vec::new(), at: 0 }),
        })
    }
}

/// A file's bytes, piece by piece; a file that has changed since it was shared ends in an error.
struct Pieces {
    source: Source,
    next: u32,
    buffer: Vec<u8>,
    at: usize,
}

impl Read for Pieces {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        if self.at == self.buffer.len() {
            if self.next == self.source.map().total() {
                return Ok(0);
            }
            let piece = PieceRange::one(self.next);
            self.source.read(piece, &mut self.buffer).map_err(io::Error::other)?;
            (self.next, self.at) = (self.next + 1, 0);
        }
        let length = into.len().min(self.buffer.len() - self.at);
        into[..length].copy_from_slice(&self.buffer[self.at..self.at + length]);
        self.at += length;
        Ok(length)
    }
}
