//! Errors as the API tells them: `application/problem+json` (RFC 9457) with what to do.

use std::io;

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::{Map, Value, json};

use crate::fleet::{ArtifactError, SubmitError};
use crate::model::{NameError, Reason, Refused};
use crate::store::StoreError;

/// An error of the API.
#[derive(Clone, Debug)]
pub struct Problem {
    status: StatusCode,
    /// A word for programs: the end of `type`.
    code: &'static str,
    detail: String,
    hint: String,
    /// Further members.
    facts: Map<String, Value>,
}

impl Problem {
    /// An error with its cause and what to do.
    pub fn new(
        status: StatusCode,
        code: &'static str,
        detail: impl Into<String>,
        hint: impl Into<String>,
    ) -> Self {
        let (detail, hint) = (detail.into(), hint.into());
        Self { status, code, detail, hint, facts: Map::new() }
    }

    /// A request that cannot be understood.
    pub fn bad_request(detail: impl Into<String>, hint: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "bad-request", detail, hint)
    }

    /// The server's own fault, of which only the log tells more.
    pub fn internal() -> Self {
        Self::new(
            StatusCode::INTERNAL_SERVER_ERROR,
            "internal",
            "the server failed at this request",
            "its log tells why",
        )
    }

    fn with(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.facts.insert(name.to_owned(), value.into());
        self
    }

    /// What went wrong, for the log.
    pub fn detail(&self) -> &str {
        &self.detail
    }
}

impl From<Refused> for Problem {
    fn from(refused: Refused) -> Self {
        let Refused { image, reason } = refused;
        let (code, detail, hint) = (reason.code(), reason.to_string(), reason.hint());
        let mut problem = Self::new(StatusCode::UNPROCESSABLE_ENTITY, code, detail, hint);
        if let Some(image) = image {
            problem = problem.with("image", image);
        }
        match reason {
            Reason::SampleKey { key, .. } => {
                problem.with("key", key.name).with("origin", key.origin)
            }
            _ => problem,
        }
    }
}

impl From<SubmitError> for Problem {
    fn from(error: SubmitError) -> Self {
        match error {
            SubmitError::Refused(refused) => refused.into(),
            SubmitError::Store(error) => error.into(),
            SubmitError::Artifacts(error) => storage(&error),
            SubmitError::Taken(there) => {
                let detail = format!("there is a release {} with other content", there.name);
                let hint = "give it another name, or remove the release that is there";
                let files: Vec<_> =
                    there.images.iter().map(|image| image.sha256.to_string()).collect();
                Self::new(StatusCode::CONFLICT, "name-taken", detail, hint).with("sha256", files)
            }
        }
    }
}

impl From<ArtifactError> for Problem {
    fn from(error: ArtifactError) -> Self {
        match error {
            ArtifactError::Withheld(reason) => {
                let detail = format!("the server does not give it out any more: {reason}");
                Self::new(StatusCode::FORBIDDEN, reason.code(), detail, reason.hint())
            }
            ArtifactError::Store(error) => error.into(),
            ArtifactError::Artifacts(error) => storage(&error),
        }
    }
}

impl From<StoreError> for Problem {
    fn from(error: StoreError) -> Self {
        let status = match error {
            StoreError::Full => StatusCode::INSUFFICIENT_STORAGE,
            _ => StatusCode::INTERNAL_SERVER_ERROR,
        };
        Self::new(status, "storage", chain(&error), error.hint())
    }
}

impl From<NameError> for Problem {
    fn from(error: NameError) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "bad-name", error.to_string(), error.hint())
    }
}

/// Files that cannot be kept or read.
fn storage(error: &io::Error) -> Problem {
    use io::ErrorKind::{FileTooLarge, QuotaExceeded, StorageFull};
    let (status, hint) = match error.kind() {
        StorageFull | QuotaExceeded | FileTooLarge => (
            StatusCode::INSUFFICIENT_STORAGE,
            "make room on the disk that holds the server's data, and try again",
        ),
        _ => (
            StatusCode::INTERNAL_SERVER_ERROR,
            "check that the server's data folder is there, and that the server may write in it",
        ),
    };
    Problem::new(status, "storage", format!("the files of releases cannot be used: {error}"), hint)
}

/// An error with its causes.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text += &format!(": {error}");
        cause = error.source();
    }
    text
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let Self { status, code, detail, hint, facts } = self.clone();
        let mut body = json!({
            "type": format!("urn:updraft:problem:{code}"),
            "title": code.replace('-', " "),
            "status": status.as_u16(),
            "detail": detail,
            "hint": hint,
        });
        if let Some(object) = body.as_object_mut() {
            object.extend(facts);
        }
        let mut response = (status, axum::Json(body)).into_response();
        let kind = HeaderValue::from_static("application/problem+json");
        response.headers_mut().insert(header::CONTENT_TYPE, kind);
        if status == StatusCode::UNAUTHORIZED {
            let bearer = HeaderValue::from_static("Bearer realm=\"updraft\"");
            response.headers_mut().insert(header::WWW_AUTHENTICATE, bearer);
        }
        // The log tells of it in words.
        response.extensions_mut().insert(self);
        response
    }
}
