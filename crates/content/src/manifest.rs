//! What a shared folder contains: files, empty folders and links, sorted; its hash names it.
//!
//! Goals: one form for one folder, so that equal folders have equal ids; a manifest that was read
//! can be written to disk below a folder without looking at it again. Non-goals: times, owners,
//! permissions beyond the executable bit. The form is described in `docs/spec/03-manifest.md`.

use std::collections::BTreeMap;

use potluck_base::{ContentId, PathError, RelPath, limits};

use crate::hash;
use crate::reader::{Malformed, Reader, push_varint, varint_len};
use crate::tree::Layout;

const MAGIC: &[u8; 4] = b"PLMF";
const VERSION: u8 = 1;

const FOLDER: u8 = 0;
const FILE: u8 = 1;
const EXECUTABLE: u8 = 2;
const LINK: u8 = 3;

/// The shortest entry, an empty folder: its kind, the length of its path, one character.
const ENTRY_BYTES_MIN: usize = 3;
/// Bytes of the encoding that are hashed at a time.
const HASHED_AT_ONCE: usize = 64 * 1024;

/// The contents of a folder, valid and in order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Manifest {
    entries: Vec<Entry>,
    id: ContentId,
    totals: Totals,
}

/// One line of a manifest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Where it stands below the shared folder.
    pub path: RelPath,
    /// What stands there.
    pub kind: Kind,
}

/// What stands at a path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A file.
    File {
        /// Its length in bytes.
        size: u64,
        /// The hash of its bytes.
        id: ContentId,
        /// Whether it may be run.
        executable: bool,
    },
    /// An empty folder. Others follow from the paths of what they contain.
    Folder,
    /// A symbolic link, see [`link_stays_inside`].
    Link {
        /// Where it leads, relative to the folder that it stands in.
        target: String,
    },
}

/// Why a manifest is refused. What comes after `Newer` can also be the fault of who shares the
/// folder.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ManifestError {
    /// It does not start as manifests do.
    #[error("this is not a manifest")]
    NotAManifest,
    /// It ends within an entry.
    #[error("the manifest ends too early")]
    Short,
    /// Something follows the last entry.
    #[error("something follows the end of the manifest")]
    Trailing,
    /// A number is too wide or has a shorter form.
    #[error("the manifest has a malformed number")]
    Number,
    /// An entry is of a kind that this version does not have.
    #[error("the manifest has an entry of an unknown kind, {0}")]
    Kind(u8),
    /// A path or a link's target is not UTF-8.
    #[error("the manifest has a path that is not text")]
    NotText,
    /// A path cannot be taken.
    #[error("the manifest has a bad path: {0}")]
    Path(#[from] PathError),
    /// The entries are not in order.
    #[error("the entry {0} of the manifest is out of order")]
    Order(RelPath),
    /// The manifest follows rules that are newer than this program.
    #[error("the manifest has version {0}, this program reads version {VERSION}: update it")]
    Newer(u8),
    /// A path is there twice.
    #[error("the manifest has {0} twice")]
    Duplicate(RelPath),
    /// An entry stands below a file, a link or a folder that is said to be empty.
    #[error("the manifest has {0} below something that contains nothing")]
    Below(RelPath),
    /// An empty file does not have the hash of nothing.
    #[error("the manifest gives the empty file {0} the hash of something else")]
    EmptyFile(RelPath),
    /// A link leads out of the share, or its target cannot be one.
    #[error("the link {0} leads out of the folder")]
    Link(RelPath),
    /// More entries than `limits::MANIFEST_ENTRIES`.
    #[error("the folder has more than {} entries", limits::MANIFEST_ENTRIES)]
    TooManyEntries,
    /// More bytes than `limits::MANIFEST_BYTES`.
    #[error("the manifest is longer than {} bytes", limits::MANIFEST_BYTES)]
    TooLong,
    /// A file is larger than `limits::FILE_BYTES`.
    #[error("the file {0} is larger than a file can be")]
    FileTooLarge(RelPath),
    /// The files have more pieces than `limits::PIECES`.
    #[error("the folder has more bytes than can be shared at once")]
    TooManyPieces,
}

impl From<Malformed> for ManifestError {
    fn from(malformed: Malformed) -> Self {
        match malformed {
            Malformed::Short => ManifestError::Short,
            Malformed::Number => ManifestError::Number,
        }
    }
}

impl Manifest {
    /// Sorts the entries and checks them.
    pub fn new(mut entries: Vec<Entry>) -> Result<Self, ManifestError> {
        entries.sort_by(|a, b| a.path.cmp(&b.path));
        let totals = check(&entries, &Bounds::HOUSE)?;
        let id = hash_of(&entries);
        Ok(Self { entries, id, totals })
    }

