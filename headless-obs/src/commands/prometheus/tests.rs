//! Answers to snapshot.
