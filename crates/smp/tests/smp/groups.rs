//! The groups beside images and files, asked by our client: settings, statistics, logs, tests,
//! crashes, shell, enumeration, the clock, and a group of one's own.

use std::collections::BTreeMap;

use updraft_smp::client::{Answer, AnswerError, BufferTooSmall, LogLine, Requests};
use updraft_smp::server::{
    Answer as Reply, Buffers, Crash, CrashGroup, Enumerated, Failure, Fault, Group, Groups,
    LogEntry, LogGroup, LogKind, LogMessage, Logs, OsGroup, Pool, Request, Reset, RunGroup, Server,
    Settings, SettingsGroup, Shell, ShellGroup, ShellReply, Statistics, StatisticsGroup, Tests,
};
use updraft_smp::{GroupError, Op, Rc, SettingsError, Version, group, os, settings};

use crate::device::{Cbor, Platform, Rtc, map, request, versioned};

/// What a group answers to a request of the client.
fn ask<'b>(
    groups: &mut impl Groups,
    buffer: &'b mut [u8],
    build: impl FnOnce(&mut Requests, &mut [u8]) -> Result<usize, BufferTooSmall>,
) -> Answer<'b> {
    let mut request = [0; 1024];
    let len = build(&mut Requests::default(), &mut request).expect("the request fits");
    let step = Server::default().packet(&request[..len]).answer_next(groups, buffer);
    Answer::parse(&buffer[..step.expect("a request").len]).expect("an answer")
}

/// Builds a request by a method of the client's.
macro_rules! with {
    ($method:ident $(, $argument:expr)*) => {
        |requests, buffer| requests.$method(buffer $(, $argument)*).map(<[u8]>::len)
    };
}

fn refused(outcome: Result<impl std::fmt::Debug, AnswerError>) -> String {
    outcome.expect_err("a refusal").to_string()
}

#[derive(Default)]
struct Store {
    values: BTreeMap<String, Vec<u8>>,
    calls: Vec<String>,
}

impl Settings for Store {
    const MAX_NAME: usize = 20;
    const MAX_VALUE: usize = 10;

    fn read(&mut self, name: &str) -> Result<&[u8], Failure> {
        let value = self.values.get(name).map(Vec::as_slice);
        value.ok_or(SettingsError::KeyNotFound.into())
    }

    fn write(&mut self, name: &str, value: &[u8]) -> Result<(), Failure> {
        self.values.insert(name.into(), value.into());
        Ok(())
    }

    fn delete(&mut self, name: &str) -> Result<(), Failure> {
        let value = self.values.remove(name);
        value.map(drop).ok_or(SettingsError::KeyNotFound.into())
    }

    fn commit(&mut self) -> Result<(), Failure> {
        self.calls.push("commit".into());
        Ok(())
    }

    fn load(&mut self) -> Result<(), Failure> {
        self.calls.push("load".into());
        Ok(())
    }

    fn save(&mut self, subtree: Option<&str>) -> Result<(), Failure> {
        self.calls.push(format!("save {subtree:?}"));
        Ok(())
    }
}

#[test]
fn settings_are_written_read_and_deleted() {
    let mut groups = (SettingsGroup(Store::default()),);
    let mut buffer = [0; 256];
    ask(&mut groups, &mut buffer, with!(write_setting, "net/name", b"abcdefgh")).check().unwrap();
    let answer = ask(&mut groups, &mut buffer, with!(read_setting, "net/name", None));
    let setting = answer.setting().unwrap();
    assert_eq!((setting.value, setting.max_size), (&b"abcdefgh"[..], None));
    let answer = ask(&mut groups, &mut buffer, with!(read_setting, "net/name", Some(3)));
    assert_eq!(answer.setting().unwrap().value, b"abc");
    let answer = ask(&mut groups, &mut buffer, with!(read_setting, "net/name", Some(100)));
    assert_eq!(answer.setting().unwrap().max_size, Some(10), "the device tells no more");

    // The first generation writes texts.
    let text = map(&[("name", Cbor::Text("net/name")), ("val", Cbor::Text("text"))]);
    let command = (group::SETTINGS, settings::VALUE);
    let answer = ask(&mut groups, &mut buffer, with!(raw, Op::Write, command, &text));
    answer.check().unwrap();
    let answer = ask(&mut groups, &mut buffer, with!(read_setting, "net/name", None));
    assert_eq!(answer.setting().unwrap().value, b"text");

    ask(&mut groups, &mut buffer, with!(delete_setting, "net/name")).check().unwrap();
    let answer = ask(&mut groups, &mut buffer, with!(read_setting, "net/name", None));
    assert!(refused(answer.setting()).contains("no such setting (group 3, rc 3)"));
}

