//! Netlink: links, addresses, routes and neighbours of one namespace, as blocking calls.
//!
//! In: names, addresses. Out: changes in the kernel. One runtime thread drives the connections of all namespaces; a
//! connection belongs to the namespace of the thread that opened it.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::{Arc, mpsc};

use anyhow::{Context, Result, anyhow};
use futures_util::TryStreamExt;
use ipnet::IpNet;
use rtnetlink::packet_route::AddressFamily;
use rtnetlink::packet_route::address::{AddressAttribute, AddressFlags};
use rtnetlink::packet_route::link::{InfoData, InfoVeth, LinkAttribute};
use rtnetlink::packet_route::neighbour::{NeighbourAddress, NeighbourAttribute};
use rtnetlink::packet_route::route::{RouteAttribute, RouteMessage, RouteScope, RouteType};
use rtnetlink::{
    Handle, LinkBridge, LinkMessageBuilder, LinkUnspec, LinkVeth, RouteMessageBuilder, new_connection,
};
use tokio::runtime::{Builder, Runtime};

/// The driver of the netlink connections.
pub(crate) struct Netlink {
    runtime: Option<Runtime>,
}

impl Netlink {
    /// Starts the driver.
    pub(crate) fn new() -> Result<Self> {
        let runtime =
            Builder::new_multi_thread().worker_threads(1).thread_name("lab-netlink").enable_io().build();
        Ok(Self { runtime: Some(runtime.context("cannot start the netlink thread")?) })
    }

    fn runtime(&self) -> Result<&Runtime> {
        self.runtime.as_ref().context("the netlink thread has ended")
    }

    /// A connection to the calling thread's namespace.
    pub(crate) fn connect(self: &Arc<Self>) -> Result<Links> {
        let runtime = self.runtime()?;
        let _inside = runtime.enter();
        let (connection, handle, _) = new_connection().context("cannot open a netlink socket")?;
        runtime.spawn(connection);
        Ok(Links { handle, netlink: Arc::clone(self) })
    }

    /// Waits for `work` by a channel, so that it works in an asynchronous test as well.
    fn wait<T: Send + 'static>(&self, work: impl Future<Output = T> + Send + 'static) -> Result<T> {
        let (sender, receiver) = mpsc::sync_channel(1);
        self.runtime()?.spawn(async move { sender.send(work.await) });
        receiver.recv().map_err(|_| anyhow!("the netlink thread has ended"))
    }
}

impl Drop for Netlink {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

/// Kinds of routes that drop packets.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Nowhere {
    /// The kernel drops packets silently.
    Blackhole,
    /// The kernel answers packets with ICMP unreachable.
    Unreachable,
}

/// Links, addresses, routes and neighbours of a namespace.
#[derive(Clone)]
pub(crate) struct Links {
    handle: Handle,
    netlink: Arc<Netlink>,
}

