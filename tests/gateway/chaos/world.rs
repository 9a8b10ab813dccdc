//! A random configuration: a group of targets, what they may do, and what the callers may.

use fastrand::Rng;

use super::provider::Family;
use crate::harness::*;

/// The longest wait of the deployment for a whole answer, and in a stream; longer where all of a request has less.
const TIMEOUT_MS: [u64; 3] = [600, 1_300, 3_000];
/// The longest time of a request until its answer begins, where the group does not say.
pub const TOTAL_MS: u64 = 4_000;
/// The tries of the deployment.
pub const RETRIES: u32 = 1;
/// A word that guardrails do not let through.
pub const BAD_WORD: &str = "darn";

const STRATEGIES: [&str; 7] =
    ["failover", "round_robin", "weighted", "consistent_hash", "least_cost", "least_latency", "least_busy"];
const TAGS: [&str; 4] = ["red", "blue", "gold", "default"];
/// Which guardrails there are: the most of the time none; some that let everything through, and some that do not.
const GUARDS: [&str; 8] = ["", "", "", "", "quiet", "mask", "block", "block"];

/// See the module.
#[derive(Debug)]
pub struct World {
    pub targets: Vec<Target>,
    pub max_fallbacks: Option<u32>,
    pub retries: Option<u32>,
    pub total_timeout: Option<u64>,
    pub is_rescuing: bool,
    /// Whether a stream's 200 goes out before its first event is there, and nothing limits the time until then.
    pub is_hasty: bool,
    /// Whether somebody's limit or budget may refuse.
    pub is_limited: bool,
    pub guard: &'static str,
    /// Whether answers may be too large.
    pub is_small: bool,
    routing: String,
    key_limit: String,
    budgets: String,
}

/// A direct model of the group.
#[derive(Debug)]
pub struct Target {
    pub name: String,
    pub family: Family,
    pub tags: Vec<&'static str>,
    pub retries: Option<u32>,
    pub timeout: Option<u64>,
    place: String,
    more: String,
    key: String,
}

impl World {
    pub fn of(seed: u64) -> Self {
        let mut rng = Rng::with_seed(seed);
        let has_tags = one_in(&mut rng, 3);
        let names = ["a", "b", "c", "d", "e"];
        let targets: Vec<Target> =
            names[..rng.usize(1..=5)].iter().map(|name| Target::of(&mut rng, name, has_tags)).collect();
        let max_fallbacks = some(&mut rng, 3, |rng| rng.u32(0..4));
        let retries = some(&mut rng, 2, |rng| rng.u32(0..3));
        let is_rescuing = !one_in(&mut rng, 3);
        let mut routing = format!("strategy = \"{}\"\n", rng.choice(STRATEGIES).expect("some"));
        routing += &line("max_fallbacks", max_fallbacks);
        routing += &line("retries", retries);
        routing += if one_in(&mut rng, 3) { "retry_on_429 = true\n" } else { "" };
        routing += if one_in(&mut rng, 3) { "fallback_on_statuses = [400, 404, 408]\n" } else { "" };
        routing +=
            if one_in(&mut rng, 3) { "fallback_on = [\"context_length\", \"content_policy\"]\n" } else { "" };
        routing += if is_rescuing { "mid_stream = \"continue\"\n" } else { "" };
        routing += if one_in(&mut rng, 2) { "when_all_unavailable = \"try_anyway\"\n" } else { "" };
        let key_limit = match rng.u32(0..8) {
            0 => "rate_limit = { concurrency = 6, tpm = 100_000_000 }",
            1 => "rate_limit = { rpm = 36 }",
            _ => "rate_limit = { tpm = 100_000_000 }",
        };
        let is_limited =
            !key_limit.starts_with("rate_limit = { tpm") || targets.iter().any(Target::is_limited);
        let scopes = ["org", "api_key", "model", "provider_key"];
        let budgets: Vec<String> =
            scopes.iter().map(|scope| some_budget(&mut rng, scope, targets.len())).collect();
        let is_limited = is_limited || budgets.iter().any(|budget| budget.contains("\"3\""));
        let total_timeout = some(&mut rng, 3, |rng| rng.u64(150..600));
        let guard = rng.choice(GUARDS).expect("some");
        // Where nobody asks twice: a test has no time for more.
        let is_brief =
            retries.is_none() && targets.len() < 4 && targets.iter().all(|target| target.retries.is_none());
        let is_hasty = is_brief && total_timeout.is_none() && one_in(&mut rng, 2);
        Self {
            targets,
            max_fallbacks,
            retries,
            total_timeout,
            is_rescuing,
            is_hasty,
            is_limited,
            guard,
            is_small: one_in(&mut rng, 4),
            routing,
            key_limit: key_limit.to_owned(),
            budgets: budgets.concat(),
        }
    }

