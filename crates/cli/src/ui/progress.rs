//! How a command's events are shown while it runs: as a bar, as JSON, as few lines, or not at all.

use std::io;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use potluck_api::{CopyEnded, CopyState, Event, Line, Progress, Stage, Storing};
use potluck_base::{Bytes, Rate, escape};

use super::{Ui, counted, shown, spoken};
use crate::show::peer as named;

/// Redraws a second: smooth for people, cheap over a remote shell.
const DRAWS_PER_SECOND: u8 = 8;
/// Steps of the spinner, which show that the program lives.
const TICK: Duration = Duration::from_millis(250);

/// Characters of a name beside a bar.
const STORING_CHARS: usize = 32;

/// The display of one command.
#[derive(Debug)]
pub(crate) struct Meter {
    ui: Ui,
    bar: Option<ProgressBar>,
    last: Option<Progress>,
    waiting_for: Option<String>,
    output: io::Result<()>,
}

impl Meter {
    /// A display that fits `ui`.
    pub(crate) fn new(ui: &Ui) -> Self {
        let bar = ui.is_lively().then(|| {
            let target = ProgressDrawTarget::stderr_with_hz(DRAWS_PER_SECOND);
            let bar = ProgressBar::with_draw_target(None, target).with_style(spinner());
            bar.enable_steady_tick(TICK);
            bar
        });
        Self { ui: ui.clone(), bar, last: None, waiting_for: None, output: Ok(()) }
    }

    /// Shows an event.
    pub(crate) fn event(&mut self, event: &Event) {
        if self.ui.is_json() {
            if self.output.is_ok() {
                self.output = self.ui.json(&Line::Event(event.clone()));
            }
            self.remember(event);
            return;
        }
        match event {
            Event::Hashing { done, total, files } => {
                self.draw(*done, *total, "hashing", || {
                    format!("{} of {}, {}", Bytes(*done), Bytes(*total), counted(*files, "file"))
                });
            }
            Event::Progress(progress) => {
                self.waiting_for = None;
                self.draw(progress.done, progress.total, "fetching", || moving(progress));
            }
            Event::Storing(storing) => {
                self.waiting_for = None;
                self.draw(storing.done, storing.total, "storing", || copying(storing));
            }
            Event::Stage { stage, .. } => self.status(stage_name(*stage)),
            Event::Waiting { reason, retry_in_ms, .. } => self.waiting(reason, *retry_in_ms),
            _ => self.tell(event),
        }
        self.remember(event);
    }

    /// Shows a line that stays while the display goes on.
    pub(crate) fn line(&self, line: &str, show: impl FnOnce(&Ui, &str)) {
        match &self.bar {
            Some(bar) => bar.suspend(|| show(&self.ui, line)),
            None => show(&self.ui, line),
        }
    }

    /// Shows what goes on, on the line that moves.
    pub(crate) fn status(&self, text: &str) {
        if let Some(bar) = &self.bar {
            bar.set_style(spinner());
            bar.set_message(text.to_owned());
        }
    }

    /// The last progress that was told.
    pub(crate) fn progress(&self) -> Option<&Progress> {
        self.last.as_ref()
    }

    /// Takes the display away; tells whether all of it could be written.
    pub(crate) fn finish(self) -> io::Result<()> {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
        self.output
    }

    fn remember(&mut self, event: &Event) {
        if let Event::Progress(progress) = event {
            self.last = Some(progress.clone());
        }
    }

    fn draw(&self, done: u64, total: u64, prefix: &'static str, text: impl FnOnce() -> String) {
        if let Some(bar) = &self.bar {
            bar.set_style(gauge());
            bar.set_prefix(prefix);
            bar.set_length(total);
            bar.set_position(done);
            bar.set_message(text());
        }
    }

    fn waiting(&mut self, reason: &str, retry_in_ms: Option<u64>) {
        let reason = shown(reason);
        let next =
            retry_in_ms.map(|ms| format!("; next try in {}", spoken(Duration::from_millis(ms))));
        let text = format!("waiting: {reason}{}", next.unwrap_or_default());
        match &self.bar {
            Some(_) => self.status(&text),
            // A log needs to know that nothing moves, but not every try.
            None if self.waiting_for.as_ref() != Some(&reason) => self.ui.note(&text),
            None => {}
        }
        self.waiting_for = Some(reason);
    }

