//! Runs the simulator and the fuzz harness, which are programs of their own.

use anyhow::Result;

use crate::project::Project;
use crate::steps::{cargo, run as run_command};

/// Trackers take so many times longer for a seed than swarms.
const TRACKER_SHARE: u64 = 10;
/// Members of the crowd that loses its tracker, and seeds of it.
const CROWD: [&str; 4] = ["--crowd", "3000", "--seeds", "0..2"];
/// Circles of which the papers tell how many lookups fail.
const CHURN: [&str; 6] = ["--nodes", "1000", "--churn", "0.4", "--successors", "20"];

/// Run the simulator over many seeds.
#[derive(clap::Args)]
pub struct Args {
    /// How many seeds of swarms and of circles; of trackers there are a tenth, and a crowd.
    #[arg(long, default_value_t = 1000)]
    seeds: u64,
    /// The first seed.
    #[arg(long, default_value_t = 0)]
    from: u64,
}

/// Feed mutated bytes to every decoder for a while.
#[derive(clap::Args)]
pub struct FuzzArgs {
    /// Seconds for each decoder.
    #[arg(long, default_value_t = 60)]
    seconds: u64,
    /// Another row of dice; without it every run is the same.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Only this decoder.
    #[arg(long)]
    target: Option<String>,
}

/// Runs the simulator, built with optimisations.
pub fn run(args: &Args) -> Result<()> {
    let project = Project::open()?;
    let seeds = |count: u64| format!("{}..{}", args.from, args.from + count);
    let (swarms, trackers) = (seeds(args.seeds), seeds(args.seeds.div_ceil(TRACKER_SHARE)));
    let crowd = [&["tracker"], &CROWD[..]].concat();
    let churn = [&["chord"], &CHURN[..]].concat();
    for what in [
        &["swarm", "--seeds", &swarms][..],
        &["tracker", "--seeds", &trackers],
        &crowd,
        &["chord", "--seeds", &swarms],
        &churn,
    ] {
        let mut command = cargo(&project.root);
        command.args(["run", "--quiet", "--release", "-p", "potluck-sim", "--"]);
        run_command(command.args(what))?;
    }
    Ok(())
}

/// Runs the fuzz harness, built with optimisations.
pub fn run_fuzz(args: &FuzzArgs) -> Result<()> {
    let project = Project::open()?;
    let mut command = cargo(&project.root);
    command.args(["run", "--quiet", "--release", "-p", "potluck-fuzz", "--"]);
    command.args(["--seconds", &args.seconds.to_string(), "--seed", &args.seed.to_string()]);
    if let Some(target) = &args.target {
        command.args(["--target", target]);
    }
    run_command(&mut command)
}
