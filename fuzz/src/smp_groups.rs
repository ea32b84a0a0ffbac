//! Every group, both sides: arbitrary arguments for its commands on a whole device, and the same
//! bytes as answers to a client.
//!
//! Asserts: the device answers each request with one whole message, which fits its buffer; what it
//! answers when it says yes the client can read; a transfer of a file ends, whatever the device
//! says.
//!
//! An input is packets; the first byte of each picks a command of the group, the rest is its
//! payload.

use std::time::Duration;

use updraft_image::Version;
use updraft_sim::device::BUFFERS;
use updraft_smp::client::{
    Answer, AnswerError, FileDownload, FileOptions, FileUpload, Limits, Part, Requests,
};
use updraft_smp::{Header, Op, Version as Protocol, group};

use crate::{device, packets};

/// A group: its commands, and how the client reads their answers.
struct Side {
    group: u16,
    commands: &'static [(Op, u8)],
    read: fn(&Answer<'_>, Op, u8) -> Result<(), AnswerError>,
}

impl Side {
    fn run(&self, data: &[u8]) {
        let mut device = device::running(&device::image(Version::new(1, 0, 0, 0), 600));
        let mut now = Duration::ZERO;
        for packet in packets::split(data).take(32) {
            let Some((pick, payload)) = packet.split_first() else { continue };
            let (op, id) = self.commands[usize::from(*pick) % self.commands.len()];
            let payload = &payload[..payload.len().min(1400)];
            let length = payload.len() as u16;
            for version in [Protocol::V1, Protocol::V2] {
                let header =
                    Header { length, ..Header::request(version, op, self.group, id, *pick) };
                let request = [&header.emit()[..], payload].concat();
                let mut answers = 0;
                device.packet(&request, now, |bytes| {
                    answers += 1;
                    assert!(bytes.len() <= BUFFERS.size as usize, "{} bytes", bytes.len());
                    let answer = Answer::parse(bytes).expect("a whole message");
                    assert!(answer.header.answers(&header), "{:?}", answer.header);
                    if answer.check().is_ok() {
                        let read = (self.read)(&answer, op, id);
                        assert!(read.is_ok(), "{op:?} {id}: {read:?} {bytes:02x?}");
                    }
                });
                assert!(answers <= 1);
                let said = Header { length, ..header.answer(length) };
                let said = [&said.emit()[..], payload].concat();
                let answer = Answer::parse(&said).expect("a whole message");
                let _ = (self.read)(&answer, op, id);
            }
            now += Duration::from_millis(50);
            device.poll(now);
        }
    }

