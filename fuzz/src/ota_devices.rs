//! Devices whose servers say anything, in any order: no stream of messages, bytes, lost lines and
//! hours lets a device spin, say things without end, or mark what is not the image.

use std::time::Duration;

use updraft_ota::json::Text;
use updraft_ota::{
    Agent, Config, Endpoint, ImageState, Input, Output, Platform, Protocol, Record, Transport,
    Verdict, Verified, Version, Written, aws, ddi, infineon,
};

const BLOCK: u32 = 512;
const SLOT: usize = 8 * BLOCK as usize;
const BOARD: &str = "B";
/// Outputs and polls that one input may lead to.
const MOST: usize = 2000;

/// The only image that would boot.
fn good() -> Vec<u8> {
    let mut image = b"good".to_vec();
    image.extend((0..1500u32).map(|i| (i * 7) as u8));
    image
}

/// A slot in memory.
struct Desk {
    slot: Vec<u8>,
    record: Option<Vec<u8>>,
    marked: bool,
    resets: usize,
}

impl Platform for Desk {
    type Error = ();

    fn running(&mut self) -> Version {
        Version::new(1, 0, 0)
    }

    fn capacity(&mut self) -> u32 {
        SLOT as u32
    }

    fn open(&mut self) -> Result<(), ()> {
        Ok(())
    }

    fn erase_at(&mut self, at: u32) -> Result<u32, ()> {
        let end = ((at / BLOCK + 1) * BLOCK) as usize;
        self.slot.get_mut(at as usize / 512 * 512..end).ok_or(())?.fill(0xff);
        Ok(end as u32)
    }

    fn write(&mut self, offset: u32, data: &[u8]) -> Result<Written, ()> {
        let offset = offset as usize;
        self.slot.get_mut(offset..offset + data.len()).ok_or(())?.copy_from_slice(data);
        Ok(Written::Stored)
    }

    fn read(&mut self, offset: u32, buffer: &mut [u8]) -> Result<(), ()> {
        let offset = offset as usize;
        buffer.copy_from_slice(self.slot.get(offset..offset + buffer.len()).ok_or(())?);
        Ok(())
    }

    fn close(&mut self, size: u32) -> Result<(), ()> {
        assert!(size as usize <= SLOT);
        Ok(())
    }

    fn verify(&mut self, size: u32) -> Result<Option<Verified>, ()> {
        let is_good = self.slot.get(..size as usize) == Some(&good()[..]);
        let version = Version::new(2, 0, 0);
        Ok(is_good.then_some(Verified { version, any_version: false }))
    }

    fn activate(&mut self) -> Result<(), ()> {
        assert!(self.slot.starts_with(&good()), "it marks something else");
        self.marked = true;
        Ok(())
    }

    fn image_state(&mut self) -> Result<ImageState, ()> {
        Ok(ImageState::Valid)
    }

    fn set_image_state(&mut self, verdict: Verdict) -> Result<(), ()> {
        self.marked &= verdict != Verdict::Aborted;
        Ok(())
    }

    fn reset(&mut self) {
        assert!(self.marked, "it resets for nothing");
        self.resets += 1;
    }

    fn load(&mut self, record: &mut [u8]) -> Result<Option<usize>, ()> {
        let Some(kept) = &self.record else { return Ok(None) };
        for (to, from) in record.iter_mut().zip(kept) {
            *to = *from;
        }
        Ok(Some(kept.len()))
    }

    fn save(&mut self, record: &[u8]) -> Result<(), ()> {
        self.record = Some(record.to_vec());
        Ok(())
    }
}

/// A line to a device, and what it has told there.
struct Line {
    now: Duration,
    topics: Vec<String>,
    is_open: bool,
    waits: bool,
}

