//! `updraft certs`: certificates for TLS between devices and their servers.

use std::io::Write;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use anyhow::{Context, anyhow};
use clap::{Subcommand, ValueEnum};
use serde_json::{Value, json};
use updraft_certs::{
    Access, Authority, CertsError, Clients, HostName, Inspected, LabFile, Lifetime, Listener, Pair,
    Revoked, Subject, Use, certificates, configuration, is_listed, lab, listing,
};

use crate::commands::key;
use crate::files::{self, Mode};
use crate::output::{DIM, GOOD, HEADING, Output, WARN, styled};
use crate::report::Hint;

/// Options of `updraft certs`.
#[derive(clap::Args)]
pub struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Make a lab's own authority, and certificates for its broker and a client: six files.
    Lab(Lab),
    /// Make a certificate for one more device, or several.
    Device(Device),
    /// Revoke certificates of a lab: write the list of those that are not to be believed any more.
    Revoke(Revoke),
    /// Show what certificates say, and what is wrong with them.
    Show(Show),
    /// Print certificates and keys as strings for C sources.
    Format(Format),
    /// Print a configuration of mosquitto that goes with a lab's files.
    Mosquitto(Mosquitto),
}

#[derive(clap::Args)]
#[command(
    after_help = "Writes mosquitto_ca, mosquitto_server and mosquitto_client, each as .crt and
.key (P-256). The names are those of the scripts that come with Infineon's kits; their applications
find the server as mosquitto_server, which its certificate is good for as well.

Examples:
  updraft certs lab 192.168.1.10
  updraft certs lab broker.lan 192.168.1.10 --dir certs
  updraft certs mosquitto --dir certs > mosquitto.conf"
)]
struct Lab {
    /// What devices call the server: its address, its name, or several of them.
    #[arg(required = true, value_name = "ADDRESS|NAME")]
    hosts: Vec<HostName>,
    /// The folder to write to.
    #[arg(short, long, default_value = ".")]
    dir: PathBuf,
    /// How long server and device are valid. Default: 825 days the server, ten years the device.
    #[arg(long, value_name = "DAYS", value_parser = lifetime)]
    days: Option<Lifetime>,
    /// Overwrite the files if they exist. What has the old authority compiled in trusts nothing new.
    #[arg(long)]
    force: bool,
}

#[derive(clap::Args)]
#[command(after_help = "The identity is the common name of the certificate, and the name of the
files: IDENTITY.crt and IDENTITY.key. A broker that asks for certificates takes it for the user name.

Examples:
  updraft certs device kit-0042
  updraft certs device kit-0001 kit-0002 kit-0003 --dir certs --days 365")]
struct Device {
    /// The devices' identities.
    #[arg(required = true, value_name = "IDENTITY")]
    identities: Vec<String>,
    /// The folder with the authority's files, which is written to as well.
    #[arg(short, long, default_value = ".")]
    dir: PathBuf,
    /// The authority's certificate. Default: mosquitto_ca.crt in that folder.
    #[arg(long, value_name = "FILE")]
    ca: Option<PathBuf>,
    /// The authority's private key. Default: mosquitto_ca.key in that folder.
    #[arg(long, value_name = "FILE")]
    ca_key: Option<PathBuf>,
    /// How long they are valid. Default: ten years.
    #[arg(long, value_name = "DAYS", value_parser = lifetime)]
    days: Option<Lifetime>,
    /// Overwrite the files if they exist.
    #[arg(long)]
    force: bool,
}

#[derive(clap::Args)]
#[command(
    after_help = "Writes mosquitto_ca.crl, the list of all that the authority has revoked, and signs it
anew. Without certificates it is renewed: who goes by a list that is out of date refuses everybody.

A broker goes by it with `updraft certs mosquitto --crl`, after a restart or SIGHUP; `updraft publish` and
`updraft fetch` do if it lies beside mosquitto_ca.crt, or with --crl.

Examples:
  updraft certs revoke kit-0042.crt
  updraft certs revoke --dir certs certs/mosquitto_server.crt
  updraft certs revoke --dir certs --days 30"
)]
struct Revoke {
    /// The certificates, PEM.
    #[arg(value_name = "FILE")]
    files: Vec<PathBuf>,
    /// The folder with the authority's files and its list.
    #[arg(short, long, default_value = ".")]
    dir: PathBuf,
    /// How long the list is good for. Default: a year.
    #[arg(long, value_name = "DAYS", value_parser = lifetime)]
    days: Option<Lifetime>,
}

