//! Usage, price, cost, journal format: what an exchange is worth. Knows no database.

pub mod cost;
pub mod headers;
pub mod price;
pub mod usage;
