//! Who asks and how much is granted, as words: user paths, rules for models, windows of time, allowances, aliases,
//! workflows. Settings and stores make them; `policy` decides by them. No state, no decision, no clock.

pub mod alias;
pub mod allowance;
pub mod path;
pub mod period;
pub mod rule;
pub mod tagging;
pub mod workflow;

pub use alias::Alias;
pub use allowance::{Allowance, Measure, Origin, Strength, Subject};
pub use path::UserPath;
pub use period::{Calendar, Period, Window};
pub use rule::{Gate, ModelRule};
pub use tagging::Tagging;
pub use workflow::{Features, Scope, Workflow};
