//! Usage, price, cost, journal format: what an exchange is worth. Knows no database.

mod codec;
pub mod frame;
pub mod record;
pub mod usage;
