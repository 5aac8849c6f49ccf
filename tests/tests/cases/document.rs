//! The cases that docs/cases.md shows can be read, and pass in simulation.

use std::fs;
use std::path::Path;

use docs::{Check, read};

use crate::play;

pub(crate) fn the_examples_are_cases() {
    let documents = read(&Path::new(env!("CARGO_MANIFEST_DIR")).join("..")).unwrap();
    let blocks = documents.iter().flat_map(|document| &document.blocks);
    let cases: Vec<_> = blocks.filter(|block| block.check() == Ok(Check::Case)).collect();
    assert!(!cases.is_empty(), "docs/cases.md shows a case");
    for (number, case) in cases.iter().enumerate() {
        let folder = std::env::temp_dir().join(format!("cases-document-{}-{number}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        fs::write(folder.join("case.yaml"), &case.text).unwrap();
        let played = play(&["--only", "simulation", folder.to_str().unwrap()]);
        fs::remove_dir_all(&folder).unwrap();
        assert!(played.succeeded && played.output.contains("1 passed"), "{}", case.error(&played.errors));
    }
}
