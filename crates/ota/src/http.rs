//! HTTP/1.1 for a client that asks for one thing at a time: requests, ranges, answers.
//!
//! A request is written whole, an answer is read piece by piece: its head line by line, in little
//! memory, its body into a buffer that bounds it.
//!
//! Sources: RFC 9110 (ranges: section 14), RFC 9112 (framing: sections 4 to 7).

mod answer;
mod request;
mod url;

pub use answer::{Answer, Exchange, Head};
pub use request::{Method, Request};
pub use url::Url;
