//! All tables and plots, as pages of `docs/chord`.

mod cost;
mod path;
mod trouble;

use std::fmt::Write;
use std::fs;
use std::io;
use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::case::{Case, Report, run};

/// Where pages and plots go, below the place where the command is given.
const FOLDER: &str = "docs/chord";
/// Runs at a time.
const AT_ONCE: usize = 2;

/// A page with its plots.
pub(super) struct Page {
    /// Its heading.
    pub(super) title: &'static str,
    /// What stands on it, as Markdown.
    pub(super) text: String,
    /// Names and contents of plots.
    pub(super) plots: Vec<(&'static str, String)>,
}

type Make = fn() -> Page;

const PAGES: [(&str, Make, &str); 10] = [
    ("path-length", path::path_length, "how many peers a lookup asks, from 8 to a million peers"),
    ("path-spread", path::spread, "how often each path length comes"),
    ("ring", path::ring, "the same circle without fingers"),
    ("failures", trouble::failures, "a share of all peers dies at once"),
    ("churn", trouble::churn, "peers come and go all the time"),
    ("liars", trouble::liars, "some peers lie about who keeps a key"),
    ("load", cost::load, "keys on each peer, with and without virtual positions"),
    ("upkeep", cost::upkeep, "what the circle costs when nobody looks anything up"),
    (
        "latency",
        cost::latency,
        "lookup time beside a round trip: three questions at a time, caches",
    ),
    ("scale", cost::scale, "memory and speed of the simulation itself"),
];

/// Runs all tables whose names contain this and writes their pages.
pub fn write_tables(only: &str) -> io::Result<()> {
    let folder = Path::new(FOLDER);
    fs::create_dir_all(folder)?;
    let mut index = String::from(
        "# Chord in figures\n\nWritten by `cargo run --release -p potluck-sim -- chord --tables`; \
         every number follows from\nseeds, but for memory and speed. The published figures are \
         those of Stoica et al., ToN 2003.\n\n",
    );
    for (name, make, about) in PAGES {
        let _ = writeln!(index, "- [{name}]({name}.md): {about}");
        if !name.contains(only) {
            continue;
        }
        let page = make();
        let mut text = format!("# {}\n\n{}", page.title, page.text);
        for (plot, svg) in &page.plots {
            fs::write(folder.join(format!("{plot}.svg")), svg)?;
            let _ = write!(text, "\n![{}]({plot}.svg)\n", page.title);
        }
        fs::write(folder.join(format!("{name}.md")), text)?;
    }
    fs::write(folder.join("README.md"), index)
}

/// Runs cases, two at a time; reports in their order.
fn run_cases(cases: &[Case]) -> Vec<Report> {
    let next = AtomicUsize::new(0);
    let reports = Mutex::new(vec![None; cases.len()]);
    std::thread::scope(|scope| {
        for _ in 0..AT_ONCE {
            scope.spawn(|| {
                loop {
                    let at = next.fetch_add(1, Ordering::Relaxed);
                    let Some(case) = cases.get(at) else { return };
                    let report = run(case);
                    reports.lock().expect("nobody panics with it")[at] = Some(report);
                }
            });
        }
    });
    let reports = reports.into_inner().expect("nobody panicked with it");
    reports.into_iter().flatten().collect()
}

/// The reports of several seeds as one: all lookups together.
fn together(reports: &[Report]) -> Report {
    let mut sum = reports[0].clone();
    let count = reports.len() as f64;
    for report in &reports[1..] {
        sum.hops.merge(&report.hops);
        sum.timeouts.merge(&report.timeouts);
        sum.lookups += report.lookups;
        sum.failed += report.failed;
        sum.lost += report.lost;
        sum.joins += report.joins;
        sum.leaves += report.leaves;
    }
    let mean = |of: fn(&Report) -> f64| reports.iter().map(of).sum::<f64>() / count;
    sum.hops_mean = sum.hops.mean();
    sum.hops_p1 = sum.hops.percentile(1.0);
    sum.hops_p99 = sum.hops.percentile(99.0);
    sum.timeouts_mean = sum.timeouts.mean();
    sum.dead_owners_mean = mean(|report| report.dead_owners_mean);
    sum.messages_per_lookup = mean(|report| report.messages_per_lookup);
    sum.maintenance_messages = mean(|report| report.maintenance_messages);
    sum.maintenance_bytes = mean(|report| report.maintenance_bytes);
    sum.stretch_p50 = mean(|report| report.stretch_p50);
    sum
}

/// Runs each case with several seeds; one report for each case.
fn run_seeds(cases: &[Case], seeds: u64) -> Vec<Report> {
    let all: Vec<Case> = cases
        .iter()
        .flat_map(|case| (0..seeds).map(|seed| Case { seed: case.seed + seed, ..case.clone() }))
        .collect();
    run_cases(&all).chunks(seeds as usize).map(together).collect()
}

/// A table of Markdown.
fn table(head: &[&str], rows: impl IntoIterator<Item = Vec<String>>) -> String {
    let mut text = format!("| {} |\n|{}\n", head.join(" | "), "---|".repeat(head.len()));
    for row in rows {
        let _ = writeln!(text, "| {} |", row.join(" | "));
    }
    text
}
