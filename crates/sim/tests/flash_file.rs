//! Flash that outlives the process.

use std::fs;
use std::io::ErrorKind;
use std::path::PathBuf;

use updraft_flash::{AreaEntry, AreaId, FlashMap};
use updraft_sim::flash::{DeviceSpec, SimFlash, Torn};

const FIRST: AreaId = AreaId(1);
const SECOND: AreaId = AreaId(2);

/// A file of its own for every test, gone at the end.
struct Scratch(PathBuf);

impl Scratch {
    fn new(name: &str) -> Self {
        let name = format!("updraft-flash-{}-{name}", std::process::id());
        Self(std::env::temp_dir().join(name))
    }

    fn open(&self) -> std::io::Result<SimFlash> {
        SimFlash::open(&self.0, specs(), table())
    }
}

fn specs() -> Vec<DeviceSpec> {
    let external = DeviceSpec { erased: 0x00, ..DeviceSpec::nor(2, 128, 1) };
    vec![DeviceSpec::nor(4, 64, 8), external]
}

fn table() -> Vec<AreaEntry> {
    vec![
        AreaEntry { id: FIRST, device: 0, offset: 64, size: 128 },
        AreaEntry { id: SECOND, device: 1, offset: 0, size: 256 },
    ]
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
    }
}

#[test]
fn a_new_file_is_erased_flash_of_every_device() {
    let file = Scratch::new("new");
    file.open().unwrap();
    assert_eq!(fs::read(&file.0).unwrap(), [[0xff; 256], [0x00; 256]].concat());
}

#[test]
fn every_operation_is_in_the_file_when_it_returns() {
    let file = Scratch::new("through");
    let mut flash = file.open().unwrap();
    flash.write(FIRST, 8, &[0x11; 8]).unwrap();
    assert_eq!(fs::read(&file.0).unwrap()[72..80], [0x11; 8]);
    flash.write(SECOND, 130, &[0x22; 3]).unwrap();
    assert_eq!(fs::read(&file.0).unwrap()[256 + 130..][..3], [0x22; 3]);
    flash.erase(SECOND, 128, 128).unwrap();
    assert_eq!(fs::read(&file.0).unwrap()[256 + 130..][..3], [0x00; 3]);
    flash.supply().cut_at(0, Torn::Half);
    assert!(flash.write(FIRST, 16, &[0x33; 16]).is_err());
    drop(flash);

    let flash = file.open().unwrap();
    let expected = [[0xff; 8], [0x11; 8], [0x33; 8], [0xff; 8]].concat();
    assert_eq!(flash.bytes(FIRST)[..32], expected);
}

#[test]
fn a_file_of_another_length_is_refused_and_left_alone() {
    let file = Scratch::new("length");
    fs::write(&file.0, [7; 100]).unwrap();
    assert_eq!(file.open().unwrap_err().kind(), ErrorKind::InvalidData);
    assert_eq!(fs::read(&file.0).unwrap(), [7; 100]);
}

#[test]
fn the_flash_of_a_running_device_can_be_looked_at_but_not_taken() {
    let file = Scratch::new("lock");
    let mut flash = file.open().unwrap();
    flash.write(FIRST, 0, &[1; 8]).unwrap();
    assert_eq!(file.open().unwrap_err().kind(), ErrorKind::ResourceBusy);
    let mut copy = SimFlash::copy_of(&file.0, specs(), table()).unwrap();
    copy.write(FIRST, 8, &[2; 8]).unwrap();
    assert_eq!(copy.bytes(FIRST)[..16], [[1; 8], [2; 8]].concat());
    assert_eq!(flash.bytes(FIRST)[8..16], [0xff; 8]);
    drop(flash);
    assert_eq!(file.open().unwrap().bytes(FIRST)[8..16], [0xff; 8]);
}

#[test]
fn a_snapshot_goes_its_own_way() {
    let file = Scratch::new("snapshot");
    let mut flash = file.open().unwrap();
    flash.write(FIRST, 0, &[1; 8]).unwrap();
    let mut snapshot = flash.clone();
    snapshot.write(FIRST, 8, &[2; 8]).unwrap();
    snapshot.supply().power_off();
    assert_eq!(flash.bytes(FIRST)[8..16], [0xff; 8]);
    assert_eq!(fs::read(&file.0).unwrap()[72..80], [0xff; 8]);
    flash.write(FIRST, 16, &[3; 8]).unwrap();
    assert_eq!(flash.supply().operations(), 2);
}

#[test]
fn a_cut_takes_all_devices_with_it_and_operations_count_across_them() {
    let file = Scratch::new("across");
    let mut flash = file.open().unwrap();
    flash.supply().cut_at(2, Torn::Skip);
    flash.write(FIRST, 0, &[1; 8]).unwrap();
    flash.write(SECOND, 0, &[1; 8]).unwrap();
    assert!(flash.write(FIRST, 8, &[1; 8]).is_err());
    assert!(flash.read(SECOND, 0, &mut [0]).is_err());
    flash.supply().power_on();
    flash.read(SECOND, 0, &mut [0]).unwrap();
}
