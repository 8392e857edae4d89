//! What searches find and what peers share, for people.

use potluck_api::{
    Browsed, BrowsedEntry, BrowsedShare, Candidate, Found, FoundGroup, FoundHit, NetworkFailure,
    ShareKind,
};
use potluck_base::Bytes;

use super::networks::{names, stale};
use super::{Shown, label, peer, presence};
use crate::suggest::quoted;
use crate::ui::shown;
use crate::ui::table::Table;
use crate::ui::when::{ago, ago_s};

/// How a search is shown.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Look<'a> {
    /// The command that proposals begin with: `potluck search`.
    pub(crate) command: &'a str,
    /// Whether ids stand in the place of sizes and ages.
    pub(crate) ids: bool,
    /// Number of the page, from 1.
    pub(crate) page: u32,
}

/// What was found, a line a content.
pub(crate) fn found(found: &Found, look: Look<'_>) -> Shown {
    let mut out = Shown::default();
    if !found.groups.is_empty() {
        out.table(&groups(found, look.ids));
    }
    for failure in &found.failures {
        out.warning(no_answer(failure));
    }
    if let Some(age) = found.stale_ms {
        let who = if found.networks.is_empty() { "it".to_owned() } else { names(&found.networks) };
        out.warning(stale(&who, age));
    }
    match (found.groups.is_empty(), look.page) {
        (true, 0 | 1) => out.note("Nothing was found."),
        (true, _) => out.note("There is no more."),
        (false, page) if found.more => {
            out.note(format!("There is more: --page {}", page.saturating_add(1)));
        }
        (false, _) => {}
    }
    if let Some(words) = &found.did_you_mean {
        out.note(did_you_mean(look.command, words));
    }
    out
}

/// Another command that would find something.
pub(crate) fn did_you_mean(command: &str, words: &str) -> String {
    format!("Did you mean: {command} {}", quoted(&shown(words)))
}

/// A network that gave no answer.
pub(crate) fn no_answer(failure: &NetworkFailure) -> String {
    format!("{} gave no answer: {}", label(&failure.network.name), shown(&failure.why))
}

fn groups(found: &Found, ids: bool) -> Table {
    if ids {
        let mut table = Table::new(&["ID", "NAME"], &[]);
        for group in &found.groups {
            let id = group.content.map_or_else(|| "-".to_owned(), |id| id.to_string());
            table.row(vec![id, best_name(group)]);
        }
        return table;
    }
    let is_merged = found.networks.len() > 1;
    let mut headings = vec!["SIZE", "PROVIDERS", "CHANGED"];
    if is_merged {
        headings.push("NETWORK");
    }
    headings.push("NAME");
    let mut table = Table::new(&headings, &[0]);
    for group in &found.groups {
        let mut row = vec![
            size(group.size),
            providers(group),
            group.newest_s.map_or_else(|| "-".to_owned(), ago_s),
        ];
        if is_merged {
            row.push(names(&group.networks));
        }
        row.push(best_name(group));
        table.row(row);
    }
    table
}

/// A size, if anybody knows it.
fn size(bytes: Option<u64>) -> String {
    bytes.map_or_else(|| "?".to_owned(), |bytes| Bytes(bytes).to_string())
}

/// Who has it, and whether they are here: `● 2 of 3 online`, `○ seen 3 h ago`.
fn providers(group: &FoundGroup) -> String {
    let seen = group.hits.iter().map(|hit| hit.last_seen_ms).max();
    let mut text = match (group.online, seen) {
        (0, Some(seen)) => format!("{} seen {}", console::style("○").dim(), ago(seen)),
        (online, _) => available(online, group.providers),
    };
    if group.partial > 0 {
        text += &format!(", {} partial", group.partial);
    }
    text
}

fn available(online: u32, providers: u32) -> String {
    if online == 0 {
        presence(false)
    } else if online == providers {
        format!("{} {online} online", console::style("●").green())
    } else {
        format!("{} {online} of {providers} online", console::style("●").green())
    }
}

