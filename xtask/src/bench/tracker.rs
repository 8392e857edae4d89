//! Measures a tracker: its index alone, and what else is added as a part of its own.
//!
//! What is measured runs as a program of its own, built for speed, so that its memory and its start
//! are those of a tracker; it prints lines of a name and a number.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail, ensure};
use serde_json::json;

use super::goals::Goal;
use crate::project::Project;
use crate::steps;

/// Median of a search, ms.
const SEARCH_P50_MS: f64 = 5.0;
/// One search in a hundred, ms.
const SEARCH_P99_MS: f64 = 50.0;
/// A suggestion for a word that is not there, ms.
const SUGGESTION_P50_MS: f64 = 20.0;
/// Files that are published in a second.
const FILES_PER_S: f64 = 20_000.0;
/// From the start of the program to the registry's state in memory, ms.
const START_MS: f64 = 2000.0;
/// All memory of the program, mapped pages of the file included.
const MEMORY_MIB: f64 = 1024.0;
/// Median of a search over a link on loopback, ms.
const ROUND_TRIP_P50_MS: f64 = 10.0;
/// From the writing of a file to its being found by another member, one in a hundred, ms.
const VISIBLE_P99_MS: f64 = 2000.0;
/// From the start of a tracker to the last member's return, ms.
const RETURN_MS: f64 = 10_000.0;

/// How a tracker is measured.
#[derive(clap::Args)]
pub struct Args {
    /// Only this part; may be repeated.
    #[arg(long, value_name = "PART")]
    part: Vec<Part>,
    /// Files that are listed.
    #[arg(long, value_name = "N", default_value_t = 1_000_000)]
    files: u64,
    /// Peers that list them.
    #[arg(long, value_name = "N", default_value_t = 10_000)]
    peers: u64,
    /// Clients that link to a tracker; each publishes 100 files.
    #[arg(long, value_name = "N", default_value_t = 1000)]
    links: u64,
    /// Members that return to a tracker that was killed.
    #[arg(long, value_name = "N", default_value_t = 1000)]
    wave: u64,
    /// A folder for the index, about 400 bytes a file; default: in cargo's target folder.
    #[arg(long, value_name = "PATH")]
    scratch: Option<PathBuf>,
    /// Print JSON instead of tables.
    #[arg(long)]
    json: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Part {
    /// The index: publishing, searching, starting.
    Index,
    /// A tracker, its clients and its members over TCP.
    Links,
}

/// What one part measured.
pub struct Measured {
    /// Names and numbers.
    pub values: BTreeMap<String, f64>,
    /// What is wanted of them.
    pub goals: Vec<Goal>,
}

/// Measures what was asked for.
pub fn run(args: &Args) -> Result<()> {
    let project = Project::open()?;
    let parent = args.scratch.clone().unwrap_or_else(|| project.target().to_owned());
    let scratch = tempfile::Builder::new().prefix("bench-").tempdir_in(parent)?;
    let wanted = |part: Part| args.part.is_empty() || args.part.contains(&part);
    let mut missed = 0;
    if wanted(Part::Index) {
        let measured = index(&project, args, scratch.path())?;
        show(&format!("index of {} files of {} peers", args.files, args.peers), args, &measured);
        missed += measured.goals.iter().filter(|goal| !goal.passed()).count();
    }
    if wanted(Part::Links) {
        let measured = links(&project, args, scratch.path())?;
        let title = format!("{} clients over TCP, a wave of {}", args.links, args.wave);
        show(&title, args, &measured);
        missed += measured.goals.iter().filter(|goal| !goal.passed()).count();
    }
    if missed > 0 { bail!("{missed} goals were missed") } else { Ok(()) }
}

/// Builds a program of the workshop for speed.
pub fn example(project: &Project, package: &str, name: &str) -> Result<PathBuf> {
    let mut command = steps::cargo(&project.root);
    command.args(["build", "--release", "--locked", "-p", package, "--example", name]);
    let status = command.status()?;
    ensure!(status.success(), "building {name} ended with {status}");
    Ok(project.target().join("release/examples").join(name))
}

/// Runs such a program and adds what it prints.
pub fn read(command: &mut Command, values: &mut BTreeMap<String, f64>) -> Result<()> {
    let output = command.stderr(std::process::Stdio::inherit()).output()?;
    ensure!(output.status.success(), "the measurement ended with {}", output.status);
    for line in String::from_utf8(output.stdout)?.lines() {
        let (name, number) = line.split_once('\t').context("a line of a name and a number")?;
        values.insert(name.to_owned(), number.parse()?);
    }
    Ok(())
}

fn index(project: &Project, args: &Args, scratch: &Path) -> Result<Measured> {
    let program = example(project, "potluck-service", "tracker_index")?;
    let mut values = BTreeMap::new();
    for what in ["fill", "ask"] {
        let mut command = Command::new(&program);
        command.arg(what).arg(scratch.join("index.db"));
        command.args([args.files.to_string(), args.peers.to_string()]);
        read(&mut command, &mut values)?;
    }
    let mut goals = Goals::new(values);
    for (name, what) in KINDS {
        goals.at_most(&format!("{what}, median, ms"), &format!("{name}_p50_ms"), SEARCH_P50_MS);
        goals.at_most(&format!("{what}, 1 in 100, ms"), &format!("{name}_p99_ms"), SEARCH_P99_MS);
    }
    goals.at_most("a suggestion, median, ms", "typo_p50_ms", SUGGESTION_P50_MS);
    goals.at_least("files written in a second", "written_files_per_s", FILES_PER_S);
    goals.at_least("files checked and written in a second", "checked_files_per_s", FILES_PER_S);
    goals.at_most("start, ms", "start_ms", START_MS);
    goals.at_most("memory at its peak, MiB", "ask_peak_mib", MEMORY_MIB);
    Ok(goals.measured)
}

fn links(project: &Project, args: &Args, scratch: &Path) -> Result<Measured> {
    let program = example(project, "potluck-service", "tracker_links")?;
    let mut values = BTreeMap::new();
    let mut command = Command::new(&program);
    command.arg("run").arg(scratch).args([args.links.to_string(), args.wave.to_string()]);
    read(&mut command, &mut values)?;
    let mut goals = Goals::new(values);
    goals.at_least("clients with a live lease", "live_leases", args.links as f64);
    goals.at_most("the tracker's memory at its peak, MiB", "peak_mib", MEMORY_MIB);
    goals.at_least("files published in a second", "published_files_per_s", FILES_PER_S);
    for (name, what) in [("words", "words"), ("prefix", "beginning of a word")] {
        for (who, by) in [("link", "a link"), ("member", "a member")] {
            let what = format!("{what}, by {by}, median, ms");
            goals.at_most(&what, &format!("{who}_search_{name}_p50_ms"), ROUND_TRIP_P50_MS);
        }
    }
    goals.at_most("a file seen elsewhere, 1 in 100, ms", "added_file_p99_ms", VISIBLE_P99_MS);
    goals.at_most("files never seen elsewhere", "added_missing", 0.0);
    for (name, what) in [("wave", "a restart"), ("late_wave", "15 s without the tracker")] {
        let all = args.wave as f64;
        goals.at_least(&format!("back after {what}"), &format!("{name}_registered"), all);
        goals.at_most(
            &format!("the last, ms after {what}"),
            &format!("{name}_registered_max_ms"),
            RETURN_MS,
        );
    }
    Ok(goals.measured)
}

/// Puts goals beside what was measured; what was not is not judged.
struct Goals {
    measured: Measured,
}

impl Goals {
    fn new(values: BTreeMap<String, f64>) -> Self {
        Self { measured: Measured { values, goals: Vec::new() } }
    }

