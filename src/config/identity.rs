//! Who the gateway is on a TLS connection: a certificate with its chain, and the private key that belongs to it.

use std::{
    fmt, fs,
    path::{Path, PathBuf},
    sync::Arc,
};

use rustls::{
    Error,
    crypto::ring,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
    sign::CertifiedKey,
};

use super::problem::{Place, Problems};

/// A certificate and its key, known to belong together. Equal when the certificates are.
#[derive(Clone)]
pub struct Identity(pub Arc<CertifiedKey>);

impl PartialEq for Identity {
    fn eq(&self, other: &Self) -> bool {
        self.0.cert == other.0.cert
    }
}

impl Eq for Identity {}

/// Shows that there is one; the rest is a secret or of no use.
impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Identity")
    }
}

/// The identities of the listeners that have one.
#[derive(Clone, Debug, Default)]
pub struct Identities {
    /// Of the listener for callers.
    pub proxy: Option<Identity>,
    /// Of the listener for administrators.
    pub admin: Option<Identity>,
}

/// A file that a setting names.
pub(super) struct Named<'a> {
    /// The whole path of the setting, such as `proxy.tls.cert_file`.
    pub(super) setting: &'a str,
    pub(super) file: Option<&'a PathBuf>,
}

/// What is wrong with the content of one of the two files.
enum Flaw {
    Certificate(&'static str),
    Key(&'static str),
}

/// Reads an identity from two files relative to `folder`; nothing where none is set, or something is wrong.
pub(super) fn read(
    folder: &Path,
    certificate: &Named<'_>,
    key: &Named<'_>,
    place: Place<'_>,
    problems: &mut Problems,
) -> Option<Identity> {
    let needs = |absent: &Named<'_>, present: &Named<'_>| {
        let message = format!("is needed as well as {}", last_of(present.setting));
        (absent.setting.to_owned(), message)
    };
    let found = match (certificate.file, key.file) {
        (None, None) => return None,
        (Some(_), None) => Err(needs(key, certificate)),
        (None, Some(_)) => Err(needs(certificate, key)),
        (Some(chain), Some(secret)) => read_both(folder, (certificate.setting, chain), (key.setting, secret)),
    };
    found.map_err(|(setting, message)| place.report(&setting, message, problems)).ok()
}

fn read_both(
    folder: &Path,
    certificate: (&str, &PathBuf),
    key: (&str, &PathBuf),
) -> Result<Identity, (String, String)> {
    let pem = |(setting, file): (&str, &PathBuf)| {
        let path = folder.join(file);
        fs::read(&path)
            .map_err(|error| (setting.to_owned(), format!("cannot read {}: {error}", path.display())))
    };
    from_pem(&pem(certificate)?, &pem(key)?).map_err(|flaw| {
        let ((setting, file), message) = match flaw {
            Flaw::Certificate(message) => (certificate, message),
            Flaw::Key(message) => (key, message),
        };
        (setting.to_owned(), format!("{} {message}", folder.join(file).display()))
    })
}

fn from_pem(certificate: &[u8], key: &[u8]) -> Result<Identity, Flaw> {
    let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(certificate).collect();
    let chain = chain.map_err(|_| Flaw::Certificate("holds a damaged PEM certificate"))?;
    if chain.is_empty() {
        return Err(Flaw::Certificate("holds no PEM certificate"));
    }
    let key = PrivateKeyDer::from_pem_slice(key)
        .map_err(|_| Flaw::Key("holds no PEM private key without a password"))?;
    match CertifiedKey::from_der(chain, key, &ring::default_provider()) {
        Ok(identity) => Ok(Identity(Arc::new(identity))),
        Err(Error::InconsistentKeys(_)) => Err(Flaw::Key("is not the key of the certificate")),
        Err(Error::InvalidCertificate(_)) => {
            Err(Flaw::Certificate("holds a certificate that cannot be read"))
        }
        Err(_) => Err(Flaw::Key("holds a private key of a kind that is not supported")),
    }
}

/// The last level of a setting's path.
fn last_of(setting: &str) -> &str {
    setting.rsplit('.').next().unwrap_or(setting)
}

#[cfg(test)]
mod tests {
    use rcgen::generate_simple_self_signed;

    use super::*;

    fn pair() -> (String, String) {
        let made = generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
        (made.cert.pem(), made.signing_key.serialize_pem())
    }

    #[test]
    fn a_certificate_and_its_key_are_read_and_anything_else_is_refused() {
        let ((certificate, key), (other, _)) = (pair(), pair());
        let read = |certificate: &str, key: &str| from_pem(certificate.as_bytes(), key.as_bytes());
        let identity = read(&[&*certificate, &*other].concat(), &key).ok().unwrap();
        assert_eq!(identity.0.cert.len(), 2, "the chain is kept");
        let garbage = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
        let locked = key.replace("PRIVATE KEY", "ENCRYPTED PRIVATE KEY");
        let odd = "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n";
        for (certificate, key, expected) in [
            ("", &*key, "certificate holds no PEM certificate"),
            (&key, &key, "certificate holds no PEM certificate"),
            (&certificate.replace("MII", "M!I"), &key, "certificate holds a damaged PEM certificate"),
            (garbage, &key, "certificate holds a certificate that cannot be read"),
            (&certificate, "", "key holds no PEM private key without a password"),
            (&certificate, &locked, "key holds no PEM private key without a password"),
            (&certificate, odd, "key holds a private key of a kind that is not supported"),
            (&other, &key, "key is not the key of the certificate"),
        ] {
            let found = match read(certificate, key) {
                Ok(_) => "nothing".to_owned(),
                Err(Flaw::Certificate(message)) => format!("certificate {message}"),
                Err(Flaw::Key(message)) => format!("key {message}"),
            };
            assert_eq!(found, expected);
        }
    }
}
