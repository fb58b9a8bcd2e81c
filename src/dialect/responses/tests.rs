//! The dialect's own cases.
