//! One run of a troubled world: growing, trouble, quiet, and what must be true then.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use potluck_base::Time;
use potluck_proto::directory::chord::{Chord, Command, Event, Reject, RingId, Setup, Slot};
use potluck_proto::{Dice, Input};
use serde::Serialize;

use super::super::note::Note;
use super::super::player::Player;
use super::super::sky::Peer;
use super::super::spot::{Spot, child_key, first_spot, key};
use super::air::Air;
use super::plan::{Entry, Fault, Kind, Plan};
use super::quiet::Expected;
use crate::checkers::chord_records::{Name, Records};
use crate::checkers::chord_ring::{View, Views};

/// Unix time at which worlds begin, in milliseconds.
pub(super) const EPOCH_MS: u64 = 1_000_000_000_000;
/// Clocks are wrong by up to so many milliseconds, either way.
pub(super) const SKEW_MS: u64 = 4_000;
/// Pause between two looks at everything.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// Faults after which a run need not go on.
const ENOUGH: usize = 20;

/// How a run went.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Report {
    /// What reproduces it.
    pub seed: u64,
    /// One number for all that happened.
    pub trace: String,
    /// What was expected of it.
    pub kind: String,
    /// Peers that ever were.
    pub peers: u32,
    /// Those on the circle in the end.
    pub living: usize,
    /// Inputs that machines took.
    pub steps: u64,
    /// Kinds of events that machines told, and of faults that befell them.
    pub events: BTreeSet<String>,
    /// Records that were acknowledged and counted in the end.
    pub records: usize,
    /// Records that too many crashes at once were allowed to lose.
    pub excused: usize,
    /// Circles that knew nothing of each other and had to be told.
    pub bridged: usize,
    /// Virtual seconds of quiet after which everything was as it should be.
    pub whole_after_s: f64,
    /// Lookups in quiet, all of which were right.
    pub lookups: u64,
    /// What was wrong; nothing, if all is well.
    pub faults: Vec<String>,
}

/// Runs a plan and judges it.
pub fn run(plan: &Plan) -> Report {
    let mut run = Run::new(plan);
    run.trouble();
    if run.report.faults.is_empty() {
        run.quiet();
    }
    run.finish()
}

/// A run that is under way.
pub(super) struct Run<'a> {
    pub(super) plan: &'a Plan,
    pub(super) player: Player<Peer, Air>,
    pub(super) views: Views,
    pub(super) records: Records,
    pub(super) report: Report,
    pub(super) dice: Dice,
    /// Records on their way, by the number of the command.
    pub(super) puts: BTreeMap<u64, BTreeMap<Name, Note>>,
    /// Lookups that are judged: of what.
    pub(super) lookups: BTreeMap<u64, RingId>,
    /// Questions that are judged: about what, and what is expected.
    pub(super) asks: BTreeMap<u64, (RingId, Expected)>,
    pub(super) serial: u64,
    pub(super) is_quiet: bool,
    /// Whether there were once as many principals as are needed.
    grown: bool,
    /// Since when each is a member.
    since: BTreeMap<Spot, Time>,
    leavers: BTreeSet<Spot>,
    looked: Time,
}

impl<'a> Run<'a> {
    fn new(plan: &'a Plan) -> Self {
        let mut air = Air::new(plan.seed ^ 1, plan.delay);
        (air.loss, air.doubles, air.refuses) = (plan.loss, plan.doubles, plan.refuses);
        let mut player = Player::new(first_spot(plan.seed), air);
        for _ in &plan.peers {
            player.add(None);
        }
        Self {
            plan,
            player,
            views: Views::default(),
            records: Records::default(),
            report: Report::default(),
            dice: Dice::new(plan.seed ^ 2),
            puts: BTreeMap::new(),
            lookups: BTreeMap::new(),
            asks: BTreeMap::new(),
            serial: 0,
            is_quiet: false,
            grown: false,
            since: BTreeMap::new(),
            leavers: BTreeSet::new(),
            looked: Time::ZERO,
        }
    }

