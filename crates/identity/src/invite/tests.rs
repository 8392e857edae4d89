//! Invites and tickets that people pass on, damage and forge.

use super::*;
use crate::member::Role;
use crate::record::Policy;
use crate::scene::{
    DAY, NETWORK, NOW, OWNER, by_invitation, invite, key, member, nobody, owner, peer, record,
};

const ANN: u8 = 10;
const EVE: u8 = 66;

fn to_ann() -> Invite {
    invite(OWNER, owner(), Role::Member)
}

fn ticket() -> TrackerTicket {
    let mut addr = PeerAddr::unknown(peer(2));
    addr.direct.push("192.0.2.7:41641".parse().unwrap());
    TrackerTicket { addr, token: [0x77; 16] }
}

fn read(text: &str) -> Result<Invite, TextError> {
    text.parse()
}

fn make(by: u8, inviter: Membership, role: Role, uses: u32) -> Result<Invite, MembershipError> {
    let record = by_invitation().sign(&key(NETWORK)).unwrap();
    Invite::make(record, &key(by), inviter, role, uses, NOW, NOW + DAY, [9; 32])
}

#[test]
fn an_invite_prints_and_parses_back() {
    let open = Invite::open(record(Policy::Open).sign(&key(NETWORK)).unwrap());
    let second = invite(ANN, member(ANN, Role::Admin), Role::Guest);
    for invite in [to_ann(), open, second] {
        assert_eq!(read(&invite.to_string()), Ok(invite));
    }
}

#[test]
fn an_owners_invite_fits_into_a_message_and_a_picture() {
    let text = to_ann().to_string();
    assert!((600..700).contains(&text.len()), "{} characters", text.len());
    assert!(text.starts_with("potin1"));
    assert!(text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit()));
}

#[test]
fn the_longest_chain_fits_into_a_text() {
    let mut inviter = owner();
    for index in 0..limits::MEMBERSHIP_DEPTH as u8 - 1 {
        let by = if index == 0 { OWNER } else { 19 + index };
        let next = invite(by, inviter, Role::Admin).redeem(peer(20 + index), NOW);
        inviter = crate::scene::admit(next);
    }
    let last = 18 + limits::MEMBERSHIP_DEPTH as u8;
    let text = invite(last, inviter.clone(), Role::Admin).to_string();
    assert!(text.len() < limits::INVITE_CHARS / 2, "{} characters", text.len());
    assert!(read(&text).is_ok());
    let deeper = crate::scene::admit(invite(last, inviter, Role::Admin).redeem(peer(ANN), NOW));
    assert_eq!(make(ANN, deeper, Role::Guest, 1).unwrap_err(), MembershipError::Depth);
}

#[test]
fn texts_are_read_however_they_were_passed_on() {
    let (invite, ticket) = (to_ann(), ticket());
    let ways: [fn(String) -> String; 4] = [
        |text| format!("  {text}\r\n"),
        |text| text.to_ascii_uppercase(),
        |text| format!("potluck:{text}"),
        |text| format!("\tPOTLUCK:{}\n", text.to_ascii_uppercase()),
    ];
    for way in ways {
        assert_eq!(read(&way(invite.to_string())), Ok(invite.clone()));
        assert_eq!(way(ticket.to_string()).parse(), Ok(ticket.clone()));
    }
}

#[test]
fn what_is_no_invite_is_called_so() {
    let long = format!("potin1{}", "a".repeat(limits::INVITE_CHARS));
    let ticket = ticket().to_string();
    for text in
        ["", "pot", "potin", "pot1abc", "é", "pötin1", "https://example.org", &long, &ticket]
    {
        let other = TextError::Other { what: "an invite", prefix: "potin1" };
        assert_eq!(read(text), Err(other), "{text:?}");
    }
    assert_eq!(read("potin2abc"), Err(TextError::Newer { what: "an invite" }));
    let newer = Err(TextError::Newer { what: "a tracker's ticket" });
    assert_eq!("POTLUCK:POTTR2abc".parse::<TrackerTicket>(), newer);
}

