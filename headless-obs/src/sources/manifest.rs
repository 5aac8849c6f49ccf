//! Manifests to the objects of a topology: YAML or JSON as `kubectl` reads and writes it. Pure.
//!
//! In: texts. Out: all their objects as [`Change`]s, the [`Flaw`]s of objects that cannot be read, and the number of
//! those that are passed over. A text whose syntax is wrong ends at that place, with a [`Flaw`].
//!
//! It reads Service, Pod, Endpoints (all v1), EndpointSlice (discovery.k8s.io/v1), ServiceImport and lists of them, and
//! passes over everything else, and slices that name no Service: other tools and controllers write these. An object with a flaw
//! refuses itself; if it was readable before, its last state stays. An object must not occur twice. Endpoints count only
//! for Services that have no EndpointSlice, because a cluster keeps both for the same Service.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use k8s_openapi::api::core::v1::{Endpoints, Pod, Service};
use k8s_openapi::api::discovery::v1::EndpointSlice;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use serde::de::DeserializeOwned;
use serde_json::Value;

mod text;

pub use text::decode;

use super::convert::{self, Invalid, ServiceImport};
use crate::topology::model::{Change, Kind, Object, ObjectKey, Slice};

/// The format of a text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// YAML, which includes nearly all of JSON.
    Yaml,
    /// JSON.
    Json,
}

/// The error in a text, and its position.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Flaw {
    /// Number of the document in the text, from 1; empty documents do not count.
    pub document: usize,
    /// Kind and name of the object, as far as they are known.
    pub object: String,
    /// The field; empty for the document itself.
    pub path: String,
    /// The error.
    pub reason: String,
}

impl fmt::Display for Flaw {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "document {}", self.document)?;
        if !self.object.is_empty() {
            write!(formatter, " ({})", self.object)?;
        }
        if !self.path.is_empty() {
            write!(formatter, ": {}", self.path)?;
        }
        write!(formatter, ": {}", self.reason)
    }
}

/// The kind of imported Services.
const IMPORT: &str = "ServiceImport";
/// Its API groups: that of the Multi-Cluster Services API, whatever its domain, and GKE's own.
const IMPORTS: [&str; 2] = ["multicluster.", "net.gke.io/"];
/// The most flaws that are kept; further ones are counted.
const FLAWS: usize = 20;

/// The objects of any number of texts.
#[derive(Default)]
pub struct Manifest {
    /// The first flaws, each with the name of its text.
    flaws: Vec<(String, Flaw)>,
    flawed: u64,
    passed_over: u64,
    /// Slices, Services and Pods that have a flaw.
    unreadable: Vec<(Kind, ObjectKey)>,
    /// The position of each object.
    places: BTreeMap<(&'static str, ObjectKey), String>,
    services: Vec<Object>,
    slices: Vec<Slice>,
    /// Slices made from Endpoints.
    endpoints: Vec<Slice>,
    pods: Vec<Object>,
}

impl Manifest {
    /// Adds the objects of `text`; `source` is its name.
    ///
    /// # Errors
    ///
    /// If its syntax is wrong. The objects before that place are added.
    pub fn add(&mut self, source: &str, format: Format, text: &str) -> Result<(), Flaw> {
        let text = &*text::without_remarks(format, text);
        let mut number = 0;
        let mut each = |document: Result<Value, String>| {
            number += 1;
            let mut place = Place { source, document: number, object: String::new(), path: String::new() };
            match document {
                Ok(value) => {
                    self.add_document(value, &mut place);
                    Ok(())
                }
                Err(reason) => Err(place.flaw("", reason)),
            }
        };
        match format {
            Format::Json => serde_json::Deserializer::from_str(text)
                .into_iter()
                .try_for_each(|document| each(document.map_err(|error| error.to_string()))),
            Format::Yaml => serde_saphyr::read_with_options(&mut text.as_bytes(), yaml_options())
                .try_for_each(|document| each(document.map_err(|error| one_line(&error)))),
        }
    }

    /// Whether there are no objects.
    pub fn is_empty(&self) -> bool {
        self.places.is_empty()
    }

    /// The flaws of the first objects that have one, each with the name of its text.
    pub fn flaws(&self) -> &[(String, Flaw)] {
        &self.flaws
    }

    /// The number of objects with a flaw.
    pub fn flawed(&self) -> u64 {
        self.flawed
    }

