//! Asks a node's health page, which also knows of replicas that do not run.

use super::lab::Lab;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// Longest wait for the page.
const PAGE_WAIT_MAX: Duration = Duration::from_secs(3);
/// Longest page that is read.
const PAGE_BYTES_MAX: u64 = 64 << 10;

/// Whether every replica of a node runs.
///
/// # Errors
/// What the node says is wrong, or that it does not answer.
pub fn of(lab: &mut Lab, node: u64) -> Result<(), String> {
    let address = lab.network().http(node);
    let work = async move {
        let mut stream = TcpStream::connect(address).await?;
        let request = b"GET /healthz HTTP/1.1\r\nHost: node\r\nConnection: close\r\n\r\n";
        stream.write_all(request).await?;
        let mut page = Vec::new();
        stream.take(PAGE_BYTES_MAX).read_to_end(&mut page).await?;
        Ok::<_, std::io::Error>(String::from_utf8_lossy(&page).into_owned())
    };
    match lab.call(async move { tokio::time::timeout(PAGE_WAIT_MAX, work).await }) {
        Ok(Ok(page)) => judge(&page).map_err(|why| format!("node {node}: {why}")),
        Ok(Err(error)) => Err(format!("node {node}: health page: {error}")),
        Err(_) => Err(format!("node {node}: health page: no answer after {PAGE_WAIT_MAX:?}")),
    }
}

fn judge(page: &str) -> Result<(), String> {
    let (head, body) = page.split_once("\r\n\r\n").unwrap_or((page, ""));
    if head.starts_with("HTTP/1.1 200") {
        return Ok(());
    }
    Err(format!("{}: {}", head.lines().next().unwrap_or_default(), body.trim().replace('\n', "; ")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_good_status_is_health() {
        assert!(judge("HTTP/1.1 200 OK\r\n\r\nok\n").is_ok());
        let ill = judge("HTTP/1.1 503 Service Unavailable\r\n\r\nreplica 3\n").unwrap_err();
        assert!(ill.contains("replica 3"));
        assert!(judge("").is_err());
    }
}
