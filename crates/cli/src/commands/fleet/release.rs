//! `updraft fleet release`.

use std::io::Write;
use std::path::PathBuf;

use anyhow::{Context, anyhow};
use serde_json::{Value, json};
use updraft_fleet::client::{Address, Client, ClientError, Problem};
use updraft_fleet::model::{
    Image, NameError, Release, ReleaseName, Signature, Submission, SubmittedImage,
};

use super::day;
use crate::input;
use crate::output::{DIM, GOOD, HEADING, Output, WARN, size, styled};
use crate::report::Hint;

#[derive(clap::Subcommand)]
pub enum Command {
    /// Add a release: the server checks it, and says why not.
    #[command(
        after_help = "The same files under the same name again are no error. An image that a published key has signed
is refused, unless both server and request have --allow-sample-key.

Examples:
  updraft fleet release add app.signed.bin --name blinky-1.2.0 --board virtual-nor-4k
  updraft fleet release add core0.bin core1.bin --name pair-2.0.0 --board virtual-two-images"
    )]
    Add(Add),
    /// The releases on the server.
    List(Server),
    /// One release with what is known of its images.
    Show(Named),
    /// Remove a release, and the files that no other has.
    Remove(Named),
}

/// The server, and who asks.
#[derive(clap::Args)]
pub struct Server {
    /// Where it is, as an address that begins with `http://` or `https://`.
    #[arg(long, value_name = "URL", env = "UPDRAFT_FLEET_SERVER")]
    server: String,
    /// A token from `updraft fleet token new`.
    #[arg(long, env = "UPDRAFT_FLEET_TOKEN", hide_env_values = true)]
    token: Option<String>,
    /// A file whose first line is the token, which other users cannot see as they see an option.
    #[arg(long, value_name = "FILE", conflicts_with = "token")]
    token_file: Option<PathBuf>,
    /// Certificates to trust in place of the system's, in PEM.
    #[arg(long, value_name = "FILE")]
    ca: Option<PathBuf>,
    /// Sends the token to another computer in plain text.
    #[arg(long)]
    allow_plain_http: bool,
}

#[derive(clap::Args)]
pub struct Add {
    /// The images as `updraft image sign` or imgtool makes them: image 0 of the board, image 1 …
    #[arg(required = true, value_name = "IMAGE")]
    images: Vec<PathBuf>,
    /// What the release is to be called.
    #[arg(long, value_parser = name)]
    name: ReleaseName,
    /// The board that it is for: its bootloader's rules are checked too.
    #[arg(long)]
    board: Option<String>,
    /// Has images of published keys taken, by a server that allows it.
    #[arg(long)]
    allow_sample_key: bool,
    #[command(flatten)]
    server: Server,
}

#[derive(clap::Args)]
pub struct Named {
    /// What it is called.
    #[arg(value_parser = name)]
    name: ReleaseName,
    #[command(flatten)]
    server: Server,
}

pub fn run(command: Command, out: &Output) -> anyhow::Result<()> {
    match command {
        Command::Add(args) => add(args, out),
        Command::List(server) => list(&server, out),
        Command::Show(Named { name, server }) => {
            let release = asked(server.client()?.release(&name))?;
            out.result(&release, |to| show(to, &release))
        }
        Command::Remove(Named { name, server }) => {
            let release = asked(server.client()?.remove(&name))?;
            out.result(&release, |to| writeln!(to, "{} is removed", release.name))
        }
    }
}

fn name(text: &str) -> Result<ReleaseName, String> {
    text.parse().map_err(|error: NameError| format!("{error}: {}", error.hint()))
}

impl Server {
    fn client(&self) -> anyhow::Result<Client> {
        let read = |path: &PathBuf| {
            let text = std::fs::read_to_string(path);
            text.with_context(|| format!("{} cannot be read", path.display()))
        };
        let token = match (&self.token, &self.token_file) {
            (Some(token), _) => token.clone(),
            (None, Some(file)) => read(file)?.lines().next().unwrap_or_default().trim().to_owned(),
            (None, None) => {
                return Err(anyhow!("the server asks for a token")).usage(
                    "--token-file FILE, UPDRAFT_FLEET_TOKEN or --token; `updraft fleet token new` \
                     makes one",
                );
            }
        };
        let address = Address {
            url: self.server.clone(),
            ca: self.ca.as_ref().map(read).transpose()?,
            allow_plain_http: self.allow_plain_http,
        };
        asked(Client::new(&address, &token))
    }
}

