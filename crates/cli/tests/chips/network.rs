//! The emulated board on a network: TCP, TLS 1.3 against OpenSSL, SMP over UDP.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::process::{Child, Stdio};

use crate::bench::{Bench, Chip, MPS2_NETWORKED, Powered, SF2_NETWORKED, free_port};

/// A chip that sends back whatever the server at `port` says.
fn echoing<'b>(bench: &'b Bench, port: u16, tls: Option<&str>) -> Powered<'b> {
    let tls = tls.map(|name| format!("tls = {name}\n")).unwrap_or_default();
    let app = format!("self-test-ms = 50\ndoes = echo\nserver = 10.0.2.2:{port}\n{tls}");
    bench.provision(&bench.image("1.0.0", &app));
    bench.start()
}

/// Bytes that no two places have in common.
fn many(len: u32) -> Vec<u8> {
    (0..len).flat_map(|number| number.to_le_bytes()).take(len as usize).collect()
}

/// Sends bytes to an echo and reads them back.
fn is_echoed(mut to: impl Write + Send, mut from: impl Read, bytes: &[u8]) -> bool {
    std::thread::scope(|scope| {
        scope.spawn(move || to.write_all(bytes).and_then(|()| to.flush()));
        let mut back = vec![0; bytes.len()];
        from.read_exact(&mut back).unwrap();
        back == bytes
    })
}

fn tcp_is_echoed(chip: Chip) {
    let Some(bench) = Bench::new(chip, "tcp") else { return };
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let chip = echoing(&bench, listener.local_addr().unwrap().port(), None);
    let (socket, _) = listener.accept().unwrap();
    chip.wait("app: connected");
    assert!(is_echoed(&socket, &socket, &many(200_000)));
    drop(socket);
    chip.wait("app: closed");
    // And once more, on another connection.
    let (socket, _) = listener.accept().unwrap();
    assert!(is_echoed(&socket, &socket, b"hello"));
}

/// `openssl s_server`: what is typed goes to the client, what the client says is printed.
struct Server(Child);

impl Server {
    fn start(bench: &Bench, port: u16, certificate: &str, more: &[&str]) -> Self {
        let [certificate, key] = ["crt", "key"].map(|ending| format!("{certificate}.{ending}"));
        let at = format!("127.0.0.1:{port}");
        let base = ["s_server", "-quiet", "-tls1_3", "-accept", &at, "-cert", &certificate];
        let mut command = bench.tool("openssl", &[&base, &["-key", &key][..], more].concat());
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
        Self(command.spawn().expect("openssl: `cargo xtask setup` installs it"))
    }

