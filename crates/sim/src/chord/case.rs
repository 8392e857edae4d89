//! One measurement: so many peers, so many lookups, so much trouble of one kind.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use potluck_base::Time;
use potluck_proto::directory::chord::{Chord, Command, Found, OnRing, Params, RingId, Setup};
use potluck_proto::{Dice, Input};
use serde::Serialize;

use super::gauge::resident_bytes;
use super::ideal::{Ideal, Wanted};
use super::liar::Liars;
use super::player::Player;
use super::sky::{Peer, Sky, Told};
use super::spot::{Spot, first_spot};
use super::tally::Tally;
use super::weather::{Delay, Quantiles, apart};
use crate::checkers::chord_members::Members;

/// How peers look things up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Mode {
    /// Without fingers.
    Ring,
    /// As in the papers: one peer asked at a time.
    Chord,
    /// Three asked at a time, with caches, fingers chosen by distance.
    Fast,
}

/// What is measured.
#[derive(Clone, Debug)]
pub struct Case {
    /// Peers at the beginning.
    pub nodes: u32,
    /// Lookups that count.
    pub lookups: u64,
    /// What decides everything else.
    pub seed: u64,
    /// Peers that join per second; as many leave.
    pub churn: f64,
    /// Whether those who leave just die.
    pub crashes: bool,
    /// The share that dies at once in the beginning, after which nobody mends anything.
    pub fail: f64,
    /// Entries of the successor list; else [`Case::list`] decides.
    pub successors: Option<usize>,
    /// How peers look things up.
    pub mode: Mode,
    /// Whether peers stand in a cube; else delays are the papers'.
    pub cube: bool,
    /// Lookups that each peer makes before those that count.
    pub warm: u32,
    /// The share of peers that lie about who keeps a key.
    pub liars: f64,
    /// Ways without a common peer that each lookup takes.
    pub ways: usize,
    /// Whether the circle is maintained though nobody comes or goes, for so long.
    pub idle: Option<Duration>,
}

/// What came of it. Peers on the way are counted as in the papers: from the first that was asked to
/// the one before the owner, one at least.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Report {
    /// Peers at the beginning.
    pub nodes: u32,
    /// Lookups that count.
    pub lookups: u64,
    /// What reproduces it.
    pub seed: u64,
    /// How peers look things up.
    pub mode: Option<Mode>,
    /// Entries of the successor list.
    pub successors: usize,
    /// Peers that join per second, and leave.
    pub churn: f64,
    /// The share that died at once.
    pub fail: f64,
    /// Peers on the way to the owner.
    pub hops_mean: f64,
    /// One of a hundred lookups takes at most so many.
    pub hops_p1: u64,
    /// Half of them.
    pub hops_p50: u64,
    /// All but one of a hundred.
    pub hops_p99: u64,
    /// Peers on the way that did not answer.
    pub timeouts_mean: f64,
    /// All but one lookup of a hundred have at most so many.
    pub timeouts_p99: u64,
    /// Owners that were named and did not answer.
    pub dead_owners_mean: f64,
    /// Lookups without an answer, or with one that was wrong all the time.
    pub failed: u64,
    /// Those of them that had none.
    pub lost: u64,
    /// Messages for one lookup, there and back.
    pub messages_per_lookup: f64,
    /// Milliseconds from question to answer.
    pub latency_p50_ms: u64,
    /// The same for all but one of a hundred.
    pub latency_p99_ms: u64,
    /// A lookup's time beside a round trip to the owner: the median, with delays of a cube.
    pub stretch_p50: f64,
    /// Messages per peer and second that no lookup caused.
    pub maintenance_messages: f64,
    /// Bytes of them.
    pub maintenance_bytes: f64,
    /// Peers that came and went.
    pub joins: u64,
    /// Those that went.
    pub leaves: u64,
    /// Virtual seconds.
    pub simulated_s: f64,
    /// Inputs that machines took.
    pub events: u64,
    /// The same per second of real time.
    pub events_per_s: f64,
    /// Memory of a peer after the circle was built; 0 where the system does not tell.
    pub bytes_per_node: u64,
    /// Memory of a peer in the end, with all that is under way.
    pub bytes_per_node_end: u64,
    /// One number for all that happened.
    pub trace: String,
    /// How often each number of peers on the way came.
    #[serde(skip)]
    pub hops: Tally,
    /// How often each number of timeouts came.
    #[serde(skip)]
    pub timeouts: Tally,
}

