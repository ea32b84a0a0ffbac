//! A stream of bytes over a pipe that carries packets, as USB's bulk endpoints do.
//!
//! ```text
//! 64 │ 64 │ 31        a packet that is not full ends what was sent: the other side hands it on
//! 64 │ 64 │ 0         what fills its packets is ended by one without bytes
//! ```
//! One packet waits on each side. A sender that is faster than the pipe waits for
//! [`Packets::send_with`] to take the packet; a pipe that is faster than the receiver keeps the next
//! packet until [`Packets::receive_with`] asks for it, and the other side is told to wait.
//!
//! Source: USB 2.0 specification, 5.8.3, "Bulk Transfer Packet Size Constraints".

/// Both directions of a pipe with packets of at most `SIZE` bytes.
#[derive(Clone, Debug)]
pub struct Packets<const SIZE: usize> {
    incoming: [u8; SIZE],
    /// Of the packet that came last: its bytes, and how many of them have been taken.
    came: usize,
    taken: usize,
    outgoing: [u8; SIZE],
    /// Bytes of the packet that leaves next.
    filled: usize,
    /// The last packet that left was full, so that the other side waits for more.
    open: bool,
}

impl<const SIZE: usize> Packets<SIZE> {
    /// Nothing has come, nothing is to leave.
    pub const fn new() -> Self {
        let (incoming, outgoing) = ([0; SIZE], [0; SIZE]);
        Self { incoming, came: 0, taken: 0, outgoing, filled: 0, open: false }
    }

    /// Forgets everything: the other side has gone, or begins anew.
    pub fn reset(&mut self) {
        *self = Self::new();
    }

    /// Has `read` write the next packet into a buffer and return its length, unless there are bytes
    /// of the last one left. `None` from `read`: there is no packet.
    pub fn receive_with(&mut self, read: impl FnOnce(&mut [u8]) -> Option<usize>) {
        if self.has_come() {
            return;
        }
        (self.taken, self.came) = (0, 0);
        if let Some(len) = read(&mut self.incoming) {
            self.came = len.min(SIZE);
        }
    }

    /// The next byte that has come.
    pub fn take(&mut self) -> Option<u8> {
        let byte = self.incoming.get(self.taken..self.came)?.first()?;
        self.taken = self.taken.saturating_add(1);
        Some(*byte)
    }

    /// Whether there is a byte to take.
    pub fn has_come(&self) -> bool {
        self.taken < self.came
    }

    /// Adds a byte to the packet that leaves next. `false`: it is full, and has to leave first.
    #[must_use]
    pub fn put(&mut self, byte: u8) -> bool {
        let Some(place) = self.outgoing.get_mut(self.filled) else { return false };
        *place = byte;
        self.filled = self.filled.saturating_add(1);
        true
    }

    /// Whether something is to leave: bytes, or the packet without any that ends what has left.
    pub fn is_waiting(&self) -> bool {
        self.filled > 0 || self.open
    }

    /// Offers the packet that leaves next to `write`, which returns whether the pipe has taken it.
    /// It is to be called as soon as a packet is full, and at a pause of what is sent: a packet that is
    /// not full leaves then.
    pub fn send_with(&mut self, write: impl FnOnce(&[u8]) -> bool) {
        let packet = self.outgoing.get(..self.filled).unwrap_or_default();
        if self.is_waiting() && write(packet) {
            self.open = self.filled == SIZE;
            self.filled = 0;
        }
    }
}

impl<const SIZE: usize> Default for Packets<SIZE> {
    fn default() -> Self {
        Self::new()
    }
}
