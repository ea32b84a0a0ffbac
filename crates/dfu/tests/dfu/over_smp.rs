//! The image group's policy over real slots: what a client may do in each state of an update, and
//! what is in flash after it.

use updraft_dfu::{Config, Dfu, DfuSlots, Hooks, SlotTable};
use updraft_flash::{AreaEntry, AreaId, SlotPair, Which};
use updraft_image::{
    Digest, HashKind, HashOnly, Header, SwapType, UpgradeMode, Version, magic_bytes,
};
use updraft_sim::flash::{DeviceSpec, SimFlash};
use updraft_smp::client::{Answer, AnswerError, Requests};
use updraft_smp::server::{ImageGroup, Incoming, Policy, Refused, Server, Slots};
use updraft_smp::{ImageError, Op, group, image as command};

use crate::common::{PRIMARY, SECONDARY, SLOT, V1, config, dfu, flash, image, in_mode, on_trial};

const V2: Version = Version::new(2, 0, 0, 0);

struct Device(ImageGroup<DfuSlots<SimFlash, HashOnly, Vec<Dfu>, Told>>);

/// What an application is told of uploads.
#[derive(Clone, Debug, Default)]
struct Told {
    events: Vec<&'static str>,
    /// Keeps how far an upload has come.
    every: u32,
    kept: Option<Vec<u8>>,
}

impl Hooks for Told {
    fn admit(&mut self, _: &Incoming) -> Result<(), Refused> {
        self.events.push("admit");
        Ok(())
    }

    fn started(&mut self, _: &Incoming) {
        self.events.push("started");
    }

    fn received(&mut self, _: &Incoming) {
        self.events.push("received");
    }

    fn stopped(&mut self, _: &Incoming) {
        self.events.push("stopped");
    }

    fn progress_every(&self) -> u32 {
        self.every
    }

    fn keep_progress(&mut self, record: &[u8]) {
        self.kept = Some(record.to_vec());
    }

    fn kept_progress(&mut self, record: &mut [u8]) -> Option<usize> {
        let kept = self.kept.as_ref()?;
        record.iter_mut().zip(kept).for_each(|(to, from)| *to = *from);
        Some(kept.len())
    }

    fn forget_progress(&mut self) {
        self.kept = None;
    }
}

/// What went wrong, `None` if nothing did.
type Outcome = Option<ImageError>;

impl Device {
    fn new(flash: SimFlash, images: Vec<Dfu>, policy: Policy) -> Self {
        let table = SlotTable::new(images);
        let slots = DfuSlots::with_hooks(flash, HashOnly, table, Told::default());
        Self(ImageGroup::with_policy(slots, policy))
    }

    fn one(flash: SimFlash) -> Self {
        let dfu = dfu(&flash);
        Self::new(flash, vec![dfu], Policy::default())
    }

    fn answer(&mut self, request: &[u8]) -> Vec<u8> {
        let mut answer = Vec::new();
        Server::default().handle(request, &mut (&mut self.0,), &mut [0; 2048], |bytes| {
            answer.extend_from_slice(bytes);
        });
        answer
    }

    fn outcome(&mut self, request: &[u8]) -> Outcome {
        let answer = self.answer(request);
        match Answer::parse(&answer).expect("an answer").check() {
            Ok(()) => None,
            Err(AnswerError::Refused(refusal)) => Some(refusal.image_error().expect("a code")),
            Err(error) => panic!("{error}"),
        }
    }

    fn test(&mut self, file: &[u8]) -> Outcome {
        let request = Requests::default().test(&mut [0; 256], &hash(file)).unwrap().to_vec();
        self.outcome(&request)
    }

    fn confirm(&mut self, file: Option<&[u8]>) -> Outcome {
        let hash = file.map(hash);
        let hash = hash.as_ref().map(|hash| &hash[..]);
        let request = Requests::default().confirm(&mut [0; 256], hash).unwrap().to_vec();
        self.outcome(&request)
    }

    fn erase(&mut self, slot: Option<u8>) -> Outcome {
        let request = Requests::default().erase(&mut [0; 64], slot).unwrap().to_vec();
        self.outcome(&request)
    }

