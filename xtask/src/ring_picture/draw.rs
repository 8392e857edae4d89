//! The picture itself, as SVG.

use std::f64::consts::TAU;
use std::fmt::Write;

use super::read::{Key, Node, Peer, Ring, Turn};

/// Width of the picture.
const WIDTH: f64 = 800.0;
/// Height of the picture.
const HEIGHT: f64 = 620.0;
/// Radius of the circle.
const RADIUS: f64 = 200.0;
/// Radius at which names stand.
const NAMES: f64 = 248.0;
/// Radius of a peer's dot.
const DOT: f64 = 7.0;
/// Names stand at least so far apart, as a part of the circle: a line of text.
const APART: f64 = 0.0125;
/// Rounds in which names make room for each other.
const ROUNDS: usize = 200;
/// Letters of a key that are written.
const LETTERS: usize = 24;
/// Bits of a place.
const BITS: u64 = 128;

/// What is drawn.
pub struct Picture<'a> {
    /// The circle.
    pub ring: &'a Ring,
    /// Whose fingers are drawn.
    pub chosen: &'a Node,
    /// How many keys are drawn at most.
    pub keys: usize,
}

/// A name beside the circle.
struct Name {
    /// What it belongs to.
    of: Turn,
    /// Where it stands: near that, but not on another name.
    at: Turn,
    text: String,
    class: &'static str,
}

