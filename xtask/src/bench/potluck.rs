//! Drives the program itself: one process shares, another gets, each with a home of its own.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

use anyhow::{Context, Result, bail};
use serde_json::Value;

use super::child::Running;
use super::contest::{Contender, Sample};
use super::tree;

/// `potluck get` from its start to its end, while the other side has hashed and serves.
pub const GET: &str = "potluck get";
/// The part of it in which pieces are fetched.
pub const FETCHING: &str = "  of it: fetching";
/// From the start of `potluck share` to the end of `potluck get`, in fresh homes.
pub const WHOLE: &str = "potluck share + get";

/// A program to be measured, and where its homes may be.
#[derive(Clone)]
pub struct Potluck {
    /// The binary.
    pub binary: PathBuf,
    /// A folder for homes.
    pub scratch: PathBuf,
}

/// A node that serves one path.
pub struct Sharer {
    running: Running,
    ticket: String,
    /// When the ticket came.
    pub ready: Instant,
    // Removed when the node has ended: fields are dropped in this order.
    _home: tempfile::TempDir,
}

impl Sharer {
    /// From the start of the program to its ticket.
    pub fn ready_s(&self) -> f64 {
        (self.ready - self.running.started).as_secs_f64()
    }
}

impl Potluck {
    fn command(&self, home: &Path) -> Command {
        let mut command = Command::new(&self.binary);
        for (name, _) in std::env::vars_os() {
            if name.to_string_lossy().starts_with("POTLUCK_") {
                command.env_remove(name);
            }
        }
        command.env("POTLUCK_HOME", home).env("POTLUCK_LISTEN", "127.0.0.1:0");
        command
    }

    fn home(&self) -> Result<tempfile::TempDir> {
        Ok(tempfile::Builder::new().prefix("home-").tempdir_in(&self.scratch)?)
    }

    /// Starts to share a path and waits for the ticket.
    pub fn share(&self, path: &Path) -> Result<Sharer> {
        let home = self.home()?;
        let mut command = self.command(home.path());
        command.arg("share").arg(path).arg("--json");
        let mut running = Running::start(command)?;
        let (ready, ticket) = running.wait_for(ticket_in)?;
        Ok(Sharer { running, ticket, ready, _home: home })
    }

    /// Gets a ticket into a folder and checks what came, if told to.
    fn get(&self, sharer: &Sharer, source: &Path, out: &Path, check: bool) -> Result<Got> {
        let home = self.home()?;
        let mut command = self.command(home.path());
        command.args(["get", &sharer.ticket, "--json", "-o"]).arg(out);
        let before = sharer.running.usage();
        let running = Running::start(command)?;
        let started = running.started;
        let ended = running.finish()?;
        let after = sharer.running.usage();
        if check {
            tree::ensure_same(source, &arrived(source, out)?)?;
        }
        Ok(Got {
            started,
            ended: ended.at,
            fetching_s: fetching_s(&ended.lines, ended.at),
            cpu_s: ended.usage.cpu_s + after.cpu_s - before.cpu_s,
            peaks: [after.peak_bytes, ended.usage.peak_bytes],
        })
    }

    /// From the start of `--version` to its end, seconds.
    pub fn version_s(&self) -> Result<f64> {
        let started = Instant::now();
        let status = Command::new(&self.binary).arg("--version").output()?.status;
        let taken = started.elapsed().as_secs_f64();
        if status.success() { Ok(taken) } else { bail!("--version ended with {status}") }
    }
}

struct Got {
    started: Instant,
    ended: Instant,
    fetching_s: Option<f64>,
    cpu_s: f64,
    peaks: [u64; 2],
}

/// Gets one thing again and again from one node that hashed it long ago.
pub struct Getting {
    potluck: Potluck,
    source: PathBuf,
    sharer: Sharer,
}

impl Getting {
    /// Shares the source, hashing included, before anything is measured.
    pub fn new(potluck: &Potluck, source: &Path) -> Result<Self> {
        let sharer = potluck.share(source)?;
        Ok(Self { potluck: potluck.clone(), source: source.to_owned(), sharer })
    }
}

