//! `/artifacts/SHA256`: downloads, whole or a range.

use std::io::{self, Read, Seek, SeekFrom};
use std::ops::Range;
use std::pin::Pin;
use std::task::{Context, Poll};

use axum::body::{Body, Bytes};
use axum::extract::{Path, State};
use axum::http::{HeaderMap, HeaderName, Method, Response, StatusCode, header};
use http_body::{Frame, SizeHint};
use tokio::task::JoinHandle;

use super::problem::Problem;
use super::{Api, blocking};
use crate::artifacts::Content;
use crate::model::{ArtifactId, Ranged, ranged};

/// Bytes that are read at a time.
const PIECE: u64 = 256 * 1024;
/// What is behind an address never changes.
const CACHE: &str = "private, max-age=31536000, immutable";

/// GET and HEAD.
pub async fn download(
    State(api): State<Api>,
    Path(id): Path<String>,
    method: Method,
    headers: HeaderMap,
) -> Result<Response<Body>, Problem> {
    let id: ArtifactId = id.parse().map_err(|error: crate::model::IdError| {
        Problem::bad_request(error.to_string(), "releases list the sha256 of their images")
    })?;
    let artifact = blocking(move || Ok(api.fleet.artifact(&id)?)).await?;
    let artifact = artifact.ok_or_else(|| {
        let detail = format!("no release has a file {id}");
        let hint = "was its release removed? GET /api/v1/releases lists those that are there";
        Problem::new(StatusCode::NOT_FOUND, "no-such-artifact", detail, hint)
    })?;
    let (size, tag) = (artifact.size, format!("\"{id}\""));
    let response = Response::builder()
        .header(header::ETAG, &tag)
        .header(header::ACCEPT_RANGES, "bytes")
        .header(header::CACHE_CONTROL, CACHE);
    let value = |name: HeaderName| headers.get(name).and_then(|value| value.to_str().ok());
    if value(header::IF_NONE_MATCH).is_some_and(|tags| names(tags, &tag)) {
        return finish(response.status(StatusCode::NOT_MODIFIED).body(Body::empty()));
    }
    let unchanged = value(header::IF_RANGE).is_none_or(|range_of| range_of == tag);
    // Ranges have a meaning for GET alone (RFC 9110, 14.2).
    let range = value(header::RANGE).filter(|_| unchanged && method == Method::GET);
    let response = response.header(header::CONTENT_TYPE, "application/octet-stream");
    let (response, part) = match range.map_or(Ranged::Whole, |range| ranged(range, size)) {
        Ranged::Whole => (response.status(StatusCode::OK), 0..size),
        Ranged::Part(part) => {
            let of = format!("bytes {}-{}/{size}", part.start, part.end - 1);
            let response = response.status(StatusCode::PARTIAL_CONTENT);
            (response.header(header::CONTENT_RANGE, of), part)
        }
        Ranged::Unsatisfiable => {
            let response = response.status(StatusCode::RANGE_NOT_SATISFIABLE);
            let response = response.header(header::CONTENT_RANGE, format!("bytes */{size}"));
            return finish(response.body(Body::empty()));
        }
    };
    let response = response.header(header::CONTENT_LENGTH, part.end - part.start);
    finish(response.body(match method {
        Method::HEAD => Body::empty(),
        _ => Body::new(Pieces::new(artifact.content, part)),
    }))
}

fn finish(response: Result<Response<Body>, axum::http::Error>) -> Result<Response<Body>, Problem> {
    response.map_err(|_| Problem::internal())
}

/// Whether a list of tags names this one. Source: RFC 9110, 13.1.2.
fn names(tags: &str, tag: &str) -> bool {
    let is_it = |other: &str| other.strip_prefix("W/").unwrap_or(other) == tag;
    tags.trim() == "*" || tags.split(',').any(|other| is_it(other.trim()))
}

/// A part of a file, read piece by piece as it is sent: a slow receiver holds a file open, and no
/// thread.
struct Pieces {
    part: Range<u64>,
    state: Reader,
}

enum Reader {
    Idle(Box<dyn Content>),
    Reading(JoinHandle<io::Result<(Box<dyn Content>, Bytes)>>),
    Ended,
}

impl Pieces {
    fn new(content: Box<dyn Content>, part: Range<u64>) -> Self {
        Self { part, state: Reader::Idle(content) }
    }
}

impl http_body::Body for Pieces {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        loop {
            let part = self.part.clone();
            match std::mem::replace(&mut self.state, Reader::Ended) {
                Reader::Ended => return Poll::Ready(None),
                Reader::Idle(_) if part.is_empty() => return Poll::Ready(None),
                Reader::Idle(content) => {
                    let read = move || read(content, &part);
                    self.state = Reader::Reading(tokio::task::spawn_blocking(read));
                }
                Reader::Reading(mut reading) => {
                    let Poll::Ready(read) = Pin::new(&mut reading).poll(context) else {
                        self.state = Reader::Reading(reading);
                        return Poll::Pending;
                    };
                    let read = read.unwrap_or_else(|error| Err(io::Error::other(error)));
                    return Poll::Ready(Some(read.map(|(content, piece)| {
                        self.part.start += piece.len() as u64;
                        self.state = Reader::Idle(content);
                        Frame::data(piece)
                    })));
                }
            }
        }
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.part.end - self.part.start)
    }
}

fn read(mut content: Box<dyn Content>, part: &Range<u64>) -> io::Result<(Box<dyn Content>, Bytes)> {
    let mut piece = vec![0; (part.end - part.start).min(PIECE) as usize];
    content.seek(SeekFrom::Start(part.start))?;
    content.read_exact(&mut piece)?;
    Ok((content, piece.into()))
}
