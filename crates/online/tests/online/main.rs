//! Machines on real lines: mosquitto as the broker, with TLS and without, its own clients as
//! witnesses.

mod broker;
mod certificates;
mod elsewhere;
mod lines;
mod many;
mod pressure;
mod revoked;
mod stalled;
mod talker;
