//! A file that is another one now, whichever way it was changed.

use std::fs;
use std::os::unix::fs::symlink;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::*;

/// More than two looks at the file.
const TWO_LOOKS: Duration = Duration::from_millis(1500);

fn reloads(gateway: &Gateway) -> u64 {
    gateway.gateway.status.load().reloads
}

#[test]
fn a_file_that_is_replaced_or_rewritten_is_noticed_by_itself() {
    let upstream = Upstream::well();
    let gateway = Gateway::start(&with_models(&upstream, &["m"]));
    let path = gateway.folder.path().join("config.toml");
    gateway.folder.write("config.toml", &with_models(&upstream, &["m", "renamed"]));
    until("a replaced file is in force", || models(&gateway) == ["m", "renamed"]);
    fs::write(&path, with_models(&upstream, &["m", "rewritten"])).expect("written");
    until("a rewritten file is in force", || models(&gateway) == ["m", "rewritten"]);
    // The same length, so that only the time tells them apart.
    fs::write(&path, with_models(&upstream, &["m", "rewrittem"])).expect("written");
    until("a file of the same size is in force", || models(&gateway) == ["m", "rewrittem"]);
    fs::remove_file(&path).expect("removed");
    until("a file that is gone is reported", || gateway.gateway.status.load().state() == "out_of_sync");
    gateway.chat(&chat_body("rewrittem", "")).expect(200);
    fs::write(&path, with_models(&upstream, &["m", "back"])).expect("written");
    until("a file that is back is in force", || models(&gateway) == ["m", "back"]);
    assert_eq!(gateway.gateway.status.load().state(), "synced");
}

#[test]
fn a_link_that_is_switched_as_kubernetes_does_it_is_noticed() {
    let upstream = Upstream::well();
    let folder = Arc::new(Folder::new());
    let at = |name: &str| folder.path().join(name);
    let publish = |version: &str, names: &[&str]| {
        fs::create_dir(at(version)).expect("a folder");
        fs::write(at(version).join("config.toml"), with_models(&upstream, names)).expect("written");
        symlink(version, at("..data_tmp")).expect("linked");
        fs::rename(at("..data_tmp"), at("..data")).expect("switched");
    };
    publish("..1", &["m"]);
    symlink("..data/config.toml", at("config.toml")).expect("linked");
    let gateway = Gateway::start_in(folder.clone(), &[]);
    assert_eq!(models(&gateway), ["m"]);
    publish("..2", &["m", "second"]);
    fs::remove_dir_all(at("..1")).expect("removed");
    until("the second version is in force", || models(&gateway) == ["m", "second"]);
    publish("..3", &["m", "third"]);
    until("the third version is in force", || models(&gateway) == ["m", "third"]);
}

#[test]
fn a_file_that_was_only_touched_is_not_read_again() {
    let upstream = Upstream::well();
    let text = with_models(&upstream, &["m"]);
    let gateway = Gateway::start(&text);
    let began = Instant::now();
    gateway.folder.write("config.toml", &text);
    until("two looks are over", || began.elapsed() > TWO_LOOKS);
    assert_eq!(reloads(&gateway), 0);
    assert_eq!(gateway.gateway.snapshot().generation, 1);
    gateway.folder.write("config.toml", &with_models(&upstream, &["m", "n"]));
    until("a change is in force", || models(&gateway) == ["m", "n"]);
    assert_eq!(reloads(&gateway), 1);
    assert_eq!(gateway.gateway.snapshot().generation, 2);
}

#[test]
fn a_signal_reads_the_file_again_even_if_it_looks_the_same() {
    let upstream = Upstream::well();
    let mut process = Process::start(&upstream);
    let mut admin = process.admin();
    // What the file declares counts the loads as its revision.
    let mut revision = || admin.list(aisix::config::Kind::Models)[0]["revision"].clone();
    assert_eq!(revision(), 1);
    process.signal("HUP");
    until("the file is read again", || revision() == 2);
    drop(admin);
    process.signal("TERM");
    assert_eq!(process.exit_code(), Some(0));
    let log = process.log();
    assert_eq!(log.matches("configuration reloaded").count(), 1, "{log}");
}

#[test]
fn writes_of_the_admin_api_do_not_hide_that_the_file_has_changed() {
    let upstream = Upstream::well();
    let gateway = Gateway::start(&with_models(&upstream, &["m"]));
    let mut admin = gateway.admin();
    gateway.folder.write("config.toml", &with_models(&upstream, &["m", "n"]));
    let body = serde_json::json!({"name": "c"});
    until("the file is in force", || {
        admin.put(aisix::config::Kind::CachePolicies, "c", &body).expect_any(&[200, 201]);
        models(&gateway) == ["m", "n"]
    });
}

#[test]
fn a_changed_certificate_beside_the_file_is_read_again() {
    let upstream = Upstream::well();
    let folder = Arc::new(Folder::new());
    let authority = |name: &str| {
        let mut parameters = rcgen::CertificateParams::new(vec![name.into()]).expect("parameters");
        parameters.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        parameters.self_signed(&rcgen::KeyPair::generate().expect("a key")).expect("a certificate").pem()
    };
    folder.write("ca.pem", &authority("one"));
    let more = "tls = { ca_file = \"ca.pem\" }\n";
    let keys = provider_key("up", &upstream.url()) + more + &model("m", "up", "");
    folder.write("config.toml", &(keys + &api_key("sk-test", "\"*\"", "")));
    let gateway = Gateway::start_in(folder.clone(), &[]);
    let profile = || gateway.gateway.snapshot().provider_keys[0].tls;
    let first = profile();
    folder.write("ca.pem", &authority("two"));
    until("the new certificate is in force", || profile() != first);
    folder.write("ca.pem", "no certificate");
    until("a bad one is reported", || gateway.gateway.status.load().state() == "out_of_sync");
    gateway.chat(&chat_body("m", "")).expect(200);
}
