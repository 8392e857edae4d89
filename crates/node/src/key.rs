//! The node's secret key: made once, kept in the home with mode 0600.

use std::fs::OpenOptions;
use std::io::{ErrorKind as Io, Read, Write};
use std::path::{Path, PathBuf};

use potluck_api::{ApiError, ErrorKind};
use potluck_identity::SecretKey;

/// Where the key is.
pub fn path(home: &Path) -> PathBuf {
    home.join("key")
}

/// Reads the key, or makes one if there is none.
pub fn load_or_make(home: &Path) -> Result<SecretKey, ApiError> {
    load_or_make_secret(&path(home)).map(SecretKey::from_seed)
}

/// Reads so many secret bytes from a file, or makes them if there is none.
pub fn load_or_make_secret<const N: usize>(path: &Path) -> Result<[u8; N], ApiError> {
    match load(path)? {
        Some(secret) => Ok(secret),
        None => make(path),
    }
}

fn load<const N: usize>(path: &Path) -> Result<Option<[u8; N]>, ApiError> {
    let mut seed = Vec::new();
    match OpenOptions::new().read(true).open(path) {
        Ok(file) => file.take(64).read_to_end(&mut seed).map_err(|error| broken(path, &error))?,
        Err(error) if error.kind() == Io::NotFound => return Ok(None),
        Err(error) => return Err(broken(path, &error)),
    };
    let seed: [u8; N] = seed.try_into().map_err(|_| {
        ApiError::new(ErrorKind::Corrupt, format!("{} is not a key", path.display()))
            .hint("restore it from a copy, or move it away to become a new peer")
    })?;
    Ok(Some(seed))
}

/// The file appears whole or not at all: a key that was cut short would lock its owner out.
fn make<const N: usize>(path: &Path) -> Result<[u8; N], ApiError> {
    let mut seed = [0; N];
    getrandom::fill(&mut seed)
        .map_err(|error| ApiError::internal(format!("no randomness from the system: {error}")))?;
    let draft = path.with_extension("new");
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let written = options.open(&draft).and_then(|mut file| {
        file.write_all(&seed)?;
        file.sync_all()?;
        std::fs::rename(&draft, path)
    });
    written.map_err(|error| broken(path, &error))?;
    Ok(seed)
}

fn broken(path: &Path, error: &std::io::Error) -> ApiError {
    let kind = match error.kind() {
        Io::StorageFull => ErrorKind::NoSpace,
        Io::PermissionDenied | Io::ReadOnlyFilesystem => ErrorKind::Denied,
        _ => ErrorKind::Internal,
    };
    ApiError::new(kind, format!("the key {} cannot be used: {error}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_key_stays_the_same_and_is_the_owners_alone() {
        let home = tempfile::tempdir().expect("a folder for the test");
        let first = load_or_make(home.path()).unwrap();
        assert_eq!(first.peer_id(), load_or_make(home.path()).unwrap().peer_id());
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            let mode = std::fs::metadata(path(home.path())).unwrap().permissions().mode();
            assert_eq!(mode & 0o777, 0o600);
        }
    }

    #[test]
    fn a_damaged_key_is_not_replaced() {
        let home = tempfile::tempdir().expect("a folder for the test");
        std::fs::write(path(home.path()), b"short").unwrap();
        assert_eq!(load_or_make(home.path()).unwrap_err().kind, ErrorKind::Corrupt);
        assert_eq!(std::fs::read(path(home.path())).unwrap(), b"short");
    }
}