    /// Reads a manifest that somebody made: it is refused unless [`Manifest::encode`] gives the
    /// same bytes.
    pub fn decode(bytes: &[u8]) -> Result<Self, ManifestError> {
        if bytes.len() as u64 > limits::MANIFEST_BYTES {
            return Err(ManifestError::TooLong);
        }
        let mut reader = Reader::new(bytes.strip_prefix(MAGIC).ok_or(ManifestError::NotAManifest)?);
        match reader.byte()? {
            VERSION => {}
            0 => return Err(ManifestError::NotAManifest),
            newer => return Err(ManifestError::Newer(newer)),
        }
        let count = reader.varint()?;
        if count > limits::MANIFEST_ENTRIES as u64 {
            return Err(ManifestError::TooManyEntries);
        }
        if count > (reader.left() / ENTRY_BYTES_MIN) as u64 {
            return Err(ManifestError::Short);
        }
        let mut entries = Vec::with_capacity(count as usize);
        for _ in 0..count {
            entries.push(read_entry(&mut reader)?);
        }
        if !reader.is_empty() {
            return Err(ManifestError::Trailing);
        }
        let totals = check(&entries, &Bounds::HOUSE)?;
        Ok(Self { entries, id: hash(bytes), totals })
    }

    /// The manifest as bytes, the same for equal folders everywhere.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(self.totals.encoded as usize);
        push_head(&mut out, self.entries.len());
        for entry in &self.entries {
            push_entry(&mut out, entry);
        }
        out
    }

    /// The hash of [`Manifest::encode`], which names the folder.
    pub fn id(&self) -> ContentId {
        self.id
    }

    /// The entries, in the order of their paths.
    pub fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// How many of the entries are files.
    pub fn files(&self) -> u32 {
        self.totals.files
    }

    /// Bytes of all files.
    pub fn total_bytes(&self) -> u64 {
        self.totals.bytes
    }

    /// Two paths that a file system which ignores case and normalisation would take for one, if
    /// there are any: two entries, or folders that entries stand in.
    pub fn collisions(&self) -> Option<(RelPath, RelPath)> {
        // The names seen in each folder on the way to the entry: paths that collide first differ in
        // two names of one folder. With each name, an entry that it was seen in.
        let mut seen: Vec<BTreeMap<String, &RelPath>> = Vec::new();
        let mut previous: Option<&RelPath> = None;
        for path in self.entries.iter().map(|entry| &entry.path) {
            let shared = previous.map_or(0, |previous| {
                previous.names().zip(path.names()).take_while(|(a, b)| a == b).count()
            });
            seen.truncate(shared + 1);
            for (depth, name) in path.folded().split('/').enumerate().skip(shared) {
                if seen.len() == depth {
                    seen.push(BTreeMap::new());
                }
                if let Some(other) = seen[depth].insert(name.to_owned(), path) {
                    return Some((outermost(other, depth + 1), outermost(path, depth + 1)));
                }
            }
            previous = Some(path);
        }
        None
    }
}