#[test]
fn settings_are_committed_loaded_and_saved() {
    let mut groups = (SettingsGroup(Store::default()),);
    let mut buffer = [0; 256];
    ask(&mut groups, &mut buffer, with!(commit_settings)).check().unwrap();
    ask(&mut groups, &mut buffer, with!(load_settings)).check().unwrap();
    ask(&mut groups, &mut buffer, with!(save_settings, None)).check().unwrap();
    ask(&mut groups, &mut buffer, with!(save_settings, Some("net"))).check().unwrap();
    assert_eq!(groups.0.0.calls, ["commit", "load", "save None", "save Some(\"net\")"]);
}

#[test]
fn names_and_values_that_are_too_long_never_reach_the_settings() {
    let mut groups = (SettingsGroup(Store::default()),);
    let mut buffer = [0; 256];
    let long = "x".repeat(21);
    let answer = ask(&mut groups, &mut buffer, with!(write_setting, &long, b"1"));
    assert!(refused(answer.check()).contains("(group 3, rc 2)"));
    let answer = ask(&mut groups, &mut buffer, with!(write_setting, "x", &[0; 11]));
    assert!(refused(answer.check()).contains("(rc 3)"));
    let answer = ask(&mut groups, &mut buffer, with!(write_setting, "", b"1"));
    assert!(refused(answer.check()).contains("(rc 3)"));
    assert!(groups.0.0.values.is_empty());
}

struct Counters;

impl Statistics for Counters {
    fn groups(&mut self, mut each: impl FnMut(&str) -> Result<(), Failure>) -> Result<(), Failure> {
        each("boots")?;
        each("flash")
    }

    fn counters(
        &mut self,
        group: &str,
        mut each: impl FnMut(&str, u64) -> Result<(), Failure>,
    ) -> Result<bool, Failure> {
        if group != "flash" {
            return Ok(false);
        }
        each("erases", 7)?;
        each("bytes", u64::MAX).map(|()| true)
    }
}

#[test]
fn counters_are_listed_by_group() {
    let mut groups = (StatisticsGroup(Counters),);
    let (mut buffer, mut names, mut values) = ([0; 256], Vec::new(), Vec::new());
    let answer = ask(&mut groups, &mut buffer, with!(statistics_groups));
    answer.statistics_groups(|name| names.push(name.to_owned())).unwrap();
    assert_eq!(names, ["boots", "flash"]);
    let answer = ask(&mut groups, &mut buffer, with!(counters, "flash"));
    answer.counters(|name, value| values.push((name.to_owned(), value))).unwrap();
    assert_eq!(values, [("erases".into(), 7), ("bytes".into(), u64::MAX)]);
    let answer = ask(&mut groups, &mut buffer, with!(counters, "none"));
    assert!(refused(answer.counters(|_, _| ())).contains("(group 2, rc 3)"));
}

/// Two logs, whose entries alternate.
struct Journal {
    lines: Vec<(usize, String)>,
}

impl Journal {
    fn with(count: usize) -> (LogGroup<Self>,) {
        let line = |index: usize| (index % 2, format!("entry {index:03} {}", "x".repeat(20)));
        (LogGroup(Self { lines: (0..count).map(line).collect() }),)
    }
}

