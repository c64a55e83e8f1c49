//! Locks whose holders do not leave state half changed when they panic, so that poison says nothing.

use std::sync::{Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

/// Locks, whether or not a holder panicked.
pub trait LockUnpoisoned<T: ?Sized> {
    fn lock_unpoisoned(&self) -> MutexGuard<'_, T>;
}

/// Locks, whether or not a holder panicked.
pub trait RwLockUnpoisoned<T: ?Sized> {
    fn read_unpoisoned(&self) -> RwLockReadGuard<'_, T>;
    fn write_unpoisoned(&self) -> RwLockWriteGuard<'_, T>;
}

impl<T: ?Sized> LockUnpoisoned<T> for Mutex<T> {
    fn lock_unpoisoned(&self) -> MutexGuard<'_, T> {
        self.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<T: ?Sized> RwLockUnpoisoned<T> for RwLock<T> {
    fn read_unpoisoned(&self) -> RwLockReadGuard<'_, T> {
        self.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write_unpoisoned(&self) -> RwLockWriteGuard<'_, T> {
        self.write().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lock_survives_a_holder_that_panicked() {
        let (mutex, rwlock) = (Mutex::new(1), RwLock::new(2));
        std::thread::scope(|scope| {
            let panicked = scope.spawn(|| {
                let _guards = (mutex.lock_unpoisoned(), rwlock.write_unpoisoned());
                panic!("on purpose");
            });
            assert!(panicked.join().is_err());
        });
        assert!(mutex.is_poisoned() && rwlock.is_poisoned());
        assert_eq!((*mutex.lock_unpoisoned(), *rwlock.read_unpoisoned()), (1, 2));
    }
}
