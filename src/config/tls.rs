//! Trust in providers: further root certificates, and whether certificates are checked at all.

use std::{
    collections::HashMap,
    fs,
    path::{Path, PathBuf},
};

use aisix_actors::provider_pool::TlsProfileId;
use rustls::{
    RootCertStore,
    pki_types::{CertificateDer, pem::PemObject},
};
use sha2::{Digest, Sha256};

use super::identity::Identity;

/// Whom a connection trusts. Connections of one profile may be shared.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsProfile {
    /// Roots in addition to the system's; each of them is usable.
    pub roots: Vec<CertificateDer<'static>>,
    /// Whether certificates are checked.
    pub verify: bool,
    /// Who the gateway is to providers that ask.
    pub identity: Option<Identity>,
}

impl TlsProfile {
    /// A digest of the profile: equal ones share it over every reload, and so their connections.
    pub fn id(&self) -> TlsProfileId {
        let mut digest = Sha256::new();
        digest.update([u8::from(self.verify)]);
        for root in &self.roots {
            digest.update(root.len().to_le_bytes());
            digest.update(root);
        }
        for certificate in self.identity.iter().flat_map(|identity| &identity.0.cert) {
            digest.update(b"identity");
            digest.update(certificate);
        }
        let digest: [u8; 32] = digest.finalize().into();
        let (start, _) = digest.split_first_chunk().unwrap_or((&[0; 8], &[]));
        TlsProfileId(u64::from_le_bytes(*start))
    }
}

/// Most different profiles of a configuration; each holds a client and a pool per worker.
const MAX_PROFILES: usize = 64;

/// The profiles in use, and the folder that certificate files are relative to.
#[derive(Debug)]
pub(super) struct Profiles {
    folder: PathBuf,
    upstream: TlsProfileId,
    by_id: HashMap<TlsProfileId, TlsProfile>,
}

impl Profiles {
    /// Starts with the profile of `[upstream.tls]`.
    pub(super) fn new(folder: &Path, upstream: TlsProfile) -> Self {
        let id = upstream.id();
        Self { folder: folder.to_owned(), upstream: id, by_id: HashMap::from([(id, upstream)]) }
    }

    /// The folder that certificate files are relative to.
    pub(super) fn folder(&self) -> &Path {
        &self.folder
    }

    /// The id of the profile of `[upstream.tls]`.
    pub(super) fn upstream(&self) -> TlsProfileId {
        self.upstream
    }

    /// Takes a profile in; nothing when there are too many.
    pub(super) fn add(&mut self, profile: TlsProfile) -> Option<TlsProfileId> {
        let id = profile.id();
        let has_room = self.by_id.len() < MAX_PROFILES || self.by_id.contains_key(&id);
        has_room.then(|| {
            self.by_id.insert(id, profile);
            id
        })
    }

    /// Roots that hold for every profile: those of `[upstream.tls]`.
    pub(super) fn shared_roots(&self) -> &[CertificateDer<'static>] {
        self.by_id.get(&self.upstream).map_or(&[], |upstream| &upstream.roots)
    }

    /// Who the gateway is, whatever the profile: what `[upstream.tls]` says.
    pub(super) fn shared_identity(&self) -> Option<Identity> {
        self.by_id.get(&self.upstream).and_then(|upstream| upstream.identity.clone())
    }

    /// The profiles by id.
    pub(super) fn into_map(self) -> HashMap<TlsProfileId, TlsProfile> {
        self.by_id
    }
}

/// Reads a file of certificates, relative to `folder`.
///
/// # Errors
///
/// A message that names the file and says why it is of no use.
pub(super) fn roots_from_file(folder: &Path, file: &Path) -> Result<Vec<CertificateDer<'static>>, String> {
    let path = folder.join(file);
    let pem = fs::read(&path).map_err(|error| format!("cannot read the file: {error}"))?;
    roots_from_pem(&pem)
}

