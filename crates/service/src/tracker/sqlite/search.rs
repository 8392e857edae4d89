//! Searching: what fits the words, as groups of one content each.
//!
//! The index is asked for its last 500 matches, newest publication first, and only those are judged
//! and sorted, whatever the order that was asked for: to rank all matches of a frequent word would
//! take a hundred times as long. Who pages on beyond them gets the others sorted behind them.

use std::collections::{HashMap, HashSet};

use potluck_base::ContentId;
use potluck_proto::directory::record::EntryKind;
use potluck_proto::directory::tracker::{FileType, Found, Group, Query, Sort};
use potluck_proto::directory::words::{Judge, Wanted};
use rusqlite::types::Value;
use rusqlite::{Row, params_from_iter};

use super::hits::{FileRow, Pages, Source};
use super::query::expression;
use super::rows::ENTRY;
use super::schema::{NUMBER_BITS, revision};
use super::words::{size_marks, type_mark};
use super::{catalogue, suggest};
use crate::tracker::store::StoreFault;
use potluck_base::limits;

/// Matches that are judged together.
const WINDOW: usize = 500;
/// Contents that have the very words of a query from which on longer words need not be looked for:
/// more than one answer holds.
const ENOUGH: usize = limits::SEARCH_RESULTS + 50;
/// Matches that are read for those who page on.
const WINDOW_MAX: usize = 20_000;
/// Matches that are read at most to find those of a size.
const SIZED_MAX: usize = 20_000;
/// Providers of one content that are counted.
const COUNTED: u32 = 1000;
/// What being online adds to a score, at most about as much as one word of two.
const ONLINE: f32 = 0.5;
/// What each doubling of the peers that are online adds.
const MANY: f32 = 0.1;
/// What being published last adds, falling to nothing at the end of the window.
const RECENT: f32 = 0.1;

/// One content, while it is judged.
struct Candidate {
    score: f32,
    online: u32,
    newest_s: u64,
    /// Its rows with their scores, best first.
    rows: Vec<(f32, FileRow)>,
}

/// How a content is told from others. Somebody may claim another size for it: that is another one.
type Key = (ContentId, u64, Folder);
/// Whether it is a folder.
type Folder = bool;

/// Who has a content.
#[derive(Clone, Copy, Default)]
struct Counts {
    online: u32,
    whole: u32,
    partial: u32,
    newest_s: u64,
}

/// Answers a search.
pub(super) fn search(
    source: &Source<'_>,
    network: i64,
    query: &Query,
) -> Result<Found, StoreFault> {
    let wanted = Wanted::parse(&query.words);
    let (offset, limit) = (query.offset as usize, limit_of(query));
    let mut found = Found { revision: revision(source.connection)?, ..Found::default() };
    if wanted.is_empty() && !query.words.trim().is_empty() {
        return Ok(found);
    }
    let matches = matches(source, network, &wanted, query)?;
    let unread = matches.unread;
    let mut groups = judge(source, network, &wanted, query.sort, matches)?;
    let foreign = catalogue::search(source.connection, network, &wanted, query)?;
    let known = groups.len();
    found.more = known + foreign.len() > offset + limit || unread;
    let wanted_here = |index: usize| (offset..offset + limit).contains(&index);
    let mut pages = Pages::default();
    groups.truncate(offset + limit);
    for (key, candidate) in groups.into_iter().skip(offset) {
        found.groups.push(group(source, network, key, candidate, &mut pages)?);
    }
    let foreign = foreign.into_iter().enumerate();
    let foreign = foreign.filter(|(index, _)| wanted_here(known + index));
    found.groups.extend(foreign.map(|(_, group)| group));
    if found.groups.is_empty() && offset == 0 && !wanted.is_empty() {
        found.did_you_mean = suggest::suggest(source.connection, network, &wanted)?;
    }
    Ok(found)
}

fn limit_of(query: &Query) -> usize {
    match usize::from(query.limit) {
        0 => limits::SEARCH_RESULTS,
        limit => limit.min(limits::SEARCH_RESULTS),
    }
}

/// What the index told.
struct Matches {
    rows: Vec<FileRow>,
    /// So many of the rows are sorted among each other and come first.
    first: usize,
    /// Whether the index has more that was not read.
    unread: bool,
}