    /// The first packet of an upload.
    fn begin(&mut self, image: u8, file: &[u8]) -> Outcome {
        let data = &file[..file.len().min(512)];
        self.send(&[("image", image.into()), ("off", 0), ("len", file.len())], data, &[])
    }

    /// A packet of an upload: numbers, data, and fields in CBOR.
    fn send(&mut self, numbers: &[(&str, usize)], data: &[u8], more: &[&[u8]]) -> Outcome {
        let request = self.packet(numbers, data, more);
        self.outcome(&request)
    }

    fn packet(&self, numbers: &[(&str, usize)], data: &[u8], more: &[&[u8]]) -> Vec<u8> {
        let mut payload = vec![0xa0 | (numbers.len() + 1 + more.len()) as u8];
        let mut field = |key: &str, major: u8, number: usize| {
            payload.push(0x60 | key.len() as u8);
            payload.extend_from_slice(key.as_bytes());
            payload.push(major << 5 | 26);
            payload.extend_from_slice(&(number as u32).to_be_bytes());
        };
        numbers.iter().for_each(|(key, number)| field(key, 0, *number));
        field("data", 2, data.len());
        payload.extend_from_slice(data);
        more.iter().for_each(|field| payload.extend_from_slice(field));
        let mut buffer = [0; 4096];
        let request = Requests::default().raw(
            &mut buffer,
            Op::Write,
            (group::IMAGE, command::UPLOAD),
            &payload,
        );
        request.unwrap().to_vec()
    }

    /// `slot: version`, with A active, C confirmed, P pending, M permanent.
    fn list(&mut self) -> Vec<String> {
        let request = Requests::default().image_list(&mut [0; 64]).unwrap().to_vec();
        let answer = self.answer(&request);
        let mut lines = Vec::new();
        let listed = Answer::parse(&answer).expect("an answer").images(|entry| {
            let flags = [
                (entry.active, 'A'),
                (entry.confirmed, 'C'),
                (entry.pending, 'P'),
                (entry.permanent, 'M'),
            ];
            let flags: String =
                flags.iter().filter_map(|(set, letter)| set.then_some(*letter)).collect();
            lines.push(format!("{}: {} {flags}", entry.slot, entry.version));
        });
        listed.expect("a list");
        lines
    }

    fn flash(&mut self) -> &mut SimFlash {
        self.0.slots().map()
    }

    /// The same after a reset: what is in flash, and what the hooks have kept.
    fn reset(mut self) -> Self {
        let hooks = Told { events: Vec::new(), ..self.0.slots().hooks().clone() };
        let (flash, _) = self.0.into_slots().into_parts();
        let table = SlotTable::new(vec![dfu(&flash)]);
        Self(ImageGroup::new(DfuSlots::with_hooks(flash, HashOnly, table, hooks)))
    }

    /// What the first packet of an upload is answered with: where to go on.
    fn offer(&mut self, file: &[u8], more: &[&[u8]]) -> u32 {
        let first = [("off", 0), ("len", file.len())];
        let request = self.packet(&first, &file[..file.len().min(512)], more);
        let answer = self.answer(&request);
        Answer::parse(&answer).expect("an answer").upload().expect("it is taken").off
    }

    /// What the application was told since the last call.
    fn told(&mut self) -> Vec<&'static str> {
        std::mem::take(&mut self.0.slots().hooks().events)
    }

    fn swap_type(&mut self, image: u8) -> SwapType {
        self.0.slots().swap_type(image).expect("readable trailers")
    }

    /// What `change` comes to, and whether it wrote anything.
    fn changes(&mut self, change: impl FnOnce(&mut Self) -> Outcome) -> (Outcome, bool) {
        self.flash().reset_counts();
        let outcome = change(self);
        let counts = self.flash().counts();
        (outcome, counts.writes + counts.erases > 0)
    }
}

