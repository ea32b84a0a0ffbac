//! What a session asks of the groups beside images.

use std::collections::BTreeMap;

use anyhow::Context;
use serde::Serialize;
use serde_json::Value;
use updraft_smp::Op;
use updraft_smp::client::{AnswerError, HashOutput, Part, Patience};

use super::session::{hex, is_away};
use super::{Link, Session, cbor};
use crate::report::find;

/// A task of the device.
#[derive(Clone, Debug, Serialize)]
pub struct Task {
    /// Its name.
    pub name: String,
    /// Its priority.
    pub priority: Option<i32>,
    /// Its number.
    pub id: Option<u32>,
    /// Its state, in the bits of the device's kernel.
    pub state: Option<u32>,
    /// Size of its stack in words.
    pub stack_size: Option<u32>,
    /// The most of it that was used.
    pub stack_used: Option<u32>,
    /// How often it was switched to.
    pub switches: Option<u32>,
    /// How long it has run, in ticks.
    pub run_time: Option<u64>,
}

/// A memory pool of the device.
#[derive(Clone, Debug, Serialize)]
pub struct Pool {
    /// Its name.
    pub name: String,
    /// Bytes of a block.
    pub block_size: Option<u32>,
    /// How many there are.
    pub blocks: Option<u32>,
    /// How many are free.
    pub free: Option<u32>,
    /// The fewest that ever were.
    pub least_free: Option<u32>,
}

/// A setting.
#[derive(Clone, Debug, Serialize)]
pub struct Setting {
    /// Its name.
    pub name: String,
    /// Its value in hexadecimal.
    pub hex: String,
    /// Its value as text, if it is one.
    pub text: Option<String>,
    /// The most that the device tells, where more was asked for.
    pub max_size: Option<u32>,
}

/// A hash of a file on the device.
#[derive(Clone, Debug, Serialize)]
pub struct FileHash {
    /// Its kind.
    pub kind: String,
    /// Where the bytes begin that it is of.
    pub off: u32,
    /// How many they are.
    pub len: u32,
    /// The hash in hexadecimal.
    pub output: String,
}

/// A kind of hash that the device computes.
#[derive(Clone, Debug, Serialize)]
pub struct HashKind {
    /// Its name.
    pub name: String,
    /// Bytes of its result.
    pub size: u32,
}

/// What a command line came to.
#[derive(Clone, Debug, Serialize)]
pub struct ShellResult {
    /// What it printed.
    pub output: String,
    /// How it ended.
    pub ret: i32,
}

/// A group of the device.
#[derive(Clone, Debug, Serialize)]
pub struct GroupFact {
    /// Its number.
    pub group: u32,
    /// Its name.
    pub name: Option<String>,
    /// How many command ids it has.
    pub handlers: Option<u32>,
}

/// An entry of a log.
#[derive(Clone, Debug, Serialize)]
pub struct LogEntry {
    /// The log that it is in.
    pub log: String,
    /// Its number.
    pub index: u32,
    /// When it was written, in microseconds.
    pub timestamp: i64,
    /// Number of the module that wrote it.
    pub module: u32,
    /// Its level.
    pub level: u32,
    /// The message: text, or what its CBOR or bytes are in JSON.
    pub message: Value,
}

/// Builds a request by a method of the client's.
macro_rules! with {
    ($method:ident $(, $argument:expr)*) => {
        |requests, buffer| requests.$method(buffer $(, $argument)*).map(<[u8]>::len)
    };
}

