//! Measures this build beside a plain TCP copy and the tools that are installed, all in one run.
//!
//! Absolute figures drift with the machine, so every contender moves the same thing in turn,
//! round after round, on loopback and on one file system, and ratios of medians are compared.

mod child;
mod circle;
mod contest;
mod floor;
mod goals;
mod others;
mod potluck;
mod report;
mod tracker;
mod tree;

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

pub use floor::{RecvArgs, SendArgs, recv, send};

use self::contest::{Contest, FLOOR, Floor, median};
use self::goals::{Goal, Kind};
use self::others::{CURL, RSYNC, SCP, SENDME};
use self::potluck::{GET, Getting, Potluck, WHOLE, Whole};
use self::report::Startup;
use crate::project::Project;
use crate::steps;

/// Starts of `potluck --version`.
const VERSION_STARTS: usize = 20;
/// Starts of a node.
const NODE_STARTS: usize = 7;

/// What can be measured.
#[derive(clap::Subcommand)]
pub enum Bench {
    /// One transfer between two nodes on this machine: rates, memory, starting time.
    Transfer(Args),
    /// A tracker: publishing, searching, starting, memory.
    Tracker(tracker::Args),
    /// A network without a server: lookups between real processes.
    Circle(circle::Args),
}

/// How a transfer is measured.
#[derive(clap::Args)]
pub struct Args {
    /// Bytes of the large file.
    #[arg(long, value_name = "BYTES", default_value_t = 1 << 30)]
    size: u64,
    /// Only this case; may be repeated.
    #[arg(long, value_name = "CASE")]
    only: Vec<Case>,
    /// How often everybody moves everything.
    #[arg(long, value_name = "N", default_value_t = 5)]
    rounds: usize,
    /// A binary to measure instead of building this checkout.
    #[arg(long, value_name = "PATH")]
    binary: Option<PathBuf>,
    /// A folder for files and homes, some GiB large; default: in cargo's target folder.
    #[arg(long, value_name = "PATH")]
    scratch: Option<PathBuf>,
    /// Print JSON instead of tables.
    #[arg(long)]
    json: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Case {
    /// One large file.
    File,
    /// A folder of 1,000 files of 1 MiB.
    Medium,
    /// A folder of 10,000 files of 4 KiB.
    Small,
    /// How long the program takes to start.
    Start,
}

/// Runs what was asked for.
pub fn run(bench: &Bench) -> Result<()> {
    match bench {
        Bench::Transfer(args) => measure_transfer(args),
        Bench::Tracker(args) => tracker::run(args),
        Bench::Circle(args) => circle::run(args),
    }
}

fn measure_transfer(args: &Args) -> Result<()> {
    let project = Project::open()?;
    let binary = match &args.binary {
        Some(path) => path.canonicalize().with_context(|| format!("{}", path.display()))?,
        None => build(&project)?,
    };
    let parent = args.scratch.clone().unwrap_or_else(|| project.target().to_owned());
    let scratch = tempfile::Builder::new().prefix("bench-").tempdir_in(parent)?;
    let potluck = Potluck { binary, scratch: scratch.path().to_owned() };
    let wanted = |case: Case| args.only.is_empty() || args.only.contains(&case);
    let mut contests = Vec::new();
    let mut goals: Vec<Goal> = Vec::new();
    for (case, kind) in
        [(Case::File, Kind::File), (Case::Medium, Kind::Medium), (Case::Small, Kind::Small)]
    {
        if wanted(case) {
            let contest = transfer(kind, args, &potluck)?;
            goals.extend(goals::of_contest(kind, &contest));
            contests.push(contest);
        }
    }
    let startup = wanted(Case::Start).then(|| measure_startup(&potluck)).transpose()?;
    goals.extend(startup.iter().flat_map(goals::of_startup));
    if args.json {
        println!("{}", report::to_json(&contests, startup.as_ref(), &goals));
    } else {
        report::print(&contests, startup.as_ref(), &goals);
    }
    match contests.iter().map(|contest| contest.failed.len()).sum::<usize>() {
        0 => Ok(()),
        count => bail!("{count} contenders failed"),
    }
}

fn build(project: &Project) -> Result<PathBuf> {
    let mut command = steps::cargo(&project.root);
    let status = command.args(["build", "--release", "--locked", "-p", "potluck"]).status()?;
    anyhow::ensure!(status.success(), "building potluck ended with {status}");
    Ok(project.target().join("release/potluck"))
}

/// Makes what is moved and lets everybody move it.
fn transfer(kind: Kind, args: &Args, potluck: &Potluck) -> Result<Contest> {
    let folder = tempfile::Builder::new().prefix("source-").tempdir_in(&potluck.scratch)?.keep();
    let (title, name, bytes) = match kind {
        Kind::File => ("one file".to_owned(), "large.bin", args.size),
        Kind::Medium => ("1,000 x 1 MiB".to_owned(), "medium", 1000 << 20),
        Kind::Small => ("10,000 x 4 KiB".to_owned(), "small", 10_000 << 12),
    };
    let source = folder.join(name);
    match kind {
        Kind::File => tree::make_file(&source, bytes, 0)?,
        Kind::Medium => tree::make_tree(&source, 1000, 1 << 20)?,
        Kind::Small => tree::make_tree(&source, 10_000, 1 << 12)?,
    }
    let mut contest = Contest::new(title, bytes);
    enter_all(kind, &mut contest, &source, potluck);
    contest.run(args.rounds, &potluck.scratch)?;
    tree::empty_files(&source)?;
    Ok(contest)
}

fn enter_all(kind: Kind, contest: &mut Contest, source: &Path, potluck: &Potluck) {
    let scratch = potluck.scratch.as_path();
    contest.enter(FLOOR, Ok(Floor { source: source.to_owned() }));
    contest.enter(GET, Getting::new(potluck, source));
    contest.enter(WHOLE, Ok(Whole { potluck: potluck.clone(), source: source.to_owned() }));
    contest.enter(RSYNC, others::rsync(scratch, source));
    if kind == Kind::File {
        contest.enter(CURL, others::curl(scratch, source));
    }
    contest.enter(SCP, others::scp(scratch, source));
    contest.enter(SENDME, others::sendme(scratch, source));
}

fn measure_startup(potluck: &Potluck) -> Result<Startup> {
    let versions = (0..VERSION_STARTS).map(|_| potluck.version_s()).collect::<Result<Vec<_>>>()?;
    let empty = potluck.scratch.join("empty");
    std::fs::write(&empty, b"")?;
    let mut nodes = Vec::new();
    for _ in 0..NODE_STARTS {
        nodes.push(potluck.share(&empty)?.ready_s());
    }
    let ms = |seconds: Vec<f64>| median(seconds).map_or(f64::NAN, |median| median * 1000.0);
    Ok(Startup { version_ms: ms(versions), ready_ms: ms(nodes) })
}
