//! A folder of a test's own, gone with it.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

static FOLDERS: AtomicU64 = AtomicU64::new(0);

/// See the module.
pub struct Folder(PathBuf);

impl Folder {
    /// A new, empty folder.
    pub fn new() -> Self {
        let number = FOLDERS.fetch_add(1, Ordering::Relaxed);
        let path = std::env::temp_dir().join(format!("aisix-test-{}-{number}", std::process::id()));
        // Of a process that had the same number and was killed.
        let _ = std::fs::remove_dir_all(&path);
        std::fs::create_dir_all(&path).expect("a folder for the test");
        Self(path)
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.0
    }

    /// Writes a file and tells where it is. Readers see the old text or the new one.
    pub fn write(&self, name: &str, text: &str) -> PathBuf {
        let (path, aside) = (self.0.join(name), self.0.join(format!(".{name}.new")));
        std::fs::write(&aside, text).expect("written");
        std::fs::rename(&aside, &path).expect("moved");
        path
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}