/// A request whose answer only says that it was carried out.
macro_rules! plain {
    ($($(#[$doc:meta])* $name:ident($($argument:ident: $kind:ty),*) = $request:ident;)+) => {
        impl<L: Link> Session<L> {
            $($(#[$doc])*
            pub fn $name(&mut self, $($argument: $kind),*) -> anyhow::Result<()> {
                self.ask(self.writing(), with!($request $(, $argument)*), |answer| answer.check())
            })+
        }
    };
}

plain! {
    /// Turns the echo of the device's console on or off.
    console_echo(on: bool) = console_echo;
    /// Sets the device's clock.
    set_date_time(moment: &str) = set_date_time;
    /// Changes a setting.
    write_setting(name: &str, value: &[u8]) = write_setting;
    /// Deletes a setting.
    delete_setting(name: &str) = delete_setting;
    /// Lets changed settings take effect.
    commit_settings() = commit_settings;
    /// Has the device load its settings again.
    load_settings() = load_settings;
    /// Has the device save its settings.
    save_settings(subtree: Option<&str>) = save_settings;
    /// Empties a log, or all.
    clear_log(name: Option<&str>) = clear_log;
    /// Closes what files the device has open.
    close_files() = close_files;
    /// Erases the device's storage.
    erase_storage() = erase_storage;
}

/// Names and numbers, sorted by name.
pub type Numbers = BTreeMap<String, u64>;

impl<L: Link> Session<L> {
    /// The tasks of the device.
    pub fn tasks(&mut self) -> anyhow::Result<Vec<Task>> {
        self.ask(self.patience, with!(tasks), |answer| {
            let mut tasks = Vec::new();
            answer.tasks(|task| {
                tasks.push(Task {
                    name: task.name.to_owned(),
                    priority: task.priority,
                    id: task.id,
                    state: task.state,
                    stack_size: task.stack_size,
                    stack_used: task.stack_used,
                    switches: task.switches,
                    run_time: task.run_time,
                });
            })?;
            Ok(tasks)
        })
    }

    /// The memory pools of the device.
    pub fn pools(&mut self) -> anyhow::Result<Vec<Pool>> {
        self.ask(self.patience, with!(pools), |answer| {
            let mut pools = Vec::new();
            answer.pools(|pool| {
                pools.push(Pool {
                    name: pool.name.to_owned(),
                    block_size: pool.block_size,
                    blocks: pool.blocks,
                    free: pool.free,
                    least_free: pool.least_free,
                });
            })?;
            Ok(pools)
        })
    }

    /// What the device's clock shows.
    pub fn date_time(&mut self) -> anyhow::Result<String> {
        self.ask(self.patience, with!(date_time), |answer| answer.date_time().map(str::to_owned))
    }

    /// The names of the groups of counters.
    pub fn statistics_groups(&mut self) -> anyhow::Result<Vec<String>> {
        self.ask(self.patience, with!(statistics_groups), |answer| {
            let mut names = Vec::new();
            answer.statistics_groups(|name| names.push(name.to_owned()))?;
            Ok(names)
        })
    }

    /// The counters of a group.
    pub fn counters(&mut self, group: &str) -> anyhow::Result<Numbers> {
        self.ask(self.patience, with!(counters, group), |answer| {
            let mut counters = Numbers::new();
            answer.counters(|name, value| {
                counters.insert(name.to_owned(), value);
            })?;
            Ok(counters)
        })
    }

    /// The value of a setting.
    pub fn read_setting(&mut self, name: &str, max_size: Option<u32>) -> anyhow::Result<Setting> {
        self.ask(self.patience, with!(read_setting, name, max_size), |answer| {
            let reply = answer.setting()?;
            let text = str::from_utf8(reply.value).ok();
            Ok(Setting {
                name: name.to_owned(),
                hex: hex(reply.value),
                text: text.filter(|text| !text.contains(char::is_control)).map(str::to_owned),
                max_size: reply.max_size,
            })
        })
    }

    /// Bytes of a file.
    pub fn file_size(&mut self, name: &str) -> anyhow::Result<u32> {
        self.ask(self.patience, with!(file_status, name), |answer| answer.file_length())
    }

    /// A hash of a file, or of a part of it.
    pub fn hash_file(
        &mut self,
        name: &str,
        kind: Option<&str>,
        part: Part,
    ) -> anyhow::Result<FileHash> {
        self.ask(self.writing(), with!(hash_file, name, kind, part), |answer| {
            let reply = answer.file_hash()?;
            let output = match reply.output {
                HashOutput::Number(number) => format!("{number:08x}"),
                HashOutput::Bytes(bytes) => hex(bytes),
            };
            Ok(FileHash { kind: reply.kind.to_owned(), off: reply.off, len: reply.len, output })
        })
    }

    /// The kinds of hashes that the device computes.
    pub fn hash_kinds(&mut self) -> anyhow::Result<Vec<HashKind>> {
        self.ask(self.patience, with!(hash_types), |answer| {
            let mut kinds = Vec::new();
            answer.hash_types(|kind| {
                kinds.push(HashKind { name: kind.name.to_owned(), size: kind.size });
            })?;
            Ok(kinds)
        })
    }

    /// For what a copy of the request would do again: it is sent once.
    fn once(&self) -> Patience {
        Patience { retries: 0, ..self.writing() }
    }

    /// Adds a text to a log.
    pub fn append_log(&mut self, name: &str, of: (u8, u8), text: &str) -> anyhow::Result<()> {
        self.ask(self.once(), with!(append_log, name, of, text), |answer| answer.check())
    }

    /// Has the device run a test, or all.
    pub fn run_test(&mut self, name: Option<&str>, token: Option<&str>) -> anyhow::Result<()> {
        self.ask(self.once(), with!(run_test, name, token), |answer| answer.check())
    }

    /// Runs a command line.
    pub fn shell(&mut self, words: &[&str]) -> anyhow::Result<ShellResult> {
        self.ask(self.once(), with!(shell, words), |answer| {
            let output = answer.shell()?;
            Ok(ShellResult { output: output.output.to_owned(), ret: output.ret })
        })
    }

    /// How many groups the device has.
    pub fn group_count(&mut self) -> anyhow::Result<u32> {
        self.ask(self.patience, with!(group_count), |answer| answer.group_count())
    }

    /// The numbers of the device's groups.
    pub fn group_ids(&mut self) -> anyhow::Result<Vec<u32>> {
        self.ask(self.patience, with!(groups), |answer| {
            let mut groups = Vec::new();
            answer.groups(|group| groups.push(group))?;
            Ok(groups)
        })
    }

    /// The number of a group by its place, and whether it is the last.
    pub fn group_at(&mut self, index: u32) -> anyhow::Result<(u32, bool)> {
        self.ask(self.patience, with!(group_at, index), |answer| answer.group_at())
    }

    /// Names and sizes of groups.
    pub fn group_details(&mut self, groups: Option<&[u16]>) -> anyhow::Result<Vec<GroupFact>> {
        self.ask(self.patience, with!(group_details, groups), |answer| {
            let mut found = Vec::new();
            answer.group_details(|entry| {
                found.push(GroupFact {
                    group: entry.group,
                    name: entry.name.map(str::to_owned),
                    handlers: entry.handlers,
                });
            })?;
            Ok(found)
        })
    }

    /// The names of the device's logs.
    pub fn logs(&mut self) -> anyhow::Result<Vec<String>> {
        self.ask(self.patience, with!(logs), |answer| {
            let mut names = Vec::new();
            answer.logs(|name| names.push(name.to_owned()))?;
            Ok(names)
        })
    }

    /// The modules that log, with their numbers.
    pub fn log_modules(&mut self) -> anyhow::Result<Numbers> {
        self.ask(self.patience, with!(log_modules), |answer| {
            let mut modules = Numbers::new();
            answer.log_modules(|name, number| {
                modules.insert(name.to_owned(), number);
            })?;
            Ok(modules)
        })
    }

    /// The levels of logs, with their numbers.
    pub fn log_levels(&mut self) -> anyhow::Result<Numbers> {
        self.ask(self.patience, with!(log_levels), |answer| {
            let mut levels = Numbers::new();
            answer.log_levels(|name, number| {
                levels.insert(name.to_owned(), number);
            })?;
            Ok(levels)
        })
    }

    /// The entries of a log, or of all, from an index on; asked for until there are none left of
    /// those that there were at the first request: a device may log every request. `last` asks for
    /// the last entry only.
    pub fn log_entries(
        &mut self,
        name: Option<&str>,
        from: u32,
        last: bool,
    ) -> anyhow::Result<Vec<LogEntry>> {
        Ok(self.read_log(name, from, last)?.0)
    }

    /// The same, and the number that the next entry will have.
    pub fn read_log(
        &mut self,
        name: Option<&str>,
        mut from: u32,
        last: bool,
    ) -> anyhow::Result<(Vec<LogEntry>, u32)> {
        let names = match name {
            Some(name) => vec![name.to_owned()],
            None => self.logs()?,
        };
        let (mut all, first, mut end) = (Vec::new(), from, None);
        for name in names {
            from = first;
            loop {
                let since = if last { -1 } else { 0 };
                let (entries, next_index) = self.ask(
                    self.patience,
                    with!(log_entries, Some(&name), from, since),
                    |answer| {
                        let mut entries = Vec::new();
                        let next_index = answer.log_entries(|line| {
                            let message = match (line.kind, str::from_utf8(line.message)) {
                                ("cbor", _) => cbor::to_json(line.message),
                                ("str", Ok(text)) => text.into(),
                                _ => serde_json::json!({ "$hex": hex(line.message) }),
                            };
                            entries.push(LogEntry {
                                log: line.log.to_owned(),
                                index: line.index,
                                timestamp: line.timestamp,
                                module: line.module,
                                level: line.level,
                                message,
                            });
                        })?;
                        Ok((entries, next_index))
                    },
                )?;
                let end = *end.get_or_insert(next_index);
                // A device that goes back would be asked for ever.
                let next = entries.iter().map(|entry| entry.index.saturating_add(1)).max();
                all.extend(entries);
                match next.filter(|next| *next > from && *next < end && !last) {
                    Some(next) => from = next,
                    None => break,
                }
            }
        }
        Ok((all, end.unwrap_or(0)))
    }

    /// The names of the tests that the device can run.
    pub fn device_tests(&mut self) -> anyhow::Result<Vec<String>> {
        self.ask(self.patience, with!(tests), |answer| {
            let mut names = Vec::new();
            answer.tests(|name| names.push(name.to_owned()))?;
            Ok(names)
        })
    }

    /// Makes the device crash. Whether it has answered: it may be gone before it can, so that one
    /// which answered until then counts as crashed.
    pub fn crash(&mut self, how: &str) -> anyhow::Result<bool> {
        match self.echo("") {
            Err(error) if find::<AnswerError>(&error).is_none() => return Err(error),
            _ => {}
        }
        let once = Patience { retries: 0, ..self.patience };
        match self.ask(once, with!(crash, how), |answer| answer.check()) {
            Ok(()) => Ok(true),
            Err(error) if is_away(&error) => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// A command of any group, its payload in JSON.
    pub fn custom(&mut self, op: Op, command: (u16, u8), payload: &Value) -> anyhow::Result<Value> {
        let payload = cbor::from_json(payload).context("the payload cannot be sent")?;
        // Nobody knows what a copy would do.
        let patience = if op == Op::Write { self.once() } else { self.writing() };
        self.ask(patience, with!(raw, op, command, &payload), |answer| {
            // Groups of an application may answer with anything, of which only a map says "no".
            if updraft_smp::fields(answer.payload, |_, _| Ok(())).is_ok() {
                answer.check()?;
            }
            Ok(cbor::to_json(answer.payload))
        })
    }
}
