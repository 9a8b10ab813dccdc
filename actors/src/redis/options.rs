//! Where a Redis is and how it is reached, and the first connection to it.

use std::fmt;
use std::time::Duration;

use futures::FutureExt;
use futures::future::select_ok;
use redis::cluster::ClusterClientBuilder;
use redis::io::tcp::TcpSettings;
use redis::sentinel::{SentinelClientBuilder, SentinelServerType};
use redis::{
    AsyncConnectionConfig, Client, ClientTlsConfig, ConnectionAddr, ConnectionInfo, IntoConnectionInfo,
    RedisConnectionInfo, RedisResult, TlsCertificates, TlsMode,
};

use super::wire::Wire;

/// How often a cluster's library follows a key that has moved, or asks a node anew: the deadline of the call cuts it
/// short.
const CLUSTER_RETRIES: u32 = 3;

/// The part of the time to connect that a single node of a cluster may use up: a node that says nothing leaves enough
/// for the others.
const CLUSTER_PART: u32 = 4;

/// How a Redis is reached.
#[derive(Clone, PartialEq, Eq)]
pub struct Options {
    /// What it is built of, and where that is.
    pub mode: Mode,
    /// Who the gateway is.
    pub username: Option<String>,
    /// How it proves that.
    pub password: Option<String>,
    /// The database.
    pub database: u32,
    /// The time in which a connection must stand.
    pub connect_timeout: Duration,
    /// The longest wait for an answer.
    pub timeout: Duration,
    /// Whom to trust; for addresses with TLS.
    pub tls: Option<Tls>,
    /// What every key begins with.
    pub key_prefix: String,
}

/// What a Redis is built of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Mode {
    /// One server, by its URL.
    Single(String),
    /// Several servers that have a part of the keys each: the URLs of some of them.
    Cluster(Vec<String>),
    /// One server of several, which sentinels choose.
    Sentinel {
        /// The sentinels, as `host:port` or as URLs.
        sentinels: Vec<String>,
        /// What they call the server.
        master: String,
        /// Who the gateway is to them.
        username: Option<String>,
        /// How it proves that to them.
        password: Option<String>,
    },
}

/// Certificates, as PEM.
#[derive(Clone, PartialEq, Eq)]
pub struct Tls {
    /// The roots to trust; the system's without it.
    pub roots: Option<Vec<u8>>,
    /// The certificate that is shown and its chain, and its key.
    pub identity: Option<(Vec<u8>, Vec<u8>)>,
    /// Whether certificates are checked.
    pub verify: bool,
}

impl Options {
    /// Connects, within the time for it.
    ///
    /// # Errors
    /// What stands in the way, in words without any secret.
    pub async fn connect(&self) -> Result<Wire, String> {
        match tokio::time::timeout(self.connect_timeout, self.open()).await {
            Ok(Ok(wire)) => Ok(wire),
            Ok(Err(error)) => Err(error.to_string()),
            Err(_) => Err(format!("no connection within {:?}", self.connect_timeout)),
        }
    }

    /// Checks the addresses without connecting.
    ///
    /// # Errors
    /// What is wrong with them.
    pub fn check(&self) -> Result<(), String> {
        let checked = match &self.mode {
            Mode::Single(url) => self.single(url).map(drop),
            Mode::Cluster(nodes) => self.cluster(nodes).map(drop),
            Mode::Sentinel { sentinels, .. } => self.sentinel(sentinels).map(drop),
        };
        checked.map_err(|error| error.to_string())
    }

