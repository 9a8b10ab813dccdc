//! Configuration: one TOML file, read whole, checked whole, and turned into an immutable [`Snapshot`].
//!
//! Text becomes a tree that knows its lines ([`tree`]), the tree becomes typed shapes ([`reader`],
//! [`settings`], `resources`), and the shapes are resolved against each other (`validate`). Every problem of
//! the file is reported at once, with its place. Nothing but this module reads the environment or the file.

pub mod cidr;
pub mod glob;
pub mod identity;
pub mod price;
pub mod prices;
pub mod problem;
pub mod reader;
pub mod secret;
pub mod settings;
pub mod snapshot;
pub mod tls;
pub mod tree;

mod expiry;
pub(crate) mod export;
pub(crate) mod headers;
mod interpolate;
mod overrides;
mod presets;
pub(crate) mod resources;
pub(crate) mod stored;
mod validate;

use std::{
    collections::HashMap,
    env, fmt, fs,
    path::{Path, PathBuf},
    sync::Arc,
    time::{SystemTime, UNIX_EPOCH},
};

use sha2::{Digest, Sha256};

pub use self::{
    expiry::Expiry,
    problem::{Problem, Problems},
    resources::{Entry, Kind, Resources},
    settings::Settings,
    snapshot::Snapshot,
    stored::check_json,
    tree::Origin,
    validate::MAX_RETIRING,
};
use self::{
    problem::{did_you_mean, nearest},
    resources::LISTS,
    settings::TABLES,
    tree::{Node, Value},
    validate::{Resolved, Surroundings},
};

/// The variable that names the configuration file.
const PATH_VARIABLE: &str = "AISIX_CONFIG";

/// The configuration file when nothing names another.
const USUAL_PATH: &str = "config.toml";

/// Where the configuration comes from.
#[derive(Clone)]
pub struct Source {
    /// The file.
    pub path: PathBuf,
    environment: Environment,
}

/// The variables that a configuration may refer to, and those that override settings.
#[derive(Clone)]
enum Environment {
    OfProcess,
    Given(Arc<[(String, String)]>),
}

impl fmt::Debug for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Source").field("path", &self.path).finish_non_exhaustive()
    }
}

impl Source {
    /// The file named on the command line, else by `AISIX_CONFIG`, else `./config.toml`.
    pub fn find(named: Option<PathBuf>) -> Self {
        let from_environment = || env::var_os(PATH_VARIABLE).filter(|path| !path.is_empty());
        let path = named.or_else(|| from_environment().map(PathBuf::from));
        Self { path: path.unwrap_or_else(|| USUAL_PATH.into()), environment: Environment::OfProcess }
    }

    /// A file, with these variables instead of those of the process.
    pub fn with_variables(path: PathBuf, variables: &[(String, String)]) -> Self {
        Self { path, environment: Environment::Given(variables.into()) }
    }

    /// Another file, with the same variables.
    pub fn beside(&self, path: PathBuf) -> Self {
        Self { path, environment: self.environment.clone() }
    }

    /// The text of the file.
    ///
    /// # Errors
    ///
    /// The file cannot be read, or is no text.
    pub fn text(&self) -> Result<String, Problems> {
        let refuse = |message: String| {
            let mut problems = Problems::new(&self.path.display().to_string());
            problems.add(None, "", message);
            problems
        };
        let bytes = fs::read(&self.path).map_err(|error| {
            refuse(format!(
                "cannot read the file: {error}; name another with --config FILE or {PATH_VARIABLE}"
            ))
        })?;
        String::from_utf8(bytes).map_err(|_| refuse("the file is not UTF-8 text".into()))
    }

    /// Reads the text of the file.
    ///
    /// # Errors
    ///
    /// Every syntax error; see [`Declaration::read`].
    pub fn declare(&self, text: &str) -> Result<Declaration, Problems> {
        let variables = match &self.environment {
            Environment::OfProcess => env::vars_os()
                .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
                .collect(),
            Environment::Given(variables) => variables.clone(),
        };
        let by_name: HashMap<&str, &String> =
            variables.iter().map(|(name, value)| (name.as_str(), value)).collect();
        let environment = |name: &str| by_name.get(name).map(|value| (*value).clone());
        Declaration::read(&self.path.display().to_string(), text, &environment, &variables)
    }
}

