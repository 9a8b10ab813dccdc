//! Notices that a file is another one now, whichever way it was changed: written, replaced, or the end of a symbolic
//! link moved, as Kubernetes mounts do it.
//!
//! Looking twice a second costs two system calls, and works on every file system; notifications do not.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;

/// What tells one state of a file from another: device, inode, size, and both times with their nanoseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Mark {
    place: (u64, u64),
    size: u64,
    written: (i64, i64),
    changed: (i64, i64),
}

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Watch {
    files: Vec<PathBuf>,
    known: Vec<Option<Mark>>,
    /// What was seen last, while it is not yet known to stay.
    moving: Option<Vec<Option<Mark>>>,
}

impl Watch {
    /// Watches these files. Those that are watched already are still compared with what was known of them: they may
    /// have changed meanwhile.
    pub(super) fn follow(&mut self, files: Vec<PathBuf>) {
        if files == self.files {
            return;
        }
        let known_of = |file: &PathBuf| self.files.iter().position(|known| known == file);
        let mark_of =
            |file| known_of(file).map_or_else(|| mark(file), |at| self.known.get(at).copied().flatten());
        self.known = files.iter().map(mark_of).collect();
        self.files = files;
        self.moving = None;
    }

    /// Takes the files as they are for known. To be done before they are read, so that no change falls in between.
    pub(super) fn refresh(&mut self) {
        self.known = marks(&self.files);
        self.moving = None;
    }

    /// Whether there is more than one file.
    pub(super) fn has_others(&self) -> bool {
        self.files.len() > 1
    }

    /// Whether a file has changed, and has then stayed as it is since the last look: who writes in pieces is done.
    pub(super) fn has_changed(&mut self) -> bool {
        let seen = marks(&self.files);
        if seen == self.known {
            self.moving = None;
            return false;
        }
        if self.moving.as_ref() == Some(&seen) {
            self.known = seen;
            self.moving = None;
            return true;
        }
        self.moving = Some(seen);
        false
    }
}

fn marks(files: &[PathBuf]) -> Vec<Option<Mark>> {
    files.iter().map(mark).collect()
}

fn mark(file: &PathBuf) -> Option<Mark> {
    let metadata = fs::metadata(file).ok()?;
    Some(Mark {
        place: (metadata.dev(), metadata.ino()),
        size: metadata.size(),
        written: (metadata.mtime(), metadata.mtime_nsec()),
        changed: (metadata.ctime(), metadata.ctime_nsec()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_counts_once_and_only_when_it_is_over() {
        let folder = std::env::temp_dir().join(format!("aisix-watch-{}", std::process::id()));
        let _ = fs::remove_dir_all(&folder);
        fs::create_dir_all(&folder).expect("a folder");
        let (real, link) = (folder.join("one"), folder.join("link"));
        fs::write(&real, "a").expect("written");
        std::os::unix::fs::symlink("one", &link).expect("linked");
        let mut watch = Watch::default();
        watch.follow(vec![link.clone()]);
        assert!(!watch.has_changed());
        fs::write(&real, "ab").expect("written");
        assert!(!watch.has_changed(), "it may still be written to");
        fs::write(&real, "abc").expect("written");
        assert!(!watch.has_changed(), "it was");
        assert!(watch.has_changed());
        assert!(!watch.has_changed());
        fs::write(folder.join("two"), "abc").expect("written");
        std::os::unix::fs::symlink("two", folder.join("new")).expect("linked");
        fs::rename(folder.join("new"), &link).expect("moved");
        assert!(!watch.has_changed());
        assert!(watch.has_changed(), "the link leads elsewhere");
        fs::remove_file(&link).expect("removed");
        assert!(!watch.has_changed());
        assert!(watch.has_changed(), "nothing is there");
        fs::write(&link, "d").expect("written");
        watch.follow(vec![real, link]);
        assert!(!watch.has_changed());
        assert!(watch.has_changed(), "another list of files hides nothing");
        watch.refresh();
        assert!(!watch.has_changed());
    }
}
