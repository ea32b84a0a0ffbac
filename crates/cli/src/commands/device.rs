//! `updraft device`: virtual devices, and boards in QEMU.

use std::io::{self, BufRead, ErrorKind};
use std::net::{SocketAddr, UdpSocket};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Sender, channel};
use std::time::Duration;

use anyhow::{Context, anyhow};
use clap::Subcommand;
use serde_json::json;
use updraft_ble::{Peripheral, Security};
use updraft_board::{Area, Board, Encryption, Role};
use updraft_image::Verifier;
use updraft_sim::PrivateKey;
use updraft_sim::device::{
    Device, Keys, Services, copy_of_flash, flash_in_file, flash_in_memory, program_at, update_start,
};
use updraft_sim::flash::{SimFlash, Torn};
use updraft_smp::server::{Access, Demand};

use super::image::encryption::{describe, load_decryption_key};
use super::key::load_public;
use crate::bluetooth::{BondFile, Controller};
use crate::device::{Detail, Emulation, Emulator, Host, Radio, Remote, Serial, draw, slots};
use crate::output::{DIM, GOOD, Output, WARN, styled};
use crate::report::Hint;

/// Options of `updraft device`.
#[derive(clap::Args)]
pub struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Play a device: bootloader, application, SMP server, on a flash file; or a board's own in QEMU.
    Run(Box<Run>),
    /// Show what lies in a flash file.
    Show(Show),
}

const CONSOLE: &str = "Commands on standard input, a line each:
  reset             reset pin
  button [MS]       press the button for MS milliseconds (default 100)
  hold | release    hold the button down, let it go; held at a reset, or let go with nothing to
                    boot, it brings the factory image back; or, held at a reset, serial recovery
  cut [N]           cut the power in the Nth flash operation from now; at once without N
  on                power on
  slots             show flash map and slots
  quit              stop; the flash file stays
When standard input ends, the device goes on.";

/// Options of `updraft device run`.
#[derive(clap::Args)]
#[command(after_help = format!("{CONSOLE}

Killing the process is a power cut. The application is what the running image describes in its
body, in lines like these:

  updraft-app 1
  name = blinky          what the console calls it
  blink-ms = 500         half a period of the LED
  self-test = pass       pass, fail, hang or crash
  self-test-ms = 200     how long it takes
  confirm = self         who confirms it: self or host
  does = update          it fetches its updates, on a device with --ota
  ask = 10               when: so many seconds after its start, or at the button
  prefix = OTAUpdate     what topics begin with
  wait = battery:5       what updates wait for, and how many seconds after its start: battery, network,
                         space or user

With --qemu, the board's own bootloader and application run on a processor that QEMU emulates;
FIRMWARE/BOARD has them (cargo xtask firmware), and the bootloader the key that it trusts. Its commands are
those above, but that `cut N` counts single stores to flash.

Examples:
  updraft device run --board virtual-nor-4k --flash dev.flash --key key.pub.pem \\
      --load primary=app-1.0.0.signed.bin --udp 127.0.0.1:1337
  updraft device run --board virtual-nor-4k --flash dev.flash --key key.pub.pem
  updraft device run --flash dev.flash --key key.pub.pem --files device-files \\
      --allow-udp read-only
  updraft device run --flash dev.flash --key key.pub.pem --ota mqtts://127.0.0.1 --certs lab
  updraft device run --flash dev.flash --key key.pub.pem --ble hci-tcp:127.0.0.1:9641
  updraft device run --qemu --board mps2-an386 --flash mps2.flash --load primary=app.signed.bin"))]
