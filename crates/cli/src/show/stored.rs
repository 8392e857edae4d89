//! Files in networks, for people.

use potluck_api::{CopyState, HeldFile, PeerName, Stored, StoredFile, StoredFiles, StoredRemoved};
use potluck_base::Bytes;

use super::{Shown, label, peer};
use crate::ui::table::Table;
use crate::ui::when::ahead;
use crate::ui::{counted, shown};

/// Holders of a file that are named one by one.
const HOLDERS_NAMED: usize = 4;

/// What was put into a network: the ids are the result, the rest is for people.
pub(crate) fn put(files: &[StoredFile]) -> Shown {
    let mut out = Shown::default();
    for file in files {
        out.result(file.content.to_string());
        let (name, network) = (shown(&file.name), label(&file.network.name));
        let (there, size) = (counted(file.there() as u64, "copy"), Bytes(file.bytes));
        out.note(format!("{name}, {size}: {there} in {network}, at {}.", holders(file)));
        gaps(file).into_iter().for_each(|line| out.warning(line));
    }
    if let Some(first) = files.first() {
        let until = ahead(first.expires_ms);
        out.note(format!("Kept for {until}; your node renews that whenever it runs."));
    }
    out
}

/// What is missing of a file, and why.
fn gaps(file: &StoredFile) -> Vec<String> {
    let missing = file.missing() as u64;
    if missing == 0 {
        return Vec::new();
    }
    let why = file.why.as_deref().map(|why| format!(": {}", shown(why))).unwrap_or_default();
    let name = shown(&file.name);
    let mut lines = vec![format!("{name}: {} of {} missing{why}", missing, copies(file.wanted))];
    for copy in &file.copies {
        if let CopyState::Missing { why } = &copy.state {
            lines.push(format!("{name}: not at {}: {}", peer(&copy.peer), shown(why)));
        }
    }
    lines
}

fn copies(count: u8) -> String {
    if count == 1 { "1 copy".to_owned() } else { format!("{count} copies") }
}

/// Who has a copy.
fn holders(file: &StoredFile) -> String {
    let there = file.copies.iter().filter(|copy| copy.state == CopyState::There);
    let names: Vec<String> = there.map(|copy| nick(&copy.peer)).collect();
    match names.len() {
        0 => "nobody".to_owned(),
        count if count <= HOLDERS_NAMED => names.join(", "),
        count => {
            format!("{} and {} more", names[..HOLDERS_NAMED].join(", "), count - HOLDERS_NAMED)
        }
    }
}

fn nick(name: &PeerName) -> String {
    name.nick.as_deref().map_or_else(|| name.id.short(), label)
}

/// What this node put into networks, and what it holds for others.
pub(crate) fn list(all: &Stored) -> Shown {
    let mut out = Shown::default();
    if all.files.is_empty() {
        out.note("You have put nothing into a network; \"potluck store FILE\" does.");
    } else {
        out.table(&own(&all.files));
        out.result("");
    }
    let quota = match all.quota {
        0 => "nothing: the setting storage.quota is 0".to_owned(),
        quota => {
            let count = counted(all.held.len() as u64, "file");
            format!("{count}, {} of {}", Bytes(all.held_bytes), Bytes(quota))
        }
    };
    out.result(format!("Held for others: {quota}"));
    if !all.held.is_empty() {
        out.table(&held(&all.held));
    }
    all.files.iter().flat_map(gaps).for_each(|line| out.warning(line));
    out
}

fn own(files: &[StoredFile]) -> Table {
    let headings = ["SIZE", "COPIES", "FOR", "NETWORK", "ID", "AT", "NAME"];
    let mut table = Table::new(&headings, &[0, 1]);
    for file in files {
        table.row(vec![
            Bytes(file.bytes).to_string(),
            format!("{} of {}", file.there(), file.wanted),
            ahead(file.expires_ms),
            label(&file.network.name),
            file.content.short(),
            holders(file),
            shown(&file.name),
        ]);
    }
    table
}

fn held(files: &[HeldFile]) -> Table {
    let mut table = Table::new(&["SIZE", "FOR", "NETWORK", "ID", "FROM", "NAME"], &[0]);
    for file in files {
        table.row(vec![
            Bytes(file.bytes).to_string(),
            ahead(file.expires_ms),
            label(&file.network.name),
            file.content.short(),
            nick(&file.by),
            shown(&file.name),
        ]);
    }
    table
}

