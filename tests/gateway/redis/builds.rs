//! Every build of Redis admits exactly, and comes back: a cluster, sentinels, TLS with a password.

use std::process::Command;
use std::sync::Arc;

use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};

use super::fleet::{Fleet, Tally};
use super::server::RedisServer;
use crate::harness::*;

const BOTH: &str = "[ratelimit]\nbackend = \"redis\"\n[budget]\nbackend = \"redis\"\n";
const PASSWORD: &str = "s3cret-of-redis";

fn keys() -> String {
    api_key("sk-ten", "\"*\"", "rate_limit = { rpd = 10 }")
        + &api_key("sk-w", "\"*\"", "rate_limit = { rpd = 1000000 }")
        + &budget("all", "scope = \"org\"", "1000000", "")
}

fn is_up(fleet: &Fleet, figure: f64) -> bool {
    fleet.metric("aisix_redis_up", &[("use", "limits")]) == figure
}

fn runs(program: &str, arguments: &[&str]) {
    let output = Command::new(program).args(arguments).output().expect("it is installed");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
}

#[test]
fn a_cluster_admits_exactly_and_a_node_that_dies_comes_back() {
    let start = |_| {
        let bus = free_port().to_string();
        let flags = ["--cluster-enabled", "yes", "--cluster-node-timeout", "1000", "--cluster-port", &bus];
        RedisServer::start_with(&flags)
    };
    let mut nodes: Vec<RedisServer> = (0..3).map(start).collect();
    let addresses: Vec<String> = nodes.iter().map(|node| format!("127.0.0.1:{}", node.port)).collect();
    let mut arguments = vec!["--cluster", "create"];
    arguments.extend(addresses.iter().map(String::as_str));
    arguments.push("--cluster-yes");
    runs("redis-cli", &arguments);
    let is_whole = |node: &RedisServer| node.ask(&["CLUSTER", "INFO"]).concat().contains("cluster_state:ok");
    until("the cluster is whole", || nodes.iter().all(is_whole));
    let urls: Vec<String> = addresses.iter().map(|address| format!("\"redis://{address}\"")).collect();
    let settings =
        format!("[redis]\nmode = \"cluster\"\nnodes = [{}]\ntimeout_ms = 500\n", urls.join(", ")) + BOTH;
    let upstream = Upstream::well();
    let fleet = Fleet::start(2, &upstream, &settings, &keys());
    assert_eq!(fleet.send("sk-ten", 40, 6), Tally::from([(200, 10), (429, 30)]));
    let has_limits = |node: &RedisServer| !node.keys("{aisix}:rl:n:*").is_empty();
    let place = nodes.iter().position(has_limits).expect("one node has the limits");
    let (tally, ()) = fleet.send_during("sk-w", 4, || {
        nodes[place].kill();
        until("the gateways notice", || is_up(&fleet, 0.0));
        nodes[place].restart();
        until("the gateways are back", || is_up(&fleet, 2.0));
    });
    assert_eq!(tally.keys().copied().collect::<Vec<_>>(), [200]);
    assert_eq!(fleet.send("sk-ten", 10, 2), Tally::from([(429, 10)]), "what was counted is kept");
}

#[test]
fn sentinels_say_who_serves_after_a_failover() {
    let mut first = RedisServer::start();
    let port = first.port.to_string();
    let second = RedisServer::start_with(&["--replicaof", "127.0.0.1", &port]);
    until("the replica follows", || {
        second.ask(&["INFO", "replication"]).concat().contains("master_link_status:up")
    });
    let folder = Arc::new(Folder::new());
    let watched = free_port();
    let file = folder.write(
        "sentinel.conf",
        &format!(
            "port {watched}\nbind 127.0.0.1\ndir {}\nsentinel monitor main 127.0.0.1 {port} 1\n\
             sentinel down-after-milliseconds main 400\nsentinel failover-timeout main 2000\n",
            folder.path().display()
        ),
    );
    let sentinel = RedisServer::sentinel(watched, folder, &file);
    until("the sentinel knows both", || {
        sentinel.ask(&["SENTINEL", "REPLICAS", "main"]).contains(&second.port.to_string())
    });
    let settings = format!(
        "[redis]\nmode = \"sentinel\"\nsentinels = [\"127.0.0.1:{watched}\"]\nmaster_name = \"main\"\n\
         timeout_ms = 500\n"
    ) + BOTH;
    let upstream = Upstream::well();
    let fleet = Fleet::start(2, &upstream, &settings, &keys());
    assert_eq!(fleet.send("sk-ten", 40, 6), Tally::from([(200, 10), (429, 30)]));
    let (tally, ()) = fleet.send_during("sk-w", 4, || {
        first.kill();
        until("the gateways notice", || is_up(&fleet, 0.0));
        until("the gateways find the other one", || is_up(&fleet, 2.0));
    });
    assert_eq!(tally.keys().copied().collect::<Vec<_>>(), [200]);
    let before = second.calls("evalsha");
    assert_eq!(fleet.send("sk-ten", 10, 2), Tally::from([(429, 10)]), "what was counted is kept");
    assert!(second.calls("evalsha") > before, "the other one is asked");
}

/// Certificates of a folder: of an authority, and of a server called localhost.
fn certify(folder: &Folder) {
    let authority_key = KeyPair::generate().expect("a key");
    let mut authority = CertificateParams::default();
    authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let certificate = authority.self_signed(&authority_key).expect("signed");
    let issuer = Issuer::new(authority, &authority_key);
    let server_key = KeyPair::generate().expect("a key");
    let names = ["localhost".to_owned(), "127.0.0.1".to_owned()];
    let server =
        CertificateParams::new(names).expect("names").signed_by(&server_key, &issuer).expect("signed");
    folder.write("ca.pem", &certificate.pem());
    folder.write("server.pem", &server.pem());
    folder.write("server-key.pem", &server_key.serialize_pem());
}

#[test]
fn tls_and_a_password_protect_the_way() {
    let folder = Arc::new(Folder::new());
    certify(&folder);
    let file = |name: &str| folder.path().join(name).display().to_string();
    let (tls, ca, cert, key) =
        (free_port().to_string(), file("ca.pem"), file("server.pem"), file("server-key.pem"));
    let mut redis = RedisServer::start_with(&[
        "--tls-port",
        &tls,
        "--tls-ca-cert-file",
        &ca,
        "--tls-cert-file",
        &cert,
        "--tls-key-file",
        &key,
        "--tls-auth-clients",
        "no",
        "--requirepass",
        PASSWORD,
    ]);
    let settings = format!(
        "[redis]\nurl = \"rediss://localhost:{tls}\"\npassword = \"{PASSWORD}\"\ntimeout_ms = 500\n\
         [redis.tls]\nca_file = \"{ca}\"\n"
    ) + BOTH;
    let upstream = Upstream::well();
    let mut fleet = Fleet::start(2, &upstream, &settings, &keys());
    assert_eq!(fleet.send("sk-ten", 40, 6), Tally::from([(200, 10), (429, 30)]));
    let (tally, ()) = fleet.send_during("sk-w", 4, || {
        redis.kill();
        until("the gateways notice", || is_up(&fleet, 0.0));
        redis.restart();
        until("the gateways are back", || is_up(&fleet, 2.0));
    });
    assert_eq!(tally.keys().copied().collect::<Vec<_>>(), [200]);
    assert_eq!(fleet.send("sk-ten", 10, 2), Tally::from([(429, 10)]));
    for gateway in &mut fleet.gateways {
        gateway.signal("TERM");
        assert!(!gateway.log().contains(PASSWORD));
    }
}
