//! A real mosquitto, for as long as a story lasts.

use std::fs::File;
use std::io::ErrorKind;
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, anyhow};
use updraft_certs::{Clients, Listener, configuration};

use crate::report::Hint;

/// How long it may take until it listens.
const PATIENCE: Duration = Duration::from_secs(15);
/// Where it is, if not where programs are.
const PROGRAM: &str = "UPDRAFT_MOSQUITTO";
/// What it says is left in this file.
const LOG: &str = "mosquitto.log";
/// Where brokers are besides the usual folders of programs.
const FOLDERS: [&str; 3] = ["/usr/sbin", "/usr/local/sbin", "/opt/homebrew/sbin"];
const INSTALL: &str = "install it: `apt install mosquitto` on Debian and Ubuntu, `brew install \
                       mosquitto` on macOS, https://mosquitto.org/download elsewhere";

/// The broker's process, which ends with this.
#[derive(Debug)]
pub struct Broker {
    process: Child,
    /// Its port, on this computer only.
    pub port: u16,
}

impl Broker {
    /// Starts one with a configuration in `folder`, where the files of a lab are if it speaks TLS:
    /// then it asks for certificates.
    pub fn start(folder: &Path, tls: bool) -> anyhow::Result<Self> {
        let port = free_port().context("no port is free for the broker")?;
        let tls = tls.then_some(Clients::Certified);
        let address = Some(Ipv4Addr::LOCALHOST.into());
        let listener = Listener { port, address, tls, access: None };
        let text = configuration(&[listener], folder);
        let path = folder.join("mosquitto.conf");
        // Started as root it would become another user, who may not read what is ours.
        std::fs::write(&path, format!("user root\n{text}"))
            .with_context(|| format!("{} cannot be written", path.display()))?;
        let mut folders: Vec<_> =
            std::env::split_paths(&std::env::var_os("PATH").unwrap_or_default()).collect();
        folders.extend(FOLDERS.map(Into::into));
        let search = std::env::join_paths(folders).unwrap_or_default();
        let program = std::env::var_os(PROGRAM).unwrap_or_else(|| "mosquitto".into());
        let mut command = Command::new(program);
        command.env("PATH", search).arg("-c").arg(&path).stdin(Stdio::null());
        let log = folder.join(LOG);
        let said =
            File::create(&log).with_context(|| format!("{} cannot be written", log.display()));
        let process = command.stdout(Stdio::null()).stderr(said?).spawn();
        let process = match process {
            Err(error) if error.kind() == ErrorKind::NotFound => {
                return Err(anyhow!(
                    "this story needs the MQTT broker mosquitto, which is not here"
                ))
                .hint(INSTALL);
            }
            process => process.context("mosquitto cannot be started")?,
        };
        let mut broker = Self { process, port };
        broker.wait(&log)?;
        Ok(broker)
    }

    /// Waits until it listens.
    fn wait(&mut self, log: &Path) -> anyhow::Result<()> {
        let until = Instant::now() + PATIENCE;
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, self.port));
        while TcpStream::connect_timeout(&address, PATIENCE).is_err() {
            if self.process.try_wait().context("mosquitto is lost")?.is_some() {
                let said = std::fs::read_to_string(log).unwrap_or_default();
                let last = said.lines().last().unwrap_or("it said nothing").to_owned();
                return Err(anyhow!(last).context("mosquitto has ended at once"));
            }
            if Instant::now() > until {
                return Err(anyhow!("mosquitto does not listen at port {}", self.port));
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        Ok(())
    }
}

impl Drop for Broker {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn free_port() -> std::io::Result<u16> {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr().map(|address| address.port())
}
