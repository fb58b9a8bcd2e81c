//! The APIs of batches, and what is said of each in one place.

use super::billed::{self, Billed};
use super::{Form, generate, jobs, pages, write_list, write_messages};
use crate::dialect::endpoint::{Endpoint, Grammar};
use crate::dialect::middle::Rules;
use crate::wire::json::Node;

/// The API in which a provider speaks of batches, where that is not OpenAI's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Api {
    /// Anthropic's message batches, whose results are a file of lines.
    Messages,
    /// Gemini's operations.
    Operations,
    /// Jobs, as Mistral has them.
    Jobs,
    /// Batches of a file whose results come in pages, as xAI has them.
    Pages,
}

impl Api {
    /// The API behind an endpoint of a provider.
    pub fn of(endpoint: Endpoint) -> Option<Api> {
        match endpoint {
            Endpoint::MessageBatches => Some(Api::Messages),
            Endpoint::GenerateBatches => Some(Api::Operations),
            Endpoint::BatchJobs => Some(Api::Jobs),
            Endpoint::PagedBatches => Some(Api::Pages),
            _ => None,
        }
    }

    /// Its batches bring their requests with them, so that a file of requests waits at the gateway.
    pub fn brings_requests(self) -> bool {
        self != Api::Pages
    }

    /// All requests of a batch are for one model, which the batch names.
    pub fn has_one_model(self) -> bool {
        matches!(self, Api::Operations | Api::Jobs)
    }

    /// Its lists can begin behind a batch.
    pub fn has_cursor(self) -> bool {
        self == Api::Messages
    }

    /// The grammar in which it takes requests.
    pub fn grammar(self) -> Grammar {
        match self {
            Api::Messages => Grammar::Messages,
            Api::Operations => Grammar::Gemini,
            Api::Jobs | Api::Pages => Grammar::Chat,
        }
    }

    /// Writes a scanned batch. `ending` names its provider.
    pub fn write_batch(self, batch: Node<'_>, form: Form, ending: &str, out: &mut Vec<u8>) {
        match self {
            Api::Messages => write_messages(batch, form, ending, out),
            Api::Operations => generate::write_batch(batch, form, ending, out),
            Api::Jobs => jobs::write_batch(batch, form, ending, out),
            Api::Pages => pages::write_batch(batch, form, ending, out),
        }
    }

    /// Writes a scanned list of batches.
    pub fn write_list(self, list: Node<'_>, ending: &str, out: &mut Vec<u8>) {
        match self {
            Api::Messages => write_list(list, ending, out),
            Api::Operations => generate::write_list(list, ending, out),
            Api::Jobs => jobs::write_list(list, ending, out),
            Api::Pages => pages::write_list(list, ending, out),
        }
    }

    /// Writes the lines of the results that stand in a scanned batch, and gives what they cost. `None` where it has none, or
    /// has them elsewhere.
    pub fn write_results(
        self,
        batch: Node<'_>,
        form: Form,
        rules: &Rules,
        out: &mut Vec<u8>,
    ) -> Option<Vec<Billed>> {
        match self {
            Api::Messages | Api::Pages => None,
            Api::Operations => {
                generate::write_results(batch, form, rules, out).then(|| billed::of_operation(batch))
            }
            Api::Jobs => jobs::write_results(batch, form, rules, out).then(|| billed::of_job(batch)),
        }
    }
}
