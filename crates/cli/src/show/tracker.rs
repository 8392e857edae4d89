//! What a tracker tells of itself, for people.

use std::time::Duration;

use potluck_api::{
    PeerName, TrackerAct, TrackerActed, TrackerFiles, TrackerNetworks, TrackerPeer, TrackerPeers,
    TrackerStats,
};
use potluck_base::Bytes;

use super::{Shown, cell, label, peer, presence};
use crate::ui::table::Table;
use crate::ui::when::{ago, ago_s};
use crate::ui::{counted, shown, spoken};

/// The members of all networks.
pub(crate) fn peers(peers: &TrackerPeers) -> Shown {
    let mut out = Shown::default();
    if peers.peers.is_empty() {
        out.note("Nobody has registered yet.");
        return out;
    }
    let headings = [
        "STATE",
        "NICK",
        "NETWORK",
        "ROLE",
        "LAST SEEN",
        "SHARES",
        "FILES",
        "SIZE",
        "PEER",
        "ADDRESS",
        "PROGRAM",
    ];
    let mut table = Table::new(&headings, &[5, 6, 7]);
    for peer in &peers.peers {
        table.row(row(peer));
    }
    out.table(&table);
    out
}

fn row(peer: &TrackerPeer) -> Vec<String> {
    let state = match (peer.banned, peer.online) {
        (true, _) => format!("{} banned", console::style("✗").red()),
        (false, online) => presence(online),
    };
    vec![
        state,
        label(&peer.nick),
        label(&peer.network.name),
        peer.role.name().to_owned(),
        if peer.online { "now".to_owned() } else { ago(peer.last_seen_ms) },
        peer.shares.to_string(),
        peer.files.to_string(),
        Bytes(peer.bytes).to_string(),
        peer.id.short(),
        peer.addresses.first().map_or_else(|| "-".to_owned(), ToString::to_string),
        cell(&peer.agent),
    ]
}

/// The files of a peer.
pub(crate) fn files(files: &TrackerFiles) -> Shown {
    let mut out = Shown::default();
    let who = peer(&files.peer);
    if !files.files.is_empty() {
        let mut table = Table::new(&["SIZE", "CHANGED", "ID", "NETWORK", "PATH"], &[0]);
        for file in &files.files {
            table.row(vec![
                Bytes(file.size).to_string(),
                ago_s(file.modified_s),
                file.content.short(),
                label(&file.network.name),
                shown(&file.path),
            ]);
        }
        out.table(&table);
    }
    let count = counted(files.files.len() as u64, "file");
    out.note(match files.after {
        Some(_) => format!("{who}: the first {count}"),
        None => format!("{who}: {count}"),
    });
    if !files.online {
        out.note(format!("It is offline, last seen {}.", ago(files.last_seen_ms)));
    }
    out
}

/// How much there is and how much was done.
pub(crate) fn stats(stats: &TrackerStats) -> Shown {
    let mut table = Table::new(&[], &[]);
    let mut row = |name: &str, value: String| table.row(vec![name.to_owned(), value]);
    let time = |ms: u64| spoken(Duration::from_millis(ms));
    row("name", label(&stats.name));
    row("running for", time(stats.uptime_ms));
    row("lease", time(stats.lease_ms));
    row("networks", stats.networks.to_string());
    row("members", format!("{} ({} online)", stats.members, stats.online));
    row("banned", stats.banned.to_string());
    row("links", stats.links.to_string());
    row("shares", stats.shares.to_string());
    row("files", format!("{} ({})", stats.files, Bytes(stats.bytes)));
    row("database", Bytes(stats.database_bytes).to_string());
    row("requests", stats.requests.to_string());
    row("searches", searches(stats));
    row("published", counted(stats.published, "file"));
    if let Some(ci) = &stats.p2p_ci {
        let (clients, files) = (counted(ci.clients, "client"), counted(ci.files, "file"));
        row("p2p-ci", format!("{} ({clients}, {files})", ci.address));
    }
    for refused in &stats.refused {
        row("refused", format!("{} × {}", refused.count, shown(&refused.why)));
    }
    let mut out = Shown::default();
    out.rows(&table);
    out
}

