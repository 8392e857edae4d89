//! Draws the circle of a real network from what its nodes tell: `potluck dht status --json` and
//! `potluck dht keys --json`, one file each or several in one.

mod draw;
mod read;

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

use draw::Picture;
use read::Ring;

/// Keys that are drawn if nobody says how many: more of them hide the peers.
const KEYS: usize = 6;

/// Draw the circle of a network from the JSON of its nodes.
#[derive(clap::Args)]
pub struct Args {
    /// What nodes told: `potluck dht status --json` of each, and `potluck dht keys --json` of some.
    #[arg(required = true)]
    files: Vec<PathBuf>,
    /// Whose fingers are drawn; those of the first node if nobody is named.
    #[arg(long, value_name = "NICK")]
    fingers_of: Option<String>,
    /// How many keys are drawn at most.
    #[arg(long, default_value_t = KEYS)]
    keys: usize,
    /// Where the picture goes; to stdout if nowhere.
    #[arg(short, long)]
    output: Option<PathBuf>,
}

/// Draws the picture.
pub fn run(args: &Args) -> Result<()> {
    let mut ring = Ring::default();
    for file in &args.files {
        let text = text_of(file)?;
        ring.read(&text).with_context(|| format!("reading {}", file.display()))?;
    }
    if ring.nodes.is_empty() {
        bail!("no file holds the answer to `potluck dht status --json`");
    }
    let chosen = match &args.fingers_of {
        None => &ring.nodes[0],
        Some(nick) => {
            let named = ring.nodes.iter().find(|node| node.own.nick == *nick);
            named.with_context(|| format!("no file tells the status of {nick:?}"))?
        }
    };
    let svg = Picture { ring: &ring, chosen, keys: args.keys }.svg();
    match &args.output {
        None => print!("{svg}"),
        Some(path) => {
            std::fs::write(path, svg).with_context(|| format!("writing {}", path.display()))?
        }
    }
    Ok(())
}

fn text_of(file: &Path) -> Result<String> {
    std::fs::read_to_string(file).with_context(|| format!("reading {}", file.display()))
}
