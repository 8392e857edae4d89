//! Networks and their members, for people.

use std::time::Duration;

use potluck_api::{
    Audience, Circle, Invited, Joined, Member, MemberChange, MembersOf, NetworkInfo, NetworkName,
    NetworkState, PeerName, Pinged, Policy, Revoked, Role,
};
use potluck_base::Bytes;

use super::{Shown, cell, label, peer, presence};
use crate::ui::table::Table;
use crate::ui::when::{ago, ahead};
use crate::ui::{counted, shown, spoken};

/// Peers of an audience that are named one by one.
const PEERS_NAMED: usize = 2;

/// A line a network: whether its directory is at hand, and who this node is there.
pub(crate) fn networks(networks: &[NetworkInfo]) -> Shown {
    let headings =
        ["NETWORK", "STATE", "NICK", "ROLE", "MEMBERS", "SHARES", "ENTRY", "DIRECTORY", "ID"];
    let mut table = Table::new(&headings, &[4, 5]);
    for info in networks {
        table.row(vec![
            label(&info.network.name),
            state(info),
            info.nick.as_deref().map_or_else(|| "-".to_owned(), label),
            info.role.name().to_owned(),
            members_counted(info),
            info.shares.to_string(),
            entry(info.policy).to_owned(),
            info.directory.name().to_owned(),
            info.network.id.short(),
        ]);
    }
    let mut out = Shown::default();
    out.table(&table);
    networks.iter().filter_map(trouble).for_each(|line| out.warning(line));
    out
}

fn members_counted(info: &NetworkInfo) -> String {
    match (info.members_online, info.members) {
        (Some(online), Some(members)) => format!("{online} of {members}"),
        (Some(count), None) | (None, Some(count)) => count.to_string(),
        (None, None) => "-".to_owned(),
    }
}

/// Who may enter, in a word.
pub(super) fn entry(policy: Policy) -> &'static str {
    match policy {
        Policy::Open => "open",
        Policy::Invite => "by invite",
    }
}

/// How a network's directory is, in a word or two.
fn state(info: &NetworkInfo) -> String {
    match &info.state {
        NetworkState::Online => match &info.circle {
            None => presence(true),
            Some(circle) => format!("{} {}", console::style("●").green(), on_circle(circle)),
        },
        NetworkState::Connecting { .. } => format!("{} connecting", console::style("◌").yellow()),
        NetworkState::Away => format!("{} away", console::style("○").dim()),
        NetworkState::Refused { .. } => format!("{} refused", console::style("✗").red()),
    }
}

/// How many stand on a circle: `alone`, `3 peers`, `about 120 peers`.
fn on_circle(circle: &Circle) -> String {
    match (circle.peers, circle.peers_counted) {
        (0 | 1, _) => "alone".to_owned(),
        (peers, true) => format!("{peers} peers"),
        (peers, false) => format!("about {peers} peers"),
    }
}

/// Why a network's directory is not at hand, and what comes next.
fn trouble(info: &NetworkInfo) -> Option<String> {
    let network = label(&info.network.name);
    match &info.state {
        NetworkState::Online | NetworkState::Away => None,
        NetworkState::Refused { why } => Some(format!("{network}: {}", shown(why))),
        NetworkState::Connecting { why, retry_in_ms } => {
            let mut text = format!("{network}: {}", shown(why.as_deref()?));
            if let Some(ms) = retry_in_ms {
                text += &format!("; next try in {}", spoken(Duration::from_millis(*ms)));
            }
            Some(text)
        }
    }
}

/// The members of networks, each network with a line of its own above them.
pub(crate) fn members(networks: &[MembersOf]) -> Shown {
    let mut out = Shown::default();
    for (position, of) in networks.iter().enumerate() {
        if position > 0 {
            out.result("");
        }
        let online = of.members.iter().filter(|member| member.online).count();
        let members = counted(of.members.len() as u64, "member");
        out.result(format!("{}: {members}, {online} online", label(&of.network.name)));
        out.table(&members_table(&of.members));
        if let Some(age) = of.stale_ms {
            out.warning(stale(&label(&of.network.name), age));
        }
    }
    out
}

/// What to say of an answer that is not from now.
pub(super) fn stale(who: &str, age_ms: u64) -> String {
    let age = spoken(Duration::from_millis(age_ms));
    format!("the directory of {who} does not answer; this is what it said {age} ago")
}

fn members_table(members: &[Member]) -> Table {
    let headings =
        ["STATE", "NICK", "ROLE", "LAST SEEN", "SHARES", "FILES", "SIZE", "PEER", "PROGRAM"];
    let mut table = Table::new(&headings, &[4, 5, 6]);
    for member in members {
        let nick = label(&member.nick);
        table.row(vec![
            presence(member.online),
            if member.own { format!("{nick} (you)") } else { nick },
            member.role.name().to_owned(),
            if member.online { "now".to_owned() } else { ago(member.last_seen_ms) },
            member.shares.to_string(),
            member.files.to_string(),
            Bytes(member.bytes).to_string(),
            member.id.short(),
            cell(&member.agent),
        ]);
    }
    table
}

