//! Shows what was measured, to people as tables and to programs as JSON.

use serde_json::{Value, json};

use super::contest::{Contest, FLOOR, median};
use super::goals::Goal;

/// How long the program takes to start.
pub struct Startup {
    /// `potluck --version`, median.
    pub version_ms: f64,
    /// From the start of a node in a fresh home to its ticket, median.
    pub ready_ms: f64,
}

/// Prints tables.
pub fn print(contests: &[Contest], startup: Option<&Startup>, goals: &[Goal]) {
    for contest in contests {
        println!("\n{} ({:.1} MB), medians", contest.title, mb(contest.bytes));
        println!(
            "{:<24}{:>9}{:>8}{:>9}{:>9}{:>10}{:>8}{:>16}",
            "", "seconds", "best", "MB/s", "x floor", "of floor", "CPU s", "peak MiB up/dn"
        );
        for row in rows(contest) {
            println!(
                "{:<24}{:>9.3}{:>8.3}{:>9.0}{:>9}{:>10}{:>8}{:>16}",
                row.name,
                row.seconds,
                row.best_s,
                row.mb_s,
                shown(row.times_floor, 2),
                shown(row.times_floor.map(|times| 1.0 / times), 2),
                shown(row.cpu_s, 2),
                row.peaks.map_or("-".to_owned(), |[up, down]| format!(
                    "{} / {}",
                    mib(up),
                    mib(down)
                )),
            );
        }
        for line in contest.skipped.iter().chain(&contest.failed) {
            println!("{line}");
        }
    }
    if let Some(startup) = startup {
        println!("\npotluck --version: {:.1} ms", startup.version_ms);
        println!("a new node is ready to serve: {:.0} ms", startup.ready_ms);
    }
    println!("\n{:<66}{:>9}{:>12}", "goal", "measured", "wanted");
    for goal in goals {
        let wanted = format!("{} {:.2}", if goal.at_most { "<=" } else { ">=" }, goal.border);
        let verdict = if goal.passed() { "pass" } else { "MISS" };
        println!("{:<66}{:>9.2}{wanted:>12}  {verdict}", goal.what, goal.measured);
    }
}

/// All of it as one JSON value.
pub fn to_json(contests: &[Contest], startup: Option<&Startup>, goals: &[Goal]) -> Value {
    let contests: Vec<Value> = contests
        .iter()
        .map(|contest| {
            let rows: Vec<Value> = rows(contest).iter().map(|row| row.to_json(contest)).collect();
            json!({
                "title": contest.title,
                "bytes": contest.bytes,
                "rows": rows,
                "skipped": contest.skipped,
                "failed": contest.failed,
            })
        })
        .collect();
    let goals: Vec<Value> = goals
        .iter()
        .map(|goal| {
            json!({
                "what": goal.what,
                "measured": goal.measured,
                "border": goal.border,
                "at_most": goal.at_most,
                "passed": goal.passed(),
            })
        })
        .collect();
    let startup = startup
        .map(|startup| json!({"version_ms": startup.version_ms, "ready_ms": startup.ready_ms}));
    json!({"contests": contests, "startup": startup, "goals": goals})
}

struct Row {
    name: &'static str,
    seconds: f64,
    best_s: f64,
    mb_s: f64,
    times_floor: Option<f64>,
    cpu_s: Option<f64>,
    peaks: Option<[u64; 2]>,
}

impl Row {
    fn to_json(&self, contest: &Contest) -> Value {
        json!({
            "name": self.name.trim(),
            "seconds": self.seconds,
            "best_s": self.best_s,
            "rounds_s": contest.of(self.name).map(|sample| sample.seconds).collect::<Vec<_>>(),
            "mb_per_s": self.mb_s,
            "times_floor": self.times_floor,
            "cpu_s": self.cpu_s,
            "peak_bytes": self.peaks,
        })
    }
}

fn rows(contest: &Contest) -> Vec<Row> {
    let floor = contest.seconds(FLOOR);
    let row = |name: &'static str| {
        let seconds = contest.seconds(name)?;
        let peaks = contest.of(name).filter_map(|sample| sample.peaks);
        Some(Row {
            name,
            seconds,
            best_s: contest.of(name).map(|sample| sample.seconds).fold(f64::INFINITY, f64::min),
            mb_s: mb(contest.bytes) / seconds,
            times_floor: floor.map(|floor| seconds / floor),
            cpu_s: median(contest.of(name).filter_map(|sample| sample.cpu_s).collect()),
            peaks: peaks.reduce(|a, b| [a[0].max(b[0]), a[1].max(b[1])]),
        })
    };
    contest.names().into_iter().filter_map(row).collect()
}

fn shown(value: Option<f64>, decimals: usize) -> String {
    value.map_or("-".to_owned(), |value| format!("{value:.decimals$}"))
}

fn mb(bytes: u64) -> f64 {
    bytes as f64 / 1e6
}

fn mib(bytes: u64) -> u64 {
    bytes >> 20
}
