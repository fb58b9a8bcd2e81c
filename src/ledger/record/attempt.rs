//! The questions of one exchange to providers, as its record lists them.

/// One question to a provider.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Attempt<'a> {
    pub kind: AttemptKind,
    /// Empty where provider and model are those that the exchange's beginning names, as nearly always.
    pub provider: &'a str,
    pub model: &'a str,
    /// The provider's status; 0 when it gave none.
    pub status: u16,
    /// The code of the fault; empty for none.
    pub fault: &'a str,
    pub duration_us: u64,
}

impl<'a> Attempt<'a> {
    /// A question to the provider and the model that the exchange's beginning names.
    pub fn own(kind: AttemptKind, status: u16, fault: &'a str, duration_us: u64) -> Attempt<'a> {
        Attempt { kind, provider: "", model: "", status, fault, duration_us }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum AttemptKind {
    Primary = 0,
    Retry = 1,
    Failover = 2,
}

impl AttemptKind {
    pub fn name(self) -> &'static str {
        match self {
            AttemptKind::Primary => "primary",
            AttemptKind::Retry => "retry",
            AttemptKind::Failover => "failover",
        }
    }
}
