//! Pieces of headers and bodies, and what should be known of them.

/// A piece of the headers and bodies of an exchange. Pieces of one kind are joined in their order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Part<'a> {
    pub kind: PartKind,
    pub bytes: &'a [u8],
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum PartKind {
    /// An object of JSON, as the headers of the response are.
    RequestHeaders = 0,
    RequestBody = 1,
    ResponseHeaders = 2,
    ResponseBody = 3,
    /// The bits of [`Remarks`].
    Remarks = 4,
}

/// What should be known of headers and bodies that are kept, or are not.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Remarks {
    /// Only the beginning of the body is kept, or none of one that streamed through.
    pub request_too_big: bool,
    pub response_too_big: bool,
    /// There was no room in memory or in the journal.
    pub request_unkept: bool,
    pub response_unkept: bool,
    /// The body is no text.
    pub request_is_binary: bool,
    pub response_is_binary: bool,
    /// The answer broke off, or the stream that the body was put together from had no end.
    pub response_incomplete: bool,
}

impl Remarks {
    fn flags(&mut self) -> [&mut bool; 7] {
        [
            &mut self.request_too_big,
            &mut self.response_too_big,
            &mut self.request_unkept,
            &mut self.response_unkept,
            &mut self.request_is_binary,
            &mut self.response_is_binary,
            &mut self.response_incomplete,
        ]
    }

    /// One bit for each, as a [`Part`] has them.
    pub fn bytes(mut self) -> [u8; 1] {
        let bits = self.flags().into_iter().enumerate();
        [bits.fold(0, |bits, (at, is_set)| bits | u8::from(*is_set) << at)]
    }

    pub fn of_bytes(bytes: &[u8]) -> Remarks {
        let (mut remarks, bits) = (Remarks::default(), bytes.first().copied().unwrap_or(0));
        remarks.flags().into_iter().enumerate().for_each(|(at, flag)| *flag = bits >> at & 1 != 0);
        remarks
    }
}
