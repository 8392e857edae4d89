//! A file from an old peer, put where a person wants it: fetched into the home first, hashed, and
//! only then copied to its place, under the store's rules.

use std::path::{Path, PathBuf};

use potluck_store::{Audience, Placed, Placing, Store, StoreError};
use tokio::fs::File;
use tokio::io::BufWriter;

use super::{Wanted, fetch};
use crate::chance::random_key;
use crate::error::ServiceError;
use crate::share::{Downloading, offer_download};

/// Where files wait that nobody vouches for, below the home.
const FOLDER: &str = "incoming";

/// Fetches a file and puts it into place. It is not offered to anybody.
pub async fn fetch_and_place(
    store: &Store,
    wanted: &Wanted,
    placing: Placing,
    progress: impl FnMut(u64, Option<u64>),
) -> Result<Placed, ServiceError> {
    let folder = store.home().join(FOLDER);
    tokio::fs::create_dir_all(&folder).await.map_err(|error| failed(&folder, error))?;
    let number = u64::from_le_bytes(random_key()?);
    let draft = Draft(folder.join(format!("{number:016x}")));
    let file = File::create(&draft.0).await.map_err(|error| failed(&draft.0, error))?;
    fetch(wanted, &mut BufWriter::new(file), progress).await?;
    let (name, of_thread) = (placing.name.clone(), store.clone());
    let placed =
        tokio::task::spawn_blocking(move || of_thread.place_draft(&draft.0, placing)).await??;
    let downloading = Downloading {
        content: placed.content,
        name,
        path: placed.path.clone(),
        tags: Vec::new(),
        listed: Default::default(),
        audience: Audience::nobody(),
    };
    offer_download(store, downloading).await?;
    Ok(placed)
}

/// A file that goes when it is no longer needed.
struct Draft(PathBuf);

impl Drop for Draft {
    fn drop(&mut self) {
        // One that was never made, or is gone, is no fault.
        let _ = std::fs::remove_file(&self.0);
    }
}

fn failed(path: &Path, source: std::io::Error) -> ServiceError {
    StoreError::Io { doing: "write", path: path.to_owned(), source }.into()
}
