//! The words of a shell: one description of its commands drives parsing, help, completion and
//! dispatch. It is the same description that the program's own command line is made of.

use clap::builder::{Resettable, Styles};
use clap::{Arg, Subcommand};
use potluck_api::{ApiError, ErrorKind};

use super::line::{self, Cut};
use crate::args;
use crate::ui::table::Table as Rows;

/// The name of the shell in its own errors, which never show it.
const NAMELESS: &str = "";

/// The commands of a shell, `V`, and those that every shell has.
#[derive(Clone, Debug)]
pub(crate) struct Table {
    commands: clap::Command,
}

/// What a line means.
#[derive(Debug)]
pub(crate) enum Typed<V> {
    /// Nothing: it is empty, or a remark.
    Nothing,
    /// A command of this shell.
    Verb(V),
    /// A text that was asked for.
    Help(Vec<String>),
    /// The person wants to leave.
    Leave,
}

/// What a shell can complete besides its own words.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Noun {
    /// Nicknames and ids of peers.
    Peer,
    /// Names of networks.
    Network,
}

/// One way to complete a word.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Choice {
    /// The whole word.
    pub(crate) word: String,
    /// What it means, if that needs saying.
    pub(crate) about: Option<String>,
}

impl Table {
    /// The table of the commands `V`. `leaving` says what `exit` does.
    pub(crate) fn of<V: Subcommand>(leaving: &'static str) -> Self {
        let help = clap::Command::new("help")
            .visible_alias("?")
            .about("Show the commands, or how to type one")
            .arg(Arg::new("command").value_name("COMMAND").help("The command"));
        let exit = clap::Command::new("exit").visible_alias("quit").about(leaving);
        let commands = V::augment_subcommands(clap::Command::new(NAMELESS))
            .subcommands([help, exit])
            .no_binary_name(true)
            .disable_help_subcommand(true)
            .styles(Styles::plain())
            .max_term_width(100)
            .mut_subcommands(plain);
        Self { commands }
    }

    /// Reads a line.
    pub(crate) fn read<V: Subcommand>(&self, line: &str) -> Result<Typed<V>, ApiError> {
        if line.trim().is_empty() || line.trim_start().starts_with('#') {
            return Ok(Typed::Nothing);
        }
        let words = line::words(line).map_err(|error| ApiError::usage(error.text()))?;
        let matches = self
            .commands
            .clone()
            .try_get_matches_from(words)
            .map_err(|error| self.refusal(&error))?;
        match matches.subcommand() {
            Some(("help", given)) => {
                let command = given.get_one::<String>("command").map(String::as_str);
                self.help(command).map(Typed::Help)
            }
            Some(("exit", _)) => Ok(Typed::Leave),
            _ => {
                V::from_arg_matches(&matches).map(Typed::Verb).map_err(|error| self.refusal(&error))
            }
        }
    }

    fn refusal(&self, error: &clap::Error) -> ApiError {
        use clap::error::{ContextKind, ContextValue};
        let text = |kind| match error.get(kind) {
            Some(ContextValue::String(text)) => Some(text.clone()),
            // The best proposal is the last one.
            Some(ContextValue::Strings(texts)) => texts.last().cloned(),
            Some(ContextValue::StyledStr(text)) => Some(text.to_string().trim().to_owned()),
            _ => None,
        };
        let mut failure = args::in_api(error, "\"help\" shows the commands");
        match (text(ContextKind::InvalidSubcommand), text(ContextKind::SuggestedSubcommand)) {
            (Some(word), similar) => {
                failure.message = format!("there is no command {word:?}");
                let hint = similar.map(|word| format!("did you mean \"{word}\"?"));
                let hint = hint.unwrap_or_else(|| "\"help\" shows the commands".to_owned());
                failure = failure.hint(hint);
            }
            (None, _) => {
                if let Some(usage) = text(ContextKind::Usage) {
                    failure = failure.hint(usage);
                }
            }
        }
        failure
    }

