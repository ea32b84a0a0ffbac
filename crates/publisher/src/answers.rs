//! What goes out before the images: answers that wait for the line, and what may have been lost with
//! the last one.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use crate::Job;
use crate::session::Refusal;

/// Answers that wait, in all and on one topic. A device asks again for what it misses.
const MOST: usize = 10_000;
const MOST_OF_ONE: usize = 64;
/// Messages that are sent once more when the line was lost: as many as may have been on their way.
const ON_THE_WAY: usize = 12;

/// An answer.
#[derive(Clone, Debug)]
pub(crate) enum Answer {
    Document { topic: String, payload: Vec<u8> },
    Chunk { topic: String, job: Arc<Job>, offset: u32, size: u16 },
}

impl Answer {
    fn topic(&self) -> &str {
        let (Self::Document { topic, .. } | Self::Chunk { topic, .. }) = self;
        topic
    }
}

/// What was handed out.
#[derive(Debug)]
enum Sent {
    Answer(Answer),
    /// The chunk of an image at this offset.
    Image {
        topic: String,
        offset: u32,
    },
}

/// Answers, oldest first.
#[derive(Debug, Default)]
pub(crate) struct Answers {
    waiting: VecDeque<Answer>,
    /// How many of them are for which topic.
    waiting_for: HashMap<String, usize>,
    /// The last messages that were handed out, oldest first.
    on_the_way: VecDeque<Sent>,
}

impl Answers {
    /// Answers wait while the line is slow, but not without end, and no topic fills it up.
    pub fn push(&mut self, answer: Answer) -> Result<(), Refusal> {
        let of_one = self.waiting_for.get(answer.topic()).copied().unwrap_or(0);
        if self.waiting.len() >= MOST || of_one >= MOST_OF_ONE {
            return Err(Refusal::Crowd(self.waiting.len()));
        }
        self.waiting_for.insert(answer.topic().to_owned(), of_one + 1);
        self.waiting.push_back(answer);
        Ok(())
    }

    pub fn next(&mut self) -> Option<Answer> {
        let answer = self.waiting.pop_front()?;
        if let Some(count) = self.waiting_for.get_mut(answer.topic()) {
            *count = count.saturating_sub(1);
            if *count == 0 {
                self.waiting_for.remove(answer.topic());
            }
        }
        Some(answer)
    }

    pub fn sent(&mut self, answer: Answer) {
        self.remember(Sent::Answer(answer));
    }

    pub fn image_sent(&mut self, topic: String, offset: u32) {
        self.remember(Sent::Image { topic, offset });
    }

    fn remember(&mut self, sent: Sent) {
        if self.on_the_way.len() >= ON_THE_WAY {
            self.on_the_way.pop_front();
        }
        self.on_the_way.push_back(sent);
    }

    /// What was on its way may not have arrived, and nobody would ask for it: answers wait again.
    /// Says of which images which chunks are concerned, the last one first.
    pub fn line_lost(&mut self) -> Vec<(String, u32)> {
        let mut images = Vec::new();
        while let Some(sent) = self.on_the_way.pop_back() {
            match sent {
                Sent::Answer(answer) => {
                    *self.waiting_for.entry(answer.topic().to_owned()).or_default() += 1;
                    self.waiting.push_front(answer);
                }
                Sent::Image { topic, offset } => images.push((topic, offset)),
            }
        }
        images
    }
}
