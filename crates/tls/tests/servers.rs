//! What servers may say, and what they may not: handshakes with one that says anything.

mod support;

use support::{Lab, Meeting, Server};
use updraft_impostor::messages;
use updraft_impostor::{ALERT, CHANGE_CIPHER, CONTENT, HANDSHAKE};
use updraft_tls::Refused;
use updraft_x509::Unfit;

/// A server with all its papers, ready for content.
fn genuine(lab: &Lab, server: &mut Server) {
    server.present(&[&lab.server.certificate], &lab.server.key).unwrap();
    server.finish().unwrap();
    server.read_finished().unwrap();
}

/// What comes of a handshake with a server that does this.
fn handshake(lab: &Lab, server: impl FnOnce(&mut Server) + Send) -> Result<(), Refused> {
    Meeting::new(lab).with(server).map(|_| ())
}

/// Why the connection to a server ends that shakes hands as it should and does this then.
fn afterwards(lab: &Lab, server: impl FnOnce(&mut Server) + Send) -> Refused {
    let ended = Meeting::new(lab).with(|it| {
        genuine(lab, it);
        server(it);
    });
    ended.expect("the handshake holds")
}

#[test]
fn a_server_that_has_shown_that_it_has_the_key_is_spoken_to() {
    let lab = Lab::new();
    let heard = afterwards(&lab, |it| {
        // As OpenSSL does, and with what hides how long a record is.
        it.seal(&[&messages::ticket()[..], &messages::ticket(), &[HANDSHAKE, 0, 0]].concat())
            .unwrap();
        it.content(b"hello").unwrap();
        assert_eq!(it.read().unwrap(), b"hello\x17");
        it.seal(&[&b"again"[..], &[CONTENT], &[0; 300]].concat()).unwrap();
        assert_eq!(it.read().unwrap(), b"again\x17");
        it.seal(&[1, 0, ALERT]).unwrap();
    });
    assert_eq!(heard, Refused::Closed);
}

#[test]
fn a_server_that_has_proven_itself_is_shown_the_devices_certificate() {
    let lab = Lab::new();
    let mut shown = Vec::new();
    handshake(&lab, |it| {
        let own: [&[u8]; 1] = [&lab.server.certificate];
        it.say(&[messages::encrypted_extensions(), messages::certificate_request(b"who?")])
            .unwrap();
        it.say(&[messages::certificate(&own)]).unwrap();
        it.say(&[it.proof(&lab.server.key).unwrap()]).unwrap();
        it.finish().unwrap();
        shown = it.read_finished().unwrap();
    })
    .unwrap();
    assert!(shown.windows(lab.device.certificate.len()).any(|it| it == lab.device.certificate));
    assert!(shown.windows(4).any(|it| it == b"who?"));
}

#[test]
fn a_server_without_a_certificate_or_without_proof_of_its_key_is_refused() {
    let lab = Lab::new();
    let own = messages::certificate(&[&lab.server.certificate]);
    let hello = messages::encrypted_extensions;
    // Finished and all: the library takes these handshakes for whole.
    for said in [
        vec![hello()],
        vec![],
        vec![hello(), own.clone()],
        vec![hello(), messages::certificate(&[])],
        vec![hello(), messages::certificate_verify(&[0x30, 0])],
        vec![hello(), messages::certificate_request(b"")],
    ] {
        let mut shown = Vec::new();
        let refused = handshake(&lab, |it| {
            for message in &said {
                it.say(std::slice::from_ref(message)).unwrap();
            }
            let _ = it.finish().and_then(|()| it.read_finished().map(|all| shown = all));
        });
        assert_eq!(refused, Err(Refused::Unproven), "{} messages", said.len());
        // And it learns nothing of who has called.
        let certificate = &lab.device.certificate;
        assert!(!shown.windows(certificate.len()).any(|it| it == *certificate));
    }
    // The proof without what it is of, in the name of a certificate that was never shown.
    let refused = handshake(&lab, |it| {
        it.say(&[hello()]).unwrap();
        it.say(&[it.proof(&lab.server.key).unwrap()]).unwrap();
        let _ = it.finish();
    });
    assert_eq!(refused, Err(Refused::Unproven));
}

