//! A file of lines that does not grow for ever: when it is full it is put aside, and the oldest one goes.
//!
//! A disk that fails is tried again after a while, each time a longer one. What a failed write has left of a line is cut
//! off again, so that every line of the file is whole. A file that another program has moved or removed is begun anew.

use std::fs::{self, File, Metadata, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// First wait before a file that failed is tried again; doubles each time.
const FIRST_WAIT: Duration = Duration::from_millis(250);
/// Longest of those waits.
const LONGEST_WAIT: Duration = Duration::from_secs(30);

/// See the module.
pub struct RotatingFile {
    path: PathBuf,
    max_bytes: u64,
    keep_files: u32,
    open: Option<Open>,
    /// Since it failed: how long to wait, and until when.
    outage: Option<(Duration, Instant)>,
}

struct Open {
    file: File,
    length: u64,
    /// The device and the inode: the path may come to lead elsewhere.
    inode: (u64, u64),
    /// A pipe or a device is neither cut nor put aside.
    is_regular: bool,
}

impl RotatingFile {
    /// A file that is opened when there is something to write.
    #[must_use]
    pub fn new(path: PathBuf, max_bytes: u64, keep_files: u32) -> Self {
        Self { path, max_bytes, keep_files, open: None, outage: None }
    }

    /// Writes whole lines at the end of the file.
    ///
    /// # Errors
    /// They cannot be written, or the file failed a short while ago; `None` says the latter.
    pub fn write(&mut self, lines: &[u8], now: Instant) -> Result<(), Option<io::Error>> {
        if self.outage.is_some_and(|(_, until)| now < until) {
            return Err(None);
        }
        match self.try_write(lines) {
            Ok(()) => {
                self.outage = None;
                Ok(())
            }
            Err(error) => {
                let wait = self.outage.map_or(FIRST_WAIT, |(last, _)| (last * 2).min(LONGEST_WAIT));
                let is_first = self.outage.replace((wait, now + wait)).is_none();
                Err(is_first.then_some(error))
            }
        }
    }

    fn try_write(&mut self, lines: &[u8]) -> io::Result<()> {
        let length = lines.len() as u64;
        let mut open = match self.open.take().and_then(|open| open.still_at(&self.path)) {
            Some(open) => open,
            None => Open::at(&self.path)?,
        };
        // Before anything is written, however often putting it aside has failed: the bound holds, and lines are lost.
        if open.is_regular && open.length > 0 && open.length + length > self.max_bytes {
            drop(open);
            self.put_aside()?;
            open = Open::at(&self.path)?;
        }
        if let Err(error) = open.file.write_all(lines) {
            if open.is_regular {
                // Nothing better can be done where even this fails.
                let _ = open.file.set_len(open.length);
            }
            return Err(error);
        }
        open.length += length;
        self.open = Some(open);
        Ok(())
    }

    /// `usage.jsonl` becomes `usage.jsonl.1`, that one `.2`, and the last one goes.
    fn put_aside(&self) -> io::Result<()> {
        if self.keep_files == 0 {
            return fs::remove_file(&self.path);
        }
        // Only up to the first gap, or each repetition of one that failed half-way would cost the oldest file.
        let gap = (1..self.keep_files).find(|number| !numbered(&self.path, *number).exists());
        for number in (1..gap.unwrap_or(self.keep_files)).rev() {
            fs::rename(numbered(&self.path, number), numbered(&self.path, number + 1))?;
        }
        fs::rename(&self.path, numbered(&self.path, 1))
    }
}

impl Open {
    fn at(path: &Path) -> io::Result<Self> {
        let file = OpenOptions::new().create(true).append(true).open(path)?;
        let about = file.metadata()?;
        Ok(Self { file, length: about.len(), inode: inode_of(&about), is_regular: about.is_file() })
    }

    /// The same with the length of now, which another program may have changed; `None` where the path leads elsewhere.
    fn still_at(mut self, path: &Path) -> Option<Self> {
        let about = fs::metadata(path).ok().filter(|about| inode_of(about) == self.inode)?;
        self.length = about.len();
        Some(self)
    }
}

fn inode_of(about: &Metadata) -> (u64, u64) {
    (about.dev(), about.ino())
}

fn numbered(path: &Path, number: u32) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(format!(".{number}"));
    name.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A folder of its own that goes with the test.
    struct Folder(PathBuf);

    impl Folder {
        fn new(name: &str) -> Self {
            let path = std::env::temp_dir().join(format!("aisix-{name}-{}", std::process::id()));
            fs::create_dir_all(&path).expect("a folder");
            Self(path)
        }

        fn read(&self, name: &str) -> Option<String> {
            fs::read_to_string(self.0.join(name)).ok()
        }
    }

    impl Drop for Folder {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    #[test]
    fn a_full_file_is_put_aside_and_the_oldest_goes() {
        let folder = Folder::new("rotation");
        let mut file = RotatingFile::new(folder.0.join("u"), 10, 2);
        for number in 0..8 {
            file.write(format!("line{number}\n").as_bytes(), Instant::now()).expect("writes");
        }
        assert_eq!(folder.read("u").as_deref(), Some("line7\n"));
        assert_eq!(folder.read("u.1").as_deref(), Some("line6\n"));
        assert_eq!(folder.read("u.2").as_deref(), Some("line5\n"));
        assert_eq!(folder.read("u.3"), None);
    }

    #[test]
    fn a_file_is_continued_and_what_is_too_large_for_one_stands_alone() {
        let folder = Folder::new("continued");
        let path = folder.0.join("u");
        fs::write(&path, "old\n").expect("writes");
        let mut file = RotatingFile::new(path, 8, 0);
        file.write(b"new\n", Instant::now()).expect("writes");
        assert_eq!(folder.read("u").as_deref(), Some("old\nnew\n"));
        file.write(b"much too long\n", Instant::now()).expect("writes");
        assert_eq!(folder.read("u").as_deref(), Some("much too long\n"));
    }

    #[test]
    fn a_file_that_another_program_moved_removed_or_emptied_is_begun_anew() {
        let folder = Folder::new("moved");
        let path = folder.0.join("u");
        let mut file = RotatingFile::new(path.clone(), 8, 1);
        let mut write = |line: &[u8]| file.write(line, Instant::now()).expect("writes");
        write(b"one\n");
        fs::rename(&path, folder.0.join("theirs")).expect("renames");
        write(b"two\n");
        assert_eq!(folder.read("theirs").as_deref(), Some("one\n"));
        assert_eq!(folder.read("u").as_deref(), Some("two\n"));
        fs::remove_file(&path).expect("removes");
        write(b"three\n");
        assert_eq!(folder.read("u").as_deref(), Some("three\n"));
        fs::write(&path, "").expect("empties");
        write(b"four\n");
        assert_eq!((folder.read("u").as_deref(), folder.read("u.1")), (Some("four\n"), None));
    }

    #[test]
    fn a_file_that_cannot_be_put_aside_does_not_grow() {
        let folder = Folder::new("stuck");
        let in_the_way = folder.0.join("u.1");
        fs::create_dir_all(&in_the_way).expect("a folder");
        let mut file = RotatingFile::new(folder.0.join("u"), 4, 1);
        let mut now = Instant::now();
        file.write(b"old\n", now).expect("writes");
        for _ in 0..3 {
            assert!(file.write(b"new\n", now).is_err(), "it is counted as lost");
            assert_eq!(folder.read("u").as_deref(), Some("old\n"));
            now += LONGEST_WAIT;
        }
        fs::remove_dir(in_the_way).expect("removes");
        file.write(b"new\n", now).expect("writes");
        assert_eq!(
            (folder.read("u").as_deref(), folder.read("u.1").as_deref()),
            (Some("new\n"), Some("old\n"))
        );
    }

    #[test]
    fn older_files_make_room_only_as_far_as_they_are_in_the_way() {
        let folder = Folder::new("gap");
        for name in ["u", "u.2", "u.3"] {
            fs::write(folder.0.join(name), name).expect("writes");
        }
        let mut file = RotatingFile::new(folder.0.join("u"), 1, 3);
        file.write(b"new\n", Instant::now()).expect("writes");
        for (name, was) in [("u", "new\n"), ("u.1", "u"), ("u.2", "u.2"), ("u.3", "u.3")] {
            assert_eq!(folder.read(name).as_deref(), Some(was));
        }
    }

    #[test]
    fn a_disk_that_fails_is_told_of_once_and_tried_again_later() {
        let folder = Folder::new("outage");
        let path = folder.0.join("missing").join("u");
        let mut file = RotatingFile::new(path.clone(), 100, 1);
        let began = Instant::now();
        assert!(matches!(file.write(b"a\n", began), Err(Some(_))));
        assert!(matches!(file.write(b"b\n", began), Err(None)), "it waits");
        assert!(matches!(file.write(b"c\n", began + FIRST_WAIT), Err(None)), "it has been told");
        fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
        file.write(b"d\n", began + 4 * FIRST_WAIT).expect("writes");
        assert_eq!(fs::read_to_string(path).expect("a file"), "d\n");
    }
}