impl Line {
    /// Takes what the device has to say, and lets it work until it waits for something.
    fn settle(&mut self, device: &mut impl Protocol) {
        let mut buffer = [0; 2048];
        for step in 0.. {
            assert!(step < MOST, "it does not come to rest");
            match device.output(&mut buffer) {
                Some(Output::Open(server)) => {
                    assert!(!server.host.is_empty() && !self.is_open, "two lines at once");
                    self.waits = true;
                }
                Some(Output::Close) => (self.is_open, self.waits) = (false, false),
                Some(Output::Subscribe(topic)) => {
                    assert!(!topic.is_empty() && topic.len() < 256);
                    if !self.topics.iter().any(|known| known == topic) {
                        self.topics.push(topic.to_owned());
                    }
                }
                Some(Output::Publish { topic, payload, .. }) => {
                    assert!(!topic.contains(['#', '+']) && payload.len() <= 2048);
                }
                Some(Output::Send(bytes)) => assert!(bytes.windows(4).any(|it| it == b"\r\n\r\n")),
                None => match device.deadline() {
                    Some(at) if at <= self.now => device.poll(self.now),
                    _ => return,
                },
            }
        }
    }

    fn input(&mut self, device: &mut impl Protocol, kind: u8, data: &[u8]) {
        let number = usize::from(kind / 8);
        match kind % 8 {
            0 if self.waits => {
                (self.is_open, self.waits) = (true, false);
                self.topics.clear();
                device.handle(Input::Opened, self.now);
            }
            1 if self.is_open || self.waits => {
                (self.is_open, self.waits) = (false, false);
                device.handle(Input::Closed, self.now);
            }
            2 | 3 if self.is_open => {
                let count = self.topics.len().max(1);
                let topic = self.topics.get(number % count).map_or("a", String::as_str);
                device.handle(Input::Message { topic, payload: data }, self.now);
            }
            4 | 5 if self.is_open => device.handle(Input::Bytes(data), self.now),
            6 => self.now += Duration::from_secs(1 << (number % 20)),
            _ => {
                if let Some(at) = device.deadline() {
                    self.now = self.now.max(at);
                }
            }
        }
    }
}

fn play(device: &mut impl Protocol, data: &[u8]) {
    let mut line = Line { now: Duration::ZERO, topics: Vec::new(), is_open: false, waits: false };
    device.start(line.now);
    line.settle(device);
    let mut rest = data;
    // What kind of input, how long it is, and it.
    while let Some(([kind, low, high], more)) = rest.split_first_chunk() {
        let len = usize::from(u16::from_le_bytes([*low, *high]));
        let (input, more) = more.split_at(more.len().min(len));
        line.input(device, *kind, input);
        line.settle(device);
        rest = more;
    }
}

/// The first byte says which device it is, and how it is set up.
pub fn run(data: &[u8]) {
    let _ = drive(data);
}

/// Whether the image was marked in the end.
fn drive(data: &[u8]) -> bool {
    let Some((kind, data)) = data.split_first() else { return false };
    let desk = Desk { slot: vec![0xff; SLOT], record: None, marked: false, resets: 0 };
    let mut record = vec![0; Record::size(SLOT / BLOCK as usize)];
    let agent = Agent::new(desk, Config { block: BLOCK, ..Config::new(BOARD) }, &mut record);
    let (mut job, mut http) = ([0; 2560], [0; 1024]);
    let more = kind / 3;
    let transport = if more & 1 == 0 { Transport::Mqtt } else { Transport::Http };
    let server = Endpoint { transport, host: Text::new("h"), port: 1 };
    match kind % 3 {
        0 => {
            let flow = if more & 2 == 0 { infineon::Flow::Job } else { infineon::Flow::Direct };
            let settings = infineon::Settings {
                flow,
                piecewise: more & 4 != 0,
                ..infineon::Settings::new(server)
            };
            let mut device = infineon::Device::new(agent, settings, &mut job[..1024], &mut http);
            play(&mut device, data);
            device.agent().platform().marked
        }
        1 => {
            let server = Endpoint { transport: Transport::Mqtt, ..server };
            let settings = aws::Settings {
                format: if more & 1 == 0 { aws::Format::Cbor } else { aws::Format::Json },
                prefers_http: more & 2 != 0,
                ..aws::Settings::new("t", server)
            };
            let mut device = aws::Device::new(agent, settings, &mut job, &mut http);
            play(&mut device, data);
            device.agent().platform().marked
        }
        _ => {
            let server = Endpoint { transport: Transport::Http, ..server };
            let settings = ddi::Settings {
                server,
                tenant: "t",
                controller: "c",
                authorization: "",
                attributes: &[],
                timers: ddi::Timers::default(),
            };
            let mut device = ddi::Device::new(agent, settings, &mut http);
            play(&mut device, data);
            device.agent().platform().marked
        }
    }
}