#[derive(clap::Args)]
#[command(after_help = "The exit code is 1 if something is wrong with one of them.

Examples:
  updraft certs show mosquitto_server.crt
  updraft certs show --json *.crt")]
struct Show {
    /// PEM files; each may hold several certificates.
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
}

#[derive(clap::Args)]
#[command(after_help = "Prints byte for byte what format_cert_key.py prints, which comes with
Infineon's kits, for one file or several. That asks for Enter at the end: --wait does, too.

Examples:
  updraft certs format mosquitto_ca.crt mosquitto_client.crt mosquitto_client.key")]
struct Format {
    /// Files that end in .crt, .pem or .key.
    #[arg(required = true, value_name = "FILE")]
    files: Vec<String>,
    /// Ask for Enter at the end, and wait for it.
    #[arg(long)]
    wait: bool,
}

#[derive(clap::Args)]
#[command(after_help = "Examples:
  updraft certs mosquitto > mosquitto.conf
  updraft certs mosquitto --dir /etc/mosquitto/lab --require-certificate off
  updraft certs mosquitto --acl /etc/mosquitto/devices.acl
  updraft certs mosquitto --plain 1883 --address 127.0.0.1")]
struct Mosquitto {
    /// The folder with the lab's files, as the broker finds it.
    #[arg(short, long, default_value = ".")]
    dir: PathBuf,
    /// Whether who connects has to have a certificate of the authority.
    #[arg(long, value_enum, default_value_t)]
    require_certificate: Switch,
    /// Refuse certificates that mosquitto_ca.crl revokes, which has to be there.
    #[arg(long)]
    crl: bool,
    /// The port for TLS. Default: 8884 with certificates, 8883 without, as kits expect.
    #[arg(short, long)]
    port: Option<u16>,
    /// A port without TLS, besides.
    #[arg(long, value_name = "PORT")]
    plain: Option<u16>,
    /// The address to listen at. Default: all of them.
    #[arg(long)]
    address: Option<IpAddr>,
    /// Write an access list to this file, and name it: every device reads below the name in its
    /// certificate only, as with `updraft fetch --device NAME`, and only the publisher sends.
    #[arg(long, value_name = "FILE")]
    acl: Option<PathBuf>,
    /// The name in the publisher's certificate.
    #[arg(long, value_name = "NAME", default_value = "mosquitto_client", requires = "acl")]
    publisher: String,
    /// What topics begin with.
    #[arg(long, value_name = "PREFIX", default_value = "OTAUpdate", requires = "acl")]
    prefix: String,
}

#[derive(Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
enum Switch {
    #[default]
    On,
    Off,
}

fn lifetime(text: &str) -> Result<Lifetime, String> {
    let days: u32 = text.parse().map_err(|_| "a number of days".to_owned())?;
    Lifetime::days(days).map_err(|error| error.to_string())
}

/// Runs it.
pub fn run(args: Args, out: &Output) -> anyhow::Result<()> {
    match args.command {
        Command::Lab(args) => new_lab(&args, out),
        Command::Device(args) => devices(&args, out),
        Command::Revoke(args) => revoke(&args, out),
        Command::Show(args) => show(&args, out),
        Command::Format(args) => format(&args),
        Command::Mosquitto(args) => mosquitto(&args, out),
    }
}

fn new_lab(args: &Lab, out: &Output) -> anyhow::Result<()> {
    let made = lab(&args.hosts, args.days).or_else(advise)?;
    write(&args.dir, &made, args.force)?;
    told(&args.dir, &made, out, "keep mosquitto_ca.key: it makes certificates for more devices")
}

fn devices(args: &Device, out: &Output) -> anyhow::Result<()> {
    let own = |given: &Option<PathBuf>, ending: &str| {
        let usual = || args.dir.join(format!("{}.{ending}", Pair::Authority.stem()));
        given.clone().unwrap_or_else(usual)
    };
    let (ca, ca_key) = (own(&args.ca, "crt"), own(&args.ca_key, "key"));
    let authority = Authority::from_pem(&key::read(&ca)?, &key::open(&ca_key)?);
    let authority = authority.or_else(advise);
    let authority = authority
        .with_context(|| format!("{} with {} cannot be used", ca.display(), ca_key.display()))?;
    let lifetime = args.days.unwrap_or(Lifetime::DEVICE);
    let mut made = Vec::new();
    for identity in &args.identities {
        let subject = Subject::Device { name: identity.clone() };
        let issued = authority.issue(&subject, lifetime).or_else(advise)?;
        made.extend(LabFile::pair(identity, issued));
    }
    write(&args.dir, &made, args.force)?;
    told(&args.dir, &made, out, "each key is for its device alone")
}

