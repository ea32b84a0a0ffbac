//! A stand-in for AWS IoT, made of the same messages.

use updraft_ota::aws::{
    Block, BlockRequest, Details, Execution, File, Format, NextJob, OtaJob, Status, Times, Update,
};
use updraft_ota::json::Text;

use crate::common::Server;
use crate::http::Files;

/// What happens to the block of this number on its way.
pub type Spoil = fn(usize, Vec<u8>) -> Option<Vec<u8>>;

/// A stand-in for the service.
pub struct Cloud {
    pub image: Vec<u8>,
    pub job: &'static str,
    pub signature: Option<String>,
    pub url: Option<&'static str>,
    /// Writes addresses as some encoders do.
    pub escaped: bool,
    pub format: Format,
    pub status: Status,
    pub self_test: Option<(String, String)>,
    pub reports: Vec<String>,
    pub asked: Vec<Vec<u32>>,
    pub served: Vec<u32>,
    pub spoil: Spoil,
    pub files: Option<Files>,
}

impl Cloud {
    pub fn new(image: Vec<u8>, format: Format) -> Self {
        Self {
            image,
            job: "job-1",
            signature: None,
            url: None,
            escaped: false,
            format,
            status: Status::Queued,
            self_test: None,
            reports: Vec::new(),
            asked: Vec::new(),
            served: Vec::new(),
            spoil: |_, bytes| Some(bytes),
            files: None,
        }
    }

    fn next(&self) -> Vec<u8> {
        let pending = matches!(self.status, Status::Queued | Status::InProgress);
        let details = self.self_test.as_ref().map(|(test, by)| Details {
            self_test: Some(Text::new(test)),
            updated_by: Some(Text::new(by)),
            ..Details::default()
        });
        let job = OtaJob {
            mqtt: self.url.is_none(),
            http: self.url.is_some(),
            stream: self.url.is_none().then_some(Text::new("stream-1")),
            file: File {
                size: self.image.len() as u32,
                id: 3,
                signature: self.signature.as_deref().map(Text::new),
                url: self.url.map(Text::new),
                ..File::default()
            },
        };
        let execution = pending.then_some(Execution {
            job: Text::new(self.job),
            status: self.status,
            times: Times::default(),
            version: Some(1),
            number: Some(1),
            details: details.unwrap_or_default(),
            document: None,
        });
        let mut bytes = vec![0; 3000];
        let len = NextJob { timestamp: None, token: None, execution }
            .encode(Some(&job), &mut bytes)
            .unwrap();
        bytes.truncate(len);
        if self.escaped {
            let text = String::from_utf8(bytes).unwrap();
            return text.replace('/', "\\/").replace('&', "\\u0026").into_bytes();
        }
        bytes
    }
}

impl Server for Cloud {
    fn message(&mut self, topic: &str, payload: &[u8]) -> Vec<(String, Vec<u8>)> {
        if topic.ends_with("$next/get") {
            return vec![(format!("{topic}/accepted"), self.next())];
        }
        if topic.ends_with("/update") {
            self.reports.push(String::from_utf8(payload.to_vec()).unwrap());
            let update = Update::decode(payload).unwrap();
            self.status = update.status;
            if let Some(details) = update.details.filter(|it| it.self_test.is_some()) {
                let text = |text: Option<Text<'_>>| text.unwrap_or_default().to_string();
                self.self_test = Some((text(details.self_test), text(details.updated_by)));
            }
            return Vec::new();
        }
        let mut bits = vec![0; payload.len()];
        let request = BlockRequest::decode(payload, self.format, &mut bits).unwrap();
        assert_eq!((request.objection(), request.file), (None, 3));
        let wanted: Vec<u32> = request.blocks(self.image.len() as u32).collect();
        self.asked.push(wanted.clone());
        let topic = topic.replace("/get/", "/data/");
        let mut answers = Vec::new();
        for index in wanted {
            let data = &self.image[index as usize * 4096..];
            let data = &data[..data.len().min(4096)];
            let mut bytes = vec![0; 2 * data.len() + 100];
            let block = Block { file: 3, index, data };
            let len = block.encode(self.format, &mut bytes).unwrap();
            bytes.truncate(len);
            self.served.push(index);
            if let Some(bytes) = (self.spoil)(self.served.len(), bytes) {
                answers.push((topic.clone(), bytes));
            }
        }
        answers
    }

    fn bytes(&mut self, bytes: &[u8]) -> Vec<Option<Vec<u8>>> {
        self.files.as_mut().expect("there is a file server").bytes(bytes)
    }
}
