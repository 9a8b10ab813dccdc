//! A stage for one fault: the program, and for each way to ask a routing model over targets of its own.
//!
//! Targets are models of a mock provider that counts, so that no way sees what another has done.

use std::sync::{Arc, Barrier};
use std::time::{Duration, Instant};

use serde_json::Value;

use super::seen::Seen;
use super::way::Way;
use crate::harness::*;

/// A target of a routing model.
#[derive(Debug, Clone)]
pub struct Target {
    /// The mock's name for it, which says what goes wrong.
    pub upstream: String,
    provider: &'static str,
    more: String,
}

/// A target that is called like OpenAI's.
pub fn target(upstream: &str) -> Target {
    Target { upstream: upstream.to_owned(), provider: "openai", more: String::new() }
}

impl Target {
    /// The same at another provider.
    pub fn of(self, provider: &'static str) -> Self {
        Self { provider, ..self }
    }

    /// The same with further lines of its table.
    pub fn with(self, more: &str) -> Self {
        Self { more: self.more + more + "\n", ..self }
    }
}

/// What is asked.
#[derive(Debug, Clone, Default)]
pub struct Scene {
    pub targets: Vec<Target>,
    /// Lines of the routing model's table.
    pub model: String,
    /// Lines of its `routing` table.
    pub routing: String,
    /// Whether the program writes its access log.
    pub is_logged: bool,
}

/// Targets in order, the first to be asked first.
pub fn scene(targets: &[Target]) -> Scene {
    Scene { targets: targets.to_vec(), ..Scene::default() }
}

impl Scene {
    /// The same with further lines of the routing model's table.
    pub fn model(self, lines: &str) -> Self {
        Self { model: self.model + lines + "\n", ..self }
    }

    /// The same with further lines of its `routing` table.
    pub fn routing(self, lines: &str) -> Self {
        Self { routing: self.routing + lines + "\n", ..self }
    }

    /// The same with an access log.
    pub fn logged(self) -> Self {
        Self { is_logged: true, ..self }
    }

    fn config(&self, name: &str, mock: &Mock) -> String {
        let mut text = String::new();
        let names: Vec<String> = (0..self.targets.len()).map(|place| target_name(name, place)).collect();
        for ((place, target), own) in self.targets.iter().enumerate().zip(&names) {
            let at = match target.provider {
                "mock" => String::new(),
                _ => format!("api_key = \"sk-upstream\"\napi_base = \"{}\"\n", mock.base_url()),
            };
            let Target { upstream, provider, more } = target;
            let [input, output] = price(place).map(|micros| micros as f64 / 1000.0);
            text += &format!(
                "[[provider_keys]]\ndisplay_name = \"{own}\"\nprovider = \"{provider}\"\n{at}\
                 [[models]]\ndisplay_name = \"{own}\"\nprovider_key = \"{own}\"\nmodel_name = \"{upstream}\"\n\
                 cost = {{ input_per_1k = {input}, output_per_1k = {output} }}\n{more}"
            );
        }
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        let group = routing(name, &names, &self.routing);
        text + &group.replace("[models.routing]", &format!("{}[models.routing]", self.model))
    }
}

/// What a token of a target's costs, input and output, in millionths: no two targets cost the same.
pub fn price(place: usize) -> [u64; 2] {
    let units = place as u64 + 1;
    [units, 10 * units]
}

fn target_name(group: &str, place: usize) -> String {
    format!("{group}-{}", ["first", "second", "third"][place])
}

/// A routing model, and who is behind it.
pub struct Group {
    pub way: Way,
    pub name: String,
    pub mock: Mock,
    targets: Vec<Target>,
    addr: std::net::SocketAddr,
}

impl Group {
    /// Asks once.
    pub fn ask(&self) -> Seen {
        self.ask_with("")
    }

    /// The same with further members of the request.
    pub fn ask_with(&self, more: &str) -> Seen {
        self.send(&self.name, more)
    }

    /// Asks for one target by its own name.
    pub fn ask_for(&self, name: &str) -> Seen {
        self.send(name, "")
    }

    /// Asks so many times at the same moment.
    pub fn ask_at_once(&self, count: usize) -> Vec<Seen> {
        let doors = Barrier::new(count);
        std::thread::scope(|scope| {
            let ask = || {
                doors.wait();
                self.ask()
            };
            let threads: Vec<_> = (0..count).map(|_| scope.spawn(ask)).collect();
            threads.into_iter().map(|thread| thread.join().expect("an answer")).collect()
        })
    }

    fn send(&self, model: &str, more: &str) -> Seen {
        let began = Instant::now();
        let mut connection = Connection::open(self.addr);
        connection.send(&self.way.request(model, more));
        let response = connection.response();
        Seen::read(self.way, response, began.elapsed())
    }

    /// The name of a target.
    pub fn target(&self, place: usize) -> String {
        target_name(&self.name, place)
    }

    /// How often each target was asked so far.
    pub fn asked(&self) -> Vec<u64> {
        self.targets.iter().map(|target| self.mock.requests(&target.upstream)).collect()
    }

