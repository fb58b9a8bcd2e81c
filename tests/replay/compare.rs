//! What a client must be told of an answer, and whether it was.

use ringway::dialect::endpoint::Grammar;

use crate::drive::Client;
use crate::said::{Choice, Counts, Finish, Said};

/// Tells the first thing that a client was told otherwise.
pub fn compare(want: &Said, got: &Said, client: Client) -> Result<(), String> {
    if let Some(message) = &want.error {
        let told = got.error.as_deref().ok_or("an error became none")?;
        same("the error's message", told.contains(message.as_str()), message, &told.to_owned())?;
        return compare_said_before_an_error(want, got);
    }
    if let Some(error) = &got.error {
        return Err(format!("an error that nobody sent: {error}"));
    }
    let want = for_client(want, client);
    same("choices", want.choices.len() == got.choices.len(), &want.choices.len(), &got.choices.len())?;
    for (index, choice) in &want.choices {
        let told = got.choices.get(index).ok_or(format!("no choice {index}"))?;
        compare_choice(choice, told, client.grammar).map_err(|error| format!("choice {index}: {error}"))?;
    }
    compare_counts(want.counts, got.counts)
}

/// What a client can be told of an answer, in its own dialect's words.
pub fn for_client(want: &Said, client: Client) -> Said {
    let mut told = want.clone();
    if matches!(client.grammar, Grammar::Messages | Grammar::Responses) {
        told.choices.retain(|index, _| *index == 0);
    }
    for choice in told.choices.values_mut() {
        choice.finish = finish_for(client, choice);
    }
    if client.grammar == Grammar::Gemini {
        // Its counts are added up, so there are never more thoughts than output.
        told.counts.reasoning = told.counts.reasoning.min(told.counts.output);
    }
    told
}

fn compare_choice(want: &Choice, got: &Choice, client: Grammar) -> Result<(), String> {
    same("text", want.visible == got.visible, &want.visible, &got.visible)?;
    same("thinking", want.thinking == got.thinking, &want.thinking, &got.thinking)?;
    same("calls", want.calls == got.calls, &want.calls, &got.calls)?;
    same("refusal", !has_refusals(client) || want.refusal == got.refusal, &want.refusal, &got.refusal)?;
    same("finish", want.finish == got.finish, &want.finish, &got.finish)
}

/// Whether the dialect has a place of its own for a refusal.
pub fn has_refusals(client: Grammar) -> bool {
    matches!(client, Grammar::Chat | Grammar::Responses)
}

/// A stream that was cut: what came before is told, and an error of ours.
pub fn compare_cut(want: &Said, got: &Said, message: &str) -> Result<(), String> {
    same("the error's message", got.error.as_deref() == Some(message), &message, &got.error)?;
    compare_said_before_an_error(want, got)
}

fn compare_said_before_an_error(want: &Said, got: &Said) -> Result<(), String> {
    let text = |said: &Said| said.choices.get(&0).map(|choice| choice.visible.clone()).unwrap_or_default();
    same("the text before the error", text(want) == text(got), &text(want), &text(got))
}

pub fn compare_counts(want: Counts, got: Counts) -> Result<(), String> {
    same("usage", want == got, &want, &got)
}

/// The reason that a client reads. Dialects have no words for all of them.
fn finish_for(client: Client, choice: &Choice) -> Option<Finish> {
    let is_refusal = client.grammar == Grammar::Messages && !choice.refusal.is_empty();
    let finish = match (client.grammar, choice.finish?) {
        (Grammar::Messages, Finish::Filter) => Finish::Refusal,
        (Grammar::Messages, _) if is_refusal => Finish::Refusal,
        (Grammar::Messages, finish) => finish,
        (_, Finish::ContextFull) => Finish::Length,
        // A refusal in words is a whole answer there.
        (Grammar::Responses, Finish::Refusal) if !choice.refusal.is_empty() => Finish::Stop,
        (_, Finish::Refusal) => Finish::Filter,
        (Grammar::Gemini, Finish::Pause) => Finish::Filter,
        (_, Finish::Pause) if choice.calls.is_empty() => Finish::Stop,
        (_, Finish::Pause) => Finish::Calls,
        (_, finish) => finish,
    };
    Some(finish)
}

fn same<T: std::fmt::Debug + ?Sized, U: std::fmt::Debug + ?Sized>(
    what: &str,
    is_same: bool,
    want: &T,
    got: &U,
) -> Result<(), String> {
    if is_same {
        return Ok(());
    }
    let (want, got) = (format!("{want:?}"), format!("{got:?}"));
    // The place where they part is what matters of long texts.
    let common = want.char_indices().zip(got.chars()).find(|((_, a), b)| a != b).map_or(0, |((at, _), _)| at);
    let from = common.saturating_sub(60);
    let short = |text: &str| text.chars().skip(from).take(260).collect::<String>();
    Err(format!("{what}: wanted …{}…, got …{}…", short(&want), short(&got)))
}
