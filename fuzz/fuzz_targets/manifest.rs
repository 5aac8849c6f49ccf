//! Parses any text as a manifest, YAML and JSON: no panic, bounded messages, the same objects each time, and a topology
//! that accepts them.

#![no_main]

use headless_obs::sources::manifest::{Format, Manifest};
use headless_obs::time::Time;
use headless_obs::topology::{Config, Topology};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    for format in [Format::Yaml, Format::Json] {
        let (mut one, mut two) = (Manifest::default(), Manifest::default());
        let read = one.add("a", format, text);
        assert_eq!(read, two.add("a", format, text));
        if let Err(flaw) = &read {
            // The text that the message quotes, and some words.
            assert!(flaw.to_string().len() <= 16 * text.len() + 1000, "{flaw}");
            continue;
        }
        let changes = one.into_changes();
        assert_eq!(changes, two.into_changes());
        let mut topology = Topology::new(Config::default());
        for change in changes {
            let _touched = topology.apply(Time(1), change);
        }
        assert!(topology.synced());
        // Each object takes more than eight bytes of text.
        assert!(topology.services().count() <= text.len() / 8 + 1);
    }
});
