//! Permissions: what is refused over which transport.

use updraft_smp::server::{Access, Demand, LinkSecurity, Rule, Server};
use updraft_smp::{Op, group};

use crate::device::request;
use crate::zephyr;

const SAFE: LinkSecurity = LinkSecurity { encrypted: true, bonded: true };
const OPEN: LinkSecurity = LinkSecurity { encrypted: false, bonded: false };
const REFUSED: [u8; 6] = [0xbf, 0x62, b'r', b'c', 11, 0xff];

/// Every command of every group that the specification names.
fn commands() -> Vec<(u16, u8, Op)> {
    let ids = [(0, 9), (1, 7), (2, 2), (3, 4), (4, 6), (5, 1), (7, 2), (8, 5), (9, 1), (10, 4)];
    ids.into_iter()
        .chain([(63, 1), (64, 2)])
        .flat_map(|(group, ids)| (0..ids).map(move |id| (group, id)))
        .flat_map(|(group, id)| [Op::Read, Op::Write].map(|op| (group, id, op)))
        .collect()
}

/// The commands that a preset allows, as `group.id` with `r` or `w`.
fn allowed(access: Access<'_>, link: LinkSecurity) -> Vec<String> {
    commands()
        .into_iter()
        .filter(|(group, id, op)| access.allows(*group, (*id, *op), link))
        .map(|(group, id, op)| format!("{group}.{id}{}", if op == Op::Read { 'r' } else { 'w' }))
        .collect()
}

#[test]
fn everything_allows_every_command() {
    assert_eq!(allowed(Access::EVERYTHING, OPEN).len(), commands().len());
}

#[test]
fn read_only_changes_nothing() {
    let allowed = allowed(Access::READ_ONLY, OPEN);
    let writes: Vec<_> = allowed.iter().filter(|command| command.ends_with('w')).collect();
    assert_eq!(writes, ["0.0w"], "an echo changes nothing, whichever way it is asked for");
    assert!(!allowed.contains(&"3.3r".into()), "loading replaces the settings in use");
    assert_eq!(allowed.len(), commands().len() / 2 - 1 + 1);
}

#[test]
fn update_only_allows_what_an_update_takes() {
    let allowed = allowed(Access::UPDATE_ONLY, OPEN);
    let of_images = allowed.iter().filter(|command| command.starts_with("1.")).count();
    assert_eq!(of_images, 14);
    let others: Vec<_> = allowed.iter().filter(|command| !command.starts_with("1.")).collect();
    assert_eq!(
        others,
        [
            "0.0r", "0.0w", "0.5r", "0.5w", "0.6r", "0.7r", "0.8r", "10.0r", "10.1r", "10.2r",
            "10.3r"
        ]
    );
}

#[test]
fn bluetooth_asks_for_an_encrypted_link_to_a_bonded_peer() {
    for (encrypted, bonded) in [(false, false), (true, false), (false, true)] {
        let link = LinkSecurity { encrypted, bonded };
        assert_eq!(allowed(Access::BLUETOOTH, link), [""; 0], "{link:?}");
    }
    assert_eq!(allowed(Access::BLUETOOTH, SAFE).len(), commands().len());
    let encrypted = LinkSecurity { bonded: false, ..SAFE };
    let access = Access::UPDATE_ONLY.demanding(Demand::Encrypted);
    assert_eq!(allowed(access, encrypted), allowed(Access::UPDATE_ONLY, OPEN));
    assert_eq!(allowed(access, OPEN), [""; 0]);
}

#[test]
fn the_first_rule_that_fits_decides_and_none_refuses() {
    let rules = [
        Rule::refuse().command(group::FILES, 0).writes(),
        Rule::allow().group(group::FILES),
        Rule::allow().command(group::SHELL, 0),
    ];
    let access = Access { rules: &rules, demand: Demand::Nothing };
    assert_eq!(
        allowed(access, OPEN),
        ["8.0r", "8.1r", "8.1w", "8.2r", "8.2w", "8.3r", "8.3w", "8.4r", "8.4w", "9.0r", "9.0w"]
    );
    assert_eq!(allowed(Access { rules: &[], demand: Demand::Nothing }, SAFE), [""; 0]);
}

#[test]
fn what_is_refused_is_access_denied_and_the_groups_are_not_asked() {
    let mut groups = zephyr::groups(0);
    let mut ask = |access: Access<'_>, link, op, group, id, payload: &[u8]| {
        let (mut answers, mut buffer) = (Vec::new(), [0; 512]);
        Server::default().handle(
            &request(op, group, id, payload),
            &mut access.guard(link, &mut groups),
            &mut buffer,
            |answer| answers.push(answer[8..].to_vec()),
        );
        answers.remove(0)
    };
    let file = b"\xa4\x64name\x67/lfs1/x\x63off\x00\x63len\x01\x64data\x41x";
    assert_eq!(ask(Access::READ_ONLY, OPEN, Op::Write, group::FILES, 0, file), REFUSED);
    assert_eq!(ask(Access::BLUETOOTH, OPEN, Op::Write, group::FILES, 0, file), REFUSED);
    assert_eq!(ask(Access::BLUETOOTH, OPEN, Op::Read, group::OS, 6, &[0xa0]), REFUSED);
    let status = b"\xa1\x64name\x67/lfs1/x";
    let missing = ask(Access::READ_ONLY, OPEN, Op::Read, group::FILES, 1, status);
    assert_eq!(missing, b"\xbf\x63err\xbf\x65group\x08\x62rc\x03\xff\xff");
    let written = ask(Access::BLUETOOTH, SAFE, Op::Write, group::FILES, 0, file);
    assert_eq!(written, b"\xbf\x63off\x01\xff");
}

#[test]
fn groups_are_enumerated_through_permissions() {
    let groups = zephyr::groups(0);
    let mut names = Vec::new();
    let guarded = Access::READ_ONLY.guard(OPEN, groups);
    updraft_smp::server::Groups::each(&guarded, &mut |info| names.extend(info.name));
    assert_eq!(names.len(), 7);
}
