//! Usage, price, cost, journal format: what an exchange is worth. Knows no database.

pub mod usage;
