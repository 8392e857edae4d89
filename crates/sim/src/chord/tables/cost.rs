//! What a circle costs: keys to keep, messages, time, memory.

use std::process::Command;
use std::time::Duration;

use potluck_proto::directory::chord::RingId;
use serde::Deserialize;

use super::super::case::{Case, Mode};
use super::super::plot::{Axis, Line, Look, Plot, Scale};
use super::super::published;
use super::super::spot::{Spot, key};
use super::super::tally::Tally;
use super::{Page, run_cases, table};

/// Peers and keys of the paper's load experiment.
const LOAD_PEERS: u32 = 10_000;
const LOAD_KEYS: u32 = 1_000_000;

/// Keys on each peer, if each takes so many positions.
fn keys_on_peers(positions: u32) -> Tally {
    let mut places: Vec<(RingId, u32)> = (0..LOAD_PEERS)
        .flat_map(|peer| (0..positions).map(move |which| (Spot(peer).position(which), peer)))
        .collect();
    places.sort_unstable();
    let mut counts = vec![0u64; LOAD_PEERS as usize];
    for number in 0..LOAD_KEYS {
        let at = places.partition_point(|(place, _)| *place < key(number));
        let (_, peer) = places.get(at).copied().unwrap_or(places[0]);
        counts[peer as usize] += 1;
    }
    let mut tally = Tally::default();
    counts.into_iter().for_each(|count| tally.add(count));
    tally
}

/// Figures 8 and 9 of the paper.
pub(super) fn load() -> Page {
    let tallies: Vec<(u32, Tally)> = published::LOAD
        .iter()
        .map(|(positions, ..)| (*positions, keys_on_peers(*positions)))
        .collect();
    let rows = published::LOAD.iter().zip(&tallies).map(|((positions, low, high), (_, tally))| {
        vec![
            positions.to_string(),
            format!("{:.0}", tally.mean()),
            low.to_string(),
            tally.percentile(1.0).to_string(),
            high.to_string(),
            tally.percentile(99.0).to_string(),
            tally.max().to_string(),
        ]
    });
    let head =
        ["positions", "mean", "published 1st", "ours 1st", "published 99th", "ours 99th", "most"];
    let text = format!(
        "Keys on each of 10^4 peers, of 10^6 keys, if each peer takes so many positions on the \
         circle. Potluck\ntakes one: its keys are spread by three copies already, and positions \
         multiply the upkeep.\n\n{}",
        table(&head, rows)
    );
    let ours = |percent: f64| {
        let point = |(positions, tally): &(u32, Tally)| {
            (f64::from(*positions), tally.percentile(percent) as f64)
        };
        tallies.iter().map(point).collect::<Vec<(f64, f64)>>()
    };
    let theirs = |of: fn(&(u32, u64, u64)) -> u64| {
        let point = |row: &(u32, u64, u64)| (f64::from(row.0), of(row) as f64);
        published::LOAD.iter().map(point).collect::<Vec<(f64, f64)>>()
    };
    let plot = Plot {
        title: "Keys on a peer, 100 on average",
        x: Axis { label: "positions of each peer", scale: Scale::Even },
        y: Axis { label: "keys", scale: Scale::Even },
        lines: vec![
            Line { name: "99th percentile, ours", points: ours(99.0), look: Look::Ours },
            Line { name: "99th, published", points: theirs(|row| row.2), look: Look::Published },
            Line { name: "1st percentile, ours", points: ours(1.0), look: Look::Ours },
            Line { name: "1st, published", points: theirs(|row| row.1), look: Look::Published },
        ],
    };
    Page { title: "Load", text, plots: vec![("load", plot.svg())] }
}

/// Traffic when nobody looks anything up, beside what the paper's protocol needs.
pub(super) fn upkeep() -> Page {
    let idle = Some(Duration::from_secs(1800));
    let sizes = [128u32, 1024, 8192];
    let cases: Vec<Case> = sizes
        .iter()
        .flat_map(|nodes| {
            let case = Case { idle, ..Case::calm(*nodes, 0, 1) };
            [
                Case { successors: Some(1), ..case.clone() },
                Case { successors: Some(20), ..case.clone() },
                Case { successors: Some(8), mode: Mode::Fast, ..case.clone() },
                Case { successors: Some(8), mode: Mode::Ring, ..case },
            ]
        })
        .collect();
    let rows = run_cases(&cases).into_iter().map(|report| {
        // A round: the successor's word and its answer, a notification and its answer, and one
        // finger: a question and an answer for each step.
        let path = 0.5 * f64::from(report.nodes).log2();
        let paper = (4.0 + 2.0 * path) / 30.0;
        let mode = report.mode.map_or_else(String::new, |mode| format!("{mode:?}").to_lowercase());
        vec![
            report.nodes.to_string(),
            mode,
            report.successors.to_string(),
            format!("{paper:.2}"),
            format!("{:.2}", report.maintenance_messages),
            format!("{:.0}", report.maintenance_bytes),
        ]
    });
    let head =
        ["peers", "mode", "r", "paper's protocol, messages /s", "ours, messages /s", "bytes /s"];
    let text = format!(
        "Messages per peer and second when nobody comes, goes or looks anything up, with the \
         paper's \
         rounds of\n15 to 45 s. The paper gives no figure: its column is what its protocol needs, \
         four messages for the\nsuccessor and a lookup of ½ log2 N steps for one finger in each \
         round. Bytes are those of frames, with 40\nfor each peer that is named (key and address); \
         QUIC and TLS add to that.\n\n{}",
        table(&head, rows)
    );
    Page { title: "Upkeep", text, plots: Vec::new() }
}

