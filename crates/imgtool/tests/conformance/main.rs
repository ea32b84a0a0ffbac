//! Against imgtool 2.5.0 itself: the same command lines, side by side, and what was recorded of it.
//!
//! The one Python process that runs imgtool's command lines is `driver.py`, started with
//! `UPDRAFT_IMGTOOL`'s neighbour or `.tools/venv/bin/python`; without it these tests fail, unless
//! `UPDRAFT_CORE=1` leaves out what needs foreign tools. `UPDRAFT_SEED` replays a run.

mod callers;
mod compare;
mod differences;
mod keys;
mod pairs;
mod peer;
mod random;
mod recorded;
mod rules;
mod side_by_side;
mod space;
mod workspace;