/// The hash in the image's TLVs: that of header and body.
fn hash(file: &[u8]) -> [u8; 32] {
    let header = Header::parse(file).expect("an image");
    let covered = usize::from(header.hdr_size) + header.img_size as usize;
    Digest::of(HashKind::Sha256, &file[..covered]).as_bytes().try_into().expect("32 bytes")
}

fn old() -> Vec<u8> {
    image(V1, 5000)
}

fn new() -> Vec<u8> {
    image(V2, 5000)
}

/// Runs the old image, with the new one uploaded.
fn uploaded() -> Device {
    let mut flash = flash(8, 0xff);
    flash.load(PRIMARY, 0, &old()).unwrap();
    flash.load(SECONDARY, 0, &new()).unwrap();
    Device::one(flash)
}

const UNTOUCHED: (Outcome, bool) = (None, false);

fn refused(error: ImageError) -> (Outcome, bool) {
    (Some(error), false)
}

#[test]
fn nothing_pending_the_update_may_be_tested_or_made_permanent() {
    for (permanent, swap, flags) in
        [(false, SwapType::Test, "P"), (true, SwapType::Permanent, "PM")]
    {
        let mut device = uploaded();
        assert_eq!(device.list(), ["0: 1.0.0 AC", "1: 2.0.0 "]);
        let asked = match permanent {
            true => device.confirm(Some(&new())),
            false => device.test(&new()),
        };
        assert_eq!(asked, None);
        assert_eq!(device.swap_type(0), swap);
        assert_eq!(device.list(), ["0: 1.0.0 AC".to_owned(), format!("1: 2.0.0 {flags}")]);
    }
}

#[test]
fn nothing_pending_the_running_image_may_be_confirmed_and_not_tested() {
    let mut device = uploaded();
    assert_eq!(device.changes(|device| device.confirm(None)), UNTOUCHED);
    assert_eq!(device.changes(|device| device.confirm(Some(&old()))), UNTOUCHED);
    let denied = refused(ImageError::ImageSettingTestToActiveDenied);
    assert_eq!(device.changes(|device| device.test(&old())), denied);
}

#[test]
fn an_image_that_is_in_no_slot_is_not_found() {
    let mut device = uploaded();
    let other = image(Version::new(3, 0, 0, 0), 100);
    let missing = refused(ImageError::HashNotFound);
    assert_eq!(device.changes(|device| device.test(&other)), missing);
    assert_eq!(device.changes(|device| device.confirm(Some(&other))), missing);
}

#[test]
fn with_a_test_pending_only_that_may_be_asked_for_again() {
    let mut device = uploaded();
    assert_eq!(device.test(&new()), None);
    assert_eq!(device.changes(|device| device.test(&new())), UNTOUCHED);
    let pending = refused(ImageError::ImageAlreadyPending);
    assert_eq!(device.changes(|device| device.confirm(Some(&new()))), pending);
    assert_eq!(device.changes(|device| device.confirm(Some(&old()))), pending);
    assert_eq!(device.swap_type(0), SwapType::Test);
}

#[test]
fn with_a_permanent_update_pending_only_that_may_be_confirmed_again() {
    let mut device = uploaded();
    assert_eq!(device.confirm(Some(&new())), None);
    assert_eq!(device.changes(|device| device.confirm(Some(&new()))), UNTOUCHED);
    let pending = refused(ImageError::ImageAlreadyPending);
    assert_eq!(device.changes(|device| device.test(&new())), pending);
    assert_eq!(device.changes(|device| device.confirm(None)), pending);
}

#[test]
fn on_trial_the_running_image_may_be_confirmed_and_nothing_tested() {
    let mut device = Device::one(on_trial());
    assert_eq!(device.list(), ["0: 2.0.0 A", "1: 1.0.0 C"]);
    let pending = refused(ImageError::ImageAlreadyPending);
    assert_eq!(device.changes(|device| device.test(&old())), pending);
    assert_eq!(device.changes(|device| device.confirm(Some(&old()))), UNTOUCHED);
    assert_eq!(device.swap_type(0), SwapType::Revert);
    assert_eq!(device.changes(|device| device.confirm(None)), (None, true));
    assert_eq!(device.swap_type(0), SwapType::None);
    assert_eq!(device.list(), ["0: 2.0.0 AC", "1: 1.0.0 "]);
}

