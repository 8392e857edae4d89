//! A person with a device: a home of their own and the program to run in it.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::Instant;

use serde_json::Value;
use tempfile::TempDir;

use crate::PATIENCE;

/// Someone with a device.
pub struct Person {
    exe: PathBuf,
    home: TempDir,
    /// A folder of theirs, for what they share and receive.
    pub desk: TempDir,
}

impl Person {
    /// Somebody new, who runs this program.
    pub fn new(exe: impl Into<PathBuf>) -> Self {
        let folder = || TempDir::new().expect("a temporary folder");
        Self { exe: exe.into(), home: folder(), desk: folder() }
    }

    /// Where their node keeps its things.
    pub fn home(&self) -> &Path {
        self.home.path()
    }

    /// A path on their desk.
    pub fn at(&self, name: &str) -> PathBuf {
        self.desk.path().join(name)
    }

    /// A command line of theirs, not yet run: in their home, on loopback.
    pub fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(&self.exe);
        command
            .args(args)
            .current_dir(self.desk.path())
            .env("POTLUCK_HOME", self.home.path())
            .env("POTLUCK_LISTEN", "127.0.0.1:0")
            .env("NO_COLOR", "1")
            .env_remove("POTLUCK_JSON")
            .stdin(Stdio::null());
        command
    }

    /// Runs a command to its end.
    pub fn run(&self, args: &[&str]) -> Output {
        self.command(args).output().expect("the program starts")
    }

    /// Starts a command with `--json` and listens to what it says.
    pub fn start(&self, args: &[&str]) -> Running {
        let mut args = args.to_vec();
        args.push("--json");
        Running::spawn(self.command(&args))
    }

    /// Shares a path and waits for the ticket.
    pub fn share(&self, path: &Path) -> (Running, String) {
        let mut running = self.start(&["share", path.to_str().expect("a path of ours")]);
        let ticket = running.ticket();
        (running, ticket)
    }

    /// Receives into a folder of theirs and expects it to work.
    pub fn get(&self, ticket: &str, into: &Path) -> Value {
        std::fs::create_dir_all(into).expect("a folder on the desk");
        let into = into.to_str().expect("a path of ours");
        let mut running = self.start(&["get", ticket, "-o", into]);
        let status = running.wait();
        assert_eq!(status, Some(0), "get failed: {:#?}", running.said);
        running.said.last().cloned().expect("a result")
    }
}

/// A program that runs and speaks JSON, line by line.
pub struct Running {
    child: Child,
    lines: Receiver<Value>,
    /// Everything that it has said so far and that was listened to.
    pub said: Vec<Value>,
}

impl Running {
    /// Starts a command and listens to its lines.
    pub fn spawn(mut command: Command) -> Self {
        let mut child = command
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the program starts");
        let (to, lines) = channel();
        let (out, err) = (child.stdout.take(), child.stderr.take());
        let listen = |pipe: Box<dyn std::io::Read + Send>, to: std::sync::mpsc::Sender<Value>| {
            std::thread::spawn(move || {
                for line in BufReader::new(pipe).lines().map_while(Result::ok) {
                    let value = serde_json::from_str(&line).unwrap_or(Value::String(line));
                    if to.send(value).is_err() {
                        return;
                    }
                }
            });
        };
        listen(Box::new(out.expect("piped")), to.clone());
        listen(Box::new(err.expect("piped")), to);
        Self { child, lines, said: Vec::new() }
    }

    /// The process's number.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Waits until it says something that fits; panics if it ends or stays silent before.
    pub fn until(&mut self, what: &str, fits: impl Fn(&Value) -> bool) -> Value {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            match self.lines.recv_timeout(left) {
                Ok(value) => {
                    self.said.push(value.clone());
                    if fits(&value) {
                        return value;
                    }
                }
                Err(RecvTimeoutError::Timeout) => panic!("no {what} in time: {:#?}", self.said),
                Err(RecvTimeoutError::Disconnected) => {
                    panic!("ended before {what}: {:#?}", self.said)
                }
            }
        }
    }

    /// Waits until it reports an event of this type.
    pub fn event(&mut self, kind: &str) -> Value {
        self.until(kind, |value| value["type"] == kind)
    }

    /// Waits for the ticket of a share.
    pub fn ticket(&mut self) -> String {
        let value = self.until("a ticket", |value| find_ticket(value).is_some());
        find_ticket(&value).expect("it was just found")
    }

    /// Waits until at least this many bytes of a download are here.
    pub fn progress(&mut self, bytes: u64) {
        self.until("progress", |value| {
            value["type"] == "progress" && value["done"].as_u64().unwrap_or(0) >= bytes
        });
    }

    /// Waits for the end; its exit code, or none if a signal ended it.
    pub fn wait(&mut self) -> Option<i32> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            match self.lines.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
                Ok(value) => self.said.push(value),
                Err(RecvTimeoutError::Disconnected) => break,
                Err(RecvTimeoutError::Timeout) => panic!("does not end: {:#?}", self.said),
            }
        }
        self.child.wait().expect("a child of ours").code()
    }

    /// Ends it at once, as a power cut would end the process.
    pub fn kill(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// Asks it to end, as Ctrl-C does.
    pub fn interrupt(&self) {
        let sent = Command::new("kill").args(["-INT", &self.child.id().to_string()]).status();
        assert!(sent.is_ok_and(|status| status.success()), "the signal could not be sent");
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.kill();
    }
}

/// A ticket anywhere in a value.
fn find_ticket(value: &Value) -> Option<String> {
    match value {
        Value::String(text) if text.starts_with("pot1") => Some(text.clone()),
        Value::Array(values) => values.iter().find_map(find_ticket),
        Value::Object(fields) => fields.values().find_map(find_ticket),
        _ => None,
    }
}
