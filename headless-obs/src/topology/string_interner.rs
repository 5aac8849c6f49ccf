//! A pool of strings that many objects share (namespaces, nodes, pods behind several Services); it keeps each string
//! once.

use std::sync::Arc;

use super::model::{ObjectKey, Pod, Service, Slice};
use crate::hash::HashSet;

/// Below this size, a sweep for unused strings is not worth it.
const SWEEP_FROM: usize = 1024;

#[derive(Debug, Default)]
pub(super) struct StringInterner {
    strings: HashSet<Arc<str>>,
    swept: usize,
}

impl StringInterner {
    /// Replaces `string` with the pool's copy.
    fn share(&mut self, string: &mut Arc<str>) {
        if let Some(kept) = self.strings.get(string) {
            string.clone_from(kept);
            return;
        }
        // Each sweep waits until the set has doubled, so that its cost per string stays constant.
        if self.strings.len() >= SWEEP_FROM.max(self.swept * 2) {
            self.strings.retain(|kept| Arc::strong_count(kept) > 1);
            self.swept = self.strings.len();
        }
        self.strings.insert(string.clone());
    }

    fn share_key(&mut self, key: &mut ObjectKey) {
        self.share(&mut key.namespace);
        self.share(&mut key.name);
    }

    pub(super) fn share_service(&mut self, service: &mut Service) {
        self.share(&mut service.key.namespace);
        self.share(&mut service.key.name);
        service.distribution.iter_mut().for_each(|word| self.share(word));
    }

    pub(super) fn share_slice(&mut self, slice: &mut Slice) {
        self.share_key(&mut slice.key);
        self.share(&mut slice.service);
        slice.ports.iter_mut().for_each(|port| self.share(&mut port.name));
        for endpoint in &mut slice.endpoints {
            if let Some(hostname) = &mut endpoint.hostname {
                self.share(hostname);
            }
            if let Some(node) = &mut endpoint.node {
                self.share(node);
            }
            if let Some(zone) = &mut endpoint.zone {
                self.share(zone);
            }
            endpoint.hints.iter_mut().for_each(|zone| self.share(zone));
            if let Some(pod) = &mut endpoint.pod {
                self.share_key(&mut pod.key);
                self.share(&mut pod.uid);
            }
        }
    }

    pub(super) fn share_pod(&mut self, pod: &mut Pod) {
        self.share_key(&mut pod.key);
        self.share(&mut pod.uid);
        self.share(&mut pod.workload);
        pod.run.iter_mut().for_each(|pattern| self.share(pattern));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_strings_are_kept_once_and_unused_ones_are_swept() {
        let mut names = StringInterner::default();
        let (mut a, mut b): (Arc<str>, Arc<str>) = ("node-1".into(), "node-1".into());
        names.share(&mut a);
        names.share(&mut b);
        assert!(Arc::ptr_eq(&a, &b));

        for index in 0..10 * SWEEP_FROM {
            names.share(&mut format!("{index}").into());
        }
        assert!(names.strings.len() <= SWEEP_FROM + 1, "{}", names.strings.len());
        assert!(names.strings.contains("node-1"));
    }
}
