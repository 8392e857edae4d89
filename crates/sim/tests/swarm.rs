//! A fixed set of runs: what must hold whenever somebody changes the swarm.

use std::collections::BTreeSet;
use std::time::Duration;

use potluck_sim::{Plan, Report, run, run_plan};

/// Bytes per second of every up-link in fair runs: a usual line at home.
const RATE: u64 = 2_500_000;

fn fair(seed: u64, receivers: u32, pieces: u32) -> Report {
    let report = run_plan(&Plan::fair(seed, receivers, pieces, RATE, Duration::from_millis(10)));
    assert_eq!(report.faults, [""; 0], "seed {seed}");
    assert_eq!(report.finished.len(), receivers as usize);
    report
}

/// Seconds that the content takes through one up-link: nothing can be faster.
fn bound(report: &Report) -> f64 {
    report.bytes as f64 / RATE as f64
}

fn last(report: &Report) -> f64 {
    report.finished.iter().copied().fold(0.0, f64::max)
}

#[test]
fn the_same_seed_has_the_same_trace_and_others_have_others() {
    let mut traces = BTreeSet::new();
    for seed in 0..20 {
        let (once, again) = (run(seed, None, None), run(seed, None, None));
        assert_eq!(once.trace, again.trace, "seed {seed}");
        traces.insert(once.trace);
    }
    assert_eq!(traces.len(), 20);
}

#[test]
fn swarms_full_of_trouble_do_nothing_wrong_and_come_to_an_end() {
    for seed in 0..500 {
        let report = run(seed, None, None);
        assert!(
            report.faults.is_empty(),
            "again with: potluck-sim swarm --seeds {seed}..{}\n{}",
            seed + 1,
            report.faults.join("\n")
        );
    }
}

#[test]
fn trouble_means_liars_crashes_and_losses_of_every_kind() {
    // A scenario that no longer makes trouble would make the test above worthless.
    let reports: Vec<Report> = (0..60).map(|seed| run(seed, None, None)).collect();
    let events: BTreeSet<&str> =
        reports.iter().flat_map(|report| report.events.iter().map(String::as_str)).collect();
    for expected in ["Complete", "Liar", "Lost", "PeerFinished", "Revived", "Stalled"] {
        assert!(events.contains(expected), "{expected} is not among {events:?}");
    }
    let finished: usize = reports.iter().map(|report| report.finished.len()).sum();
    let receivers: usize = reports.iter().map(|report| report.receivers).sum();
    assert!(finished * 10 > receivers * 9, "{finished} of {receivers} got all they wanted");
}

#[test]
fn one_receiver_gets_all_that_the_line_carries() {
    let report = fair(1, 1, 512);
    assert!(last(&report) < 1.02 * bound(&report), "{} s", last(&report));
    assert!(report.waste < 0.001, "{}", report.waste);
}

#[test]
fn many_receivers_finish_about_when_one_would() {
    for (receivers, seed) in [(4, 1), (8, 2), (15, 3)] {
        let report = fair(seed, receivers, 512);
        let (last, bound) = (last(&report), bound(&report));
        // One after the other it would be `receivers` times the bound.
        assert!(last < 1.4 * bound, "{receivers} receivers: {last} s, bound {bound} s");
        assert!(report.waste < 0.12, "{receivers} receivers: {}", report.waste);
        assert!(report.seed_sent < 1.4, "{receivers} receivers: {}", report.seed_sent);
    }
}

#[test]
fn a_far_and_fast_line_is_filled() {
    let rate = 125_000_000;
    let far = Duration::from_millis(75);
    let report = run_plan(&Plan::fair(1, 1, 8192, rate, far));
    assert_eq!(report.faults, [""; 0]);
    let bound = report.bytes as f64 / rate as f64;
    assert!(last(&report) < bound + 3.0, "{} s, bound {bound} s", last(&report));
}
