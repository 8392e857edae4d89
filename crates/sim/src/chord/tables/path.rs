//! How long the way to a key is.

use super::super::case::{Case, Mode, Report};
use super::super::plot::{Axis, Line, Look, Plot, Scale};
use super::super::published;
use super::{Page, run_cases, run_seeds, table};

/// Entries of the successor list of live networks.
const LIVE_LIST: usize = 8;
/// Lookups of each peer that fill the caches first.
const WARM: u32 = 64;

/// Seeds and lookups of each for so many peers: more circles where one says little.
fn effort(nodes: u32) -> (u64, u64) {
    match nodes {
        0..=256 => (40, 10_000),
        257..=16_384 => (10, 40_000),
        16_385..=131_072 => (2, 100_000),
        _ => (1, 100_000),
    }
}

fn measured(nodes: u32, change: impl Fn(Case) -> Case) -> Report {
    let (seeds, lookups) = effort(nodes);
    let case = change(Case::calm(nodes, lookups, 1));
    run_seeds(&[case], seeds).remove(0)
}

fn points(reports: &[Report]) -> Vec<(f64, f64)> {
    reports.iter().map(|report| (f64::from(report.nodes), report.hops_mean)).collect()
}

/// The columns of the table of path lengths.
const PATH_HEAD: [&str; 8] = [
    "peers",
    "published",
    "ours, r = 1",
    "ours, r = 8",
    "½ log2 N",
    "messages, r = 8",
    "fast",
    "its messages",
];

/// Figure 10a of the paper, and on.
pub(super) fn path_length() -> Page {
    let sizes: Vec<u32> = (3..=20).map(|log2| 1 << log2).collect();
    let run = |change: &dyn Fn(Case) -> Case| -> Vec<Report> {
        sizes.iter().map(|nodes| measured(*nodes, change)).collect()
    };
    let one = run(&|case| Case { successors: Some(1), ..case });
    let live = run(&|case| Case { successors: Some(LIVE_LIST), ..case });
    let fast_sizes: Vec<u32> = (3..=14).map(|log2| 1 << log2).collect();
    let fast: Vec<Case> = fast_sizes
        .iter()
        .map(|nodes| Case {
            mode: Mode::Fast,
            successors: Some(LIVE_LIST),
            warm: WARM,
            ..Case::calm(*nodes, 40_000, 1)
        })
        .collect();
    let fast = run_cases(&fast);
    let rows = one.iter().zip(&live).enumerate().map(|(at, (one, live))| {
        let log2 = at + 3;
        let published = published::PATH.get(at);
        let fast = fast.get(at);
        vec![
            format!("2^{log2}"),
            published
                .map_or("–".into(), |(_, mean, low, high)| format!("{mean} ({low}..{high})")),
            format!("{:.2} ({}..{})", one.hops_mean, one.hops_p1, one.hops_p99),
            format!("{:.2} ({}..{})", live.hops_mean, live.hops_p1, live.hops_p99),
            format!("{:.1}", log2 as f64 / 2.0),
            format!("{:.1}", live.messages_per_lookup),
            fast.map_or("–".into(), |fast| format!("{:.2}", fast.hops_mean)),
            fast.map_or("–".into(), |fast| format!("{:.1}", fast.messages_per_lookup)),
        ]
    });
    let text = format!(
        "Mean of the peers that a lookup asks, with the 1st and 99th percentile. Counted as in the \
         paper: from\nthe first peer that is asked to the one before the owner, at least one; the \
         owner's own word, which\nours asks for besides, is no step but counts among the messages. \
         `r` is the length of the successor\nlist: 1 in the paper's figure, 8 in live networks. \
         *Fast* asks three at a time and remembers 256 peers\nfor a minute ({WARM} lookups of each \
         peer came before, one every two seconds); a first question goes to\nwhoever may be the \
         owner by what is remembered.\n\n{}\nFailed lookups: {}.\n",
        table(&PATH_HEAD, rows),
        one.iter().chain(&live).chain(&fast).map(|report| report.failed).sum::<u64>()
    );
    let published: Vec<(f64, f64)> =
        published::PATH.iter().map(|(nodes, mean, ..)| (f64::from(*nodes), *mean)).collect();
    let half = [8.0, 1_048_576.0].map(|nodes: f64| (nodes, nodes.log2() / 2.0));
    let plot = Plot {
        title: "Peers asked by a lookup",
        x: Axis { label: "peers in the network", scale: Scale::Twos },
        y: Axis { label: "peers asked, mean", scale: Scale::Even },
        lines: vec![
            Line { name: "ours, r = 1", points: points(&one), look: Look::Ours },
            Line { name: "published, r = 1", points: published, look: Look::Published },
            Line { name: "ours, r = 8", points: points(&live), look: Look::Ours },
            Line { name: "ours, fast", points: points(&fast), look: Look::Ours },
            Line { name: "½ log2 N", points: half.to_vec(), look: Look::Rule },
        ],
    };
    Page { title: "Path length", text, plots: vec![("path-length", plot.svg())] }
}