/// That a file was taken out.
pub(crate) fn removed(removed: &StoredRemoved) -> Shown {
    let mut out = Shown::default();
    let (name, network) = (shown(&removed.name), label(&removed.network.name));
    let StoredRemoved { dropped, copies, .. } = removed;
    out.note(format!("{name} is taken out of {network}: {dropped} of {copies} copies are gone."));
    if dropped < copies {
        out.note("Who holds another drops it when it hears of this.");
    }
    out
}

/// What came of looking after the copies.
pub(crate) fn repaired(repaired: &StoredFiles) -> Shown {
    let mut out = Shown::default();
    if repaired.files.is_empty() {
        out.note("You have put nothing into a network; \"potluck store FILE\" does.");
        return out;
    }
    out.table(&own(&repaired.files));
    repaired.files.iter().flat_map(gaps).for_each(|line| out.warning(line));
    let missing: usize = repaired.files.iter().map(StoredFile::missing).sum();
    out.note(match (repaired.made, missing) {
        (0, 0) => "Every copy is there.".to_owned(),
        (made, 0) => format!("{} made; every copy is there.", made_now(made)),
        (made, missing) => format!("{} made, {missing} missing.", made_now(made)),
    });
    out
}

fn made_now(made: u32) -> String {
    if made == 1 { "1 copy was".to_owned() } else { format!("{made} copies were") }
}

#[cfg(test)]
mod tests {
    use potluck_api::{NetworkName, StoredCopy};
    use potluck_base::{ContentId, NetworkId, PeerId};

    use super::*;

    fn lab() -> NetworkName {
        NetworkName { id: NetworkId([1; 32]), name: "lab".into() }
    }

    fn copy(nick: &str, state: CopyState) -> StoredCopy {
        let peer = PeerName { id: PeerId([nick.len() as u8; 32]), nick: Some(nick.into()) };
        StoredCopy { peer, state }
    }

    fn film() -> StoredFile {
        let full = CopyState::Missing { why: "its quota is used up".into() };
        StoredFile {
            content: ContentId([7; 32]),
            name: "film\u{1b}.mp4".into(),
            bytes: 48_000_000,
            network: lab(),
            wanted: 3,
            copies: vec![copy("ben", CopyState::There), copy("cleo", full)],
            why: Some("only 2 others are here".into()),
            expires_ms: u64::MAX,
        }
    }

    #[test]
    fn who_stores_is_told_where_copies_are_and_which_are_missing() {
        let text = put(&[film()]).text();
        assert!(text.starts_with(&ContentId([7; 32]).to_string()), "{text}");
        assert!(text.contains("48.0 MB: 1 copy in lab, at ben."), "{text}");
        assert!(text.contains("2 of 3 copies missing: only 2 others are here"), "{text}");
        assert!(text.contains("its quota is used up") && !text.contains('\u{1b}'), "{text:?}");
    }

    #[test]
    fn a_list_tells_own_files_and_what_is_held_within_the_quota() {
        let by = PeerName { id: PeerId([2; 32]), nick: Some("dora".into()) };
        let notes = HeldFile {
            content: ContentId([8; 32]),
            name: "notes".into(),
            bytes: 1000,
            network: lab(),
            by,
            expires_ms: u64::MAX,
        };
        let mut all = Stored {
            files: vec![film()],
            held: vec![notes],
            held_bytes: 1000,
            quota: 1_000_000_000,
        };
        let text = list(&all).text();
        assert!(text.contains("1 of 3") && text.contains("dora"), "{text}");
        assert!(text.contains("Held for others: 1 file, 1.0 kB of 1.0 GB"), "{text}");
        (all.quota, all.held) = (0, Vec::new());
        all.files.clear();
        let text = list(&all).text();
        assert!(text.contains("nothing: the setting storage.quota is 0"), "{text}");
        assert!(text.contains("potluck store FILE"), "{text}");
    }

    #[test]
    fn a_repair_says_what_it_made_and_what_is_still_missing() {
        let mut one = StoredFiles { files: vec![film()], made: 1 };
        assert!(repaired(&one).text().contains("1 copy was made, 2 missing."));
        one.files[0].wanted = 1;
        assert!(repaired(&one).text().contains("1 copy was made; every copy is there."));
        one.made = 0;
        assert!(repaired(&one).text().contains("Every copy is there."));
    }
}
