//! What an upload consists of: one image as the body, or a form with several.
//!
//! Nothing is kept in memory beyond the limit, whatever a request claims to hold, and a sender that
//! has gone silent is not waited for.

use std::future::poll_fn;
use std::pin::Pin;
use std::time::Duration;

use axum::body::{Body, HttpBody};
use axum::extract::multipart::{Field, Multipart};
use axum::extract::{FromRequest, Request};
use axum::http::{StatusCode, header};
use serde::Deserialize;

use super::problem::Problem;
use crate::model::{Submission, SubmittedImage};

/// How long the next bytes may take.
const PATIENCE: Duration = Duration::from_secs(30);
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
    let mut room = Room { left: max, max };
    if request.body().size_hint().lower() > max as u64 {
        return Err(room.exceeded());
    }
    let kind = request.headers().get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let is_form = kind.is_some_and(|kind| kind.trim_start().starts_with("multipart/form-data"));
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

/// How much more may come.
struct Room {
    left: usize,
    max: usize,
}

impl Room {
    fn take(&mut self, len: usize) -> Result<(), Problem> {
        self.left = self.left.checked_sub(len).ok_or_else(|| self.exceeded())?;
        Ok(())
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
    let mut images = Vec::new();
    while let Some(mut field) =
        patiently(form.next_field()).await?.map_err(|error| broken(&error))?
    {
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
            ("name", _) => parameters.name = Some(text(&mut field, room).await?),
            ("board", _) => parameters.board = Some(text(&mut field, room).await?),
            ("allow_sample_key", _) => {
                parameters.allow_sample_key = match text(&mut field, room).await?.as_str() {
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
    while let Some(chunk) = patiently(field.chunk()).await?.map_err(|error| broken(&error))? {
        room.take(chunk.len())?;
        bytes.extend_from_slice(&chunk);
    }
    Ok(bytes)
}

async fn text(field: &mut Field<'_>, room: &mut Room) -> Result<String, Problem> {
    let mut room = Room { left: room.left.min(LONGEST_TEXT), max: LONGEST_TEXT };
    let bytes = data(field, &mut room).await?;
    String::from_utf8(bytes).map_err(|_| Problem::bad_request("a field is not UTF-8", HINT))
}

async fn patiently<T>(next: impl Future<Output = T>) -> Result<T, Problem> {
    tokio::time::timeout(PATIENCE, next).await.map_err(|_| {
        Problem::new(
            StatusCode::REQUEST_TIMEOUT,
            "too-slow",
            format!("no byte has come for {} s", PATIENCE.as_secs()),
            "send it again",
        )
    })
}

fn broken(error: &dyn std::error::Error) -> Problem {
    Problem::bad_request(format!("the request broke off: {error}"), "send it again")
}
