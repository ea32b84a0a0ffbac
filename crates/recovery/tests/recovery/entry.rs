//! When a device goes into recovery.

use std::time::Duration;

use updraft_boot::factory::Hold;
use updraft_recovery::{AfterBoot, AtReset, BOOT_MODE_RECOVERY, BeforeBoot, Entry, Reason, Ways};

const ASKED: AtReset = AtReset { pressed: false, by_pin: false, boot_mode: BOOT_MODE_RECOVERY };
const PIN: AtReset = AtReset { pressed: false, by_pin: true, boot_mode: 0 };
const PRESSED: AtReset = AtReset { pressed: true, by_pin: false, boot_mode: 0 };

const fn at(milliseconds: u64) -> Duration {
    Duration::from_millis(milliseconds)
}

#[test]
fn a_board_without_a_way_into_recovery_never_goes_there() {
    let everything = AtReset { pressed: true, by_pin: true, boot_mode: BOOT_MODE_RECOVERY };
    let mut entry = Entry::at_reset(Ways::default(), everything);
    assert_eq!(entry.before_boot(true, at(0)), BeforeBoot::Boot);
    assert_eq!(entry.after_boot(true, true, at(10)), AfterBoot::Start);
    assert_eq!(entry.after_boot(false, true, at(10)), AfterBoot::Stop);
}

#[test]
fn a_button_at_the_reset_leads_into_recovery_before_anything_is_booted() {
    let ways = Ways { button: Some(Hold::Sampled), ..Ways::default() };
    let mut entry = Entry::at_reset(ways, PRESSED);
    assert_eq!(entry.before_boot(true, at(0)), BeforeBoot::Enter(Reason::Button));
    let mut entry = Entry::at_reset(ways, AtReset::default());
    assert_eq!(entry.before_boot(false, at(0)), BeforeBoot::Boot);
    assert_eq!(entry.after_boot(true, false, at(9)), AfterBoot::Start);
}

#[test]
fn a_button_that_has_to_be_held_is_waited_for_as_long_as_it_is_held() {
    let ways = Ways { button: Some(Hold::For(at(500))), ..Ways::default() };
    let mut entry = Entry::at_reset(ways, PRESSED);
    assert_eq!(entry.before_boot(true, at(0)), BeforeBoot::Holding { until: at(500) });
    assert_eq!(entry.before_boot(true, at(499)), BeforeBoot::Holding { until: at(500) });
    assert_eq!(entry.before_boot(true, at(500)), BeforeBoot::Enter(Reason::Button));
    let mut entry = Entry::at_reset(ways, PRESSED);
    assert_eq!(entry.before_boot(false, at(100)), BeforeBoot::Boot, "let go too early");
    assert_eq!(entry.before_boot(true, at(600)), BeforeBoot::Boot);
}

#[test]
fn the_reset_pin_leads_into_recovery_where_the_board_says_so() {
    let ways = Ways { pin_reset: true, ..Ways::default() };
    let mut entry = Entry::at_reset(ways, PIN);
    assert_eq!(entry.before_boot(false, at(0)), BeforeBoot::Enter(Reason::PinReset));
    let mut entry = Entry::at_reset(ways, AtReset::default());
    assert_eq!(entry.before_boot(false, at(0)), BeforeBoot::Boot, "another cause");
}

#[test]
fn an_application_asks_for_recovery_by_boot_mode_1_and_gets_it_after_the_boot() {
    let ways = Ways { boot_mode: true, ..Ways::default() };
    for image in [true, false] {
        let mut entry = Entry::at_reset(ways, ASKED);
        assert_eq!(entry.before_boot(false, at(0)), BeforeBoot::Boot, "a swap is finished first");
        assert_eq!(entry.after_boot(image, false, at(9)), AfterBoot::Enter(Reason::BootMode));
    }
    for other in [0, 2, 0x100, 0x101, u32::MAX] {
        let mut entry = Entry::at_reset(ways, AtReset { boot_mode: other, ..AtReset::default() });
        assert_eq!(entry.after_boot(true, false, at(9)), AfterBoot::Start, "{other}");
    }
}

#[test]
fn nothing_to_start_leads_into_recovery_where_the_board_says_so() {
    let ways = Ways { no_image: true, ..Ways::default() };
    let mut entry = Entry::at_reset(ways, AtReset::default());
    assert_eq!(entry.after_boot(false, false, at(9)), AfterBoot::Enter(Reason::NoImage));
    assert_eq!(entry.after_boot(true, true, at(9)), AfterBoot::Start);
}

#[test]
fn a_request_within_the_window_keeps_a_device_in_recovery() {
    let ways = Ways { wait: Some(at(500)), ..Ways::default() };
    let mut entry = Entry::at_reset(ways, AtReset::default());
    assert_eq!(entry.after_boot(true, false, at(80)), AfterBoot::Listen { until: at(500) });
    assert_eq!(entry.after_boot(true, false, at(499)), AfterBoot::Listen { until: at(500) });
    assert_eq!(entry.after_boot(true, true, at(499)), AfterBoot::Enter(Reason::Request));
    let mut entry = Entry::at_reset(ways, AtReset::default());
    assert_eq!(entry.after_boot(true, false, at(80)), AfterBoot::Listen { until: at(500) });
    assert_eq!(entry.after_boot(true, false, at(500)), AfterBoot::Start);
    assert_eq!(entry.after_boot(false, false, at(500)), AfterBoot::Stop);
}

#[test]
fn the_line_is_looked_at_once_however_long_the_boot_took() {
    let ways = Ways { wait: Some(at(500)), ..Ways::default() };
    let mut entry = Entry::at_reset(ways, AtReset::default());
    assert_eq!(entry.after_boot(true, false, at(4000)), AfterBoot::Listen { until: at(4001) });
    assert_eq!(entry.after_boot(true, false, at(4001)), AfterBoot::Start);
    let mut entry = Entry::at_reset(ways, AtReset::default());
    assert_eq!(entry.after_boot(true, true, at(4000)), AfterBoot::Enter(Reason::Request));
    let end = Duration::MAX;
    let mut entry = Entry::at_reset(ways, AtReset::default());
    assert_eq!(entry.after_boot(true, false, end), AfterBoot::Start, "no time is left at all");
}

#[test]
fn with_every_way_open_the_first_one_that_applies_is_named() {
    let ways = Ways {
        button: Some(Hold::Sampled),
        pin_reset: true,
        boot_mode: true,
        no_image: true,
        wait: Some(at(500)),
    };
    let mut entry = Entry::at_reset(ways, AtReset { boot_mode: 1, ..AtReset::default() });
    assert_eq!(entry.before_boot(false, at(0)), BeforeBoot::Boot);
    assert_eq!(entry.after_boot(false, true, at(9)), AfterBoot::Enter(Reason::BootMode));
    let mut entry = Entry::at_reset(ways, AtReset::default());
    assert_eq!(entry.after_boot(false, true, at(9)), AfterBoot::Enter(Reason::NoImage));
    assert_eq!(entry.after_boot(true, true, at(9)), AfterBoot::Enter(Reason::Request));
}
