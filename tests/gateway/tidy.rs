//! The style guide and the architecture's invariants, as ordinary tests by text search.
//!
//! An invariant is mostly an absence: what stands nowhere, or only in one place. Each is a row of data; its exceptions
//! stand beside it with their reasons, and an exception that is no longer needed fails as well.

mod source;

use source::{Part, Source, functions, sources};

const LONGEST_FILE: usize = 500;
const LONGEST_FUNCTION: usize = 60;
const LONGEST_UNIT_TESTS: usize = 150;

/// Words that stand nowhere below some folders, but for the exceptions.
struct Absence {
    /// The invariant, in the words of a failure.
    rule: &'static str,
    /// Prefixes of paths; production code only.
    below: &'static [&'static str],
    part: Part,
    words: &'static [&'static str],
    /// A prefix of a path, and why it may.
    except: &'static [(&'static str, &'static str)],
}

/// Rust that is shipped.
const SHIPPED: &[&str] = &["src/", "actors/src/"];

const PURE: Absence = Absence {
    rule: "dialects and providers contain no await, no clock, no socket",
    below: &["src/dialect", "src/providers"],
    part: Part::Bare,
    words: &[
        ".await",
        "async ",
        "TcpStream",
        "UdpSocket",
        "std::net",
        "tokio::",
        "awc::",
        "SystemTime::now",
        "Instant::now",
        "Now::read",
        "std::env",
        "std::fs",
        "static mut",
    ],
    except: &[],
};

const CONNECTING: Absence = Absence {
    rule: "only upstream connects out",
    below: SHIPPED,
    part: Part::Bare,
    words: &["awc::", "TcpStream::connect", "Connector::new", "UdpSocket", "UnixStream"],
    except: &[
        ("src/upstream", "this is where connections are opened"),
        ("src/load", "the load test is a caller of a gateway, not a part of it"),
    ],
};

const LISTENING: Absence = Absence {
    rule: "only server listens",
    below: SHIPPED,
    part: Part::Bare,
    words: &["TcpListener", ".bind(", "HttpServer", ".listen(", "UnixListener"],
    except: &[
        ("src/server", "this is where listeners are bound"),
        ("src/mock/server.rs", "the mock plays a provider in a process of its own"),
    ],
};

const READING: Absence = Absence {
    rule: "only config reads files and the environment",
    below: SHIPPED,
    part: Part::Bare,
    words: &["env::var", "env::vars", "fs::", "File::open", "OpenOptions"],
    except: &[
        ("src/config", "this is where they are read"),
        ("src/cli/export.rs", "it writes the file that the command line names"),
        ("src/cli/explain.rs", "the request to explain is in a file that the command line names"),
        ("src/registry", "it keeps the store, and looks whether files have changed"),
        ("src/telemetry/rotating_file.rs", "usage records are written to a file; none is read"),
        (
            "src/cli/load.rs",
            "the load test has no configuration: its key and request body come from the command line",
        ),
    ],
};

const ERROR_BODIES: Absence = Absence {
    rule: "only envelope writes error bodies",
    below: SHIPPED,
    part: Part::Code,
    words: &["\"error\":", "\\\"error\\\":", "error_msg"],
    except: &[
        ("src/envelope.rs", "this is where they are written"),
        ("src/mock/error/shape.rs", "the mock fails as a provider does"),
    ],
};

const PATHS: Absence = Absence {
    rule: "nothing outside endpoints spells a path of the API",
    below: SHIPPED,
    part: Part::Code,
    words: &["\"/v1/", "\"/livez", "\"/readyz"],
    except: &[
        ("src/endpoints.rs", "this is the table"),
        ("src/providers/rows.rs", "some providers' own paths begin like it"),
        (
            "src/server/admin/pages.rs",
            "the table is that of the proxy; probes are served to administrators too",
        ),
    ],
};

const ROUTES: Absence = Absence {
    rule: "every route comes from a table, which is the document's too",
    below: SHIPPED,
    part: Part::Bare,
    words: &["web::resource(", "web::scope("],
    except: &[
        ("src/server/admin.rs", "the table of pages"),
        ("src/server/admin/cache.rs", "the purge, whose path is one constant for route and document"),
        ("src/server/admin/resources.rs", "the kinds of resources"),
        ("src/server/proxy.rs", "the table of endpoints"),
        ("src/server/status.rs", "the table of the listener for metrics, which has no document of its own"),
    ],
};

const PRINTING: Absence = Absence {
    rule: "only the command line prints",
    below: SHIPPED,
    part: Part::Bare,
    words: &["print!", "println!"],
    except: &[("src/cli", "people read what commands print")],
};

