//! The end of a download: everything is gathered in the part, then moved to the target.
//!
//! A target that is not there appears whole, by one rename that never replaces anything. Into one
//! that is there (an earlier result, or with `OnExists::Overwrite`) files are moved one by one.
//! Before the first move the row says `finishing` and what each file will be; so after a crash in
//! the middle the files that were moved are known again.

use std::os::fd::AsFd;
use std::path::PathBuf;
use std::sync::PoisonError;

use potluck_base::RelPath;
use potluck_content::root;

use crate::checkpoint::Turn;
use crate::download::Download;
use crate::error::StoreError;
use crate::fingerprint::Fingerprint;
use crate::local::copy_values;
use crate::part::{Part, check_own};
use crate::record::{self, Stage};
use crate::sweep;

/// How a download ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finished {
    /// Where it is.
    pub path: PathBuf,
    /// Selected files that were given up.
    pub missing: Vec<RelPath>,
}

impl Download {
    /// Moves the result to its place and records it, so that it can be served from there.
    ///
    /// `given_up` names files that may be missing; any other missing file is an error, and so is a
    /// single file given up. May be called again after an error, and after success. Does not wait
    /// for the disk, as copying programs do not: [`crate::Store::settle`] does.
    pub fn finish(&self, given_up: &[u32]) -> Result<Finished, StoreError> {
        let mut turn = self.turn();
        if let Some(finished) = &turn.finished {
            return Ok(finished.clone());
        }
        if !turn.moved {
            let missing = self.missing(given_up)?;
            let part = self.places.read().unwrap_or_else(PoisonError::into_inner).part.clone();
            self.save_in(&mut turn)?;
            if let Some(part) = &part {
                self.gather(part)?;
            }
            let files = self.fingerprints(part.as_deref())?;
            self.choose_name()?;
            self.note(&mut turn, Stage::Finishing, &files)?;
            let into_target = self.move_all(part.as_deref(), &files)?;
            if let Some(part) = part.filter(|_| into_target && self.manifest.is_some()) {
                let root = self.folder.root();
                let swept = sweep::delete(&self.store.disk, root.as_fd(), &part.name);
                swept.map_err(|e| StoreError::io("delete", &part.path, e))?;
            }
            turn.moved = true;
            turn.missing = missing;
        }
        let files = {
            let mut places = self.places.write().unwrap_or_else(PoisonError::into_inner);
            places.part = None;
            places.placed.clone()
        };
        self.note(&mut turn, Stage::Finished, &files)?;
        let missing = std::mem::take(&mut turn.missing);
        let finished = Finished { path: self.target(), missing };
        turn.finished = Some(finished.clone());
        Ok(finished)
    }

    /// The selected files that are not here, each of which must have been given up.
    fn missing(&self, given_up: &[u32]) -> Result<Vec<RelPath>, StoreError> {
        let mut missing = Vec::new();
        let progress = self.progress();
        for file in (0..self.map.files()).filter(|file| self.is_selected(*file)) {
            if progress.have.contains_range(self.map.file(file).pieces) {
                continue;
            }
            let stand_in = self.twins.stand_in(file);
            let known = given_up.contains(&file) || stand_in.is_some_and(|f| given_up.contains(&f));
            let path = self.rel(file).filter(|_| known).and_then(|rel| RelPath::parse(rel).ok());
            missing.push(path.ok_or(StoreError::Bug("finished before everything was here"))?);
        }
        Ok(missing)
    }

    /// Brings the part to what the target shall be: copies of equal files, empty files; nothing
    /// else.
    fn gather(&self, part: &Part) -> Result<(), StoreError> {
        let disk = &self.store.disk;
        for first in self.twins.firsts() {
            if !self.is_stored(first) {
                continue;
            }
            for twin in self.twins.of(first) {
                if self.is_selected(*twin) && !self.is_stored(*twin) {
                    self.copy_twin(part, first, *twin)?;
                }
            }
        }
        for file in 0..self.map.files() {
            if self.map.file(file).layout.is_empty() && self.is_selected(file) {
                let made = part.file(disk, part.rel(self.rel(file)), 0, self.runs(file));
                made.map_err(|e| self.error("write", file, e))?;
            }
        }
        let Some(manifest) = &self.manifest else {
            return Ok(());
        };
        let kept = |path: &str| {
            let Ok(path) = RelPath::parse(path) else {
                return false;
            };
            let entries = manifest.entries();
            let Ok(entry) = entries.binary_search_by(|e| e.path.cmp(&path)) else {
                return false;
            };
            self.file_of(entry).is_some_and(|file| self.goes(file))
        };
        part.below.forget();
        let swept = sweep::keep_only(disk, part.below.root().as_fd(), &kept);
        swept.map_err(|e| StoreError::io("write", &part.path, e))
    }

