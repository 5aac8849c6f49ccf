//! A scraper that reads all daemons every second, and a client that closes connections before the response.

use std::io::Write as _;
use std::net::{SocketAddr, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use anyhow::Result;
use lab::Observer;

#[derive(Default)]
struct Shared {
    targets: Mutex<Vec<SocketAddr>>,
    is_over: AtomicBool,
}

/// Scrapes until it is stopped.
pub(crate) struct Scraper {
    shared: Arc<Shared>,
    thread: JoinHandle<()>,
}

impl Scraper {
    pub(crate) fn start(observers: &[&Observer]) -> Self {
        let shared = Arc::<Shared>::default();
        let of_thread = Arc::clone(&shared);
        let thread = thread::spawn(move || {
            while !of_thread.is_over.load(Ordering::Relaxed) {
                let targets = of_thread.targets.lock().unwrap_or_else(PoisonError::into_inner).clone();
                for target in targets {
                    // This fails while a daemon is being restarted.
                    let _answer = lab::get(target, "/metrics");
                }
                thread::sleep(Duration::from_secs(1));
            }
        });
        let scraper = Self { shared, thread };
        scraper.watch(observers);
        scraper
    }

    /// Scrapes these daemons from now on.
    pub(crate) fn watch(&self, observers: &[&Observer]) {
        let targets = observers.iter().map(|observer| observer.address()).collect();
        *self.shared.targets.lock().unwrap_or_else(PoisonError::into_inner) = targets;
    }

    pub(crate) fn stop(self) {
        self.shared.is_over.store(true, Ordering::Relaxed);
        // The thread cannot fail.
        let _ended = self.thread.join();
    }
}

/// Sends many whole and partial requests, and closes without reading.
pub(crate) fn go_away(observer: &Observer) -> Result<()> {
    for turn in 0..30 {
        let mut stream = TcpStream::connect(observer.address())?;
        stream.write_all(b"GET /metrics HTTP/1.1\r\nHost: x\r\n")?;
        if turn % 3 > 0 {
            stream.write_all(b"\r\n")?;
        }
    }
    Ok(())
}
