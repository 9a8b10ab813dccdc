//! Away with answers in Redis: every server that has a part of the keys is gone through.

use std::time::Duration;

use redis::cluster_routing::{RoutingInfo, SingleNodeRoutingInfo};

use super::beginning;
use crate::redis::{Cmd, Server, Value, Wire, cmd};

/// Names that Redis looks at in one step: few enough not to be felt by anybody beside.
const STEP: usize = 500;

/// Longest wait for one answer: nobody's request waits for it.
const PATIENCE: Duration = Duration::from_secs(5);

/// A node of a cluster; nothing where there is only one server.
type Node = Option<(String, u16)>;

/// Forgets the answers of a policy, or of all of them, and tells how many there were.
///
/// # Errors
/// What kept it from being done, or from being done whole.
pub async fn purge(server: &Server, policy: Option<&str>) -> Result<u64, String> {
    let mut wire = server.options.connect().await?;
    // A key has 64 digits: a name that begins like another is not meant.
    let pattern = match policy {
        Some(policy) => literal(&beginning(server, policy)) + &"?".repeat(64),
        None => literal(&server.options.key_prefix) + ":cache:*",
    };
    let mut purged = 0_u64;
    for node in nodes(&mut wire).await? {
        let mut cursor = b"0".to_vec();
        loop {
            let mut scan = cmd("SCAN");
            scan.arg(&cursor).arg("MATCH").arg(&pattern).arg("COUNT").arg(STEP);
            let (next, names) = page(ask(&mut wire, &node, &scan).await?)?;
            if !names.is_empty() {
                let mut unlink = cmd("UNLINK");
                unlink.arg(&names);
                if let Value::Int(count) = ask(&mut wire, &None, &unlink).await? {
                    purged = purged.saturating_add(u64::try_from(count).unwrap_or(0));
                }
            }
            if next == b"0" {
                break;
            }
            cursor = next;
        }
    }
    Ok(purged)
}

/// A text as a pattern that only this text matches: whoever shares the Redis may have a name that the pattern would match.
fn literal(text: &str) -> String {
    let mut pattern = String::with_capacity(text.len());
    for letter in text.chars() {
        if matches!(letter, '*' | '?' | '[' | ']' | '^' | '-' | '\\') {
            pattern.push('\\');
        }
        pattern.push(letter);
    }
    pattern
}

async fn ask(wire: &mut Wire, node: &Node, command: &Cmd) -> Result<Value, String> {
    match (wire, node) {
        (Wire::Cluster(cluster), Some((host, port))) => {
            let to = SingleNodeRoutingInfo::ByAddress { host: host.clone(), port: *port };
            let asked = cluster.route_command(command.clone(), RoutingInfo::SingleNode(to));
            let answer = tokio::time::timeout(PATIENCE, asked).await;
            answer.map_err(|_| "no answer in time".to_owned())?.map_err(|error| error.to_string())
        }
        (wire, _) => wire.call(command, PATIENCE).await,
    }
}

/// The servers to go through: the masters of a cluster.
async fn nodes(wire: &mut Wire) -> Result<Vec<Node>, String> {
    if matches!(wire, Wire::Single(_)) {
        return Ok(vec![None]);
    }
    let mut slots = cmd("CLUSTER");
    slots.arg("SLOTS");
    let Value::Array(ranges) = wire.call(&slots, PATIENCE).await? else { return Err(odd()) };
    let mut nodes: Vec<Node> = Vec::new();
    for range in ranges {
        let Value::Array(range) = range else { return Err(odd()) };
        let Some(Value::Array(master)) = range.get(2) else { return Err(odd()) };
        let (Some(Value::BulkString(host)), Some(Value::Int(port))) = (master.first(), master.get(1)) else {
            return Err(odd());
        };
        let port = u16::try_from(*port).map_err(|_| odd())?;
        let node = Some((String::from_utf8_lossy(host).into_owned(), port));
        if !nodes.contains(&node) {
            nodes.push(node);
        }
    }
    Ok(nodes)
}

/// A page of names, and where the next one begins.
fn page(answer: Value) -> Result<(Vec<u8>, Vec<Vec<u8>>), String> {
    let Value::Array(parts) = answer else { return Err(odd()) };
    let [Value::BulkString(next), Value::Array(names)] = parts.as_slice() else { return Err(odd()) };
    let name = |value: &Value| match value {
        Value::BulkString(name) => Ok(name.clone()),
        _ => Err(odd()),
    };
    Ok((next.clone(), names.iter().map(name).collect::<Result<_, _>>()?))
}

fn odd() -> String {
    "an answer of another shape than Redis gives".to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_would_match_others_is_escaped() {
        for (text, pattern) in [
            ("aisix:cache", "aisix:cache"),
            ("a*b?", r"a\*b\?"),
            ("[^a-c]", r"\[\^a\-c\]"),
            (r"\", r"\\"),
            ("ü", "ü"),
        ] {
            assert_eq!(literal(text), pattern);
        }
    }
}
