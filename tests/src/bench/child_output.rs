//! Reads a tool's output, so that it never blocks on a full pipe, and keeps the end for error messages.

use std::io::Read;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use lab::Program;

/// The end of a program's output, which a thread reads all the time.
#[derive(Clone, Default)]
pub(crate) struct ChildOutput(Arc<Mutex<String>>);

impl ChildOutput {
    const KEPT: usize = 400;

    /// Starts to read.
    pub(crate) fn of(program: &mut Program) -> Self {
        let words = Self::default();
        let (output, errors) = program.streams();
        output.into_iter().for_each(|stream| words.read(stream));
        errors.into_iter().for_each(|stream| words.read(stream));
        words
    }

    fn read(&self, mut stream: impl Read + Send + 'static) {
        let words = self.clone();
        thread::spawn(move || {
            let mut piece = [0; 4096];
            while let Ok(length @ 1..) = stream.read(&mut piece) {
                let mut kept = words.0.lock().unwrap_or_else(PoisonError::into_inner);
                kept.push_str(&String::from_utf8_lossy(&piece[..length]));
                let surplus = kept.len().saturating_sub(Self::KEPT);
                let surplus = (surplus..kept.len()).find(|place| kept.is_char_boundary(*place));
                kept.drain(..surplus.unwrap_or(0));
            }
        });
    }

    /// The end of the output, in one line.
    pub(crate) fn last(&self) -> String {
        // The last output of an ending program may not have arrived yet.
        thread::sleep(Duration::from_millis(50));
        self.0.lock().unwrap_or_else(PoisonError::into_inner).trim().replace('\n', "; ")
    }
}
