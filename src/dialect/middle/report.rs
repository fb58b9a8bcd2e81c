//! What a translation could not carry over, by the name of the field in the caller's request.

/// Notes of one translated request.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// Fields that matter and have no place at the provider: the request is refused for them, or, by the settings, sent
    /// without them.
    pub unsupported: Vec<String>,
    /// Fields that were changed or left out by a rule that the documents state; the answer names them in a header.
    pub edited: Vec<String>,
}

impl Report {
    /// A field that changes what the answer means has no place there.
    pub fn unsupported(&mut self, field: impl Into<String>) {
        add(&mut self.unsupported, field.into());
    }

    /// A field was changed, or left out because it does not change what the answer means.
    pub fn edited(&mut self, field: impl Into<String>) {
        add(&mut self.edited, field.into());
    }
}

fn add(list: &mut Vec<String>, field: String) {
    if !list.contains(&field) {
        list.push(field);
    }
}
