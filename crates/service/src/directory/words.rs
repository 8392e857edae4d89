//! Finding by words in a list that is in memory: small lists need no index.

/// Whether each word of the query begins a word of one of the texts, whatever the case.
pub(super) fn fits<'a>(query: &str, texts: impl Iterator<Item = &'a str>) -> bool {
    let wanted = split(query);
    let here: Vec<String> = texts.flat_map(split).collect();
    !wanted.is_empty() && wanted.iter().all(|word| here.iter().any(|has| has.starts_with(word)))
}

fn split(text: &str) -> Vec<String> {
    let words = text.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty());
    words.map(str::to_lowercase).collect()
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