    /// An input of the requests that a client makes of this group.
    fn seeds(&self, build: impl Fn(&mut Requests, &mut [u8], usize) -> usize) -> Vec<Vec<u8>> {
        let (mut all, mut buffer) = (Vec::new(), [0; 512]);
        for number in 0.. {
            let len = build(&mut Requests::default(), &mut buffer, number);
            let Ok((header, payload)) = Header::parse(&buffer[..len]) else { break };
            assert_eq!(header.group, self.group);
            let command = (header.op, header.id);
            let pick = self.commands.iter().position(|found| *found == command);
            all.push([&[pick.expect("a command of the group") as u8], payload].concat());
        }
        let mut seeds: Vec<_> = all.iter().map(|packet| packets::join([packet])).collect();
        seeds.push(packets::join(&all));
        seeds
    }
}

/// A target: the group's number, its commands, the reader of their answers, the client's requests.
macro_rules! group {
    (
        $name:ident: $group:expr, $commands:expr, $read:expr;
        $($method:ident($($argument:expr),*))+
    ) => {
        pub mod $name {
            use super::*;

            const SIDE: Side = Side { group: $group, commands: &$commands, read: $read };

            /// Takes one input.
            pub fn run(data: &[u8]) {
                SIDE.run(data);
            }

            /// The client's requests.
            pub fn seeds() -> Vec<Vec<u8>> {
                SIDE.seeds(|requests, buffer, number| {
                    let mut at = 0;
                    $(if at == number {
                        let message = requests.$method(buffer $(, $argument)*);
                        return message.expect("a request fits").len();
                    }
                    at += 1;)+
                    let _ = at;
                    0
                })
            }
        }
    };
}

use Op::{Read, Write};

group! {
    smp_os: group::OS,
    [
        (Read, 0), (Write, 0), (Write, 1), (Read, 2), (Read, 3), (Read, 4), (Write, 4), (Write, 5),
        (Read, 6), (Read, 7), (Read, 8),
    ],
    |answer, op, id| match (op, id) {
        (_, 0) => answer.echo().map(drop),
        (Read, 2) => answer.tasks(|_| ()),
        (Read, 3) => answer.pools(|_| ()),
        (Read, 4) => answer.date_time().map(drop),
        (Read, 6) => answer.params().map(drop),
        (Read, 7) => answer.info().map(drop),
        (Read, 8) => answer.bootloader().map(drop),
        _ => answer.check(),
    };
    echo("hello") console_echo(true) tasks() pools() date_time()
    set_date_time("2026-11-21T01:02:03.045") reset(true, Some(1)) params() info("an")
    bootloader_info(Some("mode"))
}

group! {
    smp_image: group::IMAGE,
    [(Read, 0), (Write, 0), (Write, 1), (Write, 5), (Read, 6)],
    |answer, _, id| match id {
        0 => answer.images(|_| ()),
        1 => answer.upload().map(drop),
        6 => answer.slots(|_| ()).map(drop),
        _ => answer.check(),
    };
    image_list() test(&[7; 32]) confirm(None) erase(Some(1)) slot_info()
}

group! {
    smp_statistics: group::STATISTICS,
    [(Read, 0), (Read, 1)],
    |answer, _, id| match id {
        0 => answer.counters(|_, _| ()),
        _ => answer.statistics_groups(|_| ()),
    };
    statistics_groups() counters("smp") counters("none")
}

group! {
    smp_settings: group::SETTINGS,
    [(Read, 0), (Write, 0), (Write, 1), (Write, 2), (Read, 3), (Write, 3)],
    |answer, op, id| match (op, id) {
        (Read, 0) => answer.setting().map(drop),
        _ => answer.check(),
    };
    write_setting("net/name", b"value") read_setting("net/name", Some(3)) commit_settings()
    save_settings(Some("net")) delete_setting("net/name") load_settings() save_settings(None)
}

group! {
    smp_log: group::LOG,
    [(Read, 0), (Write, 1), (Write, 2), (Read, 3), (Read, 4), (Read, 5)],
    |answer, _, id| match id {
        0 => answer.log_entries(|_| ()).map(drop),
        3 => answer.log_modules(|_, _| ()),
        4 => answer.log_levels(|_, _| ()),
        5 => answer.logs(|_| ()),
        _ => answer.check(),
    };
    logs() append_log("console", (1, 2), "hello") log_entries(Some("console"), 0, -1)
    log_entries(None, 1, 0) log_modules() log_levels() clear_log(Some("console"))
}

group! {
    smp_crash: group::CRASH,
    [(Write, 0)],
    |answer, _, _| answer.check();
    crash("div0") crash("wdog")
}

group! {
    smp_run: group::RUN,
    [(Write, 0), (Read, 1)],
    |answer, _, id| match id {
        1 => answer.tests(|_| ()),
        _ => answer.check(),
    };
    tests() run_test(Some("self-test"), Some("t7")) run_test(None, None)
}

group! {
    smp_shell: group::SHELL,
    [(Write, 0)],
    |answer, _, _| answer.shell().map(drop);
    shell(&["kernel", "uptime"]) shell(&["image list"]) shell(&["help"]) shell(&["reboot"])
}

group! {
    smp_enumeration: group::ENUMERATION,
    [(Read, 0), (Read, 1), (Read, 2), (Read, 3)],
    |answer, _, id| match id {
        0 => answer.group_count().map(drop),
        1 => answer.groups(|_| ()),
        2 => answer.group_at().map(drop),
        _ => answer.group_details(|_| ()),
    };
    group_count() groups() group_at(3) group_details(Some(&[0, 8, 77])) group_details(None)
}

group! {
    smp_basic: group::BASIC,
    [(Write, 0)],
    |answer, _, _| answer.check();
    erase_storage()
}

/// The file group, whose transfers are led by arbitrary answers too.
pub mod smp_files {
    use super::*;

    const NAME: &str = "/files/a";
    const FRAME: usize = 120;
    /// More turns than any transfer of the file takes: every answer costs at most a restart.
    const TURNS: usize = 2000;

