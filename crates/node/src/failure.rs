//! Errors of the services in the words of the API: a kind, what happened, and what to do about it.

use potluck_api::{ApiError, ErrorKind};
use potluck_content::TicketError;
use potluck_link::LinkError;
use potluck_service::directory::Denial;
use potluck_service::p2p_ci::CiFault;
use potluck_service::{Refusal, ServiceError};
use potluck_store::StoreError;

/// The node is stopping while a command runs.
pub fn stopping() -> ApiError {
    ApiError::new(ErrorKind::Interrupted, "the node is stopping")
        .hint("run the same command again to continue")
}

/// Any error of the services.
pub fn of_service(error: ServiceError) -> ApiError {
    of(&error)
}

/// The same of one that others look at, too.
pub fn of(error: &ServiceError) -> ApiError {
    match error {
        ServiceError::Store(store) => return of_store(store),
        ServiceError::Link(link) => return of_link(link),
        ServiceError::Ticket(ticket) => return of_ticket(ticket),
        _ => {}
    }
    let mut failure = ApiError::from_error(kind(error), error);
    if let ServiceError::Unreachable { causes } = error {
        failure.causes.extend(causes.iter().cloned());
    }
    match (error, hint(error)) {
        (ServiceError::NickTaken { free, .. }, _) => {
            failure.hint(format!("{free:?} is free: run it again with --nick {free}"))
        }
        (_, Some(hint)) => failure.hint(hint),
        (_, None) => failure,
    }
}

fn kind(error: &ServiceError) -> ErrorKind {
    match error {
        ServiceError::Lied { .. } | ServiceError::Manifest(_) | ServiceError::Gone { .. } => {
            ErrorKind::Corrupt
        }
        ServiceError::NoHello(_)
        | ServiceError::Silent(_)
        | ServiceError::LinkLost(_)
        | ServiceError::Unreachable { .. }
        | ServiceError::GaveUp(_) => ErrorKind::Unreachable,
        ServiceError::Version { .. } => ErrorKind::Version,
        ServiceError::Refused { why, .. } => match why {
            Refusal::NotShared => ErrorKind::NotFound,
            Refusal::Denied => ErrorKind::Denied,
            Refusal::Busy => ErrorKind::Busy,
            Refusal::Changed => ErrorKind::Corrupt,
        },
        ServiceError::NotShared
        | ServiceError::NoShare(_)
        | ServiceError::NoProviders
        | ServiceError::NoNetworks
        | ServiceError::NoNetwork(_)
        | ServiceError::NoPeer(_)
        | ServiceError::NothingFound(_)
        | ServiceError::NotStored(_) => ErrorKind::NotFound,
        ServiceError::Pattern(_)
        | ServiceError::NothingSelected(_)
        | ServiceError::SeveralNetworks
        | ServiceError::SeveralPeers(_)
        | ServiceError::SeveralStored(_)
        | ServiceError::NotStorable { .. }
        | ServiceError::NoCircle(_)
        | ServiceError::Unanswerable(_)
        | ServiceError::NotPublishable(_)
        | ServiceError::Record(_) => ErrorKind::Usage,
        ServiceError::NetworkExists(_) | ServiceError::NickTaken { .. } => ErrorKind::Exists,
        ServiceError::TrackerAway { .. }
        | ServiceError::CircleAway { .. }
        | ServiceError::OffCircle
        | ServiceError::DirectorySilent
        | ServiceError::NoCopies { .. }
        | ServiceError::TrackerNonsense => ErrorKind::Unreachable,
        ServiceError::Denied(denial) => kind_of_denial(denial),
        ServiceError::Expelled
        | ServiceError::Role { .. }
        | ServiceError::Membership(_)
        | ServiceError::Revocations(_) => ErrorKind::Denied,
        ServiceError::SavedNetwork => ErrorKind::Corrupt,
        ServiceError::Outside(fault) => match fault {
            CiFault::NotFound | CiFault::Refused(_) => ErrorKind::NotFound,
            CiFault::Garbled(_) | CiFault::Short { .. } => ErrorKind::Corrupt,
            CiFault::TooLarge { .. } => ErrorKind::Denied,
            CiFault::Silent | CiFault::Io(_) => ErrorKind::Unreachable,
        },
        ServiceError::Index | ServiceError::TrackerStore(_) | ServiceError::NoRandomness(_) => {
            ErrorKind::Internal
        }
        ServiceError::Busy(_) => ErrorKind::Busy,
        ServiceError::Task(_) => ErrorKind::Internal,
        ServiceError::Store(_) | ServiceError::Link(_) | ServiceError::Ticket(_) => {
            ErrorKind::Internal
        }
    }
}

