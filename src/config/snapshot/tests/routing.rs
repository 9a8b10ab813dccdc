//! What the router and the planner find of a routing model and its targets.

use aisix_actors::candidate_router::Member;

use super::*;

/// The group and the rules of the model `r`.
fn group(text: &str) -> Arc<Model> {
    snapshot(&(model("a", "m") + &model("b", "m") + text)).resolve("r").unwrap().model
}

fn rules(model: &Model) -> &Routing {
    match &model.dispatch {
        Dispatch::Routing(routing) => routing,
        Dispatch::Direct(_) => panic!("{} is a direct model", model.name),
    }
}

#[test]
fn a_member_has_its_place_in_the_group_and_what_its_model_costs() {
    let priced = model("c", "m") + "cost = { input_per_1k = \"0.001\", output_per_1k = \"0.002\" }\n";
    let text = "[[models]]\ndisplay_name = \"r\"\nrouting = { targets = [{ model = \"a\" }, \
                { model = \"c\", weight = 3, priority = -2, tags = [\" eu \", \"default\"] }, { model = \"b\", weight = 0 }] }\n";
    let model = group(&(priced + text));
    let about = |member: &Member| {
        let tags: Vec<String> = member.tags.iter().map(ToString::to_string).collect();
        (member.name.to_string(), member.weight, member.priority, tags, member.cost)
    };
    let found: Vec<_> = model.group.members.iter().map(about).collect();
    let expected = [
        ("a".to_owned(), 1, 0, vec![], None),
        // Micro-dollars for a million tokens of each kind.
        ("c".to_owned(), 3, -2, vec!["eu".to_owned(), "default".to_owned()], Some(3_000_000)),
        ("b".to_owned(), 1, 0, vec![], None),
    ];
    assert_eq!(found, expected);
}

#[test]
fn what_is_not_said_of_routing_is_as_usual() {
    let text = "[[models]]\ndisplay_name = \"r\"\nrouting = { targets = [{ model = \"a\" }] }\n";
    let model = group(text);
    let usual = rules(&model);
    assert_eq!((usual.fallback_on, usual.mid_stream), (FallbackOn::default(), MidStream::Error));
    assert!(usual.hash_on.is_empty());
    let hashed = group(&text.replace("routing = {", "routing = { strategy = \"consistent_hash\","));
    let key = HashOn::Header("x-aisix-routing-key".parse().unwrap());
    assert_eq!(rules(&hashed).hash_on, [key, HashOn::ApiKey]);
}

#[test]
fn what_is_said_of_routing_is_kept() {
    let text = "[[models]]\ndisplay_name = \"r\"\n[models.routing]\nstrategy = \"consistent_hash\"\n\
                targets = [{ model = \"a\" }]\nfallback_on = [\"content_policy\"]\nmid_stream = \"continue\"\n\
                hash_on = [{ type = \"header\", name = \"X-User\" }, { type = \"cookie\", name = \"Sid\" }, { type = \"client_ip\" }]\n";
    let model = group(text);
    let said = rules(&model);
    assert_eq!(said.fallback_on, FallbackOn { context_length: false, content_policy: true });
    assert_eq!(said.mid_stream, MidStream::Continue);
    let header = HashOn::Header("x-user".parse().unwrap());
    assert_eq!(said.hash_on, [header, HashOn::Cookie("Sid".into()), HashOn::ClientIp]);
}

#[test]
fn a_model_whose_streams_nobody_can_go_on_with_is_warned_of() {
    let key = "[[provider_keys]]\ndisplay_name = \"o\"\nprovider = \"openai\"\napi_key = \"k\"\n";
    let plain = |name: &str, more: &str| model(name, "m").replace("\"mock\"", "\"o\"") + more;
    let models = key.to_owned()
        + &model("m", "m")
        + &plain("o1", "")
        + &plain("o2", "")
        + &plain("told", "prefill = true\n")
        + "[[api_keys]]\ndisplay_name = \"k\"\nkey = \"sk\"\nallowed_models = []\n";
    let alone = Some("add another target");
    let none = Some("write prefill = true in one that can");
    for (targets, more, help) in [
        (&["o1", "m"][..], "", None),
        (&["m", "o1"], "", None),
        (&["o1", "told"], "", None),
        (&["o1", "o2"], "", none),
        (&["m"], "", alone),
        (&["o1"], "", alone),
        (&["o1", "m"], "max_fallbacks = 0\n", Some("let max_fallbacks be 1 or more")),
    ] {
        let targets: Vec<_> = targets.iter().map(|name| format!("{{ model = \"{name}\" }}")).collect();
        let targets = targets.join(", ");
        let group = |mid_stream: &str| {
            format!(
                "[[models]]\ndisplay_name = \"r\"\n[models.routing]\ntargets = [{targets}]\n\
                 mid_stream = \"{mid_stream}\"\n{more}"
            )
        };
        let warnings = |mid_stream| snapshot(&(models.clone() + &group(mid_stream))).warnings();
        assert!(warnings("error").is_empty(), "{targets}");
        let warned = warnings("continue");
        assert_eq!(warned.len(), usize::from(help.is_some()), "{targets}: {warned:?}");
        if let (Some(warning), Some(help)) = (warned.first(), help) {
            assert!(warning.contains("\"r\"") && warning.contains(help), "{warning}");
        }
    }
}

#[test]
fn a_model_admits_those_in_its_networks_and_without_any_everybody() {
    let text = model("n", "m") + "allowed_cidrs = [\"10.0.0.0/8\", \" ::1 \"]\n";
    let snapshot = snapshot(&(model("a", "m") + &text));
    let admits =
        |name: &str, address: &str| snapshot.resolve(name).unwrap().model.admits(address.parse().ok());
    for (address, is_inside) in
        [("10.1.2.3", true), ("::ffff:10.1.2.3", true), ("::1", true), ("11.0.0.1", false), ("", false)]
    {
        assert_eq!(admits("n", address), is_inside, "{address}");
        assert!(admits("a", address), "{address}");
    }
}

#[test]
fn a_check_that_is_switched_off_is_none_and_one_that_is_on_says_how_long_its_word_counts() {
    let check = |is_on: bool| {
        format!(
            "context_window = 9\nprefill = false\n[models.background_model_check]\nenabled = {is_on}\ninterval_seconds = 5\n\
             timeout_seconds = 2\nprompt = \"p\"\nmax_tokens = 3\nstale_after_seconds = 11\nignore_statuses = [429]\n"
        )
    };
    let snapshot = snapshot(&(model("on", "m") + &check(true) + &model("off", "m") + &check(false)));
    let of = |name: &str| snapshot.resolve(name).unwrap().model;
    let stale_after = |name: &str| of(name).group.members[0].target.check_stale_after;
    assert_eq!((stale_after("on"), stale_after("off")), (Some(Duration::from_secs(11)), None));
    assert_eq!(direct(&of("off")).background_check, None);
    let expected = BackgroundCheck {
        interval: Duration::from_secs(5),
        timeout: Duration::from_secs(2),
        prompt: "p".into(),
        max_tokens: 3,
        stale_after: Duration::from_secs(11),
        ignore_statuses: vec![429],
    };
    let on = of("on");
    assert_eq!(direct(&on).background_check.as_deref(), Some(&expected));
    assert_eq!((direct(&on).context_window, direct(&on).prefill), (Some(9), Some(false)));
}
