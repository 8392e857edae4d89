//! The checkout that xtask works on: where it is, what cargo knows of it, which files belong to it.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};
use cargo_metadata::{Metadata, MetadataCommand};

/// A checkout of Potluck.
pub struct Project {
    /// Its root folder.
    pub root: PathBuf,
    /// What `cargo metadata` says of it, dependencies of dependencies included.
    pub metadata: Metadata,
}

impl Project {
    /// The checkout that this program was built from.
    pub fn open() -> Result<Self> {
        let metadata = MetadataCommand::new()
            .manifest_path(Path::new(env!("CARGO_MANIFEST_DIR")).join("../Cargo.toml"))
            .exec()
            .context("cargo metadata")?;
        Ok(Self { root: metadata.workspace_root.clone().into_std_path_buf(), metadata })
    }

    /// Where cargo puts what it builds.
    pub fn target(&self) -> &Path {
        self.metadata.target_directory.as_std_path()
    }

    /// The text of a file, by its path below the root.
    pub fn read(&self, path: &str) -> Result<String> {
        std::fs::read_to_string(self.root.join(path)).with_context(|| format!("reading {path}"))
    }

    /// Paths below the root of all files that git tracks or would track.
    pub fn files(&self) -> Result<Vec<String>> {
        let listed = Command::new("git")
            .args(["ls-files", "-z", "--cached", "--others", "--exclude-standard"])
            .current_dir(&self.root)
            .output()
            .context("git ls-files")?;
        ensure!(
            listed.status.success(),
            "git ls-files: {}",
            String::from_utf8_lossy(&listed.stderr)
        );
        let text = String::from_utf8(listed.stdout).context("a tracked file name is not UTF-8")?;
        let files = text.split('\0').filter(|path| !path.is_empty()).map(str::to_owned);
        // A file that is deleted but not yet staged is listed too.
        Ok(files.filter(|path| self.root.join(path).is_file()).collect())
    }
}
