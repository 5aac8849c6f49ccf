//! Reading the ring: wait until there is something, then take it in bounded batches.

use aya::maps::{MapData, RingBuf};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

use super::{ProbeError, Record};

/// The ring of records.
pub struct Ring {
    fd: AsyncFd<RingBuf<MapData>>,
    /// The last batch ended before the ring was empty: the kernel will not wake us for what is left.
    is_unfinished: bool,
    /// Records that this version cannot read.
    unknown: u64,
}

impl Ring {
    /// Must be called within a tokio runtime.
    pub(super) fn new(ring: RingBuf<MapData>) -> Result<Self, ProbeError> {
        // SAFETY: `ring` owns its file descriptor and neither closes nor replaces it while it lives.
        let fd = unsafe { AsyncFd::register_with_interest(ring, Interest::READABLE) }
            .map_err(|error| ProbeError::Ring(error.into()))?;
        Ok(Self { fd, is_unfinished: false, unknown: 0 })
    }

    /// Waits until there may be records. Cancel-safe.
    ///
    /// # Errors
    /// The runtime's own; none is expected.
    pub async fn readable(&mut self) -> Result<(), ProbeError> {
        if !self.is_unfinished {
            let mut guard = self.fd.readable_mut().await.map_err(ProbeError::Ring)?;
            // Before reading: a record that arrives while we read wakes us again.
            guard.clear_ready();
        }
        Ok(())
    }

    /// Takes up to `limit` records; returns how many there were.
    pub fn drain(&mut self, limit: usize, mut sink: impl FnMut(Record<'_>)) -> usize {
        let ring = self.fd.get_mut();
        for taken in 0..limit {
            let Some(item) = ring.next() else {
                self.is_unfinished = false;
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

    /// Records so far that this version could not read.
    pub fn unknown(&self) -> u64 {
        self.unknown
    }
}

/// Hands the programs' diagnostics to the log, until the runtime ends.
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
