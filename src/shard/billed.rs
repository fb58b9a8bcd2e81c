//! Answers of a batch in the ledger: each has a record of its own, made when its results pass, at the price of batches. The
//! record's id is made of the answer's own, so that results that are fetched again are the same records, which the store takes
//! once.

use ring::digest;

use super::Shard;
use super::call::Call;
use super::client::Client;
use super::entry;
use super::work::Work;
use crate::dialect::batches::billed::Billed;
use crate::journal::Need;
use crate::ledger::cost;
use crate::ledger::record::{self, Begun, Ended, RecordId, SourceName};
use crate::ledger::usage::Mode;

/// Writes down what was found among the results. What the journal has no room for is counted as lost, and written down when the
/// results are fetched once more.
pub fn write(shard: &Shard, client: &Client, work: &Work, call: &Call, found: &[Billed]) {
    for billed in found {
        write_one(shard, client, work, call, billed);
    }
}

fn write_one(shard: &Shard, client: &Client, work: &Work, call: &Call, billed: &Billed) {
    let provider = &*call.target.upstream.provider;
    let managed = shard.managed.borrow().clone();
    let workflows = &managed.workflows;
    let found = || workflows.find(&work.caller.path(), &provider.name, &billed.model);
    let workflow = workflows.only().unwrap_or_else(found);
    let features = workflows.features(workflow);
    if !features.usage && !features.audit {
        return;
    }
    let mut usage = billed.usage.by(provider.rules_for(&billed.model).usage);
    // Whatever class the answer names, it was given in a batch.
    usage.mode = Some(Mode::Batch);
    let price = entry::price_of(shard, provider, &billed.model, None);
    let cost = cost::cost(&usage, price.as_deref(), Mode::Batch);
    let caveat = match &cost {
        Ok(cost) => cost.remark.map_or(String::new(), |remark| remark.sentence().to_owned()),
        Err(unpriced) => unpriced.to_string(),
    };
    let caller = &work.caller;
    let id = id_of(&provider.name, billed);
    let begun = Begun {
        at_ms: shard.wall_ms(),
        request_id: std::str::from_utf8(work.request_id.as_bytes()).unwrap_or_default(),
        key_id: caller.key_id(),
        auth: caller.auth,
        user_path: caller.path_text(),
        labels: &caller.labels_json,
        method: work.request.method.as_str(),
        path: RESULT,
        endpoint: call.endpoint.name(),
        requested_model: &billed.model,
        provider: &provider.name,
        model: &billed.model,
        workflow: &workflow.id,
        client_ip: &client.address,
        skips_usage: !features.usage,
        skips_audit: !features.audit,
        ..Begun::default()
    };
    let (input_cost, output_cost) = entry::costs_of(cost.as_ref().ok());
    let ended = Ended {
        status: billed.status,
        usage,
        cost: cost.as_ref().ok().map(|cost| cost.total),
        input_cost,
        output_cost,
        cost_source: SourceName::Own(cost.as_ref().map_or("", |cost| cost.source.name())),
        cost_caveat: &caveat,
        ..Ended::default()
    };
    let mut journal = shard.journal.borrow_mut();
    let Some(journal) = &mut *journal else { return };
    let mut bytes = shard.buffers.lend();
    record::write_begun(&mut bytes, id, &begun);
    let mut is_written = journal.append(&bytes, Need::Begin).is_ok();
    if is_written {
        bytes.clear();
        record::write_ended(&mut bytes, id, &ended);
        is_written = journal.append(&bytes, Need::End).is_ok();
    }
    if !is_written {
        journal.lose();
    }
    shard.buffers.give_back(bytes);
}

/// The same for the same answer, whenever and by whomever it is fetched. In the form of a UUID of version 7 (RFC 9562 §5.7), at
/// the time of the answer.
fn id_of(provider: &str, billed: &Billed) -> RecordId {
    let digest = digest::digest(&digest::SHA256, format!("{provider}\n{}", billed.name).as_bytes());
    let random = digest.as_ref().iter().take(16).fold(0_u128, |all, &byte| all << 8 | u128::from(byte));
    let ms = u128::from(billed.created_s.saturating_mul(1000)) & 0xFFFF_FFFF_FFFF;
    let low = random & ((1 << 76) - 1) & !(0b11 << 62);
    RecordId(ms << 80 | 7 << 76 | low | 0b10 << 62)
}

/// What stands for a path in these records: none was asked for this one answer.
const RESULT: &str = "result of a batch";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ledger::usage::Usage;

    #[test]
    fn an_answer_has_one_id_and_no_other_answer_has_it() {
        let billed = |name: &str, created_s: u64| Billed {
            name: name.to_owned(),
            model: "m".to_owned(),
            created_s,
            status: 200,
            usage: Usage::default(),
        };
        let one = id_of("up", &billed("chatcmpl-1", 1_750_000_000));
        assert_eq!(one, id_of("up", &billed("chatcmpl-1", 1_750_000_000)));
        assert_ne!(one, id_of("up", &billed("chatcmpl-2", 1_750_000_000)));
        assert_ne!(one, id_of("other", &billed("chatcmpl-1", 1_750_000_000)));
        assert_eq!((one.0 >> 80, one.0 >> 76 & 15, one.0 >> 62 & 3), (1_750_000_000_000, 7, 2));
    }
}
