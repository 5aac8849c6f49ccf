//! The content of an archive, read with the machine's `tar` and `gzip`.

use std::io::Write as _;
use std::process::{Command, Stdio};

use super::*;

fn image() -> Image {
    let entries = [
        ("/bin/agent", Entry::Program(b"#!".to_vec())),
        ("etc/hosts", Entry::File(b"127.0.0.1 localhost\n".to_vec())),
        ("/sbin", Entry::Link("bin".to_owned())),
        ("/tmp", Entry::Shared),
    ];
    Image {
        name: "localhost/agent:1".to_owned(),
        architecture: "arm64".to_owned(),
        entrypoint: vec!["/bin/agent".to_owned()],
        entries: entries.into_iter().map(|(path, entry)| (path.to_owned(), entry)).collect(),
        labels: BTreeMap::from([("a".to_owned(), "b".to_owned())]),
    }
}

fn archive() -> (Vec<u8>, String) {
    let mut out = Vec::new();
    let digest = image().write(&mut out).unwrap();
    (out, digest)
}

/// The output of a program for this input.
fn pipe(program: &str, args: &[&str], input: &[u8]) -> Vec<u8> {
    let mut command = Command::new(program);
    let mut child = command.args(args).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(input).unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "{program} {args:?}");
    output.stdout
}

fn file(archive: &[u8], path: &str) -> Vec<u8> {
    pipe("tar", &["-xOf", "-", path], archive)
}

fn value(bytes: &[u8]) -> Value {
    serde_json::from_slice(bytes).unwrap()
}

/// The content that a descriptor points to, checked as an importer does.
fn follow(archive: &[u8], descriptor: &Value) -> Vec<u8> {
    let found = file(archive, &format!("blobs/{}", descriptor["digest"].as_str().unwrap().replace(':', "/")));
    assert_eq!(descriptor["digest"], digest(&found));
    assert_eq!(descriptor["size"], found.len());
    found
}

#[test]
fn everything_is_reached_from_the_index() {
    let (archive, image_digest) = archive();
    let index = value(&file(&archive, "index.json"));
    assert_eq!(index["manifests"][0]["annotations"]["io.containerd.image.name"], "localhost/agent:1");
    assert_eq!(index["manifests"][0]["digest"], image_digest);
    let manifest = value(&follow(&archive, &index["manifests"][0]));
    let config = value(&follow(&archive, &manifest["config"]));
    assert_eq!(config["config"]["Entrypoint"], json!(["/bin/agent"]));
    assert_eq!(config["config"]["Labels"], json!({"a": "b"}));
    assert_eq!(config["architecture"], "arm64");
    assert_eq!(index["manifests"][0]["platform"], json!({"architecture": "arm64", "os": "linux"}));
    let layer = pipe("gzip", &["-dc"], &follow(&archive, &manifest["layers"][0]));
    assert_eq!(config["rootfs"]["diff_ids"], json!([digest(&layer)]));
    let listed = String::from_utf8(pipe("tar", &["-tvf", "-", "--numeric-owner", "--utc"], &layer)).unwrap();
    let columns = |line: &str| line.split_whitespace().collect::<Vec<_>>().join(" ");
    assert_eq!(
        listed.lines().map(columns).collect::<Vec<_>>(),
        [
            "drwxr-xr-x 0/0 0 1970-01-01 00:00 bin",
            "-rwxr-xr-x 0/0 2 1970-01-01 00:00 bin/agent",
            "drwxr-xr-x 0/0 0 1970-01-01 00:00 etc",
            "-rw-r--r-- 0/0 20 1970-01-01 00:00 etc/hosts",
            "lrwxrwxrwx 0/0 0 1970-01-01 00:00 sbin -> bin",
            "drwxrwxrwt 0/0 0 1970-01-01 00:00 tmp",
        ]
    );
}

#[test]
fn docker_before_25_finds_its_own_manifest() {
    let (archive, _) = archive();
    let manifest = value(&file(&archive, "manifest.json"));
    assert_eq!(manifest[0]["RepoTags"], json!(["localhost/agent:1"]));
    for path in [&manifest[0]["Config"], &manifest[0]["Layers"][0]] {
        let path = path.as_str().unwrap();
        assert!(path.ends_with(&hash(&file(&archive, path))), "{path}");
    }
}

