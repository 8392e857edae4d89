//! The circle of a network without a server, for people.

use std::time::Duration;

use potluck_api::{
    DhtCount, DhtFinger, DhtFingers, DhtFound, DhtHop, DhtKeys, DhtLeft, DhtPeer, DhtState,
    DhtStatus, DhtTarget, DirectoryKind,
};
use potluck_base::Bytes;
use unicode_width::UnicodeWidthStr;

use super::{Shown, cell, label, peer};
use crate::ui::table::Table;
use crate::ui::when::ahead;
use crate::ui::{counted, shown, spoken};

/// Columns of the picture at most: it stands in any terminal.
const PICTURE_COLUMNS: usize = 76;
/// Digits of a place that are enough to tell it apart.
const PLACE_DIGITS: usize = 8;
/// Bits of a place.
const PLACE_BITS: u8 = 128;
/// Parts of the circle down to one in so many, as a power of two, are written as fractions.
const FRACTION_BITS: u8 = 13;
/// Peers behind this one that are named one by one.
const SUCCESSORS_NAMED: usize = 4;

/// Where a node stands, in rows.
pub(crate) fn status(status: &DhtStatus) -> Shown {
    let mut table = Table::new(&[], &[]);
    let mut row = |name: &str, value: String| table.row(vec![name.to_owned(), value]);
    row("network", format!("{} ({})", label(&status.network.name), status.directory.name()));
    row("you", nick(&status.own));
    row("place", shown(&status.own.place));
    row("state", state(status));
    if let Some(predecessor) = &status.predecessor {
        row("before you", at(predecessor));
    }
    for (position, successor) in status.successors.iter().take(SUCCESSORS_NAMED).enumerate() {
        row(if position == 0 { "behind you" } else { "" }, at(successor));
    }
    if let Some(more) = more_than(&status.successors, SUCCESSORS_NAMED) {
        row("", more);
    }
    if is_there(status) {
        row("your part", format!("{:.1} % of the circle", status.part * 100.0));
        row("records", records(status.records));
    }
    row("replicas", replicas(status));
    if is_there(status) {
        row("fingers", fingers_counted(status));
        row("health", health(status));
    }
    let mut out = Shown::default();
    out.rows(&table);
    for trouble in &status.troubles {
        out.warning(shown(trouble));
    }
    out
}

fn is_there(status: &DhtStatus) -> bool {
    matches!(status.state, DhtState::Joined | DhtState::Alone)
}

fn more_than(peers: &[DhtPeer], named: usize) -> Option<String> {
    let more = peers.len().checked_sub(named).filter(|more| *more > 0)?;
    Some(format!("and {more} more"))
}

fn state(status: &DhtStatus) -> String {
    match &status.state {
        DhtState::Joined if status.peers_counted => {
            format!("on the circle, {} of you", status.peers)
        }
        DhtState::Joined => format!("on the circle, about {} of you", status.peers),
        DhtState::Alone => "alone on the circle".to_owned(),
        DhtState::Joining { why: None } => "looking for the circle".to_owned(),
        DhtState::Joining { why: Some(why) } => format!("looking for the circle: {}", shown(why)),
        DhtState::Left => "off the circle".to_owned(),
    }
}

fn records(count: DhtCount) -> String {
    let DhtCount { own, copies, bytes } = count;
    match own + copies {
        0 => "none".to_owned(),
        _ => format!("{own} of your part, {copies} copies of others', {}", Bytes(bytes)),
    }
}

fn replicas(status: &DhtStatus) -> String {
    let wanted = u64::from(status.replicas);
    match status.peers {
        peers if is_there(status) && peers < wanted => {
            format!("{wanted} (there are only {peers} of you)")
        }
        _ => wanted.to_string(),
    }
}

fn fingers_counted(status: &DhtStatus) -> String {
    match (status.directory, status.fingers.len()) {
        (DirectoryKind::Ring, _) => "none: it is a plain ring".to_owned(),
        (_, 0) if status.peers_counted => "none needed: you know everybody".to_owned(),
        (_, 0) => "none yet".to_owned(),
        (_, count) => count.to_string(),
    }
}

fn health(status: &DhtStatus) -> String {
    match status.troubles.len() as u64 {
        0 => format!("{} sound", console::style("●").green()),
        troubles => {
            let count = counted(troubles, "thing");
            format!("{} {count} not as it should be", console::style("◌").yellow())
        }
    }
}

