//! What the person typed: flags, verbs and nothing that needs more than the command line and the
//! environment.

use std::ffi::OsString;
use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::builder::BoolishValueParser;
use clap::error::{ContextKind, ContextValue, ErrorKind as ClapKind};
use clap::parser::ValueSource;
use clap::{
    ArgAction, ArgMatches, Args, CommandFactory, FromArgMatches, Parser, Subcommand, ValueEnum,
};
use potluck_api::{ApiError, ErrorKind, Line, Outcome};
use potluck_node::{Config, Overrides};

use crate::commands::{
    browse, completions, config, daemon, demo, dht, get, id, invite, join, ls, network, paths,
    peers, ping, search, send, share, status, store, stored, tracker, unshare,
};
use crate::suggest::Suggestion;
use crate::{exit, suggest};

/// Share files and folders directly between your devices: encrypted, verified, resumable, nobody in
/// the middle.
#[derive(Debug, Parser)]
#[command(name = "potluck", bin_name = "potluck", version, max_term_width = 100)]
#[command(after_help = exit::table(), subcommand_required = true)]
pub(crate) struct Cli {
    #[command(flatten)]
    globals: Globals,
    #[command(subcommand)]
    verb: Verb,
}

/// Flags of every command.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Everywhere")]
pub(crate) struct Globals {
    /// The folder of the node's key and state [default: ~/.local/state/potluck]
    #[arg(long, global = true, env = "POTLUCK_HOME", value_name = "FOLDER")]
    home: Option<PathBuf>,
    /// Addresses to listen on for peers, if this command starts the node
    #[arg(long, global = true, env = "POTLUCK_LISTEN", value_name = "ADDRESS:PORT,…")]
    listen: Option<String>,
    /// A setting for the node, if this command starts it; see "potluck config show"
    #[arg(long = "set", global = true, env = "POTLUCK_SET", value_name = "KEY=VALUE")]
    #[arg(action = ArgAction::Append, value_parser = pair, value_delimiter = '\n')]
    settings: Vec<(String, String)>,
    /// Write JSON, a value a line: events as they come, the outcome as the last
    #[arg(long, global = true, env = "POTLUCK_JSON", value_parser = BoolishValueParser::new())]
    pub(crate) json: bool,
    /// Show nothing but results and failures
    #[arg(short, long, global = true, env = "POTLUCK_QUIET")]
    #[arg(value_parser = BoolishValueParser::new())]
    pub(crate) quiet: bool,
    /// Log to stderr; more with -vv and -vvv
    #[arg(short, long, global = true, env = "POTLUCK_VERBOSE", action = ArgAction::Count)]
    pub(crate) verbose: u8,
    /// Colour the output
    #[arg(long, global = true, env = "POTLUCK_COLOR", value_name = "WHEN", default_value = "auto")]
    pub(crate) color: Color,
}

/// When to colour.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Color {
    /// On a terminal, unless NO_COLOR is set
    Auto,
    /// Always
    Always,
    /// Never
    Never,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub(crate) enum Verb {
    /// Share files and folders: prints a ticket, then serves it
    Share(share::ShareArgs),
    /// Fetch what a ticket or a name stands for, or continue to
    #[command(visible_aliases = ["receive", "recv", "rx"], alias = "recieve")]
    Get(get::GetArgs),
    /// Share, and end when the receivers have everything
    #[command(visible_alias = "tx")]
    Send(send::SendArgs),
    /// List what is shared and what is not finished
    Ls(ls::LsArgs),
    /// Stop sharing something; its files stay
    Unshare(unshare::UnshareArgs),
    /// Look for files in the networks
    Search(search::SearchArgs),
    /// Show what a member of a network shares
    Browse(browse::BrowseArgs),
    /// Enter a network with an invite
    Join(join::JoinArgs),
    /// Make an invite to a network
    Invite(invite::InviteArgs),
    /// Make, list and leave networks; list and revoke their members
    #[command(subcommand)]
    Network(network::NetworkVerb),
    /// Put files into a network itself: copies live on its members, even when you are away
    Store(store::StoreArgs),
    /// List, remove and repair what is stored in networks
    #[command(subcommand)]
    Stored(stored::StoredVerb),
    /// Look at the circle of a network without a server, leave it and return to it
    #[command(subcommand)]
    Dht(dht::DhtVerb),
    /// Run a tracker, the index server of networks, or ask the one that runs
    Tracker(tracker::TrackerArgs),
    /// List the members of the networks, and the peers that are linked, and over what
    Peers(peers::PeersArgs),
    /// Measure the round trip to a peer
    Ping(ping::PingArgs),
    /// Show how the node is
    Status(status::StatusArgs),
    /// Show who the node is
    Id(id::IdArgs),
    /// Show where the node keeps its things
    Paths(paths::PathsArgs),
    /// Show the settings
    #[command(subcommand)]
    Config(config::ConfigVerb),
    /// Print completions for a shell
    Completions(completions::CompletionsArgs),
    /// Run a node in the background
    #[command(subcommand)]
    Daemon(daemon::DaemonVerb),
    /// Play a whole trip on this machine: a provider and three receivers that help each other
    Demo(demo::DemoArgs),
}

impl Verb {
    /// Whether this is the process that goes on running in the background.
    pub(crate) fn is_daemon(&self) -> bool {
        match self {
            Verb::Daemon(daemon::DaemonVerb::Run(_)) => true,
            Verb::Tracker(args) => args.is_run(),
            _ => false,
        }
    }
}

/// A command line that makes sense.
#[derive(Debug)]
pub(crate) struct Invocation {
    pub(crate) globals: Globals,
    pub(crate) verb: Verb,
    pub(crate) settings: Settings,
}

