//! Starts JVMs with a small heap and a short start time.

/// `java` with these JVM settings and a class path; the class and its arguments follow.
pub(crate) fn java<'a>(heap: &'a str, class_path: &'a str) -> Vec<&'a str> {
    vec!["java", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-XX:-UsePerfData", heap, "-cp", class_path]
}
