//! A program that runs beside us: what it says, what it costs, and its end.

use std::fs::File;
use std::io::{BufRead, BufReader, Read, Seek, SeekFrom};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use rustix::process::{Pid, WaitId, WaitIdOptions, waitid};

/// After this long a program counts as stuck.
const PATIENCE: Duration = Duration::from_secs(300);
/// Pause between two looks at a program's memory; the kernel keeps the peak, so it may be long.
const LOOK_EVERY: Duration = Duration::from_millis(10);

/// What a program has cost so far.
#[derive(Clone, Copy, Debug, Default)]
pub struct Usage {
    /// Peak of its resident memory, bytes.
    pub peak_bytes: u64,
    /// Processor time of it and of its children that ended, seconds.
    pub cpu_s: f64,
}

/// A program that has ended well.
#[derive(Debug)]
pub struct Ended {
    /// When.
    pub at: Instant,
    /// What it cost.
    pub usage: Usage,
    /// What it said that nobody had read yet, and when.
    pub lines: Vec<(Instant, String)>,
}

/// A program that runs; it is ended, by its id, when this is dropped.
pub struct Running {
    /// When it was started.
    pub started: Instant,
    name: String,
    child: Child,
    lines: Receiver<(Instant, String)>,
    errors: File,
    peak_bytes: Arc<AtomicU64>,
    over: Arc<AtomicBool>,
    watcher: Option<JoinHandle<()>>,
}

impl Running {
    /// Starts it.
    pub fn start(mut command: Command) -> Result<Self> {
        let program = std::path::Path::new(command.get_program());
        let name = program.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let errors = tempfile::tempfile()?;
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(errors.try_clone()?);
        let started = Instant::now();
        let mut child = command.spawn().with_context(|| format!("starting {name}"))?;
        let (say, lines) = channel();
        let output = BufReader::new(child.stdout.take().context("its output is a pipe")?);
        std::thread::spawn(move || {
            for line in output.lines().map_while(Result::ok) {
                // Whoever listened may be gone; the pipe is drained all the same.
                let _ = say.send((Instant::now(), line));
            }
        });
        let (peak_bytes, over) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicBool::new(false)));
        let watcher = watch(child.id(), Arc::clone(&peak_bytes), Arc::clone(&over));
        Ok(Self { started, name, child, lines, errors, peak_bytes, over, watcher: Some(watcher) })
    }

    /// The first thing that `find` finds in a line, and when the line came.
    pub fn wait_for<T>(&mut self, find: impl Fn(&str) -> Option<T>) -> Result<(Instant, T)> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            match self.lines.recv_timeout(left) {
                Ok((at, line)) => {
                    if let Some(found) = find(&line) {
                        return Ok((at, found));
                    }
                }
                Err(RecvTimeoutError::Timeout) => bail!("{} says nothing", self.name),
                Err(RecvTimeoutError::Disconnected) => {
                    let status = self.child.wait()?;
                    bail!("{} ended early ({status}): {}", self.name, self.complaint());
                }
            }
        }
    }

    /// Waits for its end, which must be a success.
    pub fn finish(mut self) -> Result<Ended> {
        let deadline = Instant::now() + PATIENCE;
        let mut lines = Vec::new();
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            match self.lines.recv_timeout(left) {
                Ok(line) => lines.push(line),
                Err(RecvTimeoutError::Timeout) => bail!("{} does not end", self.name),
                Err(RecvTimeoutError::Disconnected) => break,
            }
        }
        // Its output is closed, so it ends now. It stays readable until it is waited for.
        let pid = Pid::from_raw(self.child.id().cast_signed()).context("a process has an id")?;
        waitid(WaitId::Pid(pid), WaitIdOptions::EXITED | WaitIdOptions::NOWAIT)?;
        let at = Instant::now();
        let usage = self.usage();
        let status: ExitStatus = self.child.wait()?;
        ensure!(status.success(), "{} failed ({status}): {}", self.name, self.complaint());
        Ok(Ended { at, usage, lines })
    }

    /// Fails if it has ended.
    pub fn ensure_alive(&mut self) -> Result<()> {
        match self.child.try_wait()? {
            None => Ok(()),
            Some(status) => bail!("{} ended early ({status}): {}", self.name, self.complaint()),
        }
    }

    /// What it has cost so far.
    pub fn usage(&self) -> Usage {
        let peak = peak_bytes(self.child.id()).unwrap_or(0);
        let peak_bytes = self.peak_bytes.fetch_max(peak, Ordering::Relaxed).max(peak);
        Usage { peak_bytes, cpu_s: cpu_s(self.child.id()).unwrap_or(0.0) }
    }

    /// The end of what it wrote to stderr.
    fn complaint(&self) -> String {
        let mut text = String::new();
        let _ = (&self.errors).seek(SeekFrom::Start(0));
        let _ = (&self.errors).read_to_string(&mut text);
        let mut last: Vec<_> = text.lines().rev().take(4).collect();
        last.reverse();
        last.join(" / ")
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        self.over.store(true, Ordering::Relaxed);
        if let Some(watcher) = self.watcher.take() {
            let _ = watcher.join();
        }
    }
}

/// Looks at the peak of a program's memory until it is over: once it has ended, nobody knows it.
fn watch(id: u32, peak: Arc<AtomicU64>, over: Arc<AtomicBool>) -> JoinHandle<()> {
    std::thread::spawn(move || {
        while !over.load(Ordering::Relaxed) {
            if let Some(bytes) = peak_bytes(id) {
                peak.fetch_max(bytes, Ordering::Relaxed);
            }
            std::thread::sleep(LOOK_EVERY);
        }
    })
}

fn peak_bytes(id: u32) -> Option<u64> {
    let status = std::fs::read_to_string(format!("/proc/{id}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    Some(line.trim().strip_suffix(" kB")?.trim().parse::<u64>().ok()? * 1024)
}

fn cpu_s(id: u32) -> Option<f64> {
    let stat = std::fs::read_to_string(format!("/proc/{id}/stat")).ok()?;
    // The second field is the name in brackets and may hold spaces. Fields 14 to 17 are times.
    let fields: Vec<_> = stat.rsplit_once(')')?.1.split_whitespace().collect();
    let ticks: u64 = fields.get(11..15)?.iter().filter_map(|field| field.parse::<u64>().ok()).sum();
    Some(ticks as f64 / rustix::param::clock_ticks_per_second() as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(script: &str) -> Running {
        let mut command = Command::new("sh");
        command.args(["-c", script]);
        Running::start(command).expect("sh is everywhere")
    }

    #[test]
    fn a_line_is_waited_for_and_the_rest_is_kept() {
        let mut running = shell("echo one; echo two; echo three");
        let found = running.wait_for(|line| line.strip_prefix("tw").map(str::to_owned));
        assert_eq!(found.expect("is said").1, "o");
        let ended = running.finish().expect("ends well");
        assert_eq!(ended.lines.len(), 1);
    }

    #[test]
    fn a_failure_is_told_with_its_last_words() {
        let error = shell("echo sorry >&2; exit 3").finish().expect_err("fails").to_string();
        assert!(error.contains("sorry") && error.contains('3'), "{error}");
        let error = shell("echo gone >&2").wait_for(|_| None::<()>).expect_err("fails").to_string();
        assert!(error.contains("ended early") && error.contains("gone"), "{error}");
    }

    #[test]
    fn our_own_memory_and_time_can_be_read() {
        assert!(peak_bytes(std::process::id()).expect("Linux tells") > 100_000);
        assert!(cpu_s(std::process::id()).expect("Linux tells") >= 0.0);
    }
}