    fn trouble(&mut self) {
        let plan = self.plan;
        let mut steps: Vec<(Time, Option<&Fault>, u32)> = Vec::new();
        for (peer, (at, _)) in (0..).zip(&plan.peers) {
            steps.push((*at, None, peer));
        }
        steps.extend(plan.faults.iter().map(|(at, fault)| (*at, Some(fault), 0)));
        steps.sort_by_key(|(at, ..)| *at);
        for (at, fault, peer) in steps {
            self.play_until(at);
            if self.report.faults.len() >= ENOUGH {
                return;
            }
            match fault {
                Some(fault) => self.go_wrong(fault),
                None => self.start(peer),
            }
        }
        self.play_until(plan.quiet);
    }

    pub(super) fn play_for(&mut self, time: Duration) {
        self.play_until(self.player.now() + time);
    }

    fn play_until(&mut self, end: Time) {
        while self.player.now() < end && self.report.faults.len() < ENOUGH {
            let until = end.min(self.looked + LOOK_EVERY);
            while let Some(spot) = self.player.step(until) {
                self.after(spot);
            }
            if self.player.now() >= self.looked + LOOK_EVERY {
                self.looked = self.player.now();
                self.look();
            }
        }
    }

    /// Something has happened to a peer: takes note, and judges what must hold at every moment.
    fn after(&mut self, spot: Spot) {
        let before = self.views.0.get(&spot);
        let now = self.player.machine(spot).filter(|machine| {
            machine.is_joined() || self.views.0.contains_key(&spot) && self.comes(spot)
        });
        let same = match (before, now) {
            (None, None) => true,
            (Some(view), Some(machine)) => {
                view.predecessor == machine.predecessor() && view.successors == machine.successors()
            }
            _ => false,
        };
        if !same {
            match now.map(view) {
                Some(view) => {
                    let named: Vec<Spot> =
                        view.predecessor.iter().chain(&view.successors).copied().collect();
                    self.admit(spot, view);
                    self.admit_named(&named);
                }
                None => self.forget(spot),
            }
            self.judge_ring();
        }
        for (_, spot, event) in std::mem::take(&mut self.player.beside.told) {
            self.told(spot, event);
        }
    }

    fn judge_ring(&mut self) {
        let needed = self.needed();
        let faults = match self.plan.kind {
            Kind::Orderly if !self.is_quiet => self.views.ring_faults(needed),
            _ => self.views.list_faults(),
        };
        self.grown |= self.views.principals().len() > self.plan.params.successors;
        self.wrong(faults);
    }

    /// Principals that there must be. Who came just now is not known to everybody yet.
    fn needed(&self) -> usize {
        let now = self.player.now();
        let needed = self.plan.params.successors + 1;
        // News goes around by one list entry in each round.
        let known = self.plan.params.stabilize.1 * needed as u32;
        let settled = self.since.values().filter(|since| now.since(**since) > known).count();
        if self.grown { needed.min(settled) } else { 1 }
    }

    fn admit(&mut self, spot: Spot, view: View) {
        self.since.entry(spot).or_insert(self.player.now());
        self.views.0.insert(spot, view);
    }

    /// Whoever comes is a member as soon as one that is has taken it into its tables.
    fn admit_named(&mut self, named: &[Spot]) {
        for spot in named {
            if !self.views.0.contains_key(spot)
                && self.comes(*spot)
                && let Some(machine) = self.player.machine(*spot)
            {
                self.admit(*spot, view(machine));
            }
        }
    }

    /// Whether a peer is about to come in, and has its list. Who leaves is no member any more.
    fn comes(&self, spot: Spot) -> bool {
        let has_list = |machine: &Peer| !machine.is_joined() && !machine.successors().is_empty();
        !self.leavers.contains(&spot) && self.player.machine(spot).is_some_and(has_list)
    }

    fn forget(&mut self, spot: Spot) {
        self.views.0.remove(&spot);
        self.since.remove(&spot);
    }

