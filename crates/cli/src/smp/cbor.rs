//! CBOR as JSON and back. Byte strings are `{"$hex": "0102"}` in JSON.

use anyhow::{anyhow, bail};
use minicbor::data::Type;
use minicbor::encode::write::Cursor;
use minicbor::{Decoder, Encoder};
use serde_json::{Map, Number, Value, json};

use super::session::hex;

/// Levels of lists and maps.
const DEPTH: usize = 32;
/// Bytes of the longest request.
const LONGEST: usize = 64 * 1024;

/// The CBOR of a JSON value, with definite lengths.
pub fn from_json(value: &Value) -> anyhow::Result<Vec<u8>> {
    let mut bytes = vec![0; LONGEST];
    let mut encoder = Encoder::new(Cursor::new(bytes.as_mut_slice()));
    encode(&mut encoder, value)?;
    let len = encoder.writer().position();
    bytes.truncate(len);
    Ok(bytes)
}

fn encode(encoder: &mut Encoder<Cursor<&mut [u8]>>, value: &Value) -> anyhow::Result<()> {
    let long = |_| anyhow!("the request is longer than any message");
    match value {
        Value::Null => encoder.null().map_err(long)?,
        Value::Bool(value) => encoder.bool(*value).map_err(long)?,
        Value::Number(number) => match (number.as_u64(), number.as_i64(), number.as_f64()) {
            (Some(number), ..) => encoder.u64(number).map_err(long)?,
            (_, Some(number), _) => encoder.i64(number).map_err(long)?,
            (.., number) => encoder.f64(number.unwrap_or(f64::NAN)).map_err(long)?,
        },
        Value::String(text) => encoder.str(text).map_err(long)?,
        Value::Array(items) => {
            encoder.array(items.len() as u64).map_err(long)?;
            return items.iter().try_for_each(|item| encode(encoder, item));
        }
        Value::Object(map) => {
            if let Some(bytes) = bytes_of(map)? {
                encoder.bytes(&bytes).map_err(long)?;
                return Ok(());
            }
            encoder.map(map.len() as u64).map_err(long)?;
            return map.iter().try_for_each(|(key, value)| {
                encoder.str(key).map_err(long)?;
                encode(encoder, value)
            });
        }
    };
    Ok(())
}

/// The bytes that a map stands for, if it is one that does.
fn bytes_of(map: &Map<String, Value>) -> anyhow::Result<Option<Vec<u8>>> {
    match (map.len(), map.get("$hex")) {
        (1, Some(Value::String(text))) => unhex(text).map(Some),
        _ => Ok(None),
    }
}

/// The bytes of a hexadecimal number.
pub fn unhex(text: &str) -> anyhow::Result<Vec<u8>> {
    let bad = || anyhow!("{text} is no hexadecimal number of whole bytes");
    if !text.len().is_multiple_of(2) {
        return Err(bad());
    }
    let byte = |pair: &[u8]| {
        let pair = str::from_utf8(pair).ok().filter(|pair| !pair.contains('+'));
        pair.and_then(|pair| u8::from_str_radix(pair, 16).ok()).ok_or_else(bad)
    };
    text.as_bytes().chunks(2).map(byte).collect()
}

/// A payload as JSON; one that is not CBOR as its bytes.
pub fn to_json(payload: &[u8]) -> Value {
    let mut decoder = Decoder::new(payload);
    match decode(&mut decoder, DEPTH) {
        Ok(value) if decoder.position() == payload.len() => value,
        _ => bytes(payload),
    }
}

fn bytes(bytes: &[u8]) -> Value {
    json!({ "$hex": hex(bytes) })
}

fn decode(decoder: &mut Decoder<'_>, depth: usize) -> anyhow::Result<Value> {
    let below = |depth: usize| depth.checked_sub(1).ok_or_else(|| anyhow!("nested too deeply"));
    Ok(match decoder.datatype()? {
        Type::Null => decoder.null().map(|()| Value::Null)?,
        Type::Undefined => decoder.undefined().map(|()| Value::Null)?,
        Type::Bool => decoder.bool()?.into(),
        Type::F32 => Number::from_f64(decoder.f32()?.into()).into(),
        Type::F64 => Number::from_f64(decoder.f64()?).into(),
        Type::String | Type::StringIndef => {
            decoder.str_iter()?.collect::<Result<String, _>>()?.into()
        }
        Type::Bytes | Type::BytesIndef => {
            let mut all = Vec::new();
            for piece in decoder.bytes_iter()? {
                all.extend_from_slice(piece?);
            }
            bytes(&all)
        }
        Type::Array | Type::ArrayIndef => {
            let (mut left, mut items) = (decoder.array()?, Vec::new());
            while more(decoder, &mut left)? {
                items.push(decode(decoder, below(depth)?)?);
            }
            items.into()
        }
        Type::Map | Type::MapIndef => {
            let (mut left, mut map) = (decoder.map()?, Map::new());
            while more(decoder, &mut left)? {
                let key = match decode(decoder, below(depth)?)? {
                    Value::String(key) => key,
                    other => other.to_string(),
                };
                map.insert(key, decode(decoder, below(depth)?)?);
            }
            map.into()
        }
        Type::Tag => {
            decoder.tag()?;
            decode(decoder, below(depth)?)?
        }
        Type::Break | Type::Simple | Type::F16 | Type::Unknown(_) => bail!("no value of JSON"),
        _ => {
            let number = i128::from(decoder.int()?);
            let small = i64::try_from(number).map(Number::from);
            small.or_else(|_| u64::try_from(number).map(Number::from))?.into()
        }
    })
}

fn more(decoder: &mut Decoder<'_>, left: &mut Option<u64>) -> anyhow::Result<bool> {
    match left {
        Some(0) => Ok(false),
        Some(left) => {
            *left -= 1;
            Ok(true)
        }
        None if decoder.datatype()? == Type::Break => {
            decoder.set_position(decoder.position() + 1);
            Ok(false)
        }
        None => Ok(true),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_comes_back_from_its_cbor() {
        let value = json!({
            "n": 1, "m": -5, "big": u64::MAX, "f": 1.5, "t": "ü", "b": true, "no": null,
            "list": [1, [2, {}], {"$hex": "00ff"}],
        });
        assert_eq!(to_json(&from_json(&value).unwrap()), value);
    }

    #[test]
    fn indefinite_lengths_are_read() {
        let payload =
            b"\xbf\x61a\x9f\x01\x02\xff\x61b\x5f\x41\x01\x41\x02\xff\x61c\x7f\x61x\x61y\xff\xff";
        assert_eq!(to_json(payload), json!({ "a": [1, 2], "b": {"$hex": "0102"}, "c": "xy" }));
    }

    #[test]
    fn what_is_not_cbor_is_shown_as_bytes() {
        for payload in [&b"\xff"[..], b"\xa1", b"\x01\x02", &[0x81; 100]] {
            assert_eq!(to_json(payload), bytes(payload));
        }
        assert_eq!(to_json(b""), json!({ "$hex": "" }));
    }

    #[test]
    fn bytes_are_whole_hexadecimal_pairs() {
        assert_eq!(unhex("007fFF").unwrap(), [0, 0x7f, 0xff]);
        for text in ["0", "0g", "+1", "ü0"] {
            assert!(unhex(text).is_err(), "{text}");
        }
    }
}
