//! Upgrades on generated boards: power cuts, sequences of actions, states out of the ordinary.

mod any_sequence;
mod board;
mod compressed;
mod counters;
mod encrypted;
mod equal_slots;
mod factory;
mod faults;
mod headers;
mod hooks;
mod in_common;
mod power_cuts;
mod put_off;
mod rollback_protection;
mod several_images;
mod shared_data;
mod unusual_states;
mod weaknesses;
mod wear;
mod wiped;
