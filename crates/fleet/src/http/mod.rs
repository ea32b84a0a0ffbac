//! The API: `/api/v1/releases`, and `/artifacts/SHA256` for downloads.
//!
//! ```text
//! request ─▶ gate: whose token, may it? ─▶ releases | artifacts ─▶ Fleet
//!              └─▶ one event for the log
//! ```
//! What waits for the disk or computes long runs on threads that may wait.

mod artifacts;
mod problem;
mod releases;
mod upload;

use std::sync::Arc;
use std::time::Instant;

use axum::Router;
use axum::extract::{DefaultBodyLimit, Request, State};
use axum::http::{HeaderMap, Method, StatusCode, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use tokio::sync::Semaphore;

use crate::fleet::Fleet;
use crate::server::{Event, Log};
use crate::token::{Access, TokenRecord};

pub use problem::Problem;

/// Uploads that are in memory at the same time; others wait for their turn.
const UPLOADS: usize = 4;

/// What all requests share.
#[derive(Clone)]
struct Api {
    fleet: Arc<Fleet>,
    log: Log,
    max_upload: usize,
    uploads: Arc<Semaphore>,
}

/// The API over `fleet`. Requests of more than `max_upload` bytes are refused.
pub fn router(fleet: Arc<Fleet>, max_upload: usize, log: Log) -> Router {
    let api = Api { fleet, log, max_upload, uploads: Arc::new(Semaphore::new(UPLOADS)) };
    Router::new()
        .route("/api/v1/releases", get(releases::list).post(releases::add))
        .route("/api/v1/releases/{name}", get(releases::show).delete(releases::remove))
        .route("/artifacts/{sha256}", get(artifacts::download))
        .fallback(not_found)
        .method_not_allowed_fallback(not_allowed)
        // Forms are held in memory before their parts are counted.
        .layer(DefaultBodyLimit::max(max_upload))
        .layer(middleware::from_fn_with_state(api.clone(), gate))
        .with_state(api)
}

/// Lets nobody through without a token that is good for the request, and tells the log.
async fn gate(State(api): State<Api>, request: Request, next: Next) -> Response {
    let begun = Instant::now();
    let (method, path) = (request.method().clone(), request.uri().path().to_owned());
    let presented = presented(request.headers());
    // What was begun is done, and told, even if nobody waits for the answer any more.
    let answered = tokio::spawn(async move {
        let (token, response) = match authorize(&api, presented, &method).await {
            Ok(token) => (Some(token.name), next.run(request).await),
            Err(problem) => (None, problem.into_response()),
        };
        let problem = response.extensions().get::<Problem>();
        (api.log)(&Event::Request {
            method: method.as_str(),
            path: &path,
            status: response.status().as_u16(),
            milliseconds: u64::try_from(begun.elapsed().as_millis()).unwrap_or(u64::MAX),
            token: token.as_deref(),
            problem: problem.map(Problem::detail),
        });
        response
    });
    answered.await.unwrap_or_else(|_| Problem::internal().into_response())
}

/// The bearer token of a request. Source: RFC 6750, section 2.1.
fn presented(headers: &HeaderMap) -> Option<String> {
    let value = headers.get(header::AUTHORIZATION)?.to_str().ok()?;
    let (scheme, token) = value.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim().to_owned())
}

async fn authorize(
    api: &Api,
    presented: Option<String>,
    method: &Method,
) -> Result<TokenRecord, Problem> {
    let unauthorized = |detail: &str| {
        let hint = "`updraft fleet token new` makes a token where the server's data is; send it as \
                    Authorization: Bearer TOKEN";
        Problem::new(StatusCode::UNAUTHORIZED, "no-token", detail, hint)
    };
    let Some(presented) = presented else {
        return Err(unauthorized("there is no bearer token in the request"));
    };
    let fleet = Arc::clone(&api.fleet);
    let token = blocking(move || Ok(fleet.authenticate(&presented)?)).await?;
    let token = token.ok_or_else(|| unauthorized("the token is none of this server's"))?;
    let reads = matches!(*method, Method::GET | Method::HEAD);
    if !reads && token.access != Access::Write {
        return Err(Problem::new(
            StatusCode::FORBIDDEN,
            "read-only-token",
            format!("the token {:?} is for reading alone", token.name),
            "`updraft fleet token new` without --read-only makes one that may write",
        ));
    }
    Ok(token)
}

/// Runs what may wait where it may.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, Problem> + Send + 'static,
) -> Result<T, Problem> {
    tokio::task::spawn_blocking(work).await.unwrap_or_else(|_| Err(Problem::internal()))
}

async fn not_found() -> Problem {
    Problem::new(
        StatusCode::NOT_FOUND,
        "not-found",
        "there is nothing at this path",
        "the API is at /api/v1/releases and /artifacts/SHA256",
    )
}

async fn not_allowed(method: Method) -> Problem {
    Problem::new(
        StatusCode::METHOD_NOT_ALLOWED,
        "method-not-allowed",
        format!("{method} does nothing here"),
        "releases take GET, POST and DELETE, artifacts GET and HEAD",
    )
}
