//! The dialect's own cases: requests in and out, answers in and out, and that the two directions agree.

use super::*;
use crate::dialect::middle::*;
use crate::ledger::usage::Usage;
use crate::wire::json::Node;

mod answers;
mod requests;
mod streams;
mod writing;

/// The events of a stream as lines, after a check that they keep the promises that readers make.
fn read_stream(datas: &[&str], rules: &Rules) -> (Vec<String>, Stage) {
    let mut told = Listener::default();
    let mut reader = StreamReader::new(rules);
    for data in datas {
        reader.event(data.as_bytes(), &mut |event| told.hear(&event));
    }
    let stage = reader.end(&mut |event| told.hear(&event));
    assert_eq!(stage == Stage::Ended, told.has_ended);
    (told.lines, stage)
}

fn read_whole(body: &str, rules: &Rules) -> Vec<String> {
    let mut told = Listener::default();
    let node = Node::document(body.as_bytes(), &mut Vec::new()).expect(body);
    read_answer(node, rules, &mut |event| told.hear(&event));
    assert!(told.has_ended, "{body}");
    told.lines
}

/// Listens to a reader: holds it to its promises and writes down what it says. Texts that follow each other are joined.
#[derive(Default)]
struct Listener {
    lines: Vec<String>,
    has_started: bool,
    has_finished: bool,
    has_ended: bool,
    /// Whether each block is open, by its number.
    open: Vec<bool>,
    /// The block that the last line is a text of.
    joins: Option<(u32, &'static str)>,
}

impl Listener {
    fn hear(&mut self, event: &Event<'_>) {
        assert!(!self.has_ended, "{event:?} behind the end");
        assert!(self.has_started || matches!(event, Event::Start(_) | Event::Error(_)), "{event:?} first");
        let joins = self.joins.take();
        match event {
            Event::Start(start) => {
                assert!(!std::mem::replace(&mut self.has_started, true), "a second start");
                self.lines.push(format!("start {} {}", start.id.decoded(), start.model.decoded()));
            }
            Event::Open { at, block } => {
                assert!(!self.has_finished && at.choice == 0);
                assert_eq!(at.block as usize, self.open.len(), "places are dense");
                self.open.push(true);
                self.lines.push(format!("{} = {}", at.block, block_line(block)));
            }
            Event::Delta { at, delta } => {
                assert!(self.open[at.block as usize], "{event:?} in a closed block");
                self.hear_delta(at.block, delta, joins);
            }
            Event::Close { at } => {
                assert!(std::mem::replace(&mut self.open[at.block as usize], false), "closed twice");
                self.lines.push(format!("{} closed", at.block));
            }
            Event::Finish { finish, .. } => {
                assert!(!std::mem::replace(&mut self.has_finished, true), "a second finish");
                assert!(!self.open.contains(&true), "finished with open blocks");
                self.lines.push(format!("finish {:?}", finish.reason));
            }
            Event::Usage(usage) => self.lines.push(usage_line(usage)),
            Event::Error(error) => {
                self.has_ended = true;
                self.lines.push(format!("error {:?} {} {}", error.kind, error.status, error.message));
            }
            Event::Ping => self.lines.push("ping".to_owned()),
            Event::Surplus => self.lines.push("surplus".to_owned()),
            Event::End => {
                assert!(self.has_finished);
                self.has_ended = true;
                self.lines.push("end".to_owned());
            }
        }
    }

    fn hear_delta(&mut self, block: u32, delta: &Delta<'_>, joins: Option<(u32, &'static str)>) {
        let (word, text) = match delta {
            Delta::Text(text) => ("text", text.decoded().into_owned()),
            Delta::Arguments(arguments) => {
                let mut escaped = Vec::new();
                arguments.write_escaped(&mut escaped);
                ("input", Text::escaped(&escaped).decoded().into_owned())
            }
            Delta::Signature(signature) => {
                ("signature", format!("{} {}", signature.vendor, signature.value.decoded()))
            }
            Delta::Citation { url, title, .. } => {
                let decoded =
                    |text: &Option<Text<'_>>| text.clone().unwrap_or_default().decoded().into_owned();
                ("citation", format!("{} {}", decoded(url), decoded(title)))
            }
            Delta::Logprobs(array) => ("logprobs", String::from_utf8_lossy(array).into_owned()),
        };
        assert!(!text.is_empty(), "an empty delta");
        if joins == Some((block, word)) {
            self.lines.last_mut().expect("a line").push_str(&text);
        } else {
            self.lines.push(format!("{block} {word} {text}"));
        }
        if matches!(word, "text" | "input") {
            self.joins = Some((block, word));
        }
    }
}

fn block_line(block: &Block<'_>) -> String {
    match block {
        Block::Text => "text".to_owned(),
        Block::Refusal => "refusal".to_owned(),
        Block::Thinking => "thinking".to_owned(),
        Block::HiddenThinking { data } => format!("hidden {} {}", data.vendor, data.value.decoded()),
        Block::ToolCall { id, name, is_custom, .. } => {
            format!("{} {} {}", if *is_custom { "custom" } else { "call" }, id.decoded(), name.decoded())
        }
        Block::Media { kind, base64 } => format!("media {} {}", kind.decoded(), base64.decoded()),
        Block::Foreign { raw } => format!("foreign {}", String::from_utf8_lossy(raw)),
    }
}

fn usage_line(usage: &Usage) -> String {
    let count = |count: Option<u64>| count.map_or("?".to_owned(), |count| count.to_string());
    format!(
        "usage in={} cached={} out={} reasoning={}",
        count(usage.input),
        count(usage.cache_read),
        count(usage.output),
        count(usage.reasoning)
    )
}

fn vendor_rules() -> Rules {
    Rules { vendor: "maker".into(), ..Rules::default() }
}