    /// The commands, or how to type one of them.
    pub(crate) fn help(&self, command: Option<&str>) -> Result<Vec<String>, ApiError> {
        match command {
            None => Ok(self.overview()),
            Some(name) => {
                let Some(mut command) = self.commands.find_subcommand(name).cloned() else {
                    let message = format!("there is no command {name:?}");
                    let error = ApiError::new(ErrorKind::Usage, message);
                    return Err(error.hint("\"help\" shows the commands"));
                };
                let text = command.render_help().to_string();
                Ok(text.trim_end().lines().map(str::to_owned).collect())
            }
        }
    }

    fn overview(&self) -> Vec<String> {
        let mut rows = Rows::new(&[], &[]);
        for command in self.shown() {
            let mut typed = command.get_name().to_owned();
            for arg in command.get_positionals() {
                let name = value_name(arg);
                let name =
                    if arg.is_required_set() { name.to_owned() } else { format!("[{name}]") };
                typed += &format!(" {name}");
            }
            if command.get_opts().any(|arg| !arg.is_hide_set()) {
                typed += " [--…]";
            }
            let about = command.get_about().map(ToString::to_string).unwrap_or_default();
            rows.row(vec![typed, about]);
        }
        rows.lines().into_iter().skip(1).collect()
    }

    fn shown(&self) -> impl Iterator<Item = &clap::Command> {
        self.commands.get_subcommands().filter(|command| !command.is_hide_set())
    }

    /// How the word at the end of a line can go on. `known` tells what there is of a noun.
    pub(crate) fn complete(
        &self,
        cut: &Cut,
        mut known: impl FnMut(Noun) -> Vec<String>,
    ) -> Vec<Choice> {
        let begun = cut.word.as_deref().unwrap_or_default();
        let mut choices = match cut.before.split_first() {
            None => self.shown().map(named).collect(),
            Some((name, given)) => match self.commands.find_subcommand(name) {
                Some(command) if command.get_name() == "help" => self.shown().map(named).collect(),
                Some(command) => Self::values(command, given, begun, &mut known),
                None => Vec::new(),
            },
        };
        let begun = begun.to_lowercase();
        choices.retain(|choice| choice.word.to_lowercase().starts_with(&begun));
        choices
    }

    fn values(
        command: &clap::Command,
        given: &[String],
        begun: &str,
        known: &mut impl FnMut(Noun) -> Vec<String>,
    ) -> Vec<Choice> {
        let takes_value = |word: &String| {
            command.get_opts().find(|arg| {
                let long = arg.get_long().is_some_and(|long| word.strip_prefix("--") == Some(long));
                let short = arg.get_short().is_some_and(|c| *word == format!("-{c}"));
                long || short
            })
        };
        if let Some(arg) = given.last().and_then(takes_value) {
            return values_of(arg, known);
        }
        if begun.starts_with('-') {
            let flags = command.get_arguments().filter(|arg| !arg.is_hide_set());
            return flags.filter_map(flag).collect();
        }
        // Flags and their values take no place.
        let mut place = 0;
        let mut words = given.iter().peekable();
        while let Some(word) = words.next() {
            if takes_value(word).is_some() {
                words.next();
            } else if !word.starts_with('-') {
                place += 1;
            }
        }
        let arg = command.get_positionals().nth(place);
        arg.map(|arg| values_of(arg, known)).unwrap_or_default()
    }
}

/// A command as a shell shows it: no variables, which are for programs, and no flag for help.
fn plain(command: clap::Command) -> clap::Command {
    command.disable_help_flag(true).mut_args(|arg| arg.env(Resettable::Reset))
}

fn named(command: &clap::Command) -> Choice {
    let about = command.get_about().map(ToString::to_string);
    Choice { word: command.get_name().to_owned(), about }
}

fn flag(arg: &Arg) -> Option<Choice> {
    let about = arg.get_help().map(ToString::to_string);
    arg.get_long().map(|long| Choice { word: format!("--{long}"), about })
}

fn value_name(arg: &Arg) -> &str {
    let names = arg.get_value_names().and_then(|names| names.first());
    names.map_or(arg.get_id().as_str(), |name| name.as_str())
}

