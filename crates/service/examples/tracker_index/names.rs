//! Names of files as people give them, made by rule: the same number always has the same name.
//!
//! Words follow Zipf's law, as those of real names do; years, episodes, folders, separators and
//! endings are mixed in.

/// Words of the made-up language.
const WORDS: u64 = 40_000;
/// The words that occur most are `1/SKEW` as frequent as plain Zipf would have them: the first
/// stands in about one name of twenty, as in lists of real files.
const SKEW: f64 = 4.0;
const SYLLABLES: [&str; 40] = [
    "ba", "be", "bo", "ca", "co", "da", "de", "di", "en", "er", "fa", "ga", "go", "ha", "in", "ka",
    "ko", "la", "le", "li", "lo", "ma", "me", "mi", "mo", "na", "ni", "on", "pa", "po", "ra", "re",
    "ro", "sa", "so", "ta", "ti", "to", "va", "wi",
];
const ACCENTED: [&str; 8] = ["é", "ü", "ø", "ñ", "ль", "ка", "ми", "ού"];
const ENDINGS: [&str; 16] = [
    "mkv", "mp3", "jpg", "pdf", "txt", "flac", "mp4", "zip", "epub", "png", "docx", "iso", "html",
    "tar.gz", "avi", "bin",
];
const SEPARATORS: [&str; 5] = [".", "_", "-", " ", ""];

/// Dice that always fall the same for one seed.
pub struct Dice(u64);

impl Dice {
    pub fn new(seed: u64) -> Self {
        let mut dice = Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ 0x1234_5678_9abc_def1);
        dice.next();
        dice
    }

    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    pub fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }

    /// The number of a word, by Zipf's law: 0 is the most frequent.
    pub fn word(&mut self) -> u64 {
        let even = self.next() as f64 / u64::MAX as f64;
        let (low, high) = (SKEW.ln(), (WORDS as f64 + SKEW).ln());
        ((low + even * (high - low)).exp() - SKEW) as u64
    }
}

/// A word by its number.
pub fn word(number: u64) -> String {
    let mut dice = Dice::new(number ^ 0x5eed);
    let mut word = String::new();
    let mut rest = number % WORDS;
    for _ in 0..2 + dice.below(2) {
        word.push_str(SYLLABLES[(rest % 40) as usize]);
        rest = rest / 40 + dice.below(40);
    }
    word.push_str(SYLLABLES[(number / 1000 % 40) as usize]);
    if number % 30 == 7 {
        word.push_str(ACCENTED[(number / 30 % 8) as usize]);
    }
    word
}

/// The path of a file by its number.
pub fn path(number: u64) -> String {
    let mut dice = Dice::new(number);
    let mut path = String::new();
    for _ in 0..dice.below(3) {
        path.push_str(&capital(&word(dice.word() / 8)));
        path.push('/');
    }
    let separator = SEPARATORS[dice.below(5) as usize];
    for index in 0..2 + dice.below(4) {
        let word = word(dice.word());
        if index > 0 {
            path.push_str(separator);
        }
        path.push_str(&if separator.is_empty() || dice.below(3) == 0 {
            capital(&word)
        } else {
            word
        });
    }
    match dice.below(6) {
        0 => path.push_str(&format!("{separator}{}", 1950 + dice.below(75))),
        1 => path.push_str(&format!("{separator}S{:02}E{:02}", dice.below(9), dice.below(24))),
        2 => path.push_str(&format!("{separator}{:04}", dice.below(10_000))),
        _ => {}
    }
    // Names of one peer are different in any case.
    path.push_str(&format!("{separator}{number:x}.{}", ENDINGS[dice.below(16) as usize]));
    path
}

fn capital(word: &str) -> String {
    let mut chars = word.chars();
    chars.next().map_or_else(String::new, |first| first.to_uppercase().chain(chars).collect())
}
