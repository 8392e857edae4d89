//! Runs the simulator and the fuzz harness, which are programs of their own.

use anyhow::Result;

use crate::project::Project;
use crate::steps::{cargo, run as run_command};

/// Run the simulator over many seeds.
#[derive(clap::Args)]
pub struct Args {
    /// How many seeds.
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
    let seeds = format!("{}..{}", args.from, args.from + args.seeds);
    let mut command = cargo(&project.root);
    command.args([
        "run",
        "--quiet",
        "--release",
        "-p",
        "potluck-sim",
        "--",
        "swarm",
        "--seeds",
        &seeds,
    ]);
    run_command(&mut command)
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