struct Run {
    /// Name or file of the board.
    #[arg(long, default_value = "virtual-nor-4k")]
    board: String,
    /// The flash, made if it is not there. Without it the flash is in memory.
    #[arg(long, value_name = "FILE")]
    flash: Option<PathBuf>,
    /// Where SMP is answered.
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:1337")]
    udp: String,
    /// Give the device a serial line, a pseudo-terminal whose path is printed: `auto`, or a path
    /// for a symbolic link to it. Console and SMP share it as on a board; in serial recovery the
    /// bootloader answers there.
    #[arg(long, value_name = "PTY|auto")]
    serial: Option<PathBuf>,
    /// Give the device a Bluetooth LE radio: the controller it uses, hci-tcp:HOST:PORT or
    /// hci-uart:PORT, perhaps with @BAUD behind it.
    #[arg(long, value_name = "CONTROLLER")]
    ble: Option<Controller>,
    /// What it is called over Bluetooth. Up to 8 bytes are heard without being asked for.
    #[arg(long, value_name = "NAME", default_value = "updraft", requires = "ble")]
    ble_name: String,
    /// Pair only with who knows these six digits.
    #[arg(long, value_name = "DIGITS", requires = "ble", value_parser = super::smp::passkey)]
    ble_passkey: Option<u32>,
    /// Answer over Bluetooth without encryption: anybody in reach can then install anything.
    #[arg(long, requires = "ble", conflicts_with = "ble_passkey")]
    ble_unsafe_open: bool,
    /// Public (or private) key that the bootloader trusts; may be given several times.
    #[arg(long = "key", value_name = "PEM")]
    keys: Vec<PathBuf>,
    /// Private key that encrypted images are decrypted with, or a wrapping key in base64; without,
    /// they are refused. What is programmed into the primary slot has to be in plaintext (`image
    /// sign --clear`).
    #[arg(long, value_name = "KEY")]
    private_key: Option<PathBuf>,
    /// Trust images without a signature. Anybody can then install anything.
    #[arg(long, conflicts_with = "keys")]
    unsigned: bool,
    /// Folder on this computer whose files the device has as /files. Without it files are in
    /// memory. Settings that are saved are beside the flash file.
    #[arg(long, value_name = "FOLDER")]
    files: Option<PathBuf>,
    /// What may be asked for over UDP.
    #[arg(long, value_enum, value_name = "WHAT", default_value = "everything")]
    allow_udp: Allowed,
    /// What may be asked for over the serial line.
    #[arg(long, value_enum, value_name = "WHAT", default_value = "everything")]
    allow_serial: Allowed,
    /// What may be asked for over Bluetooth.
    #[arg(long, value_enum, value_name = "WHAT", default_value = "everything")]
    allow_ble: Allowed,
    /// Put the device on the network, where applications that fetch their updates find them at
    /// mqtts://HOST:PORT, mqtt:// in plain text, or http(s)://HOST/FILE with the job. They ask
    /// `updraft publish --board-name` with the board's name.
    #[cfg(feature = "air")]
    #[arg(long, value_name = "URL")]
    ota: Option<crate::air::Address>,
    /// What jobs call the board. Default: its name.
    #[cfg(feature = "air")]
    #[arg(long, value_name = "NAME", requires = "ota")]
    ota_board: Option<String>,
    /// The serial number that the device tells when it asks for updates.
    #[cfg(feature = "air")]
    #[arg(long, value_name = "TEXT", default_value = "", requires = "ota")]
    ota_serial: String,
    /// The device asks AWS IoT, or who speaks like it, as this thing.
    #[cfg(feature = "air")]
    #[arg(long, value_name = "NAME", requires = "ota", conflicts_with = "ota_board")]
    ota_thing: Option<String>,
    /// Certificate, or public key, of who signs jobs of AWS IoT; may be given several times.
    #[cfg(feature = "air")]
    #[arg(long, value_name = "PEM", requires = "ota_thing")]
    ota_signer: Vec<PathBuf>,
    #[cfg(feature = "air")]
    #[command(flatten)]
    lines: crate::air::Lines,
    /// Program an image into an area before the power is turned on, as a probe does.
    #[arg(long, value_name = "AREA=FILE")]
    load: Vec<String>,
    /// Have QEMU play the board itself: its bootloader and application on an emulated processor.
    #[arg(
        long,
        conflicts_with_all = [
            "ble", "keys", "private_key", "unsigned", "files", "allow_udp", "allow_serial", "allow_ble",
        ]
    )]
    qemu: bool,
    /// With --qemu: the folder that has one with the programs of the board.
    #[arg(
        long,
        value_name = "FOLDER",
        env = "UPDRAFT_FIRMWARE",
        default_value = "target/firmware"
    )]
    firmware: PathBuf,
    /// With --qemu: give the board a network. What comes to the address of --udp goes to it.
    #[arg(long, requires = "qemu")]
    network: bool,
}

