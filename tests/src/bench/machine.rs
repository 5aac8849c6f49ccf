//! Describes the machine of the measurements.

use std::fs;

use serde_json::{Value, json};

/// Processors, memory, system, kernel, and the load by other processes.
pub(crate) fn describe() -> Value {
    let read = |path: &str| fs::read_to_string(path).unwrap_or_default();
    let cpu = field(&read("/proc/cpuinfo"), "model name", ':');
    let memory = field(&read("/proc/meminfo"), "MemTotal", ':');
    let kib: u64 = memory.trim_end_matches(" kB").parse().unwrap_or_default();
    json!({
        "processors": std::thread::available_parallelism().map_or(1, std::num::NonZero::get),
        "processor": cpu,
        "memory_gib": kib.div_ceil(1 << 20),
        "system": field(&read("/etc/os-release"), "PRETTY_NAME", '=').trim_matches('"'),
        "kernel": read("/proc/sys/kernel/osrelease").trim(),
        "load": read("/proc/loadavg").split(' ').next(),
    })
}

/// The value of the first line with this key.
fn field(text: &str, key: &str, separator: char) -> String {
    let value = text.lines().find_map(|line| {
        let (name, value) = line.split_once(separator)?;
        (name.trim() == key).then(|| value.trim().to_owned())
    });
    value.unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_field_of_a_name_counts() {
        let text = "processor\t: 0\nmodel name\t: A: B\nprocessor\t: 1\nmodel name\t: C\n";
        assert_eq!(field(text, "model name", ':'), "A: B");
        assert_eq!(field(text, "model", ':'), "");
        assert_eq!(field("NAME=\"x\"\n", "NAME", '='), "\"x\"");
    }
}
