//! Azure's second credential: an application of Entra ID, which is exchanged for a token before it authenticates.
//!
//! Microsoft identity platform, "OAuth 2.0 client credentials flow": form post, answer with `access_token` and `expires_in`.

use serde::Deserialize;

use super::Grant;

/// The scope of Azure's AI services.
const SCOPE: &str = "https://cognitiveservices.azure.com/.default";
/// Where tokens are given in the public cloud; others name theirs in `authority`.
const AUTHORITY: &str = "https://login.microsoftonline.com";

/// A credential that is an application: JSON in the place of a key.
#[derive(Deserialize)]
struct Application {
    tenant_id: String,
    client_id: String,
    client_secret: String,
    #[serde(default)]
    authority: Option<String>,
}

/// How a credential is exchanged for a token; `None` for a plain key.
pub(super) fn grant(credential: &str) -> Option<Grant> {
    let application: Application =
        serde_json::from_str(credential.trim()).ok().filter(|_| credential.trim_start().starts_with('{'))?;
    let authority = application.authority.as_deref().unwrap_or(AUTHORITY).trim_end_matches('/');
    let encoded = |text: &str| {
        percent_encoding::utf8_percent_encode(text, percent_encoding::NON_ALPHANUMERIC).to_string()
    };
    let fields = [
        ("grant_type", "client_credentials"),
        ("client_id", &application.client_id),
        ("client_secret", &application.client_secret),
        ("scope", SCOPE),
    ];
    let form = fields.map(|(name, value)| format!("{name}={}", encoded(value))).join("&");
    Some(Grant { url: format!("{authority}/{}/oauth2/v2.0/token", encoded(&application.tenant_id)), form })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_application_is_exchanged_and_a_key_is_not() {
        assert!(grant("0123abc").is_none());
        assert!(grant("{\"tenant_id\":\"t\"}").is_none());
        let json = r#"{"tenant_id":"t/1","client_id":"c","client_secret":"s&s="}"#;
        let found = grant(json).expect("an application");
        assert_eq!(found.url, "https://login.microsoftonline.com/t%2F1/oauth2/v2.0/token");
        assert!(found.form.contains("client_secret=s%26s%3D&scope=https%3A%2F%2Fcognitiveservices"));
        let other = json.replace('}', r#","authority":"https://login.microsoftonline.us/"}"#);
        let other = grant(&other).expect("an application");
        assert!(other.url.starts_with("https://login.microsoftonline.us/t%2F1/"), "{}", other.url);
    }
}