#[test]
fn a_genuine_certificate_in_the_hands_of_another_is_refused() {
    let lab = Lab::new();
    // Of another key: of this lab's device, or of nobody.
    for key in [&lab.device.key, &lab.stranger.key] {
        let refused = handshake(&lab, |it| {
            it.present(&[&lab.server.certificate], key).unwrap();
            let _ = it.finish();
        });
        assert_eq!(refused, Err(Refused::Signature));
    }
    // Of the right key, for what was said before the certificate, or in another handshake.
    let refused = handshake(&lab, |it| {
        it.say(&[messages::encrypted_extensions()]).unwrap();
        let early = it.proof(&lab.server.key).unwrap();
        it.say(&[messages::certificate(&[&lab.server.certificate])]).unwrap();
        it.say(&[early]).unwrap();
        let _ = it.finish();
    });
    assert_eq!(refused, Err(Refused::Signature));
}

#[test]
fn a_certificate_is_shown_once() {
    let lab = Lab::new();
    let own = messages::certificate(&[&lab.server.certificate]);
    for proven in [true, false] {
        let refused = handshake(&lab, |it| {
            it.say(&[messages::encrypted_extensions()]).unwrap();
            it.say(std::slice::from_ref(&own)).unwrap();
            if proven {
                it.say(&[it.proof(&lab.server.key).unwrap()]).unwrap();
            }
            it.say(std::slice::from_ref(&own)).unwrap();
            it.say(&[it.proof(&lab.server.key).unwrap()]).unwrap();
            let _ = it.finish();
        });
        assert_eq!(refused, Err(Refused::Unclear));
    }
}

#[test]
fn a_server_with_the_wrong_papers_is_refused() {
    let lab = Lab::new();
    for (papers, why) in [
        (&lab.stranger, Refused::Signature),
        (&lab.foreign, Refused::Unfit(Unfit::Issuer)),
        (&lab.elsewhere, Refused::Unfit(Unfit::Name)),
        (&lab.device, Refused::Unfit(Unfit::Name)),
        (&lab.impersonator, Refused::Unfit(Unfit::Purpose)),
        (&lab.expired, Refused::Unfit(Unfit::Expired)),
    ] {
        // Its own certificate, and its issuer's as a chain.
        let refused = handshake(&lab, |it| {
            let _ = it.present(&[&papers.certificate, &lab.authority], &papers.key);
            let _ = it.finish();
        });
        assert_eq!(refused, Err(why));
    }
    // Whoever has a certificate of the lab does not issue others.
    let refused = Meeting { authority: &lab.device.certificate, ..Meeting::new(&lab) }.with(|it| {
        let _ = it.present(&[&lab.issued_by_device.certificate], &lab.issued_by_device.key);
    });
    assert_eq!(refused.map(|_| ()), Err(Refused::Unfit(Unfit::Authority)));
    let refused = handshake(&lab, |it| {
        let _ = it.present(&[b"no certificate"], &lab.server.key);
    });
    assert_eq!(refused, Err(Refused::Certificate));
}

#[test]
fn a_server_whose_certificate_was_revoked_is_refused() {
    let lab = Lab::new();
    let serial = |certificate: &[u8]| {
        // Behind the version.
        let at = certificate.windows(5).position(|it| it == [0xa0, 3, 2, 1, 2]).unwrap() + 6;
        certificate[at..=at + usize::from(certificate[at])].to_vec()
    };
    let [own, other] = [&lab.server, &lab.elsewhere].map(|it| serial(&it.certificate));
    for (revoked, refused) in [
        (other.clone(), Ok(Refused::Closed)),
        ([other.clone(), own.clone()].concat(), Err(Refused::Unfit(Unfit::Revoked))),
        ([own, other.clone()].concat(), Err(Refused::Unfit(Unfit::Revoked))),
        (other[..4].to_vec(), Err(Refused::Unfit(Unfit::List))),
    ] {
        let meeting = Meeting { revoked: &revoked, ..Meeting::new(&lab) };
        let ended = meeting.with(|it| {
            let _ = it.present(&[&lab.server.certificate], &lab.server.key);
            let _ = it.finish().and_then(|()| it.read_finished().map(|_| ()));
            let _ = it.seal(&[1, 0, ALERT]);
        });
        assert_eq!(ended, refused, "{revoked:x?}");
    }
}