/// Reads the certificates in a PEM text.
///
/// # Errors
///
/// A message that says why the text is of no use.
pub(super) fn roots_from_pem(pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, String> {
    let roots: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
    let roots = roots.map_err(|_| "holds a damaged PEM certificate".to_owned())?;
    if roots.is_empty() {
        return Err("holds no PEM certificate".into());
    }
    let mut store = RootCertStore::empty();
    for root in &roots {
        store.add(root.clone()).map_err(|_| "holds a certificate that cannot serve as a root".to_owned())?;
    }
    Ok(roots)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A self-signed root, good for a hundred years.
    const ROOT: &str = "\
-----BEGIN CERTIFICATE-----
MIIBgDCCASWgAwIBAgIUe1+jIgLgO+xulo3DHMOpBefb19AwCgYIKoZIzj0EAwIw
FDESMBAGA1UEAwwJVGVzdCByb290MCAXDTI2MTEyMjEzMjMwM1oYDzIxMjYxMDI5
MTMyMzAzWjAUMRIwEAYDVQQDDAlUZXN0IHJvb3QwWTATBgcqhkjOPQIBBggqhkjO
PQMBBwNCAARnTgZjsWvn2Ay79duJD9414fiZhbEMYIiaq3iLMc5qsnIgFJk0dQx0
cue/gXpUl1kbxK1ob2y67oy9qQkeb0a2o1MwUTAdBgNVHQ4EFgQUintcNcHdIfgV
QhcrFH4j6faL+KcwHwYDVR0jBBgwFoAUintcNcHdIfgVQhcrFH4j6faL+KcwDwYD
VR0TAQH/BAUwAwEB/zAKBggqhkjOPQQDAgNJADBGAiEA5P+KLF1d33BHhbN3HZcY
QSoLyFS6gne8X3R2j/cTUFQCIQDplQdoVfVzHdxZYsNLVFEPaOUghTYp1slXirTI
Ti3vfw==
-----END CERTIFICATE-----
";

    #[test]
    fn roots_are_read_from_pem_and_anything_else_is_refused() {
        assert_eq!(roots_from_pem(ROOT.as_bytes()).unwrap().len(), 1);
        assert_eq!(roots_from_pem([ROOT, ROOT].concat().as_bytes()).unwrap().len(), 2);
        let cases = [
            (String::new(), "holds no PEM certificate"),
            ("some text".into(), "holds no PEM certificate"),
            (ROOT.replace("MIIB", "M!IB"), "holds a damaged PEM certificate"),
            (ROOT.replace("MIIB", "MIIC"), "holds a certificate that cannot serve as a root"),
        ];
        for (pem, message) in cases {
            assert_eq!(roots_from_pem(pem.as_bytes()).unwrap_err(), message);
        }
    }

    #[test]
    fn an_absent_file_is_a_message() {
        let message = roots_from_file(Path::new("/nowhere"), Path::new("ca.pem")).unwrap_err();
        assert!(message.starts_with("cannot read the file: "), "{message}");
    }

    #[test]
    fn equal_profiles_share_an_id_and_there_is_an_end_to_them() {
        let usual = TlsProfile { roots: Vec::new(), verify: true, identity: None };
        let own = TlsProfile { roots: roots_from_pem(ROOT.as_bytes()).unwrap(), ..usual.clone() };
        let lax = TlsProfile { verify: false, ..own.clone() };
        let mut profiles = Profiles::new(Path::new(""), usual.clone());
        let ids = [&own, &usual, &own, &lax].map(|profile| profiles.add(profile.clone()).unwrap());
        assert_eq!(ids[0], ids[2]);
        assert_eq!(ids[1], profiles.upstream());
        assert!(ids[0] != ids[1] && ids[0] != ids[3]);
        let many = |count| TlsProfile { roots: vec![own.roots[0].clone(); count], ..usual.clone() };
        assert!((2..100).any(|count| profiles.add(many(count)).is_none()));
        assert_eq!(profiles.into_map().len(), MAX_PROFILES);
    }
}
