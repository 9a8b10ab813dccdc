//! A shared register of named states, and locks that outlive a panic.
//!
//! A lock poisoned by a panic is taken all the same: books change a state only after all checks, so
//! a state is never left half changed, and a gateway that refuses everything after one panic would
//! be worse.

use foldhash::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

/// Locks, whether poisoned or not.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Locks for reading, whether poisoned or not.
pub(crate) fn read<T>(lock: &RwLock<T>) -> RwLockReadGuard<'_, T> {
    lock.read().unwrap_or_else(PoisonError::into_inner)
}

/// Locks for writing, whether poisoned or not.
pub(crate) fn write<T>(lock: &RwLock<T>) -> RwLockWriteGuard<'_, T> {
    lock.write().unwrap_or_else(PoisonError::into_inner)
}

/// States by id, made at first use. Bounded by the ids that the configuration names, through
/// [`Register::retain`].
#[derive(Debug)]
pub(crate) struct Register<T> {
    entries: RwLock<Entries<T>>,
}

/// What a [`Register`] holds under its lock.
pub(crate) type Entries<T> = HashMap<Arc<str>, Arc<T>>;

impl<T> Default for Register<T> {
    fn default() -> Self {
        Self { entries: RwLock::default() }
    }
}

impl<T: Default> Register<T> {
    /// Returns the state of that id, new if it has none.
    pub(crate) fn entry(&self, id: &Arc<str>) -> Arc<T> {
        if let Some(state) = self.find(id) {
            return state;
        }
        Arc::clone(write(&self.entries).entry(Arc::clone(id)).or_default())
    }

    /// Returns the state of that id if it has one.
    pub(crate) fn find(&self, id: &str) -> Option<Arc<T>> {
        self.read().get(id).cloned()
    }

    /// Locks all states for reading, for callers that look up several.
    pub(crate) fn read(&self) -> RwLockReadGuard<'_, Entries<T>> {
        read(&self.entries)
    }

    /// Drops the states whose id is not to be kept; values taken from them still settle into them.
    pub(crate) fn retain(&self, mut keep: impl FnMut(&str, &T) -> bool) {
        write(&self.entries).retain(|id, state| keep(id, state));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_state_is_made_once_and_kept_until_its_id_goes() {
        let register: Register<Mutex<u32>> = Register::default();
        let id: Arc<str> = "a".into();
        *lock(&register.entry(&id)) = 7;
        assert_eq!(*lock(&register.entry(&id)), 7);
        register.retain(|id, _| id != "a");
        assert!(register.find("a").is_none());
    }

    #[test]
    fn a_poisoned_lock_is_taken_all_the_same() {
        let mutex = Arc::new(Mutex::new(1));
        let poisoner = Arc::clone(&mutex);
        let panicked = std::thread::spawn(move || {
            let _guard = poisoner.lock();
            panic!("poison the lock");
        });
        assert!(panicked.join().is_err());
        assert!(mutex.is_poisoned());
        assert_eq!(*lock(&mutex), 1);
    }
}
