//! mosquitto on a port of its own, and a lab's certificates.

use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use updraft_certs::{Clients, HostName, Listener, Pair, configuration, lab};
use updraft_online::{Credentials, Session, Settings, Tls, TlsError, Trust};

/// The most that anything is waited for.
pub const LONG: Duration = Duration::from_secs(20);

/// A folder that goes with its test.
pub struct Folder(pub PathBuf);

impl Folder {
    pub fn new() -> Self {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let name = format!("updraft-online-{}-{number}", std::process::id());
        let folder = std::env::temp_dir().join(name);
        std::fs::create_dir_all(&folder).unwrap();
        Self(folder)
    }

    pub fn file(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    /// The files of a lab whose broker is at `hosts`.
    pub fn with_lab(hosts: &str) -> Self {
        let folder = Self::new();
        let hosts: Vec<HostName> = hosts.split(' ').map(|host| host.parse().unwrap()).collect();
        for file in lab(&hosts, None).unwrap() {
            std::fs::write(folder.file(&file.name), file.content.as_bytes()).unwrap();
        }
        folder
    }

    pub fn trust(&self) -> Trust {
        Trust::File(self.file("mosquitto_ca.crt"))
    }

    pub fn client(&self) -> Credentials {
        self.credentials(Pair::Client.stem())
    }

    pub fn credentials(&self, stem: &str) -> Credentials {
        Credentials {
            certificate: self.file(&format!("{stem}.crt")),
            key: self.file(&format!("{stem}.key")),
        }
    }

    /// A device of this lab.
    pub fn settings(&self, client_id: &str) -> Settings {
        tls(&self.trust(), Some(&self.client()), None, client_id).unwrap()
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

pub fn tls(
    trust: &Trust,
    credentials: Option<&Credentials>,
    name: Option<&str>,
    client_id: &str,
) -> Result<Settings, TlsError> {
    let tls = Tls::new(trust, credentials, name)?;
    Ok(Settings::tls(Session::new(client_id), Arc::new(tls)))
}

pub fn plain(client_id: &str) -> Settings {
    Settings::plain(Session::new(client_id))
}

pub fn free_port() -> u16 {
    let free = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    free.local_addr().unwrap().port()
}

/// A broker with a plain port and one that wants certificates.
pub struct Broker {
    child: Option<Child>,
    pub plain: u16,
    pub tls: u16,
    config: PathBuf,
}

impl Broker {
    pub fn start(folder: &Folder) -> Self {
        Self::with(folder, "")
    }

    pub fn with(folder: &Folder, more: &str) -> Self {
        let (plain, tls) = (free_port(), free_port());
        let address = Some(Ipv4Addr::LOCALHOST.into());
        let mut listeners = vec![Listener { port: plain, address, tls: None, access: None }];
        if folder.file("mosquitto_ca.crt").exists() {
            let list = folder.file("mosquitto_ca.crl").exists();
            let tls_of = Some(if list { Clients::Unrevoked } else { Clients::Certified });
            listeners.push(Listener { port: tls, address, tls: tls_of, access: None });
        }
        let config = folder.file("mosquitto.conf");
        let text = configuration(&listeners, &folder.0);
        // As root it would become another user, who may not read the folder.
        let user = std::env::var("USER").unwrap_or_else(|_| "root".into());
        let global = format!("user {user}\nset_tcp_nodelay true\n");
        std::fs::write(&config, format!("{global}{text}{more}\n")).unwrap();
        let mut broker = Self { child: None, plain, tls, config };
        broker.restart();
        broker
    }

    pub fn stop(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }

    pub fn restart(&mut self) {
        self.stop();
        let path = format!("{}:/usr/sbin", std::env::var("PATH").unwrap_or_default());
        let mut command = Command::new("mosquitto");
        let openssl = self.config.with_file_name("openssl.cnf");
        if openssl.exists() {
            command.env("OPENSSL_CONF", openssl);
        }
        let child = command
            .env("PATH", path)
            .arg("-c")
            .arg(&self.config)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn();
        self.child = Some(child.expect("mosquitto: `cargo xtask setup` installs it"));
        let until = Instant::now() + LONG;
        while TcpStream::connect((Ipv4Addr::LOCALHOST, self.plain)).is_err() {
            assert!(Instant::now() < until, "mosquitto does not start");
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// `mosquitto_pub` says something.
    pub fn publish(&self, topic: &str, payload: &str) {
        let port = self.plain.to_string();
        let args = ["-h", "127.0.0.1", "-p", &port, "-q", "1", "-t", topic, "-m", payload];
        assert!(Command::new("mosquitto_pub").args(args).status().unwrap().success());
    }

    /// `mosquitto_sub` that ends after `count` messages, once it has subscribed.
    pub fn listen(&self, topic: &str, count: usize) -> Child {
        use std::io::Read;
        let (port, count) = (self.plain.to_string(), count.to_string());
        let args = ["-h", "127.0.0.1", "-p", &port, "-q", "1", "-t", topic, "-C", &count];
        // A pipe is written to in blocks otherwise.
        let command = &mut Command::new("stdbuf");
        command.args(["-oL", "mosquitto_sub"]).args(args).args(["-d", "-W", "20"]);
        let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
        let (mut said, mut byte) = (String::new(), [0]);
        while !said.contains("SUBACK") {
            child.stdout.as_mut().unwrap().read_exact(&mut byte).unwrap();
            said.push(byte[0].into());
        }
        child
    }
}

impl Drop for Broker {
    fn drop(&mut self) {
        self.stop();
    }
}

/// Runs openssl in a folder.
pub fn openssl(folder: &Path, args: &str) {
    let mut command = Command::new("openssl");
    let ended = command.args(args.split_whitespace()).current_dir(folder).output().unwrap();
    assert!(ended.status.success(), "{args}: {}", String::from_utf8_lossy(&ended.stderr));
}
