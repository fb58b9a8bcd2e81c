//! The process's allocator: mimalloc, asked in the cheaper of its two ways.
//!
//! The crate of that name asks for an alignment with every allocation, as Rust's interface has it. Above a kilobyte mimalloc
//! goes a longer way for that, and asks itself for up to 15 bytes more, which can be the next larger kind of block, although
//! the block that it gets is aligned already. Nearly nothing asks for more than what every block has anyway.
#![expect(unsafe_code, reason = "an allocator hands out raw memory")]

use std::alloc::{GlobalAlloc, Layout};

use libmimalloc_sys::{mi_free, mi_malloc, mi_realloc, mi_zalloc};
use mimalloc::MiMalloc;

/// Memory of the whole process.
pub struct Heap;

// SAFETY: all four are mimalloc's, whose blocks may be given back by any of its functions whichever one they came from; a
// block is aligned as asked, either because all blocks of that size are or because the crate asks for it.
unsafe impl GlobalAlloc for Heap {
    /// # Safety
    ///
    /// That of [`GlobalAlloc::alloc`].
    #[inline]
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        match is_aligned_anyway(layout.size(), layout.align()) {
            // SAFETY: any size may be asked for.
            true => unsafe { mi_malloc(layout.size()) }.cast(),
            // SAFETY: the caller's own promises.
            false => unsafe { MiMalloc.alloc(layout) },
        }
    }

    /// # Safety
    ///
    /// That of [`GlobalAlloc::alloc_zeroed`].
    #[inline]
    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        match is_aligned_anyway(layout.size(), layout.align()) {
            // SAFETY: any size may be asked for.
            true => unsafe { mi_zalloc(layout.size()) }.cast(),
            // SAFETY: the caller's own promises.
            false => unsafe { MiMalloc.alloc_zeroed(layout) },
        }
    }

    /// # Safety
    ///
    /// That of [`GlobalAlloc::dealloc`].
    #[inline]
    unsafe fn dealloc(&self, block: *mut u8, _: Layout) {
        // SAFETY: the caller promises that the block is one of ours and was not given back yet.
        unsafe { mi_free(block.cast()) };
    }

    /// # Safety
    ///
    /// That of [`GlobalAlloc::realloc`].
    #[inline]
    unsafe fn realloc(&self, block: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        match is_aligned_anyway(size, layout.align()) {
            // SAFETY: the caller promises that the block is one of ours and was not given back yet.
            true => unsafe { mi_realloc(block.cast(), size) }.cast(),
            // SAFETY: the caller's own promises.
            false => unsafe { MiMalloc.realloc(block, layout, size) },
        }
    }
}

/// What every block is aligned to that is at least as large (`MI_MAX_ALIGN_SIZE`, the alignment of C's `max_align_t`).
const ALIGNED_ANYWAY: usize = 16;

fn is_aligned_anyway(size: usize, align: usize) -> bool {
    align <= ALIGNED_ANYWAY && align <= size
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_block_is_aligned_as_asked_and_keeps_its_bytes() {
        for align in [1, 2, 4, 8, 16, 32, 64, 4096] {
            for size in (1..200).chain([255, 1000, 1025, 4095, 5000, 33_000, 70_001, 3_000_000]) {
                let layout = Layout::from_size_align(size, align).expect("a small layout");
                // SAFETY: sizes are not zero, each block is used within its size and given back once, with its own layout.
                unsafe {
                    let zeroed = Heap.alloc_zeroed(layout);
                    assert!(zeroed.addr().is_multiple_of(align) && *zeroed.add(size - 1) == 0, "{layout:?}");
                    let block = Heap.alloc(layout);
                    assert_eq!(block.addr() % align, 0, "{layout:?}");
                    block.write_bytes(7, size);
                    let larger = Heap.realloc(block, layout, size * 3 + 1);
                    assert_eq!(larger.addr() % align, 0, "{layout:?}");
                    assert_eq!((*larger, *larger.add(size - 1)), (7, 7), "{layout:?}");
                    Heap.dealloc(
                        larger,
                        Layout::from_size_align(size * 3 + 1, align).expect("a small layout"),
                    );
                    Heap.dealloc(zeroed, layout);
                }
            }
        }
    }
}
