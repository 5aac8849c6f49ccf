//! The kernel's own figures of open TCP connections, as `ss` prints them.
//!
//! In: the output of [`COMMAND`] with a filter. Out: a row for each connection, with figures that the kernel keeps at that
//! end.

use anyhow::{Context, Result};

/// Lists established connections, one in each line, with their figures; a filter such as `dport = :8080` follows.
pub const COMMAND: [&str; 4] = ["ss", "-tinHO", "state", "established"];

/// A connection at one end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TcpInfo {
    /// The port at this end.
    pub port: u16,
    /// Address and port of the other end.
    pub peer: String,
    /// The other end's port.
    pub peer_port: u16,
    /// Bytes sent, each once.
    pub bytes_sent: u64,
    /// Bytes received.
    pub bytes_received: u64,
    /// Segments with data sent; those that were sent again are included.
    pub segments_sent: u64,
    /// Segments with data received.
    pub segments_received: u64,
    /// The smoothed round-trip time in microseconds.
    pub rtt_us: u64,
}

impl TcpInfo {
    /// The rows of an output.
    ///
    /// # Errors
    ///
    /// A line that is not as `ss` writes it.
    pub fn parse(text: &str) -> Result<Vec<Self>> {
        text.lines()
            .map(|line| Self::row(line).with_context(|| format!("not a line of ss: {line}")))
            .collect()
    }

    fn row(line: &str) -> Option<Self> {
        let words: Vec<&str> = line.split_whitespace().collect();
        let (local, peer) = (words.get(2)?, words.get(3)?);
        let port = |end: &str| end.rsplit(':').next()?.parse().ok();
        let figure = |name: &str| words.iter().find_map(|word| word.strip_prefix(name)?.strip_prefix(':'));
        // A figure that is 0 is left out.
        let number = |name: &str| figure(name).map_or(Some(0), |number| number.parse::<u64>().ok());
        let (milliseconds, _) = figure("rtt")?.split_once('/')?;
        // Three digits follow the point, and fewer where they are 0.
        let (whole, part) = milliseconds.split_once('.').unwrap_or((milliseconds, ""));
        Some(Self {
            port: port(local)?,
            peer: (*peer).to_owned(),
            peer_port: port(peer)?,
            bytes_sent: number("bytes_sent")?.checked_sub(number("bytes_retrans")?)?,
            bytes_received: number("bytes_received")?,
            segments_sent: number("data_segs_out")?,
            segments_received: number("data_segs_in")?,
            rtt_us: format!("{whole}{part:0<3}").parse().ok()?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_of_a_line() {
        let line = "0 0 10.0.0.1:40000 10.0.0.2:8080 cubic wscale:7,7 rto:204 rtt:0.05/0.02 mss:1448 \
                    bytes_sent:1100 bytes_retrans:100 bytes_acked:1001 bytes_received:7 segs_out:5 data_segs_out:3";
        let rows = TcpInfo::parse(line).unwrap();
        let expected = TcpInfo {
            port: 40_000,
            peer: "10.0.0.2:8080".to_owned(),
            peer_port: 8080,
            bytes_sent: 1_000,
            bytes_received: 7,
            segments_sent: 3,
            segments_received: 0,
            rtt_us: 50,
        };
        assert_eq!(rows, [expected]);
        assert!(TcpInfo::parse("0 0 10.0.0.1:40000").is_err());
    }
}
