//! `potluck-sim chord`: one measurement, all tables, or troubled worlds from seeds.

use std::io::{self, Write};
use std::ops::Range;
use std::process::ExitCode;
use std::time::Duration;

use clap::{Args, ValueEnum};
use potluck_sim::chord::{self, Case, Mode, Report, trouble};

use crate::{parse_seeds, run_all};

/// What to do with a Chord network.
#[derive(Args)]
pub struct ChordArgs {
    /// Peers on the circle.
    #[arg(long, default_value_t = 1024)]
    nodes: u32,
    /// Lookups that are counted.
    #[arg(long, default_value_t = 10_000)]
    lookups: u64,
    /// What decides everything else.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Peers that join per second; as many leave.
    #[arg(long, default_value_t = 0.0)]
    churn: f64,
    /// With --churn, those that leave just die.
    #[arg(long)]
    crashes: bool,
    /// The share that dies at once in the beginning; after that nobody mends anything.
    #[arg(long, default_value_t = 0.0)]
    fail: f64,
    /// Entries of the successor list; else 8, and with --churn or --fail 2 log2 N, as in the paper.
    #[arg(long)]
    successors: Option<usize>,
    /// How peers look things up.
    #[arg(long, value_enum, default_value_t = ModeArg::Chord)]
    mode: ModeArg,
    /// Peers stand in a cube and delays are distances; else delays are exponential, 50 ms on
    /// average.
    #[arg(long)]
    cube: bool,
    /// Lookups of each peer before those that are counted: they fill the caches of --mode fast.
    #[arg(long, default_value_t = 0)]
    warm: u32,
    /// Maintain the circle for so many seconds though nobody comes or goes.
    #[arg(long)]
    idle: Option<u64>,
    /// The share of peers that lie about who keeps a key.
    #[arg(long, default_value_t = 0.0)]
    liars: f64,
    /// Ways without a common peer that each lookup takes.
    #[arg(long, default_value_t = 1)]
    ways: usize,
    /// Print one line of JSON.
    #[arg(long)]
    json: bool,
    /// Run all tables and write them, with plots, to docs/chord.
    #[arg(long)]
    tables: bool,
    /// Only the tables whose names contain this.
    #[arg(long, requires = "tables", value_name = "NAME")]
    only: Option<String>,
    /// Run troubled worlds of these seeds, as FIRST..END, and judge them.
    #[arg(long, value_parser = parse_seeds)]
    seeds: Option<Range<u64>>,
    /// With --seeds, so many peers; else the seed decides.
    #[arg(long)]
    peers: Option<u32>,
}

#[derive(Clone, Copy, ValueEnum)]
enum ModeArg {
    /// Without fingers: a lookup walks the circle.
    Ring,
    /// As in the papers: one peer asked at a time.
    Chord,
    /// Three asked at a time, with caches; fingers chosen by distance with --cube.
    Fast,
}

/// Does it.
pub fn run(args: &ChordArgs) -> io::Result<ExitCode> {
    if let Some(seeds) = args.seeds.clone() {
        let play = |seed| trouble::run(&trouble::Plan::troubled(seed, args.peers));
        return run_all(seeds, args.json, play, show_trouble, |report| &report.faults);
    }
    if args.tables {
        chord::write_tables(args.only.as_deref().unwrap_or_default())?;
        return Ok(ExitCode::SUCCESS);
    }
    let report = chord::run(&case(args));
    let mut out = io::stdout().lock();
    if args.json {
        serde_json::to_writer(&mut out, &report)?;
        writeln!(out)?;
    } else {
        show(&mut out, &report)?;
    }
    Ok(ExitCode::SUCCESS)
}

fn case(args: &ChordArgs) -> Case {
    Case {
        churn: args.churn,
        crashes: args.crashes,
        fail: args.fail.clamp(0.0, 1.0),
        successors: args.successors,
        mode: match args.mode {
            ModeArg::Ring => Mode::Ring,
            ModeArg::Chord => Mode::Chord,
            ModeArg::Fast => Mode::Fast,
        },
        cube: args.cube,
        warm: args.warm,
        idle: args.idle.map(Duration::from_secs),
        liars: args.liars.clamp(0.0, 1.0),
        ways: args.ways,
        ..Case::calm(args.nodes.max(1), args.lookups, args.seed)
    }
}

fn show(out: &mut dyn Write, report: &Report) -> io::Result<()> {
    writeln!(
        out,
        "{} peers, {} successors each, {} lookups, {} failed ({} without an answer)",
        report.nodes, report.successors, report.lookups, report.failed, report.lost
    )?;
    writeln!(
        out,
        "    hops {:.3} ({}..{}), timeouts {:.3}, dead owners {:.3}, messages {:.2}",
        report.hops_mean,
        report.hops_p1,
        report.hops_p99,
        report.timeouts_mean,
        report.dead_owners_mean,
        report.messages_per_lookup
    )?;
    writeln!(
        out,
        "    latency {} ms (p50) {} ms (p99), stretch {:.1}, upkeep {:.2} messages and {:.0} bytes \
         per peer and second",
        report.latency_p50_ms,
        report.latency_p99_ms,
        report.stretch_p50,
        report.maintenance_messages,
        report.maintenance_bytes
    )?;
    writeln!(
        out,
        "    {} joins, {} leaves, {:.0} s, {} events, {:.0} a second, {} bytes per peer, trace {}",
        report.joins,
        report.leaves,
        report.simulated_s,
        report.events,
        report.events_per_s,
        report.bytes_per_node,
        report.trace
    )
}

fn show_trouble(out: &mut dyn Write, report: &trouble::Report) -> io::Result<()> {
    let verdict = if report.faults.is_empty() { "ok" } else { "FAILED" };
    writeln!(
        out,
        "{verdict}, {}, {} of {} peers, whole after {:.0} s, {} records, {} excused, {} steps, \
         trace {}",
        report.kind,
        report.living,
        report.peers,
        report.whole_after_s,
        report.records,
        report.excused,
        report.steps,
        report.trace
    )?;
    for fault in report.faults.iter().take(10) {
        writeln!(out, "    {fault}")?;
    }
    Ok(())
}
