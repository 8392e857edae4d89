//! What nodes tell of their circle, as far as the picture needs it.

use std::collections::BTreeMap;

use anyhow::{Context, Result};
use serde_json::Value;

/// A place on the circle, from 0 to 1.
pub type Turn = f64;

/// Everything that was read.
#[derive(Default)]
pub struct Ring {
    /// What the network is called, and the kind of its directory.
    pub title: String,
    /// The nodes whose status was read.
    pub nodes: Vec<Node>,
    /// Everybody who was named, by place.
    pub peers: BTreeMap<String, Peer>,
    /// Keys in the nodes' own parts, by place.
    pub keys: BTreeMap<String, Key>,
}

/// One node and what it said of itself.
pub struct Node {
    /// The node.
    pub own: Peer,
    /// Who stands behind it.
    pub successor: Option<Peer>,
    /// Its shortcuts: how far they reach as a power of two, and to whom.
    pub fingers: Vec<(u64, Peer)>,
}

/// Somebody on the circle.
#[derive(Clone, Debug, PartialEq)]
pub struct Peer {
    /// Where.
    pub turn: Turn,
    /// Its nickname, or the beginning of its id.
    pub nick: String,
}

/// Something that is kept.
#[derive(Clone, Debug, PartialEq)]
pub struct Key {
    /// Where.
    pub turn: Turn,
    /// Its kind, in a word.
    pub kind: String,
    /// What it is about.
    pub what: String,
}

impl Ring {
    /// Reads lines of JSON; those that are no answer about a circle are passed over.
    pub fn read(&mut self, text: &str) -> Result<()> {
        for line in text.lines().filter(|line| !line.trim().is_empty()) {
            let value: Value = serde_json::from_str(line).context("this is no line of JSON")?;
            let reply = value.get("reply").unwrap_or(&value);
            match reply["type"].as_str() {
                Some("dht-status") => self.status(reply)?,
                Some("dht-keys") => self.keys(reply)?,
                _ => {}
            }
        }
        Ok(())
    }

    fn status(&mut self, reply: &Value) -> Result<()> {
        let words = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        self.title =
            format!("{} ({})", words(&reply["network"]["name"]), words(&reply["directory"]));
        let own = self.peer(&reply["own"])?;
        let behind = reply["successors"].as_array().map(Vec::as_slice).unwrap_or_default();
        let behind = behind.iter().map(|peer| self.peer(peer)).collect::<Result<Vec<_>>>()?;
        let told = reply["fingers"].as_array().map(Vec::as_slice).unwrap_or_default();
        let mut fingers = Vec::new();
        for finger in told {
            let index = finger["index"].as_u64().context("a finger has no index")?;
            fingers.push((index, self.peer(&finger["to"])?));
        }
        self.nodes.push(Node { own, successor: behind.into_iter().next(), fingers });
        Ok(())
    }

    fn keys(&mut self, reply: &Value) -> Result<()> {
        let records = reply["records"].as_array().map(Vec::as_slice).unwrap_or_default();
        for record in records.iter().filter(|record| record["own"] == true) {
            let place = record["place"].as_str().context("a record has no place")?;
            let words = |name: &str| record[name].as_str().unwrap_or_default().to_owned();
            let key = Key { turn: turn(place)?, kind: words("kind"), what: words("what") };
            self.keys.insert(place.to_owned(), key);
        }
        Ok(())
    }

    fn peer(&mut self, value: &Value) -> Result<Peer> {
        let place = value["place"].as_str().context("a peer has no place")?;
        let id = value["id"].as_str().unwrap_or_default();
        let short: String = id.chars().take(8).collect();
        let nick = value["nick"].as_str().map_or(short, str::to_owned);
        let peer = Peer { turn: turn(place)?, nick };
        self.peers.insert(place.to_owned(), peer.clone());
        Ok(peer)
    }
}

fn turn(place: &str) -> Result<Turn> {
    let number = u128::from_str_radix(place, 16);
    let number = number.with_context(|| format!("{place:?} is no place"))?;
    Ok(number as f64 / 2_f64.powi(128))
}

#[cfg(test)]
pub mod tests {
    use super::*;

    /// Two nodes and a key, as they tell themselves.
    pub const LINES: &str = include_str!("sample.jsonl");

    #[test]
    fn peers_keys_and_fingers_are_read_and_copies_are_not() {
        let mut ring = Ring::default();
        ring.read(LINES).unwrap();
        assert_eq!(ring.title, "lab & co (chord)");
        let [node] = ring.nodes.as_slice() else { panic!("one node") };
        assert_eq!(node.own, Peer { turn: 0.125, nick: "ann".into() });
        assert_eq!(node.successor.as_ref().unwrap().nick, "ccccdddd");
        assert_eq!(node.fingers[0].0, 127);
        assert_eq!(ring.peers.len(), 2);
        assert_eq!(ring.keys.values().map(|key| &*key.what).collect::<Vec<_>>(), ["thermo"]);
    }

    #[test]
    fn what_is_no_place_is_refused() {
        assert!(turn("xyz").is_err());
        assert!(Ring::default().read("no json").is_err());
    }
}
