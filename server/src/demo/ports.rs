//! The demo's ports: fixed, chosen before start, kept in the data folder. A clash names the port, its
//! owner and the flag that changes it.

use serde::{Deserialize, Serialize};
use std::net::{Ipv4Addr, TcpListener};
use std::path::Path;

/// Ports of node 1; node `i` listens on each plus `i - 1`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ports {
    /// MySQL clients.
    pub mysql: u16,
    /// Metrics and health.
    pub http: u16,
    /// Other nodes.
    pub node: u16,
}

impl Ports {
    /// MySQL port of a node, from 1.
    pub fn mysql_of(&self, node: u64) -> u16 {
        self.mysql + (node - 1) as u16
    }

    /// HTTP port of a node, from 1.
    pub fn http_of(&self, node: u64) -> u16 {
        self.http + (node - 1) as u16
    }

    /// Port for other nodes of a node, from 1.
    pub fn node_of(&self, node: u64) -> u16 {
        self.node + (node - 1) as u16
    }

    /// Checks that the ports of all nodes exist, differ and are free.
    ///
    /// # Errors
    /// A sentence that names the port, its owner where it can be seen, and the flag.
    pub fn check(&self, nodes: u64) -> Result<(), String> {
        let kinds =
            [("--mysql-port", self.mysql), ("--http-port", self.http), ("--node-port", self.node)];
        let mut taken: Vec<(u16, &str)> = Vec::new();
        for (flag, first) in kinds {
            if first == 0 || u64::from(first) + nodes > 65_536 {
                return Err(format!("{flag} {first} leaves no room for {nodes} nodes"));
            }
            for port in first..first + nodes as u16 {
                if let Some((_, other)) = taken.iter().find(|(used, _)| *used == port) {
                    return Err(format!("{flag} and {other} both want port {port}; change one"));
                }
                taken.push((port, flag));
                if let Err(error) = TcpListener::bind((Ipv4Addr::LOCALHOST, port)) {
                    let owner = owner(port).map_or(String::new(), |owner| format!(" by {owner}"));
                    return Err(format!(
                        "port {port} is taken{owner} ({error}); choose another with {flag}"
                    ));
                }
            }
        }
        Ok(())
    }
}

/// The process that listens on a TCP port of this machine, as far as /proc shows it to us.
fn owner(port: u16) -> Option<String> {
    let inode = ["/proc/net/tcp", "/proc/net/tcp6"].iter().find_map(|table| {
        let text = std::fs::read_to_string(table).ok()?;
        text.lines().skip(1).find_map(|line| {
            // Fields by proc(5): sl local_address rem_address st … inode is the tenth; st 0A = LISTEN.
            let fields: Vec<&str> = line.split_whitespace().collect();
            let (_, hex) = fields.get(1)?.rsplit_once(':')?;
            let same = u16::from_str_radix(hex, 16).ok()? == port && *fields.get(3)? == "0A";
            same.then(|| fields.get(9).map(|inode| inode.to_string())).flatten()
        })
    })?;
    let wanted = format!("socket:[{inode}]");
    for process in std::fs::read_dir("/proc").ok()?.flatten() {
        let pid = process.file_name().to_string_lossy().into_owned();
        if !pid.bytes().all(|byte| byte.is_ascii_digit()) {
            continue;
        }
        if holds(&process.path().join("fd"), &wanted) {
            let name = std::fs::read_to_string(process.path().join("comm")).unwrap_or_default();
            return Some(format!("{} (pid {pid})", name.trim()));
        }
    }
    None
}

fn holds(fds: &Path, wanted: &str) -> bool {
    let Ok(entries) = std::fs::read_dir(fds) else { return false };
    entries.flatten().any(|fd| {
        std::fs::read_link(fd.path()).is_ok_and(|target| target.to_string_lossy() == wanted)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_taken_port_names_owner_and_flag() {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let taken = listener.local_addr().unwrap().port();
        let (mysql, node) = if taken < 30_000 { (40_000, 41_000) } else { (20_000, 21_000) };
        let error = Ports { mysql, http: taken, node }.check(1).unwrap_err();
        assert!(error.contains(&taken.to_string()) && error.contains("--http-port"), "{error}");
        assert!(error.contains(&format!("pid {}", std::process::id())), "{error}");
    }

    #[test]
    fn overlapping_ranges_are_refused() {
        let error = Ports { mysql: 24_000, http: 24_001, node: 25_000 }.check(3).unwrap_err();
        assert!(error.contains("both want port 24001"), "{error}");
    }
}