/// What a server answered, or why not with what to do.
fn asked<T>(answer: Result<T, ClientError>) -> anyhow::Result<T> {
    let error = match answer {
        Ok(answer) => return Ok(answer),
        Err(error) => error,
    };
    let (usage, hint) = (error.is_usage(), error.hint());
    let problem = match &error {
        ClientError::Problem(problem) => Some(told(problem)),
        _ => None,
    };
    let refused = match (hint, usage) {
        (Some(hint), true) => Err(error).usage(hint),
        (Some(hint), false) => Err(error).hint(hint),
        (None, _) => Err(error.into()),
    };
    match problem {
        Some(problem) => refused.fact("problem", problem),
        None => refused,
    }
}

/// A problem for programs.
fn told(problem: &Problem) -> Value {
    let mut facts = problem.facts.clone();
    facts.insert("type".into(), json!(problem.kind));
    facts.insert("status".into(), json!(problem.status));
    Value::Object(facts)
}

fn add(args: Add, out: &Output) -> anyhow::Result<()> {
    let Add { images, name, board, allow_sample_key, server } = args;
    let client = server.client()?;
    let mut submitted = Vec::new();
    for (number, path) in (0..).zip(&images) {
        submitted.push(SubmittedImage { number, bytes: input::read(path)?.0 });
    }
    let total = submitted.iter().map(|image| image.bytes.len() as u64).sum();
    let submission = Submission { name, board, images: submitted, allow_sample_key };
    let bar = out.progress(total, "uploading");
    let added = client.add(&submission, |sent| bar.set_position(sent.min(total)));
    bar.finish_and_clear();
    let (release, new) =
        asked(added).with_context(|| format!("the release {} is not added", submission.name))?;
    let mut result = serde_json::to_value(&release)?;
    result["new"] = new.into();
    out.result(&result, |to| {
        let what = if new { "added" } else { "there already" };
        writeln!(to, "{} {}: version {}", styled(GOOD, what), release.name, release.version)?;
        images_of(to, &release)
    })
}

fn list(server: &Server, out: &Output) -> anyhow::Result<()> {
    let releases = asked(server.client()?.releases())?;
    let widest = |of: fn(&Release) -> &str| releases.iter().map(|it| of(it).len()).max();
    let name = widest(|release| release.name.as_str()).unwrap_or(0).max(7);
    let version = widest(|release| &release.version).unwrap_or(0).max(7);
    out.result(&releases, |to| {
        let heading = format!("{:name$}  {:version$}  ADDED       BOARD", "RELEASE", "VERSION");
        writeln!(to, "{}", styled(HEADING, heading))?;
        for release in &releases {
            let board = release.board.as_deref().unwrap_or("any");
            let marked = release.images.iter().any(|image| image.sample_key.is_some());
            let sample = if marked { styled(WARN, "  published key") } else { String::new() };
            writeln!(
                to,
                "{:name$}  {:version$}  {}  {board}{sample}",
                release.name.as_str(),
                release.version,
                day(release.created),
            )?;
        }
        Ok(())
    })
}

fn show(to: &mut dyn Write, release: &Release) -> std::io::Result<()> {
    writeln!(to, "{}", styled(HEADING, &release.name))?;
    writeln!(to, "  version {}", release.version)?;
    writeln!(to, "  board   {}", release.board.as_deref().unwrap_or("any"))?;
    writeln!(to, "  added   {}", day(release.created))?;
    images_of(to, release)
}

fn images_of(to: &mut dyn Write, release: &Release) -> std::io::Result<()> {
    for image in &release.images {
        let Image { number, sha256, version, image_hash, .. } = image;
        writeln!(to, "image {number}: version {version}, {}", size(image.size))?;
        writeln!(to, "  file    /artifacts/{sha256}")?;
        writeln!(to, "  hash    {image_hash}")?;
        let signed = match (&image.signature, &image.key_hash) {
            (Signature::Good(key), _) => format!("good, by {key}"),
            (Signature::Unchecked, Some(key)) => {
                format!("not checked, names the key {}…", key.get(..16).unwrap_or(key))
            }
            (Signature::Unchecked, None) => "not checked".into(),
            (Signature::None, _) => "none".into(),
        };
        writeln!(to, "  signed  {signed}")?;
        if let Some(key) = &image.sample_key {
            writeln!(to, "  {} {key}: everybody can sign with it", styled(WARN, "published key"))?;
        }
        if let Some(counter) = image.security_counter {
            writeln!(to, "  counter {counter}")?;
        }
        if image.encrypted {
            writeln!(to, "  {}", styled(DIM, "encrypted: only devices can read it"))?;
        }
    }
    Ok(())
}
