//! A network as it stands, for whoever shows it.

use potluck_identity::{NetworkRecord, Role};

use super::Joined;
use crate::directory::State;

/// A network as it stands.
#[derive(Clone, Debug)]
pub struct View {
    /// Its record.
    pub record: NetworkRecord,
    /// Who we are in it; none if we were revoked.
    pub role: Option<Role>,
    /// What we are called in it.
    pub nick: Option<String>,
    /// Whether we made it.
    pub ours: bool,
    /// How its directory is; none if it was not entered.
    pub state: Option<State>,
    /// The number of the list of revoked members that we know.
    pub revocations: u64,
}

/// How a network stands now.
pub(super) fn view(joined: &Joined) -> View {
    let saved = joined.saved();
    let state = joined.entered().map(|directory| directory.state().borrow().clone());
    let nick = match &state {
        Some(State::Online { nick, .. }) => Some(nick.clone()),
        _ => saved.nick.clone(),
    };
    View {
        record: saved.record.value.clone(),
        role: saved.role(),
        nick,
        ours: saved.key.is_some(),
        state,
        revocations: saved.revocations.number(),
    }
}
