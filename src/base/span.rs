//! A place in a buffer. It outlives the read that made it, costs eight bytes, and is looked at at the moment of use.

use std::ops::Range;

/// The bytes `start..end` of some buffer, which the holder knows. Buffers are shorter than 4 GiB.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Span {
    pub start: u32,
    pub end: u32,
}

impl Span {
    /// The place `start..end`. Panics when a bound does not fit 32 bits: no buffer of ours is that large.
    #[inline]
    pub fn new(start: usize, end: usize) -> Span {
        assert!(start <= end && end <= u32::MAX as usize, "a span lies inside a buffer of less than 4 GiB");
        Span { start: start as u32, end: end as u32 }
    }

    /// The bytes of this place. `buffer` must be the one that the span was made for.
    #[inline]
    pub fn of(self, buffer: &[u8]) -> &[u8] {
        &buffer[self.range()]
    }

    #[inline]
    pub fn range(self) -> Range<usize> {
        self.start as usize..self.end as usize
    }

    #[inline]
    pub fn len(self) -> usize {
        (self.end - self.start) as usize
    }

    #[inline]
    pub fn is_empty(self) -> bool {
        self.start == self.end
    }

    /// The same place after `by` bytes were put in front of the buffer.
    #[inline]
    pub fn shifted(self, by: usize) -> Span {
        Span::new(self.start as usize + by, self.end as usize + by)
    }
}
