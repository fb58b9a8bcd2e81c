//! An allocator that counts, thread by thread: what was asked for, what had to grow, and what is held.
#![expect(unsafe_code, reason = "an allocator is a contract that the compiler cannot check")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::ops::Sub;

/// The system's allocator, counted.
pub struct Counting;

/// What a thread has asked for so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Count {
    /// New pieces of memory.
    pub fresh: u64,
    /// Pieces that grew or shrank.
    pub resized: u64,
    /// Bytes that are held; what another thread gave back is still counted here.
    pub held_bytes: i64,
}

/// The count of this thread.
pub fn count() -> Count {
    COUNT.with(Cell::get)
}

impl Sub for Count {
    type Output = Count;

    fn sub(self, before: Count) -> Count {
        Count {
            fresh: self.fresh - before.fresh,
            resized: self.resized - before.resized,
            held_bytes: self.held_bytes - before.held_bytes,
        }
    }
}

fn note(fresh: u64, resized: u64, held_bytes: i64) {
    // A thread that is ending has no place for a count any more.
    let _ = COUNT.try_with(|cell| {
        let count = cell.get();
        let (fresh, resized) = (count.fresh + fresh, count.resized + resized);
        cell.set(Count { fresh, resized, held_bytes: count.held_bytes + held_bytes });
    });
}

// SAFETY: every call is handed to the system's allocator as it came, which keeps the contract. The count beside it lives in
// a cell that needs no memory of its own: it is made at compile time and has no destructor.
unsafe impl GlobalAlloc for Counting {
    /// # Safety
    /// As the trait says.
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        note(1, 0, layout.size() as i64);
        // SAFETY: the caller keeps the contract of this very function.
        unsafe { System.alloc(layout) }
    }

    /// # Safety
    /// As the trait says.
    unsafe fn dealloc(&self, piece: *mut u8, layout: Layout) {
        note(0, 0, -(layout.size() as i64));
        // SAFETY: the caller keeps the contract of this very function.
        unsafe { System.dealloc(piece, layout) }
    }

    /// # Safety
    /// As the trait says.
    unsafe fn realloc(&self, piece: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        note(0, 1, size as i64 - layout.size() as i64);
        // SAFETY: the caller keeps the contract of this very function.
        unsafe { System.realloc(piece, layout, size) }
    }
}

thread_local! {
    static COUNT: Cell<Count> = const { Cell::new(Count { fresh: 0, resized: 0, held_bytes: 0 }) };
}