fn searches(stats: &TrackerStats) -> String {
    match (stats.search_p50_ms, stats.search_p99_ms) {
        (Some(half), Some(most)) => {
            format!("{} (half within {half:.2} ms, 99 % within {most:.2} ms)", stats.searches)
        }
        _ => stats.searches.to_string(),
    }
}

/// What was done to a peer.
pub(crate) fn acted(acted: &TrackerActed) -> Shown {
    let who = peer(&acted.peer);
    let mut out = Shown::default();
    out.note(match (acted.act, acted.was_online) {
        (TrackerAct::Kicked, true) => format!("{who} is kicked; it may come back."),
        (TrackerAct::Kicked, false) => format!("{who} was not here."),
        (TrackerAct::Banned, true) => format!("{who} is banned, and its session is over."),
        (TrackerAct::Banned, false) => format!("{who} is banned."),
        (TrackerAct::Unbanned, _) => format!("{who} may come back."),
    });
    out
}

/// The networks of a tracker.
pub(crate) fn networks(networks: &TrackerNetworks) -> Shown {
    let mut out = Shown::default();
    if networks.networks.is_empty() {
        out.note("No network is here yet; \"ticket\" prints what it takes to make one.");
        return out;
    }
    let headings =
        ["NETWORK", "ENTRY", "MEMBERS", "REVOKED", "SHARES", "FILES", "SIZE", "MADE", "ID"];
    let mut table = Table::new(&headings, &[2, 3, 4, 5, 6]);
    for network in &networks.networks {
        table.row(vec![
            label(&network.network.name),
            super::networks::entry(network.policy).to_owned(),
            format!("{} of {}", network.online, network.members),
            network.revoked.to_string(),
            network.shares.to_string(),
            network.files.to_string(),
            Bytes(network.bytes).to_string(),
            ago(network.created_ms),
            network.network.id.short(),
        ]);
    }
    out.table(&table);
    out
}

/// The words that name a peer in the shell: its nickname if it can be typed, else its id.
pub(crate) fn typed(name: &PeerName) -> String {
    match &name.nick {
        Some(nick) if label(nick) == *nick => nick.clone(),
        _ => name.id.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use potluck_api::{NetworkName, Role};
    use potluck_base::{NetworkId, PeerId};

    use super::*;

    fn ann() -> TrackerPeer {
        TrackerPeer {
            nick: "ann".into(),
            id: PeerId([1; 32]),
            network: NetworkName { id: NetworkId([1; 32]), name: "lab".into() },
            role: Role::Member,
            online: true,
            last_seen_ms: 0,
            addresses: vec!["10.0.0.1:4000".parse().unwrap()],
            shares: 1,
            files: 2,
            bytes: 3000,
            agent: "potluck/0.1".into(),
            banned: false,
        }
    }

    #[test]
    fn a_peer_is_one_line_whatever_it_calls_itself() {
        console::set_colors_enabled(false);
        let mut bad = ann();
        bad.nick = "a\nb\u{1b}[2J".into();
        bad.agent = String::new();
        let text = peers(&TrackerPeers { peers: vec![ann(), bad] }).text();
        assert_eq!(text.trim().lines().count(), 3, "{text}");
        assert!(text.contains("● online  ann") && !text.contains('\u{1b}'), "{text}");
    }

    #[test]
    fn a_banned_peer_is_seen_to_be() {
        console::set_colors_enabled(false);
        let text = peers(&TrackerPeers { peers: vec![TrackerPeer { banned: true, ..ann() }] });
        assert!(text.text().contains("✗ banned"));
    }

    #[test]
    fn a_nickname_that_cannot_be_typed_is_completed_by_its_id() {
        let name = PeerName { id: PeerId([1; 32]), nick: Some("ann".into()) };
        assert_eq!(typed(&name), "ann");
        let name = PeerName { nick: Some("a\u{202e}b".into()), ..name };
        assert_eq!(typed(&name), PeerId([1; 32]).to_string());
    }
}
