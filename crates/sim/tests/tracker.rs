//! A fixed set of runs: what must hold whenever somebody changes trackers or their members.

use std::collections::BTreeSet;

use potluck_sim::tracker::{Plan, Report, run};

fn troubled(seed: u64) -> Report {
    run(&Plan::troubled(seed, None))
}

#[test]
fn the_same_seed_has_the_same_trace_and_others_have_others() {
    let mut traces = BTreeSet::new();
    for seed in 0..5 {
        let (once, again) = (troubled(seed), troubled(seed));
        assert_eq!(once.trace, again.trace, "seed {seed}");
        traces.insert(once.trace);
    }
    assert_eq!(traces.len(), 5);
}

#[test]
fn trackers_full_of_trouble_do_nothing_wrong_and_get_all_their_peers_back() {
    let reports: Vec<Report> = (0..40).map(troubled).collect();
    for Report { seed, faults, .. } in &reports {
        assert!(
            faults.is_empty(),
            "again with: potluck-sim tracker --seeds {seed}..{}\n{}",
            seed + 1,
            faults.join("\n")
        );
    }
    // A scenario that no longer makes trouble would make all this worthless.
    let events: BTreeSet<&str> =
        reports.iter().flat_map(|report| report.events.iter().map(String::as_str)).collect();
    let expected = [
        "Admitted",
        "Away",
        "Behind",
        "Connected",
        "Denied",
        "Expelled",
        "InStep",
        "NickTaken",
        "Offline",
        "Online",
        "Record",
        "Refused",
        "Revoked",
        "Withdrawn",
    ];
    for expected in expected {
        assert!(events.contains(expected), "{expected} is not among {events:?}");
    }
    let liars: BTreeSet<&String> = reports.iter().flat_map(|report| &report.liars).collect();
    assert_eq!(liars.len(), 5, "{liars:?}");
}

#[test]
fn a_crowd_comes_back_soon_and_not_in_one_wave() {
    let report = run(&Plan::crowd(2, 400));
    assert_eq!(report.faults, [""; 0]);
    assert!(report.rejoined.len() > 380);
    assert!(report.rejoin(99) < 9.0, "{} s", report.rejoin(99));
    // In no half second come more than a quarter of them.
    let mut halves = [0; 20];
    report.rejoined.iter().for_each(|time| halves[(time * 2.0) as usize] += 1);
    assert!(halves.iter().all(|count| count * 4 < report.rejoined.len()), "{halves:?}");
}

#[test]
fn peers_that_do_nothing_say_little() {
    let report = run(&Plan::crowd(1, 50));
    assert_eq!(report.faults, [""; 0]);
    assert!(report.messages_per_minute < 22.0, "{}", report.messages_per_minute);
    assert!(report.bytes_per_minute < 500.0, "{}", report.bytes_per_minute);
}
