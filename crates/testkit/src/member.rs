//! Somebody whose daemon runs, and what it answers.

use std::path::Path;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::{PATIENCE, Person, Running};

/// Pause between two questions whether something has come to pass.
const ASK_EVERY: Duration = Duration::from_millis(100);

/// A person with a daemon.
pub struct Member {
    /// Who.
    pub person: Person,
    /// The daemon.
    pub daemon: Running,
    flags: Vec<String>,
}

impl Member {
    /// Somebody new, whose daemon runs this program with these flags, and answers.
    pub fn new(exe: &str, flags: &[&str]) -> Self {
        Self::begin(exe, flags).awake()
    }

    /// The same before it is known to answer: several can start at a time.
    pub fn begin(exe: &str, flags: &[&str]) -> Self {
        let person = Person::new(exe);
        let flags: Vec<String> = flags.iter().map(|flag| (*flag).to_owned()).collect();
        let daemon = start(&person, &flags);
        Self { person, daemon, flags }
    }

    /// Waits until the daemon answers.
    pub fn awake(self) -> Self {
        self.wait_awake();
        self
    }

    fn wait_awake(&self) {
        let deadline = Instant::now() + PATIENCE;
        while !self.person.run(&["daemon", "status"]).status.success() {
            assert!(Instant::now() < deadline, "the daemon does not answer");
            std::thread::sleep(ASK_EVERY);
        }
    }

    /// The last line of a command, and its exit code.
    pub fn ask(&self, args: &[&str]) -> (Value, i32) {
        let mut all = args.to_vec();
        all.push("--json");
        let output = self.person.run(&all);
        let text = String::from_utf8(output.stdout).expect("JSON is text");
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
        let found = self.until(words, &["search", words], |reply| of(reply).is_some());
        of(&found).expect("it was just found")
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

    /// It starts again in the same home.
    pub fn returns(&mut self) {
        self.daemon = start(&self.person, &self.flags);
        self.wait_awake();
    }

    /// It is asked to end, and does.
    pub fn goes(&mut self) {
        self.daemon.interrupt();
        self.daemon.wait();
    }
}

fn start(person: &Person, flags: &[String]) -> Running {
    let mut args = vec!["daemon", "run"];
    args.extend(flags.iter().map(String::as_str));
    person.start(&args)
}