/// Figure 10b of the paper.
pub(super) fn spread() -> Page {
    let report = measured(4096, |case| Case { successors: Some(1), ..case });
    let ours: Vec<(u64, f64)> = report.hops.shares().collect();
    let share = |length: u64| {
        ours.iter().find(|(ours, _)| *ours == length).map_or(0.0, |(_, share)| *share)
    };
    let published = published::SHARES;
    let rows = (1..).zip(published).map(|(length, published)| {
        vec![length.to_string(), published.to_string(), format!("{:.4}", share(length))]
    });
    let text = format!(
        "The share of lookups that ask so many peers, of 2^12 peers with one successor each.\n\n{}",
        table(&["peers asked", "published", "ours"], rows)
    );
    let mark = |(length, share): (u64, f64)| (length as f64, share);
    let plot = Plot {
        title: "How often each path length comes, 4096 peers",
        x: Axis { label: "peers asked", scale: Scale::Even },
        y: Axis { label: "share of lookups", scale: Scale::Even },
        lines: vec![
            Line {
                name: "ours",
                points: ours.iter().copied().map(mark).collect(),
                look: Look::Ours,
            },
            Line {
                name: "published",
                points: (1..).zip(published).map(mark).collect(),
                look: Look::Published,
            },
        ],
    };
    Page { title: "Spread of path lengths", text, plots: vec![("path-spread", plot.svg())] }
}

/// The circle without fingers.
pub(super) fn ring() -> Page {
    let sizes: Vec<u32> = (3..=12).map(|log2| 1 << log2).collect();
    let case = |mode: Mode| {
        move |nodes: &u32| Case {
            mode,
            successors: Some(LIVE_LIST),
            ..Case::calm(*nodes, 2_000, 1)
        }
    };
    let ring = run_cases(&sizes.iter().map(case(Mode::Ring)).collect::<Vec<Case>>());
    let chord = run_cases(&sizes.iter().map(case(Mode::Chord)).collect::<Vec<Case>>());
    let rows = ring.iter().zip(&chord).map(|(ring, chord)| {
        vec![
            ring.nodes.to_string(),
            format!("{:.1}", ring.hops_mean),
            format!("{:.1}", ring.messages_per_lookup),
            format!("{}", ring.latency_p50_ms),
            format!("{:.1}", chord.hops_mean),
            format!("{:.1}", chord.messages_per_lookup),
            format!("{}", chord.latency_p50_ms),
        ]
    });
    let head =
        ["peers", "ring: asked", "messages", "p50, ms", "chord: asked", "messages", "p50, ms"];
    let text = format!(
        "`ring` is the same machine without fingers: a lookup walks the circle, eight peers at a \
         step as the\nsuccessor list is that long. O(N) beside O(log N). Delays are exponential, \
         50 ms on average.\n\n{}",
        table(&head, rows)
    );
    let plot = Plot {
        title: "A plain ring beside Chord",
        x: Axis { label: "peers in the network", scale: Scale::Twos },
        y: Axis { label: "peers asked, mean", scale: Scale::Tens },
        lines: vec![
            Line { name: "ring", points: points(&ring), look: Look::Ours },
            Line { name: "chord", points: points(&chord), look: Look::Ours },
        ],
    };
    Page { title: "Ring and Chord", text, plots: vec![("ring", plot.svg())] }
}