/// What the index has: first what has the very words, then what has longer ones; of each the last
/// published first.
///
/// What has the very words comes first in any case, so nobody looks for longer ones, which takes
/// more time, when there is enough of it for the page that is asked for. How rows are divided does
/// not hang on that page: who pages on sees nothing twice.
fn matches(
    source: &Source<'_>,
    network: i64,
    wanted: &Wanted,
    query: &Query,
) -> Result<Matches, StoreFault> {
    let needed = query.offset as usize + limit_of(query);
    let mut rows = read_matches(source, network, &wanted.exact(), query, WINDOW)?;
    let full = rows.len() == WINDOW;
    let contents = rows.iter().map(|row| row.entry.content).collect::<HashSet<_>>().len();
    let enough = full || contents >= ENOUGH;
    if enough && needed < contents {
        return Ok(Matches { first: rows.len(), unread: full || wanted.has_prefixes(), rows });
    }
    let deep = needed > WINDOW / 2;
    let window = if deep { WINDOW_MAX } else { WINDOW };
    if full && deep {
        rows = read_matches(source, network, &wanted.exact(), query, window)?;
    }
    let exact = rows.len();
    if exact < window && wanted.has_prefixes() {
        let mut wanted = wanted.clone();
        suggest::bound_prefixes(source.connection, network, &mut wanted)?;
        let known: HashSet<i64> = rows.iter().map(|row| row.id).collect();
        let longer = read_matches(source, network, &wanted, query, window)?;
        rows.extend(longer.into_iter().filter(|row| !known.contains(&row.id)));
        rows.truncate(window);
    }
    let first = if enough { exact.min(WINDOW) } else { rows.len().min(WINDOW) };
    let unread = rows.len() == window && !deep;
    Ok(Matches { rows, first, unread })
}