/// Whether a link at `path` leads to something below the shared folder, or to that folder itself.
///
/// `..` may only stand at the beginning: what stands after a name starts where that name leads,
/// which may be another link. So no chain of links leads out either.
pub fn link_stays_inside(path: &RelPath, target: &str) -> bool {
    if target.is_empty() || target.starts_with('/') || target.len() > limits::PATH_BYTES {
        return false;
    }
    let mut up = 0;
    let mut names = Vec::new();
    for name in target.split('/') {
        match name {
            "" | "." => {}
            ".." if names.is_empty() => up += 1,
            _ => names.push(name),
        }
    }
    // `RelPath` refuses every further `..`, and what is no name.
    up < path.names().count() && (names.is_empty() || RelPath::parse(&names.join("/")).is_ok())
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Totals {
    files: u32,
    bytes: u64,
    encoded: u64,
}

/// The limits of one manifest, apart from `limits` so that tests can lower them.
struct Bounds {
    entries: usize,
    encoded: u64,
}

impl Bounds {
    const HOUSE: Bounds =
        Bounds { entries: limits::MANIFEST_ENTRIES, encoded: limits::MANIFEST_BYTES };
}

fn check(entries: &[Entry], bounds: &Bounds) -> Result<Totals, ManifestError> {
    if entries.len() > bounds.entries {
        return Err(ManifestError::TooManyEntries);
    }
    let mut totals = Totals { files: 0, bytes: 0, encoded: head_len(entries.len()) };
    let mut pieces = 0;
    let mut previous: Option<&RelPath> = None;
    for entry in entries {
        if let Some(previous) = previous {
            check_order(previous, &entry.path)?;
        }
        check_kind(entry)?;
        if let Kind::File { size, .. } = entry.kind {
            pieces += Layout::new(size).pieces_exactly();
            if pieces > limits::PIECES {
                return Err(ManifestError::TooManyPieces);
            }
            // Cannot overflow: so many pieces have at most 2^54 bytes.
            totals.bytes += size;
            totals.files += 1;
        }
        totals.encoded += entry_len(entry);
        previous = Some(&entry.path);
    }
    if totals.encoded > bounds.encoded { Err(ManifestError::TooLong) } else { Ok(totals) }
}

/// What is below a path follows it at once in this order, so looking at neighbours is enough.
fn check_order(previous: &RelPath, path: &RelPath) -> Result<(), ManifestError> {
    match path.cmp(previous) {
        std::cmp::Ordering::Less => Err(ManifestError::Order(path.clone())),
        std::cmp::Ordering::Equal => Err(ManifestError::Duplicate(path.clone())),
        std::cmp::Ordering::Greater => {
            let rest = path.as_str().strip_prefix(previous.as_str());
            if rest.is_some_and(|rest| rest.starts_with('/')) {
                Err(ManifestError::Below(path.clone()))
            } else {
                Ok(())
            }
        }
    }
}

fn check_kind(entry: &Entry) -> Result<(), ManifestError> {
    match &entry.kind {
        Kind::File { size, .. } if *size > limits::FILE_BYTES => {
            Err(ManifestError::FileTooLarge(entry.path.clone()))
        }
        Kind::File { size: 0, id, .. } if *id != hash(&[]) => {
            Err(ManifestError::EmptyFile(entry.path.clone()))
        }
        Kind::Link { target } if !link_stays_inside(&entry.path, target) => {
            Err(ManifestError::Link(entry.path.clone()))
        }
        Kind::File { .. } | Kind::Folder | Kind::Link { .. } => Ok(()),
    }
}

fn read_entry(reader: &mut Reader<'_>) -> Result<Entry, ManifestError> {
    let kind = reader.byte()?;
    let path = RelPath::parse(read_text(reader)?)?;
    let kind = match kind {
        FOLDER => Kind::Folder,
        FILE | EXECUTABLE => {
            let size = reader.varint()?;
            let id = if size == 0 { hash(&[]) } else { ContentId(reader.array()?) };
            Kind::File { size, id, executable: kind == EXECUTABLE }
        }
        LINK => Kind::Link { target: read_text(reader)?.to_owned() },
        unknown => return Err(ManifestError::Kind(unknown)),
    };
    Ok(Entry { path, kind })
}

fn read_text<'a>(reader: &mut Reader<'a>) -> Result<&'a str, ManifestError> {
    let len = reader.varint()?;
    std::str::from_utf8(reader.take(len)?).map_err(|_| ManifestError::NotText)
}

fn push_head(out: &mut Vec<u8>, entries: usize) {
    out.extend_from_slice(MAGIC);
    out.push(VERSION);
    push_varint(out, entries as u64);
}

fn push_entry(out: &mut Vec<u8>, entry: &Entry) {
    out.push(match entry.kind {
        Kind::Folder => FOLDER,
        Kind::File { executable: false, .. } => FILE,
        Kind::File { executable: true, .. } => EXECUTABLE,
        Kind::Link { .. } => LINK,
    });
    push_text(out, entry.path.as_str());
    match &entry.kind {
        Kind::Folder => {}
        Kind::File { size, id, .. } => {
            push_varint(out, *size);
            if *size > 0 {
                out.extend_from_slice(&id.0);
            }
        }
        Kind::Link { target } => push_text(out, target),
    }
}

fn push_text(out: &mut Vec<u8>, text: &str) {
    push_varint(out, text.len() as u64);
    out.extend_from_slice(text.as_bytes());
}

fn head_len(entries: usize) -> u64 {
    MAGIC.len() as u64 + 1 + varint_len(entries as u64)
}

fn entry_len(entry: &Entry) -> u64 {
    let text = |text: &str| varint_len(text.len() as u64) + text.len() as u64;
    let rest = match &entry.kind {
        Kind::Folder => 0,
        Kind::File { size: 0, .. } => 1,
        Kind::File { size, .. } => varint_len(*size) + 32,
        Kind::Link { target } => text(target),
    };
    1 + text(entry.path.as_str()) + rest
}

/// The hash of the encoding, which is never in memory as a whole.
fn hash_of(entries: &[Entry]) -> ContentId {
    let mut hasher = blake3::Hasher::new();
    let mut part = Vec::with_capacity(2 * HASHED_AT_ONCE);
    push_head(&mut part, entries.len());
    for entry in entries {
        push_entry(&mut part, entry);
        if part.len() >= HASHED_AT_ONCE {
            hasher.update(&part);
            part.clear();
        }
    }
    hasher.update(&part);
    ContentId(*hasher.finalize().as_bytes())
}

/// The first names of a path.
fn outermost(path: &RelPath, names: usize) -> RelPath {
    let text = path.names().take(names).collect::<Vec<_>>().join("/");
    RelPath::parse(&text).expect("the beginning of a path is a path")
}

#[cfg(test)]
mod tests;