/// What may be asked for over a transport; the rest is refused.
#[derive(Clone, Copy, Debug, clap::ValueEnum)]
enum Allowed {
    /// Every command.
    Everything,
    /// What changes nothing.
    ReadOnly,
    /// What an update takes.
    UpdateOnly,
}

impl Allowed {
    fn access(self) -> Access<'static> {
        match self {
            Self::Everything => Access::EVERYTHING,
            Self::ReadOnly => Access::READ_ONLY,
            Self::UpdateOnly => Access::UPDATE_ONLY,
        }
    }
}

/// Options of `updraft device show`.
#[derive(clap::Args)]
struct Show {
    /// Name or file of the board.
    #[arg(long, default_value = "virtual-nor-4k")]
    board: String,
    /// The flash.
    #[arg(long, value_name = "FILE")]
    flash: PathBuf,
}

/// Carries the command out.
pub fn run(args: Args, out: &Output) -> anyhow::Result<()> {
    match args.command {
        Command::Run(args) => play(*args, out),
        Command::Show(args) => show(args, out),
    }
}

fn show(args: Show, out: &Output) -> anyhow::Result<()> {
    let board = super::boards::load(&args.board)?;
    if !args.flash.exists() {
        return Err(anyhow!("{} is not there", args.flash.display()))
            .hint("updraft device run --flash FILE makes one");
    }
    let flash = explained(copy_of_flash(&board, &args.flash), &board, &args.flash)?;
    let views = slots(&board, &flash);
    let text = draw(&board, &views, Detail::Full, out.width(), out.is_terminal());
    out.result(&views, |w| write!(w, "{text}"))
}

pub(super) fn explained<T>(opened: io::Result<T>, board: &Board, path: &Path) -> anyhow::Result<T> {
    let hint = match &opened {
        Err(error) if error.kind() == ErrorKind::ResourceBusy => {
            "stop that device, or give another file: a device has its flash to itself"
        }
        _ => "give the board that the file was made for, or another file",
    };
    opened
        .with_context(|| format!("{} cannot be the flash of {}", path.display(), board.name()))
        .hint(hint)
}