fn best_name(group: &FoundGroup) -> String {
    let mut hits = group.hits.iter();
    let mut text = hits.next().map_or_else(|| "-".to_owned(), |hit| name(hit, group.kind));
    let others = hits.map(|hit| name(hit, group.kind)).filter(|other| *other != text);
    let others: Vec<String> = others.collect();
    if !others.is_empty() {
        text += &format!("  (also {})", others.join(", "));
    }
    text
}

fn name(hit: &FoundHit, kind: ShareKind) -> String {
    let path = path(&hit.path, kind);
    match &hit.unverified {
        Some(address) => format!("{path}  [unverified, {}]", shown(address)),
        None => path,
    }
}

fn path(path: &str, kind: ShareKind) -> String {
    match kind {
        ShareKind::File => shown(path),
        ShareKind::Folder => format!("{}/", shown(path)),
    }
}

/// Contents that bear one name, as a numbered list.
pub(crate) fn candidates(candidates: &[Candidate]) -> Table {
    let mut table = Table::new(&["", "SIZE", "PROVIDERS", "NETWORK", "NAME"], &[0, 1]);
    for (position, candidate) in candidates.iter().enumerate() {
        table.row(vec![
            format!("{}", position + 1),
            size(candidate.size),
            available(candidate.online, candidate.providers),
            label(&candidate.network.name),
            place(candidate),
        ]);
    }
    table
}

/// The same for a program or a log: what to type to get each.
pub(crate) fn candidate_line(candidate: &Candidate) -> String {
    let what = match candidate.content {
        Some(id) => id.to_string(),
        None => quoted(&shown(&candidate.ticket)),
    };
    format!("{what}  {}", candidate_summary(candidate))
}

/// One content in a line.
pub(crate) fn candidate_summary(candidate: &Candidate) -> String {
    let size = size(candidate.size);
    let online = available(candidate.online, candidate.providers);
    format!("{}: {size}, {online}, in {}", place(candidate), label(&candidate.network.name))
}

fn place(candidate: &Candidate) -> String {
    let known = candidate.paths.first().unwrap_or(&candidate.name);
    let path = path(known, candidate.kind);
    match &candidate.unverified {
        Some(address) => format!("{path}  [unverified, {}]", shown(address)),
        None => path,
    }
}

/// What a member shares.
pub(crate) fn browsed(browsed: &Browsed, wanted_files: bool) -> Shown {
    let mut out = Shown::default();
    let who = format!("{} in {}", peer(&browsed.peer), label(&browsed.network.name));
    if wanted_files {
        out.table(&entries(&browsed.entries));
    } else if !browsed.shares.is_empty() {
        out.table(&shares(&browsed.shares));
    }
    if !wanted_files && browsed.shares.is_empty() {
        out.note(format!("{who} shares nothing."));
    }
    if !browsed.online {
        out.note(match browsed.last_seen_ms {
            0 => format!("{who} is offline."),
            seen => format!("{who} is offline, last seen {}.", ago(seen)),
        });
    }
    if browsed.after.is_some() {
        out.note("There are more files than this.");
    }
    out
}

fn shares(shares: &[BrowsedShare]) -> Table {
    let mut table = Table::new(&["FILES", "SIZE", "ID", "TAGS", "NAME"], &[0, 1]);
    for share in shares {
        let tags: Vec<String> = share.tags.iter().map(|tag| label(tag)).collect();
        let partial = if share.partial { "  [partial]" } else { "" };
        table.row(vec![
            share.files.to_string(),
            Bytes(share.size).to_string(),
            share.content.short(),
            if tags.is_empty() { "-".to_owned() } else { tags.join(" ") },
            format!("{}{partial}", path(&share.name, share.kind)),
        ]);
    }
    table
}

fn entries(entries: &[BrowsedEntry]) -> Table {
    let mut table = Table::new(&["SIZE", "CHANGED", "PATH"], &[0]);
    for entry in entries {
        table.row(vec![Bytes(entry.size).to_string(), ago_s(entry.modified_s), shown(&entry.path)]);
    }
    table
}