impl Links {
    fn wait<T: Send + 'static>(
        &self,
        what: impl FnOnce() -> String,
        work: impl Future<Output = Result<T, rtnetlink::Error>> + Send + 'static,
    ) -> Result<T> {
        self.netlink.wait(work)?.with_context(|| format!("netlink: cannot {}", what()))
    }

    /// The index of the link with this name.
    pub(crate) fn index(&self, name: &str) -> Result<u32> {
        let request = self.handle.link().get().match_name(name.to_owned()).execute();
        let found = self.wait(|| format!("find link {name}"), async move {
            let mut request = std::pin::pin!(request);
            request.try_next().await
        })?;
        Ok(found.with_context(|| format!("there is no link {name}"))?.header.index)
    }

    /// Brings a link up; returns its index.
    pub(crate) fn set_up(&self, name: &str) -> Result<u32> {
        let index = self.index(name)?;
        let message = LinkUnspec::new_with_index(index).up().build();
        self.wait(|| format!("bring up {name}"), self.handle.link().change(message).execute())?;
        Ok(index)
    }

    /// Makes an existing link a port of a bridge.
    pub(crate) fn make_port(&self, name: &str, bridge: u32) -> Result<()> {
        let message = LinkUnspec::new_with_index(self.index(name)?).controller(bridge).build();
        self.wait(|| format!("make {name} a port"), self.handle.link().change(message).execute())
    }

    /// Makes a bridge and brings it up. Its MAC is fixed; otherwise it would change with the ports, and neighbours
    /// would have a stale entry.
    pub(crate) fn add_bridge(&self, name: &str, mac: [u8; 6]) -> Result<u32> {
        let message = LinkBridge::new(name).address(mac.to_vec()).up().build();
        self.wait(|| format!("make bridge {name}"), self.handle.link().add(message).execute())?;
        self.index(name)
    }

    /// Makes a veth pair: `name` here as a port of `bridge`, `peer` in the namespace of `peer_netns`. Both are down,
    /// because the kernel brings up an end only after the other one exists.
    pub(crate) fn add_veth(&self, name: &str, bridge: u32, peer: &str, peer_netns: i32) -> Result<()> {
        let there = LinkMessageBuilder::<LinkUnspec>::new()
            .name(peer.to_owned())
            .append_extra_attribute(LinkAttribute::NetNsFd(peer_netns))
            .build();
        let here = LinkVeth::new(name, peer)
            .set_info_data(InfoData::Veth(InfoVeth::Peer(there)))
            .controller(bridge)
            .build();
        self.wait(|| format!("make veth pair {name}"), self.handle.link().add(here).execute())
    }

    /// Deletes a link.
    pub(crate) fn delete(&self, name: &str) -> Result<()> {
        let request = self.handle.link().del(self.index(name)?);
        self.wait(|| format!("delete link {name}"), request.execute())
    }

    /// Adds an address, usable at once.
    pub(crate) fn add_address(&self, link: u32, address: IpNet) -> Result<()> {
        let mut request = self.handle.address().add(link, address.addr(), address.prefix_len());
        if address.addr().is_ipv6() {
            request.message_mut().attributes.push(AddressAttribute::Flags(AddressFlags::Nodad));
        }
        self.wait(|| format!("add address {address}"), request.execute())
    }

    /// Removes an address.
    pub(crate) fn remove_address(&self, link: u32, address: IpNet) -> Result<()> {
        let find = self.handle.address().get().set_link_index_filter(link).set_address_filter(address.addr());
        let found = find.execute();
        let message = self.wait(|| format!("look for {address}"), async move {
            let mut found = std::pin::pin!(found);
            found.try_next().await
        })?;
        let message = message.with_context(|| format!("the pod does not have the address {address}"))?;
        self.wait(|| format!("remove address {address}"), self.handle.address().del(message).execute())
    }

    /// Adds a default route by a gateway on this link, whatever the link's own prefix is.
    pub(crate) fn add_default_route(&self, link: u32, gateway: IpAddr) -> Result<()> {
        let any: IpAddr =
            if gateway.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
        let route = RouteMessageBuilder::<IpAddr>::new()
            .destination_prefix(any, 0)
            .and_then(|route| route.gateway(gateway))
            .context("cannot build the default route")?
            .output_interface(link)
            .onlink()
            .build();
        self.add_route(|| format!("add the default route by {gateway}"), route)
    }

    /// Adds a route to one address that is directly on this link.
    pub(crate) fn add_host_route(&self, link: u32, to: IpAddr) -> Result<()> {
        let mut route = host(to)?.output_interface(link).build();
        if to.is_ipv4() {
            route.header.scope = RouteScope::Link;
        }
        self.add_route(|| format!("add a route to {to}"), route)
    }

    /// Adds a route that drops packets to one address.
    pub(crate) fn add_nowhere_route(&self, to: IpAddr, kind: Nowhere) -> Result<()> {
        let kind = match kind {
            Nowhere::Blackhole => RouteType::BlackHole,
            Nowhere::Unreachable => RouteType::Unreachable,
        };
        self.add_route(|| format!("add a {kind:?} route to {to}"), host(to)?.kind(kind).build())
    }

    fn add_route(&self, what: impl FnOnce() -> String, route: RouteMessage) -> Result<()> {
        self.wait(what, self.handle.route().add(route).replace().execute())
    }

    /// Removes the route to one address, whatever its kind.
    pub(crate) fn remove_host_route(&self, to: IpAddr) -> Result<()> {
        let full = if to.is_ipv4() { 32 } else { 128 };
        let mut removed = false;
        for route in self.main_routes(to.is_ipv4())? {
            let destination = route.attributes.iter().find_map(|attribute| match attribute {
                RouteAttribute::Destination(address) => Some(address),
                _ => None,
            });
            let same = destination.is_some_and(|address| *address == to.into());
            if same && route.header.destination_prefix_length == full {
                self.wait(|| format!("remove the route to {to}"), self.handle.route().del(route).execute())?;
                removed = true;
            }
        }
        removed.then_some(()).with_context(|| format!("there is no route to {to}"))
    }

    /// Removes every route of the main table in both families: packets still arrive, but the pod cannot answer.
    pub(crate) fn remove_all_routes(&self) -> Result<()> {
        for route in self.main_routes(true)?.into_iter().chain(self.main_routes(false)?) {
            self.wait(|| "remove a route".to_owned(), self.handle.route().del(route).execute())?;
        }
        Ok(())
    }

    fn main_routes(&self, v4: bool) -> Result<Vec<RouteMessage>> {
        const MAIN: u8 = rtnetlink::packet_route::route::RouteHeader::RT_TABLE_MAIN;
        let family = if v4 { AddressFamily::Inet } else { AddressFamily::Inet6 };
        let mut filter = RouteMessage::default();
        filter.header.address_family = family;
        let request = self.handle.route().get(filter).execute();
        let all: Vec<RouteMessage> = self.wait(|| "list routes".to_owned(), request.try_collect())?;
        Ok(all
            .into_iter()
            .filter(|route| route.header.table == MAIN && route.header.address_family == family)
            .filter(|route| route.header.kind != RouteType::Multicast)
            .collect())
    }

    /// Removes the neighbour entry of an address that is about to move.
    pub(crate) fn forget_neighbour(&self, address: IpAddr) -> Result<()> {
        let wanted = NeighbourAttribute::Destination(NeighbourAddress::from(address));
        let request = self.handle.neighbours().get().execute();
        let all: Vec<_> = self.wait(|| "list neighbours".to_owned(), request.try_collect())?;
        for entry in all.into_iter().filter(|entry| entry.attributes.contains(&wanted)) {
            // The entry may expire after the listing, which is fine.
            let _gone =
                self.wait(|| format!("forget {address}"), self.handle.neighbours().del(entry).execute());
        }
        Ok(())
    }
}

/// A route to exactly one address.
fn host(to: IpAddr) -> Result<RouteMessageBuilder> {
    let full = if to.is_ipv4() { 32 } else { 128 };
    RouteMessageBuilder::<IpAddr>::new().destination_prefix(to, full).context("cannot build a route")
}