/// What the index has for one expression, the last published first.
fn read_matches(
    source: &Source<'_>,
    network: i64,
    wanted: &Wanted,
    query: &Query,
    window: usize,
) -> Result<Vec<FileRow>, StoreFault> {
    let first = network << NUMBER_BITS;
    let last = first | ((1 << NUMBER_BITS) - 1);
    let sizes = query.min_size.unwrap_or(0)..=query.max_size.unwrap_or(u64::MAX);
    let sized = query.min_size.is_some() || query.max_size.is_some();
    if sizes.is_empty() {
        return Ok(Vec::new());
    }
    let mut expression = expression(wanted);
    and_any(&mut expression, query.kinds.iter().map(|kind: &FileType| type_mark(*kind)));
    if sized {
        and_any(&mut expression, size_marks(sizes.clone()));
    }
    let read = if sized { SIZED_MAX.max(window) } else { window };
    let inner = if expression.is_empty() {
        "SELECT id AS rowid FROM files WHERE id BETWEEN ?1 AND ?2 ORDER BY id DESC LIMIT ?3"
    } else {
        "SELECT rowid FROM words WHERE words MATCH ?6 AND rowid BETWEEN ?1 AND ?2
         ORDER BY rowid DESC LIMIT ?3"
    };
    let sql = format!(
        "SELECT {}, {ENTRY} FROM ({inner}) w CROSS JOIN files f ON f.id = w.rowid
         WHERE f.size BETWEEN ?4 AND ?5 LIMIT {window}",
        FileRow::COLUMNS
    );
    let bound = |size: u64| Value::Integer(i64::try_from(size).unwrap_or(i64::MAX));
    // Without a filter, sizes that no file can have are not left out.
    let lowest = if sized { bound(*sizes.start()) } else { Value::Integer(i64::MIN) };
    let mut values = vec![
        Value::Integer(first),
        Value::Integer(last),
        Value::Integer(i64::try_from(read).unwrap_or(i64::MAX)),
        lowest,
        bound(*sizes.end()),
    ];
    if !expression.is_empty() {
        values.push(Value::Text(expression));
    }
    let mut query = source.connection.prepare_cached(&sql)?;
    let rows = query.query_map(params_from_iter(values), |row: &Row<'_>| FileRow::read(row))?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// Demands that one of these marks is there, too.
fn and_any(expression: &mut String, marks: impl Iterator<Item = char>) {
    let marks: Vec<String> = marks.map(|mark| format!("\"{mark}\"")).collect();
    if marks.is_empty() {
        return;
    }
    if !expression.is_empty() {
        expression.push_str(" AND ");
    }
    expression.push_str(&format!("({})", marks.join(" OR ")));
}

/// Groups and sorts what was found.
fn judge(
    source: &Source<'_>,
    network: i64,
    wanted: &Wanted,
    sort: Sort,
    matches: Matches,
) -> Result<Vec<(Key, Candidate)>, StoreFault> {
    let mut judge = Judge::new(wanted);
    let mut known: HashMap<Key, usize> = HashMap::new();
    let mut groups: Vec<(Key, Candidate)> = Vec::new();
    let mut first = usize::MAX;
    for (index, row) in matches.rows.into_iter().enumerate() {
        if index == matches.first {
            first = groups.len();
        }
        let folder = row.entry.kind == EntryKind::Folder;
        let key = (row.entry.content, row.entry.size, folder);
        let online = source.is_online(row.share)?;
        let recent = RECENT * (1.0 - index as f32 / WINDOW as f32).max(0.0);
        let score = judge.score(&row.entry.path) + recent + if online { ONLINE } else { 0.0 };
        let at = *known.entry(key).or_insert_with(|| {
            groups.push((key, Candidate::default()));
            groups.len() - 1
        });
        // What comes later must not move what was shown already.
        if index < matches.first || at >= first {
            groups[at].1.add(score, online, row);
        }
    }
    let mut rest = groups.split_off(first.min(groups.len()));
    for part in [&mut groups, &mut rest] {
        sort_groups(source, network, sort, part)?;
    }
    groups.append(&mut rest);
    Ok(groups)
}

impl Default for Candidate {
    fn default() -> Self {
        Self { score: f32::MIN, online: 0, newest_s: 0, rows: Vec::new() }
    }
}

impl Candidate {
    fn add(&mut self, score: f32, online: bool, row: FileRow) {
        self.score = self.score.max(score);
        self.online += u32::from(online);
        self.newest_s = self.newest_s.max(row.entry.modified_s);
        let at = self.rows.partition_point(|(other, _)| *other >= score);
        if at < limits::GROUP_HITS {
            self.rows.insert(at, (score, row));
            self.rows.truncate(limits::GROUP_HITS);
        }
    }

    fn best(&self) -> f32 {
        self.score + MANY * (self.online as f32 + 1.0).log2()
    }

    /// By which a list is sorted by name.
    fn name(&self) -> String {
        let path = self.rows.first().map_or("", |(_, row)| row.entry.path.as_str());
        path.rsplit('/').next().unwrap_or(path).to_lowercase()
    }
}

fn sort_groups(
    source: &Source<'_>,
    network: i64,
    sort: Sort,
    groups: &mut [(Key, Candidate)],
) -> Result<(), StoreFault> {
    // First by score, then stably by what was asked for.
    groups.sort_by(|(_, a), (_, b)| b.best().total_cmp(&a.best()));
    match sort {
        Sort::Best => {}
        Sort::Name => groups.sort_by_cached_key(|(_, group)| group.name()),
        Sort::Size => groups.sort_by_key(|((_, size, _), _)| std::cmp::Reverse(*size)),
        Sort::Newest => groups.sort_by_key(|(_, group)| std::cmp::Reverse(group.newest_s)),
        Sort::Providers => {
            let mut counts = HashMap::new();
            for (key, _) in groups.iter() {
                let count = count(source, network, key)?;
                counts.insert(*key, (count.online, count.whole, count.partial));
            }
            groups.sort_by_key(|(key, _)| std::cmp::Reverse(counts[key]));
        }
    }
    Ok(())
}

/// All that is told about one content.
fn group(
    source: &Source<'_>,
    network: i64,
    key: Key,
    candidate: Candidate,
    pages: &mut Pages,
) -> Result<Group, StoreFault> {
    let counts = count(source, network, &key)?;
    let mut hits = Vec::with_capacity(candidate.rows.len());
    for (_, row) in candidate.rows {
        hits.push(source.hit(row, pages)?);
    }
    let (content, size, folder) = key;
    let kind = if folder { EntryKind::Folder } else { EntryKind::File };
    Ok(Group {
        content,
        size,
        kind,
        online: counts.online,
        providers: counts.whole,
        partial: counts.partial,
        newest_s: counts.newest_s.max(candidate.newest_s),
        hits,
    })
}

/// Counts the peers that have a content.
fn count(source: &Source<'_>, network: i64, key: &Key) -> Result<Counts, StoreFault> {
    let (content, size, folder) = key;
    let mut query = source.connection.prepare_cached(
        "SELECT f.share, s.partial, f.modified_s, f.flags
         FROM files f JOIN shares s ON s.id = f.share
         WHERE f.network = ?1 AND substr(f.content, 1, 8) = ?2 AND f.content = ?3 AND f.size = ?4
         LIMIT ?5",
    )?;
    let mut rows =
        query.query((network, &content.0[..8], content.0, size.cast_signed(), COUNTED))?;
    let mut peers: HashMap<i64, (bool, bool)> = HashMap::new();
    let mut counts = Counts::default();
    while let Some(row) = rows.next()? {
        if (super::rows::kind(row.get(3)?) == EntryKind::Folder) != *folder {
            continue;
        }
        let fact = source.fact(row.get(0)?)?;
        let partial: bool = row.get(1)?;
        counts.newest_s = counts.newest_s.max(row.get::<_, i64>(2)?.cast_unsigned());
        let peer = peers
            .entry(fact.member)
            .or_insert_with(|| (true, (source.online)(&source.network, &fact.peer)));
        peer.0 &= partial;
    }
    for (partial, online) in peers.into_values() {
        counts.online += u32::from(online);
        counts.whole += u32::from(!partial);
        counts.partial += u32::from(partial);
    }
    Ok(counts)
}