    pub(super) fn wrong(&mut self, faults: impl IntoIterator<Item = String>) {
        let at = self.player.now().since(Time::ZERO).as_secs_f64();
        let faults = faults.into_iter().map(|fault| format!("at {at:.3} s {fault}"));
        self.report.faults.extend(faults);
    }

    /// Looks at what is not judged with every step.
    fn look(&mut self) {
        let living: BTreeSet<Spot> = self.views.0.keys().copied().collect();
        let now_ms = EPOCH_MS + self.player.now().0 / 1000 + 2 * SKEW_MS;
        let faults = self.records.look(now_ms, &self.player.beside.holders, &living);
        self.wrong(faults);
        let mut faults = Vec::new();
        for (spot, machine) in self.player.living() {
            let kept = machine.records().map(|(key, note)| (key, note.slot, note.version));
            let disk = self.player.beside.disks.get(&spot);
            let disk = disk.into_iter().flat_map(|disk| &disk.records);
            let disk = disk.map(|((key, _), note)| (*key, note.slot, note.version));
            if !kept.eq(disk) {
                faults.push(format!("{spot:?} keeps something else than its disk"));
            }
        }
        self.wrong(faults);
    }

    fn told(&mut self, spot: Spot, event: Event<Spot, Note>) {
        let name = format!("{event:?}");
        let name = name.split([' ', '(']).next().unwrap_or_default();
        if !self.report.events.contains(name) {
            self.report.events.insert(name.to_owned());
        }
        match event {
            Event::Left => {
                let alone = self.views.0.is_empty()
                    || self.player.machine(spot).is_none_or(|peer| peer.successors().is_empty());
                let others = self.heirs(spot) as u32;
                self.records.left(spot, others, &self.player.beside.holders);
                self.die(spot, alone);
                self.player.beside.wipe(spot);
            }
            Event::Put { id, results } => self.settled(id, &results),
            Event::Found { id, found } => {
                if let Some(key) = self.lookups.remove(&id) {
                    self.judge_lookup(spot, key, Some(found.owner));
                }
            }
            Event::Lost { id, .. } => {
                if let Some(key) = self.lookups.remove(&id) {
                    self.judge_lookup(spot, key, None);
                }
            }
            Event::Told { id, answer } => {
                if let Some(asked) = self.asks.remove(&id) {
                    self.judge_answer(spot, &asked, answer);
                }
            }
            // Whether one that lies is noticed is judged elsewhere; here nobody does.
            Event::Liar { peer, what } => {
                self.wrong([format!("{spot:?} calls {peer:?} a liar: {what}")]);
            }
            _ => {}
        }
    }

    /// How many neighbours a peer knows that are there and that it can reach: who would take what
    /// it keeps. Whether it knows as many as it should is judged by the ring.
    fn heirs(&self, spot: Spot) -> usize {
        let Some(machine) = self.player.machine(spot) else { return 0 };
        let near = machine.successors().iter().copied().chain(machine.predecessor());
        let there =
            |peer: &Spot| self.views.0.contains_key(peer) && self.player.beside.reach(spot, *peer);
        near.filter(there).collect::<BTreeSet<Spot>>().len()
    }

    // What goes wrong.

    fn go_wrong(&mut self, fault: &Fault) {
        let name = format!("{fault:?}");
        let name = name.split([' ', '(', '{']).next().unwrap_or_default();
        match fault {
            Fault::Crash(peer, wipe) => self.crash(self.player.spot(*peer), *wipe),
            Fault::CrashMany(peers, wipe) => {
                peers.iter().for_each(|peer| self.crash(self.player.spot(*peer), *wipe));
            }
            Fault::Restart(peer, contact) => self.restart(*peer, *contact),
            Fault::Leave(peer) => self.leave(self.player.spot(*peer)),
            Fault::Part(peers) => {
                let some = peers.iter().map(|peer| (self.player.spot(*peer), 1)).collect();
                self.player.beside.groups = some;
            }
            Fault::Heal => self.player.beside.groups.clear(),
            Fault::Blackout(away) => self.blackout(*away),
            Fault::Put(peer, entries) => self.put(*peer, entries),
            Fault::Look(peer, number) => self.look_up(self.player.spot(*peer), key(*number), false),
        }
        self.report.events.insert(name.to_owned());
    }

