//! Figures of evenness.