    /// Whether the targets are behind a socket, where they are counted.
    pub fn is_counted(&self, place: usize) -> bool {
        self.targets[place].provider != "mock"
    }

    /// The number of the target that an answer says it is from.
    pub fn served_by(&self, seen: &Seen) -> Option<usize> {
        let name = seen.response.header("x-aisix-served-by")?;
        let found = (0..self.targets.len()).find(|place| self.target(*place) == name);
        Some(found.unwrap_or_else(|| panic!("nobody's name: {name}")))
    }
}

/// See the module.
pub struct Stage {
    process: Process,
    pub groups: Vec<Group>,
}

impl Stage {
    /// Starts the program with a group for each way.
    pub fn start(scene: &Scene, ways: &[Way]) -> Self {
        Self::start_slow(scene, ways, Duration::ZERO)
    }

    /// The same with targets that think about each answer.
    pub fn start_slow(scene: &Scene, ways: &[Way], thought: Duration) -> Self {
        let folder = Arc::new(Folder::new());
        let log = match scene.is_logged {
            true => "log_level = \"info\"\naccess_log_format = \"json\"\n",
            false => "log_level = \"off\"\naccess_log = false\n",
        };
        let mut config = "[shutdown]\nmin_drain_secs = 0\n[observability]\n".to_owned()
            + log
            + &UsageFile::settings_for(&folder.path().join("usage.jsonl"))
            + &api_key("sk-test", "\"*\"", "");
        let mut mocks = Vec::new();
        for way in ways {
            let mock = Mock::slow(thought);
            config += &scene.config(&way.name(), &mock);
            mocks.push(mock);
        }
        folder.write("config.toml", &config);
        let process = Process::start_in(folder, &[]);
        let addr = process.addr;
        let of = |(way, mock): (&Way, Mock)| {
            let (name, targets) = (way.name(), scene.targets.clone());
            Group { way: *way, name, mock, targets, addr }
        };
        let groups = ways.iter().zip(mocks).map(of).collect();
        Self { process, groups }
    }

    /// Does something with every group at the same time.
    pub fn each<T: Send>(&self, work: impl Fn(&Group) -> T + Sync) -> Vec<T> {
        let work = &work;
        std::thread::scope(|scope| {
            let threads: Vec<_> = self.groups.iter().map(|group| scope.spawn(move || work(group))).collect();
            let results: Vec<_> = threads.into_iter().map(|thread| thread.join()).collect();
            results
                .into_iter()
                .map(|result| result.unwrap_or_else(|panic| std::panic::resume_unwind(panic)))
                .collect()
        })
    }

    /// The row of a model on the status page.
    pub fn status(&self, name: &str) -> Value {
        let rows = self.look("/status/models").json();
        let row = rows.as_array().expect("a list").iter().find(|row| row["display_name"] == name);
        row.expect("a model").clone()
    }

    fn look(&self, page: &str) -> Response {
        let mut connection = Connection::open(self.process.metrics_addr());
        connection.send(&request_text("GET", page, "", &[], b""));
        connection.response().expect(200)
    }

    /// The targets of a group that are not healthy, and why.
    pub fn ill(&self, group: &Group) -> Vec<(usize, String)> {
        let row = |place: usize| self.status(&group.target(place));
        let rows = (0..group.targets.len()).map(|place| (place, row(place)));
        let ill = rows.filter(|(_, row)| row["status"] != "healthy");
        ill.map(|(place, row)| (place, text(&row, "status_reason"))).collect()
    }

    /// Waits until so many attempts are written down, and ends the program; gives what it has left.
    pub fn end(mut self, attempts: usize) -> Books {
        let path = self.process.folder.path().join("usage.jsonl");
        let lines = || std::fs::read_to_string(&path).unwrap_or_default().matches('\n').count();
        until(&format!("{attempts} attempts"), || lines() >= attempts);
        let status = self.look("/status/models").json();
        let metrics = Metrics::read(&self.look("/metrics").text());
        self.process.signal("TERM");
        self.process.exit_code();
        let text = std::fs::read_to_string(&path).expect("it is written");
        let records = text.lines().map(|line| serde_json::from_str(line).expect("a record")).collect();
        let log = self.process.log();
        Books { records, status, metrics, log, groups: self.groups }
    }
}

/// What is left of a stage.
pub struct Books {
    records: Vec<Value>,
    status: Value,
    pub metrics: Metrics,
    /// The access log, where there is one.
    pub log: String,
    pub groups: Vec<Group>,
}

impl Books {
    /// The records of a group's attempts, in their order.
    pub fn records(&self, group: &Group) -> Vec<&Value> {
        let mut own: Vec<_> =
            self.records.iter().filter(|record| record["requested_model"] == *group.name).collect();
        own.sort_by_key(|record| (text(record, "occurred_at"), record["attempt_index"].as_u64()));
        own
    }

    /// Where a target stands.
    pub fn status(&self, name: &str) -> &Value {
        let rows = self.status.as_array().expect("a list");
        rows.iter().find(|row| row["display_name"] == name).expect("a model")
    }
}

fn text(record: &Value, member: &str) -> String {
    record[member].as_str().unwrap_or_default().to_owned()
}
