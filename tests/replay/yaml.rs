//! The documents of a YAML text as JSON values, as far as recordings use YAML: plain scalars by their looks, binary ones as
//! `{"!binary": base64}`.

use saphyr_parser::{Event, Parser, ScalarStyle, StrInput};
use serde_json::{Map, Number, Value, json};

/// All documents, or what is wrong with the text.
pub fn documents(text: &str) -> Result<Vec<Value>, String> {
    let mut reader = Reader { events: Parser::new_from_str(text), anchors: Vec::new() };
    let mut documents = Vec::new();
    loop {
        match reader.next()? {
            Event::StreamEnd => return Ok(documents),
            Event::StreamStart | Event::DocumentStart(_) | Event::DocumentEnd | Event::Nothing => {}
            event => documents.push(reader.value(event)?),
        }
    }
}

struct Reader<'t> {
    events: Parser<'t, StrInput<'t>>,
    anchors: Vec<(usize, Value)>,
}

impl<'t> Reader<'t> {
    fn next(&mut self) -> Result<Event<'t>, String> {
        match self.events.next() {
            Some(Ok((event, _))) => Ok(event),
            Some(Err(error)) => Err(error.info().to_owned()),
            None => Ok(Event::StreamEnd),
        }
    }

    fn value(&mut self, event: Event<'t>) -> Result<Value, String> {
        let (anchor, value) = match event {
            Event::Alias(anchor) => {
                let known = self.anchors.iter().find(|(number, _)| *number == anchor);
                return known.map(|(_, value)| value.clone()).ok_or("an alias of nothing".to_owned());
            }
            Event::Scalar(text, style, anchor, tag) => {
                let is_binary = tag.is_some_and(|tag| tag.suffix == "binary");
                let value = if is_binary { json!({ "!binary": text }) } else { scalar(&text, style) };
                (anchor, value)
            }
            Event::SequenceStart(anchor, _) => (anchor, self.list()?),
            Event::MappingStart(anchor, _) => (anchor, self.map()?),
            other => return Err(format!("{other:?} where a value should be")),
        };
        if anchor > 0 {
            self.anchors.push((anchor, value.clone()));
        }
        Ok(value)
    }

    fn list(&mut self) -> Result<Value, String> {
        let mut items = Vec::new();
        loop {
            match self.next()? {
                Event::SequenceEnd => return Ok(Value::Array(items)),
                event => items.push(self.value(event)?),
            }
        }
    }

    fn map(&mut self) -> Result<Value, String> {
        let mut members = Map::new();
        loop {
            let key = match self.next()? {
                Event::MappingEnd => return Ok(Value::Object(members)),
                event => self.value(event)?,
            };
            let event = self.next()?;
            let value = self.value(event)?;
            members.insert(key.as_str().map_or_else(|| key.to_string(), str::to_owned), value);
        }
    }
}

fn scalar(text: &str, style: ScalarStyle) -> Value {
    if style != ScalarStyle::Plain {
        return json!(text);
    }
    match text {
        "" | "~" | "null" => Value::Null,
        "true" => json!(true),
        "false" => json!(false),
        _ => {
            let integer = text.parse::<i64>().ok().map(Number::from);
            let looks_real =
                text.contains(['.', 'e']) && text.starts_with(|c: char| c == '-' || c.is_ascii_digit());
            let real = || text.parse::<f64>().ok().filter(|_| looks_real).and_then(Number::from_f64);
            integer.or_else(real).map_or_else(|| json!(text), Value::Number)
        }
    }
}
