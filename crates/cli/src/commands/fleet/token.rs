//! `updraft fleet token`.

use std::path::PathBuf;

use anyhow::{Context, anyhow};
use serde_json::json;
use updraft_fleet::fleet::{has_database, open_store, record};
use updraft_fleet::store::{Sqlite, Store};
use updraft_fleet::token::{Access, Token, TokenRecord};

use super::day;
use crate::commands::serve::opened;
use crate::output::{HEADING, Output, styled};
use crate::report::Hint;

#[derive(clap::Subcommand)]
pub enum Command {
    /// Make a token, and show it: once, as only its hash is kept.
    #[command(after_help = "Example:\n  updraft fleet token new ci --data fleet")]
    New(New),
    /// Who has a token.
    List(Data),
    /// Take a token back: from now on it is good for nothing.
    #[command(after_help = "Example:\n  updraft fleet token revoke ci --data fleet")]
    Revoke(Revoke),
}

#[derive(clap::Args)]
pub struct Data {
    /// The folder of the server, which may run meanwhile.
    #[arg(long = "data", value_name = "DIR")]
    folder: PathBuf,
}

#[derive(clap::Args)]
pub struct New {
    /// Who or what it is for.
    name: String,
    #[command(flatten)]
    data: Data,
    /// For listing and downloads alone.
    #[arg(long)]
    read_only: bool,
}

#[derive(clap::Args)]
pub struct Revoke {
    /// Who or what it was for.
    name: String,
    #[command(flatten)]
    data: Data,
}

impl Data {
    /// The store of a server that is there.
    fn store(&self) -> anyhow::Result<Sqlite> {
        if !self.folder.is_dir() {
            return Err(anyhow!("there is no folder {}", self.folder.display()))
                .usage("give the folder of the server, --data DIR");
        }
        if !has_database(&self.folder) {
            return Err(anyhow!("{} is no server's folder", self.folder.display()))
                .usage("give the folder of the server, --data DIR");
        }
        opened(open_store(&self.folder))
    }
}

pub fn run(command: Command, out: &Output) -> anyhow::Result<()> {
    match command {
        Command::New(args) => new(&args, out),
        Command::List(data) => list(&data, out),
        Command::Revoke(args) => revoke(&args, out),
    }
}

fn new(args: &New, out: &Output) -> anyhow::Result<()> {
    let New { name, data, read_only } = args;
    if name.is_empty() || name.chars().any(char::is_control) {
        return Err(anyhow!("{name:?} is no name for a token"))
            .usage("say who or what it is for, such as ci");
    }
    let first = !has_database(&data.folder);
    let store = opened(open_store(&data.folder))?;
    let token = Token::generate().context("the system gives no random numbers")?;
    let access = if *read_only { Access::Read } else { Access::Write };
    if !store.add_token(&record(name, &token, access)).or_else(advised)? {
        return Err(anyhow!("{name} has a token already"))
            .hint(format!("choose another name, or: updraft fleet token revoke {name}"));
    }
    let result = json!({ "name": name, "access": access, "token": token.reveal() });
    out.result(&result, |to| writeln!(to, "{}", token.reveal()))?;
    out.note("Keep it as a password; it is not shown again.");
    if first {
        out.note(format_args!("{} is a new server's folder now.", data.folder.display()));
    }
    Ok(())
}

fn list(data: &Data, out: &Output) -> anyhow::Result<()> {
    let tokens = data.store()?.tokens().or_else(advised)?;
    let rows: Vec<_> = tokens
        .iter()
        .map(|TokenRecord { name, access, created, .. }| {
            json!({ "name": name, "access": access, "created": created })
        })
        .collect();
    let width = tokens.iter().map(|token| token.name.chars().count()).max().unwrap_or(0).max(4);
    out.result(&rows, |to| {
        writeln!(to, "{}", styled(HEADING, format_args!("{:width$}  ACCESS  MADE", "NAME")))?;
        for TokenRecord { name, access, created, .. } in &tokens {
            writeln!(to, "{name:width$}  {:6}  {}", access.name(), day(*created))?;
        }
        Ok(())
    })
}

fn revoke(args: &Revoke, out: &Output) -> anyhow::Result<()> {
    let name = &args.name;
    if !args.data.store()?.revoke_token(name).or_else(advised)? {
        return Err(anyhow!("{name} has no token")).hint("updraft fleet token list shows who has");
    }
    out.result(&json!({ "revoked": name }), |to| writeln!(to, "the token of {name} is void"))
}

fn advised<T>(error: updraft_fleet::store::StoreError) -> anyhow::Result<T> {
    let hint = error.hint();
    Err(error).hint(hint)
}