#[test]
fn on_trial_the_image_to_go_back_to_is_neither_erased_nor_replaced() {
    let mut device = Device::one(on_trial());
    let taken = refused(ImageError::NoFreeSlot);
    assert_eq!(device.changes(|device| device.begin(0, &new())), taken);
    assert_eq!(device.changes(|device| device.erase(None)), taken);
    assert_eq!(device.changes(|device| device.erase(Some(1))), taken);
}

#[test]
fn a_pending_update_may_be_replaced_and_erased_unless_the_policy_forbids_it() {
    for (erase_pending, expected) in
        [(true, (None, true)), (false, refused(ImageError::NoFreeSlot))]
    {
        let policy = Policy { erase_pending, ..Policy::default() };
        for erase in [false, true] {
            let mut flash = uploaded().flash().clone();
            let dfu = dfu(&flash);
            let test = updraft_dfu::Upgrade::Test;
            dfu.request_upgrade(&mut flash, &mut HashOnly, test).unwrap();
            let mut device = Device::new(flash, vec![dfu], policy);
            let found = device.changes(|device| match erase {
                true => device.erase(None),
                false => device.begin(0, &new()),
            });
            assert_eq!(found, expected, "erase {erase}");
            let swap = if erase_pending { SwapType::None } else { SwapType::Test };
            assert_eq!(device.swap_type(0), swap);
        }
    }
}

#[test]
fn the_running_slot_is_not_erased_whatever_its_header_reads_like() {
    let mut device = uploaded();
    let taken = refused(ImageError::NoFreeSlot);
    assert_eq!(device.changes(|device| device.erase(Some(0))), taken);
    device.flash().load(PRIMARY, 0, &[0; 32]).unwrap();
    assert_eq!(device.changes(|device| device.erase(Some(0))), taken);
}

#[test]
fn an_upload_that_is_too_large_is_refused_at_its_first_packet() {
    let mut device = uploaded();
    let large = image(V2, 14 * 4096);
    let refused = refused(ImageError::InvalidImageTooLarge);
    assert_eq!(device.changes(|device| device.begin(0, &large)), refused);
    assert_eq!(device.begin(0, &new()), None);
}

#[test]
fn the_slot_information_tells_the_largest_image() {
    let mut device = uploaded();
    let request = Requests::default().slot_info(&mut [0; 64]).unwrap().to_vec();
    let answer = device.answer(&request);
    let mut slots = Vec::new();
    let limit = Answer::parse(&answer).expect("an answer").slots(|slot| {
        slots.push((slot.slot, slot.size, slot.upload_image_id));
    });
    assert_eq!(limit, Ok(Some(14 * 4096)));
    assert_eq!(slots, [(0, Some(SLOT), None), (1, Some(SLOT), Some(0))]);
}

/// `sha: 32 bytes` of the whole file, and `upgrade: true`.
fn sha(file: &[u8]) -> Vec<u8> {
    [b"\x63sha\x58\x20", Digest::of(HashKind::Sha256, file).as_bytes()].concat()
}

const UPGRADE: &[u8] = b"\x67upgrade\xf5";

#[test]
fn the_application_is_asked_last() {
    let mut device = uploaded();
    let older = image(Version::new(0, 9, 0, 0), 1000);
    let first = [("off", 0), ("len", older.len())];
    let downgrade = Some(ImageError::CurrentVersionIsNewer);
    assert_eq!(device.send(&first, &older[..400], &[UPGRADE]), downgrade);
    let overrun = Some(ImageError::InvalidImageDataOverrun);
    assert_eq!(device.send(&first, &[&older[..], b"more"].concat(), &[]), overrun);
    assert!(device.told().is_empty());
    assert_eq!(device.send(&first, &older[..400], &[]), None);
    assert_eq!(device.told(), ["admit", "started"]);
}

