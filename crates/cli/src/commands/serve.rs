//! `updraft serve`: the fleet server.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::{Context, anyhow};
use serde::Serialize;
use updraft_board::Board;
use updraft_fleet::USUAL_UPLOAD;
use updraft_fleet::fleet::{Fleet, OpenError};
use updraft_fleet::model::{Policy, TrustError};
use updraft_fleet::server::{self, Event, Log, Serving};
use updraft_sign::NamedKey;

use crate::commands::{boards, key};
use crate::output::{Output, WARN, styled};
use crate::report::Hint;

/// Options of `updraft serve`.
#[derive(clap::Args)]
#[command(
    after_help = "It keeps releases that it has checked, and gives out their files: docs/fleet.md. Devices,
rollouts and a console are not there yet.

With --trust, one of these keys has to have signed every image. An image that a published key has
signed (MCUboot's, Zephyr's, Infineon's …) is refused: everybody can make such images.

Examples:
  updraft fleet token new ci --data fleet       shows a token, once
  updraft serve --data fleet --trust release.pub.pem
  updraft serve --data fleet --trust release.pub.pem --listen 0.0.0.0:8443 \\
      --tls-cert server.pem --tls-key server.key
  updraft serve --data lab --allow-sample-key   for tests: takes published keys if asked to"
)]
pub struct Args {
    /// The folder that it keeps everything in; made if it is not there.
    #[arg(long, value_name = "DIR")]
    data: PathBuf,
    /// Where it listens; port 0 takes a free one.
    #[arg(long, value_name = "ADDRESS:PORT", default_value = "127.0.0.1:8580")]
    listen: SocketAddr,
    /// A key that images have to be signed with, public or private; may be repeated.
    #[arg(long, value_name = "KEY")]
    trust: Vec<PathBuf>,
    /// Takes images of published keys from requests that ask for it: for tests alone.
    #[arg(long)]
    allow_sample_key: bool,
    /// A board file that releases can name beside the built-in ones; may be repeated.
    #[arg(long, value_name = "FILE")]
    board: Vec<String>,
    /// The server's certificate with those that lead to it, in PEM.
    #[arg(long, value_name = "FILE", requires = "tls_key")]
    tls_cert: Option<PathBuf>,
    /// The private key of that certificate, in PEM.
    #[arg(long, value_name = "FILE", requires = "tls_cert")]
    tls_key: Option<PathBuf>,
    /// Listens without TLS for other computers too: who is in between can read tokens.
    #[arg(long)]
    allow_plain_http: bool,
    /// Bytes of the largest upload.
    #[arg(long, value_name = "BYTES", default_value_t = USUAL_UPLOAD)]
    max_upload: usize,
}

/// Runs it until it is asked to stop.
pub fn run(args: &Args, out: &Output) -> anyhow::Result<()> {
    let tls = match (&args.tls_cert, &args.tls_key) {
        (Some(certificate), Some(key)) => {
            let hint =
                "give PEM files: the chain of certificates, and the private key of the first";
            Some(server::tls(certificate, key).hint(hint)?)
        }
        _ if args.listen.ip().is_loopback() || args.allow_plain_http => None,
        _ => {
            return Err(anyhow!("{} can be reached from other computers", args.listen.ip())).usage(
                "give a certificate, --tls-cert and --tls-key; --allow-plain-http listens all the \
                 same, and who is in between can read tokens",
            );
        }
    };
    let policy = policy(args, out)?;
    let fleet = opened(Fleet::open(&args.data, policy))?;
    remarks(args, &fleet, out)?;
    let Args { listen, max_upload, .. } = *args;
    let serving = Serving { listen, tls, max_upload };
    server::run(Arc::new(fleet), serving, log(*out))
        .with_context(|| format!("cannot listen on {listen}"))
        .hint("does another program listen there? --listen 127.0.0.1:0 takes a free port")
}

/// A data folder, with what to do if it cannot be used.
pub fn opened<T>(opened: Result<T, OpenError>) -> anyhow::Result<T> {
    opened.or_else(|error| {
        let hint = error.hint();
        Err(error).hint(hint)
    })
}

fn policy(args: &Args, out: &Output) -> anyhow::Result<Policy> {
    let mut policy = Policy::new();
    if args.allow_sample_key {
        policy = policy.allowing_sample_keys();
    }
    for path in &args.trust {
        let name = name_of(path);
        policy = policy.trusting(NamedKey { name, key: key::load_public(path, out)? }).or_else(
            |error| match error {
                TrustError::SampleKey(..) => Err(error).usage(
                    "`updraft key new` makes a key of your own; --allow-sample-key trusts this one \
                     all the same, for tests",
                ),
                error => Err(error).usage("give a key that signs images"),
            },
        )?;
    }
    let boards = args.board.iter().map(|file| boards::load(file));
    Ok(boards.collect::<anyhow::Result<Vec<Board>>>()?.into_iter().fold(policy, Policy::with_board))
}

/// What releases call a key: the name of its file.
fn name_of(path: &Path) -> String {
    let name = path.file_name().unwrap_or(path.as_os_str());
    name.to_string_lossy().into_owned()
}

/// What whoever starts a server should know.
fn remarks(args: &Args, fleet: &Fleet, out: &Output) -> anyhow::Result<()> {
    let warning = styled(WARN, "warning:");
    if fleet.policy().trusted().next().is_none() {
        out.note(format_args!(
            "{warning} no signature is checked: --trust KEY names a key that has to have signed"
        ));
    }
    if args.allow_sample_key {
        out.note(format_args!(
            "{warning} images of published keys are taken if a request asks for it: this server is \
             for tests"
        ));
    }
    if !fleet.has_tokens()? {
        out.note(format_args!(
            "{warning} nobody has a token: updraft fleet token new NAME --data {}",
            args.data.display()
        ));
    }
    for (name, reason) in fleet.withheld()? {
        out.note(format_args!(
            "{warning} the files of {name} are not given out any more: {reason}\n  try: updraft fleet \
             release remove {name}"
        ));
    }
    for id in fleet.lost()? {
        out.note(format_args!("{warning} the file {id} of a release is not there any more"));
    }
    Ok(())
}

/// A line of the log.
#[derive(Serialize)]
struct Line<'a> {
    /// Seconds since 1970.
    time: u64,
    #[serde(flatten)]
    event: &'a Event<'a>,
}

/// The log: lines of JSON, or where it listens on standard output and the rest beside it.
fn log(out: Output) -> Log {
    Arc::new(move |event| {
        let time = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |it| it.as_secs());
        // A log that nobody can read any more is no reason to stop.
        let _ = match event {
            _ if out.json() => out.event(&Line { time, event }, ""),
            Event::Listening { .. } => out.line(event),
            _ => {
                let (hours, minutes, seconds) = (time / 3600 % 24, time / 60 % 60, time % 60);
                out.note(format_args!("{hours:02}:{minutes:02}:{seconds:02}Z {event}"));
                Ok(())
            }
        };
    })
}
