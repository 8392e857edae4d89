//! The line editor: a thread that reads lines from the terminal, one whenever it is asked to.

use std::borrow::Cow;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc as std_mpsc;
use std::thread::JoinHandle;

use reedline::{
    ColumnarMenu, Completer, CompletionResult, DefaultHinter, Emacs, ExternalPrinter,
    FileBackedHistory, KeyCode, KeyModifiers, MenuBuilder, Prompt, PromptEditMode,
    PromptHistorySearch, Reedline, ReedlineEvent, ReedlineMenu, Signal, Span, Suggestion,
    default_emacs_keybindings,
};
use tokio::sync::mpsc;

use super::line;
use super::printer::Printer;
use super::table::{Noun, Table};

/// Lines that the history keeps.
const HISTORY_LINES: usize = 1000;
/// Name of the menu of completions, which keys refer to.
const MENU: &str = "completions";

/// What the person did at the prompt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Said {
    /// Typed a line.
    Line(String),
    /// Pressed Ctrl-C.
    Interrupt,
    /// Pressed Ctrl-D, or the input has ended.
    End,
    /// Nothing: the terminal does not do what an editor needs.
    Broken(String),
}

/// Asks what there is of a noun, for completion. May take a moment.
pub(crate) type Known = Box<dyn Fn(Noun) -> Vec<String> + Send>;

/// A running editor.
#[derive(Debug)]
pub(crate) struct Editor {
    said: mpsc::Receiver<Said>,
    go_on: Option<std_mpsc::Sender<()>>,
    hang_up: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
    pub(crate) printer: Printer,
}

impl Editor {
    /// Starts the editor; it shows the prompt at once.
    pub(crate) fn start(prompt: &str, history: &Path, table: Table, known: Known) -> Self {
        let external = ExternalPrinter::new(Printer::QUEUE);
        let printer = Printer::install(external.sender());
        let hang_up = Arc::new(AtomicBool::new(false));
        let (to, said) = mpsc::channel(1);
        let (go_on, asked) = std_mpsc::channel();
        let editor = reedline(external, Arc::clone(&hang_up), Words { table, known });
        let editor = with_history(editor, history, &printer);
        let (prompt, at_work) = (ShellPrompt(prompt.to_owned()), printer.clone());
        let thread = std::thread::spawn(move || edit(editor, &prompt, &at_work, &asked, &to));
        let editor = Self { said, go_on: Some(go_on), hang_up, thread: Some(thread), printer };
        editor.go_on();
        editor
    }

    /// What the person does next; the editor then waits for [`Editor::go_on`].
    pub(crate) async fn said(&mut self) -> Said {
        self.said.recv().await.unwrap_or_else(|| Said::Broken("the editor has ended".to_owned()))
    }

    /// Shows the prompt again.
    pub(crate) fn go_on(&self) {
        if let Some(go_on) = &self.go_on {
            // A thread that has ended says so by itself.
            let _ = go_on.send(());
        }
    }
}

impl Drop for Editor {
    /// Gives the terminal back as it was.
    fn drop(&mut self) {
        self.hang_up.store(true, Ordering::Relaxed);
        self.go_on = None;
        self.said.close();
        if let Some(thread) = self.thread.take() {
            // Its end is all that matters.
            let _ = thread.join();
        }
        self.printer.uninstall();
    }
}

fn edit(
    mut editor: Reedline,
    prompt: &ShellPrompt,
    printer: &Printer,
    asked: &std_mpsc::Receiver<()>,
    to: &mpsc::Sender<Said>,
) {
    while asked.recv().is_ok() {
        printer.set_editing(true);
        let signal = editor.read_line(prompt);
        printer.set_editing(false);
        let said = match signal {
            Ok(Signal::Success(line)) => Said::Line(line),
            Ok(Signal::CtrlC) => Said::Interrupt,
            Ok(Signal::CtrlD) => Said::End,
            Ok(_) => return,
            Err(error) => Said::Broken(error.to_string()),
        };
        if to.blocking_send(said).is_err() {
            return;
        }
    }
}

fn reedline(external: ExternalPrinter<String>, hang_up: Arc<AtomicBool>, words: Words) -> Reedline {
    let mut keys = default_emacs_keybindings();
    let complete = ReedlineEvent::UntilFound(vec![
        ReedlineEvent::Menu(MENU.to_owned()),
        ReedlineEvent::MenuNext,
    ]);
    keys.add_binding(KeyModifiers::NONE, KeyCode::Tab, complete);
    let menu = Box::new(ColumnarMenu::default().with_name(MENU).with_marker("> "));
    let mut editor = Reedline::create()
        .with_ansi_colors(console::colors_enabled())
        .with_external_printer(external)
        .with_break_signal(hang_up)
        .with_completer(Box::new(words))
        .with_quick_completions(true)
        .with_partial_completions(true)
        .with_menu(ReedlineMenu::EngineCompleter(menu))
        .with_edit_mode(Box::new(Emacs::new(keys)));
    if console::colors_enabled() {
        editor = editor.with_hinter(Box::new(DefaultHinter::default()));
    }
    editor
}

fn with_history(editor: Reedline, history: &Path, printer: &Printer) -> Reedline {
    match private_file(history).and_then(|file| {
        FileBackedHistory::with_file(HISTORY_LINES, file).map_err(std::io::Error::other)
    }) {
        Ok(history) => editor.with_history(Box::new(history)),
        Err(error) => {
            printer.line(&format!("the history of this shell is not kept: {error}"));
            editor
        }
    }
}

/// A file that only its user can read.
fn private_file(path: &Path) -> std::io::Result<PathBuf> {
    let mut options = std::fs::OpenOptions::new();
    options.append(true).create(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path)?;
    Ok(path.to_owned())
}

/// Completes from the table and from what is known.
struct Words {
    table: Table,
    known: Known,
}

impl Completer for Words {
    fn complete(&mut self, text: &str, cursor: usize) -> CompletionResult {
        let text = text.get(..cursor).unwrap_or(text);
        let cut = line::cut(text);
        let choices = self.table.complete(&cut, &self.known);
        let suggestions: Vec<Suggestion> = choices
            .into_iter()
            .map(|choice| Suggestion {
                value: line::quoted(&choice.word),
                description: choice.about,
                span: Span::new(cut.start, text.len()),
                append_whitespace: true,
                ..Suggestion::default()
            })
            .collect();
        CompletionResult::fresh(suggestions)
    }
}

/// `NAME> `
struct ShellPrompt(String);

impl Prompt for ShellPrompt {
    fn render_prompt_left(&self) -> Cow<'_, str> {
        Cow::Borrowed(&self.0)
    }

    fn render_prompt_right(&self) -> Cow<'_, str> {
        Cow::Borrowed("")
    }

    fn render_prompt_indicator(&self, _: PromptEditMode) -> Cow<'_, str> {
        Cow::Borrowed("> ")
    }

    fn render_prompt_multiline_indicator(&self) -> Cow<'_, str> {
        Cow::Borrowed("… ")
    }

    fn render_prompt_history_search_indicator(&self, search: PromptHistorySearch) -> Cow<'_, str> {
        Cow::Owned(format!("(history: {}) ", search.term))
    }
}