    async fn open(&self) -> RedisResult<Wire> {
        let config = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(self.connect_timeout))
            // Every call has its own deadline.
            .set_response_timeout(None);
        match &self.mode {
            Mode::Single(url) => {
                let client = self.single(url)?;
                client.get_multiplexed_async_connection_with_config(&config).await.map(Wire::Single)
            }
            Mode::Sentinel { sentinels, .. } => self.open_by_sentinel(sentinels, &config).await,
            Mode::Cluster(nodes) => {
                self.cluster(nodes)?.build()?.get_async_connection().await.map(Wire::Cluster)
            }
        }
    }

    /// Asks the sentinels: each a little after the one before, so that one that says nothing holds nobody up, and the
    /// first is enough where it answers.
    async fn open_by_sentinel(
        &self,
        sentinels: &[String],
        config: &AsyncConnectionConfig,
    ) -> RedisResult<Wire> {
        let parts = u32::try_from(sentinels.len()).unwrap_or(u32::MAX).saturating_add(1);
        let part = self.connect_timeout.checked_div(parts).unwrap_or_default();
        let asked = (0..).zip(sentinels).map(|(place, sentinel)| {
            async move {
                tokio::time::sleep(part.saturating_mul(place)).await;
                let mut client = self.sentinel(std::slice::from_ref(sentinel))?.build()?;
                client.get_async_connection_with_config(config).await
            }
            .boxed()
        });
        let (connection, _) = select_ok(asked.collect::<Vec<_>>()).await?;
        Ok(Wire::Single(connection))
    }

    fn single(&self, url: &str) -> RedisResult<Client> {
        let info = self.info(url)?;
        match (&self.tls, info.addr()) {
            (Some(tls), ConnectionAddr::TcpTls { .. }) => Client::build_with_tls(info, tls.certificates()),
            _ => Client::open(info),
        }
    }

    fn cluster(&self, nodes: &[String]) -> RedisResult<ClusterClientBuilder> {
        let nodes: RedisResult<Vec<ConnectionInfo>> = nodes.iter().map(|node| self.info(node)).collect();
        let nodes = nodes?;
        let is_encrypted = nodes.iter().any(|node| matches!(node.addr(), ConnectionAddr::TcpTls { .. }));
        let mut builder = ClusterClientBuilder::new(nodes)
            .connection_timeout(self.connect_timeout.checked_div(CLUSTER_PART).unwrap_or_default())
            // A call's own deadline comes first.
            .response_timeout(self.timeout.saturating_mul(5).checked_div(4).unwrap_or(self.timeout))
            .overall_response_timeout(None)
            .retries(CLUSTER_RETRIES)
            .min_retry_wait(1)
            .max_retry_wait(20)
            .tcp_settings(TcpSettings::default().set_nodelay(true));
        if is_encrypted {
            builder = builder.tls(self.tls_mode());
            if let Some(tls) = &self.tls {
                builder = builder.certs(tls.certificates());
            }
        }
        Ok(builder)
    }

    fn sentinel(&self, sentinels: &[String]) -> RedisResult<SentinelClientBuilder> {
        let (master, username, password) = match &self.mode {
            Mode::Sentinel { master, username, password, .. } => {
                (&**master, username.as_deref(), password.as_deref())
            }
            Mode::Single(_) | Mode::Cluster(_) => Default::default(),
        };
        let infos: RedisResult<Vec<ConnectionInfo>> =
            sentinels.iter().map(|sentinel| self.info(&with_scheme(sentinel))).collect();
        let addresses: Vec<ConnectionAddr> = infos?.iter().map(|info| info.addr().clone()).collect();
        let is_encrypted = addresses.iter().any(|address| matches!(address, ConnectionAddr::TcpTls { .. }));
        let settings = TcpSettings::default().set_nodelay(true);
        let mut builder = SentinelClientBuilder::new(addresses, master, SentinelServerType::Master)?
            .set_client_to_redis_tcp_settings(settings.clone())
            .set_client_to_sentinel_tcp_settings(settings)
            .set_client_to_redis_db(self.database.into());
        if let Some(username) = username {
            builder = builder.set_client_to_sentinel_username(username);
        }
        if let Some(password) = password {
            builder = builder.set_client_to_sentinel_password(password);
        }
        if let Some(username) = &self.username {
            builder = builder.set_client_to_redis_username(username);
        }
        if let Some(password) = &self.password {
            builder = builder.set_client_to_redis_password(password);
        }
        // Sentinels that speak TLS stand for a Redis that does; a table of certificates says so as well.
        if is_encrypted || self.tls.is_some() {
            builder = builder.set_client_to_redis_tls_mode(self.tls_mode());
            if let Some(tls) = &self.tls {
                builder = builder.set_client_to_redis_certificates(tls.certificates());
            }
        }
        if is_encrypted {
            builder = builder.set_client_to_sentinel_tls_mode(self.tls_mode());
            if let Some(tls) = &self.tls {
                builder = builder.set_client_to_sentinel_certificates(tls.certificates());
            }
        }
        Ok(builder)
    }

    /// Reads a URL; what the options say on their own stands above what it says.
    fn info(&self, url: &str) -> RedisResult<ConnectionInfo> {
        let info = with_scheme(url).into_connection_info()?;
        let mut redis: RedisConnectionInfo = info.redis_settings().clone();
        if let Some(username) = &self.username {
            redis = redis.set_username(username);
        }
        if let Some(password) = &self.password {
            redis = redis.set_password(password);
        }
        if self.database != 0 {
            redis = redis.set_db(self.database.into());
        }
        let address = match info.addr().clone() {
            ConnectionAddr::TcpTls { host, port, tls_params, .. } => {
                ConnectionAddr::TcpTls { host, port, insecure: !self.is_verified(), tls_params }
            }
            address => address,
        };
        let settings = TcpSettings::default().set_nodelay(true);
        Ok(info.set_addr(address).set_redis_settings(redis).set_tcp_settings(settings))
    }

    fn is_verified(&self) -> bool {
        self.tls.as_ref().is_none_or(|tls| tls.verify)
    }

    fn tls_mode(&self) -> TlsMode {
        if self.is_verified() { TlsMode::Secure } else { TlsMode::Insecure }
    }
}

