//! A controller at the end of a serial line.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::time::Duration;

use updraft_pty::Pty;

use super::Air;

/// A dongle is a serial port behind which the controller is.
#[test]
fn a_controller_on_a_serial_port_is_one_too() {
    let Some(air) = Air::new("ble-uart") else { return };
    let (_device, _) = air.running(&[]);
    let port = Arc::new(Pty::open().unwrap());
    let mut radio = TcpStream::connect(("127.0.0.1", air.ports[1].parse().unwrap())).unwrap();
    let (near, mut far) = (Arc::clone(&port), radio.try_clone().unwrap());
    std::thread::spawn(move || {
        let mut buffer = [0; 1024];
        while let Ok(len @ 1..) = far.read(&mut buffer) {
            near.send(&buffer[..len]);
        }
    });
    let near = Arc::clone(&port);
    std::thread::spawn(move || {
        let mut buffer = [0; 1024];
        while near.wait(Duration::from_secs(60)).unwrap_or(false) {
            let bytes = near.receive(&mut buffer).unwrap_or_default();
            if bytes.is_empty() || radio.write_all(bytes).is_err() {
                break;
            }
        }
    });
    let controller = format!("hci-uart:{}", port.path().display());
    for line in ["os echo hello", "image list"] {
        let line = format!("smp --ble updraft --controller {controller} {line}");
        let said = air.bench.updraft(&line).ok();
        assert!(said.contains("hello") || said.contains("1.0.0"), "{said}");
    }
}