#[test]
fn any_wrong_character_is_damage() {
    let text = to_ann().to_string();
    let damaged = Err(TextError::Damaged { what: "an invite" });
    for at in "potin1".len()..text.len() {
        for wrong in ["a", "7", "1", "é"] {
            let changed = [&text[..at], wrong, &text[at + 1..]].concat();
            assert!(changed == text || read(&changed) == damaged, "{at} {wrong}");
        }
    }
}

#[test]
fn a_text_that_lost_its_end_is_damaged() {
    let text = to_ann().to_string();
    for len in "potin1".len()..text.len() {
        assert_eq!(read(&text[..len]), Err(TextError::Damaged { what: "an invite" }), "{len}");
    }
    let text = ticket().to_string();
    let cut = text[..text.len() - 1].parse::<TrackerTicket>();
    assert_eq!(cut, Err(TextError::Damaged { what: "a tracker's ticket" }));
}

/// The text of a form put together by hand, with a true checksum.
fn printed(record: &Signed<NetworkRecord>, grant: Option<GrantForm>) -> String {
    INVITE.print(&bytes_of(&InviteForm { record: record.clone(), grant }))
}

#[test]
fn a_forged_invite_is_refused_with_its_reason() {
    let good = to_ann();
    let form = || GrantForm::of(good.grant.as_ref().unwrap());
    let why = |text: String| match read(&text) {
        Err(TextError::Invalid { why, .. }) => why,
        other => panic!("{other:?}"),
    };
    let mut elsewhere = good.record.clone();
    elsewhere.value.name = "Other".to_owned();
    assert_eq!(why(printed(&elsewhere, Some(form()))), "its network did not sign it");
    let raised = GrantForm { role: Role::Admin, ..form() };
    assert_eq!(why(printed(&good.record, Some(raised))), "its signature is wrong");
    let other_key = GrantForm { secret: [1; 32], ..form() };
    assert_eq!(why(printed(&good.record, Some(other_key))), "its signature is wrong");
    let stranger = GrantForm { inviter: Membership::open(peer(EVE)), ..form() };
    assert_eq!(why(printed(&good.record, Some(stranger))), "who made it is not a member");
    let mut bytes = bytes_of(&InviteForm { record: good.record.clone(), grant: None });
    bytes.push(0);
    assert_eq!(why(INVITE.print(&bytes)), "it has the wrong fields");
}

#[test]
fn a_member_who_may_not_invite_cannot_forge_an_invite() {
    let ann = member(ANN, Role::Member);
    let mut grant = invite(OWNER, owner(), Role::Member).grant.unwrap();
    grant.inviter = ann;
    grant.capability.value.issuer = peer(ANN);
    grant.capability = Signed::sign(&key(ANN), grant.capability.value);
    let record = by_invitation().sign(&key(NETWORK)).unwrap();
    let forged = Invite { record, grant: Some(grant), contacts: Vec::new() };
    let why = "who made it may not invite to this role";
    let refused = Err(TextError::Invalid { what: "an invite", why });
    assert_eq!(read(&forged.to_string()), refused);
}

#[test]
fn an_invite_is_made_by_who_may_and_for_what_they_are() {
    let refused = MembershipError::Role;
    let admin = || member(ANN, Role::Admin);
    assert!(make(ANN, admin(), Role::Admin, 1).is_ok());
    assert_eq!(make(ANN, admin(), Role::Owner, 1).unwrap_err(), refused);
    assert_eq!(make(OWNER, owner(), Role::Owner, 1).unwrap_err(), refused);
    let plain = member(ANN, Role::Member);
    assert_eq!(make(ANN, plain, Role::Guest, 1).unwrap_err(), refused);
    assert_eq!(make(EVE, admin(), Role::Guest, 1).unwrap_err(), MembershipError::Mismatch);
    assert_eq!(make(ANN, admin(), Role::Guest, 0).unwrap_err(), MembershipError::Expired);
}