impl Tls {
    fn certificates(&self) -> TlsCertificates {
        let identity = self.identity.clone();
        TlsCertificates {
            client_tls: identity.map(|(cert, key)| ClientTlsConfig { client_cert: cert, client_key: key }),
            root_cert: self.roots.clone(),
        }
    }
}

impl fmt::Debug for Tls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tls").field("verify", &self.verify).finish_non_exhaustive()
    }
}

/// Where it is, for people: no user and no password.
impl fmt::Display for Options {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.mode {
            Mode::Single(url) => f.write_str(host(url)),
            Mode::Cluster(nodes) => write!(f, "cluster {}", hosts(nodes)),
            Mode::Sentinel { sentinels, master, .. } => {
                write!(f, "{master:?} of sentinels {}", hosts(sentinels))
            }
        }
    }
}

impl fmt::Debug for Options {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Options({self})")
    }
}

fn hosts(urls: &[String]) -> String {
    let hosts: Vec<&str> = urls.iter().map(|url| host(url)).collect();
    hosts.join(", ")
}

/// Returns host and port of a URL.
fn host(url: &str) -> &str {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    let rest = rest.rsplit_once('@').map_or(rest, |(_, rest)| rest);
    rest.split(['/', '?', '#']).next().unwrap_or_default()
}

fn with_scheme(address: &str) -> String {
    if address.contains("://") { address.to_owned() } else { format!("redis://{address}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options(mode: Mode) -> Options {
        Options {
            mode,
            username: None,
            password: None,
            database: 0,
            connect_timeout: Duration::from_secs(1),
            timeout: Duration::from_secs(1),
            tls: None,
            key_prefix: "aisix".into(),
        }
    }

    #[test]
    fn what_is_shown_of_a_redis_holds_no_secret() {
        let cases = [
            (Mode::Single("rediss://me:s3cret@redis.example:6380/2".into()), "redis.example:6380"),
            (Mode::Single("redis://:s3/cret@10.0.0.1".into()), "10.0.0.1"),
            (Mode::Cluster(vec!["redis://u:s3cret@a:1".into(), "redis://b:2".into()]), "cluster a:1, b:2"),
        ];
        for (mode, shown) in cases {
            assert_eq!(options(mode).to_string(), shown);
        }
    }

    #[test]
    fn addresses_that_are_none_are_found_without_connecting() {
        assert!(options(Mode::Single("redis://127.0.0.1:6379/1".into())).check().is_ok());
        assert!(options(Mode::Single("http://127.0.0.1".into())).check().is_err());
        let sentinels = vec!["10.0.0.1:26379".into()];
        assert!(
            options(Mode::Sentinel { sentinels, master: "main".into(), username: None, password: None })
                .check()
                .is_ok()
        );
    }
}