impl Contender for Getting {
    fn round(&mut self, out: &Path, first: bool) -> Result<Vec<Sample>> {
        let got = self.potluck.get(&self.sharer, &self.source, out, first)?;
        let seconds = (got.ended - got.started).as_secs_f64();
        let (cpu_s, peaks) = (Some(got.cpu_s), Some(got.peaks));
        let mut samples = vec![Sample { name: GET, seconds, cpu_s, peaks }];
        if let Some(seconds) = got.fetching_s {
            samples.push(Sample { name: FETCHING, seconds, cpu_s: None, peaks: None });
        }
        Ok(samples)
    }
}

/// Shares and gets in fresh homes each time, hashing included.
pub struct Whole {
    /// The program.
    pub potluck: Potluck,
    /// What is moved.
    pub source: PathBuf,
}

impl Contender for Whole {
    fn round(&mut self, out: &Path, first: bool) -> Result<Vec<Sample>> {
        let sharer = self.potluck.share(&self.source)?;
        let started = sharer.running.started;
        // The processor time of hashing belongs to it as well.
        let hashing = sharer.running.usage().cpu_s;
        let got = self.potluck.get(&sharer, &self.source, out, first)?;
        let seconds = (got.ended - started).as_secs_f64();
        let cpu_s = Some(got.cpu_s + hashing);
        Ok(vec![Sample { name: WHOLE, seconds, cpu_s, peaks: Some(got.peaks) }])
    }
}

/// The first text in a line of JSON that is a ticket.
fn ticket_in(line: &str) -> Option<String> {
    fn search(value: &Value) -> Option<String> {
        match value {
            Value::String(text) if text.starts_with("pot1") => Some(text.clone()),
            Value::Array(values) => values.iter().find_map(search),
            Value::Object(fields) => fields.values().find_map(search),
            _ => None,
        }
    }
    search(&serde_json::from_str(line).ok()?)
}

/// Seconds between the stages `fetching` and `finishing`, or the end.
fn fetching_s(lines: &[(Instant, String)], end: Instant) -> Option<f64> {
    let mut start = None;
    for (at, line) in lines {
        let event: Value = serde_json::from_str(line).unwrap_or_default();
        match event.get("stage").and_then(Value::as_str) {
            Some("fetching") => start = start.or(Some(*at)),
            Some("finishing") => return start.map(|start| (*at - start).as_secs_f64()),
            _ => {}
        }
    }
    start.map(|start| (end - start).as_secs_f64())
}

/// Where the source ended up: under its name in the folder, or as the folder.
fn arrived(source: &Path, out: &Path) -> Result<PathBuf> {
    let named = out.join(source.file_name().context("the source has a name")?);
    Ok(if fs::symlink_metadata(&named).is_ok() { named } else { out.to_owned() })
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_ticket_is_found_wherever_it_stands() {
        let line = r#"{"type":"reply","reply":{"type":"shared","ticket":"pot1abc"}}"#;
        assert_eq!(ticket_in(line).as_deref(), Some("pot1abc"));
        assert_eq!(ticket_in(r#"{"type":"hashing","done":1}"#), None);
        assert_eq!(ticket_in("pot1abc"), None, "not JSON");
    }

    #[test]
    fn fetching_is_measured_between_its_stages() {
        let start = Instant::now();
        let at = |ms: u64, stage: &str| {
            (start + Duration::from_millis(ms), format!(r#"{{"type":"stage","stage":"{stage}"}}"#))
        };
        let end = start + Duration::from_millis(900);
        let lines = [at(100, "connecting"), at(200, "fetching"), at(700, "finishing")];
        assert_eq!(fetching_s(&lines, end), Some(0.5));
        assert_eq!(fetching_s(&lines[..2], end), Some(0.7));
        assert_eq!(fetching_s(&lines[..1], end), None);
    }
}