/// The neighbours as a picture: closed if it shows everybody, open if there are more.
pub(crate) fn circle(status: &DhtStatus) -> Vec<String> {
    if !matches!(status.state, DhtState::Joined) {
        return Vec::new();
    }
    let known = neighbours(status);
    let everybody = status.peers_counted && known.len() as u64 == status.peers;
    let mut chain = Chain::default();
    let mut drawn = 0;
    for peer in &known {
        let name = if peer.own { who(peer) } else { nick(peer) };
        if !chain.push(&name, &place(&peer.place)) {
            break;
        }
        drawn += 1;
    }
    chain.close(everybody && drawn == known.len())
}

/// Everybody whom the node knows beside it, clockwise, each once: who stands before it, itself, who
/// stands behind it.
fn neighbours(status: &DhtStatus) -> Vec<&DhtPeer> {
    let before = status.predecessor.iter();
    let mut all: Vec<&DhtPeer> = Vec::new();
    for peer in before.chain([&status.own]).chain(&status.successors) {
        if !all.iter().any(|other| other.place == peer.place) {
            all.push(peer);
        }
    }
    all
}

/// Names in a row with arrows between them, and what stands below each.
#[derive(Default)]
struct Chain {
    names: String,
    places: String,
}

impl Chain {
    /// Adds one; false if there is no room.
    fn push(&mut self, name: &str, place: &str) -> bool {
        let width = name.width().max(place.width());
        let arrow = if self.names.is_empty() { "" } else { " ──► " };
        if self.names.width() + arrow.width() + width > PICTURE_COLUMNS {
            return false;
        }
        let pad = |text: &str| format!("{text}{}", " ".repeat(width - text.width()));
        self.names += &format!("{arrow}{}", pad(name));
        self.places += &format!("{}{}", " ".repeat(arrow.width()), pad(place));
        true
    }

    /// The lines: back to the first one if it is closed.
    fn close(self, closed: bool) -> Vec<String> {
        let places = console::style(&self.places).dim();
        if closed {
            let bar = "─".repeat(self.names.width() + 4);
            vec![
                format!("╭─► {} ─╮", self.names),
                format!("│   {places}  │"),
                format!("╰─{bar}╯"),
                String::new(),
            ]
        } else {
            vec![format!("… ─► {} ─► …", self.names), format!("     {places}"), String::new()]
        }
    }
}

/// The shortcuts, a line each.
pub(crate) fn fingers(fingers: &DhtFingers) -> Shown {
    let mut out = Shown::default();
    let network = label(&fingers.network.name);
    if fingers.directory == DirectoryKind::Ring {
        out.note(format!("{network} is a plain ring: nobody in it has fingers."));
        return out;
    }
    if fingers.fingers.is_empty() {
        out.note(match fingers.peers_counted {
            true => format!("You need no fingers in {network}: you know everybody."),
            false => {
                format!("You have no fingers in {network} yet: one is looked up every few seconds.")
            }
        });
        return out;
    }
    let headings = ["FINGER", "STARTS AT", "PEER", "STANDS AT", "LOOKED UP", "ROUND TRIP"];
    let mut table = Table::new(&headings, &[5]);
    for finger in &fingers.fingers {
        table.row(finger_row(finger));
    }
    out.table(&table);
    let count = counted(fingers.fingers.len() as u64, "finger");
    let about = if fingers.peers_counted { "" } else { "about " };
    let from = place(&fingers.own.place);
    out.note(format!("{count} from {from}, where you stand as one of {about}{}.", fingers.peers));
    out
}

fn finger_row(finger: &DhtFinger) -> Vec<String> {
    vec![
        reach(finger.index),
        place(&finger.start),
        who(&finger.to),
        place(&finger.to.place),
        age(finger.age_ms),
        finger.rtt_ms.map_or_else(|| "-".to_owned(), ms),
    ]
}

/// How far across the circle a finger reaches.
fn reach(index: u8) -> String {
    match PLACE_BITS.saturating_sub(index) {
        bits @ 0..=FRACTION_BITS => format!("+1/{}", 1_u32 << bits),
        bits => format!("+2^-{bits}"),
    }
}

fn age(ms: u64) -> String {
    match ms {
        0..1000 => "now".to_owned(),
        _ => format!("{} ago", spoken(Duration::from_millis(ms))),
    }
}

fn ms(ms: f64) -> String {
    if ms < 10.0 { format!("{ms:.2} ms") } else { format!("{ms:.0} ms") }
}

