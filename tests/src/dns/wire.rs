//! Writes DNS messages byte by byte, so that tests can choose compression, letter case and truncation.
//!
//! In: the question section's bytes, records, options. Out: one message.

use std::collections::HashMap;
use std::net::IpAddr;

use super::Data;
use anyhow::{Context, Result, ensure};

const HEADER: usize = 12;
const OPT_LENGTH: usize = 11;
const CLASS_IN: u16 = 1;

/// Record types.
pub(crate) mod types {
    pub(crate) const A: u16 = 1;
    pub(crate) const CNAME: u16 = 5;
    pub(crate) const AAAA: u16 = 28;
    pub(crate) const SRV: u16 = 33;
    pub(crate) const OPT: u16 = 41;
}

/// A record with its owner.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Record {
    pub(crate) owner: String,
    pub(crate) ttl: u32,
    pub(crate) data: Data,
}

/// The type of a record's data.
pub(crate) fn type_of(data: &Data) -> u16 {
    match data {
        Data::Address(IpAddr::V4(_)) => types::A,
        Data::Address(IpAddr::V6(_)) => types::AAAA,
        Data::Cname(_) => types::CNAME,
        Data::Srv { .. } => types::SRV,
    }
}

/// A message to be written.
pub(crate) struct Answer<'a> {
    pub(crate) id: u16,
    /// The query asked for recursion.
    pub(crate) recursion: bool,
    pub(crate) rcode: u8,
    /// The question section as it came, or with its name in lower case.
    pub(crate) question: &'a [u8],
    pub(crate) answers: &'a [Record],
    pub(crate) additionals: &'a [Record],
    /// Write an OPT record.
    pub(crate) edns: bool,
    pub(crate) compress: bool,
    /// Maximum length of the message. Additional records that do not fit are left out; answers that do not fit set TC.
    pub(crate) limit: usize,
    /// A message with TC has no records.
    pub(crate) truncate_to_nothing: bool,
    /// Set TC even if everything fits.
    pub(crate) truncate: bool,
}

impl Answer<'_> {
    /// The message, and whether it has TC set.
    pub(crate) fn write(&self) -> Result<(Vec<u8>, bool)> {
        let limit = self.limit.saturating_sub(if self.edns { OPT_LENGTH } else { 0 });
        let mut writer = Writer::new(self.question, self.compress)?;
        let mut truncated = self.truncate;
        let mut counts = [0_u16; 2];
        if !self.truncate {
            for record in self.answers {
                if !writer.record_within(record, limit)? {
                    truncated = true;
                    break;
                }
                counts[0] += 1;
            }
            for record in if truncated { &[] } else { self.additionals } {
                if !writer.record_within(record, limit)? {
                    break;
                }
                counts[1] += 1;
            }
        }
        if truncated && self.truncate_to_nothing {
            writer.bytes.truncate(HEADER + self.question.len());
            counts = [0, 0];
        }
        if self.edns {
            writer.bytes.push(0);
            writer.u16(types::OPT);
            writer.u16(1232);
            writer.bytes.extend([0; 6]);
            counts[1] += 1;
        }
        let mut flags = 0x8400 | u16::from(self.rcode);
        flags |= if truncated { 0x0200 } else { 0 } | if self.recursion { 0x0180 } else { 0 };
        let header = [self.id, flags, 1, counts[0], 0, counts[1]];
        for (place, value) in writer.bytes.chunks_exact_mut(2).zip(header) {
            place.copy_from_slice(&value.to_be_bytes());
        }
        Ok((writer.bytes, truncated))
    }
}

struct Writer {
    bytes: Vec<u8>,
    /// First position of each name and of each of its suffixes; `None` without compression.
    places: Option<HashMap<String, u16>>,
}

impl Writer {
    fn new(question: &[u8], compress: bool) -> Result<Self> {
        let mut bytes = vec![0; HEADER];
        bytes.extend(question);
        let mut writer = Self { bytes, places: compress.then(HashMap::new) };
        if let Some(places) = &mut writer.places {
            let mut at = 0;
            while let Some(&length @ 1..) = question.get(at) {
                let name = text_of(question, at)?;
                places.insert(name, u16::try_from(HEADER + at)?);
                at += 1 + usize::from(length);
            }
        }
        Ok(writer)
    }

    fn u16(&mut self, value: u16) {
        self.bytes.extend(value.to_be_bytes());
    }

    /// Writes a record unless the message would exceed the limit. After that no more records may follow: `places` still
    /// has names of the removed record.
    fn record_within(&mut self, record: &Record, limit: usize) -> Result<bool> {
        let before = self.bytes.len();
        self.record(record)?;
        if self.bytes.len() <= limit {
            return Ok(true);
        }
        self.bytes.truncate(before);
        Ok(false)
    }

    fn record(&mut self, record: &Record) -> Result<()> {
        self.name(&record.owner)?;
        self.u16(type_of(&record.data));
        self.u16(CLASS_IN);
        self.bytes.extend(record.ttl.to_be_bytes());
        let start = self.bytes.len();
        self.u16(0);
        match &record.data {
            Data::Address(IpAddr::V4(address)) => self.bytes.extend(address.octets()),
            Data::Address(IpAddr::V6(address)) => self.bytes.extend(address.octets()),
            Data::Cname(name) => self.name(name)?,
            Data::Srv { priority, weight, port, target } => {
                self.u16(*priority);
                self.u16(*weight);
                self.u16(*port);
                // RFC 2782: the target is not compressed.
                self.plain_name(target)?;
            }
        }
        let length = u16::try_from(self.bytes.len() - start - 2).context("record too long")?;
        self.bytes[start..start + 2].copy_from_slice(&length.to_be_bytes());
        Ok(())
    }

    fn name(&mut self, name: &str) -> Result<()> {
        if self.places.is_none() {
            return self.plain_name(name);
        }
        let mut rest = name;
        while !rest.is_empty() {
            let here = self.bytes.len();
            if let Some(places) = &mut self.places {
                if let Some(&place) = places.get(rest) {
                    self.u16(0xC000 | place);
                    return Ok(());
                }
                if let Some(place) = u16::try_from(here).ok().filter(|place| *place < 0x4000) {
                    places.insert(rest.to_owned(), place);
                }
            }
            let (label, tail) = rest.split_once('.').unwrap_or((rest, ""));
            self.label(label)?;
            rest = tail;
        }
        self.bytes.push(0);
        Ok(())
    }

    fn plain_name(&mut self, name: &str) -> Result<()> {
        for label in name.split('.').filter(|label| !label.is_empty()) {
            self.label(label)?;
        }
        self.bytes.push(0);
        Ok(())
    }

    fn label(&mut self, label: &str) -> Result<()> {
        ensure!((1..=63).contains(&label.len()), "{label:?} is no DNS label: 1 to 63 bytes");
        self.bytes.push(u8::try_from(label.len())?);
        self.bytes.extend(label.as_bytes());
        Ok(())
    }
}

/// The name at position `at` of a question section, with dots, without the final one.
pub(crate) fn text_of(question: &[u8], mut at: usize) -> Result<String> {
    let mut labels = Vec::new();
    loop {
        let length = usize::from(*question.get(at).context("the question ends within its name")?);
        if length == 0 {
            return Ok(labels.join("."));
        }
        ensure!(length < 64, "the question's name is compressed, which this server does not support");
        let label = question.get(at + 1..at + 1 + length).context("the question ends within its name")?;
        labels.push(String::from_utf8_lossy(label).into_owned());
        at += 1 + length;
    }
}
