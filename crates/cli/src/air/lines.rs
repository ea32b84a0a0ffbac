//! How servers are reached.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, anyhow};
use updraft_online::{Credentials, LineError, Session, Settings, Tls, Trust};

use crate::report::Hint;

/// Names of files with certificates in a working folder.
#[derive(Debug, PartialEq, Eq)]
struct Names {
    ca: &'static str,
    certificate: &'static str,
    key: &'static str,
}

/// What `updraft certs lab` makes, as the original's script does.
const USUAL: Names = Names {
    ca: "mosquitto_ca.crt",
    certificate: "mosquitto_client.crt",
    key: "mosquitto_client.key",
};
/// What the original's scripts look for where the broker is another one, by the end of its name.
const OTHERS: [(&str, Names); 3] = [
    ("test.mosquitto.org", Names { ca: "mosquitto.org.crt", ..USUAL }),
    (
        "mqtt.eclipseprojects.io",
        Names {
            ca: "eclipse_ca.crt",
            certificate: "eclipse_client.crt",
            key: "eclipse_client.pem",
        },
    ),
    (
        ".amazonaws.com",
        Names {
            ca: "amazon_ca.crt",
            certificate: "amazon_client.crt",
            key: "amazon_private_key.pem",
        },
    ),
];

impl Names {
    /// Those that `host` has in this folder, if there are any; the usual ones otherwise.
    fn of(host: &str, exists: impl Fn(&str) -> bool) -> &'static Self {
        let mut own = OTHERS.iter().filter(|(end, _)| host.ends_with(end)).map(|(_, names)| names);
        let is_there = |name: &str| ![USUAL.ca, USUAL.certificate].contains(&name) && exists(name);
        let found = own.find(|it| is_there(it.ca) || is_there(it.certificate));
        found.unwrap_or(&USUAL)
    }
}

/// Options for certificates, names and passwords.
#[derive(clap::Args)]
pub struct Lines {
    /// A folder with mosquitto_ca.crt, mosquitto_client.crt and .key, as `updraft certs lab` makes
    /// them; those that are there are used. For test.mosquitto.org, mqtt.eclipseprojects.io and AWS
    /// the names of the original come first: mosquitto.org.crt, eclipse_ca.crt, amazon_ca.crt ….
    #[arg(long, value_name = "DIR", default_value = ".")]
    certs: PathBuf,
    /// The certificate of who has signed the server's. Default: mosquitto_ca.crt in that folder;
    /// without one, those that this system trusts.
    #[arg(long, value_name = "FILE")]
    ca: Option<PathBuf>,
    /// The certificate to show to the server. Default: mosquitto_client.crt in that folder.
    #[arg(long, value_name = "FILE", requires = "tls_key")]
    tls_cert: Option<PathBuf>,
    /// The private key of that certificate. Default: mosquitto_client.key in that folder.
    #[arg(long, value_name = "FILE", requires = "tls_cert")]
    tls_key: Option<PathBuf>,
    /// Certificates that are not to be believed any more, as `updraft certs revoke` and OpenSSL
    /// list them; may be given several times. Default: mosquitto_ca.crl beside mosquitto_ca.crt.
    #[arg(long, value_name = "FILE")]
    crl: Vec<PathBuf>,
    /// Show the certificate, user name and password to this host as well, if a job sends the device
    /// there; may be given several times. Default: only to the server given here.
    #[arg(long, value_name = "HOST")]
    also_for: Vec<String>,
    /// The name that the server's certificate has to be for. Default: what it is reached at, which
    /// holds for servers that a job names in any case.
    #[arg(long, value_name = "NAME")]
    server_name: Option<String>,
    /// Who this is for the broker. Default: a name with a random number.
    #[arg(long, value_name = "ID")]
    client_id: Option<String>,
    /// A user name for the broker; the password is the first line of --password-file.
    #[arg(long, value_name = "NAME", requires = "password_file")]
    user: Option<String>,
    /// A file with the password.
    #[arg(long, value_name = "FILE", requires = "user")]
    password_file: Option<PathBuf>,
}

impl Lines {
    /// How lines to `host` are made, MQTT in plain text or over TLS, with HTTPS in any case.
    pub fn settings(&self, host: &str, plain: bool, session: Session) -> anyhow::Result<Settings> {
        let client_id = self.client_id.clone().unwrap_or(session.client_id);
        let user = match (&self.user, &self.password_file) {
            (Some(user), Some(file)) => Some((user.clone(), first_line(file)?)),
            _ => None,
        };
        let session = Session { client_id, user, ..session };
        let tls = self.tls(host);
        if plain {
            // It may be needed for a server that a job names.
            let tls = tls.ok().map(Arc::new);
            let also_for = self.also_for.clone();
            return Ok(Settings { tls, also_for, ..Settings::plain(session) });
        }
        let also_for = self.also_for.clone();
        Ok(Settings { also_for, ..Settings::tls(session, Arc::new(tls?)) })
    }

