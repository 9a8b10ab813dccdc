//! Configuration: one TOML file, read whole, checked whole, and turned into an immutable [`Snapshot`].
//!
//! Text becomes a tree that knows its lines ([`tree`]), the tree becomes typed shapes ([`reader`],
//! [`settings`], `resources`), and the shapes are resolved against each other (`validate`). Every problem of
//! the file is reported at once, with its place. Nothing but this module reads the environment or the file.

pub mod cidr;
pub mod glob;
pub mod identity;
pub mod price;
pub mod problem;
pub mod reader;
pub mod secret;
pub mod settings;
pub mod snapshot;
pub mod tls;
pub mod tree;

mod expiry;
mod headers;
mod interpolate;
mod overrides;
mod presets;
mod resources;
mod validate;

use std::{
    env, fmt, fs,
    path::{Path, PathBuf},
    sync::Arc,
    time::{SystemTime, UNIX_EPOCH},
};

pub use self::{
    problem::{Problem, Problems},
    settings::Settings,
    snapshot::Snapshot,
};
use self::{
    problem::{did_you_mean, nearest},
    resources::{LISTS, Resources},
    settings::TABLES,
    tree::{Node, Value},
    validate::{Resolved, Surroundings},
};

/// The variable that names the configuration file.
const PATH_VARIABLE: &str = "AISIX_CONFIG";

/// The configuration file when nothing names another.
const USUAL_PATH: &str = "config.toml";

/// Where the configuration comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Source {
    /// The file.
    pub path: PathBuf,
}

impl Source {
    /// The file named on the command line, else by `AISIX_CONFIG`, else `./config.toml`.
    pub fn find(named: Option<PathBuf>) -> Self {
        let from_environment = || env::var_os(PATH_VARIABLE).filter(|path| !path.is_empty());
        let path = named.or_else(|| from_environment().map(PathBuf::from));
        Self { path: path.unwrap_or_else(|| USUAL_PATH.into()) }
    }

    /// Loads the file with the environment of this process.
    ///
    /// # Errors
    ///
    /// Every problem of the file and of the overrides.
    pub fn load(&self) -> Result<Config, Problems> {
        let variables: Vec<(String, String)> = env::vars_os()
            .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
            .collect();
        load(&self.path, &|name| env::var(name).ok(), &variables)
    }
}

/// A checked configuration, ready to become a [`Snapshot`].
pub struct Config {
    /// What is set once for the whole gateway.
    pub settings: Arc<Settings>,
    resolved: Resolved,
}

impl fmt::Debug for Config {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Config").field("settings", &self.settings).finish_non_exhaustive()
    }
}

/// Loads a configuration file. `overrides` are environment variables; only those like `AISIX_PROXY__ADDR`
/// count.
///
/// # Errors
///
/// Every problem of the file and of the overrides.
pub fn load(
    path: &Path,
    environment: &dyn Fn(&str) -> Option<String>,
    overrides: &[(String, String)],
) -> Result<Config, Problems> {
    let name = path.display().to_string();
    let refuse = |message: String| {
        let mut problems = Problems::new(&name);
        problems.add(None, "", message);
        problems
    };
    let bytes = fs::read(path).map_err(|error| {
        refuse(format!("cannot read the file: {error}; name another with --config FILE or {PATH_VARIABLE}"))
    })?;
    let text = String::from_utf8(bytes).map_err(|_| refuse("the file is not UTF-8 text".into()))?;
    parse(&name, &text, environment, overrides)
}

/// Checks the text of a configuration; `file_name` stands in messages, and certificate files are relative to
/// its folder.
///
/// # Errors
///
/// Every problem of the text and of the overrides.
pub fn parse(
    file_name: &str,
    text: &str,
    environment: &dyn Fn(&str) -> Option<String>,
    overrides: &[(String, String)],
) -> Result<Config, Problems> {
    let mut problems = Problems::new(file_name);
    let mut root = tree::parse(text, environment, &mut problems)?;
    overrides::apply(&mut root, overrides, &mut problems);
    refuse_unknown(&root, &mut problems);
    let settings = Settings::read(&settings_of(&root), &mut problems).unwrap_or_default();
    let mut resources = Resources::read(&root, &mut problems);
    if settings.presets.enabled {
        presets::add(&mut resources, environment);
    }
    let around = Surroundings {
        settings: &settings,
        root: &root,
        folder: Path::new(file_name).parent().unwrap_or(Path::new("")),
        loaded_at: SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs(),
    };
    let resolved = validate::resolve(&resources, &around, &mut problems);
    if !problems.is_empty() {
        return Err(problems);
    }
    Ok(Config { settings: Arc::new(settings), resolved })
}

fn refuse_unknown(root: &Node, problems: &mut Problems) {
    let known = || TABLES.into_iter().chain(LISTS);
    for (name, node) in root.members() {
        if known().any(|known| known == name) {
            continue;
        }
        let hint = match nearest(name, known()) {
            Some(_) => did_you_mean(name, known()),
            None => format!("; known here: {}", known().collect::<Vec<_>>().join(", ")),
        };
        problems.add_from(&node.origin, name, format!("no table is called \"{name}\"{hint}"));
    }
}

/// The tables of settings alone.
fn settings_of(root: &Node) -> Node {
    let is_settings = |name: &str| TABLES.contains(&name);
    let members = root.members().iter().filter(|(name, _)| is_settings(name)).cloned();
    Node { value: Value::Table(members.collect()), origin: root.origin.clone() }
}

#[cfg(test)]
mod tests;
