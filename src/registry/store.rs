//! The embedded store: what came through the Admin API, in one SQLite file that an operator can open.
//!
//! A write is on the disk before it is answered (WAL, `synchronous = FULL`), and several waiting writes share one
//! transaction. The file is made at the first write, readable by its owner only: it holds credentials.
//!
//! The journal of budgets lies in the same file and has a connection of its own. It writes many times a second, so a
//! counter of the writes to resources tells those from its own.

use std::fs::{self, OpenOptions};
use std::io;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use derive_more::{Display, From};
use rusqlite::types::ValueRef;
use rusqlite::{Connection, OpenFlags, OptionalExtension, params};

use crate::config::Kind;

/// The layout of the file, as `PRAGMA user_version`.
const LAYOUT: i64 = 2;
/// How long to wait for another process that is writing.
const BUSY_TIME: Duration = Duration::from_secs(5);
/// Between two tries to open a file that another process is just making.
const MAKE_POLL: Duration = Duration::from_millis(20);
/// No version of a file, which begin at 1, and no count of writes.
const UNSEEN: (i64, i64) = (0, -1);
/// The count where writes are not counted.
const UNCOUNTED: i64 = -2;
/// Who may read the file: its owner.
const MODE: u32 = 0o600;

/// All tables of this layout. What an earlier one had is kept; triggers count writes whoever makes them.
const TABLES: &str = "
CREATE TABLE IF NOT EXISTS resources (
    kind     TEXT NOT NULL,
    id       TEXT NOT NULL,
    revision INTEGER NOT NULL,
    body     TEXT NOT NULL,
    PRIMARY KEY (kind, id)
);
CREATE TABLE IF NOT EXISTS meta (name TEXT PRIMARY KEY, value INTEGER NOT NULL) WITHOUT ROWID;
INSERT OR IGNORE INTO meta SELECT 'resource_writes', count(*) FROM resources;
CREATE TRIGGER IF NOT EXISTS resource_inserted AFTER INSERT ON resources
    BEGIN UPDATE meta SET value = value + 1 WHERE name = 'resource_writes'; END;
CREATE TRIGGER IF NOT EXISTS resource_updated AFTER UPDATE ON resources
    BEGIN UPDATE meta SET value = value + 1 WHERE name = 'resource_writes'; END;
CREATE TRIGGER IF NOT EXISTS resource_deleted AFTER DELETE ON resources
    BEGIN UPDATE meta SET value = value + 1 WHERE name = 'resource_writes'; END;
CREATE TABLE IF NOT EXISTS spend (
    id           INTEGER PRIMARY KEY,
    budget       TEXT NOT NULL,
    window_start INTEGER NOT NULL,
    window_end   INTEGER NOT NULL,
    cost         INTEGER NOT NULL,
    checksum     INTEGER NOT NULL
);
CREATE INDEX IF NOT EXISTS spend_by_budget ON spend (budget, window_start);
CREATE TABLE IF NOT EXISTS charges (
    id           INTEGER PRIMARY KEY,
    lane         TEXT NOT NULL,
    number       INTEGER NOT NULL,
    budget       TEXT NOT NULL,
    window_start INTEGER NOT NULL,
    window_end   INTEGER NOT NULL,
    cost         INTEGER NOT NULL,
    count        INTEGER NOT NULL,
    checksum     INTEGER NOT NULL
);
CREATE TABLE IF NOT EXISTS outbox (
    id           INTEGER PRIMARY KEY,
    lane         TEXT NOT NULL,
    number       INTEGER NOT NULL,
    budget       TEXT NOT NULL,
    window_start INTEGER NOT NULL,
    window_end   INTEGER NOT NULL,
    cost         INTEGER NOT NULL,
    count        INTEGER NOT NULL,
    checksum     INTEGER NOT NULL
);
CREATE INDEX IF NOT EXISTS outbox_by_lane ON outbox (lane, number);
CREATE TABLE IF NOT EXISTS lanes (lane TEXT PRIMARY KEY, number INTEGER NOT NULL, at INTEGER NOT NULL) WITHOUT ROWID;
";

/// Why the store is of no use.
#[derive(Debug, Display, From)]
pub enum StoreError {
    /// SQLite says so.
    #[display("{_0}")]
    Sqlite(rusqlite::Error),
    /// The file cannot be made.
    #[display("{_0}")]
    File(io::Error),
    /// The last writes are in the journal beside the file, which only a writer can take over.
    #[display(
        "it cannot be written, and its last writes are still in the -wal file beside it: make it writable once"
    )]
    Unread,
    /// A version of the gateway that is newer than this one has written the file.
    #[display("the file has the layout {_0}, which is newer than this version of the gateway")]
    #[from(skip)]
    Newer(i64),
    /// The file was taken away or replaced while it was open: what is written to it now would be lost.
    #[display("the file was moved or replaced while it was in use; put it back, or restart the gateway")]
    Moved,
}

