//! x
pub mod bars;
pub mod table;
pub mod text;
