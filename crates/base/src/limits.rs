//! Every limit on what a peer, a file or a person can make us do. Each has its reason beside it.

use std::time::Duration;

/// A control frame, bytes. Holds a 256 KiB chunk of a manifest, or 16,384 ranges of pieces, with
/// room to spare.
pub const FRAME_BYTES: usize = 512 * 1024;
/// Bytes of a manifest or of piece values in one control frame: short enough that other frames need
/// not wait long.
pub const META_CHUNK_BYTES: usize = 256 * 1024;
/// Bytes of one block on a lane: large enough that system calls cost little, small enough for
/// memory to stay flat.
pub const BLOCK_BYTES: usize = 256 * 1024;
/// Pieces in one block: 4 KiB files fill a block with 64; empty-ish files must not make endless
/// lists.
pub const BLOCK_PIECES: u32 = 1024;
/// A manifest, bytes: about two million entries.
pub const MANIFEST_BYTES: u64 = 256 * 1024 * 1024;
/// Entries of one manifest.
pub const MANIFEST_ENTRIES: usize = 4_000_000;
/// Bytes of one name in a path: what Linux, macOS and Windows file systems take.
pub const NAME_BYTES: usize = 255;
/// Bytes of a path below a share.
pub const PATH_BYTES: usize = 4096;
/// Names in a path below a share.
pub const PATH_DEPTH: usize = 128;
/// Pieces of one content: numbers of pieces are 32 bits wide.
pub const PIECES: u64 = u32::MAX as u64;
/// A file, bytes: offsets are signed 64 bits on disk.
pub const FILE_BYTES: u64 = i64::MAX as u64;
/// Ranges of pieces in one message.
pub const RANGES: usize = 16_384;
/// Direct addresses of a peer that we keep, send or try.
pub const PEER_ADDRS: usize = 16;
/// Providers named by one ticket.
pub const TICKET_PROVIDERS: usize = 32;
/// Characters of a ticket: no honest one comes near.
pub const TICKET_CHARS: usize = 8192;
/// Peers in one message of peer exchange.
pub const EXCHANGE_PEERS: usize = 50;
/// Links of one node at a time.
pub const LINKS: usize = 256;
/// Links being set up (handshake, hello) at a time; more wait in the kernel's queue.
pub const LINKS_HALF_OPEN: usize = 64;
/// Lanes of one link in each direction.
pub const LANES_PER_LINK: usize = 4;
/// Contents that one link may be about: a machine is made for each.
pub const CONTENTS_PER_LINK: usize = 1024;
/// Control frames queued towards one peer before it counts as stuck and is hung up on.
pub const SEND_QUEUE_FRAMES: usize = 1024;
/// Requests for manifests or values of one peer that wait for an answer.
pub const META_REQUESTS: usize = 16;
/// Bytes of piece values asked for in one request (131,072 pieces).
pub const VALUES_BYTES: u64 = 4 * 1024 * 1024;

/// Time for a dial to reach any of a peer's addresses.
pub const DIAL_TIME: Duration = Duration::from_secs(10);
/// Time for a handshake and the hello that follows it.
pub const HELLO_TIME: Duration = Duration::from_secs(5);
/// Time without any sign of life after which a link counts as dead.
pub const LINK_IDLE_TIME: Duration = Duration::from_secs(15);
/// Pause between two pings on a quiet link.
pub const PING_EVERY: Duration = Duration::from_secs(5);
/// First pause before a lost peer is dialled again; it doubles up to [`REDIAL_MAX`].
pub const REDIAL_MIN: Duration = Duration::from_millis(250);
/// Longest pause between two dials of a lost peer.
pub const REDIAL_MAX: Duration = Duration::from_secs(15);
/// Time for a manifest or values to make progress before another peer is asked.
pub const META_TIME: Duration = Duration::from_secs(10);
