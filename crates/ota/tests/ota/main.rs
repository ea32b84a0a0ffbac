//! The agent and its protocols, with servers and flash that are played by the tests.

mod archives;
mod aws;
mod cloud;
mod common;
mod ddi;
mod documents;
mod everywhere;
mod hawkbit;
mod hostile;
mod hostile_ddi;
mod http;
mod infineon;
mod limits;
mod pair;
mod power;
mod rules;
mod tar;
mod transcripts;