    fn echoes(&mut self, bytes: &[u8]) -> bool {
        let (to, from) = (self.0.stdin.as_mut().unwrap(), self.0.stdout.as_mut().unwrap());
        is_echoed(to, from, bytes)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn tls_is_echoed(chip: Chip) {
    let Some(bench) = Bench::new(chip, "tls") else { return };
    bench.lab(None);
    let port = free_port();
    let mut server = Server::start(&bench, port, "mosquitto_server", &[]);
    let chip = echoing(&bench, port, Some("mosquitto_server"));
    chip.wait("app: no source of random numbers");
    chip.wait("app: connected");
    assert!(server.echoes(&many(100_000)));
    drop(server);
    chip.wait("app: closed");
}

#[test]
fn a_server_that_asks_who_is_there_gets_the_devices_certificate() {
    let Some(bench) = Bench::new(MPS2_NETWORKED, "mutual") else { return };
    bench.lab(Some("mosquitto_client"));
    let port = free_port();
    let ask = ["-Verify", "2", "-verify_return_error", "-CAfile", "mosquitto_ca.crt"];
    let mut server = Server::start(&bench, port, "mosquitto_server", &ask);
    let chip = echoing(&bench, port, Some("mosquitto_server"));
    chip.wait("app: connected");
    assert!(server.echoes(&many(20_000)));
    assert!(!chip.printed().contains("no source of random numbers"));
}

#[test]
fn a_server_that_is_not_what_it_should_be_is_refused() {
    let Some(bench) = Bench::new(MPS2_NETWORKED, "impostors") else { return };
    // One of another lab.
    bench.lab(None);
    for file in ["crt", "key"] {
        let [from, to] =
            ["mosquitto_server", "other"].map(|it| bench.path(&format!("{it}.{file}")));
        std::fs::rename(from, to).unwrap();
    }
    for file in ["mosquitto_ca", "mosquitto_client"] {
        for ending in ["crt", "key"] {
            std::fs::remove_file(bench.path(&format!("{file}.{ending}"))).unwrap();
        }
    }
    bench.lab(None);
    // One whose certificate a device of this lab has issued.
    let openssl = |args: &str| {
        let args: Vec<_> = args.split(' ').collect();
        assert!(bench.tool("openssl", &args).stderr(Stdio::null()).status().unwrap().success());
    };
    openssl(
        "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout device.key -out \
         device.crt -subj /CN=mosquitto_server -addext subjectAltName=DNS:mosquitto_server -CA \
         mosquitto_client.crt -CAkey mosquitto_client.key",
    );
    let chain = ["-cert_chain", "mosquitto_client.crt"];
    for (certificate, more, name, why) in [
        ("other", &[][..], "mosquitto_server", "or its signature is not genuine"),
        ("device", &chain[..], "mosquitto_server", "is not of the authority"),
        ("mosquitto_server", &[][..], "another.lan", "has another name"),
        ("mosquitto_client", &[][..], "mosquitto_client", "has another name"),
    ] {
        let port = free_port();
        let _server = Server::start(&bench, port, certificate, more);
        let chip = echoing(&bench, port, Some(name));
        chip.wait(&format!("app: no TLS with the server: its certificate {why}"));
        chip.wait("app: not connected");
        assert!(!chip.printed().contains("app: connected"), "{certificate}");
    }
}

#[test]
fn a_tls_server_of_another_version_or_none_at_all_is_refused() {
    let Some(bench) = Bench::new(MPS2_NETWORKED, "no-tls") else { return };
    bench.lab(None);
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let chip = echoing(&bench, port, Some("mosquitto_server"));
    for said in [&b"HTTP/1.1 400 Bad Request\r\n\r\n"[..], b"\x16\x03\x03\xff\xff\x02\0\0\0\0", b""]
    {
        let (mut socket, _) = listener.accept().unwrap();
        socket.write_all(said).unwrap();
        drop(socket);
        chip.wait("app: not connected");
    }
    assert!(chip.printed().matches("started").count() == 1, "no reset: {}", chip.printed());
}

fn smp_over_udp(chip: Chip) {
    let Some(bench) = Bench::new(chip, "udp") else { return };
    let open = "self-test-ms = 50\nask = button\nsmp = update\n";
    bench.provision(&bench.image("1.0.0", open));
    let chip = bench.start();
    chip.wait("app: self-test passed");
    let host = format!("127.0.0.1:{}", bench.smp_port);
    let udp = |args: &[&str]| bench.updraft(&[&["smp", "--udp", &host][..], args].concat());
    assert!(udp(&["os", "echo", "hello"]).ok().contains("hello"));
    assert!(chip.smp(&["image", "list"]).ok().contains("1.0.0"));
    let new = bench.image("2.0.0", "self-test-ms = 50\nask = button\n");
    let path = new.path.to_str().unwrap();
    udp(&["image", "upload", path]).ok();
    udp(&["image", "test", path]).ok();
    // Nobody is there for serial recovery: the application starts again.
    udp(&["os", "reset", "--boot-mode", "1"]).ok();
    chip.wait("boot: starting 2.0.0");
    chip.wait("app: self-test passed, image confirmed");
    // This image does not say that the network may update it.
    assert!(udp(&["image", "list"]).ok().contains("2.0.0"));
    for refused in
        [&["image", "upload", path, "--again"][..], &["os", "reset"], &["image", "erase"]]
    {
        let said = udp(refused).refused();
        assert!(said.contains("rc 11"), "{said}");
    }
}

macro_rules! on {
    ($chip:ident, $constant:expr) => {
        mod $chip {
            use super::*;

            #[test]
            fn what_a_server_says_comes_back_over_tcp() {
                tcp_is_echoed($constant);
            }

            #[test]
            fn what_openssl_says_comes_back_over_tls() {
                tls_is_echoed($constant);
            }

            #[test]
            fn smp_is_spoken_over_udp_as_well() {
                smp_over_udp($constant);
            }
        }
    };
}

on!(mps2_an386, MPS2_NETWORKED);
on!(emcraft_sf2, SF2_NETWORKED);
