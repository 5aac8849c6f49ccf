//! Composition root: wires probe, sources, engine and server.
