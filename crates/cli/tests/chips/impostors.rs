//! Servers that are not what they should be, before the emulated board on a network: what it says of
//! each, and that it goes on. What else a server can say is played against the same code on the host
//! (`crates/tls/tests`).

use std::io::{Result, Write};
use std::net::{TcpListener, TcpStream};

use updraft_board::Role;
use updraft_impostor::{ALERT, CONTENT, HANDSHAKE, Impostor, messages};

use crate::bench::{Bench, MPS2_NETWORKED, Powered};

type Server = Impostor<TcpStream>;

/// The server's certificate, DER, and a private key.
struct Papers {
    certificate: Vec<u8>,
    key: String,
}

impl Papers {
    /// Of a file of the lab, with the key of another.
    fn of(bench: &Bench, certificate: &str, key: &str) -> Self {
        let file = format!("{certificate}.crt");
        let mut command = bench.tool("openssl", &["x509", "-in", &file, "-outform", "DER"]);
        let output = command.output().expect("openssl: `cargo xtask setup` installs it");
        let key = std::fs::read_to_string(bench.path(&format!("{key}.key"))).unwrap();
        Self { certificate: output.stdout, key }
    }

    fn present(&self, server: &mut Server) -> Result<()> {
        server.present(&[&self.certificate], &self.key)
    }
}

/// A chip, and what calls itself its server.
struct Scene<'b> {
    chip: Powered<'b>,
    listener: TcpListener,
}

impl Scene<'_> {
    /// The chip calls; the server says hello and does this, and the chip says `why` it ends the call.
    fn play(&self, serve: impl FnOnce(&mut Server) -> Result<()>, why: &str) {
        let (stream, _) = self.listener.accept().unwrap();
        let mut server = Impostor::accept(stream).unwrap();
        // The chip may have gone before everything is said.
        let _ = serve(&mut server);
        self.chip.wait(&format!("app: {why}"));
    }
}

/// A server as it should be, up to content.
fn shake(server: &mut Server, papers: &Papers) -> Result<()> {
    papers.present(server)?;
    server.finish()?;
    server.read_finished().map(|_| ())
}

#[test]
fn servers_that_are_not_what_they_should_be_are_refused_by_name_and_the_device_goes_on() {
    let Some(bench) = Bench::new(MPS2_NETWORKED, "impostors-tls") else { return };
    bench.lab(Some("mosquitto_client"));
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let app = "self-test-ms = 50\ndoes = echo\ntls = mosquitto_server\n";
    bench.provision(&bench.image("1.0.0", &format!("{app}server = 10.0.2.2:{port}\n")));
    let scene = Scene { chip: bench.start(), listener };
    let genuine = Papers::of(&bench, "mosquitto_server", "mosquitto_server");
    let thief = Papers::of(&bench, "mosquitto_server", "mosquitto_client");
    let device = Papers::of(&bench, "mosquitto_client", "mosquitto_client");

    let refused = |why: &str| format!("no TLS with the server: {why}");
    let unproven = refused("it has not shown that it has the key of a certificate");
    let says_nothing = |it: &mut Server| it.say(&[messages::encrypted_extensions()]);
    scene.play(|it| says_nothing(it).and_then(|()| it.finish()), &unproven);
    scene.play(
        |it| {
            let own = messages::certificate(&[&genuine.certificate]);
            it.say(&[messages::encrypted_extensions(), own])?;
            it.finish()
        },
        &unproven,
    );
    let not_genuine = refused("its certificate or its signature is not genuine");
    scene.play(|it| thief.present(it).and_then(|()| it.finish()), &not_genuine);
    scene.play(|it| device.present(it), &refused("its certificate has another name"));
    let idle = refused("it says a lot, and nothing in it");
    let request = || messages::certificate_request(b"");
    scene.play(|it| (0..40).try_for_each(|_| it.say(&[request()])), &idle);

    let ended = |why: &str| format!("TLS with the server has ended: {why}");
    let unasked = ended("it asks for what this device does not do");
    for message in [messages::certificate_request(b"now"), messages::key_update()] {
        let asks = |it: &mut Server| {
            shake(it, &genuine)?;
            it.seal(&[&message[..], &[HANDSHAKE]].concat())
        };
        scene.play(asks, &unasked);
    }
    let floods = |it: &mut Server| {
        shake(it, &genuine)?;
        (0..100).try_for_each(|_| it.seal(&[CONTENT]))
    };
    scene.play(floods, &ended("it says a lot, and nothing in it"));
    let damages = |it: &mut Server| {
        shake(it, &genuine)?;
        it.open(CONTENT, &[0; 40])
    };
    scene.play(damages, &ended("a record is damaged, or somebody else's"));
    let opens = |it: &mut Server| {
        shake(it, &genuine)?;
        it.open(ALERT, &[1, 0])
    };
    scene.play(opens, &ended("a record stands where it must not"));
    let cuts_off = |it: &mut Server| {
        shake(it, &genuine)?;
        let record = it.sealed(b"hello\x17");
        it.stream().write_all(&record[..10])
    };
    scene.play(cuts_off, "closed");

    // And with the one that it was meant for, it speaks.
    let echoes = |it: &mut Server| {
        shake(it, &genuine)?;
        it.seal(&[&messages::ticket()[..], &[HANDSHAKE]].concat())?;
        it.content(b"hello")?;
        assert_eq!(it.read()?, b"hello\x17");
        it.seal(&[1, 0, ALERT])
    };
    scene.play(echoes, "closed");
    let printed = scene.chip.printed();
    assert_eq!(printed.matches("started").count(), 1, "no reset: {printed}");
    scene.chip.cut();
    assert!(bench.slot(Role::Secondary).iter().all(|byte| *byte == 0xff), "nothing is marked");
}