const RECORDS: Absence = Absence {
    rule: "only closing an exchange writes its record",
    below: SHIPPED,
    part: Part::Bare,
    words: &["telemetry.close("],
    except: &[("src/pipeline/exchange.rs", "this is where an exchange is closed")],
};

const GLOBALS: Absence = Absence {
    rule: "no mutable global state",
    below: SHIPPED,
    part: Part::Bare,
    words: &[" static ", "thread_local!"],
    except: &[
        ("src/endpoints.rs", "the table, never changed"),
        ("src/providers/", "rows of data, never changed"),
        ("src/config/prices.rs", "the price table, read once and never changed"),
        ("src/dialect/marks.rs", "regular expressions, made once and never changed"),
        ("src/main.rs", "the allocator"),
        (
            "src/upstream/in_process.rs",
            "it counts the requests of the mock, which plays one provider for the process",
        ),
        ("src/mock/bench.rs", "computed once, never changed"),
        ("actors/src/types.rs", "the moment from which a monotonic clock counts, never changed"),
    ],
};

const BOUNDS: Absence = Absence {
    rule: "everything is bounded",
    below: SHIPPED,
    part: Part::Bare,
    words: &["unbounded"],
    except: &[],
};

const STUBS: Absence = Absence {
    rule: "nothing is left for later",
    below: &["src/", "actors/", "benches/", "tests/"],
    part: Part::All,
    words: &["TODO", "FIXME", "XXX", "todo!", "dbg!", "unimplemented!", "#[ignore"],
    except: &[("tests/gateway/tidy.rs", "it names the words")],
};

#[test]
fn dialects_and_providers_are_pure() {
    check(&PURE);
}

#[test]
fn only_upstream_connects_out() {
    check(&CONNECTING);
}

#[test]
fn only_server_listens() {
    check(&LISTENING);
}

#[test]
fn only_config_reads_files_and_the_environment() {
    check(&READING);
}

#[test]
fn only_envelope_writes_error_bodies() {
    check(&ERROR_BODIES);
}

#[test]
fn only_the_table_spells_paths() {
    check(&PATHS);
}

#[test]
fn only_tables_make_routes() {
    check(&ROUTES);
}

#[test]
fn only_the_command_line_prints() {
    check(&PRINTING);
}

#[test]
fn only_closing_an_exchange_writes_its_record() {
    check(&RECORDS);
}

#[test]
fn nothing_global_changes() {
    check(&GLOBALS);
}

#[test]
fn nothing_is_unbounded() {
    check(&BOUNDS);
}

#[test]
fn nothing_is_left_for_later() {
    check(&STUBS);
}

#[test]
fn nothing_outside_providers_names_a_provider() {
    let words: Vec<String> = aisix::providers::names().iter().map(|name| format!("\"{name}\"")).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let except = [
        ("src/providers", "this is where they are known"),
        ("src/mock", "the mock says who it is, as a provider does"),
        ("src/dialect.rs", "a protocol is called after who defined it"),
    ];
    report(search(&sources(), "only providers names a provider", &["src/"], Part::Code, &words, &except));
}

fn check(absence: &Absence) {
    let Absence { rule, below, part, words, except } = absence;
    report(search(&sources(), rule, below, *part, words, except));
}

/// Every line that breaks a rule, and every exception that nothing needs.
fn search(
    sources: &[Source],
    rule: &str,
    below: &[&str],
    part: Part,
    words: &[&str],
    except: &[(&str, &str)],
) -> Vec<String> {
    let mut problems = Vec::new();
    let mut is_needed = vec![false; except.len()];
    for source in sources.iter().filter(|source| source.is_rust()) {
        if !below.iter().any(|prefix| source.path.starts_with(prefix)) {
            continue;
        }
        let text = if part == Part::All { source.read(part) } else { source.production(part) };
        for (number, line) in text.lines().enumerate() {
            // A space in front, so that a word can ask for one at the beginning of a line too.
            let line = format!(" {line}");
            let Some(word) = words.iter().find(|word| line.contains(**word)) else { continue };
            match except.iter().position(|(path, _)| source.path.starts_with(path)) {
                Some(place) => is_needed[place] = true,
                None => problems.push(format!("{}:{}: {rule}; found {word:?}", source.path, number + 1)),
            }
        }
    }
    let idle = except.iter().zip(is_needed).filter(|(_, needed)| !needed);
    problems.extend(idle.map(|((path, reason), _)| format!("{path}: {rule}; not needed: {reason}")));
    problems
}