fn play(args: Run, out: &Output) -> anyhow::Result<()> {
    let board = super::boards::load(&args.board)?;
    if args.qemu {
        return emulate(&args, &board, out);
    }
    let keys = match (args.unsigned, args.keys.is_empty()) {
        (true, _) => Keys::unsigned(),
        (false, true) => {
            return Err(anyhow!("the bootloader needs a key to trust"))
                .usage("--key key.pub.pem, or --unsigned to trust everybody");
        }
        (false, false) => trusted(&board, &args.keys, out)?,
    };
    let keys = decrypting(keys, &board, args.private_key.as_deref())?;
    let mut flash = match &args.flash {
        Some(path) => explained(flash_in_file(&board, path), &board, path)?,
        None => flash_in_memory(&board),
    };
    for load in &args.load {
        load_area(&board, &mut flash, load)?;
    }
    if !keys.demands_signature() {
        out.note(styled(WARN, "this device boots unsigned images"));
    }
    #[cfg(feature = "air")]
    let network = network(&args, &board, out)?;
    let device = Device::new(board, flash, keys)?.serving(services(&args)?);
    #[cfg(feature = "air")]
    let device = if network.is_some() { device.networked() } else { device };
    let (mut host, remote) = Host::bind(device, &args.udp)?;
    let address = host.address()?;
    if out.json() {
        out.event(&json!({ "event": "listening", "address": address }), "")?;
    } else {
        out.note(format!("{} SMP on {address}", styled(GOOD, "device:")));
    }
    if let Some(path) = &args.serial {
        let serial = Serial::open((path.as_os_str() != "auto").then_some(path))?;
        if out.json() {
            out.event(&json!({ "event": "serial", "path": serial.path() }), "")?;
        } else {
            let path = serial.path().display();
            out.note(format!("{} serial line at {path}", styled(GOOD, "device:")));
        }
        host.connect(serial);
    }
    if let Some(controller) = &args.ble {
        let bonds = match &args.flash {
            Some(flash) => BondFile::load(&beside(flash, ".bonds"))?,
            None => BondFile::in_memory(),
        };
        let peripheral = peripheral(&args)?.with_random_address(bonds.address());
        let radio = Radio::open(controller.clone())?;
        let console = *out;
        let complain = move |why: &str| console.note(why);
        radio
            .play(remote.clone(), peripheral, bonds, complain)
            .context("no thread for the radio")?;
        if args.ble_unsafe_open {
            out.note(styled(WARN, "this device answers anybody over Bluetooth"));
        }
        let name = &args.ble_name;
        if out.json() {
            let controller = controller.to_string();
            let event = json!({ "event": "bluetooth", "name": name, "controller": controller });
            out.event(&event, "")?;
        } else {
            out.note(format!("{} Bluetooth as {name} on {controller}", styled(GOOD, "device:")));
        }
    }
    #[cfg(feature = "air")]
    if let Some((network, server)) = network {
        let console = *out;
        network.play(remote.clone(), move |why| console.note(why))?;
        if out.json() {
            out.event(&json!({ "event": "network", "server": server }), "")?;
        } else {
            out.note(format!(
                "{} on the network, applications with `does = update` ask {server}",
                styled(GOOD, "device:")
            ));
        }
    }
    let console = *out;
    let input = std::thread::Builder::new().name("input".into());
    input.spawn(move || read_commands(&remote, &console))?;
    host.run(|line| {
        // A console that nobody reads does not stop the device.
        let _ = out.event(&json!({ "event": "console", "line": line }), line);
    })
}

/// The network that the device is on, and its server, if there is one.
#[cfg(feature = "air")]
fn network(
    args: &Run,
    board: &Board,
    out: &Output,
) -> anyhow::Result<Option<(crate::air::Network, String)>> {
    use crate::air::{Network, Notes, Place, Signer};

    let Some(server) = args.ota.clone() else { return Ok(None) };
    let notes = match &args.flash {
        Some(flash) => Notes::beside(flash),
        None => Notes::in_memory(),
    };
    let signers = args.ota_signer.iter().map(|path| Signer::open(path, out));
    let notes = notes.signed_by(signers.collect::<Result<_, _>>()?);
    let told = format!("{}://{}", server.scheme, server.host);
    let board = args.ota_board.clone().unwrap_or_else(|| board.name().to_owned());
    let (serial, thing) = (args.ota_serial.clone(), args.ota_thing.clone());
    let place = Place { server, board, serial, thing };
    Ok(Some((Network::new(place, &args.lines, notes)?, told)))
}

/// A file beside the flash file.
fn beside(flash: &Path, ending: &str) -> PathBuf {
    let mut name = flash.to_owned().into_os_string();
    name.push(ending);
    name.into()
}

/// How the device shows itself over Bluetooth.
fn peripheral(args: &Run) -> anyhow::Result<Peripheral<'static>> {
    // The radio has it as long as the process lasts.
    let name: &'static str = args.ble_name.clone().leak();
    let peripheral = Peripheral::new(name).usage("give it a shorter one with --ble-name")?;
    Ok(peripheral.with_security(match (args.ble_passkey, args.ble_unsafe_open) {
        (Some(passkey), _) => Security::Passkey(passkey),
        (None, true) => Security::UnsafeOpen,
        (None, false) => Security::Encrypted,
    }))
}

