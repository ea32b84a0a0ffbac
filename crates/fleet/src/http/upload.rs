//! What an upload consists of: one image as the body, or a form with several.
//!
//! Nothing is kept in memory beyond the limit, whatever a request claims to hold, and neither a
//! sender that has gone silent is waited for nor one that sends a byte now and then.

use std::collections::BTreeSet;
use std::future::poll_fn;
use std::pin::Pin;
use std::time::{Duration, Instant};

use axum::body::{Body, HttpBody};
use axum::extract::multipart::{Field, Multipart, MultipartError};
use axum::extract::{FromRequest, Request};
use axum::http::{StatusCode, header};
use serde::Deserialize;

use super::problem::Problem;
use crate::model::{Submission, SubmittedImage};

/// How long the next bytes may take.
const PATIENCE: Duration = Duration::from_secs(30);
/// Bytes per second that a sender has to come to once it has used up that patience.
const SLOWEST: usize = 1024;
/// Bytes of a text in a form.
const LONGEST_TEXT: usize = 256;
/// Images of one release.
const MOST_IMAGES: usize = 16;

const HINT: &str = "send the image as the body with ?name=NAME, or a form with the fields name, board, \
                    allow_sample_key, and the files image0, image1 …";

/// What the query says of an upload. A form may say it instead.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Parameters {
    name: Option<String>,
    board: Option<String>,
    /// Which of the board's images the body is.
    #[serde(default)]
    image: u8,
    #[serde(default)]
    allow_sample_key: bool,
}

/// Reads a request to its end.
pub async fn receive(
    request: Request,
    mut parameters: Parameters,
    max: usize,
) -> Result<Submission, Problem> {
    let mut room = Room { left: max, max, begun: Instant::now() };
    if request.body().size_hint().lower() > max as u64 {
        return Err(room.exceeded());
    }
    let kind = request.headers().get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let kind = kind.unwrap_or_default().trim_start().to_ascii_lowercase();
    let is_form = kind.starts_with("multipart/form-data");
    let images = if is_form {
        form(request, &mut parameters, &mut room).await?
    } else {
        let bytes = whole(request.into_body(), &mut room).await?;
        vec![SubmittedImage { number: parameters.image, bytes }]
    };
    let Parameters { name, board, allow_sample_key, .. } = parameters;
    let name = name.ok_or_else(|| Problem::bad_request("the release has no name", HINT))?;
    Ok(Submission {
        name: name.parse()?,
        board: board.filter(|board| !board.is_empty()),
        images,
        allow_sample_key,
    })
}

/// How much more may come, and how slowly.
struct Room {
    left: usize,
    max: usize,
    begun: Instant,
}

impl Room {
    fn take(&mut self, len: usize) -> Result<(), Problem> {
        self.left = self.left.checked_sub(len).ok_or_else(|| self.exceeded())?;
        let due = Duration::from_secs(((self.max - self.left) / SLOWEST) as u64);
        if self.begun.elapsed() > PATIENCE + due {
            return Err(slow(format!("less than {SLOWEST} bytes come in a second")));
        }
        Ok(())
    }

    /// Takes the next piece of a form.
    fn piece<T>(&self, piece: Result<T, MultipartError>) -> Result<T, Problem> {
        piece.map_err(|error| match error.status() {
            StatusCode::PAYLOAD_TOO_LARGE => self.exceeded(),
            _ => broken(&error),
        })
    }

    fn exceeded(&self) -> Problem {
        let max = self.max;
        Problem::new(
            StatusCode::PAYLOAD_TOO_LARGE,
            "too-large",
            format!("the request has more than {max} bytes"),
            "are these images? the server takes larger ones with --max-upload BYTES",
        )
    }
}