impl Logs for Journal {
    fn log(&self, number: usize) -> Option<(&str, LogKind)> {
        [("app", LogKind::Memory), ("boot", LogKind::Storage)].get(number).copied()
    }

    fn next_index(&self) -> u32 {
        self.lines.len() as u32
    }

    fn entries(
        &mut self,
        number: usize,
        mut each: impl FnMut(&LogEntry<'_>) -> Result<bool, Failure>,
    ) -> Result<(), Failure> {
        for (index, (log, text)) in self.lines.iter().enumerate() {
            let (timestamp, message) = (index as i64 * 1000, LogMessage::Text(text));
            let index = index as u32;
            let entry = LogEntry { index, timestamp, module: 3, level: 1, message };
            if *log == number && !each(&entry)? {
                break;
            }
        }
        Ok(())
    }

    fn clear(&mut self, number: usize) -> Result<(), Failure> {
        self.lines.retain(|(log, _)| *log != number);
        Ok(())
    }

    fn append(&mut self, number: usize, _: u8, _: u8, text: &str) -> Result<(), Failure> {
        self.lines.push((number, text.into()));
        Ok(())
    }

    fn modules(
        &mut self,
        mut each: impl FnMut(&str, u8) -> Result<(), Failure>,
    ) -> Result<(), Failure> {
        each("application", 3)
    }
}

/// The indices of the entries in an answer.
fn indices(answer: &Answer<'_>) -> Vec<u32> {
    let mut indices = Vec::new();
    answer.log_entries(|line| indices.push(line.index)).unwrap();
    indices
}

#[test]
fn a_log_longer_than_an_answer_is_read_in_pieces() {
    let mut groups = Journal::with(40);
    // Wherever the buffer ends, what closes the answer fits behind the last entry.
    for size in 150..350 {
        let (mut buffer, mut seen, mut next) = (vec![0; size], Vec::new(), 0);
        loop {
            let answer = ask(&mut groups, &mut buffer, with!(log_entries, Some("boot"), next, 0));
            let found = indices(&answer);
            let Some(last) = found.last() else { break };
            assert!(found.len() < 10, "an answer of {size} bytes holds few");
            next = last + 1;
            seen.extend(found);
        }
        assert_eq!(seen, (0..20).map(|n| n * 2 + 1).collect::<Vec<u32>>());
    }
}

#[test]
fn entries_are_picked_by_time_and_the_last_by_minus_one() {
    let mut groups = Journal::with(12);
    let mut buffer = [0; 2048];
    let answer = ask(&mut groups, &mut buffer, with!(log_entries, None, 0, 0));
    assert_eq!(indices(&answer), [0, 2, 4, 6, 8, 10, 1, 3, 5, 7, 9, 11]);
    let answer = ask(&mut groups, &mut buffer, with!(log_entries, None, 0, 9000));
    assert_eq!(indices(&answer), [10, 9, 11]);
    let answer = ask(&mut groups, &mut buffer, with!(log_entries, None, 0, -1));
    assert_eq!(indices(&answer), [10, 11]);
    let mut lines = Vec::new();
    let answer = ask(&mut groups, &mut buffer, with!(log_entries, Some("app"), 10, 0));
    let next = answer.log_entries(|line| lines.push(line)).unwrap();
    assert_eq!(next, 12);
    assert_eq!((lines[0].log, lines[0].kind, lines[0].module), ("app", "str", 3));
    assert_eq!((lines[0].level, lines[0].timestamp), (1, 10_000));
    assert!(lines[0].message.starts_with(b"entry 010"));
}

#[test]
fn an_entry_that_no_answer_can_hold_is_message_size() {
    let mut groups = Journal::with(1);
    let mut buffer = [0; 80];
    let answer = ask(&mut groups, &mut buffer, with!(log_entries, None, 0, 0));
    assert!(refused(answer.check()).contains("does not fit the device's buffer (group 4, rc 9)"));
}

/// Whatever lies behind the first log is asked for by its name.
#[test]
fn of_several_logs_those_that_fit_are_told() {
    let mut groups = Journal::with(12);
    let mut told = [0; 3];
    for size in 100..1000 {
        let mut buffer = vec![0; size];
        let answer = ask(&mut groups, &mut buffer, with!(log_entries, None, 0, 0));
        if answer.check().is_err() {
            assert!(told[1] == 0, "{size} bytes hold less than fewer did");
            continue;
        }
        let (mut found, mut logs) = (Vec::new(), Vec::new());
        let line = |line: LogLine<'_>| {
            found.push(line.index);
            logs.push(line.log.to_owned());
        };
        answer.log_entries(line).unwrap();
        let whole = [0, 2, 4, 6, 8, 10, 1, 3, 5, 7, 9, 11];
        assert!(!found.is_empty() && whole.starts_with(&found), "{size}: {found:?}");
        logs.dedup();
        told[logs.len()] += 1;
    }
    assert!(told[1] > 100 && told[2] > 100, "{told:?}");
}

