//! AWS IoT's protocol on real connections: `updraft fetch --thing`, mosquitto with certificates on
//! both sides, and a service that says what AWS says. OpenSSL signs the jobs.

use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use updraft_online::{Credentials, Memory, Online, Session, Settings, Tls, Trust};
use updraft_ota::Retry;
use updraft_ota::aws::Status;
use updraft_publisher::aws::{Event, Job, Note, Service, Settings as ServiceSettings};

use crate::broken::until_it_holds;
use crate::device::{Played, image};
use crate::files::python;
use crate::support::{LONG, Lab, foreign};

const THING: &str = "kit-1";
const BLOCK: usize = 4096;

/// Makes who signs jobs: a certificate for that, and a key.
fn signer(lab: &Lab, name: &str) {
    let subject = format!("/CN={name}");
    openssl(
        lab,
        &[
            "req",
            "-x509",
            "-newkey",
            "ec",
            "-pkeyopt",
            "ec_paramgen_curve:prime256v1",
            "-nodes",
            "-keyout",
            &format!("{name}.key"),
            "-out",
            &format!("{name}.crt"),
            "-days",
            "2",
            "-subj",
            &subject,
            "-addext",
            "keyUsage=digitalSignature",
            "-addext",
            "extendedKeyUsage=codeSigning",
        ],
    );
}

fn openssl(lab: &Lab, args: &[&str]) -> Vec<u8> {
    let output = Command::new("openssl").args(args).current_dir(lab.path("")).output();
    let output = output.expect("openssl: `cargo xtask setup` installs it");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    output.stdout
}

/// A job with an image of the lab, signed by `who`.
fn job(lab: &Lab, version: &str, who: Option<&str>) -> Job {
    let image = format!("{version}.bin");
    let signature = who.map(|who| {
        let key = format!("{who}.key");
        openssl(lab, &["dgst", "-sha256", "-sign", &key, "-out", "signature", &image]);
        let base64 = openssl(lab, &["base64", "-A", "-in", "signature"]);
        String::from_utf8(base64).unwrap().trim().to_owned()
    });
    Job {
        id: format!("AFR_OTA-{}", version.replace('.', "_")),
        stream: "AFR_OTA-stream".into(),
        image: lab.image(version).into(),
        path: "app".into(),
        signature,
        certificate: "codesign.crt".into(),
        url: None,
        streams: true,
    }
}

fn settings(lab: &Lab) -> ServiceSettings {
    let milliseconds = Duration::from_millis;
    let again = Retry { first: milliseconds(200), longest: milliseconds(500), tries: 8 };
    ServiceSettings { again, ..ServiceSettings::new("127.0.0.1", lab.tls, 1_795_229_098) }
}

/// A service on a thread, which ends with its test.
struct Cloud {
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
    events: Arc<Mutex<Vec<Event>>>,
}

