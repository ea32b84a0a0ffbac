//! Short bytes and texts that are kept.

use core::fmt;

/// Up to `N` bytes.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Label<const N: usize> {
    bytes: [u8; N],
    len: usize,
}

impl<const N: usize> Label<N> {
    /// Nothing.
    pub const EMPTY: Self = Self { bytes: [0; N], len: 0 };

    /// Keeps `bytes`; `None` if they are too many.
    pub fn new(bytes: &[u8]) -> Option<Self> {
        let mut label = Self::EMPTY;
        label.bytes.get_mut(..bytes.len())?.copy_from_slice(bytes);
        label.len = bytes.len();
        Some(label)
    }

    /// Keeps the characters of a text; `None` if they are too many.
    pub fn of(text: crate::json::Text<'_>) -> Option<Self> {
        let mut buffer = [0; N];
        // Texts without escapes are not copied to the buffer, and so not held against its size.
        Self::new(text.copied(&mut buffer)?.as_bytes())
    }

    /// The bytes.
    pub fn bytes(&self) -> &[u8] {
        self.bytes.get(..self.len).unwrap_or_default()
    }

    /// The text; empty if it is none.
    pub fn text(&self) -> &str {
        core::str::from_utf8(self.bytes()).unwrap_or_default()
    }

    /// Whether there is nothing.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }
}

impl<const N: usize> Default for Label<N> {
    fn default() -> Self {
        Self::EMPTY
    }
}

impl<const N: usize> fmt::Debug for Label<N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.text())
    }
}

impl<const N: usize> fmt::Write for Label<N> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let end = self.len.saturating_add(text.len());
        self.bytes.get_mut(self.len..end).ok_or(fmt::Error)?.copy_from_slice(text.as_bytes());
        self.len = end;
        Ok(())
    }
}