#[test]
fn the_last_entry_is_told_whatever_stands_before_it() {
    let long = "x".repeat(300);
    let with = |texts: &[&str]| {
        let lines = texts.iter().map(|text| (0, text.to_string())).collect();
        (LogGroup(Journal { lines }),)
    };
    let mut buffer = [0; 200];
    let mut groups = with(&["first", &long, "last"]);
    let answer = ask(&mut groups, &mut buffer, with!(log_entries, Some("app"), 0, -1));
    assert_eq!(indices(&answer), [2]);
    let mut groups = with(&["first", &long]);
    let answer = ask(&mut groups, &mut buffer, with!(log_entries, Some("app"), 0, -1));
    assert!(refused(answer.check()).contains("(group 4, rc 9)"), "an older one is not the last");
}

#[test]
fn logs_are_listed_appended_to_and_cleared() {
    let mut groups = Journal::with(4);
    let (mut buffer, mut names, mut numbers) = ([0; 512], Vec::new(), Vec::new());
    ask(&mut groups, &mut buffer, with!(logs)).logs(|name| names.push(name.to_owned())).unwrap();
    assert_eq!(names, ["app", "boot"]);
    let answer = ask(&mut groups, &mut buffer, with!(log_modules));
    answer.log_modules(|name, number| numbers.push((name.to_owned(), number))).unwrap();
    let answer = ask(&mut groups, &mut buffer, with!(log_levels));
    answer.log_levels(|name, number| numbers.push((name.to_owned(), number))).unwrap();
    assert_eq!(numbers.len(), 6);
    assert_eq!(numbers[3], ("WARN".into(), 2));

    ask(&mut groups, &mut buffer, with!(append_log, "app", (1, 3), "hello")).check().unwrap();
    assert_eq!(groups.0.0.lines.len(), 5);
    ask(&mut groups, &mut buffer, with!(clear_log, Some("boot"))).check().unwrap();
    assert_eq!(groups.0.0.lines.len(), 3);
    ask(&mut groups, &mut buffer, with!(clear_log, None)).check().unwrap();
    assert!(groups.0.0.lines.is_empty());
    let answer = ask(&mut groups, &mut buffer, with!(clear_log, Some("none")));
    assert!(refused(answer.check()).contains("no such entry (rc 5)"));
}

#[derive(Default)]
struct Bench {
    crashed: Option<Fault>,
    ran: Vec<String>,
}

impl Crash for Bench {
    fn crash(&mut self, fault: Fault) -> Result<(), Failure> {
        self.crashed = Some(fault);
        Ok(())
    }
}

impl Tests for Bench {
    fn tests(&mut self, mut each: impl FnMut(&str) -> Result<(), Failure>) -> Result<(), Failure> {
        each("flash")?;
        each("radio")
    }

    fn run(&mut self, name: Option<&str>, token: Option<&str>) -> Result<(), Failure> {
        self.ran.push(format!("{name:?} {token:?}"));
        Ok(())
    }
}