/// One stored resource, as it lies in the file.
#[derive(Debug)]
pub struct StoredRow {
    /// The collection.
    pub kind: String,
    /// The id.
    pub id: String,
    /// How often it was written.
    pub revision: u64,
    /// A JSON object.
    pub body: String,
}

/// One change of the file.
#[derive(Debug)]
pub enum Change {
    /// A resource is new, or replaced.
    Put {
        /// What it is.
        kind: Kind,
        /// The id.
        id: String,
        /// How often it was written, this time included.
        revision: u64,
        /// A JSON object.
        body: String,
    },
    /// A resource is gone.
    Delete {
        /// What it was.
        kind: Kind,
        /// The id.
        id: String,
    },
}

/// An open store.
pub struct Store {
    connection: Connection,
    /// What [`Store::has_changed`] has seen: the version of the file, and how many writes there were to resources.
    seen: (i64, i64),
    path: PathBuf,
    /// Device and inode of the open file.
    place: Option<(u64, u64)>,
    is_read_only: bool,
}

impl Store {
    /// Opens the store, if there is one. A file that cannot be written is opened for reading.
    ///
    /// # Errors
    /// The file is there and cannot be used.
    pub fn open(path: &Path) -> Result<Option<Self>, StoreError> {
        if !path.exists() {
            return Ok(None);
        }
        match connect(path) {
            Ok(connection) => Self::over(connection, path, false).map(Some),
            Err(StoreError::Sqlite(error)) if is_about_access(&error) => {
                Self::over(connect_to_read(path)?, path, true).map(Some)
            }
            Err(error) => Err(error),
        }
    }

    /// Opens the store, and makes it where there is none.
    ///
    /// # Errors
    /// The file cannot be made or used.
    pub fn create(path: &Path) -> Result<Self, StoreError> {
        match Self::open(path)? {
            Some(store) => Ok(store),
            None => Self::over(make(path)?, path, false),
        }
    }

    fn over(connection: Connection, path: &Path, is_read_only: bool) -> Result<Self, StoreError> {
        let (path, place) = (path.to_owned(), place_of(path));
        let mut store = Self { connection, seen: UNSEEN, path, place, is_read_only };
        store.has_changed()?;
        Ok(store)
    }

    /// Whether nobody has ever written a resource: the file is there for other things.
    pub fn is_untouched(&self) -> bool {
        self.seen.1 == 0
    }

    /// Whether nothing can be written.
    pub fn is_read_only(&self) -> bool {
        self.is_read_only
    }

    /// Whether the file is still where it was opened.
    pub fn is_in_place(&self) -> bool {
        self.place == place_of(&self.path)
    }

    /// Counts everything in the file as news.
    pub fn forget(&mut self) {
        self.seen = UNSEEN;
    }

    /// Everything that is stored, in the order of writing.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn rows(&self) -> Result<Vec<StoredRow>, StoreError> {
        let text = "SELECT kind, id, revision, body FROM resources ORDER BY rowid";
        let mut statement = self.connection.prepare_cached(text)?;
        let rows = statement.query_map([], stored_row)?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// One resource.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn row(&self, kind: Kind, id: &str) -> Result<Option<StoredRow>, StoreError> {
        let text = "SELECT kind, id, revision, body FROM resources WHERE kind = ?1 AND id = ?2";
        let mut statement = self.connection.prepare_cached(text)?;
        Ok(statement.query_row(params![kind.collection(), id], stored_row).optional()?)
    }

    /// Keeps other processes from writing until [`Store::apply`] or [`Store::give_up`].
    ///
    /// # Errors
    /// The file cannot be written, or another process writes for too long.
    pub fn begin(&mut self) -> Result<(), StoreError> {
        if !self.is_in_place() {
            return Err(StoreError::Moved);
        }
        Ok(self.connection.execute_batch("BEGIN IMMEDIATE")?)
    }

    /// Lets other processes write again.
    pub fn give_up(&mut self) {
        if !self.connection.is_autocommit() {
            // Nothing was changed, so there is nothing to lose.
            let _ = self.connection.execute_batch("ROLLBACK");
        }
    }

    /// Makes all changes or none. They are on the disk when this returns.
    ///
    /// # Errors
    /// The file cannot be written; nothing is changed then.
    pub fn apply(&mut self, changes: &[&Change]) -> Result<(), StoreError> {
        if self.connection.is_autocommit() {
            self.begin()?;
        }
        let applied = self.apply_begun(changes);
        if applied.is_err() {
            self.give_up();
        }
        applied
    }

    fn apply_begun(&mut self, changes: &[&Change]) -> Result<(), StoreError> {
        let before = resource_writes(&self.connection)?;
        changes.iter().try_for_each(|change| apply(&self.connection, change))?;
        let own = resource_writes(&self.connection)?.saturating_sub(before);
        self.connection.execute_batch("COMMIT")?;
        // Own writes are no news, those of others that came before are.
        self.seen.1 = self.seen.1.saturating_add(own);
        Ok(())
    }

    /// Whether another process has written resources since the last look.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn has_changed(&mut self) -> Result<bool, StoreError> {
        let version = self.connection.pragma_query_value(None, "data_version", |row| row.get(0))?;
        if version == self.seen.0 {
            return Ok(false);
        }
        let writes = resource_writes(&self.connection)?;
        Ok(std::mem::replace(&mut self.seen, (version, writes)).1 != writes)
    }
}