    /// The number of objects and documents that are none of the topology's.
    pub fn passed_over(&self) -> u64 {
        self.passed_over
    }

    /// All objects, as a source reports them at its start.
    pub fn into_changes(mut self) -> Vec<Change> {
        let named: BTreeSet<_> =
            self.slices.iter().map(|slice| (slice.key.namespace.clone(), slice.service.clone())).collect();
        self.endpoints.retain(|slice| !named.contains(&(slice.key.namespace.clone(), slice.service.clone())));
        self.slices.append(&mut self.endpoints);
        let mut slices: Vec<_> = self.slices.into_iter().map(Object::Slice).collect();
        for (kind, key) in self.unreadable {
            let objects = match kind {
                Kind::Service => &mut self.services,
                Kind::Slice => &mut slices,
                Kind::Pod => &mut self.pods,
            };
            objects.push(Object::Unreadable(key));
        }
        vec![
            Change::Reset(Kind::Service, self.services),
            Change::Reset(Kind::Slice, slices),
            Change::Reset(Kind::Pod, self.pods),
            Change::Synced(true),
        ]
    }

    /// Adds an object or a list, unless it has a flaw or is none of the topology's.
    fn add_document(&mut self, mut value: Value, place: &mut Place<'_>) {
        let text = |field: &str| value.get(field).and_then(Value::as_str).unwrap_or_default().to_owned();
        let (version, kind) = (text("apiVersion"), text("kind"));
        match value.get_mut("items") {
            Some(items @ (Value::Array(_) | Value::Null)) if kind.ends_with("List") => {
                if let Value::Array(items) = items.take() {
                    self.add_items(items, kind.trim_end_matches("List"), &version, place);
                }
                return;
            }
            None if kind == "List" => return,
            _ => {}
        }
        if let Value::Array(items) = value {
            return self.add_items(items, "", "", place);
        }
        let key = key_of(&value).map(|key| match kind.as_str() {
            IMPORT => ObjectKey { name: convert::imported(&key.name), ..key },
            _ => key,
        });
        if let Err(flaw) = self.add_object(value, (&version, &kind), place) {
            let kinds = [
                ("Service", Kind::Service),
                (IMPORT, Kind::Service),
                ("EndpointSlice", Kind::Slice),
                ("Pod", Kind::Pod),
            ];
            let known = kinds.into_iter().find(|(name, _)| *name == kind);
            if let Some(((name, kind), key)) = known.zip(key) {
                let place = (name, key);
                // Otherwise another object has the name.
                if !self.places.contains_key(&place) {
                    self.unreadable.push((kind, place.1));
                }
            }
            self.flawed += 1;
            if self.flaws.len() < FLAWS {
                self.flaws.push((place.source.to_owned(), flaw));
            }
        }
    }

    /// Adds an object.
    fn add_object(
        &mut self,
        value: Value,
        (version, kind): (&str, &str),
        place: &mut Place<'_>,
    ) -> Result<(), Flaw> {
        let name = value.pointer("/metadata/name").and_then(Value::as_str).unwrap_or_default();
        place.object = format!("{kind} {name}").trim_end().to_owned();
        match (version, kind) {
            ("v1", "Service") => {
                let object = convert::service(&parse::<Service>(value, place)?);
                if let Some(service) = object.map_err(|invalid| place.invalid(invalid))? {
                    let key = &service.key;
                    let key = ObjectKey { namespace: key.namespace.clone(), name: key.name.clone() };
                    self.claim("Service", key, place)?;
                    self.services.push(Object::Service(service));
                }
            }
            (version, IMPORT) if IMPORTS.iter().any(|group| version.starts_with(group)) => {
                let service = convert::service_import(&parse::<ServiceImport>(value, place)?);
                let service = service.map_err(|invalid| place.invalid(invalid))?;
                let key = &service.key;
                let key = ObjectKey { namespace: key.namespace.clone(), name: key.name.clone() };
                self.claim(IMPORT, key, place)?;
                self.services.push(Object::Service(service));
            }
            ("v1", "Pod") => {
                let pod = convert::pod(&parse::<Pod>(value, place)?);
                let pod = pod.map_err(|invalid| place.invalid(invalid))?;
                self.claim("Pod", pod.key.clone(), place)?;
                self.pods.push(Object::Pod(pod));
            }
            ("v1", "Endpoints") => {
                let object: Endpoints = parse(value, place)?;
                let slices = convert::endpoints(&object).map_err(|invalid| place.invalid(invalid))?;
                let key = convert::key(&object.metadata).map_err(|invalid| place.invalid(invalid))?;
                self.claim("Endpoints", key, place)?;
                self.endpoints.extend(slices);
            }
            ("discovery.k8s.io/v1", "EndpointSlice") => {
                let object: EndpointSlice = parse(value, place)?;
                if !convert::names_service(&object) {
                    self.passed_over += 1;
                    return Ok(());
                }
                if let Some(slice) = convert::slice(&object).map_err(|invalid| place.invalid(invalid))? {
                    self.claim("EndpointSlice", slice.key.clone(), place)?;
                    self.slices.push(slice);
                }
            }
            // To ignore an old version would lose endpoints silently.
            (_, "EndpointSlice") if version.starts_with("discovery.k8s.io/") => {
                let reason = format!("{version:?} is not supported; write \"discovery.k8s.io/v1\"");
                return Err(place.flaw("apiVersion", reason));
            }
            ("", "Service" | "Pod" | "Endpoints" | "EndpointSlice") => {
                return Err(place.flaw("apiVersion", "is missing"));
            }
            _ => {
                self.passed_over += 1;
                tracing::debug!(
                    file = place.source,
                    document = place.document,
                    object = place.object,
                    "passed over an object of another kind"
                );
            }
        }
        Ok(())
    }