/// What flags say about the node.
#[derive(Clone, Debug, Default)]
pub(crate) struct Settings {
    pub(crate) home: Option<PathBuf>,
    /// Only if it stands on the command line: the node reads its environment itself, and tells it
    /// apart.
    pub(crate) listen: Option<String>,
    pub(crate) others: Vec<(String, String)>,
}

impl Settings {
    /// Reads the node's configuration, with the flags on top.
    pub(crate) fn load(&self) -> Result<Config, ApiError> {
        let overrides = Overrides { listen: self.listen.clone(), config: self.others.clone() };
        Config::load(self.home.clone(), overrides)
    }
}

/// Reads a command line.
pub(crate) fn parse(args: impl Iterator<Item = OsString>) -> Result<Invocation, Ended> {
    let args: Vec<OsString> = args.collect();
    if args.len() <= 1 {
        return Err(Ended::Nothing);
    }
    let json = wants_json(&args);
    let ended = |error| Ended::Clap { error, json };
    let matches = command().try_get_matches_from(args).map_err(ended)?;
    let Cli { globals, verb } = Cli::from_arg_matches(&matches).map_err(ended)?;
    let settings = Settings {
        home: globals.home.clone(),
        listen: globals.listen.clone().filter(|_| is_typed(&matches, "listen")),
        others: globals.settings.clone(),
    };
    Ok(Invocation { globals, verb, settings })
}

/// The command line as clap sees it. Values of the environment stay out of the help: some are long,
/// some secret.
pub(crate) fn command() -> clap::Command {
    fn hide_values(command: clap::Command) -> clap::Command {
        command.mut_args(|arg| arg.hide_env_values(true)).mut_subcommands(hide_values)
    }
    hide_values(Cli::command())
}

fn is_typed(matches: &ArgMatches, name: &str) -> bool {
    matches.value_source(name) == Some(ValueSource::CommandLine)
}

fn pair(text: &str) -> Result<(String, String), String> {
    let (key, value) = text.split_once('=').ok_or("it has no \"=\"")?;
    Ok((key.trim().to_owned(), value.trim().to_owned()))
}

/// Whether JSON is asked for, even if nothing else on the command line makes sense.
fn wants_json(args: &[OsString]) -> bool {
    let in_env = std::env::var("POTLUCK_JSON").is_ok_and(|value| {
        matches!(value.to_ascii_lowercase().as_str(), "1" | "true" | "yes" | "on")
    });
    in_env || args.iter().take_while(|arg| *arg != "--").any(|arg| arg == "--json")
}

/// A command line that needs no running.
#[derive(Debug)]
pub(crate) enum Ended {
    /// There is nothing on it.
    Nothing,
    /// Help, version, or what makes no sense.
    Clap {
        /// Which of them.
        error: clap::Error,
        /// Whether it is to be told in JSON.
        json: bool,
    },
}

impl Ended {
    /// Shows what there is to show.
    pub(crate) fn show(self) -> ExitCode {
        // In all cases the exit code tells even if stdout and stderr are gone.
        let _ = match self {
            Ended::Nothing => write!(std::io::stderr(), "{}", command().render_help()),
            Ended::Clap { error, .. } if !error.use_stderr() => {
                let _ = error.print();
                return ExitCode::SUCCESS;
            }
            Ended::Clap { error, json } => show_failure(&error, json),
        };
        ExitCode::from(ErrorKind::Usage.exit_code())
    }
}

fn show_failure(error: &clap::Error, json: bool) -> std::io::Result<()> {
    match (json, unknown_verb(error).and_then(suggest::for_first_word)) {
        (true, suggestion) => show_json(error, suggestion),
        (false, Some(Suggestion { problem, proposal })) => {
            writeln!(std::io::stderr(), "error: {problem}\n{proposal}")
        }
        (false, None) => error.print(),
    }
}

fn unknown_verb(error: &clap::Error) -> Option<&str> {
    match (error.kind(), error.get(ContextKind::InvalidSubcommand)) {
        (ClapKind::InvalidSubcommand, Some(ContextValue::String(word))) => Some(word),
        _ => None,
    }
}

fn show_json(error: &clap::Error, suggestion: Option<Suggestion>) -> std::io::Result<()> {
    let failure = match suggestion {
        Some(suggestion) => ApiError::usage(suggestion.problem).hint(suggestion.proposal),
        None => in_api(error, "\"potluck --help\" shows the commands"),
    };
    let line = serde_json::to_string(&Line::Outcome(Outcome::Failed { error: failure }))?;
    writeln!(std::io::stdout(), "{line}")
}

/// A line that makes no sense, in the words of the API; `hint` if clap has no better one.
pub(crate) fn in_api(error: &clap::Error, hint: &str) -> ApiError {
    let text = error.to_string();
    let mut parts = text.split("\n\n");
    let message = parts.next().unwrap_or_default().trim();
    let failure = ApiError::usage(message.strip_prefix("error: ").unwrap_or(message));
    match parts.find(|part| part.contains("tip:")) {
        Some(tip) => failure.hint(tip.trim().trim_start_matches("tip: ")),
        None => failure.hint(hint),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_free_of_contradictions() {
        Cli::command().debug_assert();
    }

    #[test]
    fn every_flag_has_an_environment_variable() {
        fn check(command: &clap::Command) {
            for arg in command.get_arguments().filter(|arg| arg.get_long().is_some()) {
                let name = arg.get_id().as_str();
                if matches!(name, "help" | "version") || arg.is_hide_set() {
                    continue;
                }
                let env = arg.get_env().and_then(|env| env.to_str()).unwrap_or_default();
                assert!(env.starts_with("POTLUCK_"), "--{name} of {}", command.get_name());
            }
            command.get_subcommands().for_each(check);
        }
        check(&Cli::command());
    }
}
