//! Measures a network without a server: real processes on a circle, with fingers and without.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result};

use super::tracker::{example, read};
use crate::project::Project;

/// How a circle is measured.
#[derive(clap::Args)]
pub struct Args {
    /// Processes on the circle.
    #[arg(long, value_name = "N", default_value_t = 32)]
    members: u64,
    /// Keys that each of them looks up.
    #[arg(long, value_name = "N", default_value_t = 16)]
    keys: u64,
    /// A binary to measure instead of building this checkout.
    #[arg(long, value_name = "PATH")]
    binary: Option<PathBuf>,
    /// Print JSON instead of a table.
    #[arg(long)]
    json: bool,
}

/// Measures Chord and the ring in turn.
pub fn run(args: &Args) -> Result<()> {
    let project = Project::open()?;
    let binary = match &args.binary {
        Some(path) => path.canonicalize().with_context(|| format!("{}", path.display()))?,
        None => super::build(&project)?,
    };
    let program = example(&project, "potluck-testkit", "live_circle")?;
    let mut values = BTreeMap::new();
    for kind in ["chord", "ring"] {
        let mut command = Command::new(&program);
        command.arg(&binary).arg(kind);
        command.args([args.members.to_string(), args.keys.to_string()]);
        read(&mut command, &mut values)?;
    }
    if args.json {
        println!("{}", serde_json::to_string(&values)?);
        return Ok(());
    }
    println!("{} processes on loopback, {} keys from each of them", args.members, args.keys);
    println!("{:24} {:>10} {:>10}", "", "chord", "ring");
    for (name, what) in [
        ("whole_after_s", "whole circle after, s"),
        ("hops_mean", "hops, mean"),
        ("lookup_p50_ms", "lookup, median, ms"),
        ("lookup_p99_ms", "lookup, 1 in 100, ms"),
    ] {
        let of = |kind: &str| values.get(&format!("{kind}_{name}")).copied().unwrap_or(f64::NAN);
        println!("{what:24} {:>10.2} {:>10.2}", of("chord"), of("ring"));
    }
    Ok(())
}