#[cfg(test)]
mod tests {
    use potluck_api::{NetworkName, PeerName};
    use potluck_base::{ContentId, NetworkId, PeerId};

    use super::*;

    const LOOK: Look<'_> = Look { command: "potluck search", ids: false, page: 1 };

    fn lab() -> NetworkName {
        NetworkName { id: NetworkId([1; 32]), name: "lab".into() }
    }

    fn hit(path: &str) -> FoundHit {
        FoundHit {
            path: path.into(),
            peer: Some(PeerName::unnamed(PeerId([3; 32]))),
            online: true,
            last_seen_ms: 0,
            unverified: None,
        }
    }

    fn group(hits: Vec<FoundHit>) -> FoundGroup {
        FoundGroup {
            content: Some(ContentId([7; 32])),
            kind: ShareKind::File,
            size: Some(1_200_000),
            online: 2,
            providers: 3,
            partial: 1,
            newest_s: Some(0),
            networks: vec![lab()],
            hits,
        }
    }

    fn answer(groups: Vec<FoundGroup>) -> Found {
        Found {
            groups,
            more: false,
            did_you_mean: None,
            stale_ms: None,
            networks: vec![lab()],
            failures: Vec::new(),
        }
    }

    #[test]
    fn a_content_is_one_line_with_its_providers_in_words() {
        console::set_colors_enabled(false);
        let text = found(&answer(vec![group(vec![hit("talks/frog.mp4"), hit("b/f.mp4")])]), LOOK);
        let text = text.text();
        let line = text.lines().nth(1).unwrap();
        assert!(line.contains("1.2 MB  ● 2 of 3 online, 1 partial"), "{text}");
        assert!(line.ends_with("talks/frog.mp4  (also b/f.mp4)"), "{text}");
    }

    #[test]
    fn what_nobody_has_now_says_when_it_was_seen() {
        console::set_colors_enabled(false);
        let mut gone = group(vec![hit("a")]);
        (gone.online, gone.partial) = (0, 0);
        assert!(found(&answer(vec![gone]), LOOK).text().contains("○ seen "));
    }

    #[test]
    fn nothing_found_proposes_other_words_as_a_shell_takes_them() {
        let mut none = answer(Vec::new());
        none.did_you_mean = Some("frog film".into());
        let text = found(&none, LOOK).text();
        assert!(text.contains("Nothing was found."), "{text}");
        assert!(text.contains("Did you mean: potluck search 'frog film'"), "{text}");
    }

    #[test]
    fn an_answer_that_is_old_or_not_whole_says_so() {
        let mut old = answer(vec![group(vec![hit("a")])]);
        old.stale_ms = Some(125_000);
        old.failures = vec![NetworkFailure { network: lab(), why: "it is away".into() }];
        old.more = true;
        let text = found(&old, LOOK).text();
        assert!(text.contains("lab gave no answer: it is away"), "{text}");
        assert!(text.contains("2 min 5 s ago"), "{text}");
        assert!(text.contains("There is more: --page 2"), "{text}");
    }

    #[test]
    fn a_peers_names_are_shown_not_obeyed_and_unverified_ones_are_marked() {
        let mut bad = hit("a\u{1b}[31m\u{202e}gpj.exe\n");
        bad.unverified = Some("10.0.0.1:7734".into());
        let text = found(&answer(vec![group(vec![bad])]), LOOK).text();
        assert!(!text.contains(['\u{1b}', '\u{202e}']), "{text:?}");
        assert!(text.contains("[unverified, 10.0.0.1:7734]"), "{text}");
    }

    #[test]
    fn ids_can_be_copied_whole() {
        let text = found(&answer(vec![group(vec![hit("a")])]), Look { ids: true, ..LOOK }).text();
        assert!(text.contains(&ContentId([7; 32]).to_string()), "{text}");
    }
}
