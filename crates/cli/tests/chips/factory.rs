//! The way back to the factory image, by the button, with the lines that users of the original know.

use std::time::{Duration, Instant};

use updraft_board::Role;

use crate::bench::{Bench, Chance, Chip, Image, MICROBIT_FACTORY, MPS2_FACTORY, Powered};
use crate::story::HOST;

/// From the reset on, before anything is verified.
const STARTED: &str = "MCUboot Bootloader Started";
const VALIDATED: &str = "Application validated successfully !";
pub const PROMPT: &str = "Press and release user button to initiate Rollback";
/// A rollback, from the button to the factory image.
const ROLLBACK: [&str; 8] = [
    "Valid image magic found",
    "Erasing primary slot. Please wait for a while...",
    "Transferring 'factory app' to 'primary slot'",
    "Please wait for a while...",
    "factory app copied to primary slot successfully",
    "factory app validated successfully",
    "boot: starting 0.9.0",
    "app: self-test passed",
];

/// A button that asks for it before an application is started.
const ASKED: [&str; 2] = ["Detected user button event", "Rollback initiated at startup"];

/// A chip without an application, with a factory image.
fn manufactured(test: &str) -> Option<(Bench, Image)> {
    let bench = Bench::new(MICROBIT_FACTORY, test)?;
    let factory = bench.image("0.9.0", HOST);
    bench.put(Role::Factory, 0, &factory.bytes);
    Some((bench, factory))
}

/// The same with an application, the button held from the reset on.
fn held<'b>(bench: &'b Bench) -> (Powered<'b>, Image) {
    let old = bench.image("1.0.0", HOST);
    bench.provision(&old);
    let chip = bench.start_paused();
    chip.press(true);
    (chip, old)
}

fn says(chip: &Powered<'_>, lines: &[&str]) {
    lines.iter().for_each(|line| chip.wait(line));
}

#[test]
fn the_button_held_from_the_reset_on_brings_the_factory_image_back() {
    let Some((bench, factory)) = manufactured("held") else { return };
    let (chip, _) = held(&bench);
    chip.machine().resume().unwrap();
    let reset = Instant::now();
    says(&chip, &[STARTED, VALIDATED]);
    says(&chip, &ASKED);
    let (held, said) = (reset.elapsed(), bench.rollback_hold());
    assert!(held >= said, "held for {held:?}, and the board says {said:?}");
    says(&chip, &ROLLBACK);
    chip.cut();
    assert!(bench.holds(Role::Primary, &factory) && bench.holds(Role::Factory, &factory));
    // And it is an application like any other.
    let chip = bench.start();
    says(
        &chip,
        &[VALIDATED, "Starting Application on CM4. Please wait...", "boot: starting 0.9.0"],
    );
}

/// A board that looks at its button once does not care since when it is pressed.
#[test]
fn a_button_that_is_looked_at_once_counts_as_it_is_then() {
    for pressed in [false, true] {
        let Some(bench) = Bench::new(MPS2_FACTORY, &format!("sampled-{pressed}")) else { return };
        let [factory, old] = ["0.9.0", "1.0.0"].map(|version| bench.image(version, HOST));
        bench.put(Role::Factory, 0, &factory.bytes);
        bench.provision(&old);
        let chip = bench.start_paused();
        chip.press(!pressed);
        // The first letter on the console, before anything is verified.
        assert!(chip.machine().run_to_store(&[(0x4000_4000, 4)], Duration::from_secs(20)).unwrap());
        chip.press(pressed);
        chip.machine().resume().unwrap();
        chip.wait(VALIDATED);
        if pressed {
            says(&chip, &ASKED);
        }
        chip.wait(if pressed { "boot: starting 0.9.0" } else { "boot: starting 1.0.0" });
        chip.cut();
        assert!(bench.holds(Role::Primary, if pressed { &factory } else { &old }));
    }
}

#[test]
fn a_button_that_is_let_go_too_early_changes_nothing() {
    let Some((bench, _)) = manufactured("let-go") else { return };
    let (chip, old) = held(&bench);
    chip.machine().resume().unwrap();
    chip.wait(STARTED);
    chip.press(false);
    says(
        &chip,
        &[VALIDATED, "Starting Application on CM4. Please wait...", "boot: starting 1.0.0"],
    );
    chip.cut();
    assert!(bench.holds(Role::Primary, &old));
}

