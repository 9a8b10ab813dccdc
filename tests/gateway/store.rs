//! The store: what is answered is on the disk, whatever becomes of the process, the disk or the file.

mod failures;
mod kills;
mod neighbours;
