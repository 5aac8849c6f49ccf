//! The parts of the wire format of DNS messages: numbers and names.
//!
//! In: a message, and a position in it. Out: numbers, and names as text.
//!
//! Invariants: the only dots in a name's text are those between labels. A dot, a backslash or a byte that is not
//! printable ASCII within a label is written `\DDD`, so one label cannot look like two. Reading a name takes at most
//! 255 bytes of labels and [`MAX_POINTERS`] pointers, and each pointer must point further back.

use std::hash::BuildHasher;
use std::sync::Arc;

use hickory_proto::serialize::binary::{BinDecoder, DecodeError};

use super::Name;
use crate::hash::Keyed;

/// The longest name, including the root label.
const MAX_NAME: usize = 255;

/// The most compression pointers in one name; it has at most 127 labels, and each can end in one.
const MAX_POINTERS: usize = 127;

/// The reason why a read failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wrong {
    /// The data ended.
    Cut,
    /// The data breaks the format.
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

/// A cache of names that were read recently. Clients ask for the same few names, so the cache keeps each name once and
/// reads it again without an allocation.
///
/// A name has one slot, and a later name takes the slot over. A client that asks for random names slows down reading
/// for others and does nothing else.
#[derive(Debug)]
pub(super) struct Lately {
    hash: Keyed,
    places: Vec<Name>,
}

/// Number of slots; each name has at most four times [`MAX_NAME`] bytes.
const KEPT: u64 = 256;

impl Default for Lately {
    fn default() -> Self {
        Self { hash: Keyed::default(), places: (0..KEPT).map(|_| Name::default()).collect() }
    }
}

impl Lately {
    fn name(&mut self, text: &str) -> Name {
        let place = usize::try_from(self.hash.hash_one(text) % KEPT).ok();
        let Some(kept) = place.and_then(|place| self.places.get_mut(place)) else { return text.into() };
        if **kept != *text {
            *kept = text.into();
        }
        Arc::clone(kept)
    }
}

/// The owner of a query or a record: a number within its message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Owner(pub(super) usize);

impl Owner {
    /// The owner of the query.
    pub(super) const QUESTION: Self = Self(0);

    /// The owner's name.
    pub(super) fn name(self, owners: &[Name]) -> Option<&Name> {
        owners.get(self.0)
    }

    /// Whether this is the owner's name.
    pub(super) fn is(self, name: &Name, owners: &[Name]) -> bool {
        self.name(owners).is_some_and(|owner| owner == name)
    }
}

/// A pointer to the query name, which begins after the header.
const TO_QUESTION: [u8; 2] = [0xc0, 12];

/// Reads the names of one message.
pub(super) struct Names<'a> {
    message: &'a [u8],
    lately: &'a mut Lately,
    /// Owners, that of the query first. An owner that is written in several ways occurs several times.
    owners: &'a mut Vec<Name>,
    /// The encoded bytes of the last owner.
    last: &'a [u8],
    text: &'a mut Vec<u8>,
}

impl<'a> Names<'a> {
    pub(super) fn of(
        message: &'a [u8],
        lately: &'a mut Lately,
        owners: &'a mut Vec<Name>,
        text: &'a mut Vec<u8>,
    ) -> Self {
        owners.clear();
        Self { message, lately, owners, last: &[], text }
    }

    /// Reads the owner of a query or a record. The first call reads that of the query.
    ///
    /// Most records of an answer have the same owner, with the same bytes. No encoded name is a prefix of another one,
    /// so a comparison of bytes is enough. In most messages the owner is the query name.
    pub(super) fn read_owner(&mut self, decoder: &mut BinDecoder<'_>) -> Result<Owner, Wrong> {
        let start = decoder.index();
        let rest = self.message.get(start..).unwrap_or_default();
        if !self.owners.is_empty() && rest.starts_with(&TO_QUESTION) {
            decoder.read_slice(TO_QUESTION.len())?;
            return Ok(Owner::QUESTION);
        }
        if !self.last.is_empty() && rest.starts_with(self.last) {
            decoder.read_slice(self.last.len())?;
            return Ok(Owner(self.owners.len() - 1));
        }
        let name = self.read(decoder)?;
        self.last = self.message.get(start..decoder.index()).unwrap_or_default();
        self.owners.push(name);
        Ok(Owner(self.owners.len() - 1))
    }

    /// Reads a name.
    pub(super) fn read(&mut self, decoder: &mut BinDecoder<'_>) -> Result<Name, Wrong> {
        let start = decoder.index();
        let end = self.spell(start)?;
        decoder.read_slice(end - start)?;
        // All of it is ASCII.
        Ok(self.lately.name(str::from_utf8(self.text).unwrap_or_default()))
    }

    /// Writes the name that begins at `start` to `text`; returns its end.
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
                    push_label(self.text, label);
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

fn push_label(text: &mut Vec<u8>, label: &[u8]) {
    if !text.is_empty() {
        text.push(b'.');
    }
    // Nearly all labels are in lower case and without special characters.
    if label.iter().all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_')) {
        return text.extend_from_slice(label);
    }
    for &byte in label {
        match byte {
            b'.' | b'\\' | 0..=b' ' | 0x7f.. => {
                let digits = [byte / 100, byte / 10 % 10, byte % 10];
                text.push(b'\\');
                text.extend(digits.map(|digit| b'0' + digit));
            }
            _ => text.push(byte.to_ascii_lowercase()),
        }
    }
}