/// What to say to somebody who has entered.
pub(crate) fn welcome(joined: &Joined) -> Shown {
    let (network, nick) = (label(&joined.network.network.name), label(&joined.nick));
    let mut out = Shown::default();
    out.result(joined.network.network.id.to_string());
    match joined.returning {
        Some(last_seen_ms) => out.note(format!(
            "Welcome back to {network}, {nick}. You were last seen {}.",
            ago(last_seen_ms)
        )),
        None => out.note(format!(
            "Welcome to {network}. You are {nick}, {}.",
            with_article(joined.network.role)
        )),
    }
    if joined.network.members_online.is_some() {
        let counted = members_counted(&joined.network);
        out.note(format!("{counted} members are online; \"potluck peers\" lists them."));
    }
    out
}

/// A new network.
pub(crate) fn created(info: &NetworkInfo) -> Shown {
    let mut out = Shown::default();
    out.result(info.network.id.to_string());
    let name = label(&info.network.name);
    out.note(format!("The network {name} is made, and you are its owner."));
    if let Some(circle) = &info.circle {
        let replicas = circle.replicas;
        out.note(format!(
            "It has no server: {replicas} of its members keep each entry of the index."
        ));
    }
    out.note("\"potluck invite\" lets others in; \"potluck daemon start\" keeps you in it.");
    out
}

/// For whom an invite is, and until when.
pub(crate) fn invited(invited: &Invited) -> String {
    let network = label(&invited.network.name);
    let role = invited.role.name();
    match (invited.uses, invited.expires_ms) {
        (Some(uses), Some(until)) => {
            let whom = match uses {
                1 => format!("one {role}"),
                _ => format!("{uses} {role}s"),
            };
            format!("It admits {whom} to {network}, for {}.", ahead(until))
        }
        _ => format!("{network} is open: it admits everyone who has this."),
    }
}

/// Who has lost its rights.
pub(crate) fn revoked(revoked: &Revoked) -> String {
    let (who, network) = (peer(&revoked.peer), label(&revoked.network.name));
    format!("{who} is no longer a member of {network} (revocation {}).", revoked.number)
}

/// The round trip to a peer.
pub(crate) fn pinged(pinged: &Pinged) -> String {
    let who = peer(&pinged.peer);
    let mut times = pinged.times_ms.clone();
    times.sort_by(f64::total_cmp);
    let (Some(best), Some(worst)) = (times.first(), times.last()) else {
        return format!("{who} does not answer ({} lost)", pinged.lost);
    };
    let over = format!("over {} to {}", pinged.path, shown(&pinged.remote));
    let lost = if pinged.lost > 0 { format!(", {} lost", pinged.lost) } else { String::new() };
    if times.len() == 1 {
        return format!("{who}: {best:.2} ms {over}{lost}");
    }
    let median = times[times.len() / 2];
    let trips = counted(times.len() as u64, "round trip");
    format!("{who}: {median:.2} ms ({best:.2} to {worst:.2} ms, {trips}) {over}{lost}")
}

/// Who may have a share, in a few words.
pub(crate) fn audience(audience: &Audience) -> String {
    if audience.anyone {
        return "anyone".to_owned();
    }
    let mut parts: Vec<String> = Vec::new();
    if !audience.networks.is_empty() {
        parts.push(names(&audience.networks));
    }
    match audience.peers.as_slice() {
        [] => {}
        peers if peers.len() <= PEERS_NAMED => {
            parts.extend(
                peers.iter().map(|name| name.nick.as_deref().map_or(name.id.short(), label)),
            );
        }
        peers => parts.push(counted(peers.len() as u64, "peer")),
    }
    if parts.is_empty() { "nobody".to_owned() } else { parts.join(", ") }
}

/// Names of networks in a row.
pub(crate) fn names(networks: &[NetworkName]) -> String {
    networks.iter().map(|network| label(&network.name)).collect::<Vec<_>>().join(", ")
}

/// A member that came or went, as a sentence.
pub(crate) fn change(network: &NetworkName, who: &PeerName, change: &MemberChange) -> String {
    let (who, network) = (peer(who), label(&network.name));
    match change {
        MemberChange::New => format!("{who} is new in {network}"),
        MemberChange::Online { last_seen_ms } => {
            format!("{who} is back in {network}, last seen {}", ago(*last_seen_ms))
        }
        MemberChange::Offline => format!("{who} is gone from {network}"),
        MemberChange::Revoked => format!("{who} is revoked in {network}"),
        MemberChange::Left => format!("{who} has left {network}"),
        MemberChange::Refused { why } => format!("{who} is refused in {network}: {}", shown(why)),
    }
}

fn with_article(role: Role) -> String {
    let article = if matches!(role, Role::Admin | Role::Owner) { "an" } else { "a" };
    format!("{article} {}", role.name())
}