#[test]
fn an_upload_that_ends_too_early_or_too_late_is_told_to_the_application() {
    let mut device = uploaded();
    assert_eq!(device.begin(0, &image(V2, 2000)), None);
    let overrun = device.send(&[("off", 512)], &[0; 2000], &[]);
    assert_eq!(overrun, Some(ImageError::InvalidImageDataOverrun));
    assert_eq!(device.told(), ["admit", "started", "stopped"]);

    // Begun, and then offered by a client that knows the hash of what is there already.
    let there = image(V2, 400);
    let first = [("off", 0), ("len", there.len())];
    assert_eq!(device.send(&first, &there, &[]), None);
    assert_eq!(device.told(), ["admit", "started", "received"]);
    assert_eq!(device.send(&[("off", 0), ("len", there.len())], &there[..300], &[]), None);
    assert_eq!(device.told(), ["admit", "started"]);
    let (flash, start) = (device.flash(), 0);
    flash.load(SECONDARY, start, &there).unwrap();
    assert_eq!(device.send(&first, &there[..300], &[&sha(&there)]), None);
    assert_eq!(device.told(), ["admit", "stopped"]);
}

/// A device that keeps how far uploads have come every 1024 bytes, with 5000 of `file` in its slot.
fn half_way(file: &[u8]) -> Device {
    let mut device = uploaded();
    device.0.slots().hooks().every = 1024;
    assert_eq!(device.offer(file, &[&sha(file)]), 512);
    for at in (512..5000).step_by(500) {
        let end = (at + 500).min(5000);
        assert_eq!(device.send(&[("off", at)], &file[at..end], &[]), None);
    }
    device
}

#[test]
fn an_upload_that_a_reset_broke_off_goes_on_where_it_had_come_to() {
    let file = image(V2, 9000);
    let mut device = half_way(&file).reset();
    let off = device.offer(&file, &[&sha(&file)]) as usize;
    assert!((4000..5000).contains(&off), "{off}");
    assert_eq!(device.told(), ["admit", "started"]);
    for at in (off..file.len()).step_by(500) {
        let end = (at + 500).min(file.len());
        assert_eq!(device.send(&[("off", at)], &file[at..end], &[]), None);
    }
    assert_eq!(device.told(), ["received"]);
    assert_eq!(device.flash().bytes(SECONDARY)[..file.len()], file);
    assert_eq!(device.0.slots().hooks().kept, None, "nothing is left to go on with");
    assert_eq!(device.test(&file), None);
}

#[test]
fn an_upload_is_not_gone_on_with_if_anything_is_another_than_it_was() {
    let (file, other) = (image(V2, 9000), image(V2, 9004));
    assert_eq!(half_way(&file).reset().offer(&other, &[&sha(&other)]), 512, "another file");
    assert_eq!(half_way(&file).reset().offer(&file, &[]), 512, "no hash");
    let mut device = half_way(&file).reset();
    device.flash().load(SECONDARY, 700, &[0x00]).unwrap();
    assert_eq!(device.offer(&file, &[&sha(&file)]), 512, "other bytes in flash");
    let mut device = half_way(&file);
    assert_eq!(device.erase(None), None);
    assert_eq!(device.reset().offer(&file, &[&sha(&file)]), 512, "an erased slot");
    let mut device = half_way(&file).reset();
    device.0.slots().hooks().kept.as_mut().unwrap()[20] ^= 1;
    assert_eq!(device.offer(&file, &[&sha(&file)]), 512, "a damaged record");
    let mut device = half_way(&file);
    let overrun = device.send(&[("off", 5000)], &[0; 3000], &[]);
    assert_eq!(overrun, None);
    assert!(device.send(&[("off", 8000)], &[0; 3000], &[]).is_some());
    assert_eq!(device.reset().offer(&file, &[&sha(&file)]), 512, "an upload that failed");
}

/// Both slots of a RAM-load device whose bootloader gives up what is not confirmed.
fn ram_load(active: Which) -> Device {
    let mut flash = flash(8, 0xff);
    flash.load(PRIMARY, 0, &old()).unwrap();
    flash.load(SECONDARY, 0, &new()).unwrap();
    let dfu = in_mode(&flash, UpgradeMode::RamLoad).with_trials().running_from(active);
    Device::new(flash, vec![dfu], Policy::default())
}