#[test]
fn what_is_asked_for_after_the_handshake_ends_the_connection() {
    let lab = Lab::new();
    let asked = [
        messages::certificate_request(b"now"),
        messages::key_update(),
        messages::encrypted_extensions(),
        messages::certificate(&[&lab.server.certificate]),
        messages::finished(&[0; 32]),
        [messages::ticket(), messages::certificate_request(b"behind a ticket")].concat(),
        messages::ticket()[..20].to_vec(),
        Vec::new(),
    ];
    for message in asked {
        let ended = afterwards(&lab, |it| {
            it.seal(&[&message[..], &[HANDSHAKE]].concat()).unwrap();
            it.content(b"not heard any more").unwrap();
        });
        assert_eq!(ended, Refused::Unasked, "{message:x?}");
    }
}

#[test]
fn no_message_of_any_number_does_more_after_the_handshake_than_end_the_connection() {
    let lab = Lab::new();
    for number in 0..=u8::MAX {
        let heard = afterwards(&lab, |it| {
            let message = messages::message(number, &[0; 40]);
            it.seal(&[&message[..], &[HANDSHAKE]].concat()).unwrap();
            it.content(b"hello").unwrap();
            let _ = it.read();
        });
        let passed = number == messages::TICKET;
        assert_eq!(heard, if passed { Refused::Gone } else { Refused::Unasked }, "{number}");
    }
}

#[test]
fn records_of_kinds_that_stand_where_they_must_not_are_refused() {
    let lab = Lab::new();
    for kind in [CHANGE_CIPHER, ALERT, HANDSHAKE, 24, 0] {
        let ended = afterwards(&lab, |it| it.open(kind, &[1]).unwrap());
        assert_eq!(ended, Refused::Record, "open, of kind {kind}");
        if kind == ALERT || kind == HANDSHAKE {
            continue;
        }
        let ended = afterwards(&lab, |it| it.seal(&[1, kind]).unwrap());
        assert_eq!(ended, Refused::Unasked, "sealed, of kind {kind}");
    }
    for (said, why) in [
        // Content before the handshake is done, and nothing but padding.
        (&[7, CONTENT][..], Refused::Unasked),
        (&[0; 20], Refused::Unasked),
        (&[], Refused::Unasked),
        (&[2, 40, ALERT], Refused::Alert),
    ] {
        let refused = handshake(&lab, |it| it.seal(said).unwrap());
        assert_eq!(refused, Err(why), "{said:?}");
    }
    let again = messages::server_hello(&[4; 65]);
    assert_eq!(handshake(&lab, |it| it.open(HANDSHAKE, &again).unwrap()), Err(Refused::Record));
    let open = messages::certificate(&[&lab.server.certificate]);
    assert_eq!(handshake(&lab, |it| it.open(HANDSHAKE, &open).unwrap()), Err(Refused::Record));
}

#[test]
fn records_that_are_damaged_or_cut_off_are_refused() {
    let lab = Lab::new();
    let ended = afterwards(&lab, |it| {
        let mut record = it.sealed(b"hello\x17");
        record[8] ^= 1;
        std::io::Write::write_all(it.stream(), &record).unwrap();
    });
    assert_eq!(ended, Refused::Damaged);
    // Its version is under the seal as well, whatever marks records inside.
    for version in [0, 4, 0x7f] {
        let ended = afterwards(&lab, |it| {
            let mut record = it.sealed(b"hello\x17");
            record[2] = version;
            std::io::Write::write_all(it.stream(), &record).unwrap();
        });
        assert_eq!(ended, Refused::Damaged, "{version:x}");
    }
    for len in [1, 4, 5, 6, 20] {
        let ended = afterwards(&lab, |it| {
            let record = it.sealed(b"hello\x17");
            std::io::Write::write_all(it.stream(), &record[..len]).unwrap();
        });
        assert_eq!(ended, Refused::Gone, "after {len} bytes");
    }
    for len in 0..=17 {
        let ended = afterwards(&lab, |it| it.open(CONTENT, &vec![0; len]).unwrap());
        assert_eq!(ended, Refused::Damaged, "of {len} bytes");
    }
    let ended = afterwards(&lab, |it| it.open(CONTENT, &vec![0; (1 << 14) + 257]).unwrap());
    assert_eq!(ended, Refused::Record);
}

