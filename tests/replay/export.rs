//! Recordings with what each client must be told of them, written down for the tests with SDKs: the bytes of all answers one
//! behind the other in `bodies`, and a line of JSON for each in `index.jsonl`.

use std::fs::{File, create_dir_all};
use std::io::{BufWriter, Result, Write};

use ringway::dialect::endpoint::Grammar;
use serde_json::{Map, Value, json};

use crate::check::wanted;
use crate::compare::{for_client, has_refusals};
use crate::drive::{CLIENTS, Client};
use crate::said::{Choice, Said};
use crate::shelf::Recording;

/// Writes both files into a folder, and tells how many recordings they hold.
pub fn write(folder: &str, recordings: impl Iterator<Item = Recording>) -> Result<usize> {
    create_dir_all(folder)?;
    let mut bodies = BufWriter::new(File::create(format!("{folder}/bodies"))?);
    let mut index = BufWriter::new(File::create(format!("{folder}/index.jsonl"))?);
    let (mut count, mut start) = (0, 0);
    for recording in recordings {
        let end = start + recording.body.len();
        bodies.write_all(&recording.body)?;
        writeln!(index, "{}", line(&recording, start, end))?;
        (count, start) = (count + 1, end);
    }
    bodies.flush()?;
    index.flush()?;
    Ok(count)
}

fn line(recording: &Recording, start: usize, end: usize) -> Value {
    let want = wanted(recording);
    let clients = CLIENTS.into_iter().filter(|client| !client.as_array);
    let told: Map<String, Value> =
        clients.map(|client| (word(client.grammar).to_owned(), told(&want, client))).collect();
    json!({
        "name": recording.name,
        "dialect": word(recording.grammar),
        "is_stream": recording.is_stream,
        "start": start,
        "end": end,
        // What a client must be shown: all of it, an error with these words, or an end that is none.
        "error": want.error,
        "is_cut": recording.is_stream && !want.has_ended && want.error.is_none(),
        "told": told,
    })
}

fn told(want: &Said, client: Client) -> Value {
    let want = for_client(want, client);
    let counts = want.counts;
    let choices = want.choices.iter();
    let choices: Map<String, Value> =
        choices.map(|(index, choice)| (index.to_string(), said(choice, client))).collect();
    json!({
        "choices": choices,
        "input": counts.input,
        "output": counts.output,
        "cached": counts.cached,
        "reasoning": counts.reasoning,
    })
}

fn said(choice: &Choice, client: Client) -> Value {
    let calls: Vec<Value> = choice.calls.iter().map(|call| json!([call.name, call.input])).collect();
    json!({
        "text": choice.visible,
        "thinking": choice.thinking,
        "refusal": if has_refusals(client.grammar) { choice.refusal.as_str() } else { "" },
        "calls": calls,
        "finish": choice.finish.map(|finish| format!("{finish:?}").to_lowercase()),
    })
}

fn word(grammar: Grammar) -> &'static str {
    match grammar {
        Grammar::Chat => "chat",
        Grammar::Responses => "responses",
        Grammar::Messages => "messages",
        Grammar::Gemini => "gemini",
        Grammar::Converse => "converse",
    }
}