/// A checked configuration, ready to become a [`Snapshot`].
pub struct Config {
    /// What is set once for the whole gateway.
    pub settings: Arc<Settings>,
    /// What was declared and stored.
    pub(crate) resources: Resources,
    /// Files beside the configuration that were read for it, such as certificates.
    pub files: Vec<PathBuf>,
    /// How many times a file was applied in this process.
    pub generation: u64,
    resolved: Resolved,
}

impl fmt::Debug for Config {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Config").field("settings", &self.settings).finish_non_exhaustive()
    }
}

/// What a file declares, read but not yet resolved: stored resources may join it.
pub struct Declaration {
    /// What is set once for the whole gateway.
    pub settings: Arc<Settings>,
    /// The file's resources, and the presets.
    pub(crate) resources: Resources,
    /// SHA-256 of the text.
    pub digest: [u8; 32],
    root: Node,
    folder: PathBuf,
    problems: Problems,
}

impl fmt::Debug for Declaration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Declaration").field("settings", &self.settings).finish_non_exhaustive()
    }
}

impl Declaration {
    /// Reads the text of a configuration; `file_name` stands in messages, and certificate files are relative to its
    /// folder.
    ///
    /// # Errors
    ///
    /// Every syntax error. What is wrong with the meaning is said by `Declaration::resolve`.
    pub fn read(
        file_name: &str,
        text: &str,
        environment: &dyn Fn(&str) -> Option<String>,
        overrides: &[(String, String)],
    ) -> Result<Self, Problems> {
        let mut problems = Problems::new(file_name);
        let mut root = tree::parse(text, environment, &mut problems)?;
        overrides::apply(&mut root, overrides, &mut problems);
        refuse_unknown(&root, &mut problems);
        let settings_root = settings_of(&root);
        let mut settings = Settings::read(&settings_root, &mut problems).unwrap_or_default();
        let folder = Path::new(file_name).parent().unwrap_or(Path::new("")).to_owned();
        settings.anchor(&folder);
        let mut resources = Resources::take(&mut root, &mut problems);
        if settings.presets.enabled {
            presets::add(&mut resources, environment);
        }
        Ok(Self {
            settings: Arc::new(settings),
            resources,
            digest: Sha256::digest(text).into(),
            root: settings_root,
            folder,
            problems,
        })
    }

    /// Resolves the declared resources together with stored ones.
    ///
    /// # Errors
    ///
    /// Every problem of the file, of the overrides and of the stored resources.
    pub(crate) fn resolve(&self, stored: &Resources) -> Result<Config, Problems> {
        let mut problems = self.problems.clone();
        let resources = self.resources.followed_by(stored);
        let around = Surroundings {
            settings: &self.settings,
            root: &self.root,
            folder: &self.folder,
            loaded_at: SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs(),
        };
        let (resolved, files) = validate::resolve(&resources, &around, &mut problems);
        if !problems.is_empty() {
            return Err(problems);
        }
        Ok(Config { settings: self.settings.clone(), resources, files, generation: 1, resolved })
    }

    /// Says what is wrong with single entries, before they are looked at together with others.
    ///
    /// # Errors
    ///
    /// Every such problem.
    pub(crate) fn check(&self) -> Result<(), Problems> {
        if self.problems.is_empty() { Ok(()) } else { Err(self.problems.clone()) }
    }

    /// Forgets how the resources were written, once they are known to be good.
    pub(crate) fn compact(&mut self) {
        self.resources.compact();
    }
}

/// Checks the text of a configuration without stored resources; see [`Declaration::read`].
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
    Declaration::read(file_name, text, environment, overrides)?.resolve(&Resources::default())
}

fn refuse_unknown(root: &Node, problems: &mut Problems) {
    let known = || TABLES.into_iter().chain(LISTS.iter().copied());
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
