//! The answers of the recorded servers, read by the client: what each holds is held against what
//! another decoder made of it.

use serde_json::{Map, Value, json};
use updraft_smp::client::{Answer, AnswerError, Code, HashOutput};
use updraft_smp::{
    Header, Op, Rc, enumeration, files, group, image, os, settings, shell, statistics,
};

use crate::recorded::{Exchange, exchanges};

fn bytes(bytes: &[u8]) -> Value {
    let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    json!({ "$hex": hex })
}

/// What the client reads of a successful answer.
fn read(request: &Header, answer: &Answer<'_>) -> Result<Value, AnswerError> {
    let mut list = Vec::new();
    let mut map = Map::new();
    let read = request.op == Op::Read;
    Ok(match (request.group, request.id) {
        (group::OS, os::ECHO) => json!({ "r": answer.echo()? }),
        (group::OS, os::TASKS) => {
            answer.tasks(|task| {
                let found = json!({
                    "prio": task.priority, "tid": task.id, "state": task.state,
                    "stksiz": task.stack_size, "stkuse": task.stack_used,
                });
                map.insert(task.name.into(), found);
            })?;
            json!({ "tasks": map })
        }
        (group::OS, os::PARAMS) => {
            let params = answer.params()?;
            json!({ "buf_size": params.buf_size, "buf_count": params.buf_count })
        }
        (group::OS, os::INFO) => json!({ "output": answer.info()? }),
        (group::IMAGE, image::STATE) => {
            answer.images(|entry| {
                let mut found = json!({
                    "slot": entry.slot, "version": entry.version, "bootable": entry.bootable,
                    "pending": entry.pending, "confirmed": entry.confirmed,
                    "active": entry.active, "permanent": entry.permanent,
                });
                if let Some(hash) = entry.hash {
                    found["hash"] = bytes(hash);
                }
                list.push(found);
            })?;
            json!({ "images": list })
        }
        (group::IMAGE, image::UPLOAD) => {
            let reply = answer.upload()?;
            let mut found = json!({ "off": reply.off });
            if let Some(matched) = reply.matched {
                found["match"] = matched.into();
            }
            found
        }
        (group::IMAGE, image::SLOT_INFO) => {
            answer.slots(|slot| {
                let mut found = json!({ "slot": slot.slot, "size": slot.size });
                if let Some(id) = slot.upload_image_id {
                    found["upload_image_id"] = id.into();
                }
                assert_eq!(slot.image, 0);
                list.push(found);
            })?;
            json!({ "images": [{ "image": 0, "slots": list }] })
        }
        (group::STATISTICS, statistics::LIST) => {
            answer.statistics_groups(|name| list.push(name.into()))?;
            json!({ "stat_list": list })
        }
        (group::STATISTICS, statistics::SHOW) => {
            answer.counters(|name, value| {
                map.insert(name.into(), value.into());
            })?;
            json!({ "name": "smp_svr_stats", "fields": map })
        }
        (group::SETTINGS, settings::VALUE) if read => json!({ "val": answer.setting()?.value }),
        (group::FILES, files::FILE) if read => {
            let piece = answer.file_piece()?;
            let mut found = json!({ "off": piece.off, "data": bytes(piece.data) });
            if let Some(len) = piece.len {
                found["len"] = len.into();
            }
            found
        }
        (group::FILES, files::FILE) => json!({ "off": answer.file_offset()? }),
        (group::FILES, files::STATUS) => json!({ "len": answer.file_length()? }),
        (group::FILES, files::HASH) => {
            let reply = answer.file_hash()?;
            let output = match reply.output {
                HashOutput::Number(number) => number.into(),
                HashOutput::Bytes(hash) => bytes(hash),
            };
            let mut found = json!({ "type": reply.kind, "len": reply.len, "output": output });
            if reply.off > 0 {
                found["off"] = reply.off.into();
            }
            found
        }
        (group::FILES, files::HASH_TYPES) => {
            answer.hash_types(|kind| {
                let format = u32::from(kind.is_bytes);
                map.insert(kind.name.into(), json!({ "format": format, "size": kind.size }));
            })?;
            json!({ "types": map })
        }
        (group::SHELL, shell::EXECUTE) => {
            let output = answer.shell()?;
            json!({ "o": output.output, "ret": output.ret })
        }
        (group::ENUMERATION, enumeration::COUNT) => json!({ "count": answer.group_count()? }),
        (group::ENUMERATION, enumeration::LIST) => {
            answer.groups(|group| list.push(group.into()))?;
            json!({ "groups": list })
        }
        (group::ENUMERATION, enumeration::SINGLE) => {
            let (group, end) = answer.group_at()?;
            if end { json!({ "group": group, "end": true }) } else { json!({ "group": group }) }
        }
        (group::ENUMERATION, enumeration::DETAILS) => {
            answer.group_details(|entry| {
                list.push(json!({
                    "group": entry.group, "name": entry.name, "handlers": entry.handlers,
                }));
            })?;
            json!({ "groups": list })
        }
        _ => {
            answer.check()?;
            json!({})
        }
    })
}

/// What the recording says, without what means nothing, and with what is meant where nothing is
/// said.
fn meaning(payload: &Value) -> Value {
    let mut payload = payload.clone();
    let map = payload.as_object_mut().expect("answers are maps");
    map.remove("splitStatus");
    if map.get("rc") == Some(&json!(0)) {
        map.remove("rc");
    }
    let images = map.get_mut("images").and_then(Value::as_array_mut).into_iter().flatten();
    for image in images.filter(|image| image.get("version").is_some()) {
        for flag in ["bootable", "pending", "confirmed", "active", "permanent"] {
            let image = image.as_object_mut().expect("an entry is a map");
            image.entry(flag).or_insert(false.into());
        }
    }
    payload
}

fn check(exchange: &Exchange, answer: &[u8]) {
    let Exchange { name, request, payload, .. } = exchange;
    let answer = Answer::parse(answer).expect("a whole answer");
    let (request, _) = Header::parse(request).expect("a whole request");
    let number = |value: &Value| u32::try_from(value.as_u64().expect("a number")).expect("small");
    match read(&request, &answer) {
        Ok(found) => assert_eq!(found, meaning(payload), "{name}"),
        Err(AnswerError::Malformed(error)) => panic!("{name}: {error}"),
        Err(AnswerError::Refused(refusal)) => match refusal.code {
            Code::Generic(rc) => {
                assert_eq!(rc, Rc(number(&payload["rc"])), "{name}");
                assert_eq!(refusal.reason.as_str(), payload["rsn"].as_str().unwrap_or(""));
            }
            Code::Group { group, rc } => {
                assert_eq!(json!({ "group": group, "rc": rc }), payload["err"], "{name}");
                let length = payload.get("len").map(number);
                assert_eq!(answer.file_length_beside_error(), length, "{name}");
                assert!(!refusal.to_string().contains("the device refused"), "{refusal}");
            }
        },
    }
}

#[test]
fn the_client_reads_every_recorded_answer_as_it_was_meant() {
    let exchanges = exchanges();
    let (mut run, mut silent) = (0, 0);
    for exchange in &exchanges {
        match &exchange.answer {
            Some(answer) => {
                check(exchange, answer);
                run += 1;
            }
            None => silent += 1,
        }
    }
    println!("recorded answers: {run} of {} read; {silent} never came", exchanges.len());
    assert_eq!(run + silent, exchanges.len());
    assert_eq!(silent, 3);
}
