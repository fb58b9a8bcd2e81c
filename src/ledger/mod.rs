//! Usage, price, cost, journal format: what an exchange is worth. Knows no database.

pub mod codec;
pub mod cost;
pub mod frame;
pub mod fuzz;
pub mod headers;
pub mod price;
pub mod record;
pub mod redact;
pub mod usage;