#[test]
fn the_longest_record_is_read() {
    let lab = Lab::new();
    let heard = afterwards(&lab, |it| {
        it.content(&vec![5; 1 << 14]).unwrap();
        let mut back = Vec::new();
        while back.len() < 1 << 14 {
            let held = it.read().unwrap();
            back.extend_from_slice(&held[..held.len() - 1]);
        }
        assert_eq!(back, vec![5; 1 << 14]);
        it.seal(&[1, 0, ALERT]).unwrap();
    });
    assert_eq!(heard, Refused::Closed);
}

#[test]
fn records_without_content_and_without_end_are_refused() {
    let lab = Lab::new();
    let endless = |held: &[u8]| {
        let held = held.to_vec();
        afterwards(&lab, move |it| while it.seal(&held).is_ok() {})
    };
    assert_eq!(endless(&[CONTENT]), Refused::Idle);
    assert_eq!(endless(&[&messages::ticket()[..], &[HANDSHAKE]].concat()), Refused::Idle);
    let refused = handshake(&lab, |it| while it.open(CHANGE_CIPHER, &[1]).is_ok() {});
    assert_eq!(refused, Err(Refused::Idle));
    let refused =
        handshake(&lab, |it| while it.say(&[messages::certificate_request(b"")]).is_ok() {});
    assert_eq!(refused, Err(Refused::Idle));
}

#[test]
fn who_says_a_little_at_a_time_is_not_waited_for_without_end() {
    let lab = Lab::new();
    let slowly = |record: &[u8], it: &mut Server| {
        for byte in record {
            if std::io::Write::write_all(it.stream(), &[*byte]).is_err() {
                return;
            }
            std::thread::sleep(std::time::Duration::from_millis(10));
        }
    };
    // By the device's clock a byte takes a second.
    let hurried = Meeting { speed: 100, ..Meeting::new(&lab) };
    let ended = hurried.with(|it| {
        genuine(&lab, it);
        let record = it.sealed(&[&[7; 100][..], &[CONTENT]].concat());
        slowly(&record, it);
    });
    assert_eq!(ended, Ok(Refused::Late));
    let refused = Meeting { speed: 100, ..Meeting::new(&lab) }.with(|it| {
        let record = it.sealed(&[&[0; 100][..], &[HANDSHAKE]].concat());
        slowly(&record, it);
    });
    assert_eq!(refused, Err(Refused::Late));
}

#[test]
fn nothing_that_a_server_says_in_a_handshake_makes_the_device_panic() {
    let lab = Lab::new();
    let mut chance = support::Chance::new();
    let (mut opened, mut refused) = (0, 0);
    for _ in 0..600 {
        let said = [
            messages::encrypted_extensions(),
            messages::certificate_request(b"who?"),
            messages::certificate(&[&lab.server.certificate]),
        ];
        let which = chance.below(4) as usize;
        let harm = |message: &mut Vec<u8>, chance: &mut support::Chance| {
            for _ in 0..=chance.below(3) {
                let at = chance.below(message.len() as u64) as usize;
                match chance.below(4) {
                    0 => message[at] ^= 1 << chance.below(8),
                    1 => message[at] = chance.below(256) as u8,
                    2 => message.truncate(at.max(1)),
                    _ => message.insert(at, chance.below(256) as u8),
                }
            }
        };
        let outcome = handshake(&lab, |it| {
            for (at, mut message) in said.into_iter().enumerate() {
                if at == which {
                    harm(&mut message, &mut chance);
                }
                let _ = it.say(&[message]);
            }
            let mut proof = it.proof(&lab.server.key).unwrap();
            if which == 3 {
                harm(&mut proof, &mut chance);
            }
            let _ = it.say(&[proof]);
            let _ = it.finish().and_then(|()| it.read_finished());
        });
        *if outcome.is_ok() { &mut opened } else { &mut refused } += 1;
    }
    // What is harmed is signed along with the rest, and may have meant nothing.
    println!("{opened} handshakes held, {refused} were refused");
    assert!(refused > opened);
}
