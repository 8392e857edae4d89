//! A person whose daemon runs: what it is asked, and waiting until it answers as it should.

use std::path::Path;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::{PATIENCE, Person, Running};

/// Pause between two questions whether something has come to pass.
pub const ASK_EVERY: Duration = Duration::from_millis(100);

/// Somebody whose daemon runs.
pub struct Member {
    /// Who it is.
    pub person: Person,
    daemon: Running,
    flags: Vec<String>,
}

impl Member {
    /// Somebody new, whose daemon runs with these flags.
    pub fn new(exe: &str, flags: &[&str]) -> Self {
        let person = Person::new(exe);
        let flags: Vec<String> = flags.iter().map(|flag| (*flag).to_owned()).collect();
        let daemon = wake(&person, &flags);
        Self { person, daemon, flags }
    }

    /// The last line of a command, and its exit code.
    pub fn ask(&self, args: &[&str]) -> (Value, i32) {
        let mut all = args.to_vec();
        all.push("--json");
        let output = self.person.run(&all);
        let text = String::from_utf8(output.stdout).expect("JSON");
        let last = text.lines().last().unwrap_or_default();
        let value = serde_json::from_str(last).unwrap_or_else(|_| {
            panic!("{args:?} said {text:?} and {}", String::from_utf8_lossy(&output.stderr))
        });
        (value, output.status.code().unwrap_or(-1))
    }

    /// A command that has to work: its reply.
    pub fn done(&self, args: &[&str]) -> Value {
        let (value, code) = self.ask(args);
        assert_eq!(code, 0, "{args:?}: {value:#}");
        value["reply"].clone()
    }

    /// A command that has to fail with this kind of error.
    pub fn fails(&self, args: &[&str], kind: &str) {
        let (value, code) = self.ask(args);
        assert_ne!(code, 0, "{args:?}: {value:#}");
        assert_eq!(value["error"]["kind"], kind, "{args:?}: {value:#}");
    }

    /// Asks until the reply is as it should be.
    pub fn until(&self, what: &str, args: &[&str], fits: impl Fn(&Value) -> bool) -> Value {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let (value, _) = self.ask(args);
            if fits(&value["reply"]) {
                return value["reply"].clone();
            }
            assert!(Instant::now() < deadline, "not in time: {what}: {value:#}");
            std::thread::sleep(ASK_EVERY);
        }
    }

    /// Searches until something is found that fits.
    pub fn finds(&self, words: &str, fits: impl Fn(&Value) -> bool) -> Value {
        let of = |reply: &Value| -> Option<Value> {
            reply["groups"].as_array()?.iter().find(|group| fits(group)).cloned()
        };
        of(&self.until(words, &["search", words], |reply| of(reply).is_some()))
            .expect("it was just found")
    }

    /// Fetches something into a folder.
    pub fn get(&self, what: &str, into: &Path) -> Value {
        std::fs::create_dir_all(into).expect("a folder on the desk");
        self.done(&["get", what, "-o", into.to_str().expect("a path of ours")])
    }

    /// The process dies as in a power cut.
    pub fn dies(&mut self) {
        self.daemon.kill();
    }

    /// The daemon runs again.
    pub fn returns(&mut self) {
        self.daemon = wake(&self.person, &self.flags);
    }
}

/// Starts a daemon and waits until it answers.
fn wake(person: &Person, flags: &[String]) -> Running {
    let mut args = vec!["daemon", "run"];
    args.extend(flags.iter().map(String::as_str));
    let daemon = person.start(&args);
    let deadline = Instant::now() + PATIENCE;
    while !person.run(&["daemon", "status"]).status.success() {
        assert!(Instant::now() < deadline, "the daemon does not answer");
        std::thread::sleep(ASK_EVERY);
    }
    daemon
}