impl Case {
    /// Lookups on a circle that is as it should be.
    pub fn calm(nodes: u32, lookups: u64, seed: u64) -> Self {
        Self {
            nodes,
            lookups,
            seed,
            churn: 0.0,
            crashes: false,
            fail: 0.0,
            successors: None,
            mode: Mode::Chord,
            cube: false,
            warm: 0,
            liars: 0.0,
            ways: 1,
            idle: None,
        }
    }

    /// Entries of the successor list: those of live networks if nothing happens, else as in the
    /// papers twice the logarithm of the number of peers.
    pub fn list(&self) -> usize {
        let troubled = self.churn > 0.0 || self.fail > 0.0;
        let logarithm = f64::from(self.nodes.max(2)).log2();
        let papers = (2.0 * logarithm).round() as usize;
        let usual = if troubled { papers } else { Params::live().successors };
        self.successors.unwrap_or(usual).max(1)
    }

    /// How the peers take part.
    pub fn params(&self) -> Params {
        let mut paper = Params { ways: self.ways, ..Params::paper(self.list()) };
        if self.churn == 0.0 && self.idle.is_none() {
            // Nobody mends anything, so nobody is to be taken for dead because a message was slow.
            paper.call_time = PATIENCE;
        }
        match self.mode {
            Mode::Chord => paper,
            Mode::Ring => Params { fingers: false, ..paper },
            Mode::Fast => {
                let live = Params::live();
                Params {
                    parallel: live.parallel,
                    cache: live.cache,
                    cache_time: live.cache_time,
                    choices: live.choices,
                    ..paper
                }
            }
        }
    }
}

/// Runs it.
pub fn run(case: &Case) -> Report {
    let mut run = Run::new(case);
    run.build();
    let began = Instant::now();
    run.play();
    run.report(began.elapsed())
}

struct Run<'a> {
    case: &'a Case,
    params: Params,
    player: Player<Peer, Sky>,
    members: Members,
    /// Who is on the circle and does not leave, in no order, and where each stands in this list.
    inside: Vec<Spot>,
    index: BTreeMap<Spot, usize>,
    dice: Dice,
    /// Lookups under way: of what, since when, whether it counts, and who asked.
    open: BTreeMap<u64, (RingId, Time, bool, Spot)>,
    asked: u64,
    counting: bool,
    hops: Tally,
    timeouts: Tally,
    dead_owners: Tally,
    took: Tally,
    stretch: Tally,
    said: u64,
    /// Messages of all lookups, those that do not count too.
    lookup_messages: u64,
    report: Report,
}

/// How many lookups a peer makes per second where the rate does not matter.
const CALM_RATE: f64 = 0.5;
/// Lookups per second under churn, of a thousand peers together.
const CHURN_RATE: f64 = 1.0;
/// Time for an answer where nobody mends anything: hardly any takes so long.
const PATIENCE: Duration = Duration::from_secs(2);
/// Time that the last lookups have.
const LAST: Duration = Duration::from_secs(60);
/// Rounds of stabilization before lookups count, under churn.
const WARM_ROUNDS: u32 = 10;
/// Peers beyond which one round must do: the circle changes slowly, the simulation is slow.
const MANY: u32 = 20_000;

impl<'a> Run<'a> {
    fn new(case: &'a Case) -> Self {
        let delay = if case.cube { Delay::cube() } else { Delay::paper() };
        let sky = Sky::new(delay, case.seed ^ 1);
        Self {
            case,
            params: case.params(),
            player: Player::new(first_spot(case.seed), sky),
            members: Members::default(),
            inside: Vec::new(),
            index: BTreeMap::new(),
            dice: Dice::new(case.seed ^ 2),
            open: BTreeMap::new(),
            asked: 0,
            counting: false,
            hops: Tally::default(),
            timeouts: Tally::default(),
            dead_owners: Tally::default(),
            took: Tally::default(),
            stretch: Tally::default(),
            said: 0,
            lookup_messages: 0,
            report: Report::default(),
        }
    }

