//! Adds the load of one client at one endpoint, its connect times, and how connections ended, of several nodes: each node
//! draws for itself.

use super::sums::{add, add_counts, add_histogram};
use crate::expose::snapshot::{ComparedTimes, EndpointLoad, Ends, LoadDraws};

pub(super) fn absorb(sum: &mut EndpointLoad, more: &EndpointLoad) {
    add(&mut sum.bytes, more.bytes);
    add(&mut sum.connections, more.connections);
    draws(&mut sum.ended, &more.ended);
    draws(&mut sum.exchanged, &more.exchanged);
}

fn draws(sum: &mut LoadDraws, more: &LoadDraws) {
    add(&mut sum.minutes, more.minutes);
    add(&mut sum.ahead, more.ahead);
    sum.ahead_by_chance += more.ahead_by_chance;
    add(&mut sum.behind, more.behind);
    sum.behind_by_chance += more.behind_by_chance;
}

pub(super) fn absorb_times(sum: &mut ComparedTimes, more: ComparedTimes) {
    add_histogram(&mut sum.seconds, more.seconds);
    add(&mut sum.times, more.times);
    add(&mut sum.slow, more.slow);
    sum.slow_by_chance += more.slow_by_chance;
}

pub(super) fn absorb_ends(sum: &mut Ends, more: Ends) {
    add_counts(&mut sum.by, more.by);
    add_histogram(&mut sum.lifetimes, more.lifetimes);
}