#[test]
fn a_ram_load_device_with_trials_is_tested_and_confirmed() {
    let mut device = ram_load(Which::Primary);
    assert_eq!(device.list(), ["0: 1.0.0 AC", "1: 2.0.0 "], "nothing was asked for");
    assert_eq!(device.changes(|device| device.test(&new())), (None, true));
    assert_eq!(device.list(), ["0: 1.0.0 AC", "1: 2.0.0 P"]);
    assert_eq!(device.swap_type(0), SwapType::Test);

    // The bootloader notes that it has started it.
    let mut device = ram_load(Which::Secondary);
    device.flash().load(SECONDARY, SLOT - 16, &magic_bytes(8)).unwrap();
    device.flash().load(SECONDARY, SLOT - 32, &[1]).unwrap();
    assert_eq!(device.list(), ["0: 1.0.0 C", "1: 2.0.0 A"]);
    assert_eq!(device.changes(|device| device.confirm(None)), (None, true));
    assert_eq!(device.list(), ["0: 1.0.0 ", "1: 2.0.0 AC"]);
}

#[test]
fn a_ram_load_device_without_trials_takes_no_requests() {
    let mut flash = flash(8, 0xff);
    flash.load(PRIMARY, 0, &old()).unwrap();
    flash.load(SECONDARY, 0, &new()).unwrap();
    let dfu = in_mode(&flash, UpgradeMode::RamLoad);
    let mut device = Device::new(flash, vec![dfu], Policy::default());
    assert_eq!(device.list(), ["0: 1.0.0 AC", "1: 2.0.0 PM"]);
    let request = Requests::default().test(&mut [0; 256], &hash(&new())).unwrap().to_vec();
    let answer = device.answer(&request);
    let refused = Answer::parse(&answer).expect("an answer").check().unwrap_err();
    assert!(matches!(refused, AnswerError::Refused(refusal) if refusal.is_unsupported()));
}

/// Two images: the application is the first, and its neighbour has an update too.
fn two_images() -> Device {
    let areas = [PRIMARY, SECONDARY, AreaId(3), AreaId(4)];
    let entry = |(n, id)| AreaEntry { id, device: 0, offset: n * SLOT, size: SLOT };
    let table = (0..).zip(areas).map(entry).collect();
    let mut flash = SimFlash::new(vec![DeviceSpec::nor(64, 4096, 8)], table);
    let mut images = Vec::new();
    for (image, pair) in (0..).zip(areas.chunks(2)) {
        let slots = SlotPair { image, primary: pair[0], secondary: pair[1] };
        images.push(Dfu::new(&flash, Config { slots, ..config() }).unwrap());
    }
    for (area, major) in areas.into_iter().zip([1, 2, 3, 4]) {
        flash.load(area, 0, &image(Version::new(major, 0, 0, 0), 1000)).unwrap();
    }
    Device::new(flash, images, Policy::default())
}

#[test]
fn of_another_image_the_update_may_be_confirmed_and_not_what_runs() {
    let mut device = two_images();
    let [running, update] = [3, 4].map(|major| image(Version::new(major, 0, 0, 0), 1000));
    let denied = refused(ImageError::ImageConfirmationDenied);
    assert_eq!(device.changes(|device| device.confirm(Some(&running))), denied);
    assert_eq!(device.changes(|device| device.confirm(Some(&update))), (None, true));
    assert_eq!(device.swap_type(1), SwapType::Permanent);
    assert_eq!(device.swap_type(0), SwapType::None);
}

#[test]
fn each_image_has_its_own_uploads() {
    let mut device = two_images();
    let file = image(Version::new(9, 0, 0, 0), 2000);
    assert_eq!(device.begin(1, &file), None);
    assert_eq!(device.flash().bytes(AreaId(4))[..512], file[..512]);
    assert_ne!(device.flash().bytes(SECONDARY)[..512], file[..512]);
    assert_eq!(device.begin(2, &file), Some(ImageError::NoFreeSlot));
}