    fn at_most(&mut self, what: &str, name: &str, border: f64) {
        self.add(what, name, border, true);
    }

    fn at_least(&mut self, what: &str, name: &str, border: f64) {
        self.add(what, name, border, false);
    }

    fn add(&mut self, what: &str, name: &str, border: f64, at_most: bool) {
        let measured = self.measured.values.get(name).copied();
        let what = what.to_owned();
        self.measured.goals.extend(measured.map(|measured| Goal {
            what,
            measured,
            border,
            at_most,
        }));
    }
}

/// The kinds of searches that goals are about.
const KINDS: &[(&str, &str)] = &[
    ("one_word", "one word"),
    ("two_words", "two words"),
    ("three_words", "three words"),
    ("prefix", "the first 3 to 5 letters"),
    ("letter", "the first 1 or 2 letters"),
    ("frequent", "the 50 most frequent words"),
    ("two_frequent", "two of these"),
];

fn show(title: &str, args: &Args, measured: &Measured) {
    if args.json {
        let goals = measured.goals.iter().map(|goal| {
            json!({
                "what": goal.what,
                "measured": goal.measured,
                "border": goal.border,
                "at_most": goal.at_most,
                "passed": goal.passed(),
            })
        });
        let goals: Vec<_> = goals.collect();
        println!("{}", json!({ "title": title, "values": measured.values, "goals": goals }));
        return;
    }
    println!("\n{title}");
    println!(
        "{:<28}{:>10}{:>10}{:>10}{:>14}",
        "milliseconds", "median", "1 in 100", "longest", "processor"
    );
    let times = measured.values.keys().filter_map(|name| name.strip_suffix("_p50_ms"));
    for name in times {
        let value = |end: &str| measured.values.get(&format!("{name}{end}")).copied();
        let shown = |end: &str| value(end).map_or("-".to_owned(), |value| format!("{value:.2}"));
        println!(
            "{:<28}{:>10}{:>10}{:>10}{:>14}",
            name.replace('_', " "),
            shown("_p50_ms"),
            shown("_p99_ms"),
            shown("_max_ms"),
            shown("_cpu_ms")
        );
    }
    println!();
    let of_times = |name: &str| {
        name.ends_with("_found")
            || ["_p50_ms", "_p99_ms", "_max_ms", "_cpu_ms"].iter().any(|end| name.ends_with(end))
    };
    for (name, value) in measured.values.iter().filter(|(name, _)| !of_times(name)) {
        println!("{:<40}{value:>14.1}", name.replace('_', " "));
    }
    println!("\n{:<50}{:>12}{:>12}", "goal", "measured", "wanted");
    for goal in &measured.goals {
        let wanted = format!("{} {:.0}", if goal.at_most { "<=" } else { ">=" }, goal.border);
        let verdict = if goal.passed() { "pass" } else { "MISS" };
        println!("{:<50}{:>12.2}{wanted:>12}  {verdict}", goal.what, goal.measured);
    }
}
