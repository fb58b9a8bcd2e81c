//! A summary that is put together here, from rows that come one by one.

use std::collections::HashMap;

use super::query::{By, Group, Groups, Sum, Summary};
use super::value::Value;

/// Groups and their sums so far.
pub struct Fold {
    sums: usize,
    limit: usize,
    groups: HashMap<Vec<Value>, Group>,
    is_cut: bool,
}

impl Fold {
    pub fn new(summary: &Summary) -> Fold {
        Fold::over(summary, Groups { groups: Vec::new(), is_cut: false })
    }

    /// Goes on from groups that others have put together.
    pub fn over(summary: &Summary, groups: Groups) -> Fold {
        let mut fold = Fold {
            sums: summary.sums.len(),
            limit: summary.limit,
            groups: groups.groups.into_iter().map(|group| (group.by.clone(), group)).collect(),
            is_cut: groups.is_cut,
        };
        if summary.by.is_empty() && fold.groups.is_empty() {
            fold.groups.insert(Vec::new(), fold.empty(Vec::new()));
        }
        fold
    }

    fn empty(&self, by: Vec<Value>) -> Group {
        Group { by, rows: 0, sums: vec![Sum::default(); self.sums] }
    }

    /// Adds a row: what it has in common with others, and its amounts in the order of the sums.
    pub fn add(&mut self, by: Vec<Value>, amounts: impl Iterator<Item = Value>) {
        if !self.groups.contains_key(&by) {
            if self.groups.len() >= self.limit {
                self.is_cut = true;
                return;
            }
            self.groups.insert(by.clone(), self.empty(by.clone()));
        }
        let Some(group) = self.groups.get_mut(&by) else { return };
        group.rows += 1;
        for (sum, value) in group.sums.iter_mut().zip(amounts) {
            if !value.is_null() {
                sum.known += 1;
                sum.total += i128::from(value.clamped_number());
            }
        }
    }

    /// Adds what rows came to that were put together elsewhere, for the same question.
    pub fn merge(&mut self, by: &[Value], rows: u64, sums: &[Sum]) {
        if !self.groups.contains_key(by) {
            if self.groups.len() >= self.limit {
                self.is_cut = true;
                return;
            }
            self.groups.insert(by.to_vec(), self.empty(by.to_vec()));
        }
        let Some(group) = self.groups.get_mut(by) else { return };
        group.rows += rows;
        for (sum, more) in group.sums.iter_mut().zip(sums) {
            sum.known += more.known;
            sum.total += more.total;
        }
    }

    pub fn groups(self) -> Groups {
        Groups { groups: self.groups.into_values().collect(), is_cut: self.is_cut }
    }
}

/// What a row with this value has in common with others.
pub fn common(by: By, value: Value) -> Value {
    match (by, value) {
        (By::Span { width_ms, .. }, Value::TimeMs(ms)) => Value::TimeMs(ms - ms % width_ms),
        (_, value) => value,
    }
}
