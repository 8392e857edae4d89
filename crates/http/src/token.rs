//! The secret that a request must show, and the file that tells it to the node's own user.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use data_encoding::BASE32_NOPAD;
use potluck_api::{API_FILE, ApiFile};

/// Random bytes of a token: nobody guesses 256 bits.
const TOKEN_BYTES: usize = 32;

/// A new token.
pub(crate) fn new_token() -> io::Result<String> {
    let mut bytes = [0; TOKEN_BYTES];
    getrandom::fill(&mut bytes).map_err(io::Error::other)?;
    Ok(BASE32_NOPAD.encode(&bytes).to_ascii_lowercase())
}

/// Whether two secrets are equal, in a time that depends on their lengths only.
pub(crate) fn same_secret(shown: &[u8], secret: &[u8]) -> bool {
    if shown.len() != secret.len() {
        return false;
    }
    let difference = shown.iter().zip(secret).fold(0, |all, (a, b)| all | (a ^ b));
    std::hint::black_box(difference) == 0
}

/// The file in the home, there as long as this value lives.
#[derive(Debug)]
pub(crate) struct PublishedFile {
    path: PathBuf,
    content: Vec<u8>,
}

impl PublishedFile {
    /// Writes the file: readable by this user only from its first moment, complete or not there at
    /// all.
    pub(crate) fn publish(home: &Path, file: &ApiFile) -> io::Result<Self> {
        let path = home.join(API_FILE);
        let draft = home.join(format!(".{API_FILE}.{}", file.pid));
        let content = serde_json::to_vec(file).map_err(io::Error::other)?;
        // What a process with the same id left behind when it crashed may stand there.
        match fs::remove_file(&draft) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let written = create_private(&draft)
            .and_then(|mut file| file.write_all(&content))
            .and_then(|()| fs::rename(&draft, &path));
        if let Err(error) = written {
            let _ = fs::remove_file(&draft);
            return Err(error);
        }
        Ok(Self { path, content })
    }
}

impl Drop for PublishedFile {
    fn drop(&mut self) {
        // Another node may have taken over the home since.
        if fs::read(&self.path).is_ok_and(|found| found == self.content) {
            let _ = fs::remove_file(&self.path);
        }
    }
}

fn create_private(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(token: &str) -> ApiFile {
        ApiFile {
            address: "127.0.0.1:1".parse().unwrap(),
            token: token.into(),
            pid: std::process::id(),
            daemon: false,
        }
    }

    #[test]
    fn tokens_are_long_and_never_the_same() {
        let (a, b) = (new_token().unwrap(), new_token().unwrap());
        assert_eq!(a.len(), 52);
        assert_ne!(a, b);
    }

    #[test]
    fn only_the_secret_itself_is_the_secret() {
        assert!(same_secret(b"abc", b"abc"));
        for wrong in [&b"abd"[..], b"bbc", b"ab", b"abcd", b""] {
            assert!(!same_secret(wrong, b"abc"));
        }
    }

    #[cfg(unix)]
    #[test]
    fn the_file_is_private_and_gone_with_its_server() {
        use std::os::unix::fs::PermissionsExt;
        let home = tempfile::tempdir().unwrap();
        let published = PublishedFile::publish(home.path(), &file("one")).unwrap();
        let path = home.path().join(API_FILE);
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(
            serde_json::from_slice::<ApiFile>(&fs::read(&path).unwrap()).unwrap(),
            file("one")
        );
        drop(published);
        assert_eq!(fs::read_dir(home.path()).unwrap().count(), 0);
    }

    #[test]
    fn the_file_of_a_successor_stays() {
        let home = tempfile::tempdir().unwrap();
        let first = PublishedFile::publish(home.path(), &file("one")).unwrap();
        let _second = PublishedFile::publish(home.path(), &file("two")).unwrap();
        drop(first);
        let left: ApiFile =
            serde_json::from_slice(&fs::read(home.path().join(API_FILE)).unwrap()).unwrap();
        assert_eq!(left, file("two"));
    }
}