#[test]
fn every_way_to_crash_is_known_by_name() {
    let mut groups = (CrashGroup(Bench::default()),);
    let mut buffer = [0; 64];
    for fault in Fault::ALL {
        ask(&mut groups, &mut buffer, with!(crash, fault.name())).check().unwrap();
        assert_eq!(groups.0.0.crashed.take(), Some(fault));
    }
    let answer = ask(&mut groups, &mut buffer, with!(crash, "other"));
    assert!(refused(answer.check()).contains("(rc 3)"));
    assert_eq!(groups.0.0.crashed, None);
}

#[test]
fn tests_are_listed_and_run_by_name_or_all() {
    let mut groups = (RunGroup(Bench::default()),);
    let (mut buffer, mut names) = ([0; 64], Vec::new());
    ask(&mut groups, &mut buffer, with!(tests)).tests(|name| names.push(name.to_owned())).unwrap();
    assert_eq!(names, ["flash", "radio"]);
    ask(&mut groups, &mut buffer, with!(run_test, Some("flash"), Some("t1"))).check().unwrap();
    ask(&mut groups, &mut buffer, with!(run_test, Some("all"), None)).check().unwrap();
    ask(&mut groups, &mut buffer, with!(run_test, None, None)).check().unwrap();
    assert_eq!(groups.0.0.ran, ["Some(\"flash\") Some(\"t1\")", "None None", "None None"]);
}

/// Says its line again, often.
struct Parrot(String);

impl Shell for Parrot {
    const MAX_LINE: usize = 12;

    fn execute(&mut self, line: &str) -> ShellReply<'_> {
        self.0 = line.repeat(20);
        ShellReply { output: &self.0, ret: line.len() as i32 }
    }
}

#[test]
fn the_words_of_a_command_line_are_joined_with_spaces() {
    let mut groups = (ShellGroup(Parrot(String::new())),);
    let mut buffer = [0; 512];
    let answer = ask(&mut groups, &mut buffer, with!(shell, &["ab", "cd ef", ""]));
    let output = answer.shell().unwrap();
    assert_eq!((output.ret, &output.output[..9]), (9, "ab cd ef "));
}

/// Servers before Zephyr's called the result `rc`, as everybody calls a refusal.
#[test]
fn the_result_of_a_command_line_is_read_from_older_servers_too() {
    let read = |payload: &[u8]| {
        let message = request(Op::WriteResponse, group::SHELL, 0, payload);
        let answer = Answer::parse(&message).expect("an answer");
        answer.shell().map(|shell| (shell.output.to_owned(), shell.ret))
    };
    for (payload, ret) in [
        (&b"\xa2\x61o\x62no\x62rc\x27"[..], -8),
        (b"\xa2\x61o\x62no\x62rc\x01", 1),
        (b"\xa2\x61o\x62no\x63ret\x27", -8),
        (b"\xa2\x62rc\x00\x61o\x62no", 0),
    ] {
        assert_eq!(read(payload), Ok(("no".to_owned(), ret)));
    }
    assert!(refused(read(b"\xa1\x62rc\x03")).contains("(rc 3)"));
    assert!(matches!(read(b"\xa1\x63ret\x00"), Err(AnswerError::Malformed(_))));
}

#[test]
fn output_that_does_not_fit_is_cut_between_characters() {
    let mut groups = (ShellGroup(Parrot(String::new())),);
    for size in 24..80 {
        let mut buffer = vec![0; size];
        let answer = ask(&mut groups, &mut buffer, with!(shell, &["äöü"]));
        let output = answer.shell().unwrap().output;
        assert!("äöü".repeat(20).starts_with(output));
        let room = size - 8 - 1 - AROUND;
        assert!(output.len() == room || output.len() + 1 == room, "{size} {}", output.len());
    }
    const AROUND: usize = 15;
}