/// Who keeps what lies at a place, and the way there.
pub(crate) fn found(found: &DhtFound) -> Shown {
    let mut out = Shown::default();
    if !found.path.is_empty() {
        let mut table = Table::new(&["STEP", "ASKED", "STANDS AT", "ANSWERED IN"], &[0, 3]);
        for (position, hop) in found.path.iter().enumerate() {
            table.row(hop_row(position, hop));
        }
        out.table(&table);
        out.result("");
    }
    let mut rows = Table::new(&[], &[]);
    let mut row = |name: &str, value: String| rows.row(vec![name.to_owned(), value]);
    row(found.kind.name(), looked_for(found));
    if found.kind != DhtTarget::Place {
        row("lies at", shown(&found.place));
    }
    row("kept by", at(&found.owner));
    for (position, copy) in found.copies.iter().enumerate() {
        row(if position == 0 { "copies at" } else { "" }, at(copy));
    }
    row("way", way(found));
    out.rows(&rows);
    out
}

fn looked_for(found: &DhtFound) -> String {
    match found.kind {
        DhtTarget::Place => shown(&found.place),
        _ => shown(&found.what),
    }
}

fn hop_row(position: usize, hop: &DhtHop) -> Vec<String> {
    vec![
        (position + 1).to_string(),
        who(&hop.peer),
        place(&hop.peer.place),
        hop.took_ms.map_or_else(|| "not at all".to_owned(), ms),
    ]
}

fn way(found: &DhtFound) -> String {
    let mut text = match found.hops {
        0 if found.path.is_empty() => "known here".to_owned(),
        hops => format!("{}, {} asked", counted(hops.into(), "hop"), found.path.len()),
    };
    if found.timeouts > 0 {
        text += &format!(", {} silent", found.timeouts);
    }
    format!("{text}, {}", ms(found.took_ms))
}

/// The records that a node keeps: how many of each kind, then a page of them. `first` is how many
/// were skipped.
pub(crate) fn keys(keys: &DhtKeys, first: u32) -> Shown {
    let mut out = Shown::default();
    let network = label(&keys.network.name);
    if keys.count.all() == 0 {
        out.note(format!("You keep no records of {network}."));
        return out;
    }
    let mut table = Table::new(&["KIND", "OWN", "COPIES", "SIZE"], &[1, 2, 3]);
    let mut row = |kind: String, DhtCount { own, copies, bytes }: DhtCount| {
        table.row(vec![kind, own.to_string(), copies.to_string(), Bytes(bytes).to_string()]);
    };
    for kind in &keys.kinds {
        row(cell(&kind.kind), kind.count);
    }
    row("all".to_owned(), keys.count);
    out.table(&table);
    if keys.records.is_empty() {
        out.note("There are no more.");
        return out;
    }
    out.result("");
    let mut table =
        Table::new(&["PLACE", "KEPT AS", "RECORDS", "SIZE", "FOR", "KIND", "BY", "WHAT"], &[2, 3]);
    for record in &keys.records {
        table.row(vec![
            place(&record.place),
            if record.own { "own" } else { "copy" }.to_owned(),
            record.count.to_string(),
            Bytes(record.bytes).to_string(),
            ahead(record.expires_ms),
            cell(&record.kind),
            record.by.as_ref().map_or_else(|| "-".to_owned(), peer),
            cell(&record.what),
        ]);
    }
    out.table(&table);
    let last = u64::from(first) + keys.records.len() as u64;
    if keys.more || first > 0 {
        let more = if keys.more { "; --page and --limit show others" } else { "" };
        out.note(format!("Places {} to {last} of {}{more}.", first + 1, keys.groups));
    }
    out
}

/// That a circle was left.
pub(crate) fn left(left: &DhtLeft) -> String {
    let (network, records) = (label(&left.network.name), counted(left.handed, "record"));
    match &left.to {
        Some(to) => {
            format!("Off the circle of {network}: {records} are with {} and those behind.", who(to))
        }
        None => format!("Off the circle of {network}: nobody else was there."),
    }
}

fn who(peer: &DhtPeer) -> String {
    if peer.own { format!("{} (you)", nick(peer)) } else { super::peer(&peer.peer) }
}

fn at(peer: &DhtPeer) -> String {
    format!("{} at {}", who(peer), place(&peer.place))
}

fn nick(peer: &DhtPeer) -> String {
    peer.peer.nick.as_deref().map_or_else(|| peer.peer.id.short(), label)
}

/// Enough of a place to tell it apart.
fn place(place: &str) -> String {
    let start: String = place.chars().take(PLACE_DIGITS).collect();
    shown(&start)
}

#[cfg(test)]
mod tests;
