//! The boot of a 512 KiB image, phase by phase: header, hash, signature, and a whole swap.

use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use updraft_board::{Board, Role};
use updraft_boot::{Hooks, NoHooks};
use updraft_dfu::{SlotWriter, Upgrade};
use updraft_flash::SlotSource;
use updraft_image::{
    Digest, HashKind, Header, Scheme, Source, TlvArea, TlvType, Verifier, Version, validate,
};
use updraft_sign::{Key, SignOptions, sign};
use updraft_sim::Loader;
use updraft_sim::device::{Keys, dfu, flash_in_memory, program};
use updraft_sim::flash::SimFlash;

const BODY: usize = 512 << 10;

/// A board of 4 KiB sectors that swaps by moving.
fn board(signature: &str) -> Board {
    let file = format!(
        "name = \"bench\"\ndescription = \"4 KiB sectors\"\n[[core]]\nname = \"app\"\n\
         arch = \"cortex-m4\"\ntarget = \"thumbv7em-none-eabi\"\nmhz = 64\n[[flash]]\n\
         name = \"flash\"\nbase = 0\nwrite_size = 8\nsectors = [{{ size = 4096, count = 320 }}]\n\
         [[area]]\nname = \"primary\"\nrole = \"primary\"\nflash = \"flash\"\noffset = 0\n\
         size = \"640K\"\n[[area]]\nname = \"secondary\"\nrole = \"secondary\"\n\
         flash = \"flash\"\noffset = \"640K\"\nsize = \"640K\"\n[boot]\nmode = \"swap-move\"\n\
         max_sectors = 256\nsignature = \"{signature}\"\n"
    );
    Board::parse(&file, "bench").expect("the board file is accepted")
}

fn image(board: &Board, major: u8, key: &Key) -> Vec<u8> {
    let body: Vec<u8> = (0..BODY).map(|at| (at * (31 + usize::from(major))) as u8).collect();
    let slot = board.slot(0, Role::Secondary).expect("the board has slots");
    let version = Version::new(major, 0, 0, 0);
    let options = SignOptions { pad_header: true, ..SignOptions::new(version, 0x200, slot.size) };
    sign(&body, &options, Some(key)).expect("the image can be signed")
}

/// A device that runs version 1 and was asked for version 2.
fn pending(board: &Board, key: &Key, keys: &mut Keys) -> SimFlash {
    let mut flash = flash_in_memory(board);
    let primary = board.slot(0, Role::Primary).expect("the board has slots").id;
    program(&mut flash, primary, &image(board, 1, key)).expect("the image fits");
    let dfu = dfu(board, &flash).expect("the board can be updated");
    let mut writer = SlotWriter::<512>::new(&mut flash, dfu.secondary_trailer(), 0)
        .expect("the secondary slot can be written");
    writer.write(&mut flash, &image(board, 2, key)).expect("the image fits");
    writer.finish(&mut flash).expect("the image fits");
    dfu.request_upgrade(&mut flash, keys, Upgrade::Permanent).expect("the image is valid");
    flash
}

fn phases(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("boot of 512 KiB");
    group.sample_size(10);
    for scheme in [Scheme::EcdsaP256, Scheme::Ed25519] {
        let name = scheme.name();
        let key = Key::generate(scheme).expect("there is randomness");
        let board = board(name);
        let mut keys = Keys::trusting(vec![key.public().as_der().to_vec()]).expect("a public key");
        let start = pending(&board, &key, &mut keys);
        let loader = Loader::new(&board).expect("the board can be played");
        let primary = board.slot(0, Role::Primary).expect("the board has slots").id;
        let rules = board.rules(0);

        let mut flash = start.clone();
        let header = read_header(&mut SlotSource::new(&mut flash, primary));
        if scheme == Scheme::EcdsaP256 {
            group.bench_function("header", |bencher| {
                bencher.iter(|| read_header(&mut SlotSource::new(&mut flash, primary)));
            });
            group.throughput(Throughput::Bytes(BODY as u64));
            group.bench_function("hash", |bencher| {
                let unsigned = &mut Keys::unsigned();
                bencher.iter(|| {
                    let mut slot = SlotSource::new(&mut flash, primary);
                    validate(&mut slot, &header, &rules, unsigned).expect("the image is whole")
                });
            });
        }
        let signed = image(&board, 1, &key);
        let hash = payload(&signed, HashKind::Sha256.tlv());
        let digest = Digest::from_slice(HashKind::Sha256, &hash).expect("a hash");
        let signature = payload(&signed, scheme.tlv());
        group.bench_function(format!("signature, {name}"), |bencher| {
            bencher.iter(|| assert!(keys.verify(0, &digest, &signature).is_yes()));
        });
        let boot = |mut flash: SimFlash, keys: &mut Keys| {
            let hooks: fn(u8, _) = |image, event| NoHooks.event(image, event);
            loader.boot(&mut flash, keys, hooks).expect("the device boots");
            flash
        };
        group.bench_function(format!("swap and start, {name}"), |bencher| {
            let start = || start.clone();
            bencher.iter_batched(start, |flash| boot(flash, &mut keys), BatchSize::LargeInput);
        });
        let swapped = boot(start.clone(), &mut keys);
        group.bench_function(format!("start, {name}"), |bencher| {
            let start = || swapped.clone();
            bencher.iter_batched(start, |flash| boot(flash, &mut keys), BatchSize::LargeInput);
        });
    }
    group.finish();
}

fn read_header<S: Source>(slot: &mut S) -> Header {
    let mut bytes = [0; Header::SIZE];
    assert!(slot.read(0, &mut bytes).is_ok(), "the slot can be read");
    Header::parse(&bytes).expect("there is an image")
}

/// The payload of the image's first TLV of a type.
fn payload(mut image: &[u8], kind: TlvType) -> Vec<u8> {
    let header = read_header(&mut image);
    let tlvs = TlvArea::open(&mut image, &header).expect("there are TLVs");
    let entry = tlvs.iter().find(&mut image, kind).expect("they are whole");
    let mut buf = [0; 256];
    let payload = entry.and_then(|entry| entry.payload(&mut image, &mut buf).expect("in memory"));
    payload.expect("there is one").to_vec()
}

criterion_group!(benches, phases);
criterion_main!(benches);
