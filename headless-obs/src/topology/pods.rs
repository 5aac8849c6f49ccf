//! Pods by their current address, and by the UID in a cgroup path.
//!
//! A deleted pod is not found by address, because another pod may get the address at any moment. It is found by UID for
//! as long as tombstones are kept, because its last connections may be counted after it is gone.

use std::collections::VecDeque;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use super::model::{ObjectKey, Pod};
use crate::hash::HashMap;
use crate::time::Time;

/// No UID has this letter, so it is part of the names that stand for UIDs.
const NO_UID: char = '/';

impl Pod {
    /// Whether the source reported its UID, so that the path of its cgroup can name it.
    pub fn has_own_uid(&self) -> bool {
        !self.uid.contains(NO_UID)
    }
}

/// Addresses that only this pod has.
fn own_addresses(pod: &Pod) -> &[IpAddr] {
    if pod.host_network || pod.finished { &[] } else { &pod.addresses }
}

#[derive(Debug, Default)]
pub(super) struct Pods {
    by_uid: HashMap<Arc<str>, Pod>,
    by_key: HashMap<ObjectKey, Arc<str>>,
    /// UIDs of the pods that do not share the address; the latest is last.
    by_address: HashMap<IpAddr, Vec<Arc<str>>>,
    /// UIDs of deleted pods, the oldest first.
    deleted: VecDeque<(Time, Arc<str>)>,
}

impl Pods {
    /// Adds or replaces a pod; false if there is no room.
    pub(super) fn apply(&mut self, now: Time, mut pod: Pod, limit: usize, touched: &mut Vec<IpAddr>) -> bool {
        if pod.uid.is_empty() {
            // Manifests written by hand have no UID.
            pod.uid = format!("{}{NO_UID}{}", pod.key.namespace, pod.key.name).into();
        }
        // A pod of the same name with another UID is another pod, and the old one is gone.
        if self.by_key.get(&pod.key).is_some_and(|uid| *uid != pod.uid) {
            self.delete(now, &pod.key, touched);
        }
        if !self.by_uid.contains_key(&pod.uid) {
            while self.by_uid.len() >= limit {
                if !self.forget_oldest() {
                    return false;
                }
            }
        }
        // A mere update must not make it the latest owner of an address that another pod has received since.
        let old = self.by_key.get(&pod.key).and_then(|uid| self.by_uid.get(uid));
        if old.is_none_or(|old| own_addresses(old) != own_addresses(&pod)) {
            if old.is_some() {
                self.leave_addresses(&pod.uid, touched);
            }
            for address in own_addresses(&pod) {
                self.by_address.entry(*address).or_default().push(pod.uid.clone());
                touched.push(*address);
            }
        }
        self.by_key.insert(pod.key.clone(), pod.uid.clone());
        self.by_uid.insert(pod.uid.clone(), pod);
        while self.deleted.len() > limit {
            self.forget_oldest();
        }
        true
    }

    pub(super) fn delete(&mut self, now: Time, key: &ObjectKey, touched: &mut Vec<IpAddr>) {
        let Some(uid) = self.by_key.remove(key) else { return };
        self.leave_addresses(&uid, touched);
        self.deleted.push_back((now, uid));
    }

    /// Forgets pods that were deleted `keep` ago.
    pub(super) fn expire(&mut self, now: Time, keep: Duration) {
        while self.deleted.front().is_some_and(|(at, _)| at.plus(keep) <= now) {
            self.forget_oldest();
        }
    }

    pub(super) fn keys(&self) -> impl Iterator<Item = &ObjectKey> {
        self.by_key.keys()
    }

    pub(super) fn by_key(&self, key: &ObjectKey) -> Option<&Pod> {
        self.by_key.get(key).and_then(|uid| self.by_uid.get(uid))
    }

    /// Those that exist and have not ended.
    pub(super) fn present(&self) -> impl Iterator<Item = &Pod> {
        self.by_key.values().filter_map(|uid| self.by_uid.get(uid)).filter(|pod| !pod.finished)
    }

    pub(super) fn by_uid(&self, uid: &str) -> Option<&Pod> {
        self.by_uid.get(uid)
    }

    pub(super) fn by_address(&self, address: IpAddr) -> Option<&Pod> {
        self.by_address.get(&address).and_then(|uids| uids.last()).and_then(|uid| self.by_uid.get(uid))
    }

    /// UIDs of deleted pods, without those that are back.
    pub(super) fn deleted(&self) -> impl Iterator<Item = &Arc<str>> {
        let is_back =
            |uid: &Arc<str>| self.by_uid.get(uid).is_some_and(|pod| self.by_key.get(&pod.key) == Some(uid));
        self.deleted.iter().map(|(_, uid)| uid).filter(move |uid| !is_back(uid))
    }

    fn leave_addresses(&mut self, uid: &Arc<str>, touched: &mut Vec<IpAddr>) {
        let Some(pod) = self.by_uid.get(uid) else { return };
        for address in own_addresses(pod) {
            let Some(uids) = self.by_address.get_mut(address) else { continue };
            uids.retain(|other| other != uid);
            if uids.is_empty() {
                self.by_address.remove(address);
            }
            touched.push(*address);
        }
    }

    fn forget_oldest(&mut self) -> bool {
        let Some((_, uid)) = self.deleted.pop_front() else { return false };
        // It may have been applied again since.
        let back = self.by_uid.get(&uid).is_some_and(|pod| self.by_key.get(&pod.key) == Some(&uid));
        if !back {
            self.by_uid.remove(&uid);
        }
        true
    }
}