/// Connects to a file that is there and can be written, and brings it to this layout.
///
/// # Errors
/// The file cannot be used.
pub(crate) fn connect(path: &Path) -> Result<Connection, StoreError> {
    let connection = Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_WRITE)?;
    connection.busy_timeout(BUSY_TIME)?;
    let layout = layout_of(&connection)?;
    turn_to_wal(&connection)?;
    connection.pragma_update(None, "synchronous", "FULL")?;
    if layout < LAYOUT {
        connection.execute_batch("BEGIN IMMEDIATE")?;
        connection.execute_batch(TABLES)?;
        connection.pragma_update(None, "user_version", LAYOUT)?;
        connection.execute_batch("COMMIT")?;
    }
    Ok(connection)
}

/// Makes the file, unless another process was faster, and connects to it.
///
/// # Errors
/// The file cannot be made or used.
pub(crate) fn make(path: &Path) -> Result<Connection, StoreError> {
    match OpenOptions::new().create_new(true).write(true).mode(MODE).open(path) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(error.into()),
        Ok(_) | Err(_) => connect(path),
    }
}

/// Connects to a file on a disk that nobody can write to; WAL needs to write even for reading, unless told so.
///
/// # Errors
/// The file cannot be read.
pub(crate) fn connect_to_read(path: &Path) -> Result<Connection, StoreError> {
    let mut journal = path.as_os_str().to_owned();
    journal.push("-wal");
    if fs::metadata(journal).is_ok_and(|journal| journal.len() > 0) {
        return Err(StoreError::Unread);
    }
    let escaped = path.to_string_lossy().replace('%', "%25").replace('?', "%3f").replace('#', "%23");
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_URI;
    let connection = Connection::open_with_flags(format!("file:{escaped}?immutable=1"), flags)?;
    layout_of(&connection)?;
    Ok(connection)
}

fn layout_of(connection: &Connection) -> Result<i64, StoreError> {
    let layout = connection.pragma_query_value(None, "user_version", |row| row.get(0))?;
    if layout > LAYOUT { Err(StoreError::Newer(layout)) } else { Ok(layout) }
}

/// SQLite does not wait for its locks when it turns a file to WAL, which another process may just be doing as well.
fn turn_to_wal(connection: &Connection) -> Result<(), StoreError> {
    let deadline = Instant::now() + BUSY_TIME;
    loop {
        match connection.pragma_update(None, "journal_mode", "WAL") {
            Err(error) if is_about_locks(&error) && Instant::now() < deadline => {
                std::thread::sleep(MAKE_POLL);
            }
            outcome => return Ok(outcome?),
        }
    }
}

/// How often resources were written; a file of the first layout, which nobody can write to, does not say.
fn resource_writes(connection: &Connection) -> Result<i64, StoreError> {
    if layout_of(connection)? < LAYOUT {
        return Ok(UNCOUNTED);
    }
    let mut statement = connection.prepare_cached("SELECT value FROM meta WHERE name = 'resource_writes'")?;
    Ok(statement.query_row([], |row| row.get(0)).optional()?.unwrap_or(UNCOUNTED))
}

/// Device and inode of what lies there.
pub(crate) fn place_of(path: &Path) -> Option<(u64, u64)> {
    let metadata = fs::metadata(path).ok()?;
    Some((metadata.dev(), metadata.ino()))
}

/// A row, whatever its columns hold: one that nobody can use is not to take the others along.
fn stored_row(row: &rusqlite::Row<'_>) -> rusqlite::Result<StoredRow> {
    let text = |column: usize| {
        Ok::<_, rusqlite::Error>(match row.get_ref(column)? {
            ValueRef::Text(bytes) | ValueRef::Blob(bytes) => String::from_utf8_lossy(bytes).into_owned(),
            ValueRef::Integer(number) => number.to_string(),
            ValueRef::Real(_) | ValueRef::Null => String::new(),
        })
    };
    let revision = row.get_ref(2)?.as_i64().unwrap_or_default().unsigned_abs();
    Ok(StoredRow { kind: text(0)?, id: text(1)?, revision, body: text(3)? })
}

