//! The body of the fuzz target for price lists that come from outside.

use super::catalogue::Catalogue;
use super::import::{self, Names};

/// Whatever stands in a file, reading it ends; and what was read is a catalogue that reads itself again.
pub fn prices(input: &[u8]) {
    let text = String::from_utf8_lossy(input);
    if let Ok(catalogue) = Catalogue::read(&text) {
        let again = Catalogue::read(catalogue.text()).expect("what was written is read");
        assert_eq!(again.text(), catalogue.text());
    }
    for format in import::Format::ALL {
        let names = Names(["a", import::OWN].map(|theirs| (theirs.to_owned(), "a".to_owned())).into());
        let Ok(imported) = import::read(&text, Some(format), "a test", &names) else { continue };
        let catalogue = Catalogue::of(imported.entries, "2026-01-01");
        Catalogue::read(catalogue.text()).expect("what was imported is a catalogue");
    }
}