#[test]
fn lines_that_are_too_long_or_empty_are_refused() {
    let mut groups = (ShellGroup(Parrot(String::new())),);
    let mut buffer = [0; 512];
    let mut code =
        |words: &[&str]| refused(ask(&mut groups, &mut buffer, with!(shell, words)).shell());
    assert!(code(&["abcdef", "abcdef"]).contains("(group 9, rc 2)"));
    assert!(code(&[&"x".repeat(600)]).contains("(group 9, rc 2)"));
    assert!(code(&[]).contains("(group 9, rc 3)"));
    assert!(code(&["", " "]).contains("(group 9, rc 3)"));
}

/// A group of an application's own.
struct Blinker {
    level: u32,
}

impl Group for Blinker {
    const ID: u16 = group::FIRST_USER + 100;
    const NAME: Option<&'static str> = Some("blinker");

    fn handle(
        &mut self,
        request: &Request<'_>,
        answer: &mut Reply<'_>,
    ) -> Result<Option<Reset>, Failure> {
        match request.command() {
            (0, Op::Read) => answer.u32("level", self.level)?,
            (0, Op::Write) => {
                let mut level = None;
                request.fields(|key, value| match key {
                    "level" => value.u32(&mut level),
                    _ => Ok(()),
                })?;
                let level = level.ok_or(Rc::INVALID)?;
                if level > 100 {
                    let error = GroupError { group: Self::ID, rc: 7, v1: Rc(300) };
                    return Err(error.into());
                }
                self.level = level;
            }
            (1, _) => answer.replace(request.payload)?,
            _ => return Err(Rc::NOT_SUPPORTED.into()),
        }
        Ok(None)
    }
}

#[test]
fn a_group_of_ones_own_answers_maps_errors_and_anything() {
    let mut groups = (Blinker { level: 3 },);
    let mut buffer = [0; 64];
    let id = Blinker::ID;
    let set = |level: u8| [&b"\xa1\x65level\x18"[..], &[level]].concat();
    ask(&mut groups, &mut buffer, with!(raw, Op::Write, (id, 0), &set(50))).check().unwrap();
    assert_eq!(groups.0.level, 50);
    let answer = ask(&mut groups, &mut buffer, with!(raw, Op::Write, (id, 0), &set(101)));
    assert!(refused(answer.check()).contains("(group 164, rc 7)"));
    let answer = ask(&mut groups, &mut buffer, |requests, buffer| {
        requests.version = Version::V1;
        requests.raw(buffer, Op::Write, (id, 0), &set(101)).map(<[u8]>::len)
    });
    assert!(refused(answer.check()).contains("application-defined error (rc 300)"));
    let answer = ask(&mut groups, &mut buffer, with!(raw, Op::Read, (id, 1), b"not CBOR"));
    assert_eq!(answer.payload, b"not CBOR");
    let answer = ask(&mut groups, &mut buffer, with!(raw, Op::Read, (id, 1), &[0; 200]));
    assert!(refused(answer.check()).contains("(rc 7)"), "what does not fit is not cut");
}

#[test]
fn enumeration_tells_of_what_is_there_and_of_itself() {
    let mut groups = Enumerated((StatisticsGroup(Counters), Blinker { level: 0 }));
    let (mut buffer, mut found) = ([0; 256], Vec::new());
    let answer = ask(&mut groups, &mut buffer, with!(group_count));
    assert_eq!(answer.group_count(), Ok(3));
    ask(&mut groups, &mut buffer, with!(groups)).groups(|group| found.push(group)).unwrap();
    assert_eq!(found, [10, 2, 164]);
    for (index, expected) in [(0, (10, false)), (1, (2, false)), (2, (164, true))] {
        assert_eq!(ask(&mut groups, &mut buffer, with!(group_at, index)).group_at(), Ok(expected));
    }
    let answer = ask(&mut groups, &mut buffer, with!(group_at, 3));
    assert!(refused(answer.group_at()).contains("(group 10, rc 4)"));
    let mut details = Vec::new();
    let answer = ask(&mut groups, &mut buffer, with!(group_details, Some(&[164, 2, 77])));
    answer.group_details(|entry| details.push((entry.group, entry.name, entry.handlers))).unwrap();
    assert_eq!(details, [(2, Some("stat mgmt"), Some(2)), (164, Some("blinker"), None)]);
}

