//! Where the demo plays: a temporary folder that is cleared in the end, and a row on the screen for
//! each actor.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use data_encoding::HEXLOWER;
use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};
use potluck_api::{ApiError, ErrorKind, Event};
use potluck_base::Bytes;

use crate::ui::progress::moving;
use crate::ui::{Ui, shown, shown_path, spoken};

/// A temporary folder. Dropping it clears it too, for the ways out that nobody planned.
#[derive(Debug)]
pub(super) struct Stage {
    path: PathBuf,
}

impl Stage {
    /// Makes the folder, for this user only.
    pub(super) fn build(temp: Option<&Path>) -> Result<Self, ApiError> {
        let temp = temp.map_or_else(std::env::temp_dir, Path::to_owned);
        let mut name = [0; 8];
        getrandom::fill(&mut name)
            .map_err(|error| ApiError::internal("the system has no randomness").because(&error))?;
        let path = temp.join(format!("potluck-demo-{}", HEXLOWER.encode(&name)));
        make_private(&path).map_err(|error| {
            let message = format!("no folder can be made in {}", shown_path(&temp));
            ApiError::new(ErrorKind::Denied, message).because(&error).hint("choose one with --temp")
        })?;
        // The processes run elsewhere.
        let path = path.canonicalize().unwrap_or(path);
        Ok(Self { path })
    }

    /// The folder.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Makes a folder in it.
    pub(super) fn folder(&self, name: &str) -> Result<PathBuf, ApiError> {
        let path = self.path.join(name);
        make_private(&path).map_err(|error| {
            let message = format!("the folder {} cannot be made", shown_path(&path));
            ApiError::new(ErrorKind::Denied, message).because(&error)
        })?;
        Ok(path)
    }

    /// Removes the folder and all that is in it.
    pub(super) fn clear(self) -> Result<(), ApiError> {
        fs::remove_dir_all(&self.path).map_err(|error| {
            let message = format!("{} cannot be removed", shown_path(&self.path));
            ApiError::internal(message).because(&error).hint("remove it yourself")
        })
    }

    /// A row for the provider and one for each receiver.
    pub(super) fn rows(&self, ui: &Ui, receivers: usize) -> Vec<Row> {
        let bars = ui
            .is_lively()
            .then(|| MultiProgress::with_draw_target(ProgressDrawTarget::stderr_with_hz(8)));
        let row = |index: usize| {
            let name = if index == 0 { "provider".to_owned() } else { format!("receiver {index}") };
            let bar = bars.as_ref().map(|bars| {
                let bar =
                    bars.add(ProgressBar::new(1)).with_style(waiting()).with_prefix(name.clone());
                bar.enable_steady_tick(Duration::from_millis(250));
                bar
            });
            Row { name, bar, ui: ui.clone() }
        };
        (0..=receivers).map(row).collect()
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        // Usually it is cleared already.
        let _ = fs::remove_dir_all(&self.path);
    }
}

fn make_private(path: &Path) -> std::io::Result<()> {
    let mut builder = fs::DirBuilder::new();
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(path)
}

/// What is shown of an actor.
#[derive(Clone, Debug)]
pub(super) struct Row {
    name: String,
    bar: Option<ProgressBar>,
    ui: Ui,
}

impl Row {
    /// Shows what an actor tells.
    pub(super) fn event(&self, event: &Event) {
        let Some(bar) = &self.bar else { return };
        match event {
            Event::Hashing { done, total, .. } => {
                self.gauge(bar, *done, *total);
                bar.set_message(format!("hashing, {} of {}", Bytes(*done), Bytes(*total)));
            }
            Event::Progress(progress) => {
                self.gauge(bar, progress.done, progress.total);
                bar.set_message(moving(progress));
            }
            Event::Waiting { reason, retry_in_ms, .. } => {
                let next = retry_in_ms.map(|ms| spoken(Duration::from_millis(ms)));
                let next = next.map(|next| format!("; next try in {next}")).unwrap_or_default();
                bar.set_message(format!("waiting: {}{next}", shown(reason)));
            }
            _ => {}
        }
    }

    fn gauge(&self, bar: &ProgressBar, done: u64, total: u64) {
        bar.set_style(gauge());
        bar.set_length(total);
        bar.set_position(done);
    }

    /// Shows how it ended.
    pub(super) fn done(&self, text: &str) {
        match &self.bar {
            Some(bar) => {
                bar.set_style(waiting());
                bar.disable_steady_tick();
                bar.set_message(text.to_owned());
                bar.tick();
            }
            None => self.ui.note(&format!("{:<11} {text}", self.name)),
        }
    }

    /// Leaves what is shown on the screen for good.
    pub(super) fn clear(&self) {
        if let Some(bar) = &self.bar {
            bar.abandon();
        }
    }
}

fn waiting() -> ProgressStyle {
    ProgressStyle::with_template("{prefix:<11} {wide_msg}").expect("the template is ours")
}

fn gauge() -> ProgressStyle {
    ProgressStyle::with_template("{prefix:<11} {bar:24} {percent:>3}%  {wide_msg}")
        .expect("the template is ours")
        .progress_chars("━╸─")
}
