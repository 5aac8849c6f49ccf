//! The daemon's memory with many endpoints.

use std::fs;
use std::io::{self, BufRead as _, BufReader, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::thread;
use std::time::{Duration, Instant};

use lab::*;
use serde_json::{Value, json};

use crate::PATIENCE;
use crate::control_group::ControlGroup;

/// Services, each with as many endpoints.
pub(crate) struct Population {
    services: u32,
    endpoints: u32,
}

pub(crate) const TEN_THOUSAND: Population = Population { services: 500, endpoints: 20 };
/// Few Services, because the daemon judges one at a time.
const FIFTY_THOUSAND: Population = Population { services: 20, endpoints: 2_500 };
/// 177 MiB were measured. The test fails if the daemon makes all documents at once and keeps them.
const MOST_WITH_READERS_KIB: u64 = 205 << 10;
/// Readers that the daemon serves in parallel.
const READERS: usize = 64;
/// Those of them that never read.
const SILENT: usize = 16;
/// The data take about 12 MiB; the rest is memory that the allocator keeps after temporary use, which differs from
/// machine to machine.
const MOST_KIB: u64 = 22 << 10;

/// A Service with its endpoints, as two documents.
fn manifest(number: u32, endpoints: u32) -> [Value; 2] {
    let (namespace, name) = (format!("team-{}", number % 25), format!("service-{number}"));
    let endpoint = |place: u32| {
        let pod = format!("{name}-{place}");
        let [_, a, b, c] = (number * endpoints + place).to_be_bytes();
        json!({
            "addresses": [format!("10.{}.{b}.{c}", 100 + a)],
            "conditions": {"ready": true},
            "hostname": pod,
            "nodeName": format!("node-{}", place % 100),
            "targetRef": {"kind": "Pod", "namespace": namespace, "name": pod, "uid": format!("{number:08}-0000-4000-8000-{place:012}")},
        })
    };
    let endpoints: Vec<Value> = (0..endpoints).map(endpoint).collect();
    let service = json!({
        "apiVersion": "v1", "kind": "Service", "metadata": {"namespace": namespace, "name": name},
        "spec": {"clusterIP": "None", "ports": [{"name": "main", "port": 8080}]},
    });
    let slice = json!({
        "apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice", "addressType": "IPv4",
        "metadata": {"namespace": namespace, "name": format!("{name}-a"), "labels": {"kubernetes.io/service-name": name}},
        "ports": [{"name": "main", "port": 8080}], "endpoints": endpoints,
    });
    [service, slice]
}

impl Population {
    /// All of them.
    pub(crate) fn manifests(&self) -> String {
        let documents = (0..self.services).flat_map(|number| manifest(number, self.endpoints));
        documents.map(|document| format!("---\n{document}\n")).collect()
    }

    /// The topology that is in a file with all of them.
    fn topology(&self, lab: &Lab) -> String {
        let path = lab.folder().join("services.yaml");
        fs::write(&path, self.manifests()).unwrap();
        format!("files:{}", path.display())
    }
}

/// Private resident memory of a process, in KiB.
pub(crate) fn own_memory(pid: u32) -> u64 {
    lab::process_usage::status(pid, "RssAnon").unwrap()
}

/// Waits until a daemon has returned its temporary memory.
fn becomes_small(observer: &Observer) {
    let until = Instant::now() + PATIENCE;
    while own_memory(observer.pid()) > MOST_KIB {
        assert!(
            Instant::now() < until,
            "{} KiB, at most {MOST_KIB} are expected",
            own_memory(observer.pid())
        );
        thread::sleep(Duration::from_millis(50));
    }
}

#[test]
fn ten_thousand_endpoints_take_little_memory() {
    let lab = Lab::new().unwrap();
    let topology = TEN_THOUSAND.topology(&lab);
    let observer = Observer::start(&lab, &ObserverSpec::new(&["--topology", &topology])).unwrap();
    becomes_small(&observer);
    let snapshot = observer.snapshot().unwrap();
    let services = snapshot["services"].as_array().unwrap();
    let endpoints: usize =
        services.iter().map(|service| service["endpoints"].as_array().unwrap().len()).sum();
    assert_eq!((services.len(), endpoints), (500, 10_000));
    // The limit also holds after all pages were read.
    let metrics = observer.metrics().unwrap();
    assert!(
        metrics.contains("headless_observer_series") && !metrics.contains("service-499"),
        "nobody here uses it"
    );
    becomes_small(&observer);
}

/// Asks for a document.
fn ask(address: SocketAddr, path: &str) -> io::Result<TcpStream> {
    let mut stream = TcpStream::connect(address)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    write!(stream, "GET {path} HTTP/1.0\r\nHost: x\r\n\r\n")?;
    Ok(stream)
}

/// Reads a document in pieces and keeps none of them; returns its length, or `None` if the daemon had no room for this
/// reader or cut the document.
fn read(address: SocketAddr, path: &str) -> Option<usize> {
    let mut reader = BufReader::new(ask(address, path).ok()?);
    let mut head = String::new();
    while reader.read_line(&mut head).ok()? > 2 {}
    let head = head.to_ascii_lowercase();
    let expected = head.lines().find_map(|line| line.strip_prefix("content-length:")?.trim().parse().ok());
    let length = usize::try_from(io::copy(&mut reader, &mut io::sink()).ok()?).unwrap();
    let is_whole = head.contains(" 200 ok") && expected == Some(length);
    is_whole.then_some(length)
}

/// The limit of the daemon's pod, as the chart has it.
fn limit() -> String {
    let values =
        fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../deploy/chart/values.yaml")).unwrap();
    let values: Value = serde_saphyr::from_str(&values).unwrap();
    values["resources"]["limits"]["memory"].as_str().unwrap().strip_suffix("i").unwrap().to_owned()
}

/// Linux kills the daemon if it needs more than its pod may have.
#[test]
fn many_readers_of_fifty_thousand_endpoints_fit_the_limit_of_the_chart() {
    let lab = Lab::new().unwrap();
    let topology = FIFTY_THOUSAND.topology(&lab);
    let group = ControlGroup::new("memory");
    group.set(["memory.limit_in_bytes", "memory.max"], &limit());
    let mut spec = ObserverSpec::new(&["--topology", &topology]);
    spec.wrapper = group.wrapper().map(str::to_owned).to_vec();
    let mut observer = Observer::start(&lab, &spec).unwrap();
    let address = observer.address();
    // Each of these has a document of its own, and never reads it.
    let silent = (1..=SILENT).map(|minutes| ask(address, &format!("/api/v1/snapshot?last={minutes}m")));
    let silent: Vec<TcpStream> = silent.map(Result::unwrap).collect();
    let paths =
        ["/api/v1/snapshot", "/api/v1/snapshots?last=1h", "/api/v1/snapshot?last=all", "/", "/metrics"];
    let most = thread::scope(|scope| {
        // The daemon sends some away while all its places are taken: they come again.
        let whole = |path: &'static str| {
            let until = Instant::now() + 6 * PATIENCE;
            loop {
                if let Some(length) = read(address, path) {
                    return (path, length);
                }
                assert!(Instant::now() < until, "nobody got {path}");
            }
        };
        let readers = (SILENT..READERS).map(|number| scope.spawn(move || whole(paths[number % paths.len()])));
        let readers: Vec<_> = readers.collect();
        let mut most = 0;
        while readers.iter().any(|reader| !reader.is_finished()) {
            most = most.max(own_memory(observer.pid()));
            thread::sleep(Duration::from_millis(5));
        }
        for (path, length) in readers.into_iter().map(|reader| reader.join().unwrap()) {
            assert!(!path.contains("snapshot") || length > 16 << 20, "{path}: {length} bytes");
        }
        most
    });
    drop(silent);
    assert_eq!(observer.status().unwrap(), None, "{}", observer.log());
    let events = group.get(["memory.oom_control", "memory.events"]);
    assert!(events.contains("oom_kill 0\n"), "{events}");
    assert!(most < MOST_WITH_READERS_KIB, "{most} KiB, at most {MOST_WITH_READERS_KIB} are expected");
}
