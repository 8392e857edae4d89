//! Lookups while peers die, come and go, or lie.

use super::super::case::{Case, Report};
use super::super::plot::{Axis, Line, Look, Plot, Scale};
use super::super::published;
use super::{Page, run_seeds, table};

/// Peers, and entries of their successor lists, in the paper's experiments.
const NODES: u32 = 1000;
const LIST: usize = 20;
/// Circles for each row.
const SEEDS: u64 = 10;

fn case(lookups: u64) -> Case {
    Case { successors: Some(LIST), ..Case::calm(NODES, lookups, 1) }
}

/// Table II of the paper.
pub(super) fn failures() -> Page {
    let cases: Vec<Case> =
        published::FAILURES.iter().map(|(fail, ..)| Case { fail: *fail, ..case(10_000) }).collect();
    let reports = run_seeds(&cases, SEEDS);
    let rows = published::FAILURES.iter().zip(&reports).map(|((fail, path, timeouts), report)| {
        vec![
            fail.to_string(),
            path.to_string(),
            format!("{:.2}", report.hops_mean),
            timeouts.to_string(),
            format!("{:.2}", report.timeouts_mean),
            format!("{:.2}", report.dead_owners_mean),
            report.failed.to_string(),
            report.lookups.to_string(),
        ]
    });
    let head = [
        "share dead",
        "published path",
        "ours",
        "published timeouts",
        "ours",
        "dead owners asked",
        "failed",
        "of lookups",
    ];
    let text = format!(
        "1000 peers, lists of 20. A share of them dies at once; nobody stabilizes after that. \
         Table \
         II of the\npaper, where no lookup failed. Ours has fewer timeouts as a peer remembers who \
         did not answer it; an\nowner that its predecessor names and that is dead is counted \
          apart. \
         A peer is dead if it has not\nanswered after 2 s (500 ms in the paper, which says nothing \
         of answers that are only late).\n\n{}",
        table(&head, rows)
    );
    let ours = |of: fn(&Report) -> f64| {
        reports.iter().map(|report| (report.fail, of(report))).collect::<Vec<(f64, f64)>>()
    };
    let theirs = |of: fn(&(f64, f64, f64)) -> f64| {
        published::FAILURES.iter().map(|row| (row.0, of(row))).collect::<Vec<(f64, f64)>>()
    };
    let plot = Plot {
        title: "After a share of 1000 peers died at once",
        x: Axis { label: "share of peers that died", scale: Scale::Even },
        y: Axis { label: "per lookup, mean", scale: Scale::Even },
        lines: vec![
            Line { name: "path, ours", points: ours(|r| r.hops_mean), look: Look::Ours },
            Line { name: "path, published", points: theirs(|r| r.1), look: Look::Published },
            Line { name: "timeouts, ours", points: ours(|r| r.timeouts_mean), look: Look::Ours },
            Line { name: "timeouts, published", points: theirs(|r| r.2), look: Look::Published },
        ],
    };
    Page { title: "Simultaneous failures", text, plots: vec![("failures", plot.svg())] }
}

/// The columns of the table of churn.
const CHURN_HEAD: [&str; 9] = [
    "joins = leaves /s",
    "published path",
    "ours",
    "published timeouts",
    "ours",
    "published failed of 10,000",
    "ours",
    "upkeep: messages, bytes /s",
    "ours failed of 10,000 if all leavers crash",
];

