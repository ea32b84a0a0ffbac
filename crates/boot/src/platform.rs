//! What a board gives its bootloader to work with.

use crate::{Event, NoCounters, SecurityCounters, factory};
use updraft_flash::FlashMap;
use updraft_image::Verifier;

/// The parts that a boot needs besides its configuration. Each may be the thing itself or a
/// mutable reference to it.
///
/// ```
/// # use updraft_boot::{Event, Platform};
/// # fn console<M: updraft_flash::FlashMap>(map: &mut M) {
/// let mut platform = Platform::new(map, updraft_image::HashOnly)
///     .with_hooks(|image: u8, event: Event<_>| { /* print it */ });
/// # }
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Platform<M, V, C = NoCounters, H = NoHooks> {
    /// The flash.
    pub flash: M,
    /// Checks signatures.
    pub verifier: V,
    /// Remembers security counters.
    pub counters: C,
    /// What the board wants to be told.
    pub hooks: H,
}

impl<M: FlashMap, V: Verifier> Platform<M, V> {
    /// A board without security counters that wants to hear nothing.
    pub fn new(flash: M, verifier: V) -> Self {
        Self { flash, verifier, counters: NoCounters, hooks: NoHooks }
    }
}

impl<M, V, C, H> Platform<M, V, C, H> {
    /// With a store of security counters.
    pub fn with_counters<D: SecurityCounters>(self, counters: D) -> Platform<M, V, D, H> {
        let Self { flash, verifier, hooks, .. } = self;
        Platform { flash, verifier, counters, hooks }
    }

    /// With somebody who is told what happens.
    pub fn with_hooks<I>(self, hooks: I) -> Platform<M, V, C, I>
    where
        M: FlashMap,
        I: Hooks<M::Error>,
    {
        let Self { flash, verifier, counters, .. } = self;
        Platform { flash, verifier, counters, hooks }
    }
}

/// What the course of a boot tells the board.
///
/// A closure of an image number and an event is one.
pub trait Hooks<E> {
    /// Something happened to image number `image` that is worth a line on the console.
    fn event(&mut self, image: u8, event: Event<E>);

    /// A rollback to the factory image has come to a step that has a line of its own.
    fn line(&mut self, _line: factory::Line) {}
}

/// Hears nothing.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoHooks;

impl<E> Hooks<E> for NoHooks {
    fn event(&mut self, _: u8, _: Event<E>) {}
}

impl<E, F: FnMut(u8, Event<E>)> Hooks<E> for F {
    fn event(&mut self, image: u8, event: Event<E>) {
        self(image, event);
    }
}
