//! How a JVM is started: small, and quick to start.

/// `java` with these settings of the JVM's and a class path; the class and its words follow.
pub(crate) fn java<'a>(heap: &'a str, class_path: &'a str) -> Vec<&'a str> {
    vec!["java", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-XX:-UsePerfData", heap, "-cp", class_path]
}
