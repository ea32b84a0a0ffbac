//! `/api/v1/releases`.

use std::sync::Arc;

use axum::Json;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Path, Query, Request, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use serde_json::json;

use super::problem::Problem;
use super::{Api, blocking, upload};
use crate::fleet::Submitted;
use crate::model::ReleaseName;

/// Releases that are listed at once, if the request does not say how many.
const USUAL_PAGE: usize = 100;
/// Releases that are listed at once at most.
const LARGEST_PAGE: usize = 1000;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Page {
    after: Option<ReleaseName>,
    limit: Option<usize>,
}

/// GET: releases by name.
pub async fn list(
    State(api): State<Api>,
    page: Result<Query<Page>, QueryRejection>,
) -> Result<Response, Problem> {
    let Query(Page { after, limit }) = page.map_err(|rejection| query(&rejection))?;
    let limit = limit.unwrap_or(USUAL_PAGE).clamp(1, LARGEST_PAGE);
    let releases = blocking(move || {
        // One more tells whether there are more.
        Ok(api.fleet.releases(after.as_ref(), limit + 1)?)
    });
    let mut releases = releases.await?;
    let more = releases.len() > limit;
    releases.truncate(limit);
    let next = releases.last().filter(|_| more).map(|release| release.name.clone());
    Ok(Json(json!({ "releases": releases, "next": next })).into_response())
}

/// POST: adds a release.
pub async fn add(
    State(api): State<Api>,
    parameters: Result<Query<upload::Parameters>, QueryRejection>,
    request: Request,
) -> Result<Response, Problem> {
    let Query(parameters) = parameters.map_err(|rejection| query(&rejection))?;
    // However many upload at once, the memory for it has a bound.
    let uploads = Arc::clone(&api.uploads);
    let turn = uploads.acquire_owned().await.map_err(|_| Problem::internal())?;
    let submission = upload::receive(request, parameters, api.max_upload).await?;
    let submitted = blocking(move || {
        let _until_checked = turn;
        Ok(api.fleet.submit(&submission)?)
    });
    match submitted.await? {
        Submitted::New(release) => {
            let location = format!("/api/v1/releases/{}", release.name);
            let created = (StatusCode::CREATED, [(header::LOCATION, location)], Json(release));
            Ok(created.into_response())
        }
        Submitted::Same(release) => Ok(Json(release).into_response()),
    }
}

/// GET: one release.
pub async fn show(State(api): State<Api>, Path(name): Path<String>) -> Result<Response, Problem> {
    let name: ReleaseName = name.parse()?;
    let wanted = name.clone();
    let release = blocking(move || Ok(api.fleet.release(&wanted)?)).await?;
    release.map(|release| Json(release).into_response()).ok_or_else(|| unknown(&name))
}

/// DELETE: forgets a release, and answers what it was.
pub async fn remove(State(api): State<Api>, Path(name): Path<String>) -> Result<Response, Problem> {
    let name: ReleaseName = name.parse()?;
    let wanted = name.clone();
    let removed = blocking(move || Ok(api.fleet.remove(&wanted)?)).await?;
    removed.map(|release| Json(release).into_response()).ok_or_else(|| unknown(&name))
}

fn unknown(name: &ReleaseName) -> Problem {
    Problem::new(
        StatusCode::NOT_FOUND,
        "no-such-release",
        format!("there is no release {name}"),
        "GET /api/v1/releases lists them",
    )
}

fn query(rejection: &QueryRejection) -> Problem {
    Problem::bad_request(
        rejection.body_text(),
        "docs/fleet.md lists the parameters of each request",
    )
}
