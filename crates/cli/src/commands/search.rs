//! `potluck search WORDS...`

use clap::ValueEnum;
use clap::builder::BoolishValueParser;
use potluck_api::{ApiError, Command, ErrorKind, FileType, Found, Reply, SearchCommand, Sort};

use super::{Context, ask};
use crate::error::{CliError, unexpected};
use crate::show::found::{self, Look};
use crate::units;

/// What differs where no tracker has the whole index.
const WITHOUT_A_SERVER: &str = "In a network without a server (chord, ring) a search needs a word, \
and the beginning of a word needs three letters.";

/// What to type after `search`.
#[derive(Debug, clap::Args)]
#[command(after_help = WITHOUT_A_SERVER)]
pub(crate) struct SearchArgs {
    #[command(flatten)]
    pub(super) what: Wanted,
}

/// What to look for; a tracker's own search has the same words and flags.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct Wanted {
    /// Words, or beginnings of words, of names, paths and tags
    #[arg(value_name = "WORDS")]
    words: Vec<String>,
    /// Only in this network; can be given more than once
    #[arg(short, long, env = "POTLUCK_NETWORK", value_name = "NETWORK", value_delimiter = '\n')]
    network: Vec<String>,
    /// Only files of this type; can be given more than once
    #[arg(short, long = "type", env = "POTLUCK_TYPE", value_name = "TYPE", value_delimiter = ',')]
    kinds: Vec<Type>,
    /// Only what is at least so large, like 10MB
    #[arg(long, env = "POTLUCK_MIN_SIZE", value_name = "SIZE", value_parser = units::size)]
    min_size: Option<u64>,
    /// Only what is at most so large
    #[arg(long, env = "POTLUCK_MAX_SIZE", value_name = "SIZE", value_parser = units::size)]
    max_size: Option<u64>,
    /// What comes first
    #[arg(short, long, env = "POTLUCK_SORT", value_name = "ORDER", default_value = "best")]
    sort: Order,
    /// How many to show at once
    #[arg(long, env = "POTLUCK_LIMIT", value_name = "N", default_value_t = 20)]
    #[arg(value_parser = clap::value_parser!(u16).range(1..=100))]
    limit: u16,
    /// Which page of them
    #[arg(short, long, env = "POTLUCK_PAGE", value_name = "N", default_value_t = 1)]
    #[arg(value_parser = clap::value_parser!(u32).range(1..=10_000))]
    page: u32,
    /// Show ids, for "potluck get ID", instead of sizes and ages
    #[arg(long, env = "POTLUCK_IDS", value_parser = BoolishValueParser::new())]
    ids: bool,
}

/// The types of files by the names that people use.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Type {
    /// Films and clips
    Video,
    /// Music and speech
    #[value(alias = "music")]
    Audio,
    /// Pictures
    #[value(aliases = ["picture", "photo"])]
    Image,
    /// Texts, tables, slides
    #[value(aliases = ["document", "text"])]
    Doc,
    /// Packed files
    Archive,
    /// What can be run or installed
    Program,
    /// Shared folders
    Folder,
    /// Everything else
    Other,
}

/// What comes first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Order {
    /// What fits best and can be had now
    Best,
    /// By name
    Name,
    /// The largest
    Size,
    /// The latest change
    Newest,
    /// The most providers
    Providers,
}

/// Looks for files in the networks.
pub(crate) async fn run(args: SearchArgs, context: &Context) -> Result<(), CliError> {
    let command = args.what.to_command()?;
    let (reply, _) = ask(context, Command::Search(command)).await?;
    if context.ui.json_reply(&reply)? {
        return Ok(());
    }
    let Reply::Found(found) = &reply else {
        return Err(unexpected(&reply));
    };
    found::found(found, args.what.look("potluck search")).print(&context.ui)?;
    if got_no_answer(found) { Err(CliError::Told(ErrorKind::Unreachable)) } else { Ok(()) }
}

/// Whether nothing is known because nobody answered.
fn got_no_answer(found: &Found) -> bool {
    found.groups.is_empty()
        && !found.failures.is_empty()
        && found.failures.len() >= found.networks.len()
}

impl Wanted {
    /// The question, or why it makes no sense.
    pub(super) fn to_command(&self) -> Result<SearchCommand, ApiError> {
        let words = self.words.join(" ").trim().to_owned();
        let is_filtered =
            !self.kinds.is_empty() || self.min_size.is_some() || self.max_size.is_some();
        if words.is_empty() && !is_filtered {
            return Err(ApiError::usage("there is nothing to look for")
                .hint("give words, or a filter: --type, --min-size, --max-size"));
        }
        if let (Some(min), Some(max)) = (self.min_size, self.max_size)
            && min > max
        {
            return Err(ApiError::usage("--min-size is larger than --max-size"));
        }
        Ok(SearchCommand {
            words,
            networks: self.network.clone(),
            kinds: self.kinds.iter().copied().map(Type::in_api).collect(),
            min_size: self.min_size,
            max_size: self.max_size,
            sort: self.sort.in_api(),
            offset: (self.page - 1) * u32::from(self.limit),
            limit: self.limit,
        })
    }

    /// How the answer is shown.
    pub(super) fn look<'a>(&self, command: &'a str) -> Look<'a> {
        Look { command, ids: self.ids, page: self.page }
    }
}

impl Type {
    fn in_api(self) -> FileType {
        match self {
            Type::Video => FileType::Video,
            Type::Audio => FileType::Audio,
            Type::Image => FileType::Image,
            Type::Doc => FileType::Document,
            Type::Archive => FileType::Archive,
            Type::Program => FileType::Program,
            Type::Folder => FileType::Folder,
            Type::Other => FileType::Other,
        }
    }
}

impl Order {
    fn in_api(self) -> Sort {
        match self {
            Order::Best => Sort::Best,
            Order::Name => Sort::Name,
            Order::Size => Sort::Size,
            Order::Newest => Sort::Newest,
            Order::Providers => Sort::Providers,
        }
    }
}