fn kind_of_denial(denial: &Denial) -> ErrorKind {
    match denial {
        Denial::Stranger
        | Denial::UsedUp
        | Denial::Expired
        | Denial::Role { .. }
        | Denial::NotYours
        | Denial::TooMuch(_) => ErrorKind::Denied,
        Denial::Busy { .. } | Denial::Unavailable { .. } => ErrorKind::Busy,
        Denial::NickTaken { .. } => ErrorKind::Exists,
        Denial::Stale { .. } => ErrorKind::Busy,
        Denial::BadRecord(_) => ErrorKind::Usage,
        Denial::Unknown => ErrorKind::NotFound,
    }
}

fn hint(error: &ServiceError) -> Option<&'static str> {
    Some(match error {
        ServiceError::Unreachable { .. } => {
            "is \"potluck share\" still running there? Then run the same command again"
        }
        ServiceError::GaveUp(_) | ServiceError::Silent(_) | ServiceError::LinkLost(_) => {
            "run the same command again to continue"
        }
        ServiceError::NotShared | ServiceError::Refused { why: Refusal::NotShared, .. } => {
            "ask the sender to run \"potluck share\" again, and use the new ticket"
        }
        ServiceError::Gone { .. } | ServiceError::Refused { why: Refusal::Changed, .. } => {
            "the files changed at the sender: ask for a new ticket"
        }
        ServiceError::NothingSelected(_) => {
            "\"potluck get TICKET --list\" shows what there is; '*' does not cross folders"
        }
        ServiceError::Pattern(_) => "quote patterns, as in --select '*.jpg'",
        ServiceError::NoShare(_) => "\"potluck ls\" lists the shares",
        ServiceError::NotStored(_) => "\"potluck stored ls\" lists what is",
        ServiceError::SeveralStored(_) => {
            "name one by its id: \"potluck stored ls\" shows the beginnings of them"
        }
        ServiceError::NoCopies { .. } => {
            "\"potluck dht status\" tells how many members are there; each holds what its setting \
             storage.quota says"
        }
        ServiceError::Busy(_) => "it is being fetched by another command; wait for that one",
        ServiceError::Lied { .. } => "use another ticket: this peer cannot be trusted with it",
        ServiceError::Version { .. } => "update the older of the two",
        ServiceError::NoNetworks => {
            "\"potluck join INVITE\" enters one, \"potluck network create NAME\" makes one"
        }
        ServiceError::NoNetwork(_) => "\"potluck network ls\" lists the networks of this node",
        ServiceError::SeveralNetworks => {
            "say which with --network NAME; \"potluck network ls\" lists them"
        }
        ServiceError::NetworkExists(_) => "choose another name",
        ServiceError::NoPeer(_) => "\"potluck peers\" lists who is here",
        ServiceError::SeveralPeers(_) => "name one by its id: \"potluck peers --json\" shows them",
        ServiceError::NothingFound(_) => "\"potluck search WORDS\" looks for parts of names",
        ServiceError::TrackerAway { .. } | ServiceError::DirectorySilent => {
            "is the tracker running, and can this device reach it? Transfers go on meanwhile"
        }
        ServiceError::CircleAway { .. } => {
            "is another member running, and can this device reach it? An invite names some"
        }
        ServiceError::OffCircle => "\"potluck dht join\" puts it back there",
        ServiceError::Denied(Denial::UsedUp | Denial::Expired) => {
            "ask a member for a new invite: potluck invite"
        }
        ServiceError::Denied(Denial::Stranger) | ServiceError::Expelled => {
            "ask a member for an invite"
        }
        ServiceError::Denied(Denial::Role { .. }) | ServiceError::Role { .. } => {
            "ask an admin of the network; \"potluck network members\" shows who that is"
        }
        ServiceError::Denied(Denial::Busy { .. } | Denial::Unavailable { .. }) => {
            "try again in a moment"
        }
        _ => return None,
    })
}

/// A ticket that is none.
pub fn of_ticket(error: &TicketError) -> ApiError {
    let kind = match error {
        TicketError::Newer => ErrorKind::Version,
        _ => ErrorKind::Usage,
    };
    ApiError::from_error(kind, error)
        .hint("a ticket starts with \"pot1\"; copy the whole line that \"potluck share\" printed")
}