    const SIDE: Side = Side {
        group: group::FILES,
        commands: &[(Read, 0), (Write, 0), (Read, 1), (Read, 2), (Read, 3), (Write, 4)],
        read: |answer, op, id| match (op, id) {
            (Read, 0) => answer.file_piece().map(drop),
            (Write, 0) => answer.file_offset().map(drop),
            (Read, 1) => answer.file_length().map(drop),
            (Read, 2) => answer.file_hash().map(drop),
            (Read, 3) => answer.hash_types(|_| ()),
            _ => answer.check(),
        },
    };

    /// Takes one input.
    pub fn run(data: &[u8]) {
        SIDE.run(data);
        upload(data);
        download(data);
    }

    /// What the input says to a message: the next packet without its first byte; nothing at its
    /// end.
    fn said<'d>(packets: &mut impl Iterator<Item = &'d [u8]>, message: &[u8]) -> Option<Vec<u8>> {
        let payload = packets.next()?.get(1..)?;
        let (request, _) = Header::parse(message).expect("a message");
        let length = u16::try_from(payload.len()).ok()?;
        Some([&request.answer(length).emit()[..], payload].concat())
    }

    fn upload(data: &[u8]) {
        let file = [0x5a; 700];
        let options = FileOptions::new(Limits { frame: FRAME, window: 1 });
        let mut upload = FileUpload::new(NAME, &file, options).expect("a file that can be sent");
        let (mut packets, mut buffer) = (packets::split(data).take(200), [0; FRAME]);
        let mut now = Duration::ZERO;
        for _ in 0..TURNS {
            while let Some(len) = upload.poll_transmit(now, &mut buffer) {
                assert!(len <= FRAME);
                if let Some(answer) = said(&mut packets, &buffer[..len]) {
                    upload.handle(&answer);
                }
            }
            let Some(deadline) = upload.deadline() else { return };
            now = deadline.max(now);
        }
        panic!("the upload does not end: {:?}", upload.status());
    }

    fn download(data: &[u8]) {
        let options = FileOptions::new(Limits { frame: FRAME, window: 3 });
        let mut download = FileDownload::new(NAME, &[7; 50], options).expect("a name that fits");
        let (mut packets, mut buffer) = (packets::split(data).take(200), [0; FRAME]);
        let (mut now, mut end) = (Duration::ZERO, 50);
        for _ in 0..TURNS {
            while let Some(len) = download.poll_transmit(now, &mut buffer) {
                assert!(len <= FRAME);
                let Some(answer) = said(&mut packets, &buffer[..len]) else { continue };
                let Some(piece) = download.handle(&answer, now) else { continue };
                if !piece.data.is_empty() {
                    assert!(piece.off == end || piece.off == 0, "{} after {end}", piece.off);
                    end = piece.off + piece.data.len() as u32;
                }
            }
            let Some(deadline) = download.deadline() else { return };
            now = deadline.max(now);
        }
        panic!("the download does not end: {:?}", download.status());
    }

    /// The client's requests.
    pub fn seeds() -> Vec<Vec<u8>> {
        let mut seeds = SIDE.seeds(|requests, buffer, number| {
            let message = match number {
                0 => requests.write_file(buffer, NAME, (0, 8), b"abcd"),
                1 => requests.write_file(buffer, NAME, (4, 8), b"efgh"),
                2 => requests.read_file(buffer, NAME, 2),
                3 => requests.file_status(buffer, NAME),
                4 => {
                    requests.hash_file(buffer, NAME, Some("sha256"), Part { off: 1, len: Some(3) })
                }
                5 => requests.hash_types(buffer),
                6 => requests.close_files(buffer),
                _ => return 0,
            };
            message.expect("a request fits").len()
        });
        // What a device says to an upload that is not resumed, and to a download that is.
        let off = |off: u16| {
            let [high, low] = off.to_be_bytes();
            [&[0, 0xa1, 0x63][..], b"off", &[0x19, high, low]].concat()
        };
        let empty = vec![0, 0xa0];
        let length = |len: u8| [&[0, 0xa1, 0x63][..], b"len", &[0x18, len]].concat();
        seeds.push(packets::join([empty.clone(), length(0), off(84), off(168), off(84)]));
        seeds.push(packets::join([empty, length(90), length(90), length(90)]));
        seeds
    }
}
