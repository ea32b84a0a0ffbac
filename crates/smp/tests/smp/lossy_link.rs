//! The client against the server over a link that loses, repeats, delays and reorders packets, in
//! virtual time.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use proptest::prelude::*;
use updraft_image::Version;
use updraft_smp::client::{Limits, Patience, Status, Upload, UploadError, UploadOptions};

use crate::device::{Device, Memory, file, sha256};

#[derive(Clone, Copy, Debug)]
struct Link {
    seed: u64,
    /// Packets lost and repeated, of 100, each way.
    loss: u64,
    duplicates: u64,
    delay: Duration,
    /// Up to this much more for each packet, so that packets overtake each other.
    jitter: Duration,
    /// Requests that the server holds at once; more are dropped.
    buffers: usize,
    /// Time that the server takes for a request.
    work: Duration,
    /// Packets after which nothing goes wrong any more.
    bad: usize,
}

impl Link {
    const CLEAN: Self = Self {
        seed: 1,
        loss: 0,
        duplicates: 0,
        delay: Duration::from_millis(5),
        jitter: Duration::ZERO,
        buffers: usize::MAX,
        work: Duration::ZERO,
        bad: usize::MAX,
    };

    fn random(&mut self) -> u64 {
        self.seed ^= self.seed << 13;
        self.seed ^= self.seed >> 7;
        self.seed ^= self.seed << 17;
        self.seed
    }

    /// When the copies of a packet sent at `now` arrive.
    fn arrivals(&mut self, now: Duration) -> Vec<Duration> {
        if self.bad == 0 {
            return vec![now + self.delay];
        }
        self.bad -= 1;
        let copies = if self.random() % 100 < self.duplicates { 2 } else { 1 };
        let mut arrivals = Vec::new();
        for _ in 0..copies {
            if self.random() % 100 >= self.loss {
                let jitter = self.random() % (self.jitter.as_micros() as u64 + 1);
                arrivals.push(now + self.delay + Duration::from_micros(jitter));
            }
        }
        arrivals
    }
}

#[derive(Debug)]
enum Event {
    AtServer(usize, Vec<u8>),
    Answered(usize, Vec<u8>),
    AtClient(Vec<u8>),
}

#[derive(Debug)]
struct Run {
    status: Status,
    time: Duration,
    requests: usize,
    /// Requests that might have been under way in the end.
    window: usize,
}

fn run(device: &mut Device, data: &[u8], options: UploadOptions, mut link: Link) -> Run {
    let mut upload = Upload::new(data, options).expect("sound options");
    let mut events = BTreeMap::<(Duration, u64), Event>::new();
    let mut buffer = vec![0; options.limits.frame];
    let (mut now, mut order, mut requests) = (Duration::ZERO, 0, 0);
    let (mut queued, mut free_at) = (0_usize, Duration::ZERO);
    // Requests of which a copy is on its way or in a buffer of the server's.
    let mut under_way = BTreeSet::new();
    let mut post = |events: &mut BTreeMap<_, _>, at, event| {
        order += 1;
        events.insert((at, order), event);
    };
    while upload.status() == Status::Running {
        while let Some(len) = upload.poll_transmit(now, &mut buffer) {
            requests += 1;
            assert!(len <= options.limits.frame);
            for at in link.arrivals(now) {
                under_way.insert(requests);
                post(&mut events, at, Event::AtServer(requests, buffer[..len].to_vec()));
            }
            assert!(under_way.len() <= options.limits.window, "{} under way", under_way.len());
            assert!(requests < 200_000, "the upload gets nowhere: {:?}", upload.progress());
        }
        let Some(deadline) = upload.deadline() else { break };
        let next = events.keys().next().copied();
        match next.filter(|(at, _)| *at <= deadline) {
            None => now = now.max(deadline),
            Some(key) => {
                now = now.max(key.0);
                match events.remove(&key).expect("just seen") {
                    Event::AtServer(request, packet) if queued < link.buffers => {
                        queued += 1;
                        free_at = free_at.max(now) + link.work;
                        for answer in device.answers(&packet) {
                            post(&mut events, free_at, Event::Answered(request, answer));
                        }
                    }
                    Event::AtServer(request, _) => {
                        under_way.remove(&request);
                    }
                    Event::Answered(request, packet) => {
                        queued -= 1;
                        under_way.remove(&request);
                        for at in link.arrivals(now) {
                            post(&mut events, at, Event::AtClient(packet.clone()));
                        }
                    }
                    Event::AtClient(packet) => {
                        upload.handle(&packet, now);
                    }
                }
            }
        }
    }
    // What is still on its way arrives after the client has left.
    for event in events.into_values() {
        if let Event::AtServer(_, packet) = event {
            device.answers(&packet);
        }
    }
    Run { status: upload.status(), time: now, requests, window: upload.progress().window }
}

fn options(frame: usize, window: usize) -> UploadOptions {
    UploadOptions::new(Limits { frame, window })
}

/// As patient as it takes to get through any loss short of a total one.
fn patient(options: UploadOptions) -> UploadOptions {
    let patience = Patience {
        timeout: Duration::from_secs(1),
        longest: Duration::from_secs(4),
        retries: 1000,
    };
    UploadOptions { first: patience, chunk: patience, ..options }
}

