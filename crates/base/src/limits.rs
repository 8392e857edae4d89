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
/// Links of a tracker at a time: ten thousand peers, and room for some that come back before their
/// old link is known to be dead.
pub const TRACKER_LINKS: usize = 16_384;
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
/// Time for a directory to say where a peer is, before a dial goes without.
pub const FIND_TIME: Duration = Duration::from_secs(3);
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

// Networks and membership.

/// Bytes of a network's name: it is typed, and stands in tables.
pub const NETWORK_NAME_BYTES: usize = 64;
/// Trackers named by one network record: each is dialled, and its key is tried on admissions.
pub const NETWORK_TRACKERS: usize = 8;
/// Peers that may be to keep each record of a network without trackers: each copy is sent and kept.
pub const REPLICAS_MAX: u8 = 8;
/// How many keep it if nobody says otherwise: two may fail at once.
pub const REPLICAS: u8 = 3;
/// Members named by one invite, for whoever comes to find the others.
pub const INVITE_CONTACTS: usize = 8;
/// Relays named by one network record.
pub const NETWORK_RELAYS: usize = 8;
/// Bytes of a relay's URL: a host name of 253 characters, a scheme and a port.
pub const RELAY_URL_BYTES: usize = 300;
/// Invitations between an owner and a member: each costs three signatures to check.
pub const MEMBERSHIP_DEPTH: usize = 8;
/// Peers that one network revokes: the list must fit into a frame.
pub const REVOKED: usize = 10_000;
/// How far the number of a list of revoked peers may jump: a bad admin cannot use up all numbers.
pub const REVOCATIONS_MISSED: u64 = 1_000_000;
/// Claims of one peer that are judged on one link: each costs up to some milliseconds.
pub const CLAIMS_PER_LINK: usize = 256;
/// Peers whose networks we keep in mind; their directories know the others.
pub const KNOWN_MEMBERS: usize = 16_384;
/// Characters of an invite: one whose chain is as long as it may be has about half.
pub const INVITE_CHARS: usize = 16_384;

// What peers publish, and trackers.

/// Characters of a nickname: it stands in columns.
pub const NICK_CHARS: usize = 32;
/// Bytes of a nickname: any script takes at most four a character.
pub const NICK_BYTES: usize = 4 * NICK_CHARS;
/// Networks that a peer claims to belong to on one link.
pub const CLAIMS: usize = 32;
/// Tags of one share.
pub const TAGS: usize = 16;
/// Bytes of one tag.
pub const TAG_BYTES: usize = 64;
/// Entries of one page: eight times the average that `pages_for` aims at, so chance never comes
/// near.
pub const PAGE_ENTRIES: usize = 512;
/// Bytes of one page: with what goes around it, it fits into a frame.
pub const PAGE_BYTES: usize = 448 * 1024;
/// Pages of one share: a page's number and the count, a power of two, take 16 bits.
pub const PAGES: u16 = 1 << 15;
/// Hashes on the way from an entry to the root of its page: 512 entries make nine floors.
pub const PROOF_HASHES: usize = 9;
/// How long a share and its pages stay listed without being signed again.
pub const RECORD_LIFETIME: Duration = Duration::from_secs(30 * 24 * 3600);
/// How long a peer's addresses count without being signed again.
pub const PRESENCE_LIFETIME: Duration = Duration::from_secs(3600);
/// How far the clocks of honest peers may be apart: twice the hour that a wrong time zone makes.
pub const CLOCK_SKEW: Duration = Duration::from_secs(2 * 3600);

/// Bytes of the words of a search.
pub const QUERY_BYTES: usize = 512;
/// Types that one search can ask for: all there are.
pub const QUERY_KINDS: usize = 8;
/// How deep one may page into the results of a search: nobody reads on, and each page costs more.
pub const SEARCH_OFFSET: u32 = 10_000;
/// Contents in one answer to a search.
pub const SEARCH_RESULTS: usize = 100;
/// Names of one content in an answer to a search.
pub const GROUP_HITS: usize = 3;
/// Providers in one answer.
pub const PROVIDERS: usize = 100;
/// Entries or shares in one answer.
pub const BROWSE_ENTRIES: usize = 1000;
/// Members in one answer.
pub const MEMBERS_LISTED: usize = 500;
/// Roots of pages in one answer: about half of a [`REPLY_BYTES`].
pub const PAGE_ROOTS: usize = 4096;
/// Bytes of one answer of a tracker: other frames need not wait long behind it.
pub const REPLY_BYTES: usize = 256 * 1024;
/// Bytes of a text in a refusal.
pub const DENIAL_BYTES: usize = 256;

