//! Bad links: lost and late packets. The kernel's `netem` does both where it exists; loss also works by
//! iptables. Both act inside a lab's namespaces only.

use super::error::Error;
use super::journal::PREFIX;
use super::network::{self, Network};
use super::tool;
use std::time::Duration;

/// How packets can be lost here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LossBy {
    /// `tc qdisc … netem`.
    Netem,
    /// `iptables -m statistic`.
    Iptables,
}

/// What a link does to packets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shape {
    /// This share of packets that a node receives is lost, in percent.
    Loss {
        /// 1 to 99.
        percent: u8,
    },
    /// What a node sends comes this much later, give or take half of it.
    Delay {
        /// The mean.
        mean: Duration,
    },
}

/// How packets can be lost here, if at all.
///
/// # Errors
/// `Unavailable`.
pub fn probe_loss() -> Result<LossBy, Error> {
    network::probe()?;
    if netem_works().is_ok() {
        return Ok(LossBy::Netem);
    }
    let rule = ["-m", "statistic", "--mode", "random", "--probability", "0.5", "-j", "DROP"];
    let tried = tool::need("iptables", "iptables").and_then(|_| {
        in_probe_namespace(|name| {
            let mut arguments = vec!["netns", "exec", name, "iptables", "-A", "INPUT"];
            arguments.extend(rule);
            tool::run("ip", &arguments).map(drop)
        })
    });
    tried.map(|()| LossBy::Iptables).map_err(|error| {
        Error::unavailable("packet loss", format!("the kernel has no netem, and iptables: {error}"))
    })
}

/// Whether packets can be delayed here.
///
/// # Errors
/// `Unavailable`.
pub fn probe_delay() -> Result<(), Error> {
    network::probe()?;
    netem_works().map_err(|_| {
        Error::unavailable(
            "packet delay",
            "the kernel has no netem (CONFIG_NET_SCH_NETEM); use a host whose kernel has it",
        )
    })
}

/// Bends a node's link.
///
/// # Errors
/// `Unavailable`, or when the system refuses.
pub fn bend(network: &Network, node: u64, shape: Shape) -> Result<(), Error> {
    let name = namespace(network, node)?;
    let (netem, loss) = match shape {
        Shape::Loss { percent } => {
            (format!("loss {percent}%"), Some(f64::from(percent.clamp(1, 99)) / 100.0))
        }
        Shape::Delay { mean } => {
            let ms = mean.as_millis();
            (format!("delay {ms}ms {}ms", ms / 2), None)
        }
    };
    match loss {
        Some(part) if probe_loss()? == LossBy::Iptables => {
            let part = part.to_string();
            let arguments = ["netns", "exec", &name, "iptables", "-A", "INPUT", "-i", "eth0"];
            let rule =
                ["-m", "statistic", "--mode", "random", "--probability", &part, "-j", "DROP"];
            tool::run("ip", &[&arguments[..], &rule[..]].concat()).map(drop)
        }
        Some(_) => tc(&name, &format!("qdisc replace dev eth0 root netem {netem}")),
        None => {
            probe_delay()?;
            tc(&name, &format!("qdisc replace dev eth0 root netem {netem}"))
        }
    }
}

/// Straightens a node's link.
///
/// # Errors
/// When the system refuses.
pub fn straighten(network: &Network, node: u64) -> Result<(), Error> {
    let name = namespace(network, node)?;
    if netem_works().is_ok() {
        // None there is no error: then nothing was bent.
        let _ = tc(&name, "qdisc del dev eth0 root");
    }
    if tool::find("iptables").is_some() {
        tool::run("ip", &["netns", "exec", &name, "iptables", "-F", "INPUT"])?;
    }
    Ok(())
}

fn namespace(network: &Network, node: u64) -> Result<String, Error> {
    match network {
        Network::Namespaces(namespaces) => Ok(namespaces.name(node)),
        Network::Loopback { .. } => {
            Err(Error::unavailable("bending links", "the nodes share the machine's loopback"))
        }
    }
}

fn netem_works() -> Result<(), Error> {
    tool::need("tc", "iproute2")?;
    in_probe_namespace(|name| tc(name, "qdisc add dev lo root netem delay 1ms"))
}

fn in_probe_namespace(work: impl FnOnce(&str) -> Result<(), Error>) -> Result<(), Error> {
    let name = format!("{PREFIX}shape-{}", std::process::id());
    tool::run("ip", &["netns", "add", &name])?;
    let outcome = work(&name);
    tool::run("ip", &["netns", "del", &name])?;
    outcome
}

fn tc(namespace: &str, words: &str) -> Result<(), Error> {
    let mut arguments = vec!["-n", namespace];
    arguments.extend(words.split(' '));
    tool::run("tc", &arguments).map(drop)
}