#[test]
fn the_same_image_gives_the_same_bytes() {
    assert_eq!(archive(), archive());
}

/// The same image for two architectures, with another program in each.
fn both() -> [Image; 2] {
    [("amd64", "one"), ("arm64", "other")].map(|(architecture, program)| {
        let entries = BTreeMap::from([("agent".to_owned(), Entry::Program(program.into()))]);
        Image { architecture: architecture.to_owned(), entries, ..image() }
    })
}

#[test]
fn each_architecture_finds_its_own_below_one_name() {
    let mut archive = Vec::new();
    let id = write_all(&both(), &mut archive).unwrap();
    let layout = value(&file(&archive, "index.json"));
    assert_eq!(layout["manifests"].as_array().unwrap().len(), 1, "one name stands for one thing");
    assert_eq!(layout["manifests"][0]["digest"], id);
    assert_eq!(layout["manifests"][0]["annotations"]["io.containerd.image.name"], "localhost/agent:1");
    let index = value(&follow(&archive, &layout["manifests"][0]));
    assert_eq!(index["mediaType"], layout["manifests"][0]["mediaType"]);
    for (place, (architecture, program)) in [("amd64", "one"), ("arm64", "other")].into_iter().enumerate() {
        let entry = &index["manifests"][place];
        assert_eq!(entry["platform"], json!({"architecture": architecture, "os": "linux"}));
        let manifest = value(&follow(&archive, entry));
        assert_eq!(value(&follow(&archive, &manifest["config"]))["architecture"], architecture);
        let layer = pipe("gzip", &["-dc"], &follow(&archive, &manifest["layers"][0]));
        assert_eq!(file(&layer, "agent"), program.as_bytes());
        let docker = &value(&file(&archive, "manifest.json"))[place];
        assert_eq!(docker["RepoTags"], json!([format!("localhost/agent:1-{architecture}")]));
        assert_eq!(docker["Layers"][0].as_str().unwrap(), blob(&follow(&archive, &manifest["layers"][0])));
    }
}

#[test]
fn what_is_not_the_same_image_is_refused() {
    let [one, mut other] = both();
    other.name = "localhost/agent:2".to_owned();
    assert!(write_all(&[one, other], Vec::new()).is_err());
    assert!(write_all(&[], Vec::new()).is_err());
}

#[test]
fn an_artifact_is_one_file_with_its_description() {
    let artifact = Artifact {
        name: "localhost/charts/a:1".to_owned(),
        config: ("application/x.config", b"{}".to_vec()),
        layer: ("application/x.file", b"content".to_vec()),
        annotations: BTreeMap::from([("a".to_owned(), "b".to_owned())]),
    };
    let mut archive = Vec::new();
    let id = artifact.write(&mut archive).unwrap();
    let index = value(&file(&archive, "index.json"));
    assert_eq!(index["manifests"][0]["annotations"][NAME], "localhost/charts/a:1");
    assert_eq!(index["manifests"][0]["digest"], id);
    let manifest = value(&follow(&archive, &index["manifests"][0]));
    assert_eq!(manifest["annotations"], json!({"a": "b"}));
    assert_eq!(manifest["config"]["mediaType"], "application/x.config");
    assert_eq!(manifest["layers"][0]["mediaType"], "application/x.file");
    assert_eq!(follow(&archive, &manifest["layers"][0]), b"content");
    let listed = String::from_utf8(pipe("tar", &["-tf", "-"], &archive)).unwrap();
    assert!(!listed.contains("manifest.json"), "nothing for Docker, which cannot load it: {listed}");
}

#[test]
fn a_compressed_archive_has_the_time_that_it_is_given() {
    let entries = BTreeMap::from([("a/b".to_owned(), Entry::File(b"text".to_vec()))]);
    let made = tar_gz(&entries, 1_000_000_000).unwrap();
    let listed = pipe("tar", &["-tvzf", "-", "--numeric-owner", "--utc"], &made);
    let listed = String::from_utf8(listed).unwrap();
    assert_eq!(listed.matches("2001-09-09 01:46").count(), 2, "{listed}");
    assert_eq!(made, tar_gz(&entries, 1_000_000_000).unwrap());
}