fn revoke(args: &Revoke, out: &Output) -> anyhow::Result<()> {
    let own = |ending: &str| args.dir.join(format!("{}.{ending}", Pair::Authority.stem()));
    let authority = Authority::from_pem(&key::read(&own("crt"))?, &key::open(&own("key"))?);
    let authority = authority.or_else(advise).context("this authority cannot revoke anything")?;
    let path = own("crl");
    let before = if path.exists() { Some(key::read(&path)?) } else { None };
    let read = args.files.iter().map(|path| key::read(path));
    let texts = read.collect::<anyhow::Result<Vec<_>>>()?;
    let texts: Vec<_> = texts.iter().map(String::as_str).collect();
    let lifetime = args.days.unwrap_or(Lifetime::LIST);
    let made = authority.revoke(before.as_deref(), &texts, lifetime);
    let Revoked { list, added, total, until } = made.or_else(advise)?;
    files::write(&path, list.as_bytes(), Mode::Result)?;
    let facts = json!({ "file": path, "added": added, "revoked": total, "until": until });
    out.result(&facts, |to| {
        for serial in &added {
            writeln!(to, "revoked: serial {serial}")?;
        }
        writeln!(to, "{}  {total} revoked", path.display())?;
        writeln!(to, "  {}", styled(DIM, format!("until {until}")))?;
        writeln!(to, "whoever is to refuse them needs this list")
    })
}

/// All of the files, or none.
fn write(dir: &Path, made: &[LabFile], force: bool) -> anyhow::Result<()> {
    let paths: Vec<_> = made.iter().map(|file| dir.join(&file.name)).collect();
    let mode = |secret| match secret {
        true => Mode::Secret { replace: force },
        false => Mode::Result,
    };
    let files = paths
        .iter()
        .zip(made)
        .map(|(path, file)| (path.as_path(), file.content.as_bytes(), mode(file.is_secret)));
    files::write_all_as(&files.collect::<Vec<_>>())
}

fn told(dir: &Path, made: &[LabFile], out: &Output, advice: &str) -> anyhow::Result<()> {
    let mut certificates_made = Vec::new();
    for file in made.iter().filter(|file| !file.is_secret) {
        let found = certificates(&file.content, SystemTime::now())?;
        certificates_made.extend(found.into_iter().map(|it| (dir.join(&file.name), it)));
    }
    let facts: Vec<_> = certificates_made.iter().map(|(path, it)| facts(path, it)).collect();
    out.result(&json!({ "certificates": facts }), |to| {
        for (path, it) in &certificates_made {
            let key = path.with_extension("key");
            let hosts = if it.hosts.is_empty() {
                String::new()
            } else {
                format!(", for {}", it.hosts.join(", "))
            };
            writeln!(to, "{}  {}{hosts}", path.display(), uses(it))?;
            writeln!(
                to,
                "  {}",
                styled(DIM, format!("until {}; key: {}", it.until, key.display()))
            )?;
        }
        writeln!(to, "{advice}")
    })
}

fn show(args: &Show, out: &Output) -> anyhow::Result<()> {
    let mut all = Vec::new();
    for path in &args.files {
        let found = certificates(&key::read(path)?, SystemTime::now()).or_else(advise);
        let found = found.with_context(|| format!("{} cannot be read", path.display()))?;
        all.extend(found.into_iter().map(|it| (path, it)));
    }
    let value: Vec<_> = all.iter().map(|(path, it)| facts(path, it)).collect();
    let wrong = match all.iter().map(|(_, it)| it.concerns.len()).sum::<usize>() {
        0 => None,
        1 => Some("1 thing is wrong".to_owned()),
        n => Some(format!("{n} things are wrong")),
    };
    match wrong {
        Some(wrong) if out.json() => Err(anyhow!(wrong)).fact("certificates", value.into()),
        wrong => {
            out.result(&json!({ "certificates": value }), |to| {
                all.iter().try_for_each(|(path, it)| describe(to, path, it))
            })?;
            wrong.map_or(Ok(()), |wrong| Err(anyhow!(wrong)))
        }
    }
}

