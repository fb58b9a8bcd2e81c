//! Where client and provider speak different dialects: the body in the provider's, and what the way back must know.

use super::Shard;
use super::active::Active;
use super::body::Body;
use super::call::Call;
use super::client::Client;
use super::exchange::Stop;
use super::work::Work;
use crate::base::Refusal;
use crate::dialect::endpoint::{Endpoint, Grammar};
use crate::dialect::middle::{Report, Told};
use crate::dialect::translate::Translation;
use crate::dialect::{embed, sweep, translate};
use crate::provider::Provider;
use crate::wire::json::{self, Node};
use crate::wire::path;

/// The endpoint of the provider that a request to ours goes to: the same one where the provider has it, else that of
/// another dialect. `None` where nothing of the provider's can answer it.
pub fn egress(provider: &Provider, endpoint: Endpoint, model: &str, wants_stream: bool) -> Option<Endpoint> {
    let has = |endpoint: Endpoint| provider.route(endpoint).is_some();
    let found = usual_egress(has, endpoint, wants_stream)?;
    // Whatever dialect the client speaks: some models are not to be had by chat.
    let is_elsewhere =
        found == Endpoint::Chat && has(Endpoint::Responses) && provider.only_responses.has(model);
    Some(if is_elsewhere { Endpoint::Responses } else { found })
}

/// The same for a model that all of the provider's endpoints know.
fn usual_egress(has: impl Fn(Endpoint) -> bool, endpoint: Endpoint, wants_stream: bool) -> Option<Endpoint> {
    if endpoint == Endpoint::Other || has(endpoint) {
        return Some(endpoint);
    }
    if endpoint.embeds() {
        // The batch first: it takes any number of texts.
        let others = [Endpoint::Embeddings, Endpoint::EmbedBatch, Endpoint::Embed].into_iter();
        return others.into_iter().find(|&other| has(other));
    }
    endpoint.grammar()?;
    let endpoints = Grammar::BY_PREFERENCE.into_iter().map(|grammar| grammar.endpoint(wants_stream));
    endpoints.into_iter().find(|&endpoint| has(endpoint))
}

/// Translates the request when its provider speaks another dialect: the body becomes the provider's.
pub fn transcode(
    shard: &Shard,
    active: &Active,
    client: &Client,
    work: &mut Work,
    head_len: usize,
    body: &mut Body,
    call: &mut Call,
) -> Result<(), Stop> {
    if call.endpoint.embeds() && call.egress != call.endpoint {
        return transcode_embeddings(active, client, work, body, call);
    }
    let (Some(of_client), Some(of_provider)) = (call.endpoint.grammar(), call.egress.grammar()) else {
        return Ok(());
    };
    if of_client == of_provider {
        return Ok(());
    }
    let head = &client.input.filled()[..head_len];
    let alt = path::query_value(work.request.query.of(head), "alt");
    let as_array = call.endpoint == Endpoint::GenerateStream && alt.is_none_or(|alt| *alt != *b"sse");
    let provider = &call.target.upstream.provider;
    let wall_ms = shard.wall_ms();
    let mut told = Told {
        id: String::from_utf8_lossy(&shard.ids.next(wall_ms)).replace('-', ""),
        model: call.target.model.to_string(),
        created_s: wall_ms / 1000,
        ..Told::default()
    };
    let mut resolved = None;
    if let Some(recalled) = &mut call.recalled {
        resolved = recalled.body.take();
        if let Some(keeping) = &mut recalled.keeping {
            keeping.name(&told.id);
            told.is_kept = true;
        }
    }
    let original = Node::scanned(body.held(&client.input));
    let asked = translate::Asked {
        client: of_client,
        provider: of_provider,
        body: resolved.as_deref().map_or(original, Node::scanned),
        original,
        model: &call.target.model,
        wants_stream: call.wants_stream,
        as_array,
        rules: provider.rules_for(&call.target.model),
        told,
    };
    let (mut report, mut out) = (Report::default(), Vec::with_capacity(BODY_BYTES_USUAL));
    let result = translate::request(asked, &mut report, &mut out);
    take_over(active, work, body, call, report, result, out)
}