/// How long a peer counts as online after its last word. It renews after a third of it, so two
/// words may be lost; a peer that dies is shown offline within 30 s.
pub const LEASE_TIME: Duration = Duration::from_secs(20);
/// How long a link to a tracker may stay without a registered peer.
pub const TRACKER_IDLE_TIME: Duration = Duration::from_secs(60);
/// How often the time at which a peer was last seen is written down while it stays: a tracker that
/// crashes is wrong by no more.
pub const SEEN_EVERY: Duration = Duration::from_secs(600);
/// How often a tracker drops what has expired.
pub const SWEEP_EVERY: Duration = Duration::from_secs(3600);
/// Requests that a link may make per second in the long run; a search counts as several. A client
/// that publishes at full speed sends about three hundred pages a second.
pub const TRACKER_REQUESTS: u32 = 1000;
/// Requests that a link may make at once before that rate holds.
pub const TRACKER_BURST: u32 = 2000;
/// Requests on one link that wait for the index.
pub const ASKS_PER_LINK: usize = 32;
/// Writes on one link that wait for the disk.
pub const WRITES_PER_LINK: usize = 64;
/// Work of all links together that waits for index and disk; more is put off.
pub const TRACKER_JOBS: usize = 16_384;
/// False or foreign records on one link before it is ended.
pub const TRACKER_FAULTS: u32 = 16;
/// How often one of them is forgiven: a peer whose clock is wrong is not an attack.
pub const TRACKER_FORGIVES: Duration = Duration::from_secs(60);
/// Networks of one tracker.
pub const TRACKER_NETWORKS: usize = 1000;
/// Members of one network.
pub const NETWORK_MEMBERS: usize = 100_000;
/// Shares of one peer in one network: the list of their states fits into one answer.
pub const SHARES_PER_PEER: usize = 4096;
/// Pages of one peer in one network: four million files at the usual 64 a page.
pub const PAGES_PER_PEER: usize = 65_536;
/// Files and folders of one peer in one network.
pub const ENTRIES_PER_PEER: u64 = 4_000_000;
/// Withdrawals of one peer that the index remembers; the oldest go first.
pub const WITHDRAWALS_PER_PEER: usize = 16_384;
/// Pages on their way to a tracker at a time: enough to fill a far link, few enough to drop with
/// it.
pub const PAGES_IN_FLIGHT: usize = 16;
/// How long a tracker may be silent while a request waits, before the link counts as dead.
pub const TRACKER_REQUEST_TIME: Duration = Duration::from_secs(5);
/// Longest pause between two attempts to reach a tracker: with it everybody is back 10 s after the
/// tracker is.
pub const TRACKER_REDIAL_MAX: Duration = Duration::from_secs(8);
/// Questions of one node that wait for a tracker.
pub const ASKS_OPEN: usize = 256;
/// How long a question waits for its answer: a person waits for it.
pub const ASK_TIME: Duration = Duration::from_secs(10);
/// How long a question waits for a tracker to be reached.
pub const ASK_WAIT_TIME: Duration = Duration::from_secs(3);
/// Peers that are banned from one tracker.
pub const BANNED: usize = 100_000;

// The circle of a Chord or ring network.

/// Peers named in one message of the circle: a successor list twice as long as usual.
pub const RING_CONTACTS: usize = 32;
/// Records in one message: the frame's bytes are what limits them.
pub const RING_RECORDS: usize = 1024;
/// Names of records in one message: 40 bytes each, half a frame.
pub const RING_NAMES: usize = 4096;
/// Parts into which a range of the circle is cut to find where two peers differ.
pub const RING_PARTS: usize = 16;
/// Bytes of records in one message: other frames need not wait long behind it.
pub const RING_BATCH_BYTES: usize = 192 * 1024;
/// Bytes of one record: a page of entries with what goes around it.
pub const RING_RECORD_BYTES: usize = 128 * 1024;
/// Bytes of records under one key before new ones are split over sixteen others: a search looks
/// through them all.
pub const RING_KEY_BYTES: usize = 1024 * 1024;
/// Bytes of records that a peer keeps for one network, in memory and on disk.
pub const RING_BYTES: usize = 256 * 1024 * 1024;
/// Calls of ours that wait for an answer at a time.
pub const RING_CALLS: usize = 256;
/// Calls of one peer per second in the long run, and at once before that rate holds.
pub const RING_CALLS_PER_PEER: u32 = 200;
/// Lookups of ours at a time; more wait.
pub const RING_LOOKUPS: usize = 64;
/// Lookups of ours that wait for their turn; more come to nothing at once.
pub const RING_LOOKUPS_WAITING: usize = 4096;
/// Peers that are remembered to find the circle again, on disk.
pub const RING_KNOWN: usize = 64;

