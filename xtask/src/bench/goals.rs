//! What we want to reach, and whether this run reached it. The numbers are those of the project's
//! issues.

use super::contest::{Contest, FLOOR};
use super::others::{RSYNC, SENDME, SENDME_RECEIVE};
use super::potluck::{FETCHING, GET, WHOLE};
use super::report::Startup;

/// Share of the floor's rate for one large file.
const FILE_OF_FLOOR: f64 = 0.50;
/// Share of the floor's rate for a thousand files of 1 MiB.
const TREE_OF_FLOOR: f64 = 0.45;
/// Times the floor's time for both commands, hashing included.
const WHOLE_TIMES_FLOOR: f64 = 2.0;
/// Times as fast as sendme.
const TIMES_SENDME: f64 = 4.0;
/// Peak of memory of either side.
const PEAK_MIB: f64 = 80.0;
/// Time of `--version`.
const VERSION_MS: f64 = 10.0;
/// Time from the start of a node to its ticket.
const READY_MS: f64 = 300.0;

/// One goal and what was measured.
pub struct Goal {
    /// What is wanted, for people.
    pub what: String,
    /// What was measured.
    pub measured: f64,
    /// Where the border lies.
    pub border: f64,
    /// Whether less is better.
    pub at_most: bool,
}

impl Goal {
    /// Whether it was reached.
    pub fn passed(&self) -> bool {
        if self.at_most { self.measured <= self.border } else { self.measured >= self.border }
    }
}

/// Which of the contests a contest is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// One large file.
    File,
    /// A thousand files of 1 MiB.
    Medium,
    /// Ten thousand files of 4 KiB.
    Small,
}

/// The goals that one contest can tell about.
pub fn of_contest(kind: Kind, contest: &Contest) -> Vec<Goal> {
    let mut judge = Judge { contest, goals: Vec::new() };
    match kind {
        Kind::File => {
            judge.at_least("get, share of the floor's rate", FLOOR, GET, FILE_OF_FLOOR);
            judge.at_least("fetching, share of the floor's rate", FLOOR, FETCHING, FILE_OF_FLOOR);
            judge.at_most("share + get, times the floor", WHOLE, FLOOR, WHOLE_TIMES_FLOOR);
            judge.at_least("get, times as fast as sendme", SENDME_RECEIVE, GET, TIMES_SENDME);
            judge.at_least("share + get, times as fast as sendme", SENDME, WHOLE, TIMES_SENDME);
        }
        Kind::Medium => {
            judge.at_least("get, share of the floor's rate", FLOOR, GET, TREE_OF_FLOOR);
        }
        Kind::Small => {
            judge.at_most("get, times the time of an rsync daemon", GET, RSYNC, 1.0);
            judge.at_most("share + get, times the time of an rsync daemon", WHOLE, RSYNC, 1.0);
        }
    }
    judge.memory("peak memory of the sender, MiB", 0);
    judge.memory("peak memory of the receiver, MiB", 1);
    judge.goals
}

struct Judge<'a> {
    contest: &'a Contest,
    goals: Vec<Goal>,
}

impl Judge<'_> {
    /// The time of one way, divided by that of another, must reach a border.
    fn at_least(&mut self, what: &str, way: &str, other: &str, border: f64) {
        let measured = self.ratio(way, other);
        self.add(what, measured, border, false);
    }

    /// The time of one way, divided by that of another, must not pass a border.
    fn at_most(&mut self, what: &str, way: &str, other: &str, border: f64) {
        let measured = self.ratio(way, other);
        self.add(what, measured, border, true);
    }

    fn memory(&mut self, what: &str, side: usize) {
        self.add(what, peak_mib(self.contest, side), PEAK_MIB, true);
    }

    fn ratio(&self, way: &str, other: &str) -> Option<f64> {
        Some(self.contest.seconds(way)? / self.contest.seconds(other)?)
    }

    /// What was not measured is not judged.
    fn add(&mut self, what: &str, measured: Option<f64>, border: f64, at_most: bool) {
        let what = format!("{}: {what}", self.contest.title);
        self.goals.extend(measured.map(|measured| Goal { what, measured, border, at_most }));
    }
}

fn peak_mib(contest: &Contest, side: usize) -> Option<f64> {
    let ours = contest.of(GET).chain(contest.of(WHOLE));
    let peak = ours.filter_map(|sample| Some(sample.peaks?[side])).max()?;
    Some(peak as f64 / f64::from(1 << 20))
}

/// The goals about starting.
pub fn of_startup(startup: &Startup) -> Vec<Goal> {
    let goal = |what: &str, measured, border| Goal {
        what: what.to_owned(),
        measured,
        border,
        at_most: true,
    };
    vec![
        goal("potluck --version, ms", startup.version_ms, VERSION_MS),
        goal("a new node is ready to serve, ms", startup.ready_ms, READY_MS),
    ]
}

#[cfg(test)]
mod tests {
    use super::super::contest::Sample;
    use super::*;

    fn sample(name: &'static str, seconds: f64, peaks: [u64; 2]) -> Sample {
        Sample { name, seconds, cpu_s: None, peaks: Some(peaks) }
    }

    #[test]
    fn goals_are_judged_against_the_floor_of_the_same_run() {
        let mut contest = Contest::new("a file", 1 << 30);
        let mib = 1 << 20;
        contest.samples = vec![
            sample(FLOOR, 1.0, [0, 0]),
            sample(GET, 1.9, [20 * mib, 81 * mib]),
            sample(WHOLE, 2.1, [30 * mib, 10 * mib]),
        ];
        let goals = of_contest(Kind::File, &contest);
        let told: Vec<_> = goals.iter().map(|goal| (goal.what.as_str(), goal.passed())).collect();
        let expected = [
            ("a file: get, share of the floor's rate", true),
            ("a file: share + get, times the floor", false),
            ("a file: peak memory of the sender, MiB", true),
            ("a file: peak memory of the receiver, MiB", false),
        ];
        assert_eq!(told, expected);
    }

    #[test]
    fn what_was_not_measured_is_not_judged() {
        assert!(of_contest(Kind::Small, &Contest::new("a tree", 1)).is_empty());
    }
}
