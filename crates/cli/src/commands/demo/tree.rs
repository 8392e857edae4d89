//! A folder with everything that has ever been hard to send. The same size makes the same bytes.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::Path;

/// Small files, in folders of [`FILES_PER_FOLDER`].
const SMALL_FILES: u64 = 400;
const FILES_PER_FOLDER: u64 = 50;
/// A small file is shorter than this.
const SMALL_BYTES: u64 = 16 * 1024;
/// Files of more than one piece beside the large one.
const MIDDLE_FILES: u64 = 8;
const MIDDLE_BYTES: u64 = 3_000_001;

/// Names in many scripts, with spaces, quotes, emoji and combined letters.
const NAMES: [&str; 14] = [
    "plain.txt",
    "with spaces and (brackets) & more.txt",
    "it's quoted.txt",
    "naïve café.txt",
    "русские письма.txt",
    "ελληνικά.txt",
    "日本語のファイル.txt",
    "中文文件.txt",
    "한국어 파일.txt",
    "हिन्दी फ़ाइल.txt",
    "ملف عربي.txt",
    "קובץ עברי.txt",
    "ไฟล์ภาษาไทย.txt",
    "party 🎉 👩‍👩‍👧.txt",
];

/// Grows the folder, with one file of `large_bytes` in it.
pub(super) fn grow(folder: &Path, large_bytes: u64) -> io::Result<()> {
    fs::create_dir_all(folder)?;
    let mut dice = Dice(large_bytes);
    fs::write(folder.join("empty file"), b"")?;
    fs::create_dir_all(folder.join("empty folder").join("in it another"))?;
    fs::create_dir(folder.join("names"))?;
    for name in NAMES {
        fs::write(folder.join("names").join(name), name)?;
    }
    for number in 0..SMALL_FILES {
        let below = folder.join("small").join(format!("{:02}", number / FILES_PER_FOLDER));
        fs::create_dir_all(&below)?;
        let bytes = dice.next() % SMALL_BYTES;
        fill(&below.join(format!("{number:03}.dat")), bytes, &mut dice)?;
    }
    for number in 0..MIDDLE_FILES {
        fill(&folder.join(format!("middle {number}.dat")), MIDDLE_BYTES, &mut dice)?;
    }
    // Equal files are fetched once.
    fs::copy(folder.join("middle 0.dat"), folder.join("a copy of middle 0.dat"))?;
    if large_bytes > 0 {
        fill(&folder.join("film.dat"), large_bytes, &mut dice)?;
    }
    grow_unix(folder)
}

#[cfg(unix)]
fn grow_unix(folder: &Path) -> io::Result<()> {
    use std::os::unix::fs::{PermissionsExt, symlink};
    let program = folder.join("run me.sh");
    fs::write(&program, "#!/bin/sh\necho hello\n")?;
    fs::set_permissions(&program, fs::Permissions::from_mode(0o755))?;
    symlink("names/plain.txt", folder.join("a link"))
}

#[cfg(not(unix))]
fn grow_unix(_: &Path) -> io::Result<()> {
    Ok(())
}

fn fill(path: &Path, bytes: u64, dice: &mut Dice) -> io::Result<()> {
    let mut file = File::create(path)?;
    let mut block = vec![0; 256 * 1024];
    let mut left = bytes;
    while left > 0 {
        for word in block.chunks_exact_mut(8) {
            word.copy_from_slice(&dice.next().to_le_bytes());
        }
        let now = left.min(block.len() as u64);
        file.write_all(&block[..now as usize])?;
        left -= now;
    }
    Ok(())
}

/// SplitMix64: quick, and random enough that nothing compresses or repeats.
struct Dice(u64);

impl Dice {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }
}
