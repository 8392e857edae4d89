//! Looking for files in networks: questions, and what is found.

use potluck_base::{ContentId, PeerId};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::{NetworkName, PeerName, ShareKind};

/// What to look for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SearchCommand {
    /// Words, or beginnings of words, that all stand in a file's name, path or tags. Case and
    /// accents do not matter.
    pub words: String,
    /// Networks to ask, by name, id or the first characters of an id; all of them if there is none.
    #[serde(default)]
    pub networks: Vec<String>,
    /// Only files of these types; of all types if there is none.
    #[serde(default)]
    pub kinds: Vec<FileType>,
    /// Only what has at least so many bytes.
    #[serde(default)]
    pub min_size: Option<u64>,
    /// Only what has at most so many bytes.
    #[serde(default)]
    pub max_size: Option<u64>,
    /// The order.
    #[serde(default)]
    pub sort: Sort,
    /// How many groups to skip, for the next page.
    #[serde(default)]
    pub offset: u32,
    /// How many groups to answer at most, 1 to 100.
    #[serde(default = "page")]
    pub limit: u16,
}

impl Default for SearchCommand {
    /// Everything, a page of it.
    fn default() -> Self {
        Self {
            words: String::new(),
            networks: Vec::new(),
            kinds: Vec::new(),
            min_size: None,
            max_size: None,
            sort: Sort::Best,
            offset: 0,
            limit: page(),
        }
    }
}

/// Groups of one answer, if nobody says how many: as much as a person looks at.
const fn page() -> u16 {
    20
}

/// What kind of file a name promises.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum FileType {
    /// Films and clips.
    Video,
    /// Music and speech.
    Audio,
    /// Pictures.
    Image,
    /// Texts, tables, slides.
    Document,
    /// Packed files.
    Archive,
    /// What can be run or installed.
    Program,
    /// Everything else.
    Other,
    /// A shared folder itself.
    Folder,
}

/// The order of what is found.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Sort {
    /// What fits best and can be had now.
    #[default]
    Best,
    /// By name.
    Name,
    /// The largest first.
    Size,
    /// The latest change first.
    Newest,
    /// The most providers first.
    Providers,
}

/// What was found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Found {
    /// Equal contents are one group.
    pub groups: Vec<FoundGroup>,
    /// Whether there are more behind these.
    pub more: bool,
    /// Other words that would find something.
    #[serde(default)]
    pub did_you_mean: Option<String>,
    /// How old this is in milliseconds, if a directory does not answer now and its last known
    /// answers stand in.
    #[serde(default)]
    pub stale_ms: Option<u64>,
    /// The networks that were asked.
    pub networks: Vec<NetworkName>,
    /// Those of them that gave no answer.
    #[serde(default)]
    pub failures: Vec<NetworkFailure>,
}

/// A network that gave no answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct NetworkFailure {
    /// The network.
    pub network: NetworkName,
    /// Why, as half a sentence.
    pub why: String,
}

/// One content that was found, under one or several names.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct FoundGroup {
    /// Its content id; none if only unverified providers have it.
    #[schema(value_type = Option<String>)]
    #[serde(default)]
    pub content: Option<ContentId>,
    /// File or folder.
    pub kind: ShareKind,
    /// Its bytes; none if nobody can say.
    #[serde(default)]
    pub size: Option<u64>,
    /// Providers that are here now.
    pub online: u32,
    /// All providers; their names outlive their presence.
    pub providers: u32,
    /// How many of them have only a part of it.
    pub partial: u32,
    /// When the youngest copy was changed last, in seconds since 1970; none if nobody can say.
    #[serde(default)]
    pub newest_s: Option<u64>,
    /// The networks that know it.
    pub networks: Vec<NetworkName>,
    /// Its best names: at least one, three at most.
    pub hits: Vec<FoundHit>,
}

/// One name of a content, at one provider.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct FoundHit {
    /// The path, the share's name first; a peer's words.
    pub path: String,
    /// The provider; none if it has no key.
    #[serde(default)]
    pub peer: Option<PeerName>,
    /// Whether the provider is here now.
    pub online: bool,
    /// When the provider was seen last, in milliseconds since 1970.
    pub last_seen_ms: u64,
    /// Address of a provider without key: nobody vouches for its files.
    #[serde(default)]
    pub unverified: Option<String>,
}

