//! Runs programs one after another, says what runs and how long it took, and stops at the first
//! that fails.

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};

use crate::project::Project;

/// A row of programs run in a checkout.
pub struct Steps<'a> {
    project: &'a Project,
    taken: Vec<(String, Duration)>,
}

impl<'a> Steps<'a> {
    /// Nothing run yet.
    pub fn new(project: &'a Project) -> Self {
        Self { project, taken: Vec::new() }
    }

    /// Runs a piece of work under a name and notes its time.
    pub fn step(&mut self, name: &str, work: impl FnOnce(&Path) -> Result<()>) -> Result<()> {
        println!("\n== {name}");
        let start = Instant::now();
        work(&self.project.root).with_context(|| format!("the step `{name}` failed"))?;
        println!("== {name}: ok, {:.1} s", start.elapsed().as_secs_f64());
        self.taken.push((name.to_owned(), start.elapsed()));
        Ok(())
    }

    /// Prints the time of each step.
    pub fn summary(&self) {
        println!("\n== summary");
        for (name, time) in &self.taken {
            println!("{:>8.1} s  {name}", time.as_secs_f64());
        }
        let total: Duration = self.taken.iter().map(|(_, time)| *time).sum();
        println!("{:>8.1} s  in all", total.as_secs_f64());
    }
}

/// The cargo that runs us.
pub fn cargo(root: &Path) -> Command {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.current_dir(root);
    command
}

/// Shows a command, runs it with our output, and fails if it fails.
pub fn run(command: &mut Command) -> Result<()> {
    let arguments: Vec<_> = command.get_args().map(|arg| arg.to_string_lossy()).collect();
    let program = Path::new(command.get_program()).file_name().unwrap_or_default().to_owned();
    println!("+ {} {}", program.to_string_lossy(), arguments.join(" "));
    let status = command.stdin(Stdio::null()).status().context("starting it")?;
    ensure!(status.success(), "{} ended with {status}", program.to_string_lossy());
    Ok(())
}
