//! A file of lines that does not grow for ever: when it is full it is put aside, and the oldest one goes.
//!
//! A disk that fails is tried again after a while, each time a longer one. What a failed write has left of a line is cut
//! off again, so that every line of the file is whole.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
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
                self.open = None;
                let wait = self.outage.map_or(FIRST_WAIT, |(last, _)| (last * 2).min(LONGEST_WAIT));
                let is_first = self.outage.replace((wait, now + wait)).is_none();
                Err(is_first.then_some(error))
            }
        }
    }

    fn try_write(&mut self, lines: &[u8]) -> io::Result<()> {
        let length = lines.len() as u64;
        if let Some(open) = &self.open
            && open.is_regular
            && open.length > 0
            && open.length + length > self.max_bytes
        {
            self.open = None;
            self.put_aside()?;
        }
        let open = match &mut self.open {
            Some(open) => open,
            closed => closed.insert(Open::at(&self.path)?),
        };
        if let Err(error) = open.file.write_all(lines) {
            if open.is_regular {
                // Nothing better can be done where even this fails.
                let _ = open.file.set_len(open.length);
            }
            return Err(error);
        }
        open.length += length;
        Ok(())
    }

    /// `usage.jsonl` becomes `usage.jsonl.1`, that one `.2`, and the last one goes.
    fn put_aside(&self) -> io::Result<()> {
        if self.keep_files == 0 {
            return fs::remove_file(&self.path);
        }
        for number in (1..self.keep_files).rev() {
            let (from, to) = (numbered(&self.path, number), numbered(&self.path, number + 1));
            if from.exists() {
                fs::rename(from, to)?;
            }
        }
        fs::rename(&self.path, numbered(&self.path, 1))
    }
}

impl Open {
    fn at(path: &Path) -> io::Result<Self> {
        let file = OpenOptions::new().create(true).append(true).open(path)?;
        let about = file.metadata()?;
        Ok(Self { file, length: about.len(), is_regular: about.is_file() })
    }
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