fn describe(to: &mut dyn Write, path: &Path, it: &Inspected) -> std::io::Result<()> {
    writeln!(to, "{}", styled(HEADING, path.display()))?;
    let mut line = |name: &str, value: &str| writeln!(to, "  {name:8} {value}");
    line("subject", &it.subject)?;
    line("issuer", &it.issuer)?;
    line("use", &uses(it))?;
    if !it.hosts.is_empty() {
        line("hosts", &it.hosts.join(", "))?;
    }
    line("key", &it.key)?;
    line("valid", &format!("{} to {}", it.from, it.until))?;
    line("version", &format!("X.509 v{}, serial {}", it.version, it.serial))?;
    for concern in &it.concerns {
        writeln!(to, "  {} {concern}", styled(WARN, "wrong:"))?;
        writeln!(to, "         {}", styled(GOOD, concern.remedy()))?;
    }
    Ok(())
}

fn uses(it: &Inspected) -> String {
    let name = |it: &Use| match it {
        Use::Authority => "authority",
        Use::Server => "server",
        Use::Client => "device",
        Use::Signer => "signer of firmware",
        Use::Any => "anything but issuing",
    };
    it.uses.iter().map(name).collect::<Vec<_>>().join(" and ")
}

fn facts(path: &Path, it: &Inspected) -> Value {
    let concerns = it.concerns.iter();
    let concerns = concerns.map(|it| json!({ "what": it.to_string(), "remedy": it.remedy() }));
    json!({
        "file": path,
        "subject": it.subject,
        "name": it.name,
        "issuer": it.issuer,
        "use": uses(it),
        "hosts": it.hosts,
        "key": it.key,
        "from": it.from,
        "until": it.until,
        "version": it.version,
        "serial": it.serial,
        "concerns": concerns.collect::<Vec<_>>(),
    })
}

fn format(args: &Format) -> anyhow::Result<()> {
    let mut stdout = std::io::stdout().lock();
    for name in &args.files {
        if is_listed(name) {
            let text = key::read(Path::new(name))?;
            stdout.write_all(listing(name, &text).as_bytes())?;
        } else {
            writeln!(stdout, "Pass file with extension (*.crt) (*.pem) or (*.key) only!")?;
        }
    }
    if args.wait {
        write!(stdout, "Enter any key to exit...")?;
        stdout.flush()?;
        std::io::stdin().read_line(&mut String::new())?;
    }
    Ok(stdout.flush()?)
}

fn mosquitto(args: &Mosquitto, out: &Output) -> anyhow::Result<()> {
    let (clients, usual) = match args.require_certificate {
        Switch::On => (Clients::Certified, 8884),
        Switch::Off => (Clients::Anybody, 8883),
    };
    let clients = match (args.crl, clients) {
        (true, Clients::Certified) => Clients::Unrevoked,
        (true, _) => {
            return Err(anyhow!("who needs no certificate cannot show a revoked one"))
                .usage("--crl goes with --require-certificate on");
        }
        (false, clients) => clients,
    };
    let port = args.port.unwrap_or(usual);
    if args.plain == Some(port) {
        return Err(anyhow!("port {port} cannot be both plain and TLS"))
            .usage("give --plain another port");
    }
    let acl = args.acl.clone();
    let listener = |port, tls| Listener { port, address: args.address, tls, access: acl.clone() };
    let mut listeners = vec![listener(port, Some(clients))];
    listeners.extend(args.plain.map(|port| listener(port, None)));
    if let Some(path) = &args.acl {
        let access = Access { prefix: args.prefix.clone(), publisher: args.publisher.clone() };
        std::fs::write(path, access.text())
            .with_context(|| format!("{} cannot be written", path.display()))?;
    }
    let text = configuration(&listeners, &args.dir);
    out.result(&json!({ "configuration": text }), |to| to.write_all(text.as_bytes()))
}

fn advise<T>(error: CertsError) -> anyhow::Result<T> {
    let hint = match &error {
        CertsError::Name { .. } => "give what devices call it",
        CertsError::AuthorityExpires { .. } => {
            "--days takes fewer; `updraft certs lab` begins anew"
        }
        CertsError::Key(_) | CertsError::OtherKey | CertsError::NoAuthority { .. } => {
            "give an authority that `updraft certs lab` has made"
        }
        CertsError::Foreign { .. } => {
            "only the authority that has signed a certificate can revoke it; --dir has its files"
        }
        CertsError::List(_) => "move the list away, and give everything that is to be revoked",
        CertsError::NoCertificate | CertsError::Damaged { .. } => "give a certificate as PEM",
        _ => return Err(error.into()),
    };
    Err(error).hint(hint)
}
