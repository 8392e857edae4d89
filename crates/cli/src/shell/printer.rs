//! Lines that come while a person types: they appear above the prompt and never in the middle of
//! what is typed.

use std::io::{self, Write};
use std::sync::mpsc::{SyncSender, TrySendError};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tracing_subscriber::fmt::MakeWriter;

/// Lines that wait for the editor, which looks ten times a second; more are counted, not kept.
const LINES_QUEUED: usize = 1000;

/// The printer of the shell that has the terminal; log lines go there while there is one.
static AT_PROMPT: Mutex<Option<Printer>> = Mutex::new(None);

/// Writes lines around an editor.
#[derive(Clone, Debug)]
pub(crate) struct Printer {
    state: Arc<Mutex<State>>,
}

#[derive(Debug)]
struct State {
    /// Where lines go while the editor has the terminal.
    above: SyncSender<String>,
    is_editing: bool,
    lost: u64,
}

impl Printer {
    /// The queue that an editor reads from has this many places.
    pub(crate) const QUEUE: usize = LINES_QUEUED;

    /// A printer for an editor that takes lines from the other end of `above`. From now on it gets
    /// the log's lines.
    pub(crate) fn install(above: SyncSender<String>) -> Self {
        let state = State { above, is_editing: false, lost: 0 };
        let printer = Self { state: Arc::new(Mutex::new(state)) };
        *held(&AT_PROMPT) = Some(printer.clone());
        printer
    }

    /// The log goes to stderr again.
    pub(crate) fn uninstall(&self) {
        *held(&AT_PROMPT) = None;
    }

    /// The editor has the terminal from now on, or gives it back.
    pub(crate) fn set_editing(&self, is_editing: bool) {
        held(&self.state).is_editing = is_editing;
    }

    /// Shows a line above the prompt, or where the cursor is if there is no prompt.
    pub(crate) fn line(&self, line: &str) {
        let mut state = held(&self.state);
        if !state.is_editing {
            // A terminal that is gone is no reason to stop.
            let _ = writeln!(io::stdout(), "{line}");
            return;
        }
        if state.lost > 0 {
            let text = format!("({} lines were left out here)", state.lost);
            if state.above.try_send(text).is_ok() {
                state.lost = 0;
            }
        }
        match state.above.try_send(line.to_owned()) {
            Ok(()) | Err(TrySendError::Disconnected(_)) => {}
            Err(TrySendError::Full(_)) => state.lost += 1,
        }
    }
}

/// Where the log goes: above the prompt if there is one, else to stderr.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct LogWriter;

impl<'a> MakeWriter<'a> for LogWriter {
    type Writer = LogWriter;

    fn make_writer(&'a self) -> LogWriter {
        LogWriter
    }
}

impl Write for LogWriter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let printer = held(&AT_PROMPT).clone();
        match printer {
            Some(printer) => {
                let text = String::from_utf8_lossy(bytes);
                text.lines().for_each(|line| printer.line(line));
            }
            None => io::stderr().write_all(bytes)?,
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Whoever panicked while it wrote a line has left nothing half done.
fn held<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_wait_for_the_editor_and_too_many_are_counted() {
        let (above, waiting) = std::sync::mpsc::sync_channel(2);
        let state = State { above, is_editing: true, lost: 0 };
        let printer = Printer { state: Arc::new(Mutex::new(state)) };
        for number in 0..5 {
            printer.line(&number.to_string());
        }
        assert_eq!(waiting.try_iter().collect::<Vec<_>>(), ["0", "1"]);
        printer.line("5");
        assert_eq!(waiting.try_iter().collect::<Vec<_>>(), ["(3 lines were left out here)", "5"]);
    }
}
