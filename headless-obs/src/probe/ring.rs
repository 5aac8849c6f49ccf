//! Reads the ring: waits for records, then takes them in bounded batches.

use std::time::Duration;

use aya::maps::{MapData, RingBuf};
use headless_obs_ebpf::ring_record::WAKE_PERIOD;
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use tokio::time::{Instant, sleep_until};

use super::{ProbeError, Record};

/// The ring of records.
pub struct Ring {
    fd: AsyncFd<RingBuf<MapData>>,
    /// The last batch ended before the ring was empty, so the kernel will not wake us for the rest.
    is_unfinished: bool,
    /// The time after which to read again without a wake-up: the kernel wakes us once per period.
    again: Option<Instant>,
    /// Records that this version does not know.
    unknown: u64,
}

/// A period, plus the time to write a record.
const AGAIN: Duration = Duration::from_nanos(WAKE_PERIOD + 1_000_000);

impl Ring {
    /// Must be called within a tokio runtime.
    pub(super) fn new(ring: RingBuf<MapData>) -> Result<Self, ProbeError> {
        // SAFETY: `ring` owns its file descriptor and neither closes nor replaces it while it lives.
        let fd = unsafe { AsyncFd::register_with_interest(ring, Interest::READABLE) }
            .map_err(|error| ProbeError::Ring(error.into()))?;
        Ok(Self { fd, is_unfinished: false, again: None, unknown: 0 })
    }

    /// Waits until there may be records. Cancel-safe.
    ///
    /// # Errors
    /// An error of the runtime; none is expected.
    pub async fn readable(&mut self) -> Result<(), ProbeError> {
        if self.is_unfinished {
            return Ok(());
        }
        let again = self.again;
        tokio::select! {
            guard = self.fd.readable_mut() => {
                // Before reading, because a record that arrives during the reading wakes us again.
                guard.map_err(ProbeError::Ring)?.clear_ready();
                self.again = Some(Instant::now() + AGAIN);
            }
            () = sleep_until(again.unwrap_or_else(Instant::now)), if again.is_some() => self.again = None,
        }
        Ok(())
    }

    /// Takes up to `limit` records; returns how many there were.
    pub fn drain(&mut self, limit: usize, mut sink: impl FnMut(Record<'_>)) -> usize {
        let ring = self.fd.get_mut();
        for taken in 0..limit {
            let Some(item) = ring.next() else {
                self.is_unfinished = false;
                // An earlier read has consumed the wake-up for these as well.
                if taken > 0 {
                    self.again = Some(Instant::now() + AGAIN);
                }
                return taken;
            };
            match Record::parse(&item) {
                Some(record) => sink(record),
                None => self.unknown += 1,
            }
        }
        self.is_unfinished = true;
        limit
    }

    /// The number of records so far that this version does not know.
    pub fn unknown(&self) -> u64 {
        self.unknown
    }
}

/// Forwards the programs' diagnostics to the log, until the runtime ends.
pub(super) async fn forward(logger: aya_log::EbpfLogger<&'static dyn log::Log>) {
    // SAFETY: the logger owns its ring's file descriptor and neither closes nor replaces it while it lives.
    let Ok(mut logger) = (unsafe { AsyncFd::register_with_interest(logger, Interest::READABLE) }) else {
        return;
    };
    while let Ok(mut guard) = logger.readable_mut().await {
        guard.get_inner_mut().flush();
        guard.clear_ready();
    }
}
