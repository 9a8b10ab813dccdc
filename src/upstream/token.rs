//! Tokens that a credential is exchanged for, kept by each worker until shortly before they expire.

use std::cell::RefCell;
use std::time::{Duration, Instant};

use bytes::Bytes;
use foldhash::HashMap;
use serde::Deserialize;
use sha2::{Digest, Sha256};
use tokio::time::timeout;

use crate::error::{UpstreamError, UpstreamRefusal};
use crate::providers::Grant;

/// Longest wait for a token.
const PATIENCE: Duration = Duration::from_secs(15);
/// A token is not used in its last minutes: clocks differ, and requests take time.
const MARGIN: Duration = Duration::from_secs(300);
/// Largest answer that is read, in bytes.
const MAX_ANSWER: usize = 64 << 10;
/// Most tokens kept: far more than anybody has credentials.
const MAX_TOKENS: usize = 1024;

/// The tokens of one worker, by a digest of what they were given for.
#[derive(Default)]
pub(super) struct Tokens(RefCell<HashMap<[u8; 32], Token>>);

struct Token {
    text: String,
    good_until: Instant,
}

#[derive(Deserialize)]
struct Answer {
    access_token: String,
    #[serde(default)]
    expires_in: Option<u64>,
}

impl Tokens {
    /// The token for a grant: a kept one, or a new one.
    ///
    /// # Errors
    /// The service that gives tokens cannot be reached, or refuses.
    pub(super) async fn get(&self, client: &awc::Client, grant: &Grant) -> Result<String, UpstreamError> {
        let key: [u8; 32] =
            Sha256::new().chain_update(&grant.url).chain_update(&grant.form).finalize().into();
        if let Some(token) = self.0.borrow().get(&key).filter(|token| token.good_until > Instant::now()) {
            return Ok(token.text.clone());
        }
        let answer = timeout(PATIENCE, ask(client, grant));
        let answer = answer.await.map_err(|_| UpstreamError::Late { after: PATIENCE })??;
        let lifetime = Duration::from_secs(answer.expires_in.unwrap_or(0)).saturating_sub(MARGIN);
        let mut kept = self.0.borrow_mut();
        if kept.len() >= MAX_TOKENS {
            kept.retain(|_, token| token.good_until > Instant::now());
        }
        if kept.len() < MAX_TOKENS && !lifetime.is_zero() {
            let token = Token { text: answer.access_token.clone(), good_until: Instant::now() + lifetime };
            kept.insert(key, token);
        }
        Ok(answer.access_token)
    }
}

async fn ask(client: &awc::Client, grant: &Grant) -> Result<Answer, UpstreamError> {
    let request =
        client.post(&grant.url).insert_header(("content-type", "application/x-www-form-urlencoded"));
    let sent = request.send_body(Bytes::from(grant.form.clone())).await;
    let mut response = sent.map_err(|error| UpstreamError::Unreachable {
        cause: format!("the service that gives tokens: {error}"),
    })?;
    let status = response.status();
    let body = response.body().limit(MAX_ANSWER).await;
    let answer =
        body.ok().filter(|_| status.is_success()).and_then(|body| serde_json::from_slice(&body).ok());
    // Nothing of its words: they may name the application and its secret.
    answer.ok_or_else(|| {
        UpstreamError::Refused(Box::new(UpstreamRefusal {
            status: status.is_client_error().then_some(401),
            message: format!("no token was given for the provider's credential (status {})", status.as_u16()),
            ..UpstreamRefusal::default()
        }))
    })
}
