//! Where output goes: results to stdout, everything else to stderr, JSON to stdout only.

pub(crate) mod progress;
pub(crate) mod qr;
pub(crate) mod table;
pub(crate) mod when;

use std::io::{self, IsTerminal, Write};
use std::path::Path;
use std::time::Duration;

use potluck_api::{Line, Outcome, Reply};
use potluck_base::escape;
use serde::Serialize;

use crate::args::{Color, Globals};

/// Characters of a name or path that are shown.
pub(crate) const NAME_CHARS: usize = 240;

/// How the person, or the program that calls us, wants to be told.
#[derive(Clone, Debug)]
pub(crate) struct Ui {
    json: bool,
    quiet: bool,
    in_is_terminal: bool,
    out_is_terminal: bool,
    err_is_terminal: bool,
}

impl Ui {
    /// As the flags and the terminal say.
    pub(crate) fn new(globals: &Globals) -> Self {
        match globals.color {
            Color::Auto => {
                if std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty()) {
                    set_colors(false);
                }
            }
            Color::Always => set_colors(true),
            Color::Never => set_colors(false),
        }
        Self {
            json: globals.json,
            quiet: globals.quiet,
            in_is_terminal: io::stdin().is_terminal(),
            out_is_terminal: io::stdout().is_terminal(),
            err_is_terminal: io::stderr().is_terminal(),
        }
    }

    /// Tells failures only.
    #[cfg(test)]
    pub(crate) fn quiet() -> Self {
        set_colors(false);
        Self {
            json: false,
            quiet: true,
            in_is_terminal: false,
            out_is_terminal: false,
            err_is_terminal: false,
        }
    }

    /// Whether every line on stdout is to be JSON.
    pub(crate) fn is_json(&self) -> bool {
        self.json
    }

    /// Whether something that moves may be drawn on stderr.
    pub(crate) fn is_lively(&self) -> bool {
        self.err_is_terminal && !self.quiet && !self.json
    }

    /// Whether a person sits in front of both outputs.
    pub(crate) fn is_watched(&self) -> bool {
        self.is_lively() && self.out_is_terminal
    }

    /// Whether a person can be asked.
    pub(crate) fn can_ask(&self) -> bool {
        self.in_is_terminal && self.is_lively()
    }

    /// Whether a person can type commands at a prompt.
    pub(crate) fn has_prompt(&self) -> bool {
        let dumb = std::env::var("TERM").is_ok_and(|term| term == "dumb");
        self.in_is_terminal && self.out_is_terminal && !self.json && !dumb
    }

    /// A line of the result.
    pub(crate) fn out(&self, line: &str) -> io::Result<()> {
        let mut out = io::stdout().lock();
        writeln!(out, "{line}")?;
        out.flush()
    }

    /// Many lines of the result.
    pub(crate) fn out_lines(&self, lines: &[String]) -> io::Result<()> {
        let mut out = io::BufWriter::new(io::stdout().lock());
        for line in lines {
            writeln!(out, "{line}")?;
        }
        out.flush()
    }

    /// A path as the result: exactly as it is for a program, escaped for a terminal.
    pub(crate) fn out_path(&self, path: &Path) -> io::Result<()> {
        if self.out_is_terminal {
            return self.out(&shown_path(path));
        }
        let mut out = io::stdout().lock();
        #[cfg(unix)]
        out.write_all(std::os::unix::ffi::OsStrExt::as_bytes(path.as_os_str()))?;
        #[cfg(not(unix))]
        out.write_all(path.display().to_string().as_bytes())?;
        out.write_all(b"\n")?;
        out.flush()
    }

    /// A line of JSON.
    pub(crate) fn json(&self, value: &impl Serialize) -> io::Result<()> {
        self.out(&serde_json::to_string(value)?)
    }

    /// The last line in JSON; whether it was wanted.
    pub(crate) fn json_reply(&self, reply: &Reply) -> io::Result<bool> {
        if self.json {
            self.json(&Line::Outcome(Outcome::Done { reply: reply.clone() }))?;
        }
        Ok(self.json)
    }

    /// A line for the person that is no result.
    pub(crate) fn note(&self, line: &str) {
        if !self.json && !self.quiet {
            self.err(line);
        }
    }

    /// The start of a line for the person, which somebody else completes.
    pub(crate) fn start_line(&self, text: &str) {
        let _ = io::stderr().write_all(text.as_bytes());
    }

    /// A line for the person that should not be missed.
    pub(crate) fn warn(&self, line: &str) {
        if !self.json {
            self.err(&format!("{} {line}", self.yellow("warning:")));
        }
    }

    /// A line that belongs to a failure, or to a question.
    pub(crate) fn remark(&self, line: &str) {
        if !self.json {
            self.err(line);
        }
    }

    /// The text of a failure.
    pub(crate) fn failure(&self, text: &str) -> io::Result<()> {
        io::stderr().write_all(text.as_bytes())
    }

    fn err(&self, line: &str) {
        // Notes that nobody can read are no reason to stop.
        let _ = writeln!(io::stderr(), "{line}");
    }

    /// Red, if colours are wanted on stderr.
    pub(crate) fn red(&self, text: &str) -> String {
        console::style(text).for_stderr().red().bold().to_string()
    }

    /// Yellow, if colours are wanted on stderr.
    pub(crate) fn yellow(&self, text: &str) -> String {
        console::style(text).for_stderr().yellow().bold().to_string()
    }

    /// Bold, if colours are wanted on stderr.
    pub(crate) fn bold(&self, text: &str) -> String {
        console::style(text).for_stderr().bold().to_string()
    }
}

fn set_colors(on: bool) {
    console::set_colors_enabled(on);
    console::set_colors_enabled_stderr(on);
}

/// A name as a terminal may show it.
pub(crate) fn shown(name: &str) -> String {
    escape(name, NAME_CHARS)
}

/// A path as a terminal may show it.
pub(crate) fn shown_path(path: &Path) -> String {
    shown(&path.to_string_lossy())
}

/// `1 file`, `2 files`.
pub(crate) fn counted(count: u64, noun: &str) -> String {
    match (count, noun.strip_suffix('y')) {
        (1, _) => format!("1 {noun}"),
        (_, Some(stem)) => format!("{count} {stem}ies"),
        (_, None) => format!("{count} {noun}s"),
    }
}

/// A duration as people say it: `0.4 s`, `12 s`, `3 min 5 s`, `2 h 10 min`, `3 d 4 h`.
pub(crate) fn spoken(duration: Duration) -> String {
    let seconds = duration.as_secs();
    match seconds {
        0..10 => format!("{:.1} s", duration.as_secs_f64()),
        10..60 => format!("{seconds} s"),
        60..3600 => format!("{} min {} s", seconds / 60, seconds % 60),
        3600..86_400 => format!("{} h {} min", seconds / 3600, seconds % 3600 / 60),
        _ => format!("{} d {} h", seconds / 86_400, seconds % 86_400 / 3600),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_spoken_with_two_units_at_most() {
        let spoken: Vec<String> = [0, 400, 59_000, 185_000, 7_800_000, 273_600_000]
            .map(Duration::from_millis)
            .map(spoken)
            .into();
        assert_eq!(spoken, ["0.0 s", "0.4 s", "59 s", "3 min 5 s", "2 h 10 min", "3 d 4 h"]);
    }

    #[test]
    fn one_thing_has_no_plural() {
        assert_eq!(counted(1, "file"), "1 file");
        assert_eq!(counted(0, "file"), "0 files");
    }
}