    fn tell(&self, event: &Event) {
        match event {
            Event::Warning { text, path } => {
                let text = match path {
                    Some(path) => format!("{}: {}", shown(path), shown(text)),
                    None => shown(text),
                };
                self.line(&text, Ui::warn);
            }
            Event::FileFailed(failure) => {
                let text = format!("{}: {}", shown(&failure.path), shown(&failure.why));
                self.line(&text, Ui::warn);
            }
            Event::SourceChanged { path, why, .. } => {
                let text = format!(
                    "{}: {}; share it again to send it as it is now",
                    shown(path),
                    shown(why)
                );
                self.line(&text, Ui::warn);
            }
            Event::CopyEnded(CopyEnded { name, peer, state, .. }) => match state {
                CopyState::There => {
                    self.line(&format!("{} has {}", named(peer), shown(name)), Ui::note);
                }
                CopyState::Coming => {}
                CopyState::Missing { why } => {
                    let text =
                        format!("{}: no copy at {}: {}", shown(name), named(peer), shown(why));
                    self.line(&text, Ui::warn);
                }
            },
            Event::ReceiverDone { peer, .. } => {
                self.line(&format!("{} has everything", peer.short()), Ui::note);
            }
            _ => {}
        }
    }
}

fn stage_name(stage: Stage) -> &'static str {
    match stage {
        Stage::Scanning => "looking at the files",
        Stage::Hashing => "hashing",
        Stage::Connecting => "connecting",
        Stage::Manifest => "fetching the list of files",
        Stage::Checking => "checking what is here already",
        Stage::Fetching => "fetching",
        Stage::Finishing => "finishing",
        Stage::Waiting => "waiting",
        Stage::Placing => "looking for who is to have copies",
        Stage::Copying => "sending copies",
    }
}

/// The text beside a download's bar.
pub(crate) fn moving(progress: &Progress) -> String {
    let mut text = format!("{} of {}", Bytes(progress.done), Bytes(progress.total));
    if progress.rate_bps > 0.0 {
        text += &format!("  {}", Rate(progress.rate_bps));
    }
    if let Some(eta) = progress.eta_s {
        let left = match eta {
            0..60 => format!("{eta} s"),
            _ => spoken(Duration::from_secs(eta)),
        };
        text += &format!("  {left} left");
    }
    if progress.files_total > 1 {
        text += &format!("  {}/{} files", progress.files_done, progress.files_total);
    }
    text + &format!("  {}", counted(progress.peers.into(), "peer"))
}

/// The text beside the bar of a file that is copied into a network.
fn copying(storing: &Storing) -> String {
    let Storing { name, done, total, copies, wanted, .. } = storing;
    let name = escape(name, STORING_CHARS);
    format!("{name}: {} of {}, {copies} of {wanted} copies", Bytes(*done), Bytes(*total))
}

fn spinner() -> ProgressStyle {
    ProgressStyle::with_template("{spinner} {wide_msg}").expect("the template is ours")
}

/// A bar as wide as the terminal leaves room for.
pub(crate) fn gauge() -> ProgressStyle {
    ProgressStyle::with_template("{prefix:<9} {wide_bar} {percent:>3}%  {msg}")
        .expect("the template is ours")
        .progress_chars("━╸─")
}

#[cfg(test)]
mod tests {
    use potluck_base::ContentId;

    use super::*;

    #[test]
    fn progress_says_how_much_how_fast_how_long_and_from_how_many() {
        let progress = Progress {
            content: ContentId([0; 32]),
            done: 500_000_000,
            total: 2_000_000_000,
            rate_bps: 112e6,
            eta_s: Some(13),
            peers: 1,
            files_done: 3,
            files_total: 12,
        };
        assert_eq!(moving(&progress), "500 MB of 2.0 GB  112 MB/s  13 s left  3/12 files  1 peer");
        let stalled = Progress { rate_bps: 0.0, eta_s: None, peers: 0, files_total: 1, ..progress };
        assert_eq!(moving(&stalled), "500 MB of 2.0 GB  0 peers");
    }
}