fn values_of(arg: &Arg, known: &mut impl FnMut(Noun) -> Vec<String>) -> Vec<Choice> {
    let plain = |word: String| Choice { word, about: None };
    match value_name(arg) {
        "PEER" => known(Noun::Peer).into_iter().map(plain).collect(),
        "NETWORK" => known(Noun::Network).into_iter().map(plain).collect(),
        _ => {
            let values = arg.get_possible_values().into_iter().filter(|value| !value.is_hide_set());
            let choice = |value: clap::builder::PossibleValue| Choice {
                word: value.get_name().to_owned(),
                about: value.get_help().map(ToString::to_string),
            };
            values.map(choice).collect()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, PartialEq, Eq, Subcommand)]
    enum Verb {
        /// List the peers
        Peers,
        /// Measure the round trip to a peer
        Ping {
            /// The peer
            #[arg(value_name = "PEER")]
            peer: String,
            /// How often
            #[arg(short, long, env = "POTLUCK_PING_COUNT", value_name = "N", default_value_t = 1)]
            count: u32,
            /// Where
            #[arg(long, value_name = "NETWORK")]
            network: Option<String>,
        },
    }

    fn table() -> Table {
        Table::of::<Verb>("Leave")
    }

    fn read(line: &str) -> Result<Typed<Verb>, ApiError> {
        table().read(line)
    }

    fn completed(line: &str) -> Vec<String> {
        let known = |noun| match noun {
            Noun::Peer => vec!["ann".to_owned(), "Anton B".to_owned(), "ben".to_owned()],
            Noun::Network => vec!["lab".to_owned()],
        };
        let choices = table().complete(&line::cut(line), known);
        choices.into_iter().map(|choice| choice.word).collect()
    }

    #[test]
    fn the_table_is_free_of_contradictions() {
        table().commands.debug_assert();
    }

    #[test]
    fn a_line_is_read_as_a_command() {
        let ping = |count| Verb::Ping { peer: "ann b".into(), count, network: None };
        assert!(matches!(read(" ").unwrap(), Typed::Nothing));
        assert!(matches!(read("# a remark").unwrap(), Typed::Nothing));
        assert!(matches!(read("quit").unwrap(), Typed::Leave));
        assert!(matches!(read("ping 'ann b'").unwrap(), Typed::Verb(v) if v == ping(1)));
        assert!(matches!(read("ping -c 3 'ann b'").unwrap(), Typed::Verb(v) if v == ping(3)));
    }

    #[test]
    fn an_unknown_command_is_put_right() {
        let error = read("pears").unwrap_err();
        assert_eq!(error.message, "there is no command \"pears\"");
        assert_eq!(error.hint.as_deref(), Some("did you mean \"peers\"?"));
        assert_eq!(read("xyzzy").unwrap_err().hint.as_deref(), Some("\"help\" shows the commands"));
    }

    #[test]
    fn a_command_that_lacks_something_says_how_it_is_typed() {
        let error = read("ping").unwrap_err();
        assert!(error.message.contains("<PEER>"), "{error:?}");
        assert_eq!(error.hint.as_deref(), Some("Usage: ping <PEER>"));
        assert!(read("ping ann --count many").unwrap_err().message.contains("many"));
        assert!(read("ping 'ann").unwrap_err().message.contains("not closed"));
    }

    #[test]
    fn help_names_every_command_and_explains_each() {
        let all = table().help(None).unwrap().join("\n");
        for part in ["peers", "ping PEER [--…]", "help [COMMAND]", "exit"] {
            assert!(all.contains(part), "{all}");
        }
        let one = table().help(Some("ping")).unwrap().join("\n");
        assert!(one.contains("Usage: ping [OPTIONS] <PEER>"), "{one}");
        assert!(!one.contains("POTLUCK_") && !one.contains("--help"), "{one}");
        assert!(table().help(Some("pong")).is_err());
    }

    #[test]
    fn tab_completes_commands_peers_networks_and_flags() {
        assert_eq!(completed("p"), ["peers", "ping"]);
        assert_eq!(completed("ping a"), ["ann", "Anton B"]);
        assert_eq!(completed("ping --count 3 b"), ["ben"]);
        assert_eq!(completed("ping --n"), ["--network"]);
        assert_eq!(completed("ping ann --network "), ["lab"]);
        assert_eq!(completed("help pi"), ["ping"]);
        assert!(completed("ping ann ").is_empty());
        assert!(completed("nonsense a").is_empty());
    }
}