/// Table IV of the paper: how long a lookup takes beside a round trip to the owner.
pub(super) fn latency() -> Page {
    let nodes = 1 << 14;
    let case = Case { cube: true, successors: Some(8), ..Case::calm(nodes, 20_000, 1) };
    let fast = Case { mode: Mode::Fast, ..case.clone() };
    let named = [
        ("one at a time, fingers by place", case),
        ("fast, caches cold", fast.clone()),
        ("fast, after 20 lookups of each peer", Case { warm: 20, ..fast.clone() }),
        ("fast, after 100 lookups of each peer", Case { warm: 100, ..fast }),
    ];
    let cases: Vec<Case> = named.iter().map(|(_, case)| case.clone()).collect();
    let reports = run_cases(&cases);
    let rows = named.iter().zip(&reports).map(|((name, _), report)| {
        vec![
            (*name).to_owned(),
            format!("{:.2}", report.hops_mean),
            format!("{:.1}", report.stretch_p50),
            report.latency_p50_ms.to_string(),
            report.latency_p99_ms.to_string(),
            format!("{:.1}", report.messages_per_lookup),
        ]
    });
    let head = ["lookups", "asked", "stretch, median", "p50, ms", "p99, ms", "messages"];
    let published = published::STRETCH.map(|(kept, iterative, recursive)| {
        vec![kept.to_string(), iterative.to_string(), recursive.to_string()]
    });
    let text = format!(
        "2^14 peers in a cube; a message takes as long as it is far, 66 ms on average. *Stretch* \
         is a \
         lookup's\ntime, with the owner's own answer, beside a round trip to the owner. *Fast* \
          asks \
         three peers at a time,\nremembers 256 for a minute, takes the nearest of eight for each \
         finger, and asks whoever it takes for\nthe owner at once; each peer looks something up \
          every \
         two seconds.\n\n{}\nPublished (Table IV, 2^16 peers in a cube), by successors kept for \
          each \
         finger:\n\n{}",
        table(&head, rows),
        table(&["kept", "iterative", "recursive"], published)
    );
    Page { title: "Latency", text, plots: Vec::new() }
}

/// What a process of its own says in JSON.
#[derive(Deserialize)]
struct Said {
    events_per_s: f64,
    bytes_per_node: u64,
    simulated_s: f64,
    events: u64,
    failed: u64,
    lookups: u64,
}

/// A case in a process of its own, so that its memory is its own.
fn apart(nodes: u32, churn: u32) -> Option<Said> {
    let (nodes, churn) = (nodes.to_string(), churn.to_string());
    let exe = std::env::current_exe().ok()?;
    let out = Command::new(exe)
        .args(["chord", "--json", "--nodes", &nodes, "--churn", &churn, "--successors", "20"])
        .args(["--lookups", "60000"])
        .output()
        .ok()?;
    serde_json::from_slice(&out.stdout).ok()
}

/// Memory and speed.
pub(super) fn scale() -> Page {
    let sizes = [(1_000, 1), (10_000, 1), (100_000, 10), (1_000_000, 100)];
    let rows = sizes.into_iter().filter_map(|(nodes, churn)| {
        let said = apart(nodes, churn)?;
        Some(vec![
            nodes.to_string(),
            churn.to_string(),
            said.bytes_per_node.to_string(),
            format!("{:.2} M", said.events_per_s / 1e6),
            format!("{:.1} M", said.events as f64 / 1e6),
            format!("{:.0}", said.simulated_s),
            format!("{:.0}", said.simulated_s * said.events_per_s / said.events as f64),
            format!("{} of {}", said.failed, said.lookups),
        ])
    });
    let head = [
        "peers",
        "joins = leaves /s",
        "bytes per peer",
        "events /s",
        "events",
        "virtual s",
        "virtual s per s",
        "failed lookups",
    ];
    let text = format!(
        "The simulation itself, one thread: the paper's parameters with lists of 20, under churn. \
         Bytes per peer\nare the growth of the process's memory while the circle is built, the \
         machines with all their tables.\nThese figures depend on the computer; all others do \
         not.\n\n{}",
        table(&head, rows)
    );
    Page { title: "Scale", text, plots: Vec::new() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn more_positions_spread_keys_more_evenly() {
        let (one, twenty) = (keys_on_peers(1), keys_on_peers(20));
        assert_eq!((one.sum(), twenty.sum()), (1_000_000, 1_000_000));
        assert!((430..500).contains(&one.percentile(99.0)), "{}", one.percentile(99.0));
        assert!((150..175).contains(&twenty.percentile(99.0)), "{}", twenty.percentile(99.0));
    }

    #[test]
    fn a_report_in_json_says_what_the_table_of_scale_wants_to_know() {
        let json = serde_json::to_string(&crate::chord::Report::default()).expect("is JSON");
        assert!(serde_json::from_str::<Said>(&json).is_ok());
    }
}