    /// Whether a file moves from the part to the target.
    fn goes(&self, file: u32) -> bool {
        let placed = {
            let places = self.places.read().unwrap_or_else(PoisonError::into_inner);
            places.placed[file as usize].is_some()
        };
        !placed
            && self.is_stored(file)
            && (!self.map.file(file).layout.is_empty() || self.is_selected(file))
    }

    fn is_stored(&self, file: u32) -> bool {
        self.progress().stored.contains_range(self.map.file(file).pieces)
    }

    /// The file that is this entry of the manifest.
    fn file_of(&self, entry: usize) -> Option<u32> {
        let (mut low, mut high) = (0, self.map.files());
        while low < high {
            let middle = low + (high - low) / 2;
            if self.map.file(middle).entry < entry { low = middle + 1 } else { high = middle }
        }
        (low < self.map.files() && self.map.file(low).entry == entry).then_some(low)
    }

    fn copy_twin(&self, part: &Part, from: u32, to: u32) -> Result<(), StoreError> {
        let info = self.map.file(to);
        let source = self.opened(from).map_err(|e| self.error("read", from, e))?;
        let rel = part.rel(self.rel(to));
        let copied = part
            .file(&self.store.disk, rel, info.layout.len(), self.runs(to))
            .and_then(|file| copy_values(&self.store.disk, &source, &file, &info.layout));
        let values = copied.map_err(|e| self.error("write", to, e))?;
        if root(&info.layout, &values) != info.id {
            return Err(StoreError::Changed { path: self.file_path(from) });
        }
        self.add(&mut self.progress(), info.pieces);
        Ok(())
    }

    /// What each file is, or will be, at the target.
    fn fingerprints(&self, part: Option<&Part>) -> Result<Vec<Option<Fingerprint>>, StoreError> {
        let mut files = self.places.read().unwrap_or_else(PoisonError::into_inner).placed.clone();
        let Some(part) = part else { return Ok(files) };
        for file in (0..self.map.files()).filter(|file| self.goes(*file)) {
            let rel = part.rel(self.rel(file));
            let stat = part
                .below
                .stat(rel)
                .and_then(|stat| check_own(&stat).map(|()| stat))
                .map_err(|e| self.error("look at", file, e))?;
            let fingerprint = Fingerprint::of_stat(&stat);
            if fingerprint.size != self.map.file(file).layout.len() {
                return Err(StoreError::Foreign { path: self.file_path(file) });
            }
            files[file as usize] = Some(fingerprint);
        }
        Ok(files)
    }

    fn note(
        &self,
        turn: &mut Turn,
        stage: Stage,
        files: &[Option<Fingerprint>],
    ) -> Result<(), StoreError> {
        let home = self.store.home.path();
        self.store.disk.step().map_err(|e| StoreError::io("write", home, e))?;
        let mut record = turn.record.clone();
        let safe = record.synced && record.files == files;
        record.stage = stage;
        record.name = self.places.read().unwrap_or_else(PoisonError::into_inner).name.clone();
        record.files = files.to_vec();
        record.selected = self.selected.clone();
        record.dev = files.iter().flatten().next().map_or(record.dev, |file| file.dev);
        if !safe {
            record.synced = false;
            record.boot = self.store.boot().to_owned();
        }
        self.store.db.transaction(|tx| {
            if stage == Stage::Finished {
                record::displace(tx, &record)?;
            }
            record::update(tx, &record)
        })?;
        turn.record = record;
        Ok(())
    }
}
