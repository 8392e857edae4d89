//! Runs scenarios from seeds and prints one line for each: `potluck-sim swarm --seeds 0..1000`.

mod chord_command;

use std::io::{self, Write};
use std::process::ExitCode;
use std::time::Duration;

use clap::{Parser, Subcommand};
use potluck_sim::{Plan, Report, run, run_plan, tracker};
use serde::Serialize;

use crate::chord_command::ChordArgs;

/// Runs Potluck's machines in virtual time.
#[derive(Parser)]
struct Cli {
    #[command(subcommand)]
    what: What,
}

#[derive(Subcommand)]
enum What {
    /// Piece exchange: seeds, receivers, liars, broken links, crashes.
    Swarm {
        /// Seeds to run, as FIRST..END.
        #[arg(long, value_parser = parse_seeds, default_value = "0..100")]
        seeds: std::ops::Range<u64>,
        /// Honest receivers; else the seed decides.
        #[arg(long)]
        receivers: Option<u32>,
        /// Pieces of 64 KiB; else the seed decides.
        #[arg(long)]
        pieces: Option<u32>,
        /// One seed, equal links, no trouble: shows how good the schedule is.
        #[arg(long)]
        fair: bool,
        /// Bytes per second of every up-link, with --fair.
        #[arg(long, default_value_t = 2_500_000)]
        rate: u64,
        /// Milliseconds of delay in one direction, with --fair.
        #[arg(long, default_value_t = 10)]
        delay: u64,
        /// Print reports as JSON, one a line.
        #[arg(long)]
        json: bool,
    },
    /// A Chord network: one measurement, all tables, or with --seeds churn, loss, partitions,
    /// crashes.
    Chord(ChordArgs),
    /// Trackers and members: joins, shares, crashes, partitions, liars, a restart of everything.
    Tracker {
        /// Seeds to run, as FIRST..END.
        #[arg(long, value_parser = parse_seeds, default_value = "0..100")]
        seeds: std::ops::Range<u64>,
        /// Honest members; else the seed decides.
        #[arg(long)]
        peers: Option<u32>,
        /// Only so many members and a restart, no other trouble: shows the wave and the traffic.
        #[arg(long)]
        crowd: Option<u32>,
        /// Print reports as JSON, one a line.
        #[arg(long)]
        json: bool,
    },
}

fn main() -> io::Result<ExitCode> {
    match Cli::parse().what {
        What::Swarm { seeds, receivers, pieces, fair, rate, delay, json } => {
            let play = |seed| {
                if !fair {
                    return run(seed, receivers, pieces);
                }
                let (receivers, pieces) = (receivers.unwrap_or(8), pieces.unwrap_or(1024));
                let delay = Duration::from_millis(delay);
                run_plan(&Plan::fair(seed, receivers, pieces, rate, delay))
            };
            run_all(seeds, json, play, show, |report| &report.faults)
        }
        What::Chord(args) => chord_command::run(&args),
        What::Tracker { seeds, peers, crowd, json } => {
            let play = |seed| match crowd {
                Some(crowd) => tracker::run(&tracker::Plan::crowd(seed, crowd)),
                None => tracker::run(&tracker::Plan::troubled(seed, peers)),
            };
            run_all(seeds, json, play, show_tracker, |report| &report.faults)
        }
    }
}

/// Runs every seed and prints what came of it.
fn run_all<R: Serialize>(
    seeds: std::ops::Range<u64>,
    json: bool,
    play: impl Fn(u64) -> R,
    show: impl Fn(&mut dyn Write, &R) -> io::Result<()>,
    faults: impl Fn(&R) -> &Vec<String>,
) -> io::Result<ExitCode> {
    let mut out = io::stdout().lock();
    let mut failed = Vec::new();
    for seed in seeds {
        if !json {
            write!(out, "seed {seed}: ")?;
            out.flush()?;
        }
        let report = play(seed);
        if json {
            serde_json::to_writer(&mut out, &report)?;
            writeln!(out)?;
        } else {
            show(&mut out, &report)?;
        }
        if !faults(&report).is_empty() {
            failed.push(seed);
        }
    }
    match failed.first() {
        None => Ok(ExitCode::SUCCESS),
        Some(first) => {
            let again = format!("--seeds {first}..{}", first + 1);
            writeln!(io::stderr(), "{} runs failed; the first again: {again}", failed.len())?;
            Ok(ExitCode::FAILURE)
        }
    }
}

fn show_tracker(out: &mut dyn Write, report: &tracker::Report) -> io::Result<()> {
    let verdict = if report.faults.is_empty() { "ok" } else { "FAILED" };
    writeln!(
        out,
        "{verdict}, {} trackers, {} members, {} liars, back after {:.2} s (p50) {:.2} s (p99), \
         {:.0} messages and {:.0} bytes a minute, {} steps, trace {}",
        report.trackers,
        report.members,
        report.liars.len(),
        report.rejoin(50),
        report.rejoin(99),
        report.messages_per_minute,
        report.bytes_per_minute,
        report.steps,
        report.trace
    )?;
    for fault in report.faults.iter().take(10) {
        writeln!(out, "    {fault}")?;
    }
    Ok(())
}

fn show(out: &mut dyn Write, report: &Report) -> io::Result<()> {
    let last = report.finished.iter().copied().fold(0.0, f64::max);
    let verdict = if report.faults.is_empty() { "ok" } else { "FAILED" };
    writeln!(
        out,
        "{verdict}, {} nodes, {} pieces, last done after {last:.2} s, waste {:.1} %, \
         seed sent {:.2} x, {} steps, trace {}",
        report.nodes,
        report.pieces,
        report.waste * 100.0,
        report.seed_sent,
        report.steps,
        report.trace
    )?;
    for fault in report.faults.iter().take(10) {
        writeln!(out, "    {fault}")?;
    }
    Ok(())
}

fn parse_seeds(text: &str) -> Result<std::ops::Range<u64>, String> {
    let number = |text: &str| text.parse::<u64>().map_err(|_| format!("{text:?} is no number"));
    let (first, end) = text.split_once("..").ok_or("write it as FIRST..END")?;
    Ok(number(first)?..number(end)?)
}