#[test]
fn an_empty_chip_waits_for_the_button() {
    let Some((bench, factory)) = manufactured("empty") else { return };
    let chip = bench.start();
    says(&chip, &["No Upgrade available !", "No valid image found in primary slot !", PROMPT]);
    chip.press(true);
    std::thread::sleep(Duration::from_millis(300));
    chip.press(false);
    says(&chip, &["Detected user button event", "Initiating the Rollback..."]);
    says(&chip, &ROLLBACK);
    chip.cut();
    assert!(bench.holds(Role::Primary, &factory));
}

#[test]
fn a_damaged_factory_image_costs_nobody_the_application() {
    let Some((bench, factory)) = manufactured("damaged") else { return };
    bench.put(Role::Factory, 0x1000, &[factory.bytes[0x1000] & 0x0f, 0]);
    let (chip, old) = held(&bench);
    chip.machine().resume().unwrap();
    says(&chip, &["Rollback initiated at startup", "Can't Rollback", "the factory image: "]);
    says(&chip, &["boot: starting 1.0.0", "app: self-test passed"]);
    chip.cut();
    assert!(bench.holds(Role::Primary, &old));
}

/// What the factory area holds instead of an image that may run: the original's line about it, ours, and the
/// application, as ever.
fn refused(test: &str, lines: [&str; 2], spoil: impl FnOnce(&Bench, &Image)) {
    let Some((bench, factory)) = manufactured(test) else { return };
    spoil(&bench, &factory);
    let before = bench.slot(Role::Factory);
    let (chip, old) = held(&bench);
    chip.machine().resume().unwrap();
    says(&chip, &["Rollback initiated at startup", lines[0], "Can't Rollback", lines[1]]);
    says(&chip, &["boot: starting 1.0.0", "app: self-test passed"]);
    chip.cut();
    assert!(bench.holds(Role::Primary, &old));

    // With nothing to run, the prompt says the same, and asks again.
    bench.put(Role::Primary, 0, &vec![0xff; bench.area(Role::Primary).size as usize]);
    let chip = bench.start();
    chip.wait(PROMPT);
    chip.press(true);
    std::thread::sleep(Duration::from_millis(300));
    chip.press(false);
    says(&chip, &["Initiating the Rollback...", lines[0], lines[1], "Can't Rollback", PROMPT]);
    chip.cut();
    assert_eq!(bench.slot(Role::Factory), before, "nobody writes there");
}

#[test]
fn an_empty_factory_area_is_named() {
    let lines =
        ["Invalid image magic 0xffffffff !", "the factory image: image magic is 0xffffffff"];
    refused("factory-empty", lines, |bench, factory| {
        bench.put(Role::Factory, 0, &vec![0xff; factory.bytes.len()]);
    });
}

#[test]
fn a_wrong_magic_in_the_factory_area_is_named() {
    let lines =
        ["Invalid image magic 0x12345678 !", "the factory image: image magic is 0x12345678"];
    refused("factory-magic", lines, |bench, _| {
        bench.put(Role::Factory, 0, &0x1234_5678_u32.to_le_bytes());
    });
}

#[test]
fn a_factory_image_that_somebody_else_has_signed_is_named() {
    let lines = ["factory app validation failed", "the factory image: signed with a key"];
    refused("factory-key", lines, |bench, _| {
        let key = format!("vectors/mcuboot/keys/{}-other.pem", bench.scheme());
        bench.put(Role::Factory, 0, &bench.signed_with(&key, "0.9.0", HOST).bytes);
    });
}

