//! The signals that end a command: SIGTERM, SIGINT (Ctrl-C) and SIGHUP (the terminal is gone).

use std::io;

use tokio::signal::unix::{Signal, SignalKind, signal};

/// Waits for any of them.
#[derive(Debug)]
pub(super) struct Stop([Signal; 3]);

impl Stop {
    /// From here on the signals no longer end the process by themselves.
    pub(super) fn new() -> io::Result<Self> {
        Ok(Self([
            signal(SignalKind::terminate())?,
            signal(SignalKind::interrupt())?,
            signal(SignalKind::hangup())?,
        ]))
    }

    /// Returns when one arrives.
    pub(super) async fn recv(&mut self) {
        let [terminate, interrupt, hangup] = &mut self.0;
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
            _ = hangup.recv() => {}
        }
    }
}
