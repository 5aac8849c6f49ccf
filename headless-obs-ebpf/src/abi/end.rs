//! The ways in which connections end, by the first sign of it. A connection that loses its server without a sign stays
//! open until its client gives it up.

/// The client closed it, or its sending side, first.
pub const CLIENT: u8 = 0;
/// The server closed it first.
pub const SERVER: u8 = 1;
/// The client cut it off with a reset: it ended without reading everything, or asked for that.
pub const CLIENT_RESET: u8 = 2;
/// The server, or a device on the way, cut it off with a reset.
pub const SERVER_RESET: u8 = 3;
/// The client's kernel gave up: nothing that it sent was acknowledged.
pub const TIMEOUT: u8 = 4;
/// In another way, or in one that nobody saw.
pub const OTHER: u8 = 5;
/// The number of ways.
pub const COUNT: usize = 6;
/// Names in the order of the numbers, as in metrics and JSON.
pub const NAMES: [&str; COUNT] = ["client", "server", "client_reset", "server_reset", "timeout", "other"];
/// In a [`crate::ring_record::TcpRecord`]: it has not ended.
pub const NONE: u8 = 255;
