//! Rounds: everybody moves the same thing once, then everybody again, so that all see the same
//! machine.
//!
//! Three things besides the contenders would decide who wins, and are kept away from them: what the
//! last one left to be written, memory that a virtual machine must first ask its host for, and
//! names that were just deleted (ext4 looks at each of them again before it makes a file).

use std::fmt;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

use super::child::Running;
use super::tree;

/// The name of the plain TCP copy.
pub const FLOOR: &str = "plain TCP copy";

/// Memory that a contender may need besides what it writes.
const SPARE_BYTES: u64 = 256 << 20;

/// One way to move something.
pub trait Contender {
    /// Moves it once into an empty folder; `first` asks it to check what came.
    fn round(&mut self, out: &Path, first: bool) -> Result<Vec<Sample>>;
}

/// What one round of one way has cost.
#[derive(Clone, Debug)]
pub struct Sample {
    /// Which way, or part of it.
    pub name: &'static str,
    /// Wall time.
    pub seconds: f64,
    /// Processor time of both sides.
    pub cpu_s: Option<f64>,
    /// Peaks of memory of sender and receiver, bytes.
    pub peaks: Option<[u64; 2]>,
}

/// A tool that is not on this machine.
#[derive(Debug)]
pub struct NotInstalled(pub &'static str);

impl fmt::Display for NotInstalled {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} is not installed", self.0)
    }
}

impl std::error::Error for NotInstalled {}

/// What is moved, and what came of it.
pub struct Contest {
    /// What is moved, for people.
    pub title: String,
    /// Its bytes.
    pub bytes: u64,
    /// All samples, in order.
    pub samples: Vec<Sample>,
    /// Who did not take part, because a tool is not installed.
    pub skipped: Vec<String>,
    /// Who could not start or did not arrive, and why.
    pub failed: Vec<String>,
    contenders: Vec<(&'static str, Box<dyn Contender>)>,
}

impl Contest {
    /// A contest without contenders.
    pub fn new(title: impl Into<String>, bytes: u64) -> Self {
        let title = title.into();
        let (samples, contenders) = (Vec::new(), Vec::new());
        let (skipped, failed) = (Vec::new(), Vec::new());
        Self { title, bytes, samples, skipped, failed, contenders }
    }

    /// Adds a contender, or the reason why it cannot take part.
    pub fn enter<C: Contender + 'static>(&mut self, name: &'static str, contender: Result<C>) {
        match contender {
            Ok(contender) => self.contenders.push((name, Box::new(contender))),
            Err(error) if error.is::<NotInstalled>() => {
                self.skipped.push(format!("{name}: skipped: {error}"));
            }
            Err(error) => self.failed.push(format!("{name}: failed: {error:#}")),
        }
    }

    /// Runs the rounds. Who fails once is out; the others go on.
    pub fn run(&mut self, rounds: usize, scratch: &Path) -> Result<()> {
        for round in 0..rounds {
            let mut staying = Vec::new();
            for (name, mut contender) in std::mem::take(&mut self.contenders) {
                // Stays until the whole bench is over.
                let out = tempfile::Builder::new().prefix("out-").tempdir_in(scratch)?.keep();
                rustix::fs::sync();
                touch_memory(self.bytes + SPARE_BYTES);
                let outcome = contender.round(&out, round == 0);
                tree::empty_files(&out)?;
                match outcome {
                    Ok(samples) => {
                        report(&self.title, round, &samples);
                        self.samples.extend(samples);
                        staying.push((name, contender));
                    }
                    Err(error) => self.failed.push(format!("{name}: failed: {error:#}")),
                }
            }
            // Whoever comes first, or after the heaviest, may have it harder: not always the same
            // one.
            if !staying.is_empty() {
                staying.rotate_left(1);
            }
            self.contenders = staying;
        }
        // Ends the servers of this contest before the next one starts its own.
        self.contenders.clear();
        Ok(())
    }

    /// The median time of a way, if it took part.
    pub fn seconds(&self, name: &str) -> Option<f64> {
        median(self.of(name).map(|sample| sample.seconds).collect())
    }