/// What the device serves beside its images.
fn services(args: &Run) -> anyhow::Result<Services> {
    let (udp, serial) = (args.allow_udp.access(), args.allow_serial.access());
    let ble = args.allow_ble.access().demanding(match args.ble_unsafe_open {
        true => Demand::Nothing,
        false => Demand::EncryptedAndBonded,
    });
    let mut services = Services::default().allowing(udp, serial).allowing_over_bluetooth(ble);
    if let Some(flash) = &args.flash {
        let file = beside(flash, ".upload");
        services = services
            .with_progress_in(&file)
            .with_context(|| format!("{} cannot be read", file.display()))
            .hint("delete it: it tells how far an upload has come")?;
        let file = beside(flash, ".settings");
        services = services
            .with_settings_in(&file)
            .with_context(|| format!("{} cannot be the device's settings", file.display()))
            .hint("delete it, and the device starts without settings")?;
    }
    if let Some(folder) = &args.files {
        services = services
            .with_files_in(folder)
            .with_context(|| format!("{} cannot be the device's files", folder.display()))?;
    }
    Ok(services)
}

/// The keys in the files, in the encoding that bootloaders embed.
pub(super) fn trusted(board: &Board, paths: &[PathBuf], out: &Output) -> anyhow::Result<Keys> {
    let signature = board.boot().signature;
    let key = |path: &PathBuf| {
        let key = load_public(path, out)?;
        let (kind, name) = (key.kind(), board.name());
        if signature.scheme().is_some() && signature.scheme() == key.scheme() {
            return Ok(key.as_der().to_vec());
        }
        let hint = match signature.scheme() {
            Some(_) => format!("updraft key new --type {}", signature.name()),
            None => "--unsigned".into(),
        };
        Err(anyhow!("{}: {kind}, which the bootloader of {name} does not verify", path.display()))
            .hint(hint)
    };
    Ok(Keys::trusting(paths.iter().map(key).collect::<Result<_, _>>()?)?)
}

/// The same keys with the private one that the board's encrypted images are for.
pub(super) fn decrypting(keys: Keys, board: &Board, path: Option<&Path>) -> anyhow::Result<Keys> {
    let (name, encryption) = (board.name(), board.boot().encryption);
    let Some(path) = path else { return Ok(keys) };
    let Some(format) = encryption.as_ref().and_then(Encryption::format) else {
        return Err(anyhow!("{name} does not decrypt images")).usage("leave --private-key out");
    };
    let embedded = load_decryption_key(path)?.embedded().or_else(super::key::advise)?;
    let key = PrivateKey::new(format, embedded.to_vec())
        .with_context(|| format!("{}: {name} takes {}", path.display(), describe(format)))
        .hint("give a key of the type that the board file names")?;
    Ok(keys.with_private_key(key))
}

/// Has QEMU play the board.
fn emulate(args: &Run, board: &Board, out: &Output) -> anyhow::Result<()> {
    let network = match args.network {
        true => Some(args.udp.parse::<SocketAddr>()),
        false => None,
    };
    let network = network
        .transpose()
        .with_context(|| format!("{} is no address and port", args.udp))
        .usage("--udp 127.0.0.1:1337")?;
    let network = network.map(with_port).transpose()?;
    let (flash, serial) = (args.flash.as_deref(), args.serial.as_deref());
    let emulation = Emulation { board, firmware: &args.firmware, flash, serial, network };
    let emulator = Emulator::new(&emulation, out)?;
    for load in &args.load {
        let (area, bytes) = area_and_image(board, load)?;
        emulator.load(area, &bytes).with_context(|| format!("--load {load}"))?;
    }
    if emulator.is_new() && args.load.is_empty() {
        out.note(format!(
            "{} the flash is empty. An image for --load primary=FILE, or for an upload:\n  updraft \
             image sign --board {name} --key KEY --version 1.0.0 {} FILE",
            styled(WARN, "device:"),
            args.firmware.join(board.name()).join("application.bin").display(),
            name = board.name()
        ));
    }
    let (tell, commands) = channel();
    let console = *out;
    let input = std::thread::Builder::new().name("input".into());
    input.spawn(move || send_lines(&tell, &console))?;
    emulator.run(network, &commands)
}

/// The same address with a port that is free, where it names none.
fn with_port(address: SocketAddr) -> anyhow::Result<SocketAddr> {
    let bound = UdpSocket::bind(address).and_then(|socket| socket.local_addr());
    bound
        .context("the UDP address cannot be used")
        .hint("give another one with --udp; port 0 takes any that is free")
}