// What stands on that circle: an index, and stored files.

/// How long what a peer publishes stays on the circle without being signed again. Shorter than with
/// a tracker: nobody else clears away what a peer that is gone has left. A weekend without the peer
/// is survived, and publishing again every other day costs little.
pub const RING_RECORD_LIFETIME: Duration = Duration::from_secs(3 * 24 * 3600);
/// How long a stored file is kept without its publisher signing for it again.
pub const DEPOSIT_LIFETIME: Duration = RECORD_LIFETIME;
/// Copies of one stored file: those who are to have one stand behind the owner of its key, and a
/// peer knows about so many.
pub const DEPOSIT_COPIES: u8 = 8;
/// Members behind those who are to have a copy that know of a stored file, for when some of those
/// cannot hold it.
pub const DEPOSIT_SPARES: usize = 2;
/// Words of one path under which it can be found; names have about five.
pub const RING_WORDS: usize = 64;
/// Records into which the entries of one page under one key may be cut.
pub const RING_RECORD_PARTS: u8 = 16;
/// How often a key can be split: 16 to this power keys for one word.
pub const RING_SPLITS: usize = 4;
/// Keys that one search asks for their records: a word of its own, or one split over 16 keys, some
/// of them once more.
pub const RING_ASKS: usize = 128;
/// Peers that are named with one content in an answer.
pub const RING_GROUP_PEERS: usize = 32;
/// Records that an answer names with their numbers, for older ones elsewhere to be told from newer.
pub const RING_SEEN: usize = 3000;
/// Redemptions of one invite in one answer.
pub const RING_REDEMPTIONS: usize = 1000;
/// Presences in one answer: of those who have one name, or of one peer's stretch of the circle.
pub const RING_PRESENCES: usize = 256;

// Files that are stored in a network.

/// Bytes of the reason why a copy is missing.
pub const COPY_WHY_BYTES: usize = 200;
/// Files that a peer holds for others, or is to hold; each is looked after in turn.
pub const HELD_FILES: usize = 10_000;
/// Files that a peer holds on behalf of one other, in one network.
pub const HELD_FILES_PER_PEER: usize = 1000;
/// Publishers whose deposits of one content are looked at: each can sign one.
pub const DEPOSITS_PER_CONTENT: usize = 64;
/// One publisher may fill at most this part of what a peer holds: one in so many.
pub const HELD_SHARE_OF_ONE: u64 = 2;
/// Files that are fetched for others at a time.
pub const HOLDS_AT_A_TIME: usize = 16;
/// Files that are fetched for one of them at a time.
pub const HOLDS_AT_A_TIME_FOR_ONE: usize = 4;
/// Members that were heard to have a file, beside those who are to have it.
pub const COPY_ASKERS: usize = 16;
/// Copies that are asked about at a time.
pub const COPIES_ASKED_AT_A_TIME: usize = 16;

// P2P-CI/1.0, the classic course protocol: clear text from clients that nobody authenticates.