    fn tls(&self, host: &str) -> anyhow::Result<Tls> {
        let there = |path: &PathBuf| path.exists();
        let names = Names::of(host, |name| there(&self.certs.join(name)));
        let found = |name: &str| Some(self.certs.join(name)).filter(there);
        let trust = match self.ca.clone().or_else(|| found(names.ca)) {
            Some(path) => Trust::File(path),
            None => Trust::System,
        };
        let list = self.certs.join(names.ca).with_extension("crl");
        let given = self.tls_cert.clone().zip(self.tls_key.clone());
        let found = || found(names.certificate).zip(found(names.key));
        let credentials = given.or_else(found);
        let credentials = credentials.map(|(certificate, key)| Credentials { certificate, key });
        let mut lists = self.crl.clone();
        if lists.is_empty() && self.ca.is_none() {
            lists.extend(Some(list).filter(there));
        }
        let name = self.server_name.as_deref();
        Tls::with_lists(&trust, credentials.as_ref(), name, &lists).or_else(|error| {
            let hint = error.hint();
            Err(error).hint(hint)
        })
    }
}

fn first_line(path: &Path) -> anyhow::Result<String> {
    let text = std::fs::read_to_string(path);
    let text = text.with_context(|| format!("{} cannot be read", path.display()))?;
    Ok(text.lines().next().unwrap_or_default().to_owned())
}

/// An address: `scheme://host:port/path`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Address {
    /// `mqtt`, `mqtts`, `http` or `https`.
    pub scheme: String,
    /// Name or address; one of IPv6 in brackets.
    pub host: String,
    /// The port, if it is said.
    pub port: Option<u16>,
    /// What stands behind the host, with the slash.
    pub path: String,
}

impl std::str::FromStr for Address {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (scheme, rest) = text.split_once("://").unwrap_or(("mqtts", text));
        if !["mqtt", "mqtts", "http", "https"].contains(&scheme) {
            return Err("it begins with none of mqtt://, mqtts://, http://, https://".into());
        }
        let (host, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
        let (host, port) = match host.rsplit_once(':') {
            Some((host, port)) if !port.ends_with(']') => {
                (host, Some(port.parse().map_err(|_| format!("`{port}` is no port"))?))
            }
            _ => (host, None),
        };
        if host.is_empty() || host.contains(':') && !host.starts_with('[') {
            return Err("it names no host, as in mqtts://192.168.1.10:8884".into());
        }
        let (scheme, host, path) = (scheme.to_owned(), host.to_owned(), path.to_owned());
        Ok(Self { scheme, host, port, path })
    }
}

/// What went wrong on a line, with advice.
pub fn advised(error: &LineError) -> anyhow::Error {
    let causes = std::iter::successors(std::error::Error::source(error), |it| it.source());
    let mut causes: Vec<String> = causes.map(ToString::to_string).collect();
    causes.insert(0, error.to_string());
    let last = anyhow!(causes.pop().unwrap_or_default());
    let told = causes.into_iter().rev().fold(last, anyhow::Error::context);
    match error.hint() {
        Some(hint) => Err::<(), _>(told).hint(hint).err().unwrap_or_else(|| anyhow!("")),
        None => told,
    }
}

#[cfg(test)]
mod tests {
    use super::{Address, Names, OTHERS, USUAL};

    #[test]
    fn files_have_the_names_that_the_original_has_for_a_broker_and_else_the_usual_ones() {
        let all = |_: &str| true;
        for (host, ca, certificate, key) in [
            ("127.0.0.1", "mosquitto_ca.crt", "mosquitto_client.crt", "mosquitto_client.key"),
            (
                "test.mosquitto.org",
                "mosquitto.org.crt",
                "mosquitto_client.crt",
                "mosquitto_client.key",
            ),
            (
                "mqtt.eclipseprojects.io",
                "eclipse_ca.crt",
                "eclipse_client.crt",
                "eclipse_client.pem",
            ),
            (
                "id-ats.iot.us-west-1.amazonaws.com",
                "amazon_ca.crt",
                "amazon_client.crt",
                "amazon_private_key.pem",
            ),
        ] {
            assert_eq!(Names::of(host, all), &Names { ca, certificate, key }, "{host}");
            // A lab's certificates for whoever has none of their own.
            let lab = |name: &str| name.starts_with("mosquitto_");
            assert_eq!(Names::of(host, lab), &USUAL, "{host}");
        }
        // A client's certificate is enough where the system knows the authority.
        let [_, eclipse, _] = &OTHERS;
        let client = |name: &str| name == "eclipse_client.crt";
        assert_eq!(Names::of("mqtt.eclipseprojects.io", client), &eclipse.1);
    }

    #[test]
    fn addresses_have_a_scheme_a_host_and_perhaps_more() {
        let parts = |text: &str| {
            let Address { scheme, host, port, path } = text.parse().unwrap();
            (scheme, host, port, path)
        };
        let all = |scheme: &str, host: &str, port, path: &str| {
            (scheme.to_owned(), host.to_owned(), port, path.to_owned())
        };
        assert_eq!(parts("broker"), all("mqtts", "broker", None, ""));
        assert_eq!(parts("mqtt://[::1]:1883"), all("mqtt", "[::1]", Some(1883), ""));
        assert_eq!(parts("http://[::1]/job"), all("http", "[::1]", None, "/job"));
        assert_eq!(parts("https://h:8/a/b?c"), all("https", "h", Some(8), "/a/b?c"));
        for wrong in ["ftp://h", "mqtt://", "mqtt://h:x", "mqtt://h:65536", "mqtt://::1", "://h"] {
            assert!(wrong.parse::<Address>().is_err(), "{wrong}");
        }
    }
}
