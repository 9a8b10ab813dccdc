//! Parts of a Redis that accept and say nothing, and sentinels that ask who is there.

use std::net::TcpListener;
use std::process::Command;
use std::sync::Arc;

use super::fleet::{Fleet, Tally};
use super::server::RedisServer;
use crate::harness::*;

const LIMITS: &str = "[ratelimit]\nbackend = \"redis\"\non_failure = \"deny\"\n";
const PASSWORD: &str = "s3cret-of-sentinels";

fn keys() -> String {
    api_key("sk-ten", "\"*\"", "rate_limit = { rpd = 10 }")
}

/// A sentinel of a Redis called main.
fn sentinel(master: u16, more: &str) -> RedisServer {
    let (folder, port) = (Arc::new(Folder::new()), free_port());
    let text = format!(
        "port {port}\nbind 127.0.0.1\ndir {}\nsentinel monitor main 127.0.0.1 {master} 1\n{more}",
        folder.path().display()
    );
    let file = folder.write("sentinel.conf", &text);
    RedisServer::sentinel(port, folder, &file)
}

#[test]
fn a_sentinel_that_says_nothing_keeps_nobody_from_the_others() {
    let (redis, upstream) = (RedisServer::start(), Upstream::well());
    let silent = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let well = sentinel(redis.port, "");
    let settings = format!(
        "[redis]\nmode = \"sentinel\"\nmaster_name = \"main\"\ntimeout_ms = 1000\nconnect_timeout_ms = 4000\n\
         sentinels = [\"{}\", \"127.0.0.1:{}\"]\n",
        silent.local_addr().expect("bound"),
        well.port
    ) + LIMITS;
    let fleet = Fleet::start(1, &upstream, &settings, &keys());
    assert_eq!(fleet.send("sk-ten", 12, 2), Tally::from([(200, 10), (429, 2)]));
}

#[test]
fn sentinels_are_told_their_own_password() {
    let (redis, upstream) = (RedisServer::start(), Upstream::well());
    let well = sentinel(redis.port, &format!("requirepass {PASSWORD}\n"));
    let settings = format!(
        "[redis]\nmode = \"sentinel\"\nmaster_name = \"main\"\ntimeout_ms = 1000\nconnect_timeout_ms = 4000\n\
         sentinels = [\"127.0.0.1:{}\"]\nsentinel_password = \"{PASSWORD}\"\n",
        well.port
    ) + LIMITS;
    let mut fleet = Fleet::start(1, &upstream, &settings, &keys());
    assert_eq!(fleet.send("sk-ten", 12, 2), Tally::from([(200, 10), (429, 2)]));
    fleet.gateways[0].signal("TERM");
    assert!(!fleet.gateways[0].log().contains(PASSWORD));
}

#[test]
fn a_node_of_a_cluster_without_our_keys_may_say_nothing() {
    let start = |_| {
        let bus = free_port().to_string();
        let flags = ["--cluster-enabled", "yes", "--cluster-node-timeout", "60000", "--cluster-port", &bus];
        RedisServer::start_with(&flags)
    };
    let nodes: Vec<RedisServer> = (0..3).map(start).collect();
    let addresses: Vec<String> = nodes.iter().map(|node| format!("127.0.0.1:{}", node.port)).collect();
    let mut create = Command::new("redis-cli");
    create.args(["--cluster", "create"]).args(&addresses).arg("--cluster-yes");
    assert!(create.output().expect("redis-cli is installed").status.success());
    let is_whole = |node: &RedisServer| node.ask(&["CLUSTER", "INFO"]).concat().contains("cluster_state:ok");
    until("the cluster is whole", || nodes.iter().all(is_whole));
    let slot = nodes[0].ask(&["CLUSTER", "KEYSLOT", "{aisix}"])[0].parse::<usize>().expect("a slot");
    // The three have a third of the slots each, in the order given.
    let ours = slot * 3 / 16_384;
    let silent = &nodes[(ours + 1) % 3];
    silent.pause();
    let urls: Vec<String> = addresses.iter().map(|address| format!("\"redis://{address}\"")).collect();
    let settings = format!(
        "[redis]\nmode = \"cluster\"\nnodes = [{}]\ntimeout_ms = 1000\nconnect_timeout_ms = 8000\n",
        urls.join(", ")
    ) + LIMITS;
    let upstream = Upstream::well();
    let fleet = Fleet::start(1, &upstream, &settings, &keys());
    until("limits are counted", || fleet.send("sk-ten", 1, 1).contains_key(&200));
    let rest = fleet.send("sk-ten", 20, 2);
    assert_eq!(rest, Tally::from([(200, 9), (429, 11)]));
    silent.resume();
}
