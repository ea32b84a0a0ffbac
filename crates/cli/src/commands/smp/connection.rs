//! How to reach a device: options, or what its profile says.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::anyhow;
use updraft_smp::client::Patience;

use super::Talk;
use crate::bluetooth::Controller;
use crate::report::Hint;
use crate::smp::{Bluetooth, Framed, Link, Look, Peer, Profile, Profiles, Serial, Session, Udp};

/// Bits per second on a serial line, unless others are named.
const BAUD: u32 = 115_200;

/// Options that say where the device is, and how to talk to it.
#[derive(clap::Args)]
pub struct Connection {
    #[command(flatten)]
    device: Device,
    /// Bits per second on the serial line [default: 115200].
    #[arg(long, value_name = "N")]
    baud: Option<u32>,
    /// How messages are told from each other on the serial line [default: console].
    #[arg(long, value_enum)]
    framing: Option<Framed>,
    /// The Bluetooth controller that this computer uses for --ble: hci-tcp:HOST:PORT, or a dongle,
    /// hci-uart:PORT, perhaps with @BAUD behind it.
    #[arg(long, env = "UPDRAFT_CONTROLLER")]
    controller: Option<Controller>,
    /// The six digits that a device shows, or that came with it, to pair with it.
    #[arg(long, value_name = "DIGITS", value_parser = super::passkey)]
    passkey: Option<u32>,
    /// Seconds to wait for an answer before the request is repeated; at least 5 where flash is
    /// written [default: 1].
    #[arg(long, value_name = "SECONDS", allow_negative_numbers = true)]
    timeout: Option<f64>,
    /// How often a request is repeated [default: 4].
    #[arg(long, value_name = "N")]
    retries: Option<u32>,
}

/// Where the device is.
#[derive(clap::Args)]
#[group(multiple = false)]
struct Device {
    /// The device: host or address, with a port unless it is 1337.
    #[arg(long, value_name = "HOST[:PORT]")]
    udp: Option<String>,
    /// The device's serial port, such as /dev/ttyACM0.
    #[arg(long, value_name = "PORT")]
    serial: Option<PathBuf>,
    /// The device's Bluetooth name or address.
    #[arg(long, value_name = "NAME|ADDRESS")]
    ble: Option<String>,
    /// The device's name, as `profile add` gave it.
    #[arg(short, long, value_name = "NAME")]
    profile: Option<String>,
    /// All devices whose names fit a pattern such as 'bench-*', at the same time.
    #[arg(long, value_name = "PATTERN")]
    all_matching: Option<String>,
}

impl Connection {
    /// The pattern of several devices.
    pub fn pattern(&self) -> Option<&str> {
        self.device.all_matching.as_deref()
    }

    /// What the options say, over what the named profile does.
    pub fn profile(&self) -> anyhow::Result<Profile> {
        let named = match &self.device.profile {
            Some(name) => Profiles::load()?.find(name)?.clone(),
            None => Profile {
                udp: self.device.udp.clone(),
                serial: self.device.serial.clone(),
                ble: self.device.ble.clone(),
                ..Profile::default()
            },
        };
        let profile = Profile {
            baud: self.baud.or(named.baud),
            framing: self.framing.or(named.framing),
            timeout: self.timeout.or(named.timeout),
            retries: self.retries.or(named.retries),
            controller: match (&named.ble, &self.controller) {
                (Some(_), Some(controller)) => Some(controller.clone()),
                _ => named.controller,
            },
            ..named
        };
        if profile.udp.is_none() && profile.serial.is_none() && profile.ble.is_none() {
            return Err(anyhow!("no device is named")).usage(
                "say where it is: --udp HOST, --serial PORT, --ble NAME, or --profile NAME",
            );
        }
        if profile.ble.is_none() && self.passkey.is_some() {
            return Err(anyhow!("--passkey is for Bluetooth"))
                .usage("leave it out, or name a device with --ble");
        }
        if profile.serial.is_none() && (profile.baud.is_some() || profile.framing.is_some()) {
            return Err(anyhow!("--baud and --framing are for serial lines"))
                .usage("leave them out, or name a port with --serial");
        }
        let timeout = profile.timeout();
        match self.timeout {
            Some(_) => {
                timeout.usage("--timeout takes seconds above 0 and up to an hour, such as 2.5")?
            }
            None => timeout.hint("give it another one: --timeout 2.5, or in the file of names")?,
        };
        Ok(profile)
    }

    /// How people call the device.
    pub fn name(&self) -> anyhow::Result<String> {
        let profile = self.profile()?;
        let named = self.device.profile.clone();
        let port = profile.serial.map(|port| port.display().to_string());
        Ok(named.or(port).or(profile.udp).or(profile.ble).unwrap_or_default())
    }

    /// Where to look for devices, with what is known of their serial lines.
    pub fn look(&self, places: Vec<String>, wait: Duration) -> Look {
        let baud = self.baud.unwrap_or(BAUD);
        let controller = self.controller.clone();
        Look { places, wait, baud, framing: self.framing, controller }
    }

    /// Whether there is a Bluetooth controller to listen with.
    pub fn has_controller(&self) -> bool {
        self.controller.is_some()
    }

    /// A session with the device.
    pub fn open(&self) -> anyhow::Result<Talk> {
        let profile = self.profile()?;
        let timeout = profile.timeout()?;
        let retries = profile.retries.unwrap_or(4);
        let patience = Patience { timeout, longest: timeout * 4, retries };
        let link: Box<dyn Link> = match (&profile.ble, &profile.serial, &profile.udp) {
            (Some(device), ..) => {
                let peer = Peer { device: device.clone(), passkey: self.passkey };
                Bluetooth::of(profile.controller.as_ref())?.connect(peer)?
            }
            (None, Some(port), _) => {
                let framing = profile.framing.unwrap_or(Framed::Console);
                Box::new(Serial::open(port, profile.baud.unwrap_or(BAUD), framing)?)
            }
            (None, None, host) => Box::new(Udp::connect(host.as_deref().unwrap_or_default())?),
        };
        Ok(Session::new(link, patience))
    }
}
