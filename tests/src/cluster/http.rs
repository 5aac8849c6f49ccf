//! Plain HTTP inside a node's network, for pages of the control plane outside of its API.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use anyhow::{Context, Result};
use serde_json::Value;

use crate::node::Node;

const LIMIT: Duration = Duration::from_secs(5);

/// Gets a page; returns status and body.
pub(crate) fn get(node: &Node, at: SocketAddr, path: &str) -> Result<(u16, String)> {
    request(node, at, &format!("GET {path} HTTP/1.0\r\nHost: {at}\r\n\r\n"))
}

/// Posts JSON; returns status and body.
pub(crate) fn post(node: &Node, at: SocketAddr, path: &str, body: &Value) -> Result<(u16, String)> {
    let body = body.to_string();
    let length = body.len();
    request(
        node,
        at,
        &format!("POST {path} HTTP/1.0\r\nHost: {at}\r\nContent-Length: {length}\r\n\r\n{body}"),
    )
}

/// HTTP/1.0: the end of the connection is the end of the body.
fn request(node: &Node, at: SocketAddr, request: &str) -> Result<(u16, String)> {
    node.run(|| {
        let mut stream =
            TcpStream::connect_timeout(&at, LIMIT).with_context(|| format!("cannot connect to {at}"))?;
        stream.set_read_timeout(Some(LIMIT))?;
        stream.write_all(request.as_bytes())?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).with_context(|| format!("{at}: cannot read the response"))?;
        let (head, body) =
            answer.split_once("\r\n\r\n").with_context(|| format!("{at}: the response is not HTTP"))?;
        let status = head.split(' ').nth(1).and_then(|status| status.parse().ok());
        Ok((status.with_context(|| format!("{at}: the response has no HTTP status"))?, body.to_owned()))
    })
}
