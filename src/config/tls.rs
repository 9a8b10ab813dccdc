//! Trust in providers: further root certificates, and whether certificates are checked at all.

use std::{
    fs,
    path::{Path, PathBuf},
};

use aisix_actors::provider_pool::TlsProfileId;
use rustls::{
    RootCertStore,
    pki_types::{CertificateDer, pem::PemObject},
};

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

/// The profiles in use, and the folder that certificate files are relative to.
#[derive(Debug)]
pub(super) struct Profiles {
    folder: PathBuf,
    list: Vec<TlsProfile>,
}

impl Profiles {
    /// Starts with the profile of `[upstream.tls]`, which is number 0.
    pub(super) fn new(folder: &Path, upstream: TlsProfile) -> Self {
        Self { folder: folder.to_owned(), list: vec![upstream] }
    }

    /// The folder that certificate files are relative to.
    pub(super) fn folder(&self) -> &Path {
        &self.folder
    }

    /// The number of a profile, the same for equal ones; nothing when there are too many.
    pub(super) fn number_of(&mut self, profile: TlsProfile) -> Option<TlsProfileId> {
        let known = self.list.iter().position(|other| *other == profile);
        let number = known.unwrap_or_else(|| {
            self.list.push(profile);
            self.list.len() - 1
        });
        u16::try_from(number).ok().map(TlsProfileId)
    }

    /// Roots that hold for every profile: those of `[upstream.tls]`.
    pub(super) fn shared_roots(&self) -> &[CertificateDer<'static>] {
        self.list.first().map_or(&[], |upstream| &upstream.roots)
    }

    /// Who the gateway is, whatever the profile: what `[upstream.tls]` says.
    pub(super) fn shared_identity(&self) -> Option<Identity> {
        self.list.first().and_then(|upstream| upstream.identity.clone())
    }

    /// The profiles by number.
    pub(super) fn into_list(self) -> Vec<TlsProfile> {
        self.list
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
    fn a_profile_has_one_number_however_often_it_is_asked_for() {
        let usual = TlsProfile { roots: Vec::new(), verify: true, identity: None };
        let own =
            TlsProfile { roots: roots_from_pem(ROOT.as_bytes()).unwrap(), verify: true, identity: None };
        let mut profiles = Profiles::new(Path::new(""), usual.clone());
        let numbers = [&own, &usual, &own].map(|profile| profiles.number_of(profile.clone()));
        assert_eq!(numbers, [1, 0, 1].map(|number| Some(TlsProfileId(number))));
        assert_eq!(profiles.into_list(), [usual, own]);
    }
}