/// The same for texts that vectors are to be made of.
fn transcode_embeddings(
    active: &Active,
    client: &Client,
    work: &mut Work,
    body: &mut Body,
    call: &mut Call,
) -> Result<(), Stop> {
    let (mut report, mut out) = (Report::default(), Vec::with_capacity(BODY_BYTES_USUAL));
    let asked = Node::scanned(body.held(&client.input));
    let way = embed::request(call.endpoint, call.egress, asked, &call.target.model, &mut report, &mut out);
    take_over(active, work, body, call, report, way.map(Translation::of_embeddings), out)
}

/// The body becomes the one that was written, unless something in it cannot be said and must not be dropped.
fn take_over(
    active: &Active,
    work: &mut Work,
    body: &mut Body,
    call: &mut Call,
    report: Report,
    result: Result<Translation, Refusal>,
    out: Vec<u8>,
) -> Result<(), Stop> {
    let provider = &call.target.upstream.provider;
    // Named first: a conversation without it may be wrong for no other reason.
    if !report.unsupported.is_empty() && !active.snapshot().drops_unsupported {
        return Err(unsupported(provider, &report.unsupported).into());
    }
    let translation = result?;
    call.edited = report.edited;
    call.dropped = report.unsupported;
    call.translation = Some(Box::new(translation));
    work.members.clear();
    if json::scan_object(&out, &mut work.members).is_err() {
        let message = "The request could not be put into the provider's dialect.";
        return Err(Refusal::new(500, crate::base::RefusalKind::Server, "translation_failed", message).into());
    }
    *body = Body::Decoded(out);
    Ok(())
}

/// The refusal of fields that the provider's dialect cannot say.
pub fn unsupported(provider: &Provider, fields: &[String]) -> Refusal {
    let names: Vec<String> = fields.iter().map(|field| format!("`{field}`")).collect();
    let message = format!(
        "The provider `{}` has no way to say {}. Leave it out, choose another provider, or set \
         translation.on_unsupported to drop.",
        provider.name,
        names.join(", ")
    );
    Refusal::invalid("unsupported_field", message).about(fields[0].clone())
}

/// What must change in a request that passes, beside its model: what is another vendor's goes, and this one gets its own back.
pub fn sweep(document: &[u8], work: &mut Work, call: &mut Call) {
    if matches!(call.egress, Endpoint::Embed | Endpoint::EmbedBatch) && call.target.is_qualified {
        let names = embed::renamed(document, &call.target.model);
        names.iter().for_each(|(place, text)| work.edits.replace(*place, text));
        return;
    }
    let Some(grammar) = call.egress.grammar().or(call.egress.counted()) else { return };
    let swept = sweep::sweep(grammar, document, call.target.upstream.provider.rules_for(&call.target.model));
    swept.changes.iter().for_each(|(place, text)| work.edits.replace(*place, text));
    if swept.has_foreign {
        call.edited.push(sweep::name(grammar).to_owned());
    }
}

/// Room for a usual body.
const BODY_BYTES_USUAL: usize = 2 * 1024;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Sources, load};

    #[test]
    fn a_model_that_chat_does_not_have_is_asked_by_responses_whatever_the_client_speaks() {
        let env = [("OPENAI_API_KEY".to_owned(), "k".to_owned())].into();
        let snapshot = load(&Sources { file: None, env }).expect("a provider needs no more than its key");
        let provider = &snapshot.providers[0];
        let check = |endpoint: Endpoint, model: &str, want: Option<Endpoint>| {
            assert_eq!(egress(provider, endpoint, model, false), want, "{endpoint:?} {model}");
        };
        for endpoint in [Endpoint::Chat, Endpoint::Messages, Endpoint::Generate, Endpoint::Responses] {
            check(endpoint, "gpt-5-pro", Some(Endpoint::Responses));
        }
        check(Endpoint::Messages, "gpt-4o", Some(Endpoint::Chat));
        check(Endpoint::Embeddings, "gpt-5-pro", Some(Endpoint::Embeddings));
        check(Endpoint::CountTokens, "gpt-5-pro", None);
    }
}