fn device() -> Device {
    let mut memory = Memory::new(1, 256 * 1024);
    memory.put(0, &file(Version::new(0, 0, 0, 0), 1000));
    Device::new(memory)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(150))]

    #[test]
    fn any_loss_below_a_total_one_ends_with_identical_bytes(
        seed in 1..u64::MAX,
        size in 1..30_000_usize,
        frame in 120..1500_usize,
        window in 1..=16_usize,
        loss in 0..60_u64,
        duplicates in 0..30_u64,
        jitter in 0..40_u64,
        buffers in 1..20_usize,
        sequence: u8,
    ) {
        let data = file(Version::new(1, 0, 0, 0), size);
        let link = Link {
            seed, loss, duplicates, buffers, jitter: Duration::from_millis(jitter), ..Link::CLEAN
        };
        let options = UploadOptions {
            sequence, ..patient(options(frame, window)).with_sha256(sha256(&data))
        };
        let options = patient(options);
        let mut device = device();
        let run = run(&mut device, &data, options, link);
        prop_assert!(matches!(run.status, Status::Done(outcome) if outcome.verified), "{run:?}");
        prop_assert!(device.memory().slot(1)[..data.len()] == data);
    }

    #[test]
    fn without_a_hash_losses_and_delays_end_with_identical_bytes(
        seed in 1..u64::MAX,
        size in 1..30_000_usize,
        frame in 120..1500_usize,
        window in 1..=16_usize,
        loss in 0..60_u64,
        jitter in 0..40_u64,
    ) {
        let data = file(Version::new(1, 0, 0, 0), size);
        let link = Link { seed, loss, jitter: Duration::from_millis(jitter), ..Link::CLEAN };
        let mut device = device();
        let run = run(&mut device, &data, patient(options(frame, window)), link);
        prop_assert!(matches!(run.status, Status::Done(_)), "{run:?}");
        prop_assert!(device.memory().slot(1)[..data.len()] == data);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]

    /// The first chunk goes alone; then a window's worth for every round trip.
    #[test]
    fn without_losses_the_window_is_full(
        chunks in 1..150_usize,
        frame in 200..1400_usize,
        window in 1..=16_usize,
        delay in 1..60_u64,
    ) {
        let delay = Duration::from_millis(delay);
        let data = file(Version::new(1, 0, 0, 0), chunks * (frame - 26));
        let link = Link { delay, ..Link::CLEAN };
        let run = run(&mut device(), &data, options(frame, window), link);
        prop_assert!(matches!(run.status, Status::Done(_)), "{run:?}");
        let rounds = 1 + (run.requests - 1).div_ceil(window);
        prop_assert_eq!(run.time, delay * 2 * rounds as u32);
        prop_assert_eq!(run.window, window);
    }

    #[test]
    fn a_window_that_losses_made_small_is_full_again_in_the_end(
        seed in 1..u64::MAX,
        window in 1..=16_usize,
        loss in 10..60_u64,
        bad in 20..100_usize,
    ) {
        let data = file(Version::new(1, 0, 0, 0), 240_000);
        let link = Link { seed, loss, bad, jitter: Duration::from_millis(3), ..Link::CLEAN };
        let options = patient(options(400, window)).with_sha256(sha256(&data));
        let run = run(&mut device(), &data, patient(options), link);
        prop_assert!(matches!(run.status, Status::Done(outcome) if outcome.verified), "{run:?}");
        prop_assert_eq!(run.window, window);
    }
}

#[test]
fn a_clean_link_carries_every_byte_once() {
    let data = file(Version::new(1, 0, 0, 0), 200_000);
    let run = run(&mut device(), &data, options(1024, 7), Link::CLEAN);
    assert!(matches!(run.status, Status::Done(_)));
    assert_eq!(run.requests, data.len().div_ceil(1024 - 26));
}

#[test]
fn a_window_makes_up_for_a_slow_link() {
    let data = file(Version::new(1, 0, 0, 0), 200_000);
    let link = Link { delay: Duration::from_millis(25), ..Link::CLEAN };
    let alone = run(&mut device(), &data, options(1024, 1), link);
    let seven = run(&mut device(), &data, options(1024, 7), link);
    assert!(alone.time > seven.time * 6, "{:?} {:?}", alone.time, seven.time);
}

#[test]
fn a_window_larger_than_the_servers_buffers_shrinks_to_fit() {
    let data = file(Version::new(1, 0, 0, 0), 200_000);
    let link = Link { buffers: 3, work: Duration::from_millis(5), ..Link::CLEAN };
    let chunks = data.len().div_ceil(1024 - 26);
    let run = run(&mut device(), &data, options(1024, 16), link);
    assert!(matches!(run.status, Status::Done(_)), "{run:?}");
    assert!(run.requests < chunks * 3, "{} requests for {chunks} chunks", run.requests);
}

#[test]
fn one_lost_chunk_costs_no_more_than_a_window() {
    let data = file(Version::new(1, 0, 0, 0), 100_000);
    let chunks = data.len().div_ceil(1024 - 26);
    for seed in 1..50 {
        let link = Link { seed, loss: 1, ..Link::CLEAN };
        let run = run(&mut device(), &data, patient(options(1024, 7)), link);
        assert!(matches!(run.status, Status::Done(_)), "{run:?}");
        assert!(run.requests < chunks + 8 * 10, "{} requests for {chunks} chunks", run.requests);
    }
}

#[test]
fn a_dead_link_is_given_up_with_the_offset() {
    let data = file(Version::new(1, 0, 0, 0), 100_000);
    let link = Link { loss: 100, ..Link::CLEAN };
    let run = run(&mut device(), &data, options(1024, 7), link);
    assert_eq!(run.status, Status::Failed(UploadError::NoAnswer { off: 0, sends: 3 }));
}