    fn start(&mut self, peer: u32) {
        if self.player.machine(self.player.spot(peer)).is_some() {
            return;
        }
        let known = self.plan.peers[peer as usize].1.iter();
        let known = known.map(|contact| self.player.spot(*contact)).collect();
        self.revive(self.player.spot(peer), self.contacts(peer, known));
    }

    fn crash(&mut self, spot: Spot, wipe: bool) {
        let Some(machine) = self.player.machine(spot) else { return };
        let orderly = self.plan.kind == Kind::Orderly && !self.is_quiet;
        if orderly && self.views.0.contains_key(&spot) && !self.can_spare(spot) {
            return;
        }
        let known = machine.known();
        self.die(spot, wipe);
        if wipe {
            self.player.beside.wipe(spot);
        } else {
            self.player.beside.disks.entry(spot).or_default().known = known;
        }
        self.judge_ring();
    }

    /// Whether the others can do without it. Those who are leaving are no members any more.
    fn can_spare(&self, spot: Spot) -> bool {
        self.views.can_spare(spot, self.needed())
    }

    fn die(&mut self, spot: Spot, forgets: bool) {
        if forgets {
            self.records.failed(spot, &self.player.beside.holders);
        }
        self.player.kill(spot);
        self.leavers.remove(&spot);
        self.forget(spot);
        // What it was asked comes to nothing.
        self.report.events.insert("Died".to_owned());
    }

    fn restart(&mut self, peer: u32, contact: u32) {
        let spot = self.player.spot(peer);
        let started = self.plan.peers[peer as usize].0 < self.player.now();
        if self.player.machine(spot).is_none() && started {
            let disk = self.player.beside.disks.get(&spot);
            let mut known = disk.map_or_else(Vec::new, |disk| disk.known.clone());
            known.push(self.player.spot(contact));
            self.revive(spot, self.contacts(peer, known));
        }
    }

    /// Whom one that comes knows. In an orderly world these are some who are there: a second circle
    /// is trouble, and so is whoever is held for dead before it comes.
    fn contacts(&self, peer: u32, known: Vec<Spot>) -> Vec<Spot> {
        if self.plan.kind == Kind::Wild {
            return known;
        }
        let all: Vec<Spot> = self.views.0.keys().copied().collect();
        let pick = |which: usize| all.get((peer as usize * 7 + which) % all.len().max(1));
        (0..4).filter_map(pick).copied().collect()
    }

    pub(super) fn revive(&mut self, spot: Spot, known: Vec<Spot>) {
        let records = self.player.beside.disks.get(&spot).map(|disk| disk.records.clone());
        let records = records.into_iter().flatten().map(|((key, _), note)| (key, note));
        let skew = self.dice.below(2 * SKEW_MS);
        let machine = Chord::new(Setup {
            own: spot,
            params: self.plan.params.clone(),
            known,
            records: records.collect(),
            rules: (),
            epoch_ms: EPOCH_MS + skew - SKEW_MS,
            seed: self.dice.next_u64(),
        });
        self.player.revive(spot, machine);
        self.player.hand(spot, Input::Command(Command::Start));
        self.after(spot);
    }

    fn leave(&mut self, spot: Spot) {
        let on = self.views.0.contains_key(&spot);
        if on && (self.plan.kind == Kind::Wild || self.can_spare(spot)) {
            self.leavers.insert(spot);
            self.player.hand(spot, Input::Command(Command::Leave));
            self.after(spot);
        }
    }

    fn blackout(&mut self, away: Duration) {
        let all: Vec<Spot> = self.player.living().map(|(spot, _)| spot).collect();
        all.iter().for_each(|spot| self.crash(*spot, false));
        self.play_for(away);
        for spot in all {
            let known = self.player.beside.disks.get(&spot).map(|disk| disk.known.clone());
            if self.player.machine(spot).is_none() {
                self.revive(spot, known.unwrap_or_default());
            }
        }
    }

