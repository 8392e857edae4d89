//! The house rules, the benches and the test command as a program: `cargo xtask --help`.
#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a tool of the workshop reports by printing"
)]

mod bench;
mod ci;
mod project;
mod ring_picture;
mod sim;
mod steps;
mod tidy;
mod walls;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// What a contributor runs besides cargo itself.
#[derive(Parser)]
#[command(name = "cargo xtask", version, max_term_width = 100)]
struct Args {
    #[command(subcommand)]
    task: Task,
}

#[derive(Subcommand)]
enum Task {
    /// The test command: everything that must be green before a change is done.
    Ci(ci::Args),
    /// Check the house rules that rustc and clippy do not know.
    Tidy(tidy::Args),
    /// Measure this build beside plain TCP and the tools that are installed.
    #[command(subcommand)]
    Bench(bench::Bench),
    /// Run the simulator over many seeds.
    Sim(sim::Args),
    /// Feed mutated bytes to every decoder for a while.
    Fuzz(sim::FuzzArgs),
    /// Draw the circle of a network from the JSON of its nodes.
    RingPicture(ring_picture::Args),
    /// One end of the plain TCP copy that `bench` compares with.
    #[command(hide = true)]
    FloorSend(bench::SendArgs),
    /// The other end of the plain TCP copy.
    #[command(hide = true)]
    FloorRecv(bench::RecvArgs),
}

fn main() -> ExitCode {
    let result = match Args::parse().task {
        Task::Ci(args) => ci::run(&args),
        Task::Tidy(args) => tidy::run(&args),
        Task::Bench(bench) => bench::run(&bench),
        Task::Sim(args) => sim::run(&args),
        Task::Fuzz(args) => sim::run_fuzz(&args),
        Task::RingPicture(args) => ring_picture::run(&args),
        Task::FloorSend(args) => bench::send(&args),
        Task::FloorRecv(args) => bench::recv(&args),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("xtask: {error:#}");
            ExitCode::FAILURE
        }
    }
}
