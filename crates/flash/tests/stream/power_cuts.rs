//! A power cut in every operation of a stream that saves its progress, whatever it leaves behind.

use updraft_flash::{Kind, StreamTag};
use updraft_sim::flash::{DeviceSpec, SimFlash, Torn};

use crate::common::{AREA, BLOCK, SECTOR, Settings, data, stream, with};

const KEY: &str = "dfu/progress";
const TAG: StreamTag = [7; 32];
const LEN: usize = 2 * SECTOR as usize + 3 * BLOCK + 100;

/// Goes on where the progress says, and saves it every few blocks.
fn go_on(flash: &mut SimFlash, settings: &mut Settings) -> Result<(), ()> {
    let mut stream = stream(flash);
    stream.load_progress(flash, settings, KEY, &TAG).map_err(drop)?;
    let all = data(LEN);
    for piece in all[stream.written() as usize..].chunks(3 * BLOCK) {
        stream.write(flash, piece).map_err(drop)?;
        stream.save_progress(flash, settings, KEY, &TAG).map_err(drop)?;
    }
    stream.flush(flash).map_err(drop)
}

#[test]
fn a_cut_anywhere_is_gone_on_from() {
    let limited = Kind::NorLimited { word: 4, programs: 2 };
    let mut runs = 0;
    for kind in [Kind::Nor, limited, Kind::EccWords, Kind::SelfErasingRows] {
        let mut spec = DeviceSpec::nor(5, SECTOR, 8);
        spec.kind = kind;
        if kind.writes_replace() {
            (spec.write_size, spec.erased) = (512, 0);
            spec.sectors = DeviceSpec::nor(40, 512, 512).sectors;
        }
        let mut fresh = with(spec);
        let size = fresh.bytes(AREA).len();
        fresh.load(AREA, 0, &vec![0x33; size]).unwrap();
        let mut uncut = fresh.clone();
        let before = uncut.supply().operations();
        go_on(&mut uncut, &mut Settings::default()).unwrap();
        let operations = uncut.supply().operations() - before;
        for cut in 0..operations {
            for torn in Torn::classes(kind, cut) {
                // And a second cut while going on.
                for second in [None, Some(0), Some(1), Some(cut / 2 + 2)] {
                    let mut flash = fresh.clone();
                    let mut settings = Settings::default();
                    flash.supply().cut_at(cut, torn);
                    go_on(&mut flash, &mut settings).unwrap_err();
                    flash.supply().power_on();
                    if let Some(second) = second {
                        flash.supply().cut_at(second, torn);
                        let _ = go_on(&mut flash, &mut settings);
                        flash.supply().power_on();
                    }
                    go_on(&mut flash, &mut settings).unwrap();
                    let found = &flash.bytes(AREA)[..LEN];
                    assert!(found == data(LEN), "{kind:?}, cut {cut}, {torn:?}, then {second:?}");
                    runs += 1;
                }
            }
        }
    }
    println!("{runs} runs with one or two cuts, all of them complete");
}