fn apply(connection: &Connection, change: &Change) -> Result<(), StoreError> {
    match change {
        Change::Put { kind, id, revision, body } => {
            let text = "INSERT INTO resources (kind, id, revision, body) VALUES (?1, ?2, ?3, ?4) \
                        ON CONFLICT (kind, id) DO UPDATE SET revision = ?3, body = ?4";
            let revision = i64::try_from(*revision).unwrap_or(i64::MAX);
            connection.prepare_cached(text)?.execute(params![kind.collection(), id, revision, body])?;
        }
        Change::Delete { kind, id } => {
            let text = "DELETE FROM resources WHERE kind = ?1 AND id = ?2";
            connection.prepare_cached(text)?.execute(params![kind.collection(), id])?;
        }
    }
    Ok(())
}

fn is_about_locks(error: &rusqlite::Error) -> bool {
    use rusqlite::ErrorCode::{DatabaseBusy, DatabaseLocked};
    matches!(error.sqlite_error_code(), Some(DatabaseBusy | DatabaseLocked))
}

pub(crate) fn is_about_access(error: &rusqlite::Error) -> bool {
    use rusqlite::ErrorCode::{CannotOpen, PermissionDenied, ReadOnly};
    matches!(error.sqlite_error_code(), Some(CannotOpen | PermissionDenied | ReadOnly))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn put(id: &str, revision: u64, body: &str) -> Change {
        Change::Put { kind: Kind::Models, id: id.into(), revision, body: body.into() }
    }

    fn scratch(name: &str) -> PathBuf {
        let folder = std::env::temp_dir().join(format!("aisix-store-{name}-{}", std::process::id()));
        let _ = std::fs::remove_dir_all(&folder);
        std::fs::create_dir_all(&folder).expect("a folder");
        folder.join("store.db")
    }

    #[test]
    fn what_is_written_is_there_for_the_next_process_in_the_order_of_writing() {
        let path = scratch("order");
        assert!(Store::open(&path).expect("nothing to open").is_none());
        let mut store = Store::create(&path).expect("made");
        store.apply(&[&put("b", 1, "{}"), &put("a", 1, "{\"x\":1}")]).expect("written");
        store.apply(&[&put("b", 2, "{\"y\":2}")]).expect("written");
        drop(store);
        let mut store = Store::open(&path).expect("opened").expect("there");
        let rows = store.rows().expect("read");
        let rows: Vec<_> = rows.iter().map(|row| (&*row.id, row.revision, &*row.body)).collect();
        assert_eq!(rows, [("b", 2, "{\"y\":2}"), ("a", 1, "{\"x\":1}")]);
        store.apply(&[&Change::Delete { kind: Kind::Models, id: "b".into() }]).expect("written");
        assert!(store.row(Kind::Models, "b").expect("read").is_none());
        assert!(store.row(Kind::ApiKeys, "a").expect("read").is_none(), "another kind");
        assert_eq!(store.row(Kind::Models, "a").expect("read").map(|row| row.revision), Some(1));
    }

    #[test]
    fn the_file_belongs_to_its_owner_alone() {
        use std::os::unix::fs::PermissionsExt;
        let path = scratch("mode");
        let store = Store::create(&path).expect("made");
        let mode = std::fs::metadata(&path).expect("a file").permissions().mode();
        assert_eq!(mode & 0o777, MODE);
        drop(store);
    }

    #[test]
    fn writes_of_another_process_are_noticed_and_own_ones_are_not() {
        let path = scratch("other");
        let mut own = Store::create(&path).expect("made");
        let mut other = Store::create(&path).expect("opened");
        own.apply(&[&put("a", 1, "{}")]).expect("written");
        assert!(!own.has_changed().expect("read"));
        other.apply(&[&put("b", 1, "{}")]).expect("written");
        assert!(own.has_changed().expect("read"));
        assert!(!own.has_changed().expect("read"));
    }

    #[test]
    fn what_is_no_store_is_refused_and_left_alone() {
        let path = scratch("garbage");
        std::fs::write(&path, "not a database, and long enough not to be taken for an empty one".repeat(20))
            .expect("written");
        let error = Store::create(&path).map(drop).expect_err("refused");
        assert!(error.to_string().contains("not a database"), "{error}");
        let newer = scratch("newer");
        let store = Store::create(&newer).expect("made");
        store.connection.pragma_update(None, "user_version", LAYOUT + 1).expect("written");
        drop(store);
        assert!(matches!(Store::open(&newer), Err(StoreError::Newer(_))));
    }
}