/// The update first, then the factory image: what was asked for does not come back afterwards.
#[test]
fn the_button_wins_over_an_update_that_is_asked_for() {
    for good in [true, false] {
        let Some((bench, factory)) = manufactured(&format!("held-update-{good}")) else { return };
        let mut new = bench.image("2.0.0", HOST);
        if !good {
            new.bytes[0x1000] ^= 1;
        }
        let old = bench.image("1.0.0", HOST);
        bench.provision(&old);
        bench.request(&new.bytes, true);
        let chip = bench.start_paused();
        chip.press(true);
        chip.machine().resume().unwrap();
        let update = if good { "boot: new image installed" } else { "boot: secondary slot erased" };
        says(&chip, &[update, VALIDATED, "Rollback initiated at startup"]);
        says(&chip, &ROLLBACK);
        chip.cut();
        assert!(bench.holds(Role::Primary, &factory) && bench.holds(Role::Factory, &factory));
        let chip = bench.start();
        says(&chip, &[VALIDATED, "boot: starting 0.9.0", "app: self-test passed"]);
        assert!(!chip.printed().contains("installed"), "{}", chip.printed());
    }
}

#[test]
fn a_rollback_survives_a_cut_before_any_write() {
    let Some((bench, factory)) = manufactured("cut") else { return };
    let mut chance = Chance::new();
    let mut told = Vec::new();
    for _ in 0..4 {
        let (chip, old) = held(&bench);
        // An erase, and a store to the slots.
        let (erase, slots) = ((0x4001_e508, 4), (0xc000, 0x20000));
        let run = |places: &[(u32, u32)]| {
            chip.machine().run_to_store(places, Duration::from_secs(20)).unwrap()
        };
        let erases = chance.below(60);
        let begun = (0..=erases).all(|_| run(&[erase]));
        let stores = if begun { chance.below(300) } else { 0 };
        for _ in 0..stores {
            run(&[erase, slots]);
        }
        chip.cut();
        told.push(format!("{erases}+{stores}"));

        // Nobody presses anything any more.
        let chip = bench.start();
        chip.wait("app: self-test passed");
        let printed = chip.printed();
        chip.cut();
        let begun = printed.contains("starting 0.9.0");
        let runs = if begun { &factory } else { &old };
        assert!(bench.holds(Role::Primary, runs), "{told:?}\n{printed}");
        assert!(bench.holds(Role::Factory, &factory), "{told:?}");
    }
    println!("4 cuts, before erase + store: {}", told.join(" "));
}

/// The watchdog's registers: what feeds it, and what starts it.
struct Watchdog {
    feed: (u32, u32),
    start: (u32, u32),
}

const MPS2_WATCHDOG: Watchdog = Watchdog { feed: (0x4000_800c, 4), start: (0x4000_8008, 4) };
const MICROBIT_WATCHDOG: Watchdog = Watchdog { feed: (0x4001_0600, 4), start: (0x4001_0000, 4) };

fn runs_to(chip: &Powered<'_>, places: &[(u32, u32)]) {
    let there = chip.machine().run_to_store(places, Duration::from_secs(20)).unwrap();
    assert!(there, "nobody writes to {places:x?}:\n{}", chip.printed());
}

/// A chip with a factory image and nothing that may run, at the prompt. What fed its watchdog by chance did
/// so before.
fn prompted<'b>(bench: &'b Bench, factory: &Image) -> Powered<'b> {
    bench.put(Role::Factory, 0, &factory.bytes);
    bench.put(Role::Primary, 0, &vec![0; bench.area(Role::Primary).size as usize]);
    let chip = bench.start_paused();
    chip.machine().resume().unwrap();
    chip.wait(PROMPT);
    chip
}

/// The button is let go of, and the chip stands still before it has seen that.
fn press_and_release(chip: &Powered<'_>) {
    chip.machine().resume().unwrap();
    chip.press(true);
    std::thread::sleep(Duration::from_millis(300));
    chip.machine().pause().unwrap();
    chip.press(false);
}

/// One that runs since before the reset is fed at the prompt, however long nobody presses, and the factory
/// image is started under it.
fn the_watchdog_is_fed_at_the_prompt(chip: Chip, watchdog: &Watchdog) {
    let Some(bench) = Bench::new(chip, "watchdog-prompt") else { return };
    let factory = bench.image("0.9.0", HOST);
    let chip = prompted(&bench, &factory);
    (0..5).for_each(|_| runs_to(&chip, &[watchdog.feed]));
    press_and_release(&chip);
    runs_to(&chip, &[watchdog.start]);
    let printed = chip.printed();
    assert!(!printed.contains("app: "), "it is started by the bootloader:\n{printed}");
    chip.machine().resume().unwrap();
    says(&chip, &ROLLBACK[5..]);
    // Which goes on to feed it.
    runs_to(&chip, &[watchdog.feed]);
    chip.cut();
    assert!(bench.holds(Role::Primary, &factory));
}

