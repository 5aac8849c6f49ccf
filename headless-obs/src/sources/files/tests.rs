//! Files and folders on disk, read and followed.

use std::os::unix::fs::symlink;
use std::sync::atomic::{AtomicU32, Ordering};

use super::*;
use crate::topology::model::{Kind, Object};

/// A temporary folder that the test removes.
struct Folder(PathBuf);

impl Folder {
    fn new() -> Self {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let path = std::env::temp_dir().join(format!("headless-obs-files-{}-{number}", std::process::id()));
        fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.path(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, text).unwrap();
        path
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _gone = fs::remove_dir_all(&self.0);
    }
}

fn service(name: &str) -> String {
    format!("apiVersion: v1\nkind: Service\nmetadata: {{name: {name}}}\nspec: {{clusterIP: None}}\n")
}

/// Names of the Services.
fn names(changes: &[Change]) -> Vec<String> {
    let services = changes.iter().flat_map(|change| match change {
        Change::Reset(Kind::Service, objects) => objects.as_slice(),
        _ => &[],
    });
    services
        .map(|object| match object {
            Object::Service(service) => service.key.name.to_string(),
            other => panic!("{other:?} is no Service"),
        })
        .collect()
}

/// A running source.
struct Watched {
    updates: mpsc::Receiver<Update>,
    task: tokio::task::JoinHandle<Result<(), FilesError>>,
}

impl Watched {
    async fn start(path: PathBuf, services: &[&str]) -> Self {
        let (sender, updates) = mpsc::channel(1);
        let mut watched = Self { updates, task: tokio::spawn(watch(path, Status::default(), sender)) };
        watched.expect(services).await;
        watched
    }

    async fn next(&mut self) -> Update {
        // Long enough for any machine; only a failing test waits that long.
        let next = timeout(Duration::from_mins(1), self.updates.recv()).await;
        next.expect("there is an update").expect("the source runs")
    }

    async fn expect(&mut self, services: &[&str]) {
        match self.next().await {
            Update::Changes(changes) => {
                assert_eq!(names(&changes), services);
                assert_eq!(changes.len(), 4);
                assert_eq!(changes.last(), Some(&Change::Synced(true)));
            }
            other => panic!("{other:?}"),
        }
    }

    async fn expect_refusal(&mut self) -> String {
        match self.next().await {
            Update::Changes(changes) => panic!("taken: {changes:?}"),
            Update::Refused(reason) => reason,
            other @ Update::OutOfTouch(_) => panic!("{other:?}"),
        }
    }
}

impl Drop for Watched {
    fn drop(&mut self) {
        self.task.abort();
    }
}

