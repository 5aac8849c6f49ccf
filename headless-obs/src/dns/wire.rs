//! The parts of the wire format that DNS messages are made of: numbers and names.
//!
//! In: a message, and a place in it. Out: numbers, and names as text.
//!
//! Invariants: a name's text has no dots but those between labels: a byte that is no printable ASCII, a dot or
//! a backslash within a label is written `\DDD`, so no label can pass itself off as two. Reading a name takes
//! at most 255 bytes of labels and [`MAX_POINTERS`] pointers, each of which must point further back.

use std::sync::Arc;

use hickory_proto::serialize::binary::{BinDecoder, DecodeError};

use super::Name;

/// The longest name, root label included.
const MAX_NAME: usize = 255;

/// The most compression pointers in one name; it has at most 127 labels, and each can end in one.
const MAX_POINTERS: usize = 127;

/// Why reading stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wrong {
    /// The bytes ended.
    Cut,
    /// The bytes break the format.
    Malformed,
}

impl From<DecodeError> for Wrong {
    fn from(error: DecodeError) -> Self {
        match error {
            DecodeError::InsufficientBytes => Self::Cut,
            _ => Self::Malformed,
        }
    }
}

pub(super) fn u16(decoder: &mut BinDecoder<'_>) -> Result<u16, Wrong> {
    Ok(decoder.read_u16()?.unverified())
}

pub(super) fn u32(decoder: &mut BinDecoder<'_>) -> Result<u32, Wrong> {
    Ok(decoder.read_u32()?.unverified())
}

/// Reads the names of one message.
pub(super) struct Names<'a> {
    message: &'a [u8],
    /// The owner read last: its bytes in the message, and the name.
    owner: Option<(&'a [u8], Name)>,
    text: String,
}

impl<'a> Names<'a> {
    pub(super) fn of(message: &'a [u8]) -> Self {
        Self { message, owner: None, text: String::new() }
    }

    /// Reads a name that owns a question or a record.
    ///
    /// Most records of an answer have the same owner, written with the same bytes. No encoded name is the
    /// beginning of another one, so comparing the bytes is enough.
    pub(super) fn read_owner(&mut self, decoder: &mut BinDecoder<'_>) -> Result<Name, Wrong> {
        let start = decoder.index();
        if let Some((bytes, name)) = &self.owner
            && self.message.get(start..).is_some_and(|rest| rest.starts_with(bytes))
        {
            decoder.read_slice(bytes.len())?;
            return Ok(Arc::clone(name));
        }
        let name = self.read(decoder)?;
        if let Some(bytes) = self.message.get(start..decoder.index()) {
            self.owner = Some((bytes, Arc::clone(&name)));
        }
        Ok(name)
    }

    /// Reads a name.
    pub(super) fn read(&mut self, decoder: &mut BinDecoder<'_>) -> Result<Name, Wrong> {
        let start = decoder.index();
        let end = self.spell(start)?;
        decoder.read_slice(end - start)?;
        Ok(Arc::from(self.text.as_str()))
    }

    /// Writes the name that begins at `start` to `text`; returns where it ends.
    fn spell(&mut self, start: usize) -> Result<usize, Wrong> {
        self.text.clear();
        let (mut at, mut limit) = (start, start);
        let (mut length, mut pointers) = (1, 0);
        let mut end = None;
        loop {
            let head = *self.message.get(at).ok_or(Wrong::Cut)?;
            match head {
                0 => return Ok(end.unwrap_or(at + 1)),
                1..=63 => {
                    let next = at + 1 + usize::from(head);
                    let label = self.message.get(at + 1..next).ok_or(Wrong::Cut)?;
                    length += next - at;
                    if length > MAX_NAME {
                        return Err(Wrong::Malformed);
                    }
                    push_label(&mut self.text, label);
                    at = next;
                }
                0xc0.. => {
                    let low = *self.message.get(at + 1).ok_or(Wrong::Cut)?;
                    let target = usize::from(u16::from_be_bytes([head & 0x3f, low]));
                    pointers += 1;
                    if target >= limit || pointers > MAX_POINTERS {
                        return Err(Wrong::Malformed);
                    }
                    end.get_or_insert(at + 2);
                    (at, limit) = (target, target);
                }
                64..=0xbf => return Err(Wrong::Malformed),
            }
        }
    }
}

fn push_label(text: &mut String, label: &[u8]) {
    if !text.is_empty() {
        text.push('.');
    }
    for &byte in label {
        match byte {
            b'.' | b'\\' | 0..=b' ' | 0x7f.. => {
                text.push('\\');
                for digit in [byte / 100, byte / 10 % 10, byte % 10] {
                    text.push(char::from(b'0' + digit));
                }
            }
            _ => text.push(char::from(byte.to_ascii_lowercase())),
        }
    }
}
