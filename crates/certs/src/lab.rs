//! The files of a lab: one authority, a broker, its devices.

use zeroize::Zeroizing;

use crate::{Authority, CertsError, HostName, Issued, Lifetime, Subject};

/// What Infineon's script calls the server: applications look for this name, too.
const SERVER: &str = "mosquitto_server";

/// The files of one certificate, under the names of Infineon's `generate_ssl_cert.sh`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pair {
    /// `mosquitto_ca`.
    Authority,
    /// `mosquitto_server`.
    Server,
    /// `mosquitto_client`.
    Client,
}

impl Pair {
    /// File name without its ending.
    pub fn stem(self) -> &'static str {
        match self {
            Self::Authority => "mosquitto_ca",
            Self::Server => SERVER,
            Self::Client => "mosquitto_client",
        }
    }
}

/// A file to be written.
#[derive(Clone, Debug)]
pub struct LabFile {
    /// Its name.
    pub name: String,
    /// PEM.
    pub content: Zeroizing<String>,
    /// Whether it is a private key.
    pub is_secret: bool,
}

impl LabFile {
    /// Certificate and key of `issued`, as `stem.crt` and `stem.key`.
    pub fn pair(stem: &str, issued: Issued) -> [Self; 2] {
        let Issued { certificate, key } = issued;
        let certificate = Zeroizing::new(certificate);
        [(".crt", certificate, false), (".key", key, true)].map(|(ending, content, is_secret)| {
            Self { name: format!("{stem}{ending}"), content, is_secret }
        })
    }
}

/// Everything for a lab whose server is found at `hosts`: six files. The server's certificate also
/// has the name that the original's applications look for.
///
/// # Errors
/// No host; a name that cannot stand in a certificate; no random numbers.
pub fn lab(hosts: &[HostName], lifetime: Option<Lifetime>) -> Result<Vec<LabFile>, CertsError> {
    let lasting = lifetime.map_or(Lifetime::AUTHORITY, Lifetime::and_a_day);
    let authority = Authority::new("Updraft lab CA", lasting)?;
    let mut names = hosts.to_vec();
    let known = HostName::Dns(SERVER.to_owned());
    if !names.contains(&known) {
        names.push(known);
    }
    let server = Subject::Server { name: SERVER.to_owned(), hosts: names };
    let device = Subject::Device { name: Pair::Client.stem().to_owned() };
    let issue = |subject, most| authority.issue(subject, lifetime.unwrap_or(most));
    let files = [
        LabFile::pair(Pair::Authority.stem(), authority.to_pem()?),
        LabFile::pair(Pair::Server.stem(), issue(&server, Lifetime::SERVER)?),
        LabFile::pair(Pair::Client.stem(), issue(&device, Lifetime::DEVICE)?),
    ];
    Ok(files.into_iter().flatten().collect())
}