#[test]
fn a_clock_is_read_once_it_was_set() {
    let clock = Some(Rtc::default());
    let mut groups = (OsGroup(Platform { clock, ..Platform::default() }),);
    let mut buffer = [0; 64];
    let answer = ask(&mut groups, &mut buffer, with!(date_time));
    assert!(refused(answer.date_time()).contains("never set; set it first (group 0, rc 4)"));
    let set = "2026-11-21 01:02:03.5+01:00";
    ask(&mut groups, &mut buffer, with!(set_date_time, set)).check().unwrap();
    let answer = ask(&mut groups, &mut buffer, with!(date_time));
    assert_eq!(answer.date_time(), Ok("2026-11-21T01:02:03.500"));
    let answer = ask(&mut groups, &mut buffer, with!(set_date_time, "today"));
    assert!(refused(answer.check()).contains("(rc 3)"));
    groups.0.0.clock = Some(Rtc { broken: true, ..Rtc::default() });
    let answer = ask(&mut groups, &mut buffer, with!(set_date_time, set));
    assert!(refused(answer.check()).contains("(group 0, rc 5)"));
}

#[test]
fn the_consoles_echo_is_turned_where_there_is_one() {
    let mut groups = (OsGroup(Platform::default()),);
    let mut buffer = [0; 64];
    let answer = ask(&mut groups, &mut buffer, with!(console_echo, true));
    assert!(refused(answer.check()).contains("(rc 8)"));
    groups.0.0.console_echo = Some(true);
    ask(&mut groups, &mut buffer, with!(console_echo, false)).check().unwrap();
    assert_eq!(groups.0.0.console_echo, Some(false));
}

#[test]
fn pools_are_read_from_either_form() {
    let pool = Pool { name: "msys", block_size: 292, blocks: 12, free: 9, least_free: 4 };
    let mut groups = (OsGroup(Platform { pools: vec![pool], ..Platform::default() }),);
    let mut buffer = [0; 128];
    let mut found = Vec::new();
    let answer = ask(&mut groups, &mut buffer, with!(pools));
    answer.pools(|pool| found.push((pool.name.to_owned(), pool.free))).unwrap();
    let nested = b"\xbf\x62rc\x00\x66mpools\xbf\x64msys\xbf\x65nfree\x09\xff\xff\xff";
    let header = answer.header;
    Answer { header, payload: nested }
        .pools(|pool| found.push((pool.name.to_owned(), pool.free)))
        .unwrap();
    assert_eq!(found, [("msys".into(), Some(9)), ("msys".into(), Some(9))]);
    // Clients of the first generation look for them one level down.
    let request = versioned(Version::V1, Op::Read, group::OS, os::POOLS, b"\xa0");
    let step = Server::default().packet(&request).answer_next(&mut groups, &mut buffer);
    let told = &buffer[..step.expect("a request").len];
    assert!(told[8..].starts_with(b"\xbf\x66mpools\xbf\x64msys\xbf\x66blksiz"), "{told:02x?}");
}

#[test]
fn applications_add_letters_to_the_information() {
    let mut groups = (OsGroup(Platform::default()),);
    let mut buffer = [0; 128];
    assert_eq!(ask(&mut groups, &mut buffer, with!(info, "Xs")).info(), Ok("Zephyr extra"));
    assert_eq!(ask(&mut groups, &mut buffer, with!(info, "X")).info(), Ok("extra"));
}

#[test]
fn task_statistics_larger_than_the_buffer_are_message_size() {
    let buffers = Buffers { size: 384, count: 2 };
    let mut groups = (OsGroup(Platform { buffers, ..Platform::default() }),);
    let mut buffer = [0; 384];
    let answer = ask(&mut groups, &mut buffer, with!(tasks));
    assert_eq!(answer.header.id, os::TASKS);
    assert!(refused(answer.tasks(|_| ())).contains("(rc 7)"));
}