fn report(problems: Vec<String>) {
    assert!(problems.is_empty(), "{} problem(s):\n{}", problems.len(), problems.join("\n"));
}

fn rust() -> impl Iterator<Item = Source> {
    sources().into_iter().filter(Source::is_rust)
}

#[test]
fn files_and_their_tests_are_short() {
    let problem = |source: Source| {
        let lines = source.text.lines().count();
        let production = if source.is_test() { lines } else { source.production_lines() };
        let tests = lines - production;
        let is_long = production > LONGEST_FILE || tests > LONGEST_UNIT_TESTS;
        is_long.then(|| format!("{}: {production} lines and {tests} of unit tests", source.path))
    };
    report(rust().filter_map(problem).collect());
}

#[test]
fn functions_are_short() {
    let mut problems = Vec::new();
    for source in rust() {
        let long =
            functions(&source.read(Part::Bare)).into_iter().filter(|found| found.lines > LONGEST_FUNCTION);
        problems.extend(long.map(|found| {
            format!("{}:{}: {} has {} lines", source.path, found.line, found.name, found.lines)
        }));
    }
    report(problems);
}

#[test]
fn every_file_says_what_it_is() {
    let silent = rust().filter(|source| !source.text.starts_with("//! "));
    report(silent.map(|source| format!("{}: opens without \"//!\"", source.path)).collect());
}

#[test]
fn a_module_stands_beside_its_folder() {
    let found = rust().filter(|source| source.path.ends_with("/mod.rs"));
    report(found.map(|source| source.path).collect());
}

#[test]
fn types_have_names_of_their_own() {
    const VAGUE: [&str; 7] = ["Manager", "Helper", "Util", "Common", "Data", "Info", "Base"];
    let mut problems = Vec::new();
    for source in rust() {
        let bare = source.read(Part::Bare);
        let mut words =
            bare.split(|c: char| !c.is_alphanumeric() && c != '_').filter(|word| !word.is_empty());
        while let Some(word) = words.next() {
            if matches!(word, "struct" | "enum" | "trait" | "type")
                && let Some(name) = words.next()
                && VAGUE.iter().any(|vague| name.ends_with(vague))
            {
                problems.push(format!("{}: the name {name} says too little", source.path));
            }
        }
        let getters = functions(&bare).into_iter().filter(|found| found.name.starts_with("get_"));
        problems.extend(getters.map(|found| format!("{}:{}: {}", source.path, found.line, found.name)));
    }
    report(problems);
}

#[test]
fn actors_know_nothing_of_http_and_json() {
    const STRANGERS: [&str; 8] = ["http", "web", "json", "serde", "awc", "hyper", "reqwest", "rustls"];
    let manifest =
        sources().into_iter().find(|source| source.path == "actors/Cargo.toml").expect("a manifest");
    let own = manifest.text.lines().skip_while(|line| *line != "[dependencies]").skip(1);
    let names: Vec<&str> = own
        .take_while(|line| !line.starts_with('['))
        .filter_map(|line| line.split(['.', '=', ' ']).next())
        .filter(|name| !name.is_empty())
        .collect();
    assert!(names.contains(&"actix"), "the manifest was not read: {names:?}");
    let strangers = names.iter().filter(|name| STRANGERS.iter().any(|word| name.contains(word)));
    report(strangers.map(|name| format!("actors/Cargo.toml: {name}")).collect());
}

#[test]
fn no_text_names_a_machine_or_a_ticket() {
    // In two parts each, so that this file does not contain what it looks for.
    const PLACES: [[&str; 2]; 4] = [["/wo", "rk/"], ["/tm", "p/"], ["/ro", "ot/"], ["/ho", "me/"]];
    let mut problems = Vec::new();
    for source in sources().iter().filter(|source| source.path != "Cargo.lock") {
        for (number, line) in source.text.lines().enumerate() {
            let machine =
                PLACES.map(|parts| parts.concat()).into_iter().find(|place| names_place(line, place));
            let found = machine.or_else(|| ticket(line));
            problems.extend(found.map(|found| format!("{}:{}: {found}", source.path, number + 1)));
        }
    }
    report(problems);
}

/// Whether a line names an absolute path below a place, and not a part of another path or address.
fn names_place(line: &str, place: &str) -> bool {
    let is_path = |at: usize| {
        !line[..at].ends_with(|before: char| before.is_alphanumeric() || "._-}*".contains(before))
    };
    line.match_indices(place).any(|(at, _)| is_path(at))
}