impl Picture<'_> {
    /// The picture.
    pub fn svg(&self) -> String {
        let mut svg = head(&format!("The circle of {}", self.ring.title));
        let keys = self.chosen_keys();
        self.arcs(&mut svg);
        for key in &keys {
            let (x, y) = point(key.turn, RADIUS);
            put(&mut svg, format!(r#"<path class="key" d="M{x:.1} {y:.1}m-5 0l5-5 5 5-5 5z"/>"#));
        }
        self.fingers(&mut svg);
        for peer in self.ring.peers.values() {
            let (x, y) = point(peer.turn, RADIUS);
            let class = if *peer == self.chosen.own { "chosen" } else { "peer" };
            put(
                &mut svg,
                format!(r#"<circle class="{class}" cx="{x:.1}" cy="{y:.1}" r="{DOT}"/>"#),
            );
        }
        for name in self.names(&keys) {
            self.name(&mut svg, &name);
        }
        self.legend(&mut svg, !keys.is_empty());
        svg += "</svg>\n";
        svg
    }

    /// From each node to whom it names as the next.
    fn arcs(&self, svg: &mut String) {
        for node in &self.ring.nodes {
            let Some(next) = &node.successor else { continue };
            let gap = (DOT + 3.0) / RADIUS / TAU;
            let way = (next.turn - node.own.turn).rem_euclid(1.0);
            let way = if way == 0.0 { 1.0 } else { way };
            let (from, to) = (node.own.turn + gap, node.own.turn + way - gap);
            let ((x, y), (u, v)) = (point(from, RADIUS), point(to, RADIUS));
            let large = u8::from(way > 0.5);
            let path = format!("M{x:.1} {y:.1}A{RADIUS} {RADIUS} 0 {large} 1 {u:.1} {v:.1}");
            put(svg, format!(r#"<path class="next" marker-end="url(#next)" d="{path}"/>"#));
        }
    }

    /// The shortcuts of one node, bent towards the middle.
    fn fingers(&self, svg: &mut String) {
        let mut reached: Vec<&Peer> = Vec::new();
        let own = &self.chosen.own;
        for (index, peer) in self.chosen.fingers.iter().rev() {
            if peer == own || reached.contains(&peer) {
                continue;
            }
            reached.push(peer);
            let ((x, y), (u, v)) = (point(own.turn, RADIUS), point(peer.turn, RADIUS - DOT - 3.0));
            let bend = |a: f64, b: f64, middle: f64| (a + b) / 2.0 * 0.65 + middle * 0.35;
            let (cx, cy) = (bend(x, u, WIDTH / 2.0), bend(y, v, HEIGHT / 2.0));
            let path = format!("M{x:.1} {y:.1}Q{cx:.1} {cy:.1} {u:.1} {v:.1}");
            put(svg, format!(r#"<path class="finger" marker-end="url(#finger)" d="{path}"/>"#));
            let (tx, ty) = ((x + 2.0 * cx + u) / 4.0, (y + 2.0 * cy + v) / 4.0);
            let text = reach(*index);
            put(svg, format!(r#"<text class="reach" x="{tx:.1}" y="{ty:.1}">{text}</text>"#));
        }
    }

    /// Keys from all around the circle: words first, since people search for words.
    fn chosen_keys(&self) -> Vec<&Key> {
        let all: Vec<&Key> = self.ring.keys.values().collect();
        let words: Vec<&Key> = all.iter().copied().filter(|key| key.kind == "word").collect();
        let from = if words.is_empty() { all } else { words };
        let count = from.len().min(self.keys);
        (0..count).map(|n| from[n * from.len() / count]).collect()
    }

    fn names(&self, keys: &[&Key]) -> Vec<Name> {
        let peers = self.ring.peers.values();
        let peers = peers.map(|peer| Name {
            of: peer.turn,
            at: peer.turn,
            text: peer.nick.clone(),
            class: "nick",
        });
        let keys = keys.iter().map(|key| Name {
            of: key.turn,
            at: key.turn,
            text: format!("{} {}", key.kind, key.what).chars().take(LETTERS).collect(),
            class: "what",
        });
        let mut names: Vec<Name> = peers.chain(keys).collect();
        names.sort_by(|a, b| a.of.total_cmp(&b.of));
        make_room(&mut names);
        names
    }

    fn name(&self, svg: &mut String, name: &Name) {
        let ((x, y), (u, v)) = (point(name.of, RADIUS + DOT + 2.0), point(name.at, NAMES - 6.0));
        put(svg, format!(r#"<path class="lead" d="M{x:.1} {y:.1}L{u:.1} {v:.1}"/>"#));
        let (x, y) = point(name.at, NAMES);
        let anchor = match x - WIDTH / 2.0 {
            right if right > 20.0 => "start",
            left if left < -20.0 => "end",
            _ => "middle",
        };
        let (class, text, y) = (name.class, escaped(&name.text), y + 4.5);
        let at = format!(r#"text-anchor="{anchor}" x="{x:.1}" y="{y:.1}""#);
        put(svg, format!(r#"<text class="{class}" {at}>{text}</text>"#));
    }

    fn legend(&self, svg: &mut String, with_keys: bool) {
        let mut lines = vec!["places grow clockwise, from 0 at the top".to_owned()];
        lines.push("dark arrows: who names whom as the next".to_owned());
        if self.chosen.fingers.is_empty() {
            lines.push("nobody has fingers".to_owned());
        } else {
            lines.push(format!("blue arrows: the fingers of {}", self.chosen.own.nick));
        }
        if with_keys {
            lines.push("diamonds: keys, kept by the next peer clockwise".to_owned());
        }
        let top = HEIGHT - 14.0 * lines.len() as f64;
        for (line, text) in lines.iter().enumerate() {
            let (y, text) = (top + 14.0 * line as f64, escaped(text));
            put(svg, format!(r#"<text class="legend" x="12" y="{y:.1}">{text}</text>"#));
        }
    }
}

fn head(title: &str) -> String {
    let title = escaped(title);
    let arrow = |name: &str| {
        format!(
            concat!(
                r#"<marker id="{name}" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" "#,
                r#"markerHeight="7" orient="auto"><path class="{name}-head" d="M0 0L8 4 0 8z"/>"#,
                "</marker>"
            ),
            name = name
        )
    };
    format!(
        r#"<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" role="img">
<title>{title}</title>
<style>
text {{ font: 13px sans-serif; fill: #222 }}
.title {{ font-size: 16px; font-weight: bold }}
.nick {{ font-weight: bold }} .what {{ fill: #a04000; font-style: italic }}
.legend, .reach {{ font-size: 11px; fill: #555 }} .reach {{ fill: #1f5fa8; text-anchor: middle }}
.next {{ fill: none; stroke: #444; stroke-width: 1.6 }} .next-head {{ fill: #444 }}
.finger {{ fill: none; stroke: #1f5fa8; stroke-width: 1.4 }} .finger-head {{ fill: #1f5fa8 }}
.lead {{ stroke: #bbb; stroke-width: 1 }} .key {{ fill: #e08030 }}
.peer {{ fill: #fff; stroke: #222; stroke-width: 2 }} .chosen {{ fill: #1f5fa8; stroke: #1f5fa8 }}
</style>
<defs>{}{}</defs>
<rect width="100%" height="100%" fill="white"/>
<text class="title" x="12" y="24">{title}</text>
"#,
        arrow("next"),
        arrow("finger"),
    )
}

fn put(svg: &mut String, element: String) {
    writeln!(svg, "{element}").expect("a string takes everything");
}

/// Where a place lies in the picture: clockwise from the top.
fn point(turn: Turn, radius: f64) -> (f64, f64) {
    let (sin, cos) = (turn * TAU).sin_cos();
    (WIDTH / 2.0 + radius * sin, HEIGHT / 2.0 - radius * cos)
}

/// How far a finger reaches.
fn reach(index: u64) -> String {
    match BITS.saturating_sub(index) {
        bits @ 0..=13 => format!("+1/{}", 1_u64 << bits),
        bits => format!("+2^-{bits}"),
    }
}

/// Moves names that stand on each other apart, in small steps; they keep their order.
fn make_room(names: &mut [Name]) {
    for _ in 0..ROUNDS {
        let mut moved = false;
        for index in 0..names.len() {
            let next = (index + 1) % names.len();
            if next == index {
                return;
            }
            // Beside the circle lines stand below each other, above and below it side by side.
            let flat = (names[index].at * TAU).cos().abs();
            let wanted = APART * (1.0 + 3.0 * flat.powi(4));
            let around = if next == 0 { 1.0 } else { 0.0 };
            let gap = names[next].at + around - names[index].at;
            if gap < wanted {
                names[index].at -= (wanted - gap) / 2.0;
                names[next].at += (wanted - gap) / 2.0;
                moved = true;
            }
        }
        if !moved {
            return;
        }
    }
}

/// Text as it may stand in the picture; nicknames are others' words.
fn escaped(text: &str) -> String {
    let mut safe = String::new();
    for c in text.chars().filter(|c| !c.is_control()) {
        match c {
            '&' => safe += "&amp;",
            '<' => safe += "&lt;",
            '>' => safe += "&gt;",
            _ => safe.push(c),
        }
    }
    safe
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ring_picture::read::tests::LINES;

    #[test]
    fn the_picture_has_every_peer_key_and_finger_and_nobodys_markup() {
        let mut ring = Ring::default();
        ring.read(LINES).unwrap();
        let svg = Picture { ring: &ring, chosen: &ring.nodes[0], keys: 3 }.svg();
        for part in ["lab &amp; co", ">ann<", ">ccccdddd<", "word thermo", "+1/2", r#"class="key""#]
        {
            assert!(svg.contains(part), "{part}: {svg}");
        }
        assert!(escaped("<b>\u{1b}").eq("&lt;b&gt;"));
    }

    #[test]
    fn names_make_room_for_each_other() {
        let name = |of| Name { of, at: of, text: String::new(), class: "nick" };
        let mut names = vec![name(0.250), name(0.251), name(0.252)];
        make_room(&mut names);
        let far = |a: usize, b: usize| names[b].at - names[a].at > APART * 0.95;
        assert!(far(0, 1) && far(1, 2));
    }
}