/// One input of a session.
fn input(kind: u8, data: &[u8]) -> Vec<u8> {
    let [low, high] = (data.len() as u16).to_le_bytes();
    [&[kind, low, high], data].concat()
}

/// Updates that go well, up to the reset.
pub fn seeds() -> Vec<Vec<u8>> {
    let (wait, open, image) = (input(7, b""), input(0, b""), good());
    let chunk = |offset: u32| {
        let chunk = infineon::Chunk::of(&image, Version::new(2, 0, 0), offset, BLOCK as u16);
        let chunk = chunk.expect("there is one");
        input(2, &[&chunk.header()[..], chunk.data].concat())
    };
    let job =
        br#"{"Message":"Update Available","Board":"B","Version":"2.0.0","Connection":"MQTT"}"#;
    let chunks: Vec<u8> = (0..3).flat_map(|number| chunk(number * BLOCK)).collect();
    let ack = br#"{"Message":"Result Received"}"#;
    let by_mqtt =
        [&[0][..], &wait, &open, &input(2, job), &chunks, &wait, &input(2, ack), &wait, &wait];
    let part = |offset: usize| {
        let data = &image[offset..image.len().min(offset + BLOCK as usize)];
        let (last, total) = (offset + data.len() - 1, image.len());
        let head = format!(
            "HTTP/1.1 206 P\r\nContent-Range: bytes {offset}-{last}/{total}\r\nContent-Length: {}\r\n\r\n",
            data.len()
        );
        input(4, &[head.as_bytes(), data].concat())
    };
    let parts: Vec<u8> = (0..3).flat_map(|number| part(512 * number)).collect();
    // HTTP, the direct flow.
    let by_http = [&[9][..], &wait, &open, &parts, &wait, &wait];
    let answer = |body: &str| {
        let len = body.len();
        input(4, format!("HTTP/1.1 200 O\r\nContent-Length: {len}\r\n\r\n{body}").as_bytes())
    };
    let size = image.len();
    let deployment = format!(
        r#"{{"id":"8","deployment":{{"chunks":[{{"artifacts":[{{"size":{size},"_links":{{"download":{{"href":"http://h:1/f"}}}}}}]}}]}}}}"#
    );
    let by_ddi = [
        &[2][..],
        &wait,
        &open,
        &answer(r#"{"_links":{"deploymentBase":{"href":"http://h:1/d/8"}}}"#),
        &answer(&deployment),
        &answer(""),
        &parts,
        &answer(""),
        &wait,
    ];
    let next = format!(
        r#"{{"execution":{{"jobId":"j","status":"QUEUED","jobDocument":{{"afr_ota":{{"protocols":["MQTT"],"streamname":"s","files":[{{"filesize":{size},"fileid":0}}]}}}}}}}}"#
    );
    let block = |index: u32| {
        let at = (index * BLOCK) as usize;
        let data = &image[at..image.len().min(at + BLOCK as usize)];
        let mut bytes = vec![0; data.len() + 100];
        let block = aws::Block { file: 0, index, data };
        let len = block.encode(aws::Format::Cbor, &mut bytes).expect("there is room");
        // The third topic that is subscribed to is the stream's.
        input(2 + 8 * 2, &bytes[..len])
    };
    let blocks: Vec<u8> = (0..3).flat_map(block).collect();
    let by_aws = [&[1][..], &wait, &open, &input(2, next.as_bytes()), &blocks, &wait, &wait];
    vec![by_mqtt.concat(), by_http.concat(), by_ddi.concat(), by_aws.concat()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seeds_are_updates_that_go_well() {
        for (number, seed) in seeds().iter().enumerate() {
            assert!(drive(seed), "{number}");
        }
    }
}