#[test]
fn a_folder_is_read_in_order_of_names() {
    let folder = Folder::new();
    folder.write("b.yml", &service("b"));
    folder.write("a.yaml", &format!("{}---\n{}", service("a1"), service("a2")));
    folder.write("c.json", r#"{"apiVersion": "v1", "kind": "Service", "metadata": {"name": "c"}}"#);
    folder.write(".hidden.yaml", "nonsense");
    folder.write("notes.txt", "nonsense");
    folder.write("deeper.yaml/d.yaml", "nonsense");
    assert_eq!(names(&load(&folder.0).unwrap().changes), ["a1", "a2", "b", "c"]);
}

#[test]
fn a_named_file_can_be_called_anything() {
    let folder = Folder::new();
    assert_eq!(names(&load(&folder.write("topology", &service("a"))).unwrap().changes), ["a"]);
}

#[test]
fn errors_name_the_file_and_what_to_do() {
    let folder = Folder::new();
    let check = |path: &Path, expected: &str| {
        let text = load(path).unwrap_err().to_string();
        assert_eq!(text, format!("{}: {expected}", path.display()));
    };
    check(
        &folder.path("absent.yaml"),
        "cannot be read: No such file or directory (os error 2); check the path and its permissions",
    );
    check(
        &folder.0,
        "contains no Service, EndpointSlice, Endpoints or Pod; write them with kubectl get -o yaml \
         (a folder's files must end in .yaml, .yml or .json)",
    );
    check(&folder.write("bad.yaml", "kind: Pod"), "document 1 (Pod): apiVersion: is missing");
    check(Path::new("/dev/null"), "cannot be read: is no ordinary file; check the path and its permissions");
    let large = folder.write("large.yaml", "");
    File::options().write(true).open(&large).unwrap().set_len(MAX_BYTES + 1).unwrap();
    check(&large, "is larger than 64 MiB; remove objects that are no Service, EndpointSlice or Pod");
    let binary = folder.path("binary.yaml");
    fs::write(&binary, [0xff, 0xd8]).unwrap();
    check(&binary, "is no manifest in UTF-8 or UTF-16; write one with kubectl get -o yaml");
}

#[test]
fn twice_in_two_files() {
    let folder = Folder::new();
    let first = folder.write("a.yaml", &service("a"));
    let second = folder.write("b.yaml", &service("a"));
    let reading = load(&folder.0).unwrap();
    assert_eq!((names(&reading.changes), reading.flawed), (vec!["a".to_owned()], 1));
    assert_eq!(
        reading.flaws[0],
        format!(
            "{}: document 1 (Service a): metadata.name: is in {}, document 1, too (namespace default); remove one",
            second.display(),
            first.display()
        )
    );
}

#[tokio::test]
async fn a_bad_start_is_an_error() {
    let folder = Folder::new();
    let (sender, _updates) = mpsc::channel(1);
    let result = watch(folder.path("absent.yaml"), Status::default(), sender.clone()).await;
    assert!(matches!(result, Err(FilesError::Unreadable { .. })));
    let result = watch(folder.write("bad.yaml", "kind: Pod\nx: ["), Status::default(), sender).await;
    assert!(matches!(result, Err(FilesError::Invalid { .. })));
}

#[tokio::test]
async fn a_changed_file_is_read_again_and_an_invalid_one_refused() {
    let folder = Folder::new();
    let path = folder.write("a.yaml", &service("a"));
    let mut watched = Watched::start(path.clone(), &["a"]).await;

    folder.write("a.yaml", &service("b"));
    watched.expect(&["b"]).await;

    folder.write("a.yaml", "apiVersion: v1\nkind: Service\n");
    let reason = watched.expect_refusal().await;
    assert_eq!(reason, format!("{}: document 1 (Service): metadata.name: is missing", path.display()));

    // The same state as before the error is reported all the same.
    folder.write("a.yaml", &service("b"));
    watched.expect(&["b"]).await;

    fs::remove_file(&path).unwrap();
    assert!(watched.expect_refusal().await.contains("cannot be read"));
    folder.write("a.yaml", &service("c"));
    watched.expect(&["c"]).await;
}

#[tokio::test]
async fn a_file_is_replaced_by_renaming() {
    let folder = Folder::new();
    let path = folder.write("a.yaml", &service("a"));
    let mut watched = Watched::start(path.clone(), &["a"]).await;
    for name in ["b", "c", "d"] {
        fs::rename(folder.write("new.tmp", &service(name)), &path).unwrap();
        watched.expect(&[name]).await;
    }
}

#[tokio::test]
async fn files_come_and_go_in_a_folder() {
    let folder = Folder::new();
    folder.write("a.yaml", &service("a"));
    let mut watched = Watched::start(folder.0.clone(), &["a"]).await;
    folder.write("b.yaml", &service("b"));
    watched.expect(&["a", "b"]).await;
    fs::remove_file(folder.path("a.yaml")).unwrap();
    watched.expect(&["b"]).await;
    // A file with unchanged content causes no update: the next update is that of the next file.
    folder.write("b.yaml", &service("b"));
    folder.write("c.yaml", &service("c"));
    watched.expect(&["b", "c"]).await;
    folder.write("c.yaml", "kind: Service\nx: [");
    watched.expect_refusal().await;
    fs::remove_file(folder.path("c.yaml")).unwrap();
    watched.expect(&["b"]).await;
}

#[tokio::test]
async fn a_folder_is_replaced() {
    let folder = Folder::new();
    folder.write("v1/a.yaml", &service("a"));
    folder.write("v2/a.yaml", &service("b"));
    folder.write("v3/a.yaml", &service("c"));
    let path = folder.path("v1");
    let mut watched = Watched::start(path.clone(), &["a"]).await;
    fs::rename(&path, folder.path("old")).unwrap();
    assert!(watched.expect_refusal().await.contains("cannot be read"));
    fs::rename(folder.path("v2"), &path).unwrap();
    watched.expect(&["b"]).await;
    // The watch includes the new folder.
    folder.write("v1/a.yaml", &service("d"));
    watched.expect(&["d"]).await;
}

/// The kubelet writes a new folder, links it as `..data_tmp` and renames that to `..data`.
#[tokio::test]
async fn a_config_map_is_updated() {
    let folder = Folder::new();
    let publish = |version: &str, name: &str| {
        folder.write(&format!("..{version}/a.yaml"), &service(name));
        symlink(format!("..{version}"), folder.path("..data_tmp")).unwrap();
        fs::rename(folder.path("..data_tmp"), folder.path("..data")).unwrap();
    };
    publish("1", "a");
    symlink("..data/a.yaml", folder.path("a.yaml")).unwrap();
    let mut as_folder = Watched::start(folder.0.clone(), &["a"]).await;
    let mut as_file = Watched::start(folder.path("a.yaml"), &["a"]).await;
    for (version, name) in [("2", "b"), ("3", "c")] {
        publish(version, name);
        as_folder.expect(&[name]).await;
        as_file.expect(&[name]).await;
    }
}

#[tokio::test]
async fn links_elsewhere_are_followed() {
    let folder = Folder::new();
    folder.write("store/one/a.yaml", &service("a"));
    folder.write("store/two/a.yaml", &service("b"));
    symlink("store/one", folder.path("current")).unwrap();
    fs::create_dir(folder.path("etc")).unwrap();
    symlink(folder.path("current/a.yaml"), folder.path("etc/topology")).unwrap();
    let mut watched = Watched::start(folder.path("etc/topology"), &["a"]).await;
    // At the far end, then halfway.
    folder.write("store/one/a.yaml", &service("c"));
    watched.expect(&["c"]).await;
    symlink("store/two", folder.path("next")).unwrap();
    fs::rename(folder.path("next"), folder.path("current")).unwrap();
    watched.expect(&["b"]).await;
}

#[tokio::test]
async fn ends_when_nobody_listens() {
    let folder = Folder::new();
    let mut watched = Watched::start(folder.write("a.yaml", &service("a")), &["a"]).await;
    watched.updates.close();
    assert!(matches!((&mut watched.task).await, Ok(Ok(()))));
}

#[test]
fn what_is_not_ours_is_passed_over_and_what_is_ours_is_read() {
    let folder = Folder::new();
    folder.write("a.yaml", &service("a"));
    folder.write("kustomization.yaml", "resources: [a.yaml]\n");
    folder.write("values.yml", "replicas: 3\n---\n- 1\n");
    folder.write("template.yaml", "metadata: {{ .Values.meta }}: [\n");
    folder.write("package.json", "not JSON");
    fs::write(folder.path("image.json"), [0x89, 0x50, 0, 1]).unwrap();
    let utf16: Vec<u8> =
        format!("\u{feff}{}", service("b")).encode_utf16().flat_map(u16::to_le_bytes).collect();
    fs::write(folder.path("windows.yaml"), utf16).unwrap();
    let reading = load(&folder.0).unwrap();
    assert_eq!(names(&reading.changes), ["a", "b"]);
    assert_eq!((reading.flaws.len(), reading.flawed, reading.passed_over), (0, 0, 6), "{:?}", reading.flaws);
    // A file that names a kind of ours is ours, though it is broken; the others are read.
    folder.write("broken.yaml", "kind: Service\nspec: [");
    let reading = load(&folder.0).unwrap();
    assert_eq!(names(&reading.changes), ["a", "b"]);
    assert!(reading.flaws[0].contains("broken.yaml: document 1"), "{:?}", reading.flaws);
}

#[tokio::test]
async fn a_refusal_is_in_the_state_of_the_source_until_it_is_over() {
    let folder = Folder::new();
    folder.write("a.yaml", &service("a"));
    let (sender, mut updates) = mpsc::channel(1);
    let status = Status::default();
    let task = tokio::spawn(watch(folder.0.clone(), status.clone(), sender));
    let mut next = async || timeout(Duration::from_mins(1), updates.recv()).await.unwrap().unwrap();
    assert!(matches!(next().await, Update::Changes(_)));
    assert_eq!((status.topology().stale_since, status.topology().problem), (None, None));
    folder.write("b.yaml", "kind: Service\nspec: [");
    assert!(matches!(next().await, Update::Refused(_)));
    let topology = status.topology();
    assert!(topology.stale_since.is_some() && topology.problem.unwrap().contains("b.yaml"));
    // One object refuses itself alone.
    folder.write("b.yaml", &format!("{}---\napiVersion: v1\nkind: Pod\n", service("b")));
    let Update::Changes(changes) = next().await else { panic!("refused") };
    assert_eq!(names(&changes), ["a", "b"]);
    let topology = status.topology();
    assert_eq!((topology.stale_since, topology.rejected_objects), (None, 1));
    assert!(topology.problem.unwrap().contains("document 2 (Pod)"));
    task.abort();
}