    /// The configuration, with the providers where they are.
    pub fn config(&self, providers: &[Upstream]) -> String {
        let timeout = self.timeout();
        let total = if self.is_hasty { 0 } else { TOTAL_MS };
        let mut config = format!(
            "[downstream]\nsse_keepalive_interval_secs = 1\n\
             [upstream]\ntimeout_ms = {timeout}\ntotal_timeout_ms = {total}\nretries = {RETRIES}\n"
        );
        config += if self.is_small { "max_response_bytes = 65536\n" } else { "" };
        for (target, provider) in self.targets.iter().zip(providers) {
            let Target { name, family, key, more, .. } = target;
            let url = provider.url();
            config += &format!(
                "[[provider_keys]]\ndisplay_name = \"key-{name}\"\nprovider = \"{}\"\n\
                 api_key = \"sk-upstream\"\napi_base = \"{}\"\n{key}",
                family.provider(),
                url.trim_end_matches("/v1"),
            );
            config += &model(name, &format!("key-{name}"), more);
        }
        let places: Vec<&str> = self.targets.iter().map(|target| &*target.place).collect();
        config += "[[models]]\ndisplay_name = \"group\"\n";
        config += &line("total_timeout", self.total_timeout);
        config += &format!("[models.routing]\ntargets = [{}]\n{}", places.join(", "), self.routing);
        config += &api_key("sk-test", "\"*\"", &self.key_limit);
        config += &provider_key("nobody", &format!("http://127.0.0.1:{}", free_port()));
        config += &model("warm", "nobody", "retries = 0\ncost = { input_per_1k = 0, output_per_1k = 0 }");
        config += &api_key("sk-warm", "\"warm\"", "");
        config + &self.budgets + self.guardrail()
    }

    fn guardrail(&self) -> &'static str {
        match self.guard {
            "quiet" => {
                "[[guardrails]]\nname = \"g\"\nkind = \"keyword\"\nhook_point = \"output\"\n\
                 patterns = [{ kind = \"literal\", value = \"unheard-of\" }]\n"
            }
            "mask" => {
                "[[guardrails]]\nname = \"g\"\nkind = \"pii\"\nhook_point = \"output\"\n\
                 detectors = [{ type = \"email\" }]\n"
            }
            "block" => {
                "[[guardrails]]\nname = \"g\"\nkind = \"keyword\"\nhook_point = \"output\"\n\
                 patterns = [{ kind = \"literal\", value = \"darn\" }]\n"
            }
            _ => "",
        }
    }

    /// The longest wait for a whole answer, where the target does not say.
    pub fn timeout(&self) -> u64 {
        TIMEOUT_MS[usize::from(self.is_hasty) + 2 * usize::from(self.total_timeout.is_some())]
    }

    /// The target of this name.
    pub fn target(&self, name: &str) -> &Target {
        self.targets.iter().find(|target| target.name == name).expect("a target")
    }
}

impl Target {
    fn of(rng: &mut Rng, name: &str, has_tags: bool) -> Self {
        let family = rng.choice(Family::ALL).expect("some");
        let tags: Vec<&str> = TAGS.into_iter().filter(|_| has_tags && one_in(rng, 3)).collect();
        let quoted: Vec<String> = tags.iter().map(|tag| format!("\"{tag}\"")).collect();
        let place = format!(
            "{{ model = \"{name}\", weight = {}, priority = {}, tags = [{}] }}",
            rng.u32(0..4),
            rng.i32(0..2),
            quoted.join(", ")
        );
        let retries = some(rng, 3, |rng| rng.u32(0..3));
        let mut more = line("retries", retries);
        let limits: [Option<u64>; 3] = std::array::from_fn(|_| {
            some(rng, 3, |rng| if one_in(rng, 3) { 3_000 } else { rng.u64(50..300) })
        });
        let [timeout, stream_timeout, ttft_timeout] = limits;
        more += &line("timeout", timeout);
        more += &line("stream_timeout", stream_timeout);
        more += &line("ttft_timeout", ttft_timeout);
        more += if one_in(rng, 2) { "prefill = true\n" } else { "" };
        more += &line("context_window", some(rng, 3, |rng| rng.u64(1..4) * 1_000));
        more += match rng.u32(0..12) {
            0 => "rate_limit = { concurrency = 2, tpm = 100_000_000 }\n",
            1 => "rate_limit = { rpm = 5 }\n",
            _ => "rate_limit = { tpm = 100_000_000 }\n",
        };
        more += &format!("cost = {{ input_per_1k = {}, output_per_1k = 1 }}\n", rng.u32(0..3));
        more += match rng.u32(0..4) {
            0 => "cooldown = { default_seconds = 1, max_seconds = 1 }\n",
            1 => {
                "cooldown = { default_seconds = 1, honor_retry_after = false, trigger_on_timeout = false }\n"
            }
            2 => "",
            _ => "cooldown = { enabled = false }\n",
        };
        let key = if one_in(rng, 12) { "max_in_flight = 2\n" } else { "" };
        Self { name: name.to_owned(), family, tags, retries, timeout, place, more, key: key.to_owned() }
    }

    fn is_limited(&self) -> bool {
        self.more.contains("concurrency = ") || self.more.contains("rpm = ")
    }
}

fn some_budget(rng: &mut Rng, scope: &str, targets: usize) -> String {
    let target = ["a", "b", "c", "d", "e"][rng.usize(..targets)];
    let reference = match scope {
        "org" => String::new(),
        "api_key" => "scope_ref = \"sk-test\"\n".to_owned(),
        "model" => format!("scope_ref = \"{}\"\n", if rng.bool() { "group" } else { target }),
        _ => format!("scope_ref = \"key-{target}\"\n"),
    };
    let limit = if one_in(rng, 16) { "3" } else { "1000000" };
    format!(
        "[[budgets]]\nname = \"{scope}\"\nscope = \"{scope}\"\n{reference}limit_usd = \"{limit}\"\nperiod = \"total\"\n"
    )
}

fn one_in(rng: &mut Rng, chances: u32) -> bool {
    rng.u32(..chances) == 0
}

/// Something, in one of so many cases.
fn some<T>(rng: &mut Rng, chances: u32, make: impl Fn(&mut Rng) -> T) -> Option<T> {
    one_in(rng, chances).then(|| make(rng))
}

fn line(name: &str, value: Option<impl std::fmt::Display>) -> String {
    value.map_or_else(String::new, |value| format!("{name} = {value}\n"))
}