    /// Puts everybody in place.
    fn build(&mut self) {
        let nodes = self.case.nodes;
        let base = first_spot(self.case.seed);
        let ideal = Ideal::new((0..nodes).map(|number| Spot(base.wrapping_add(number))));
        for number in 0..nodes {
            let spot = Spot(base.wrapping_add(number));
            self.members.coming(spot, Time::ZERO);
            self.members.came(spot, Time::ZERO);
            self.enter(spot);
        }
        let before = resident_bytes();
        self.player.reserve(nodes as usize);
        for _ in 0..nodes {
            self.player.add(None);
        }
        let cube = self.case.cube;
        let apart = |one: Spot, other: Spot| {
            let edge = Duration::from_secs(1);
            if cube { apart(one, other, edge).as_micros() as u64 } else { 0 }
        };
        let wanted = Wanted {
            successors: self.params.successors,
            fingers: self.params.fingers,
            choices: if cube { self.params.choices } else { 1 },
            apart: &apart,
        };
        let (params, player) = (&self.params, &mut self.player);
        ideal.tables(&wanted, |tables| {
            let setup = setup(tables.own, params, Vec::new());
            let fingers = &tables.fingers;
            let machine = Chord::in_place(setup, tables.predecessor, &tables.successors, fingers);
            player.revive(tables.own, machine);
        });
        if self.case.liars > 0.0 {
            let share = (self.case.liars * 1000.0).round() as u64;
            self.player.beside.liars = Some(Box::new(Liars::new(ideal, share)));
        }
        let grown = resident_bytes().zip(before).map(|(now, before)| now.saturating_sub(before));
        self.report.bytes_per_node = grown.unwrap_or(0) / u64::from(nodes.max(1));
    }

    fn play(&mut self) {
        if self.case.fail > 0.0 {
            self.kill_share();
        }
        let maintained = self.case.churn > 0.0 || self.case.idle.is_some();
        if maintained {
            for spot in self.inside.clone() {
                self.player.hand(spot, Input::Command(Command::Start));
            }
        }
        let churned = CHURN_RATE * (f64::from(self.case.nodes) / 1000.0).max(1.0);
        if self.case.churn > 0.0 {
            let round = (self.params.stabilize.0 + self.params.stabilize.1) / 2;
            let rounds = if self.case.nodes > MANY { 1 } else { WARM_ROUNDS };
            self.play_for(round * rounds, churned);
        }
        let calm = CALM_RATE * self.inside.len() as f64;
        if self.case.warm > 0 {
            let each = Duration::from_secs_f64(f64::from(self.case.warm) / CALM_RATE);
            self.play_for(each, calm);
        }
        let (begun, before) = (self.player.now(), self.player.beside.traffic);
        let lookups_before = self.lookup_messages;
        self.counting = true;
        let rate = if self.case.churn > 0.0 { churned } else { calm };
        // A little longer, so that chance does not make them fewer.
        let time = Duration::from_secs_f64(self.case.lookups as f64 * 1.05 / rate);
        match self.case.idle {
            Some(idle) if self.case.lookups == 0 => self.play_for(idle, 0.0),
            _ => self.play_for(time.max(self.case.idle.unwrap_or_default()), rate),
        }
        if maintained {
            self.count_maintenance(begun, before, lookups_before);
        }
        let end = self.player.now() + LAST;
        while !self.open.is_empty() && self.player.now() < end {
            self.play_for(Duration::from_secs(1), 0.0);
        }
        if !maintained {
            // Everything that was said was said for lookups.
            self.said = self.player.beside.traffic.0 - before.0;
        }
        for (_, _, counts, spot) in std::mem::take(&mut self.open).into_values() {
            // Who has gone does not want to know any more.
            let wanted = self.player.machine(spot).is_some();
            self.report.lost += u64::from(counts && wanted);
            self.report.failed += u64::from(counts && wanted);
            self.report.lookups -= u64::from(counts && !wanted);
        }
    }