#[test]
fn the_watchdog_of_a_large_chip_is_fed_at_the_prompt() {
    the_watchdog_is_fed_at_the_prompt(MPS2_FACTORY, &MPS2_WATCHDOG);
}

#[test]
fn the_watchdog_of_a_small_chip_is_fed_at_the_prompt() {
    the_watchdog_is_fed_at_the_prompt(MICROBIT_FACTORY, &MICROBIT_WATCHDOG);
}

/// From a sector to the next one that is erased, and then written.
#[test]
fn the_watchdog_is_fed_between_the_sectors_of_a_rollback() {
    let Some(bench) = Bench::new(MPS2_FACTORY, "watchdog-sectors") else { return };
    let factory = bench.image("0.9.0", HOST);
    let chip = prompted(&bench, &factory);
    let first = bench.address(Role::Primary);
    let sector = |number: u32| first + number * 0x1000;
    let word = |number: u32| chip.machine().read(sector(number), 4).unwrap();
    press_and_release(&chip);
    for (before, sectors) in [([0; 4], 4..10), ([0xff; 4], 4..10)] {
        for number in sectors {
            runs_to(&chip, &[(sector(number), 4)]);
            assert_eq!(word(number + 1), before);
            // Whichever comes first.
            runs_to(&chip, &[MPS2_WATCHDOG.feed, (sector(number + 1), 4)]);
            chip.machine().step().unwrap();
            assert_eq!(word(number + 1), before, "sector {number}: not fed behind it");
        }
    }
    chip.machine().resume().unwrap();
    says(&chip, &ROLLBACK[4..]);
    chip.cut();
    assert!(bench.holds(Role::Primary, &factory));
}

/// Page by page, as its flash controller erases.
#[test]
fn the_watchdog_of_a_small_chip_is_fed_between_the_pages_of_a_rollback() {
    let Some(bench) = Bench::new(MICROBIT_FACTORY, "watchdog-pages") else { return };
    let factory = bench.image("0.9.0", HOST);
    let chip = prompted(&bench, &factory);
    let first = bench.address(Role::Primary);
    let len = factory.bytes.len();
    let erased = || {
        let slot = chip.machine().read(first, len).unwrap();
        slot.chunks(1024).filter(|page| page[0] == 0xff).count()
    };
    press_and_release(&chip);
    runs_to(&chip, &[(0x4001_e508, 4)]);
    let (mut last, pages) = (0, len / 1024);
    while last < pages {
        runs_to(&chip, &[MICROBIT_WATCHDOG.feed]);
        let now = erased();
        assert!(now <= last + 1, "{} pages at once", now - last);
        last = now;
    }
    chip.machine().resume().unwrap();
    says(&chip, &ROLLBACK[4..]);
    chip.cut();
    assert!(bench.holds(Role::Primary, &factory));
}

/// It runs, and as long, whichever way the application was started.
#[test]
fn an_application_has_the_same_watchdog_with_a_rollback_and_without() {
    let Some(bench) = Bench::new(MPS2_FACTORY, "watchdog-started") else { return };
    let factory = bench.image("0.9.0", HOST);
    bench.put(Role::Factory, 0, &factory.bytes);
    bench.provision(&bench.image("1.0.0", HOST));
    let watchdogs = [(false, "boot: starting 1.0.0"), (true, "boot: starting 0.9.0")].map(
        |(pressed, starting)| {
            let chip = bench.start_paused();
            chip.press(pressed);
            chip.machine().resume().unwrap();
            says(&chip, &[starting, "app: self-test passed"]);
            // The time, and that it counts and resets.
            [0x4000_8000, MPS2_WATCHDOG.start.0].map(|place| chip.machine().read(place, 4).unwrap())
        },
    );
    assert_eq!(watchdogs[0], watchdogs[1]);
    assert_eq!(watchdogs[0][1], [3, 0, 0, 0]);
}