/// Table III of the paper.
pub(super) fn churn() -> Page {
    let rows_of = |crashes: bool, seeds: u64| {
        let cases: Vec<Case> = published::CHURN
            .iter()
            .map(|(churn, ..)| Case { churn: *churn, crashes, ..case(10_000) })
            .collect();
        run_seeds(&cases, seeds)
    };
    let (leave, crash) = (rows_of(false, SEEDS), rows_of(true, 4));
    let per_ten_thousand =
        |report: &Report| report.failed as f64 * 10_000.0 / report.lookups.max(1) as f64;
    let rows =
        published::CHURN.iter().zip(leave.iter().zip(&crash)).map(|(theirs, (leave, crash))| {
            vec![
                format!("{:.2}", theirs.0),
                theirs.1.to_string(),
                format!("{:.2} ({}..{})", leave.hops_mean, leave.hops_p1, leave.hops_p99),
                theirs.2.to_string(),
                format!("{:.2}", leave.timeouts_mean),
                theirs.3.to_string(),
                format!("{:.1} ({} of {})", per_ten_thousand(leave), leave.failed, leave.lookups),
                format!("{:.2}, {:.0}", leave.maintenance_messages, leave.maintenance_bytes),
                format!("{:.1}", per_ten_thousand(crash)),
            ]
        });
    let text = format!(
        "About 1000 peers, lists of 20, one lookup a second, each peer stabilizes every 15 to 45 s \
         and refreshes\none finger then; delays are exponential with a mean of 50 ms, and a peer \
         is dead after 500 ms: the\nparameters of Table III. Leavers hand over. Upkeep is per peer \
         and second, all messages that no lookup\ncaused.\n\nA lookup *failed* if it came \
         to nothing, \
         or if the peer that it named was at no moment between question\nand answer the owner of \
         the key by a sorted list of all members. A peer is a member from the moment \
         it\nsays that it \
         has joined until it begins to leave; while it joins or leaves, itself and its successor \
         are\nboth right. Questions of peers that left before the answer are not counted.\n\n{}",
        table(&CHURN_HEAD, rows)
    );
    let ours = |reports: &[Report], of: &dyn Fn(&Report) -> f64| {
        reports.iter().map(|report| (report.churn, of(report))).collect::<Vec<(f64, f64)>>()
    };
    let published: Vec<(f64, f64)> =
        published::CHURN.iter().map(|row| (row.0, f64::from(row.3))).collect();
    let plot = Plot {
        title: "Failed lookups of 10,000 under churn, 1000 peers",
        x: Axis { label: "joins per second, and as many leaves", scale: Scale::Even },
        y: Axis { label: "failed of 10,000", scale: Scale::Even },
        lines: vec![
            Line { name: "ours", points: ours(&leave, &per_ten_thousand), look: Look::Ours },
            Line { name: "published", points: published, look: Look::Published },
            Line {
                name: "ours, if all leavers crash",
                points: ours(&crash, &per_ten_thousand),
                look: Look::Ours,
            },
        ],
    };
    Page { title: "Churn", text, plots: vec![("churn", plot.svg())] }
}

/// The share of right lookups beside the share of liars.
pub(super) fn liars() -> Page {
    let shares = [0.0, 0.02, 0.05, 0.1, 0.2, 0.3];
    let ways = [1, 2, 4, 8];
    let right =
        |report: &Report| 100.0 * (1.0 - report.failed as f64 / report.lookups.max(1) as f64);
    let columns: Vec<Vec<Report>> = ways
        .iter()
        .map(|ways| {
            let cases: Vec<Case> = shares
                .iter()
                .map(|liars| Case { liars: *liars, ways: *ways, ..case(4_000) })
                .collect();
            run_seeds(&cases, 2)
        })
        .collect();
    let rows = shares.iter().enumerate().map(|(row, share)| {
        let cell = |column: &Vec<Report>| format!("{:.1}", right(&column[row]));
        let mut cells = vec![format!("{:.0} %", share * 100.0)];
        cells.extend(columns.iter().map(cell));
        cells.push(format!("{:.0}", columns[0][row].messages_per_lookup));
        cells.push(format!("{:.0}", columns[3][row].messages_per_lookup));
        cells
    });
    let head = ["liars", "right, 1 way", "2 ways", "4 ways", "8 ways", "messages, 1 way", "8 ways"];
    let text = format!(
        "The share of right lookups among 1000 peers, in percent, when some lie: a third of the \
         liars say that\nevery key is their own, a third name each other, a third say nothing. \
          They \
         lie so that no rule of places\ngives them away. A lookup on several ways takes the owner \
         that stands closest to the key: a lie can only\nname somebody further away, so one honest \
         way is enough, if it gets through. A liar that really keeps\nthe key counts as \
          right.\n\n{}",
        table(&head, rows)
    );
    let lines = ["1 way", "2 ways", "4 ways", "8 ways"].into_iter().zip(&columns);
    let lines = lines.map(|(name, column)| Line {
        name,
        points: shares.iter().zip(column).map(|(x, report)| (x * 100.0, right(report))).collect(),
        look: Look::Ours,
    });
    let plot = Plot {
        title: "Right lookups among liars, 1000 peers",
        x: Axis { label: "liars, percent of all peers", scale: Scale::Even },
        y: Axis { label: "right lookups, percent", scale: Scale::Even },
        lines: lines.collect(),
    };
    Page { title: "Liars", text, plots: vec![("liars", plot.svg())] }
}
