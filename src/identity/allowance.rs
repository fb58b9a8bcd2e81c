//! Allowances: how much of what is granted to whom. A rate limit and a budget are the same thing with another measure.

use std::fmt;
use std::sync::Arc;

use super::path::UserPath;
use super::period::Period;
use crate::base::Pico;

/// One grant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Allowance {
    pub subject: Subject,
    pub measure: Measure,
    /// Requests, tokens, or pico-dollars.
    pub max: u128,
    pub strength: Strength,
    /// The model that is asked instead when a budget is used up.
    pub instead: Option<Arc<str>>,
    pub origin: Origin,
}

/// Whom it is granted to.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Subject {
    /// A virtual key, by its public id.
    Key(Arc<str>),
    /// A user path and everything below it, together.
    Path(UserPath),
    Label(Arc<str>),
    /// A provider's instance, whoever asks it.
    Provider(Arc<str>),
    /// `provider/model`, or a model of any provider.
    Model(Arc<str>),
}

/// What is counted, and in which windows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Measure {
    Requests(Period),
    Tokens(Period),
    Cost(Period),
    /// Requests that are under way at a time.
    Concurrent,
}

/// What happens when it is used up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Strength {
    /// Requests are refused.
    Hard,
    /// It is told, once per window.
    Soft,
}

/// Who made it. What the settings made cannot be changed at run time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    Settings,
    Stored,
}

impl Allowance {
    pub fn hard(subject: Subject, measure: Measure, max: u128) -> Allowance {
        let (strength, origin) = (Strength::Hard, Origin::Settings);
        Allowance { subject, measure, max, strength, instead: None, origin }
    }

    /// What makes it this one and no other, whatever its amount: counts are kept under this name. Such as
    /// `path:/team/alpha:cost:daily`, with `:soft` behind it where it is.
    pub fn id(&self) -> String {
        let soft = if self.strength == Strength::Soft { ":soft" } else { "" };
        format!("{}:{}{soft}", self.subject, self.measure)
    }

    /// The amount in words, such as `100 requests` or `12.5 US dollars`.
    pub fn amount(&self) -> String {
        amount(self.measure, self.max)
    }
}

/// So much of a measure in words.
pub fn amount(measure: Measure, number: u128) -> String {
    match measure {
        Measure::Requests(_) => format!("{number} requests"),
        Measure::Tokens(_) => format!("{number} tokens"),
        Measure::Concurrent => format!("{number} requests at a time"),
        Measure::Cost(_) => format!("{} US dollars", Pico(i128::try_from(number).unwrap_or(i128::MAX))),
    }
}

impl Measure {
    /// `None` for what has no window.
    pub fn period(self) -> Option<Period> {
        match self {
            Measure::Requests(period) | Measure::Tokens(period) | Measure::Cost(period) => Some(period),
            Measure::Concurrent => None,
        }
    }

    /// The word for it in ids, without its period.
    pub fn name(self) -> &'static str {
        match self {
            Measure::Requests(_) => "requests",
            Measure::Tokens(_) => "tokens",
            Measure::Cost(_) => "cost",
            Measure::Concurrent => "concurrent",
        }
    }
}

impl Subject {
    /// The word for its kind.
    pub fn kind(&self) -> &'static str {
        match self {
            Subject::Key(_) => "key",
            Subject::Path(_) => "path",
            Subject::Label(_) => "label",
            Subject::Provider(_) => "provider",
            Subject::Model(_) => "model",
        }
    }

    pub fn name(&self) -> &str {
        match self {
            Subject::Path(path) => path.as_str(),
            Subject::Key(name) | Subject::Label(name) | Subject::Provider(name) | Subject::Model(name) => {
                name
            }
        }
    }
}

impl fmt::Display for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.kind(), self.name())
    }
}

impl fmt::Display for Measure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.period() {
            Some(period) => write!(f, "{}:{period}", self.name()),
            None => f.write_str(self.name()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_tells_subject_measure_and_window_and_not_the_amount() {
        let path = Subject::Path(UserPath::new("team/alpha").unwrap());
        let mut budget = Allowance::hard(path, Measure::Cost(Period::Day), 12_500_000_000_000);
        assert_eq!(
            (budget.id().as_str(), budget.amount().as_str()),
            ("path:/team/alpha:cost:daily", "12.5 US dollars")
        );
        (budget.max, budget.strength) = (1, Strength::Soft);
        assert_eq!(budget.id(), "path:/team/alpha:cost:daily:soft");
        let limit = Allowance::hard(Subject::Provider("p".into()), Measure::Requests(Period::Seconds(60)), 5);
        assert_eq!((limit.id().as_str(), limit.amount().as_str()), ("provider:p:requests:60s", "5 requests"));
        assert_eq!(
            Allowance::hard(Subject::Key("k".into()), Measure::Concurrent, 5).id(),
            "key:k:concurrent"
        );
    }
}
