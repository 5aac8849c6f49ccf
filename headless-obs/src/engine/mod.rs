//! The engine: the one owner of all state.