/// The contents that somebody may have meant.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Candidates {
    /// The best first; one only if the name leaves no choice.
    pub candidates: Vec<Candidate>,
    /// Other words that would find something.
    #[serde(default)]
    pub did_you_mean: Option<String>,
    /// Networks that gave no answer.
    #[serde(default)]
    pub failures: Vec<NetworkFailure>,
}

/// One content that somebody may have meant.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Candidate {
    /// Its name.
    pub name: String,
    /// Its content id; none if only unverified providers have it.
    #[schema(value_type = Option<String>)]
    #[serde(default)]
    pub content: Option<ContentId>,
    /// File or folder.
    pub kind: ShareKind,
    /// Its bytes; none if nobody can say.
    #[serde(default)]
    pub size: Option<u64>,
    /// Files in it.
    pub files: u64,
    /// All providers.
    pub providers: u32,
    /// Those of them that are here now.
    pub online: u32,
    /// The network that knows it.
    pub network: NetworkName,
    /// What `get` takes to fetch it: a ticket, or for an unverified one a text that this node
    /// understands.
    pub ticket: String,
    /// Address of the provider if it has no key: nobody vouches for the file.
    #[serde(default)]
    pub unverified: Option<String>,
    /// Where it stands at providers, the share's name first; three at most.
    pub paths: Vec<String>,
}

/// Whose files to tell.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct BrowseCommand {
    /// The member: its id, the first characters of its id, or its nickname.
    pub peer: String,
    /// The network, by name, id or the first characters of its id; all of them if not given.
    #[serde(default)]
    pub network: Option<String>,
    /// One of its shares, by name or key: then its files are told, else its shares.
    #[serde(default)]
    pub share: Option<String>,
    /// Only files behind this path: [`Browsed::after`] of the last answer, for the next page.
    #[serde(default)]
    pub after: Option<String>,
}

/// What a member shares.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Browsed {
    /// The member.
    pub peer: PeerName,
    /// The network.
    pub network: NetworkName,
    /// Whether it is here now.
    pub online: bool,
    /// When it was seen last, in milliseconds since 1970.
    pub last_seen_ms: u64,
    /// Its shares, by name; only the one that was asked for if one was.
    pub shares: Vec<BrowsedShare>,
    /// The files of the share that was asked for, by path.
    #[serde(default)]
    pub entries: Vec<BrowsedEntry>,
    /// The last path told, if there are more behind it.
    #[serde(default)]
    pub after: Option<String>,
}

/// One share of a member.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct BrowsedShare {
    /// Its key: the same for as long as it is published, whatever changes in it.
    pub key: String,
    /// Its name.
    pub name: String,
    /// What it holds now.
    #[schema(value_type = String)]
    pub content: ContentId,
    /// File or folder.
    pub kind: ShareKind,
    /// Its bytes.
    pub size: u64,
    /// Its files.
    pub files: u64,
    /// Its tags.
    pub tags: Vec<String>,
    /// Whether the member has only a part of it yet.
    pub partial: bool,
}

/// One file of a share of a member.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct BrowsedEntry {
    /// Its path below the share.
    pub path: String,
    /// Its content id.
    #[schema(value_type = String)]
    pub content: ContentId,
    /// Its bytes.
    pub size: u64,
    /// Whether it may be run.
    pub executable: bool,
    /// When it was changed last, in seconds since 1970.
    pub modified_s: u64,
}

impl PeerName {
    /// A peer without a known nickname.
    pub fn unnamed(id: PeerId) -> Self {
        Self { id, nick: None }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_search_needs_no_more_than_words() {
        let search: SearchCommand = serde_json::from_str(r#"{"words":"frog film"}"#).unwrap();
        assert_eq!(search.limit, page());
        assert_eq!(search.sort, Sort::Best);
        assert!(serde_json::from_str::<SearchCommand>(r#"{"words":"a","limits":3}"#).is_err());
    }
}