    fn count_maintenance(&mut self, begun: Time, before: (u64, u64), lookups_before: u64) {
        let after = self.player.beside.traffic;
        let lasted = self.player.now().since(begun).as_secs_f64() * self.inside.len() as f64;
        let (messages, bytes) = (after.0 - before.0, after.1 - before.1);
        let rest = messages.saturating_sub(self.lookup_messages - lookups_before);
        self.report.maintenance_messages = rest as f64 / lasted.max(1.0);
        // Bytes are told apart by messages; without lookups they are exact.
        let share = rest as f64 / messages.max(1) as f64;
        self.report.maintenance_bytes = bytes as f64 * share / lasted.max(1.0);
    }

    fn kill_share(&mut self) {
        let dead = (self.inside.len() as f64 * self.case.fail).round() as usize;
        for _ in 0..dead.min(self.inside.len().saturating_sub(1)) {
            let spot = self.anybody();
            self.take_out(spot);
            self.player.kill(spot);
            self.members.gone(spot, Time::ZERO);
        }
    }

    /// Lets time pass, with so many lookups per second and the case's churn.
    fn play_for(&mut self, time: Duration, rate: f64) {
        let end = self.player.now() + time;
        let gap = |rate: f64| {
            let mean = Duration::from_secs_f64(if rate > 0.0 { 1.0 / rate } else { 0.0 });
            Quantiles::exponential(mean)
        };
        let (lookups, churn) = (gap(rate), gap(self.case.churn));
        let never = Time(u64::MAX);
        let first = |rate: f64, gap: &Quantiles, now: Time, dice: &mut Dice| {
            if rate > 0.0 { now + gap.draw(dice) } else { never }
        };
        let now = self.player.now();
        let mut next = [
            first(rate, &lookups, now, &mut self.dice),
            first(self.case.churn, &churn, now, &mut self.dice),
            first(self.case.churn, &churn, now, &mut self.dice),
        ];
        loop {
            let (what, at) = (0..3)
                .map(|what| (what, next[what]))
                .min_by_key(|(_, at)| *at)
                .expect("there are three");
            if at > end {
                break;
            }
            self.player.run_until(at);
            self.hear();
            match what {
                0 => self.look_up(),
                1 => self.join(),
                _ => self.leave(),
            }
            let gap = if what == 0 { &lookups } else { &churn };
            next[what] = at + gap.draw(&mut self.dice);
        }
        self.player.run_until(end);
        self.hear();
    }

    fn look_up(&mut self) {
        if self.counting && self.report.lookups >= self.case.lookups {
            return;
        }
        let mut spot = self.anybody();
        // Only the honest want to know.
        while self.player.beside.liars.as_ref().is_some_and(|liars| liars.has(spot)) {
            spot = self.anybody();
        }
        let key =
            RingId((u128::from(self.dice.next_u64()) << 64) | u128::from(self.dice.next_u64()));
        self.asked += 1;
        self.report.lookups += u64::from(self.counting);
        self.open.insert(self.asked, (key, self.player.now(), self.counting, spot));
        self.player.hand(spot, Input::Command(Command::Lookup { id: self.asked, key }));
    }

    fn join(&mut self) {
        let contact = self.anybody();
        let number = self.player.count();
        let spot = self.player.spot(number);
        let machine = Chord::new(setup(spot, &self.params, vec![contact]));
        self.player.add(Some(machine));
        self.members.coming(spot, self.player.now());
        self.report.joins += 1;
        self.player.hand(spot, Input::Command(Command::Start));
    }

    fn leave(&mut self) {
        if self.inside.len() < 2 {
            return;
        }
        let (spot, now) = (self.anybody(), self.player.now());
        self.take_out(spot);
        self.report.leaves += 1;
        if self.case.crashes {
            self.player.kill(spot);
            self.members.gone(spot, now);
        } else {
            self.members.leaving(spot, now);
            self.player.hand(spot, Input::Command(Command::Leave));
        }
    }

