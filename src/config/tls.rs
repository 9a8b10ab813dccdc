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

/// Whom a connection trusts. Connections of one profile may be shared.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsProfile {
    /// Roots in addition to the system's; each of them is usable.
    pub roots: Vec<CertificateDer<'static>>,
    /// Whether certificates are checked.
    pub verify: bool,
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