impl Cloud {
    fn start(lab: &Lab, job: Job, settings: ServiceSettings) -> Self {
        let trust = Trust::File(lab.path("mosquitto_ca.crt"));
        let [certificate, key] =
            ["crt", "key"].map(|it| lab.path(&format!("mosquitto_client.{it}")));
        let own = Credentials { certificate, key };
        let tls = Arc::new(Tls::new(&trust, Some(&own), None).unwrap());
        let lines = Settings::tls(Session::new("service"), tls);
        let (stop, events) = (Arc::new(AtomicBool::new(false)), Arc::new(Mutex::new(Vec::new())));
        let (stopped, told) = (Arc::clone(&stop), Arc::clone(&events));
        let (opened, wait) = std::sync::mpsc::channel();
        let thread = std::thread::spawn(move || {
            let mut memory = Memory::new(4096, 64 * 1024);
            let mut online = Online::new().unwrap();
            online.add(Service::new(job, settings), lines, &mut memory);
            while !stopped.load(Ordering::SeqCst) {
                let hear = &mut |_, event: updraft_online::Event<'_>| {
                    if let updraft_online::Event::Opened { .. } = event {
                        let _ = opened.send(());
                    }
                };
                online.turn(Duration::from_millis(20), hear).unwrap();
                while let Some(event) = online.machine(0).and_then(Service::event) {
                    told.lock().unwrap().push(event);
                }
            }
        });
        wait.recv_timeout(LONG).expect("the broker answers");
        // The subscriptions follow at once.
        std::thread::sleep(Duration::from_millis(200));
        Self { stop, thread: Some(thread), events }
    }

    fn notes(&self) -> Vec<Note> {
        self.events.lock().unwrap().iter().map(|event| event.note.clone()).collect()
    }

    /// How the job stood, report after report, without the progress.
    fn reports(&self) -> Vec<(Status, Vec<(&'static str, String)>)> {
        let reports = self.notes().into_iter().filter_map(|note| match note {
            Note::Report(status, details) => Some((status, details)),
            _ => None,
        });
        reports.filter(|(_, details)| details.iter().all(|(key, _)| *key != "receive")).collect()
    }

    fn blocks(&self) -> Vec<u32> {
        let blocks = self.notes().into_iter().filter_map(|note| match note {
            Note::Blocks(blocks) => Some(blocks),
            _ => None,
        });
        blocks.flatten().collect()
    }

    /// Through its self-test, from `began` to `version`.
    fn succeeded(&self, version: &str) {
        let word = |details: &[(&str, String)], key| {
            details.iter().find(|(it, _)| *it == key).map(|(_, value)| value.clone())
        };
        let reports = self.reports();
        let [(ready, first), (active, second), (end, last)] = &reports[..] else {
            panic!("{reports:?}")
        };
        assert_eq!([ready, active], [&Status::InProgress; 2]);
        assert_eq!(word(first, "self_test").as_deref(), Some("ready"));
        assert_eq!(word(second, "self_test").as_deref(), Some("active"));
        assert_eq!(*end, Status::Succeeded);
        assert_eq!(word(last, "reason"), Some(format!("accepted v{version}")));
    }
}

impl Drop for Cloud {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::SeqCst);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn fetch(lab: &Lab, more: &str) -> String {
    format!(
        "fetch mqtts://127.0.0.1:{} --thing {THING} --key key.pem --signer codesign.crt --timeout 60 \
         {more}",
        lab.tls
    )
}

#[test]
fn an_update_comes_from_streams_and_signed_addresses_and_every_step_is_reported() {
    if !foreign("mosquitto, openssl and python3") {
        return;
    }
    let lab = Lab::new("aws", 60_000);
    let _broker = lab.broker();
    signer(&lab, "codesign");
    let (_server, port) = python(&lab, true);
    let address = format!("http://127.0.0.1:{port}/1.1.0.bin?X-Amz-Signature=0f1e");
    for (way, url, more) in [
        ("cbor", None, ""),
        ("json", None, "--stream json"),
        ("http", Some(address.clone()), ""),
        ("both", Some(address), "--prefer-http"),
    ] {
        let job = Job { streams: way != "http", url, ..job(&lab, "1.1.0", Some("codesign")) };
        let cloud = Cloud::start(&lab, job, settings(&lab));
        let file = format!("{way}.bin");
        let line = format!("{} {more}", fetch(&lab, &format!("--out {file} --running 1.0.0")));
        assert_eq!(lab.ok(&line), "installed 1.1.0\n", "{way}");
        assert!(lab.holds(&file, "1.1.0"), "{way}");
        cloud.succeeded("1.1.0");
        let blocks = cloud.blocks().len();
        let all = lab.image("1.1.0").len().div_ceil(BLOCK);
        assert_eq!(blocks, if more.contains("http") || way == "http" { 0 } else { all }, "{way}");
        // What is there already is not fetched again: there is no job any more.
        assert_eq!(lab.ok(&line), "there is no update\n", "{way}");
    }
}

