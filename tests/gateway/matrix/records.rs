//! Every exchange with every endpoint leaves one line in the log, and one record where a provider was asked for.

use super::*;

#[test]
fn what_a_provider_was_asked_for_is_one_record_and_everything_else_none() {
    let upstream = Upstream::well();
    let usage = UsageFile::new();
    let gateway = gateway_over(&upstream, &usage.settings());
    let mut count = 0;
    for row in &ENDPOINTS {
        ask(&gateway, row, "sk-test", "m").expect(200);
        ask(&gateway, row, "sk-wrong", "m");
        count += usize::from(matches!(row.answer, Answers::Provider | Answers::Tunnel));
        let records = usage.wait_for(&gateway, count);
        let Some(record) = records.last().filter(|_| row.answer == Answers::Provider) else { continue };
        assert_eq!(record["status_code"], 200, "{}", row.path);
        assert_eq!(record["requested_model"], "m", "{}", row.path);
        assert_eq!(record["inbound_protocol"], row.protocol(), "{}", row.path);
        assert_eq!(record["attempt_kind"], "initial", "{}", row.path);
    }
}

#[test]
fn protocols_are_called_as_the_specification_does() {
    let of = |operation| {
        let mut rows = ENDPOINTS.iter().filter(move |row| row.operation == operation);
        rows.next().expect("a row").protocol()
    };
    for operation in Operation::ALL {
        let wanted = match operation {
            Operation::Messages | Operation::CountTokens => "anthropic",
            Operation::Generate | Operation::StreamGenerate => "gemini",
            Operation::Passthrough => "passthrough",
            _ => "openai",
        };
        assert_eq!(of(*operation), wanted, "{operation}");
    }
}

#[test]
fn every_exchange_is_one_line_of_the_access_log() {
    let upstream = Upstream::well();
    let mut process = Process::start_with(&upstream, "[observability]\naccess_log_format = \"json\"\n", &[]);
    for (place, row) in ENDPOINTS.iter().enumerate() {
        for (key, what) in [("sk-test", "good"), ("sk-wrong", "bad")] {
            let mut connection = Connection::open(process.addr);
            let id = format!("{what}-{place}");
            connection.send(&Sample::of(row, "m").text(key, &[("x-aisix-request-id", &id)]));
            connection.response();
        }
    }
    process.signal("TERM");
    assert_eq!(process.exit_code(), Some(0));
    let log = process.log();
    let lines: Vec<Value> = log.lines().filter_map(|line| serde_json::from_str(line).ok()).collect();
    for (place, row) in ENDPOINTS.iter().enumerate() {
        let is_probe = row.answer == Answers::Probe;
        for (what, status) in [("good", 200), ("bad", 401)] {
            let id = format!("{what}-{place}");
            let own: Vec<&Value> = lines.iter().filter(|line| line["request_id"] == *id).collect();
            assert_eq!(own.len(), usize::from(!is_probe), "{id} {}: {own:?}", row.path);
            for line in own {
                assert_eq!((&line["status"], &line["path"]), (&status.into(), &row.path.into()), "{line}");
            }
        }
    }
}