    pub(super) fn put(&mut self, peer: u32, entries: &[Entry]) {
        let spot = self.player.spot(peer);
        if !self.player.machine(spot).is_some_and(Chord::is_joined) {
            return;
        }
        self.serial += 1;
        let now_ms = EPOCH_MS + self.player.now().0 / 1000;
        let note = |entry: &Entry| Note {
            key: key(entry.key),
            slot: entry.slot,
            // Whoever puts something later knows of what was there.
            version: self.serial,
            expires_ms: now_ms + entry.life.as_millis() as u64,
            bytes: entry.bytes,
            copies: entry.copies,
            signed: true,
        };
        let notes: BTreeMap<Name, Note> =
            entries.iter().map(note).map(|note| ((note.key, note.slot), note)).collect();
        let records = notes.values().map(|note| (note.key, note.clone())).collect();
        for (name, note) in &notes {
            self.records.begun(*name, note.version);
        }
        self.puts.insert(self.serial, notes);
        let command = Command::Put { id: self.serial, records };
        self.player.hand(spot, Input::Command(command));
        self.after(spot);
    }

    /// A put is over.
    fn settled(&mut self, id: u64, results: &[(RingId, Slot, Result<u8, Reject>)]) {
        let Some(notes) = self.puts.remove(&id) else { return };
        let mut faults = Vec::new();
        let now_ms = EPOCH_MS + self.player.now().0 / 1000 + 2 * SKEW_MS;
        for (at, slot, result) in results {
            let stands = |note: &&Note| Note::slot_of(note.slot) == *slot && descends(note, *at);
            let Some(note) = notes.values().find(stands) else {
                faults.push(format!("a put of {notes:?} ended with {at:?} {slot:?}"));
                continue;
            };
            match result {
                Ok(copies) => {
                    let wanted = match note.copies {
                        0 => self.plan.params.replicas,
                        copies => usize::from(copies),
                    };
                    let wanted = wanted.min(self.plan.params.successors + 1) as u32;
                    let name = ((*at, note.slot), note.version);
                    let holders = &self.player.beside.holders;
                    let said = (wanted, note.expires_ms);
                    let copies = u32::from(*copies);
                    let holders = (holders, now_ms);
                    faults.extend(self.records.acknowledged(name, copies, said, holders).err());
                }
                // Somebody else may have put something newer meanwhile.
                Err(reject) if self.is_quiet && *reject != Reject::Stale => {
                    faults.push(format!("in quiet {at:?} was refused: {reject:?}"));
                }
                Err(_) => {}
            }
        }
        if results.len() != notes.len() {
            faults.push(format!("a put of {} records ended with {}", notes.len(), results.len()));
        }
        self.wrong(faults);
    }

    pub(super) fn look_up(&mut self, spot: Spot, key: RingId, judged: bool) {
        self.serial += 1;
        if judged {
            self.lookups.insert(self.serial, key);
        }
        let command = Command::Lookup { id: self.serial, key };
        self.player.hand(spot, Input::Command(command));
        self.after(spot);
    }

    fn finish(mut self) -> Report {
        self.report.seed = self.plan.seed;
        self.report.kind = format!("{:?}", self.plan.kind).to_lowercase();
        self.report.peers = self.player.count();
        self.report.living = self.views.0.len();
        self.report.steps = self.player.events();
        self.report.trace = format!("{:016x}", self.player.trace());
        self.report.excused = self.records.excused();
        self.report
    }
}

fn view(machine: &Peer) -> View {
    View { predecessor: machine.predecessor(), successors: machine.successors().to_vec() }
}

/// Whether a note may have come under this key when there was no room under its own.
fn descends(note: &Note, at: RingId) -> bool {
    let mut key = note.key;
    for _ in 0..8 {
        if key == at {
            return true;
        }
        key = child_key(key, (note.slot % 16) as u32);
    }
    false
}
