//! A shell: commands typed at a prompt, or piped in line by line, against a node that goes on
//! meanwhile.
//!
//! It knows no command itself. Whoever runs one hands it the commands as a [`clap::Subcommand`] and
//! does what they say; the table made from them drives parsing, help and completion. At a prompt,
//! events and log lines appear above what is typed. Piped lines are answered on stdout without a
//! prompt.

mod editor;
mod line;
mod printer;
mod table;

use std::io::BufRead;
use std::marker::PhantomData;
use std::path::PathBuf;

use clap::Subcommand;
use potluck_api::{Event, Line};
use tokio::sync::mpsc;

pub(crate) use editor::Known;
pub(crate) use printer::LogWriter;
pub(crate) use table::Noun;

use crate::commands::Context;
use crate::door::Door;
use crate::error::CliError;
use crate::signals::Hold;
use editor::{Editor, Said};
use table::{Table, Typed};

/// Piped lines that are read ahead.
const LINES_AHEAD: usize = 16;

/// What to do after a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Flow {
    /// Read the next one.
    GoOn,
    /// Stop the node.
    Stop,
}

/// What a shell is like, apart from its commands.
pub(crate) struct Manner {
    /// What stands before the `>`.
    pub(crate) prompt: String,
    /// The file of its history.
    pub(crate) history: PathBuf,
    /// What the help says of `exit`.
    pub(crate) leaving: &'static str,
    /// What is said when somebody wants to leave who can only stop.
    pub(crate) stays: &'static str,
    /// An event as a line for the person; none for what would only be noise.
    pub(crate) tell: fn(&Event) -> Option<String>,
    /// What there is of a noun, for completion.
    pub(crate) known: Known,
}

/// A shell with the commands `V`.
pub(crate) struct Shell<'a, V> {
    context: &'a Context,
    door: &'a Door<'a>,
    table: Table,
    tell: fn(&Event) -> Option<String>,
    stays: &'static str,
    input: Input,
    events: mpsc::Receiver<Event>,
    /// Whether the last thing that the person did was to press Ctrl-C.
    is_leaving: bool,
    verbs: PhantomData<V>,
}

enum Input {
    /// A person at a prompt.
    Prompt(Box<Editor>),
    /// A program, or a file.
    Pipe(mpsc::Receiver<String>),
    /// Nobody any more.
    Nobody,
}

impl<'a, V: Subcommand> Shell<'a, V> {
    /// A shell at the terminal if there is one, else on standard input.
    pub(crate) fn new(context: &'a Context, door: &'a Door<'a>, manner: Manner) -> Self {
        let table = Table::of::<V>(manner.leaving);
        let input = if context.ui.has_prompt() {
            let Manner { prompt, history, known, .. } = manner;
            Input::Prompt(Box::new(Editor::start(&prompt, &history, table.clone(), known)))
        } else {
            Input::Pipe(piped())
        };
        Self {
            context,
            door,
            table,
            tell: manner.tell,
            stays: manner.stays,
            input,
            events: door.events(),
            is_leaving: false,
            verbs: PhantomData,
        }
    }

    /// Reads and does commands until one says to stop, a signal comes, or the node ends. The end of
    /// piped input is no reason.
    pub(crate) async fn run(
        mut self,
        execute: impl AsyncFn(V) -> Result<Flow, CliError>,
    ) -> Result<(), CliError> {
        loop {
            let said = tokio::select! {
                biased;
                () = self.context.interrupt.wait() => return Ok(()),
                () = self.door.stopped() => return Ok(()),
                Some(event) = self.events.recv() => {
                    self.event(&event)?;
                    continue;
                }
                said = self.input.next() => said,
            };
            if self.said(said, &execute).await? == Flow::Stop {
                return Ok(());
            }
            if let Input::Prompt(editor) = &self.input {
                editor.go_on();
            }
        }
    }

    async fn said(
        &mut self,
        said: Said,
        execute: &impl AsyncFn(V) -> Result<Flow, CliError>,
    ) -> Result<Flow, CliError> {
        let was_leaving = std::mem::take(&mut self.is_leaving);
        match (said, &self.input) {
            (Said::Line(line), _) => self.line(&line, execute).await,
            (Said::Interrupt, _) if was_leaving => Ok(Flow::Stop),
            (Said::Interrupt, _) => {
                self.is_leaving = true;
                self.context.ui.remark("Ctrl-C again stops; \"stop\" does too.");
                Ok(Flow::GoOn)
            }
            (Said::End, Input::Prompt(_)) => {
                self.context.ui.remark(self.stays);
                Ok(Flow::GoOn)
            }
            (Said::End, _) => {
                self.input = Input::Nobody;
                Ok(Flow::GoOn)
            }
            (Said::Broken(why), _) => {
                self.input = Input::Pipe(piped());
                self.context.ui.warn(&format!("no line editing on this terminal: {why}"));
                Ok(Flow::GoOn)
            }
        }
    }

    /// Does what a line says. Ctrl-C ends the command, not the node.
    async fn line(
        &mut self,
        line: &str,
        execute: &impl AsyncFn(V) -> Result<Flow, CliError>,
    ) -> Result<Flow, CliError> {
        let ui = &self.context.ui;
        let verb = match self.table.read::<V>(line) {
            Ok(Typed::Nothing) => return Ok(Flow::GoOn),
            Ok(Typed::Help(lines)) => {
                ui.out_lines(&lines)?;
                return Ok(Flow::GoOn);
            }
            Ok(Typed::Leave) => {
                ui.remark(self.stays);
                return Ok(Flow::GoOn);
            }
            Ok(Typed::Verb(verb)) => verb,
            Err(error) => {
                CliError::from(error).show(ui);
                return Ok(Flow::GoOn);
            }
        };
        let hold: Hold = self.context.interrupt.hold();
        let result = tokio::select! {
            biased;
            () = hold.pressed() => Ok(Flow::GoOn),
            () = self.context.interrupt.wait() => Ok(Flow::Stop),
            result = execute(verb) => result,
        };
        match result {
            Ok(flow) => Ok(flow),
            // Nobody can be told any more.
            Err(error @ CliError::Output(_)) => Err(error),
            Err(error) => {
                error.show(ui);
                Ok(Flow::GoOn)
            }
        }
    }

    fn event(&self, event: &Event) -> Result<(), CliError> {
        let ui = &self.context.ui;
        if ui.is_json() {
            return Ok(ui.json(&Line::Event(event.clone()))?);
        }
        match ((self.tell)(event), &self.input) {
            (None, _) => {}
            (Some(text), Input::Prompt(editor)) => editor.printer.line(&text),
            (Some(text), _) => ui.note(&text),
        }
        Ok(())
    }
}

impl Input {
    async fn next(&mut self) -> Said {
        match self {
            Input::Prompt(editor) => editor.said().await,
            Input::Pipe(lines) => lines.recv().await.map_or(Said::End, Said::Line),
            Input::Nobody => std::future::pending().await,
        }
    }
}

/// Lines of standard input. The thread that reads them holds nobody up: it ends with the process.
fn piped() -> mpsc::Receiver<String> {
    let (to, lines) = mpsc::channel(LINES_AHEAD);
    std::thread::spawn(move || {
        for line in std::io::stdin().lock().lines() {
            let Ok(line) = line else { return };
            if to.blocking_send(line).is_err() {
                return;
            }
        }
    });
    lines
}