#[test]
fn who_redeems_is_who_is_bound() {
    let invite = read(&to_ann().to_string()).unwrap();
    let ann = invite.redeem(peer(ANN), NOW);
    assert_eq!(ann.peer, peer(ANN));
    let (role, capability) = ann.may_be_admitted(&by_invitation(), &nobody(), NOW).unwrap();
    assert_eq!((role, capability.uses), (Role::Member, 3));
    let open = Invite::open(record(Policy::Open).sign(&key(NETWORK)).unwrap());
    let eve = open.redeem(peer(EVE), NOW);
    assert_eq!(eve.verify(&record(Policy::Open), &nobody()), Ok(Role::Member));
}

#[test]
fn secrets_are_never_printed() {
    let printed = format!("{:?} {:?}", to_ann(), ticket());
    for secret in ["103, 103, 103", "119, 119, 119", "6767", "7777", "secret", "token"] {
        assert!(!printed.contains(secret), "{secret} in {printed}");
    }
}

#[test]
fn a_ticket_with_too_many_addresses_is_refused() {
    let mut ticket = ticket();
    ticket.addr.direct = vec![ticket.addr.direct[0]; limits::PEER_ADDRS + 1];
    let why = "it has the wrong fields";
    let refused = Err(TextError::Invalid { what: "a tracker's ticket", why });
    assert_eq!(ticket.to_string().parse::<TrackerTicket>(), refused);
}

fn contacts(count: u8, places: usize) -> Vec<PeerAddr> {
    let place = "192.0.2.7:41641".parse().unwrap();
    let contact = |number| PeerAddr { id: peer(number), direct: vec![place; places], relay: None };
    (100..100 + count).map(contact).collect()
}

#[test]
fn an_invite_names_members_to_enter_by() {
    let plain = to_ann();
    let invite = plain.clone().with_contacts(contacts(2, 1));
    assert_eq!(read(&invite.to_string()), Ok(invite.clone()));
    assert_eq!(read(&plain.to_string()).unwrap().contacts, []);
    assert_eq!(invite.with_contacts([]).to_string(), plain.to_string());
    let many = plain.with_contacts(contacts(limits::INVITE_CONTACTS as u8 + 1, 9));
    assert_eq!(many.contacts.len(), limits::INVITE_CONTACTS);
    assert!(many.contacts.iter().all(|contact| contact.direct.len() == CONTACT_ADDRS));
    assert_eq!(read(&many.to_string()), Ok(many));
}

#[test]
fn the_longest_chain_and_all_contacts_fit_into_a_text() {
    let mut inviter = owner();
    for index in 0..limits::MEMBERSHIP_DEPTH as u8 - 1 {
        let by = if index == 0 { OWNER } else { 19 + index };
        let next = invite(by, inviter, Role::Admin).redeem(peer(20 + index), NOW);
        inviter = crate::scene::admit(next);
    }
    let last = 18 + limits::MEMBERSHIP_DEPTH as u8;
    let mut all = contacts(limits::INVITE_CONTACTS as u8, CONTACT_ADDRS);
    for contact in &mut all {
        contact.relay = Some("u".repeat(limits::RELAY_URL_BYTES));
    }
    let text = invite(last, inviter, Role::Admin).with_contacts(all).to_string();
    assert!(text.len() < limits::INVITE_CHARS, "{} characters", text.len());
    assert!(read(&text).is_ok());
}

#[test]
fn contacts_beyond_their_limits_are_refused() {
    let why = "it has the wrong fields";
    let refused = Err(TextError::Invalid { what: "an invite", why });
    let many = contacts(limits::INVITE_CONTACTS as u8 + 1, 1);
    let far = contacts(1, limits::PEER_ADDRS + 1);
    for contacts in [many, far] {
        let invite = Invite { contacts, ..to_ann() };
        assert_eq!(read(&invite.to_string()), refused);
    }
}
