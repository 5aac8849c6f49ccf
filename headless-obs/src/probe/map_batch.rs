//! Reads a hash map in batches: one system call takes thousands of entries.
//!
//! In: a map. Out: its entries, in slices, so that the reader can do other work in between.
//!
//! Invariants: an entry that is there during the whole walk is taken once, because the kernel copies whole buckets of the
//! hash. A walk needs no capability where reading a map needs none.

use std::io;
use std::marker::PhantomData;
use std::os::fd::{AsFd as _, AsRawFd as _, OwnedFd};

use aya::Pod;
use aya::maps::{HashMap, IterableMap as _, MapData};

use super::bpf_call::{bpf, number};

/// A command of the system call `bpf`.
const BPF_MAP_LOOKUP_BATCH: libc::c_int = 24;
/// Entries of a slice. A bucket of the hash has one entry on average.
const SLICE: u32 = 2_048;
/// The most entries of one bucket for which room is made.
const MOST_ROOM: u32 = 1 << 20;

/// The kernel's `union bpf_attr` for batches: addresses first.
#[repr(C)]
#[derive(Default)]
struct Batch {
    from: u64,
    next: u64,
    keys: u64,
    values: u64,
    /// Room for entries; then, how many the kernel copied.
    count: u32,
    map: u32,
    _flags: [u64; 2],
    _more: u64,
}

/// A walk over the entries of a map, slice by slice. After an error it has no more.
pub(super) struct MapWalk<K, V> {
    map: OwnedFd,
    /// The kernel's note of where the next slice begins; none at the beginning.
    next: Option<u32>,
    room: u32,
    is_over: bool,
    kind: PhantomData<(K, V)>,
}

impl<K: Pod, V: Pod> MapWalk<K, V> {
    /// A walk that has taken nothing yet.
    pub(super) fn new(map: &HashMap<MapData, K, V>) -> io::Result<Self> {
        let map = map.map().fd().as_fd().try_clone_to_owned()?;
        Ok(Self { map, next: None, room: SLICE, is_over: false, kind: PhantomData })
    }

    /// Takes a slice; nothing if a bucket needs more room.
    fn take(&mut self) -> io::Result<Option<Vec<(K, V)>>> {
        let room = usize::try_from(self.room).unwrap_or(0);
        let (mut keys, mut values) = (Vec::<K>::with_capacity(room), Vec::<V>::with_capacity(room));
        let (from, mut next) = (self.next, 0_u32);
        let mut batch = Batch {
            from: from.as_ref().map_or(0, |from| (&raw const *from).expose_provenance() as u64),
            next: (&raw mut next).expose_provenance() as u64,
            keys: keys.as_mut_ptr().expose_provenance() as u64,
            values: values.as_mut_ptr().expose_provenance() as u64,
            count: self.room,
            map: number(self.map.as_raw_fd()),
            ..Batch::default()
        };
        if let Err(error) = bpf(BPF_MAP_LOOKUP_BATCH, &mut batch) {
            match error.raw_os_error() {
                // The end; there may be a last slice.
                Some(libc::ENOENT) => self.is_over = true,
                Some(libc::ENOSPC) if self.room < MOST_ROOM => {
                    self.room *= 2;
                    return Ok(None);
                }
                _ => return Err(error),
            }
        }
        self.next = Some(next);
        let taken = usize::try_from(batch.count).unwrap_or(0).min(room);
        // SAFETY: the kernel has written so many keys, which are plain bytes, and there is room for more.
        unsafe { keys.set_len(taken) };
        // SAFETY: the same for values.
        unsafe { values.set_len(taken) };
        Ok(Some(keys.into_iter().zip(values).collect()))
    }
}

impl<K: Pod, V: Pod> Iterator for MapWalk<K, V> {
    type Item = io::Result<Vec<(K, V)>>;

    fn next(&mut self) -> Option<Self::Item> {
        while !self.is_over {
            let slice = self.take().transpose();
            self.is_over |= matches!(slice, Some(Err(_)));
            if slice.is_some() {
                return slice;
            }
        }
        None
    }
}
