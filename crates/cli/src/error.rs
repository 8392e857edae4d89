//! How a command ends badly, and how that is told.

use std::io;

use potluck_api::{ApiError, ErrorKind, Line, Outcome};
use potluck_base::escape;

use crate::ui::Ui;

/// Characters of a message that are shown; a peer's text may be in it.
const MESSAGE_CHARS: usize = 2000;

/// Why a command did not succeed.
#[derive(Debug)]
pub(crate) enum CliError {
    /// It failed.
    Api(ApiError),
    /// It ended with this kind of failure, and has told why.
    Told(ErrorKind),
    /// Its output could not be written.
    Output(io::Error),
}

impl From<ApiError> for CliError {
    fn from(error: ApiError) -> Self {
        CliError::Api(error)
    }
}

/// Only writing to the terminal or a pipe fails with a bare [`io::Error`] in this crate.
impl From<io::Error> for CliError {
    fn from(error: io::Error) -> Self {
        CliError::Output(error)
    }
}

impl CliError {
    /// Tells the failure and gives the exit code.
    pub(crate) fn show(self, ui: &Ui) -> u8 {
        match self {
            CliError::Api(error) => show(&error, ui),
            CliError::Told(kind) => kind.exit_code(),
            // `potluck ls | head -1` did what it was asked.
            CliError::Output(error) if error.kind() == io::ErrorKind::BrokenPipe => 0,
            CliError::Output(error) => {
                let error = ApiError::internal("the output cannot be written").because(&error);
                show(&error, ui)
            }
        }
    }
}

fn show(error: &ApiError, ui: &Ui) -> u8 {
    // If even this cannot be written, the exit code still tells.
    let _ = if ui.is_json() {
        ui.json(&Line::Outcome(Outcome::Failed { error: error.clone() }))
    } else {
        ui.failure(&text(error, ui))
    };
    error.kind.exit_code()
}

/// A failure for people: what happened, why, what to do.
fn text(error: &ApiError, ui: &Ui) -> String {
    let mut text = format!("{} {}\n", ui.red("error:"), escape(&error.message, MESSAGE_CHARS));
    for cause in &error.causes {
        text += &format!("  because: {}\n", escape(cause, MESSAGE_CHARS));
    }
    if let Some(hint) = &error.hint {
        text += &format!("  {} {}\n", ui.bold("hint:"), escape(hint, MESSAGE_CHARS));
    }
    text
}

/// An answer to another question than was asked.
pub(crate) fn unexpected(reply: &potluck_api::Reply) -> CliError {
    let mut text = format!("{reply:?}");
    text.truncate(text.find(['(', ' ']).unwrap_or(text.len()));
    ApiError::internal(format!("the node answered with {text}, which was not asked for")).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_broken_pipe_is_success_and_other_faults_are_not() {
        let ui = Ui::quiet();
        assert_eq!(CliError::from(io::Error::from(io::ErrorKind::BrokenPipe)).show(&ui), 0);
        assert_eq!(CliError::Told(ErrorKind::Corrupt).show(&ui), 6);
    }

    #[test]
    fn what_a_peer_says_in_an_error_does_not_act_on_the_terminal() {
        let error = ApiError::new(ErrorKind::Corrupt, "file a\u{1b}[2J is bad\nerror: all is well")
            .hint("type \r\"potluck\"");
        let shown = text(&error, &Ui::quiet());
        assert!(!shown.contains('\u{1b}') && !shown.contains('\r'), "{shown:?}");
        assert_eq!(shown.lines().count(), 2, "{shown:?}");
    }
}
