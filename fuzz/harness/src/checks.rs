//! What must hold for any bytes: no panic, and what was accepted means the same when it is written
//! again.

use std::path::{Component, Path};

use potluck_base::{ContentId, Platform, RelPath, limits, local_name};
use potluck_content::{Kind, Layout, Manifest, PieceMap, Ticket, Values, hash, link_stays_inside};
use potluck_proto::{
    BLOCK_HEADER_BYTES, BlockHeader, CopySaid, Frame, VERSION, VERSION_MIN, judge,
};

use crate::seeds;

/// A control frame.
pub fn frame(bytes: &[u8]) -> bool {
    let Ok(frame) = Frame::decode(bytes) else {
        return false;
    };
    let written = frame.encode();
    assert!(written.len() <= limits::FRAME_BYTES, "what came in a frame fits into one");
    let again = Frame::decode(&written).expect("what we write is a frame");
    assert_eq!(again, frame, "the frame means the same");
    assert_eq!(again.encode(), written, "and is written the same");
    true
}

/// The first frame of a link, and what a person is told about it.
pub fn hello(bytes: &[u8]) -> bool {
    let Ok(Frame::Hello(hello)) = Frame::decode(bytes) else {
        return false;
    };
    assert!(hello.addresses.len() <= limits::PEER_ADDRS);
    match judge(VERSION_MIN..=VERSION, u64::MAX, &hello) {
        Ok(agreed) => assert!((VERSION_MIN..=VERSION).contains(&agreed.version)),
        Err(unfit) => {
            let told = unfit.to_string();
            assert!(!told.chars().any(char::is_control), "it acts on the screen: {told:?}");
        }
    }
    frame(bytes)
}

/// The header of a block on a lane.
pub fn block_header(bytes: &[u8]) -> bool {
    let Some(bytes) = bytes.first_chunk::<BLOCK_HEADER_BYTES>() else {
        return false;
    };
    let Ok(header) = BlockHeader::decode(bytes) else {
        return false;
    };
    assert_eq!(header.encode(), *bytes, "a header has one form");
    assert!(header.range.start < header.range.end);
    assert!(header.range.len() <= limits::BLOCK_PIECES);
    assert!((1..=limits::BLOCK_BYTES).contains(&(header.bytes as usize)));
    true
}

/// A ticket as a person pastes it.
pub fn ticket(bytes: &[u8]) -> bool {
    let text = String::from_utf8_lossy(bytes);
    let Ok(ticket) = text.parse::<Ticket>() else {
        return false;
    };
    assert!(ticket.providers.len() <= limits::TICKET_PROVIDERS);
    assert!(ticket.providers.iter().all(|peer| peer.direct.len() <= limits::PEER_ADDRS));
    assert_eq!(ticket.name.names().count(), 1, "a ticket names one thing");
    stays_below(&ticket.name);
    let written = ticket.to_string();
    assert!(written.len() <= limits::TICKET_CHARS);
    assert!(written.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit()));
    assert_eq!(written.parse::<Ticket>().as_ref(), Ok(&ticket), "the ticket means the same");
    assert_eq!(written.to_ascii_uppercase().parse::<Ticket>().as_ref(), Ok(&ticket));
    assert_eq!(format!(" potluck:{written}\n").parse::<Ticket>().as_ref(), Ok(&ticket));
    true
}

/// What stands in a ticket: the checksum, which would keep mutations out, is made to fit.
pub fn ticket_body(bytes: &[u8]) -> bool {
    ticket(&seeds::ticket_of_body(bytes))
}

/// The list of a shared folder.
pub fn manifest(bytes: &[u8]) -> bool {
    let Ok(manifest) = Manifest::decode(bytes) else {
        return false;
    };
    assert_eq!(manifest.encode(), bytes, "a manifest has one form");
    assert_eq!(manifest.id(), hash(bytes), "and is named by it");
    let entries = manifest.entries();
    assert!(entries.windows(2).all(|pair| pair[0].path < pair[1].path), "in order, none twice");
    for entry in entries {
        stays_below(&entry.path);
        if let Kind::Link { target } = &entry.kind {
            assert!(link_stays_inside(&entry.path, target));
            assert!(lexically_inside(&entry.path, target), "{:?} -> {target:?}", entry.path);
        }
    }
    // Whoever gets a manifest does these next.
    let _ = manifest.collisions();
    let map = PieceMap::of_manifest(&manifest);
    assert_eq!(map.files(), manifest.files());
    if let Some(last) = map.total().checked_sub(1) {
        let located = map.locate(last);
        assert!(located.file < map.files());
        assert_eq!(map.piece_len(last), located.len);
    }
    true
}

/// The piece values of a file: a length (8 bytes), an id (32 bytes), then the values as they
/// travel.
pub fn values(bytes: &[u8]) -> bool {
    let Some((len, rest)) = bytes.split_first_chunk::<8>() else {
        return false;
    };
    let Some((id, values)) = rest.split_first_chunk::<32>() else {
        return false;
    };
    let layout = Layout::new(u64::from_le_bytes(*len).min(limits::FILE_BYTES));
    let Ok(verified) = Values::from_bytes(layout, ContentId(*id), values) else {
        return false;
    };
    assert_eq!(verified.as_bytes(), values, "values are what came");
    assert_eq!(verified.root(), ContentId(*id), "and hash to what was asked for");
    true
}

/// A path that somebody else chose.
pub fn path(bytes: &[u8]) -> bool {
    let text = String::from_utf8_lossy(bytes);
    let Ok(path) = RelPath::parse(&text) else {
        return false;
    };
    assert_eq!(path.as_str(), text, "a path is taken as it is or not at all");
    stays_below(&path);
    let _ = path.folded();
    let shown = path.to_string();
    assert!(!shown.chars().any(char::is_control), "it acts on the screen: {shown:?}");
    true
}

/// Joined to a folder, the path stays below it, on every platform.
fn stays_below(path: &RelPath) {
    let ordinary = |part: Component<'_>| matches!(part, Component::Normal(_));
    assert!(Path::new(path.as_str()).components().all(ordinary), "{path:?} leads elsewhere");
    for name in path.names() {
        assert!(!name.is_empty() && name.len() <= limits::NAME_BYTES);
        let local = local_name(name, Platform::Windows);
        assert!(!local.contains(['/', '\\', ':', '\0']), "{local:?} leads elsewhere on Windows");
        assert!(!local.ends_with(['.', ' ']), "{local:?} is another name on Windows");
    }
}

/// Our own slow walk along a link, to compare with.
fn lexically_inside(path: &RelPath, target: &str) -> bool {
    if target.is_empty() || target.starts_with('/') || target.contains(['\\', '\0']) {
        return false;
    }
    let mut depth = path.names().count() - 1;
    for name in target.split('/') {
        match name {
            "" | "." => {}
            ".." if depth == 0 => return false,
            ".." => depth -= 1,
            _ => depth += 1,
        }
    }
    true
}

/// An answer about a copy of a stored file: what is read is written as something that says the
/// same.
pub fn copy_said(bytes: &[u8]) -> bool {
    let Some(said) = CopySaid::decode(bytes) else { return false };
    assert_eq!(CopySaid::decode(&said.clone().encode()), Some(said));
    true
}
