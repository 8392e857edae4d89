//! A fixed set of runs: what must hold whenever somebody changes Chord or the ring.

use std::collections::BTreeSet;

use potluck_sim::chord::{Case, Mode, run, trouble};

#[test]
fn the_same_seed_has_the_same_trace_and_others_have_others() {
    let mut traces = BTreeSet::new();
    for seed in 0..4 {
        let play = || trouble::run(&trouble::Plan::troubled(seed, None)).trace;
        let case = Case { churn: 0.2, ..Case::calm(64, 200, seed) };
        assert_eq!(play(), play(), "seed {seed}");
        assert_eq!(run(&case).trace, run(&case).trace, "seed {seed}");
        traces.extend([play(), run(&case).trace]);
    }
    assert_eq!(traces.len(), 8);
}

#[test]
fn circles_full_of_trouble_become_whole_again_and_lose_nothing_that_they_promised() {
    let reports: Vec<trouble::Report> =
        (100..160).map(|seed| trouble::run(&trouble::Plan::troubled(seed, None))).collect();
    for report in &reports {
        assert!(
            report.faults.is_empty(),
            "again with: potluck-sim chord --seeds {}..{}\n{}",
            report.seed,
            report.seed + 1,
            report.faults.join("\n")
        );
    }
    // A scenario that no longer makes trouble would make all this worthless.
    let events: BTreeSet<&str> =
        reports.iter().flat_map(|report| report.events.iter().map(String::as_str)).collect();
    for expected in [
        "Blackout",
        "Crash",
        "CrashMany",
        "Died",
        "Found",
        "Heal",
        "Joined",
        "Left",
        "Lost",
        "Neighbours",
        "Part",
        "Put",
        "Restart",
        "Told",
        "Unreached",
    ] {
        assert!(events.contains(expected), "{expected} is not among {events:?}");
    }
    assert!(reports.iter().map(|report| report.records).sum::<usize>() > 2000);
    assert!(reports.iter().map(|report| report.excused).sum::<usize>() > 0);
}

#[test]
fn a_lookup_asks_no_more_than_half_the_logarithm_of_all_peers() {
    for (nodes, most) in [(256, 3.88), (2048, 5.5)] {
        let report = run(&Case { successors: Some(1), ..Case::calm(nodes, 4000, 1) });
        assert_eq!(report.failed, 0);
        assert!(report.hops_mean < most, "{nodes}: {}", report.hops_mean);
    }
    let live = run(&Case::calm(2048, 4000, 1));
    assert!(live.hops_mean < 4.9 && live.failed == 0, "{}", live.hops_mean);
}

#[test]
fn without_fingers_a_lookup_walks_the_circle() {
    let case = Case { mode: Mode::Ring, successors: Some(1), ..Case::calm(200, 300, 1) };
    let report = run(&case);
    assert!((80.0..120.0).contains(&report.hops_mean), "{}", report.hops_mean);
    assert_eq!(report.failed, 0);
}

#[test]
fn half_of_all_peers_may_die_at_once() {
    let report = run(&Case { fail: 0.5, ..Case::calm(500, 2000, 1) });
    assert!(report.lost == 0 && report.failed < 20, "{} of {}", report.failed, report.lookups);
    assert!(report.timeouts_mean < 5.1, "{}", report.timeouts_mean);
}

#[test]
fn under_churn_hardly_a_lookup_goes_wrong() {
    let case = Case { churn: 0.4, successors: Some(20), ..Case::calm(1000, 2000, 1) };
    let report = run(&case);
    assert!(report.failed <= 1, "{} of {}", report.failed, report.lookups);
    assert!(report.joins > 600 && report.leaves > 600);
    // The paper's protocol would say as much.
    assert!(report.maintenance_messages < 0.5, "{}", report.maintenance_messages);
}

#[test]
fn several_ways_lead_around_liars() {
    let right = |ways| {
        let report = run(&Case { liars: 0.1, ways, ..Case::calm(500, 1000, 1) });
        1.0 - report.failed as f64 / report.lookups as f64
    };
    let (one, four) = (right(1), right(4));
    assert!(one < four && four > 0.9, "{one} and {four}");
}
