//! Rules that name models: `*`, `provider/*`, `provider/model`, `model`.

use std::fmt;

use super::path::UserPath;

/// Which models are meant. `/` alone and `provider/` mean the same as with a star.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum ModelRule {
    All,
    /// Every model of a provider.
    Provider(Box<str>),
    /// One model of one provider. The model's name may have slashes.
    Exact {
        provider: Box<str>,
        model: Box<str>,
    },
    /// A model of any provider; also the name of an alias.
    Model(Box<str>),
}

/// A model, or several, that only these places and what is below them may use; with no places named, everybody.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Gate {
    pub rule: ModelRule,
    pub user_paths: Vec<UserPath>,
}

impl ModelRule {
    /// Reads a rule; `None` for a text that names nothing.
    pub fn new(text: &str) -> Option<ModelRule> {
        let text = text.trim();
        let has_star_inside = text.trim_end_matches('*').contains('*') || text.ends_with("**");
        if text.is_empty() || has_star_inside || text.contains(char::is_control) {
            return None;
        }
        match text.split_once('/') {
            _ if matches!(text, "*" | "/" | "*/*") => Some(ModelRule::All),
            Some(("", _)) => None,
            Some((provider, "" | "*")) => Some(ModelRule::Provider(provider.into())),
            _ if text.ends_with('*') => None,
            Some((provider, model)) => {
                Some(ModelRule::Exact { provider: provider.into(), model: model.into() })
            }
            None => Some(ModelRule::Model(text.into())),
        }
    }

    /// Whether it means this model of this provider.
    pub fn matches(&self, target: (&str, &str)) -> bool {
        match self {
            ModelRule::All => true,
            ModelRule::Provider(provider) => **provider == *target.0,
            ModelRule::Exact { provider, model } => (&**provider, &**model) == target,
            ModelRule::Model(model) => **model == *target.1,
        }
    }

    /// Whether it means an alias of this name, whatever stands behind it.
    pub fn names(&self, alias: &str) -> bool {
        matches!(self, ModelRule::Model(name) if **name == *alias)
    }

    /// Whether everything that the other rule means is meant by this one.
    pub fn covers(&self, other: &ModelRule) -> bool {
        match (self, other) {
            (ModelRule::All, _) => true,
            (ModelRule::Provider(own), ModelRule::Exact { provider, .. }) => own == provider,
            (ModelRule::Model(own), ModelRule::Exact { model, .. }) => own == model,
            _ => self == other,
        }
    }

    /// How narrow it is: where several rules mean a model, that of the highest rank decides.
    pub fn rank(&self) -> u8 {
        match self {
            ModelRule::All => 0,
            ModelRule::Provider(_) => 1,
            ModelRule::Model(_) => 2,
            ModelRule::Exact { .. } => 3,
        }
    }
}

impl fmt::Display for ModelRule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ModelRule::All => f.write_str("*"),
            ModelRule::Provider(provider) => write!(f, "{provider}/*"),
            ModelRule::Exact { provider, model } => write!(f, "{provider}/{model}"),
            ModelRule::Model(model) => f.write_str(model),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rules_mean_models_as_they_are_written() {
        let cases: [(&str, (&str, &str), bool); 12] = [
            ("*", ("a", "m"), true),
            ("/", ("a", "m"), true),
            ("a/*", ("a", "m"), true),
            ("a/", ("a", "x/y"), true),
            ("a/*", ("b", "m"), false),
            ("a/m", ("a", "m"), true),
            ("a/m", ("b", "m"), false),
            ("a/m", ("b", "a/m"), false),
            ("b/a/m", ("b", "a/m"), true),
            ("m", ("a", "m"), true),
            ("m", ("a", "m2"), false),
            (" m ", ("b", "m"), true),
        ];
        for (text, target, want) in cases {
            let rule = ModelRule::new(text).unwrap();
            assert_eq!(rule.matches(target), want, "{text} {target:?}");
            assert_eq!(ModelRule::new(&rule.to_string()), Some(rule));
        }
    }

    #[test]
    fn what_means_nothing_is_no_rule() {
        for text in ["", " ", "a*", "a/m*", "**", "*a", "a/*/b", "/m", "a\nb"] {
            assert_eq!(ModelRule::new(text), None, "{text:?}");
        }
    }

    #[test]
    fn a_rule_covers_what_it_means_and_no_more() {
        let rule = |text: &str| ModelRule::new(text).unwrap();
        let all = ["*", "a/*", "a/m", "m", "b/m"];
        let want = [
            [true, true, true, true, true],
            [false, true, true, false, false],
            [false, false, true, false, false],
            [false, false, true, true, true],
            [false, false, false, false, true],
        ];
        for (own, row) in all.iter().zip(want) {
            for (other, want) in all.iter().zip(row) {
                assert_eq!(rule(own).covers(&rule(other)), want, "{own} covers {other}");
            }
        }
    }
}
