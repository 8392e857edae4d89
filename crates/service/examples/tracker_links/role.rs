//! This program started again in another role, and what is told of it and of times.

use std::process::Stdio;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines, Stdin};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};

/// Ticks of `/proc/PID/stat` in a second, as everywhere on Linux.
const TICKS_PER_S: f64 = 100.0;

/// A process of this program; it is killed when this is dropped.
pub struct Role {
    child: Child,
    stdin: ChildStdin,
    lines: Lines<BufReader<ChildStdout>>,
    /// The line that it began with.
    pub told: String,
}

impl Role {
    /// Starts this program in a role and waits until it is ready.
    pub async fn start(args: &[&str]) -> Self {
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.args(args).stdin(Stdio::piped()).stdout(Stdio::piped()).kill_on_drop(true);
        let mut child = command.spawn().unwrap();
        let stdin = child.stdin.take().unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let mut role = Self { child, stdin, lines, told: String::new() };
        role.told = role.answer().await;
        role
    }

    /// Says a line and waits for the answer.
    pub async fn ask(&mut self, line: &str) -> String {
        self.stdin.write_all(format!("{line}\n").as_bytes()).await.unwrap();
        self.answer().await
    }

    async fn answer(&mut self) -> String {
        self.lines.next_line().await.unwrap().expect("the other process lives")
    }

    /// Ends it without a word (SIGKILL).
    pub async fn kill(&mut self) {
        self.child.kill().await.unwrap();
    }

    fn process(&self, file: &str) -> String {
        let id = self.child.id().expect("the other process lives");
        std::fs::read_to_string(format!("/proc/{id}/{file}")).unwrap_or_default()
    }

    /// A line of the kernel's account of its memory.
    pub fn memory_mib(&self, name: &str) -> f64 {
        let status = self.process("status");
        let line = status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
        let kib =
            line.and_then(|line| line.trim().trim_end_matches(" kB").trim().parse::<f64>().ok());
        kib.unwrap_or(0.0) / 1024.0
    }

    /// How long it has used processors.
    pub fn processor_s(&self) -> f64 {
        let stat = self.process("stat");
        let fields = stat.rsplit_once(')').map_or("", |(_, fields)| fields);
        // Counted from behind the name: user and system time.
        let ticks = fields.split_whitespace().skip(11).take(2);
        ticks.filter_map(|ticks| ticks.parse::<f64>().ok()).sum::<f64>() / TICKS_PER_S
    }
}

/// Asks all at once.
pub async fn ask_all(helpers: &mut [Role], line: &str) -> Vec<String> {
    let asking = helpers.iter_mut().map(|role| role.ask(line));
    futures_util::future::join_all(asking).await
}

/// The lines that the starting process says; ends with it.
pub fn orders() -> Lines<BufReader<Stdin>> {
    BufReader::new(tokio::io::stdin()).lines()
}

/// Numbers of an answer.
pub fn times(answer: &str) -> Vec<f64> {
    answer.split(',').filter_map(|number| number.parse().ok()).collect()
}

/// An answer of numbers.
pub fn answer_of(numbers: &[f64]) -> String {
    numbers.iter().map(f64::to_string).collect::<Vec<_>>().join(",")
}

pub fn say(name: &str, value: f64) {
    println!("{name}\t{value}");
}

/// Says the median and more of some microseconds.
pub fn say_times(name: &str, mut times: Vec<f64>) {
    times.sort_by(f64::total_cmp);
    let Some(last) = times.len().checked_sub(1) else { return };
    let at = |share: f64| times[(last as f64 * share).ceil() as usize] / 1000.0;
    say(&format!("{name}_p50_ms"), at(0.5));
    say(&format!("{name}_p99_ms"), at(0.99));
    say(&format!("{name}_max_ms"), at(1.0));
}

pub fn micros(time: Duration) -> f64 {
    time.as_secs_f64() * 1e6
}

/// The clock that all processes share, microseconds.
pub fn unix_us() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_micros() as u64
}

/// How many programs wanted a processor in the last minute.
pub fn load() -> f64 {
    let text = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    text.split(' ').next().and_then(|load| load.parse().ok()).unwrap_or(0.0)
}