#[test]
fn a_job_that_a_stranger_has_signed_or_nobody_is_refused_before_anything_is_marked() {
    if !foreign("mosquitto and openssl") {
        return;
    }
    let lab = Lab::new("aws-signatures", 30_000);
    let _broker = lab.broker();
    signer(&lab, "codesign");
    signer(&lab, "stranger");
    for (who, told, reason) in
        [(Some("stranger"), "signature", "0x000000e3"), (None, "signature", "0x000000e3")]
    {
        let cloud = Cloud::start(&lab, job(&lab, "1.1.0", who), settings(&lab));
        let said = lab.fails(&fetch(&lab, "--out got.bin"));
        assert!(said.contains(told) && said.contains("--signer"), "{said}");
        assert!(!lab.path("got.bin").exists(), "{who:?}");
        let reports = cloud.reports();
        let (status, details) = reports.last().unwrap();
        assert_eq!((reports.len(), *status), (1, Status::Failed), "{reports:?}");
        assert!(details[0].1.starts_with(reason), "{details:?}");
        // An unsigned job is not even fetched.
        assert_eq!(cloud.blocks().is_empty(), who.is_none());
        // Somebody else's name for the same job makes it another one: it is looked at anew.
        let _ = std::fs::remove_file(lab.path("got.bin.ota"));
    }
    // The same by a device that has been told of no signer: it says what it needs.
    let _cloud = Cloud::start(&lab, job(&lab, "1.1.0", Some("codesign")), settings(&lab));
    let line = fetch(&lab, "--out got.bin").replace("--signer codesign.crt", "");
    let said = lab.fails(&line);
    assert!(said.contains("say by whom, --signer FILE"), "{said}");
    // A certificate for something else signs nothing.
    let line = fetch(&lab, "--out got.bin").replace("codesign.crt", "mosquitto_client.crt");
    assert!(lab.fails(&line).contains("is not for signing firmware"));
}

#[test]
fn the_version_that_runs_is_refused_as_the_original_says_it() {
    if !foreign("mosquitto and openssl") {
        return;
    }
    let lab = Lab::new("aws-same", 30_000);
    let _broker = lab.broker();
    signer(&lab, "codesign");
    std::fs::copy(lab.path("1.1.0.bin"), lab.path("got.bin")).unwrap();
    let cloud = Cloud::start(&lab, job(&lab, "1.1.0", Some("codesign")), settings(&lab));
    assert_eq!(lab.ok(&fetch(&lab, "--out got.bin")), "there is no update\n");
    let expected = (Status::Failed, vec![("reason", "rejected: 0x00000010".to_owned())]);
    assert_eq!(cloud.reports(), [expected]);
    // Its first blocks tell.
    assert!(cloud.blocks().len() <= 8, "{:?}", cloud.blocks());
}

#[test]
fn blocks_that_come_twice_in_another_order_or_not_at_all_delay_an_update_and_no_more() {
    if !foreign("mosquitto and openssl") {
        return;
    }
    let lab = Lab::new("aws-order", 60_000);
    let _broker = lab.broker();
    signer(&lab, "codesign");
    for (name, order) in [
        ("reversed", (|blocks: Vec<u32>| blocks.into_iter().rev().collect()) as fn(_) -> _),
        ("twice", |blocks: Vec<u32>| blocks.into_iter().flat_map(|it| [it, it]).collect()),
        ("shuffled", |mut blocks: Vec<u32>| {
            blocks.sort_by_key(|it| it.wrapping_mul(0x9e37_79b9));
            blocks.insert(0, 0);
            blocks
        }),
    ] {
        let settings = ServiceSettings { order, ..settings(&lab) };
        let cloud = Cloud::start(&lab, job(&lab, "1.1.0", Some("codesign")), settings);
        let file = format!("{name}.bin");
        assert_eq!(lab.ok(&fetch(&lab, &format!("--out {file}"))), "installed 1.1.0\n", "{name}");
        assert!(lab.holds(&file, "1.1.0"), "{name}");
        cloud.succeeded("1.1.0");
    }
}

