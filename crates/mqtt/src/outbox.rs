//! Packets on their way out.

use crate::packet::{Kind, PacketId};
use crate::{NoRoom, Writer};

/// The most packets that wait.
const MOST: usize = 12;

/// A packet in the outbox.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Waiting {
    len: usize,
    kind: Kind,
    /// The acknowledgement that lets it go; without one it goes when it is sent.
    until: Option<(Kind, PacketId)>,
    sent: bool,
    /// It was sent on a connection before this one.
    repeated: bool,
}

impl Waiting {
    /// Whether it is of no use on another connection.
    fn is_passing(&self) -> bool {
        self.until.is_none() && self.kind != Kind::Publish
    }
}

/// Packets that wait to be sent, oldest first, and those that wait for their acknowledgement and may
/// have to be sent again, on another connection.
#[derive(Debug)]
pub(crate) struct Outbox<'b> {
    buffer: &'b mut [u8],
    packets: [Option<Waiting>; MOST],
    /// Bytes of the first unsent packet that are sent.
    written: usize,
}

impl<'b> Outbox<'b> {
    /// Packets that only acknowledgements and pings may take.
    pub(crate) const KEPT_PACKETS: usize = 3;
    /// Bytes of these.
    pub(crate) const KEPT_BYTES: usize = 12;

    pub(crate) fn new(buffer: &'b mut [u8]) -> Self {
        Self { buffer, packets: [None; MOST], written: 0 }
    }

    pub(crate) fn clear(&mut self) {
        (self.packets, self.written) = ([None; MOST], 0);
    }

    fn waiting(&self) -> impl Iterator<Item = &Waiting> {
        self.packets.iter().flatten()
    }

    fn used(&self) -> usize {
        self.waiting().map(|packet| packet.len).sum()
    }

    /// Packets that may still be added.
    pub(crate) fn free(&self) -> usize {
        MOST - self.waiting().count()
    }

    /// Adds what `write` writes, leaving `keep` bytes free.
    pub(crate) fn push(
        &mut self,
        kind: Kind,
        until: Option<(Kind, PacketId)>,
        keep: usize,
        write: impl FnOnce(&mut Writer<'_>) -> Result<usize, NoRoom>,
    ) -> Result<(), NoRoom> {
        let (used, end) = (self.used(), self.buffer.len().saturating_sub(keep));
        let full = NoRoom { needed: 0, room: 0 };
        let place = self.packets.iter_mut().find(|packet| packet.is_none()).ok_or(full)?;
        let room = self.buffer.get_mut(used..end).unwrap_or_default();
        let len = write(&mut Writer::new(room))?;
        *place = Some(Waiting { len, kind, until, sent: false, repeated: false });
        Ok(())
    }

    /// What is still to be sent of the first packet that is.
    pub(crate) fn unsent(&self) -> &[u8] {
        let mut start = 0;
        for packet in self.waiting() {
            if !packet.sent {
                let rest = self.buffer.get(start + self.written..start + packet.len);
                return rest.unwrap_or_default();
            }
            start += packet.len;
        }
        &[]
    }

    /// So many bytes of it have been sent.
    pub(crate) fn sent(&mut self, count: usize) {
        let Some(index) = self.waiting().position(|packet| !packet.sent) else { return };
        let Some(Some(packet)) = self.packets.get_mut(index) else { return };
        self.written = self.written.saturating_add(count);
        if self.written < packet.len {
            return;
        }
        self.written = 0;
        packet.sent = true;
        if packet.until.is_none() {
            self.remove(index);
        }
    }

    /// Lets the packet go that waits for this acknowledgement. `false` if there is none, or if it is
    /// not even sent.
    pub(crate) fn acknowledged(&mut self, kind: Kind, id: PacketId) -> bool {
        let found = self.waiting().position(|it| it.sent && it.until == Some((kind, id)));
        found.map(|index| self.remove(index)).is_some()
    }

    /// Whether an acknowledgement of this packet is waited for.
    pub(crate) fn awaits(&self, id: PacketId) -> bool {
        self.waiting().any(|packet| packet.until.is_some_and(|(_, of)| of == id))
    }

    /// Prepares for another connection: what only the last one needed goes, and what was not
    /// acknowledged is to be sent again.
    pub(crate) fn begin_anew(&mut self) {
        self.written = 0;
        loop {
            let passing = self.waiting().position(Waiting::is_passing);
            let Some(index) = passing else { break };
            self.remove(index);
        }
        for packet in self.packets.iter_mut().flatten() {
            packet.repeated |= core::mem::take(&mut packet.sent);
        }
    }

    /// Marks messages that the server may have had before (MQTT-3.3.1-1).
    pub(crate) fn mark_repeated(&mut self) {
        let mut start = 0;
        for packet in self.packets.iter().flatten() {
            if let (true, Kind::Publish, Some(_), Some(first)) =
                (packet.repeated, packet.kind, packet.until, self.buffer.get_mut(start))
            {
                *first |= 0b1000;
            }
            start += packet.len;
        }
    }

    fn remove(&mut self, index: usize) {
        let start: usize = self.waiting().take(index).map(|packet| packet.len).sum();
        let used = self.used();
        let Some(Some(packet)) = self.packets.get(index).copied() else { return };
        if start + packet.len <= used && used <= self.buffer.len() {
            self.buffer.copy_within(start + packet.len..used, start);
        }
        if let Some(slot) = self.packets.get_mut(index) {
            *slot = None;
        }
        self.packets.get_mut(index..).unwrap_or_default().rotate_left(1);
    }
}