/// Hands lines of standard input over until it ends.
fn send_lines(to: &Sender<String>, out: &Output) {
    for line in io::stdin().lock().split(b'\n') {
        let line = match line {
            Ok(line) => String::from_utf8_lossy(&line).into_owned(),
            Err(error) => {
                out.note(format_args!("standard input cannot be read any more: {error}"));
                return;
            }
        };
        if to.send(line).is_err() {
            return;
        }
    }
}

/// What `--load AREA=FILE` names.
fn area_and_image<'b>(board: &'b Board, load: &str) -> anyhow::Result<(&'b Area, Vec<u8>)> {
    let (name, path) = load
        .split_once('=')
        .ok_or_else(|| anyhow!("--load {load} names no area"))
        .usage("--load AREA=FILE, such as --load primary=app.signed.bin")?;
    let area = board
        .area_named(name)
        .or_else(|| match name {
            "primary" => board.slot(0, Role::Primary),
            "secondary" => board.slot(0, Role::Secondary),
            _ => None,
        })
        .ok_or_else(|| anyhow!("{} has no area {name}", board.name()))
        .hint(format!("updraft boards {} shows them", board.name()))?;
    let bytes = std::fs::read(path).with_context(|| format!("{path} cannot be read"))?;
    Ok((area, bytes))
}

fn load_area(board: &Board, flash: &mut SimFlash, load: &str) -> anyhow::Result<()> {
    let (area, bytes) = area_and_image(board, load)?;
    program_at(flash, area.id, update_start(board, flash, area), &bytes).with_context(|| {
        format!("--load {load} does not fit the {}-byte area {}", area.size, area.name)
    })
}

/// Reads commands until standard input ends; then the device goes on by itself.
fn read_commands(remote: &Remote, out: &Output) {
    let mut input = io::stdin().lock();
    loop {
        let mut line = Vec::new();
        match input.read_until(b'\n', &mut line) {
            Ok(0) => break,
            Ok(_) => {}
            Err(error) => {
                out.note(format_args!("standard input cannot be read any more: {error}"));
                break;
            }
        }
        let done = match command(String::from_utf8_lossy(&line).trim(), remote, out) {
            Ok(done) => done,
            Err(error) => {
                out.note(format!("{error:#}"));
                false
            }
        };
        if done {
            std::process::exit(0);
        }
    }
    loop {
        std::thread::park();
    }
}

/// Carries out one line; `true` to stop.
fn command(line: &str, remote: &Remote, out: &Output) -> anyhow::Result<bool> {
    let (word, rest) = line.split_once(' ').unwrap_or((line, ""));
    let number = || {
        let number = (!rest.is_empty()).then(|| rest.trim().parse::<u64>()).transpose();
        number.with_context(|| format!("`{rest}` is no number"))
    };
    match word {
        "" => {}
        "quit" => return Ok(true),
        "on" => remote.with(|device, now| device.power_on(now))?,
        "reset" => remote.with(|device, now| device.reset(now))?,
        "hold" => remote.with(|device, now| device.hold_button(true, now))?,
        "release" => remote.with(|device, now| device.hold_button(false, now))?,
        "button" => {
            let hold = Duration::from_millis(number()?.unwrap_or(100));
            remote.with(move |device, now| device.press_button(hold, now))?;
        }
        "cut" => {
            let operation = number()?;
            remote.with(move |device, _| match operation {
                None | Some(0) => device.power_off(),
                Some(n) => device.cut_at(n - 1, Torn::Half),
            })?;
            let when = operation.map_or("now".into(), |n| format!("in flash operation {n}"));
            out.note(styled(DIM, format!("power cut {when}")));
        }
        "slots" => {
            let (width, color) = (out.width(), out.is_terminal());
            let (views, text) = remote.with(move |device, _| {
                let board = device.board().clone();
                let views = slots(&board, device.flash());
                let text = draw(&board, &views, Detail::Brief, width, color);
                (views, text)
            })?;
            out.event(&json!({ "event": "slots", "slots": views }), text)?;
        }
        _ => out.note(CONSOLE),
    }
    Ok(false)
}
