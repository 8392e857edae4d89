//! The test command: every check, in the order in which a mistake is cheapest to find.

use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Result, bail};

use crate::project::Project;
use crate::steps::{Steps, cargo, run as run_command};
use crate::tidy;

/// Seeds of the simulator in every run: swarms, trackers with their members, and circles.
const SIM_SEEDS: [(&str, &str); 3] =
    [("swarm", "0..64"), ("tracker", "0..24"), ("chord", "1000..1200")];
/// Seconds of the fuzz smoke for each decoder.
const FUZZ_SECONDS: &str = "10";

/// Everything that must be green before a change is done.
#[derive(clap::Args)]
pub struct Args {
    /// Only the steps whose names contain this.
    #[arg(long, value_name = "NAME")]
    only: Option<String>,
    /// Leave out the steps whose names contain this; may be repeated.
    #[arg(long, value_name = "NAME")]
    skip: Vec<String>,
}

type Work = fn(&Path) -> Result<()>;

const STEPS: &[(&str, Work)] = &[
    ("format", |root| run_command(cargo(root).args(["fmt", "--all", "--", "--check"]))),
    ("tidy", |_| tidy::run(&tidy::Args::default())),
    ("clippy", clippy),
    ("tests", |root| run_command(cargo(root).args(["test", "--workspace", "--locked"]))),
    ("simulation", simulation),
    ("fuzz smoke", fuzz),
    ("documentation", documentation),
    ("dependencies", deny),
    ("demo", demo),
];

/// Runs all steps; stops at the first that fails.
pub fn run(args: &Args) -> Result<()> {
    let project = Project::open()?;
    let wanted = |name: &str| {
        args.only.as_deref().is_none_or(|only| name.contains(only))
            && !args.skip.iter().any(|skip| name.contains(skip.as_str()))
    };
    let mut steps = Steps::new(&project);
    let chosen: Vec<_> = STEPS.iter().filter(|(name, _)| wanted(name)).collect();
    if chosen.is_empty() {
        bail!("no step has such a name; they are: {}", names());
    }
    for (name, work) in chosen {
        steps.step(name, work)?;
    }
    steps.summary();
    Ok(())
}

fn names() -> String {
    STEPS.iter().map(|(name, _)| *name).collect::<Vec<_>>().join(", ")
}

fn clippy(root: &Path) -> Result<()> {
    let arguments = ["clippy", "--workspace", "--all-targets", "--locked", "--", "-D", "warnings"];
    run_command(cargo(root).args(arguments))
}

fn simulation(root: &Path) -> Result<()> {
    for (what, seeds) in SIM_SEEDS {
        let arguments = ["run", "--quiet", "-p", "potluck-sim", "--", what, "--seeds", seeds];
        run_command(cargo(root).args(arguments))?;
    }
    Ok(())
}

fn fuzz(root: &Path) -> Result<()> {
    let arguments = ["run", "--quiet", "-p", "potluck-fuzz", "--", "--seconds", FUZZ_SECONDS];
    run_command(cargo(root).args(arguments))
}

fn documentation(root: &Path) -> Result<()> {
    let mut command = cargo(root);
    command.args(["doc", "--workspace", "--no-deps", "--locked"]);
    run_command(command.env("RUSTDOCFLAGS", "-D warnings"))
}

/// Licences and advisories, where `cargo deny` is installed: it needs the network.
fn deny(root: &Path) -> Result<()> {
    let probe = Command::new("cargo-deny").arg("--version").stdout(Stdio::null()).status();
    if !probe.is_ok_and(|status| status.success()) {
        println!("skipped: cargo-deny is not installed");
        return Ok(());
    }
    run_command(cargo(root).args(["deny", "check", "bans", "licenses", "sources"]))
}

/// The README's first command, with homes and files of its own. The program is the one that the
/// tests have built: an optimised build of the whole tree takes longer than all tests.
fn demo(root: &Path) -> Result<()> {
    run_command(cargo(root).args(["test", "--workspace", "--locked", "--no-run", "--quiet"]))?;
    let program = Project::open()?.target().join("debug/potluck");
    run_command(Command::new(program).arg("demo").current_dir(root))
}