/// A line of a P2P-CI message, bytes: the longest name below a share and its header's name.
pub const CI_LINE_BYTES: usize = 4608;
/// A P2P-CI message from its first line to its last, bytes.
pub const CI_MESSAGE_BYTES: usize = 32 * 1024;
/// Lines of one P2P-CI message; honest ones have four.
pub const CI_LINES: usize = 32;
/// Characters of a title that a P2P-CI client registers.
pub const CI_TITLE_CHARS: usize = 1024;
/// Bytes of a host name, as DNS has it.
pub const CI_HOST_BYTES: usize = 253;
/// Rows of one P2P-CI answer; old clients read a few kilobytes at most.
pub const CI_ROWS: usize = 1000;
/// Bytes of a P2P-CI answer of rows that our client reads.
pub const CI_ANSWER_BYTES: usize = 4 * 1024 * 1024;
/// Bytes of the head of a file that our client reads before the body must begin.
pub const CI_HEAD_BYTES: usize = 16 * 1024;
/// Bytes of a body that are held back until it is clear whether an empty line belongs to it.
pub const CI_HOLD_BYTES: usize = 1024 * 1024;
/// Silence after which a P2P-CI message without an end mark is taken to be whole. Above the 40 ms
/// for which a delayed acknowledgement holds up a client that writes byte by byte.
pub const CI_SILENCE: Duration = Duration::from_millis(50);
/// Silence after which a message that lacks optional headers is taken to be whole.
pub const CI_LONG_SILENCE: Duration = Duration::from_secs(1);
/// Silence after which a message that is not whole is refused.
pub const CI_REQUEST_TIME: Duration = Duration::from_secs(10);
/// Time in which a P2P-CI client must take what we send it.
pub const CI_WRITE_TIME: Duration = Duration::from_secs(30);
/// Time without a request after which a P2P-CI connection is ended: people leave menus open.
pub const CI_IDLE_TIME: Duration = Duration::from_secs(2 * 3600);
/// Time for a connection to another program's P2P-CI server.
pub const CI_DIAL_TIME: Duration = Duration::from_secs(5);
/// Time for the first byte of its answer, before another dialect is tried.
pub const CI_ANSWER_TIME: Duration = Duration::from_secs(3);
/// Time without a byte after which a download from an old peer is given up.
pub const CI_STALL_TIME: Duration = Duration::from_secs(20);
/// Pause between the head of a file and its bytes: many old clients read the head with one call
/// and would take bytes that come along for a part of it.
pub const CI_HEAD_PAUSE: Duration = Duration::from_millis(100);
/// P2P-CI connections of one server.
pub const CI_CONNECTIONS: usize = 256;
/// P2P-CI connections from one address.
pub const CI_CONNECTIONS_PER_HOST: usize = 64;
/// Records that P2P-CI clients of one address may register.
pub const CI_RECORDS_PER_HOST: usize = 10_000;
/// P2P-CI clients that are remembered at a time, connected or on a lease.
pub const CI_PEERS: usize = 4096;
/// Requests that one P2P-CI connection may make at once before it is slowed down.
pub const CI_BURST: u32 = 200;
/// Requests per second of one P2P-CI connection in the long run.
pub const CI_REQUESTS: u32 = 50;
/// Messages of one P2P-CI connection that may be refused before it is ended.
pub const CI_FAULTS: u32 = 16;
/// How long the records of a client that connects for each request are kept after its last one.
pub const CI_LEASE: Duration = Duration::from_secs(3600);
/// A connection with one request that its client ends this soon belongs to such a client.
pub const CI_ONE_SHOT: Duration = Duration::from_secs(1);

/// Folders that are watched for changes: the system keeps about one KiB for each, of a number that
/// all programs of a user share.
pub const WATCHED_FOLDERS: usize = 65_536;
/// Touched paths that are remembered: of more than these, looking at everything is as quick.
pub const TOUCHED_PATHS: usize = 10_000;
/// Quiet after a change before it is looked at: most programs are done with a file by then.
pub const PUBLISH_QUIET: Duration = Duration::from_millis(150);
/// The longest that changes are let go on before they are looked at.
pub const PUBLISH_WAIT: Duration = Duration::from_millis(500);
/// Pause before a file is looked at again that was still being written.
pub const PUBLISH_LATER: Duration = Duration::from_millis(1000);
/// Pause between two looks at everything that is watched, in case that something was not heard.
pub const RESCAN_EVERY: Duration = Duration::from_secs(60);
/// The same where watching does not work.
pub const RESCAN_EVERY_UNWATCHED: Duration = Duration::from_secs(5);
/// Pause between two looks at whether shared folders are still there and the same.
pub const ROOTS_EVERY: Duration = Duration::from_secs(1);
/// Offers that are looked at at the same time: more only make the disk slower.
pub const LOOKS: usize = 2;

/// Time for a directory to answer before the others' answers are taken without it.
pub const DIRECTORY_TIME: Duration = Duration::from_secs(6);
/// Providers of one content that are asked for in all: more than a download has links for.
pub const PROVIDERS_ASKED: usize = 200;
