//! Lists open connections: their readings, and the programs behind those that are shown.
//!
//! In: a query. Out: the list. Invariant: between two slices of readings or of programs, records and other tasks have their
//! turn.

use std::collections::BTreeMap;
use std::io;

use headless_obs_ebpf::connection::Connection;
use tracing::warn;

use super::EventLoop;
use crate::app::process_name::process_name;
use crate::client::sanitize;
use crate::engine::{Listing, Program};
use crate::expose::connection_list::{ConnectionList, ConnectionQuery};
use crate::probe::Walk;
use crate::time::Time;

/// Programs that are looked up before records have their turn.
const PROGRAMS: usize = 64;

impl EventLoop {
    /// After reconciliation.
    pub(super) async fn connection_list(&mut self, query: ConnectionQuery) -> anyhow::Result<ConnectionList> {
        let mut listing = self.engine.begin_listing(query);
        let are_read = self.list_readings(&mut listing).await;
        let listing = self.lend(move |engine| {
            engine.end_listing(&mut listing, are_read);
            listing
        });
        let listing = listing.await?;
        let programs = self.programs(&listing).await;
        Ok(self.engine.connection_list(&listing, &self.kernel_state(), &programs))
    }

    /// Takes the readings of everything that is open; false if there are none.
    async fn list_readings(&mut self, listing: &mut Listing) -> bool {
        let Some(loads) = &self.loaded.loads else { return false };
        let walked = match loads.walk() {
            Ok(walk) => self.list_walk(walk, listing).await,
            Err(error) => Err(error),
        };
        if let Err(error) = &walked {
            warn!(%error, "cannot read open connections, so a list of them has no bytes");
        }
        walked.is_ok()
    }

    async fn list_walk(&mut self, mut walk: Walk, listing: &mut Listing) -> io::Result<()> {
        loop {
            let readings = walk.slice()?;
            if readings.is_empty() {
                return Ok(());
            }
            self.engine.list(listing, &readings);
            self.pause().await;
        }
    }

    /// The programs behind the connections in a list, by socket.
    async fn programs(&mut self, listing: &Listing) -> BTreeMap<u64, Program> {
        let mut programs = BTreeMap::new();
        for (number, (socket, started)) in listing.sockets().enumerate() {
            if let Some(known) =
                self.loaded.maps.connection(socket).filter(|known| Time(known.started) == started)
            {
                programs.insert(socket, self.program(&known));
            }
            if number % PROGRAMS == PROGRAMS - 1 {
                self.pause().await;
            }
        }
        programs
    }

    /// The name of the process that connected. One that has ended, or has another id here, leaves the name of the thread.
    fn program(&self, known: &Connection) -> Program {
        let since = Time(known.started).max(self.node_info.began);
        let named = if self.knows_processes { process_name(known.tgid, since) } else { None };
        Program {
            process: named.is_some().then_some(known.tgid),
            name: sanitize::comm(named.as_deref().unwrap_or(&known.comm)).into_owned(),
        }
    }
}