/// A number sign before a number, as tickets are written.
fn ticket(line: &str) -> Option<String> {
    line.match_indices('#').find_map(|(at, _)| {
        let digits: String = line[at + 1..].chars().take_while(char::is_ascii_digit).collect();
        let is_word = line[..at].ends_with(|before: char| before.is_alphanumeric() || "&{:".contains(before));
        let goes_on = line[at + 1 + digits.len()..].starts_with(|after: char| after.is_alphanumeric());
        (!digits.is_empty() && !is_word && !goes_on).then(|| format!("#{digits}"))
    })
}

/// What documents may name although the project does not hold it.
const MADE_ELSEWHERE: &[(&str, &str)] = &[
    ("/admin/", "made by the gateway when it is asked"),
    ("target/", "made by a build"),
    ("gateway.pem", "an operator's own certificate, in an example"),
    ("gateway-key.pem", "an operator's own key, in an example"),
    ("admin.pem", "an operator's own certificate, in an example"),
    ("admin-key.pem", "an operator's own key, in an example"),
    ("client.pem", "an operator's own certificate, in an example"),
    ("client-key.pem", "an operator's own key, in an example"),
    ("ca.pem", "an operator's own certificate, in an example"),
    ("proxy-ca.pem", "an operator's own certificate, in an example"),
    ("routing.toml", "written by those who try the commands of the README"),
];

#[test]
fn documents_name_only_files_that_exist() {
    let all = sources();
    let exists =
        |name: &str| all.iter().any(|file| file.path == name || file.path.ends_with(&format!("/{name}")));
    let is_document = |source: &&Source| source.path.ends_with(".md") || source.path == "config.toml";
    let mut problems = Vec::new();
    for source in all.iter().filter(is_document) {
        for (number, line) in source.text.lines().enumerate() {
            let missing = named_files(line).filter(|name| {
                let is_known = MADE_ELSEWHERE.iter().any(|(prefix, _)| name.starts_with(prefix));
                !is_known && !exists(name)
            });
            problems
                .extend(missing.map(|name| format!("{}:{}: there is no {name}", source.path, number + 1)));
        }
    }
    report(problems);
}

/// What a line of a document gives out as files: in back ticks, quotes or a link, with an ending that files have.
fn named_files(line: &str) -> impl Iterator<Item = &str> {
    const ENDINGS: [&str; 8] = [".rs", ".md", ".toml", ".json", ".pem", ".py", ".txt", ".yml"];
    line.split(['`', '"', '(', ')', ' ', '<', '>']).filter_map(|word| {
        let word = word
            .split('#')
            .next()
            .unwrap_or_default()
            .trim_end_matches([',', ';', ':', '.'])
            .trim_start_matches("./");
        let is_plain = word.chars().all(|c| c.is_ascii_alphanumeric() || "._-/".contains(c));
        let stem = ENDINGS.iter().find_map(|ending| word.strip_suffix(ending))?;
        (is_plain && !stem.is_empty() && !stem.ends_with('/')).then_some(word)
    })
}

#[test]
fn a_broken_rule_is_found_and_an_idle_exception_too() {
    let source = |path: &str, text: &str| Source { path: path.to_owned(), text: text.to_owned() };
    let files = [
        source(
            "src/a.rs",
            "//! a\nfn f() { g().await }\n// .await\n#[cfg(test)]\nmod tests { async fn t() {} }\n",
        ),
        source("src/b.rs", "//! b\nfn f() { \".await\" }\n"),
        source("src/b/tests.rs", "//! t\nasync fn f() {}\n"),
    ];
    let found =
        |except: &[(&str, &str)]| search(&files, "r", &["src/"], Part::Bare, &[".await", "async "], except);
    assert_eq!(found(&[]), ["src/a.rs:2: r; found \".await\""]);
    assert_eq!(found(&[("src/a.rs", "why")]), [""; 0]);
    assert_eq!(found(&[("src/", "why"), ("src/c", "not")]), ["src/c: r; not needed: not"]);
}

#[test]
fn machines_and_tickets_are_told_from_other_paths_and_numbers() {
    let place = ["/tm", "p/"].concat();
    assert!(names_place(&format!("see {place}x"), &place));
    assert!(!names_place(&format!("https://host{place}x"), &place));
    let number = ["#", "12"].concat();
    assert_eq!(ticket(&format!("as in {number}.")), Some(number));
    for innocent in ["a#1", "&#39;", "#1a2b3c", "{:#4}", "# 1", "#[x]"] {
        assert_eq!(ticket(innocent), None, "{innocent}");
    }
    let names: Vec<_> = named_files("see [`a/b.rs`](src/a.md#x), `c.toml`. and *.rs").collect();
    assert_eq!(names, ["a/b.rs", "src/a.md", "c.toml"]);
}
