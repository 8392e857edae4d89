//! Finding by words in a list that is in memory: small lists need no index.

use potluck_proto::directory::words::Wanted;

/// Whether each word of the query is, or begins, a word of one of the texts, as an index has it.
pub(super) fn fits<'a>(query: &str, texts: impl Iterator<Item = &'a str>) -> bool {
    let wanted = Wanted::parse(query);
    !wanted.is_empty() && wanted.fits(texts)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_word_must_begin_one_of_the_texts() {
        let texts = || ["Talks/Big-Buck_Bunny.mkv", "film"].into_iter();
        assert!(fits("bunny", texts()) && fits("BUN talks", texts()) && fits("mkv Film", texts()));
        assert!(!fits("unny", texts()) && !fits("bunny rabbit", texts()));
        assert!(!fits("", texts()) && !fits(" - ", texts()));
    }
}