/// The disk, or the state on it.
pub fn of_store(error: &StoreError) -> ApiError {
    let (kind, hint) = match error {
        StoreError::HomeInUse { .. } => (
            ErrorKind::Busy,
            Some("stop it with \"potluck daemon stop\", or choose another home with --home"),
        ),
        StoreError::NewerState { .. } => (ErrorKind::Version, Some("update Potluck")),
        StoreError::NothingToShare => (ErrorKind::Usage, None),
        StoreError::DuplicateName { .. } => {
            (ErrorKind::Usage, Some("share them one by one, or rename one of them"))
        }
        StoreError::NotShareable { .. } | StoreError::Manifest(_) => (ErrorKind::Usage, None),
        StoreError::TargetExists { .. } => (
            ErrorKind::Exists,
            Some("--rename keeps both, --overwrite replaces it, -o puts it elsewhere"),
        ),
        StoreError::TargetKind { .. } => {
            (ErrorKind::Exists, Some("move it away, or choose another place with -o"))
        }
        StoreError::HiddenName { .. } => {
            (ErrorKind::Denied, Some("choose the name yourself: potluck get TICKET -o NAME"))
        }
        StoreError::Collision { .. } => (
            ErrorKind::Usage,
            Some("choose a place on another file system with -o, or some files with --select"),
        ),
        StoreError::Busy { .. } => {
            (ErrorKind::Busy, Some("another command is fetching it; wait for that one"))
        }
        StoreError::NoSuchShare { .. } | StoreError::AmbiguousShare { .. } => {
            (ErrorKind::NotFound, Some("\"potluck ls\" lists the shares"))
        }
        StoreError::NoSuchDownload(_) => (ErrorKind::NotFound, None),
        StoreError::Cancelled => (ErrorKind::Interrupted, None),
        StoreError::Mismatch(_) => (ErrorKind::Corrupt, None),
        StoreError::NoSpace { .. } => (
            ErrorKind::NoSpace,
            Some("make room and run the same command again: what is here is kept"),
        ),
        StoreError::ReadOnly { .. } | StoreError::Denied { .. } => {
            (ErrorKind::Denied, Some("choose a place that you may write to with -o"))
        }
        StoreError::NotFound { .. } => (ErrorKind::NotFound, None),
        StoreError::Changed { .. } => {
            (ErrorKind::Corrupt, Some("wait until nothing writes to it, and share it again"))
        }
        StoreError::Foreign { .. } => {
            (ErrorKind::Denied, Some("look who put it there; nothing was written through it"))
        }
        StoreError::Io { .. }
        | StoreError::Database(_)
        | StoreError::Damaged(_)
        | StoreError::Bug(_) => (ErrorKind::Internal, None),
    };
    with_hint(ApiError::from_error(kind, error), hint)
}

/// A link, or the want of one.
pub fn of_link(error: &LinkError) -> ApiError {
    let (kind, hint) = match error {
        LinkError::WrongPeer { .. } | LinkError::Misbehaved(_) => (
            ErrorKind::Denied,
            Some("the ticket's address leads to somebody else: ask for a new one"),
        ),
        LinkError::Version { .. } => (ErrorKind::Version, Some("update the older of the two")),
        LinkError::Busy => (ErrorKind::Busy, Some("try again in a moment")),
        LinkError::NoAddress(_) | LinkError::Ourselves => (ErrorKind::Usage, None),
        LinkError::BadRelay { .. } | LinkError::Config(_) => {
            (ErrorKind::Usage, Some("\"potluck config show\" tells where a setting comes from"))
        }
        LinkError::Listen { .. } => (
            ErrorKind::Denied,
            Some("choose another address with --listen, port 0 for any free one"),
        ),
        LinkError::Unreachable { .. } | LinkError::Broken(_) | LinkError::Closed => {
            (ErrorKind::Unreachable, Some("run the same command again to continue"))
        }
        LinkError::FrameTooLarge(_) => (ErrorKind::Internal, None),
    };
    with_hint(ApiError::from_error(kind, error), hint)
}

fn with_hint(failure: ApiError, hint: Option<&str>) -> ApiError {
    match hint {
        Some(hint) => failure.hint(hint),
        None => failure,
    }
}