    /// Adds the items of a list. The items of a typed list, as the API returns it, do not name their kind.
    fn add_items(&mut self, items: Vec<Value>, kind: &str, version: &str, place: &mut Place<'_>) {
        let outer = place.path.clone();
        for (index, mut item) in items.into_iter().enumerate() {
            place.path = format!("{outer}items[{index}].");
            if let Value::Object(fields) = &mut item
                && !kind.is_empty()
            {
                fields.entry("kind").or_insert_with(|| kind.into());
                fields.entry("apiVersion").or_insert_with(|| version.into());
            }
            place.object.clear();
            self.add_document(item, place);
        }
        place.path = outer;
    }

    /// Records the position of an object, which must not occur twice.
    fn claim(&mut self, kind: &'static str, key: ObjectKey, place: &Place<'_>) -> Result<(), Flaw> {
        let here = format!("{}, document {}", place.source, place.document);
        let namespace = key.namespace.clone();
        match self.places.insert((kind, key), here) {
            None => Ok(()),
            Some(before) => {
                let reason = format!("is in {before}, too (namespace {namespace}); remove one");
                Err(place.flaw("metadata.name", reason))
            }
        }
    }
}

/// Namespace and name, if it has a name.
fn key_of(value: &Value) -> Option<ObjectKey> {
    let text = |field| value.get("metadata")?.get(field)?.as_str().map(str::to_owned);
    convert::key(&ObjectMeta { name: text("name"), namespace: text("namespace"), ..ObjectMeta::default() })
        .ok()
}

/// The document that is being read.
struct Place<'a> {
    source: &'a str,
    document: usize,
    object: String,
    /// The path of the object within its document, with a final dot.
    path: String,
}

impl Place<'_> {
    fn flaw(&self, path: &str, reason: impl Into<String>) -> Flaw {
        Flaw {
            document: self.document,
            object: self.object.clone(),
            path: format!("{}{path}", self.path).trim_end_matches('.').to_owned(),
            reason: reason.into(),
        }
    }

    fn invalid(&self, invalid: Invalid) -> Flaw {
        self.flaw(&invalid.path, invalid.reason)
    }
}

fn parse<T: DeserializeOwned>(value: Value, place: &Place<'_>) -> Result<T, Flaw> {
    serde_path_to_error::deserialize(value).map_err(|error| {
        let path = error.path().to_string();
        place.flaw(path.trim_end_matches('.'), error.into_inner().to_string())
    })
}

/// Limits that large clusters stay below. A text that expands without end exceeds them.
fn yaml_options() -> serde_saphyr::Options {
    serde_saphyr::options! {
        budget: serde_saphyr::budget! {
            max_documents: 100_000,
            max_events: 40_000_000,
            max_nodes: 20_000_000,
        },
        with_snippet: false,
    }
}

fn one_line(error: &serde_saphyr::Error) -> String {
    let text = error.render_with_formatter(&serde_saphyr::UserMessageFormatter);
    text.lines().map(str::trim).filter(|line| !line.is_empty()).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests;
