//! Checks the chart's values and Kubernetes objects in the documents: helm accepts the values, a real API server the
//! objects.
//!
//! In: the blocks of README.md and docs/ with values or objects, and values in the text such as `listen: "[::]"`.

use docs::{Check, Document};
use serde_json::{Value, json};

use crate::harness::Shared;
use crate::render::rendered;
use crate::schema::{at_path, schema};

/// The documents of the repository.
fn documents() -> Vec<Document> {
    docs::read(&std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("..")).unwrap()
}

pub(crate) fn helm_takes_the_values_in_the_documents(shared: &Shared) {
    let documents = documents();
    let blocks = documents.iter().flat_map(|document| &document.blocks);
    let mut sets: Vec<(String, String)> = blocks
        .filter(|block| block.check() == Ok(Check::Values))
        .map(|block| (format!("{}:{}", block.file, block.line), block.text.clone()))
        .collect();
    assert!(sets.len() > 1, "the documents have values: {sets:?}");
    let schema = schema();
    for document in documents.iter().filter(|document| document.is_checked_whole()) {
        for span in &document.spans {
            let Some((path, value)) = span.text.split_once(": ") else { continue };
            let first = path.split('.').next().unwrap();
            if schema["properties"][first].is_object() {
                let place = format!("{}:{}", document.name, span.line);
                let value: Value =
                    serde_saphyr::from_str(value).unwrap_or_else(|error| panic!("{place}: {error}"));
                sets.push((place, at_path(path, value).to_string()));
            }
        }
    }
    for (place, values) in sets {
        let taken = rendered(shared, &[&values]);
        taken.unwrap_or_else(|error| {
            panic!("{place}: the chart does not take these values: {error}\n{values}")
        });
    }
}

pub(crate) fn the_api_server_takes_the_objects_in_the_documents(shared: &Shared) {
    let api = shared.cluster.api();
    let documents = documents();
    let blocks = documents.iter().flat_map(|document| &document.blocks);
    let mut count = 0;
    for block in blocks.filter(|block| block.check() == Ok(Check::Objects)) {
        let objects: Vec<Value> = serde_saphyr::from_multiple(&block.text)
            .unwrap_or_else(|error| panic!("{}", block.error(&error.to_string())));
        for object in objects {
            count += 1;
            if let Some(name) = object["metadata"]["namespace"].as_str() {
                let namespace = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}});
                api.apply(&namespace.to_string()).unwrap();
            }
            let taken = api.apply(&object.to_string());
            taken.unwrap_or_else(|error| panic!("{}", block.error(&format!("{error:#}: {object:#}"))));
        }
    }
    assert!(count > 0, "the documents have objects");
}
