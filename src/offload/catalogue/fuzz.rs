//! The body of the fuzz target for providers' model lists.

use serde_json::Value;

use super::{Builder, Listed};
use crate::config::ConfiguredMode;

/// Whatever two providers list, the merged list is an API's list, every id in it can be looked up, and a bare id means
/// the first provider that offers it.
pub fn model_list(input: &[u8]) {
    let listed = |name: &str, configured: &[&str], mode: ConfiguredMode| Listed {
        name: name.to_owned(),
        configured: configured.iter().map(|&id| id.to_owned()).collect(),
        mode,
        offered: Vec::new(),
        is_settled: false,
    };
    let first = listed("a", &["own"], ConfiguredMode::Merge);
    let mut builder = Builder { providers: vec![first, listed("b", &[], ConfiguredMode::Fallback)] };
    let half = input.iter().position(|&b| b == 0).unwrap_or(input.len());
    builder.listed(0, Some(&input[..half]));
    builder.listed(1, Some(input.get(half + 1..).unwrap_or(input)));
    let catalogue = builder.build();
    assert!(catalogue.is_settled);
    let list: Value = serde_json::from_slice(&catalogue.list).expect("the list is JSON");
    for model in list["data"].as_array().expect("the list has data") {
        let id = model["id"].as_str().expect("a model has an id");
        let entry: Value =
            serde_json::from_slice(catalogue.entry(id).expect("it can be looked up")).expect("JSON");
        assert_eq!(&entry, model);
        assert!(model["object"] != Value::Null && model["owned_by"] != Value::Null);
    }
    assert_eq!(catalogue.provider_of("own"), Some("a"));
    assert_eq!(catalogue.list, builder.build().list, "the same lists give the same answer");
}
