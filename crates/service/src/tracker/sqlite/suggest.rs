//! The vocabulary: words that are there for words that are not ("did you mean"), and for the
//! beginnings of very many words.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use potluck_proto::directory::words::{Wanted, WantedWord};
use rusqlite::Connection;

use super::query::{expression, word_expression};
use super::schema::NUMBER_BITS;
use crate::tracker::store::StoreFault;

/// Words of the vocabulary that one word is compared with: bounds the time.
const COMPARED: u32 = 300_000;
/// Words of one query that are corrected.
const CORRECTED: usize = 4;

/// Files that all words with one beginning may stand in for the index to be asked for the
/// beginning itself: it reads all of them before it tells the first.
const PREFIX_FILES: i64 = 4_000;
/// Words that are asked for instead, the most frequent ones.
const PREFIX_WORDS: usize = 24;

/// Puts the most frequent words in place of beginnings that very many files have.
pub(super) fn bound_prefixes(
    connection: &Connection,
    network: i64,
    wanted: &mut Wanted,
) -> Result<(), StoreFault> {
    let mut query = connection.prepare_cached(
        "SELECT word, files FROM vocabulary WHERE network = ?1 AND word >= ?2 AND word < ?3",
    )?;
    for term in wanted.terms.iter_mut().filter(|term| term.spaced && term.prefix) {
        let behind = format!("{}\u{10ffff}", term.text);
        let mut rows = query.query((network, &term.text, behind))?;
        let (mut total, mut best) = (0, BinaryHeap::with_capacity(PREFIX_WORDS + 1));
        while let Some(row) = rows.next()? {
            let files: i64 = row.get(1)?;
            total += files;
            let word = row.get_ref(0)?.as_str()?;
            if word == term.text {
                continue;
            }
            let full = best.len() == PREFIX_WORDS;
            if !full || best.peek().is_some_and(|Reverse((least, _))| files > *least) {
                best.push(Reverse((files, word.to_owned())));
            }
            if best.len() > PREFIX_WORDS {
                best.pop();
            }
        }
        if total > PREFIX_FILES {
            term.instead = best.into_iter().map(|Reverse((_, word))| word).collect();
            term.prefix = !term.instead.is_empty();
        }
    }
    Ok(())
}

/// The query with words that find something; none if there are no such.
pub(super) fn suggest(
    connection: &Connection,
    network: i64,
    wanted: &Wanted,
) -> Result<Option<String>, StoreFault> {
    let mut words = Vec::with_capacity(wanted.terms.len());
    let mut fixed = Wanted::default();
    let mut corrected = 0;
    for term in &wanted.terms {
        let mut term = term.clone();
        if term.spaced && !matches(connection, network, &word_expression(&term))? {
            corrected += 1;
            if corrected > CORRECTED {
                return Ok(None);
            }
            let Some(word) = nearest(connection, network, &term)? else { return Ok(None) };
            term = WantedWord { text: word, parts: Vec::new(), ..term };
        }
        words.push(term.text.clone());
        fixed.terms.push(term);
    }
    if corrected == 0 || !matches(connection, network, &expression(&fixed))? {
        return Ok(None);
    }
    Ok(Some(words.join(" ")))
}

/// Whether anything fits.
fn matches(connection: &Connection, network: i64, expression: &str) -> Result<bool, StoreFault> {
    let first = network << NUMBER_BITS;
    let range = (expression, first, first | ((1 << NUMBER_BITS) - 1));
    let mut query = connection
        .prepare_cached("SELECT 1 FROM words WHERE words MATCH ?1 AND rowid BETWEEN ?2 AND ?3")?;
    Ok(query.exists(range)?)
}

/// The word of the vocabulary that is most like this one; of several the most frequent.
fn nearest(
    connection: &Connection,
    network: i64,
    term: &WantedWord,
) -> Result<Option<String>, StoreFault> {
    let mut search = Search::new(&term.text);
    let mut firsts: Vec<char> = term.text.chars().take(2).collect();
    firsts.dedup();
    // Few typing errors are at the first letter; those that are mostly swap it with the second.
    for first in &firsts {
        let next = char::from_u32(u32::from(*first) + 1).unwrap_or(char::MAX);
        search.read(connection, network, &first.to_string(), &next.to_string())?;
    }
    if search.best.is_none() {
        search.read(connection, network, "", "\u{10ffff}")?;
    }
    Ok(search.best.map(|best| best.word))
}

struct Search<'a> {
    word: &'a str,
    chars: usize,
    letters: u64,
    /// How many letters may be wrong.
    distance: usize,
    best: Option<Best>,
}

struct Best {
    word: String,
    distance: usize,
    files: i64,
}

impl<'a> Search<'a> {
    fn new(word: &'a str) -> Self {
        let chars = word.chars().count();
        let distance = match chars {
            0..=2 => 0,
            3..=4 => 1,
            5..=9 => 2,
            _ => 3,
        };
        Self { word, chars, letters: letters(word), distance, best: None }
    }

    /// Looks at the words of a range.
    fn read(
        &mut self,
        connection: &Connection,
        network: i64,
        from: &str,
        until: &str,
    ) -> Result<(), StoreFault> {
        let mut query = connection.prepare_cached(
            "SELECT word, files FROM vocabulary WHERE network = ?1 AND word >= ?2 AND word < ?3
             LIMIT ?4",
        )?;
        let mut rows = query.query((network, from, until, COMPARED))?;
        while let Some(row) = rows.next()? {
            let word = row.get_ref(0)?.as_str()?;
            if let Some(distance) = self.compare(word) {
                self.take(word, distance, row.get(1)?);
            }
        }
        Ok(())
    }

    /// How far a word is, if it is near enough.
    fn compare(&self, word: &str) -> Option<usize> {
        // Each error adds and takes one letter at most. This leaves one word in a hundred.
        let differ = (letters(word) ^ self.letters).count_ones() as usize;
        if differ > 2 * self.distance || word.len().abs_diff(self.word.len()) > 4 * self.distance {
            return None;
        }
        let chars = word.chars().count();
        if chars.abs_diff(self.chars) > self.distance {
            return None;
        }
        let distance = strsim::osa_distance(self.word, word);
        (distance > 0 && distance <= self.distance).then_some(distance)
    }

    fn take(&mut self, word: &str, distance: usize, files: i64) {
        // A frequent word with one more error is likelier than one that is there once.
        let rank = |distance: usize, files: i64| {
            let files = files.clamp(1, 1 << 20) as f32;
            files.log2() - 6.0 * distance as f32
        };
        let better = self
            .best
            .as_ref()
            .is_none_or(|best| rank(distance, files) > rank(best.distance, best.files));
        if better {
            self.best = Some(Best { word: word.to_owned(), distance, files });
        }
    }
}

/// Which letters occur in a word, some of them sharing a bit.
fn letters(word: &str) -> u64 {
    word.bytes().fold(0, |letters, byte| letters | 1 << (byte & 63))
}