    /// Takes note of what was told since the last time.
    fn hear(&mut self) {
        for (at, spot, told) in std::mem::take(&mut self.player.beside.told) {
            match told {
                Told::Joined => {
                    self.members.came(spot, at);
                    if !self.index.contains_key(&spot) {
                        self.enter(spot);
                    }
                }
                Told::Left => {
                    self.members.gone(spot, at);
                    self.player.kill(spot);
                }
                Told::Found(id, found) => {
                    if let Some(asked) = self.open.remove(&id) {
                        self.found(at, spot, asked, &found);
                    }
                }
                Told::Lost(id, timeouts) => {
                    if let Some((_, _, true, _)) = self.open.remove(&id) {
                        self.timeouts.add(u64::from(timeouts));
                        self.report.lost += 1;
                        self.report.failed += 1;
                    }
                }
            }
        }
    }

    fn found(
        &mut self,
        now: Time,
        asker: Spot,
        (key, since, counts, _): (RingId, Time, bool, Spot),
        found: &Found<Spot>,
    ) {
        let answered = found.path.iter().filter(|hop| hop.took.is_some()).count();
        let messages = (found.path.len() + answered) as u64;
        self.lookup_messages += messages;
        if !counts {
            return;
        }
        self.said += messages;
        self.hops.add(u64::from(found.hops.max(1)));
        self.timeouts.add(u64::from(found.timeouts));
        self.dead_owners.add(u64::from(found.dead_owners));
        self.took.add(found.took.as_millis() as u64);
        let direct = apart(asker, found.owner, Duration::from_millis(100)) * 2;
        if self.case.cube && !direct.is_zero() {
            self.stretch.add((found.took.as_secs_f64() / direct.as_secs_f64() * 10.0) as u64);
        }
        let right = self.members.was_owner(key, found.owner, since, now);
        self.report.failed += u64::from(!right);
    }

    fn anybody(&mut self) -> Spot {
        self.inside[self.dice.below(self.inside.len() as u64) as usize]
    }

    fn enter(&mut self, spot: Spot) {
        self.index.insert(spot, self.inside.len());
        self.inside.push(spot);
    }

    fn take_out(&mut self, spot: Spot) {
        if let Some(at) = self.index.remove(&spot) {
            self.inside.swap_remove(at);
            if let Some(moved) = self.inside.get(at) {
                self.index.insert(*moved, at);
            }
        }
    }

    fn report(self, took: Duration) -> Report {
        let (case, events) = (self.case, self.player.events());
        let counted = self.hops.count().max(1) as f64;
        Report {
            nodes: case.nodes,
            seed: case.seed,
            mode: Some(case.mode),
            successors: self.params.successors,
            churn: case.churn,
            fail: case.fail,
            hops_mean: self.hops.mean(),
            hops_p1: self.hops.percentile(1.0),
            hops_p50: self.hops.percentile(50.0),
            hops_p99: self.hops.percentile(99.0),
            timeouts_mean: self.timeouts.mean(),
            timeouts_p99: self.timeouts.percentile(99.0),
            dead_owners_mean: self.dead_owners.mean(),
            messages_per_lookup: self.said as f64 / counted,
            latency_p50_ms: self.took.percentile(50.0),
            latency_p99_ms: self.took.percentile(99.0),
            stretch_p50: self.stretch.percentile(50.0) as f64 / 10.0,
            simulated_s: self.player.now().since(Time::ZERO).as_secs_f64(),
            events,
            events_per_s: events as f64 / took.as_secs_f64().max(1e-9),
            trace: format!("{:016x}", self.player.trace()),
            hops: self.hops,
            timeouts: self.timeouts,
            ..self.report
        }
    }
}

fn setup(own: Spot, params: &Params, known: Vec<Spot>) -> Setup<Spot, super::note::Note> {
    let place = own.ring_id().0;
    Setup {
        own,
        params: params.clone(),
        known,
        records: Vec::new(),
        rules: (),
        epoch_ms: 0,
        seed: (place >> 64) as u64 ^ place as u64,
    }
}
