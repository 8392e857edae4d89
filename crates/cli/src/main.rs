//! The `potluck` program.

mod args;
mod commands;
mod door;
mod error;
mod exit;
mod panics;
mod shell;
mod show;
mod signals;
mod suggest;
mod ui;
mod units;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::ExitCode;
use std::time::Duration;

use potluck_api::{ApiError, ErrorKind};
use tracing_subscriber::EnvFilter;

use crate::args::{Invocation, Verb};
use crate::commands::Context;
use crate::error::CliError;
use crate::shell::LogWriter;
use crate::signals::Interrupt;
use crate::ui::Ui;

/// How long threads may still read or write once a command is over; what matters was written
/// before.
const WIND_UP_TIME: Duration = Duration::from_secs(1);

fn main() -> ExitCode {
    panics::be_polite();
    catch_unwind(AssertUnwindSafe(play))
        .unwrap_or_else(|_| ExitCode::from(ErrorKind::Internal.exit_code()))
}

fn play() -> ExitCode {
    let invocation = match args::parse(std::env::args_os()) {
        Ok(invocation) => invocation,
        Err(ended) => return ended.show(),
    };
    let ui = Ui::new(&invocation.globals);
    // The one command that needs neither a home nor a runtime, and must be as quick as the shell's
    // start.
    let result = match &invocation.verb {
        Verb::Completions(args) => commands::completions::run(args),
        _ => run(invocation, &ui),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => ExitCode::from(error.show(&ui)),
    }
}

fn run(invocation: Invocation, ui: &Ui) -> Result<(), CliError> {
    log(&invocation, ui);
    raise_open_files();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|error| ApiError::from_error(ErrorKind::Internal, &error))?;
    let result = runtime.block_on(async {
        let interrupt = Interrupt::listen()?;
        let settings = invocation.settings;
        commands::run(invocation.verb, &Context { ui: ui.clone(), settings, interrupt }).await
    });
    runtime.shutdown_timeout(WIND_UP_TIME);
    result
}

/// Folders with many files and swarms with many peers need more open files than the usual soft
/// limit.
fn raise_open_files() {
    #[cfg(unix)]
    {
        use rustix::process::{Resource, getrlimit, setrlimit};
        let mut limit = getrlimit(Resource::Nofile);
        limit.current = limit.maximum;
        // What the system does not give is done without.
        let _ = setrlimit(Resource::Nofile, limit);
    }
}

/// The log goes to stderr: faults only, more with `-v`, or what `POTLUCK_LOG` says.
fn log(invocation: &Invocation, ui: &Ui) {
    let default = match (invocation.globals.verbose, invocation.verb.is_daemon()) {
        (0, false) => "off",
        // Above a prompt stands what needs a person.
        (0, true) if ui.has_prompt() && matches!(invocation.verb, Verb::Tracker(_)) => "warn",
        (0, true) => "warn,potluck=info",
        (1, _) => "warn,potluck=info",
        (2, _) => "info,potluck=debug",
        _ => "debug,potluck=trace",
    };
    let filter = EnvFilter::try_from_env("POTLUCK_LOG").unwrap_or_else(|_| {
        // `potluck=…` means all our crates, whose targets begin with `potluck_`.
        EnvFilter::new(default)
    });
    let to_stderr = tracing_subscriber::fmt().with_writer(LogWriter).with_env_filter(filter);
    // A second subscriber would be a fault of ours, and no reason to stop.
    let _ = to_stderr.with_ansi(console::colors_enabled_stderr()).try_init();
}