#[cfg(test)]
mod tests {
    use potluck_api::DirectoryKind;
    use potluck_base::{NetworkId, PathKind, PeerId};

    use super::*;

    fn lab() -> NetworkName {
        NetworkName { id: NetworkId([1; 32]), name: "lab".into() }
    }

    fn ann() -> PeerName {
        PeerName { id: PeerId([2; 32]), nick: Some("ann".into()) }
    }

    fn info() -> NetworkInfo {
        NetworkInfo {
            network: lab(),
            role: Role::Admin,
            policy: Policy::Invite,
            directory: DirectoryKind::Tracker,
            trackers: Vec::new(),
            circle: None,
            relays: Vec::new(),
            nick: Some("ann".into()),
            state: NetworkState::Online,
            members: Some(5),
            members_online: Some(2),
            shares: 3,
            sequence: 1,
            revocations: 0,
        }
    }

    #[test]
    fn who_enters_is_welcomed_and_who_returns_is_recognised() {
        console::set_colors_enabled(false);
        let joined = Joined { network: info(), nick: "ann".into(), returning: None };
        let text = welcome(&joined).text();
        assert!(text.contains("Welcome to lab. You are ann, an admin."), "{text}");
        assert!(text.contains("2 of 5 members are online"), "{text}");
        let back = Joined { returning: Some(0), ..joined };
        assert!(welcome(&back).text().contains("Welcome back to lab, ann."));
    }

    #[test]
    fn a_directory_that_is_not_at_hand_says_why_beside_the_table() {
        console::set_colors_enabled(false);
        let why = Some("no address answers".to_owned());
        let state = NetworkState::Connecting { why, retry_in_ms: Some(12_000) };
        let text = networks(&[NetworkInfo { state, ..info() }]).text();
        assert!(text.contains("lab      ◌ connecting  ann"), "{text}");
        assert!(text.contains("lab: no address answers; next try in 12 s"), "{text}");
    }

    #[test]
    fn a_network_without_a_server_says_how_many_stand_on_its_circle() {
        console::set_colors_enabled(false);
        let on = |peers, peers_counted| {
            let circle = Some(Circle { replicas: 3, peers, peers_counted });
            NetworkInfo { circle, directory: DirectoryKind::Chord, ..info() }
        };
        for (peers, counted, words) in
            [(1, true, "● alone "), (4, true, "● 4 peers "), (90, false, "● about 90 peers ")]
        {
            let text = networks(&[on(peers, counted)]).text();
            assert!(text.contains(words) && text.contains("chord"), "{text}");
        }
        assert!(created(&on(1, true)).text().contains("It has no server: 3 of its members"));
    }

    #[test]
    fn an_invite_says_for_how_many_and_for_how_long() {
        let mut invite = Invited {
            invite: "potin1x".into(),
            network: lab(),
            role: Role::Guest,
            expires_ms: Some(u64::MAX),
            uses: Some(3),
        };
        assert!(invited(&invite).starts_with("It admits 3 guests to lab, for "));
        invite.uses = None;
        assert_eq!(invited(&invite), "lab is open: it admits everyone who has this.");
    }

    #[test]
    fn names_of_peers_and_networks_do_not_act_on_the_terminal() {
        let bad = NetworkName { name: "lab\u{1b}[2J".into(), ..lab() };
        let who = PeerName { nick: Some("a\u{202e}nn\n<b>".into()), ..ann() };
        let text = change(&bad, &who, &MemberChange::New);
        assert!(!text.contains(['\u{1b}', '\u{202e}', '\n']), "{text:?}");
        let long = NetworkName { name: "x".repeat(4096), ..lab() };
        assert!(names(&[long]).chars().count() <= 65);
    }

    #[test]
    fn an_audience_is_told_in_a_few_words() {
        let everyone = Audience::default();
        assert_eq!(audience(&everyone), "anyone");
        let mut some = Audience { anyone: false, networks: vec![lab()], peers: vec![ann(), ann()] };
        assert_eq!(audience(&some), "lab, ann, ann");
        some.peers.push(ann());
        assert_eq!(audience(&some), "lab, 3 peers");
        some = Audience { anyone: false, networks: Vec::new(), peers: Vec::new() };
        assert_eq!(audience(&some), "nobody");
    }

    #[test]
    fn a_round_trip_names_its_way() {
        let mut ping = Pinged {
            peer: ann(),
            path: PathKind::DirectTcp,
            remote: "10.0.0.1:4000".into(),
            times_ms: vec![0.5],
            lost: 0,
        };
        let text = pinged(&ping);
        assert!(text.starts_with("ann (") && text.contains("0.50 ms over "), "{text}");
        ping.times_ms = vec![3.0, 1.0, 2.0];
        ping.lost = 1;
        assert!(pinged(&ping).contains("2.00 ms (1.00 to 3.00 ms, 3 round trips)"));
        assert!(pinged(&ping).ends_with(", 1 lost"));
        ping.times_ms.clear();
        assert!(pinged(&ping).contains("does not answer"));
    }
}