#[test]
fn a_virtual_device_goes_through_its_self_test_and_back_where_it_fails() {
    if !foreign("mosquitto and openssl") {
        return;
    }
    let lab = Lab::new("aws-device", 1000);
    let _broker = lab.broker();
    signer(&lab, "codesign");
    image(&lab, "1.0.0", "ask = 0", 1000);
    for (outcome, status) in [("pass", Status::Succeeded), ("fail", Status::Failed)] {
        let _ = std::fs::remove_file(lab.path("dev.flash"));
        let _ = std::fs::remove_file(lab.path("dev.flash.ota"));
        image(&lab, "1.1.0", &format!("ask = 0\nself-test = {outcome}"), 60_000);
        let cloud = Cloud::start(&lab, job(&lab, "1.1.0", Some("codesign")), settings(&lab));
        let mut device = Played::start(
            &lab,
            &format!(
                "device run --flash dev.flash --key key.pem --udp 127.0.0.1:0 --load primary=1.0.0.bin \
             --ota mqtts://127.0.0.1:{} --ota-thing {THING} --ota-signer codesign.crt",
                lab.tls
            ),
        );
        device.says(&[
            "app: update: fetching",
            "app: update: asked for, at the next start",
            "boot: new image installed (test)",
            "boot: starting 1.1.0",
        ]);
        match status {
            Status::Succeeded => device.says(&["app: self-test passed, image confirmed"]),
            _ => device.says(&["app: self-test failed", "boot: starting 1.0.0"]),
        }
        let until = Instant::now() + LONG;
        while cloud.reports().last().is_none_or(|(last, _)| *last != status) {
            assert!(Instant::now() < until, "{:?}", cloud.notes());
            std::thread::sleep(Duration::from_millis(10));
        }
        if status == Status::Succeeded {
            cloud.succeeded("1.1.0");
        }
    }
}

#[test]
fn a_broker_that_is_killed_in_the_middle_costs_no_block_that_is_held() {
    if !foreign("mosquitto and openssl") {
        return;
    }
    let lab = Lab::new("aws-killed", 200_000);
    let mut broker = lab.broker();
    signer(&lab, "codesign");
    let settings = ServiceSettings { pause: Duration::from_millis(20), ..settings(&lab) };
    let cloud = Cloud::start(&lab, job(&lab, "1.1.0", Some("codesign")), settings);
    let device = lab.start(&fetch(&lab, "--out got.bin"));
    let until = Instant::now() + LONG;
    while cloud.blocks().len() < 17 {
        assert!(Instant::now() < until, "{:?}", cloud.notes());
        std::thread::sleep(Duration::from_millis(5));
    }
    broker.kill();
    std::thread::sleep(Duration::from_millis(500));
    let _broker = lab.broker();
    let (good, told) = device.ends();
    assert!(good, "{told:?}");
    assert!(lab.holds("got.bin", "1.1.0"));
    cloud.succeeded("1.1.0");
    let (asked, all) = (cloud.blocks().len(), lab.image("1.1.0").len().div_ceil(BLOCK));
    println!("blocks asked for {asked} / {all} of the image, over a broker that was killed");
    // Of those that were on their way, eight at the most, some are asked for again.
    assert!((all..=all + 8).contains(&asked), "{asked} of {all}");
}

#[test]
fn a_device_that_is_killed_anywhere_asks_for_the_other_blocks_only() {
    if !foreign("mosquitto and openssl") {
        return;
    }
    let lab = Lab::new("aws-killed-device", 200_000);
    let _broker = lab.broker();
    signer(&lab, "codesign");
    let settings = ServiceSettings { pause: Duration::from_millis(20), ..settings(&lab) };
    let cloud = Cloud::start(&lab, job(&lab, "1.1.0", Some("codesign")), settings);
    let kills = [1, 8, 20, 33];
    for blocks in kills {
        let mut device = lab.start(&fetch(&lab, "--out got.bin"));
        until_it_holds(&lab, "got.bin", blocks);
        device.kill();
        assert!(!lab.path("got.bin").exists(), "half an image was installed");
    }
    let (good, told) = lab.start(&fetch(&lab, "--out got.bin")).ends();
    assert!(good, "{told:?}");
    assert!(lab.holds("got.bin", "1.1.0"));
    cloud.succeeded("1.1.0");
    let (asked, all) = (cloud.blocks().len(), lab.image("1.1.0").len().div_ceil(BLOCK));
    println!("blocks asked for {asked} / {all} of the image, over {} kills", kills.len());
    // Of those that were on their way, eight at the most, some are asked for again.
    assert!((all..=all + 8 * kills.len()).contains(&asked), "{asked} of {all}");
}