async fn whole(mut body: Body, room: &mut Room) -> Result<Vec<u8>, Problem> {
    let mut bytes = Vec::new();
    while let Some(frame) =
        patiently(poll_fn(|context| Pin::new(&mut body).poll_frame(context))).await?
    {
        let frame = frame.map_err(|error| broken(&error))?;
        if let Ok(data) = frame.into_data() {
            room.take(data.len())?;
            bytes.extend_from_slice(&data);
        }
    }
    Ok(bytes)
}

async fn form(
    request: Request,
    parameters: &mut Parameters,
    room: &mut Room,
) -> Result<Vec<SubmittedImage>, Problem> {
    let form = Multipart::from_request(request, &()).await;
    let mut form = form.map_err(|error| Problem::bad_request(error.body_text(), HINT))?;
    let (mut images, mut said) = (Vec::new(), BTreeSet::new());
    while let Some(mut field) = room.piece(patiently(form.next_field()).await?)? {
        let name = field.name().unwrap_or_default().to_owned();
        let digits = name.strip_prefix("image").map(|digits| match digits {
            "" => Ok(0),
            digits => digits.parse::<u8>(),
        });
        match (name.as_str(), digits) {
            (_, Some(Ok(number))) if images.len() < MOST_IMAGES => {
                let bytes = data(&mut field, room).await?;
                images.push(SubmittedImage { number, bytes });
            }
            (_, Some(Ok(_))) => {
                let detail = format!("there are more than {MOST_IMAGES} images");
                return Err(Problem::bad_request(detail, "no board has as many"));
            }
            ("name" | "board" | "allow_sample_key", _) if !said.insert(name.clone()) => {
                let detail = format!("the form has the field {name:?} twice");
                return Err(Problem::bad_request(detail, "say it once"));
            }
            ("name", _) => parameters.name = Some(text(&mut field, &name, room).await?),
            ("board", _) => parameters.board = Some(text(&mut field, &name, room).await?),
            ("allow_sample_key", _) => {
                parameters.allow_sample_key = match text(&mut field, &name, room).await?.as_str() {
                    "true" => true,
                    "false" => false,
                    other => {
                        let detail = format!("allow_sample_key is {other:?}");
                        return Err(Problem::bad_request(detail, "it is true or false"));
                    }
                }
            }
            _ => {
                let detail = format!("the form has a field {name:?}, which means nothing here");
                return Err(Problem::bad_request(detail, HINT));
            }
        }
    }
    Ok(images)
}

async fn data(field: &mut Field<'_>, room: &mut Room) -> Result<Vec<u8>, Problem> {
    let mut bytes = Vec::new();
    while let Some(chunk) = room.piece(patiently(field.chunk()).await?)? {
        room.take(chunk.len())?;
        bytes.extend_from_slice(&chunk);
    }
    Ok(bytes)
}

async fn text(field: &mut Field<'_>, name: &str, room: &mut Room) -> Result<String, Problem> {
    let mut bytes = Vec::new();
    while let Some(chunk) = room.piece(patiently(field.chunk()).await?)? {
        room.take(chunk.len())?;
        bytes.extend_from_slice(&chunk);
        if bytes.len() > LONGEST_TEXT {
            let detail = format!("the field {name:?} has more than {LONGEST_TEXT} bytes");
            return Err(Problem::bad_request(detail, "no name is as long"));
        }
    }
    String::from_utf8(bytes).map_err(|_| Problem::bad_request("a field is not UTF-8", HINT))
}

async fn patiently<T>(next: impl Future<Output = T>) -> Result<T, Problem> {
    let late = |_| slow(format!("nothing that is complete has come for {} s", PATIENCE.as_secs()));
    tokio::time::timeout(PATIENCE, next).await.map_err(late)
}

fn slow(detail: String) -> Problem {
    Problem::new(StatusCode::REQUEST_TIMEOUT, "too-slow", detail, "send it again")
}

fn broken(error: &dyn std::error::Error) -> Problem {
    Problem::bad_request(format!("the request broke off: {error}"), "send it again")
}