    /// The samples of one way.
    pub fn of(&self, name: &str) -> impl Iterator<Item = &Sample> {
        self.samples.iter().filter(move |sample| sample.name == name)
    }

    /// The names of the ways, in order.
    pub fn names(&self) -> Vec<&'static str> {
        let mut names: Vec<&'static str> = Vec::new();
        for sample in &self.samples {
            if !names.contains(&sample.name) {
                names.push(sample.name);
            }
        }
        names
    }
}

/// Takes memory, writes to each page of it and gives it back.
fn touch_memory(bytes: u64) {
    let mut memory = vec![0_u8; usize::try_from(bytes).unwrap_or(0)];
    memory.iter_mut().step_by(4096).for_each(|byte| *byte = 1);
    std::hint::black_box(&memory);
}

fn report(title: &str, round: usize, samples: &[Sample]) {
    for sample in samples {
        eprintln!("  {title}, round {}: {:.3} s  {}", round + 1, sample.seconds, sample.name);
    }
}

/// The middle value; of an even number the mean of the middle two.
pub fn median(mut values: Vec<f64>) -> Option<f64> {
    values.sort_by(f64::total_cmp);
    let (low, high) =
        (values.get(values.len().checked_sub(1)? / 2)?, values.get(values.len() / 2)?);
    Some((low + high) / 2.0)
}

/// The plain TCP copy by two processes of this program.
pub struct Floor {
    /// What is moved.
    pub source: PathBuf,
}

impl Contender for Floor {
    fn round(&mut self, out: &Path, first: bool) -> Result<Vec<Sample>> {
        let ourselves = std::env::current_exe().context("this program has a path")?;
        let mut command = Command::new(&ourselves);
        command.arg("floor-send").arg(&self.source);
        let mut sender = Running::start(command)?;
        let (_, address) = sender.wait_for(|line| Some(line.to_owned()))?;
        let mut command = Command::new(&ourselves);
        command.args(["floor-recv", &address]).arg(out);
        let receiver = Running::start(command)?;
        let started = receiver.started;
        let (received, sent) = (receiver.finish()?, sender.finish()?);
        if first {
            let name = self.source.file_name().context("the source has a name")?;
            tree::ensure_same(&self.source, &out.join(name))?;
        }
        Ok(vec![Sample {
            name: FLOOR,
            seconds: (received.at - started).as_secs_f64(),
            cpu_s: Some(received.usage.cpu_s + sent.usage.cpu_s),
            peaks: Some([sent.usage.peak_bytes, received.usage.peak_bytes]),
        }])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_is_the_middle() {
        assert_eq!(median(vec![]), None);
        assert_eq!(median(vec![3.0]), Some(3.0));
        assert_eq!(median(vec![9.0, 1.0, 2.0]), Some(2.0));
        assert_eq!(median(vec![4.0, 1.0, 2.0, 9.0]), Some(3.0));
    }

    struct Fake(u32);

    impl Contender for Fake {
        fn round(&mut self, _: &Path, first: bool) -> Result<Vec<Sample>> {
            self.0 -= 1;
            anyhow::ensure!(self.0 > 0, "tired");
            let seconds = if first { 1.0 } else { 2.0 };
            Ok(vec![Sample { name: FLOOR, seconds, cpu_s: None, peaks: None }])
        }
    }

    #[test]
    fn who_fails_is_out_and_the_others_go_on() {
        let scratch = tempfile::tempdir().expect("a temporary folder");
        let mut contest = Contest::new("a thing", 1);
        contest.enter("tired", Ok(Fake(2)));
        contest.enter("fresh", Ok(Fake(9)));
        contest.enter("absent", Err::<Fake, _>(NotInstalled("sendme").into()));
        contest.enter("broken", Err::<Fake, _>(anyhow::anyhow!("no port")));
        contest.run(3, scratch.path()).expect("runs");
        assert_eq!(contest.of(FLOOR).count(), 4);
        assert_eq!(contest.skipped, ["absent: skipped: sendme is not installed"]);
        assert_eq!(contest.failed, ["broken: failed: no port", "tired: failed: tired"]);
    }
}
