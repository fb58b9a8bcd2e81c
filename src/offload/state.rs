//! Responses, conversations and files for batches, kept for providers that keep none themselves: in memory, within a bound in bytes and in
//! count; what was not used for longest goes first. Another owner's record is as good as none. Knows no shard, no clock
//! and no network.

mod conversations;
mod files;
mod items;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, HashMap};
use std::fmt;

use crate::base::limits::{STATE_CHAIN_MAX, STATE_RECORD_BYTES, STATE_RECORDS_MAX};
use crate::wire::json::Node;

use conversations::Conversation;
use files::File;
use items::Item;
pub use items::Page;

/// Who made a record: a hash of the key that was shown.
pub type Owner = [u8; 32];

/// The number in an id of the gateway's own, such as that in `resp_0190…`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Id(u128);

impl Id {
    /// Reads an id behind its prefix; `None` for ids of others. Ours are 32 lower-case digits of a UUID of version 7.
    pub fn of(prefix: &str, text: &str) -> Option<Id> {
        let digits = text.strip_prefix(prefix)?;
        let is_hex = |b: u8| matches!(b, b'0'..=b'9' | b'a'..=b'f');
        if digits.len() != 32 || !digits.bytes().all(is_hex) || digits.as_bytes()[12] != b'7' {
            return None;
        }
        u128::from_str_radix(digits, 16).ok().map(Id)
    }
}

impl fmt::Display for Id {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{:032x}", self.0)
    }
}

/// A response that is to be kept.
pub struct Response {
    pub id: Id,
    pub owner: Owner,
    /// The response object.
    pub body: Vec<u8>,
    /// The elements of the request's own input, commas between them.
    pub input: Vec<u8>,
    /// The response that it follows.
    pub previous: Option<Id>,
    /// The conversation that its input and output are added to.
    pub conversation: Option<Id>,
}

impl Response {
    /// Bytes of memory, about.
    pub fn weight(&self) -> usize {
        self.body.len() + self.input.len() + STATE_RECORD_BYTES
    }
}

/// What somebody wants to know or to change.
pub enum Question {
    /// The items that stand in front of a request's own, and those that it refers to.
    Context {
        previous: Option<Id>,
        conversation: Option<Id>,
        references: Vec<String>,
        bytes_max: usize,
    },
    Response(Id),
    DeleteResponse(Id),
    ResponseItems(Id, Page),
    /// `metadata` is an object, `items` the elements of an array.
    NewConversation {
        id: Id,
        created_s: u64,
        metadata: Vec<u8>,
        items: Vec<u8>,
    },
    Conversation(Id),
    UpdateConversation {
        id: Id,
        metadata: Vec<u8>,
    },
    DeleteConversation(Id),
    ConversationItems(Id, Page),
    AddItems {
        id: Id,
        items: Vec<u8>,
    },
    ConversationItem(Id, String),
    DeleteItem(Id, String),
    /// `object` is what is shown of it.
    KeepFile {
        id: Id,
        object: Vec<u8>,
        bytes: Vec<u8>,
    },
    Files,
    File(Id),
    FileContent(Id),
    DeleteFile(Id),
}

/// The answer to a question.
#[derive(Debug, PartialEq, Eq)]
pub enum Reply {
    /// A JSON document.
    Document(Vec<u8>),
    Context(Context),
    Missing(Missing),
}

/// What a request's input becomes complete with.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Context {
    /// Elements of an array, commas between them.
    pub before: Vec<u8>,
    /// The items behind the references, in their order.
    pub referred: Vec<Vec<u8>>,
}

/// Why there is no answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Missing {
    Response,
    File,
    Conversation,
    Item(String),
    /// All of it is more than may be asked for.
    TooLarge,
}

/// All that is kept.
#[derive(Default)]
pub struct Store {
    records: HashMap<Id, Record>,
    /// The records by their last use.
    by_age: BTreeMap<u64, Id>,
    next_age: u64,
    bytes: usize,
}

struct Record {
    owner: Owner,
    age: u64,
    weight: usize,
    kept: Kept,
}

enum Kept {
    Response(Response),
    Conversation(Conversation),
    File(File),
}

impl Store {
    /// Keeps a response, and adds it to its conversation.
    pub fn keep(&mut self, response: Response, bytes_max: usize) {
        if let Some(id) = response.conversation {
            self.add_turn(id, &response);
        }
        let (id, owner, weight) = (response.id, response.owner, response.weight());
        self.insert(id, owner, weight, Kept::Response(response));
        self.shrink(bytes_max);
    }

    /// Drops what was unused for longest until the rest is within the bounds.
    pub fn shrink(&mut self, bytes_max: usize) {
        while self.bytes > bytes_max || self.records.len() > STATE_RECORDS_MAX {
            let Some((_, id)) = self.by_age.pop_first() else { return };
            self.bytes -= self.records.remove(&id).map_or(0, |record| record.weight);
        }
    }

    /// Answers a question of this owner.
    pub fn answer(&mut self, owner: &Owner, question: Question, bytes_max: usize) -> Reply {
        let document = match question {
            Question::Context { previous, conversation, references, bytes_max } => {
                return match self.context(owner, previous, conversation, references, bytes_max) {
                    Ok(context) => Reply::Context(context),
                    Err(missing) => Reply::Missing(missing),
                };
            }
            Question::Response(id) => self.response(owner, id).map(|response| response.body.clone()),
            Question::DeleteResponse(id) => self.delete_response(owner, id),
            Question::ResponseItems(id, page) => self.response_items(owner, id, &page),
            Question::KeepFile { id, object, bytes } => {
                self.keep_file(owner, id, File { object, bytes }, bytes_max)
            }
            Question::Files => Ok(self.files(owner)),
            Question::File(id) => self.file(owner, id).map(|file| file.object.clone()),
            Question::FileContent(id) => self.file(owner, id).map(|file| file.bytes.clone()),
            Question::DeleteFile(id) => self.delete_file(owner, id),
            of_conversations => self.answer_conversation(owner, of_conversations),
        };
        self.shrink(bytes_max);
        document.map_or_else(Reply::Missing, Reply::Document)
    }

    fn insert(&mut self, id: Id, owner: Owner, weight: usize, kept: Kept) {
        self.remove(id);
        self.next_age += 1;
        self.by_age.insert(self.next_age, id);
        self.bytes += weight;
        self.records.insert(id, Record { owner, age: self.next_age, weight, kept });
    }

    fn remove(&mut self, id: Id) {
        if let Some(record) = self.records.remove(&id) {
            self.by_age.remove(&record.age);
            self.bytes -= record.weight;
        }
    }

    /// The owner's record of this id, which is in use from now on.
    fn used(&mut self, owner: &Owner, id: Id) -> Option<&mut Record> {
        let record = self.records.get_mut(&id).filter(|record| record.owner == *owner)?;
        self.next_age += 1;
        self.by_age.remove(&record.age);
        record.age = self.next_age;
        self.by_age.insert(record.age, id);
        Some(record)
    }

    fn response(&mut self, owner: &Owner, id: Id) -> Result<&Response, Missing> {
        match self.used(owner, id).map(|record| &record.kept) {
            Some(Kept::Response(response)) => Ok(response),
            _ => Err(Missing::Response),
        }
    }

    fn delete_response(&mut self, owner: &Owner, id: Id) -> Result<Vec<u8>, Missing> {
        self.response(owner, id)?;
        self.remove(id);
        Ok(format!(r#"{{"id":"resp_{id}","object":"response","deleted":true}}"#).into_bytes())
    }

    /// The response and those that it follows, the first one first.
    fn chain(&mut self, owner: &Owner, last: Id) -> Result<Vec<Id>, Missing> {
        let (mut chain, mut next) = (Vec::new(), Some(last));
        while let Some(id) = next {
            if chain.len() >= STATE_CHAIN_MAX {
                return Err(Missing::TooLarge);
            }
            chain.push(id);
            next = self.response(owner, id)?.previous;
        }
        chain.reverse();
        Ok(chain)
    }

    fn context(
        &mut self,
        owner: &Owner,
        previous: Option<Id>,
        conversation: Option<Id>,
        references: Vec<String>,
        bytes_max: usize,
    ) -> Result<Context, Missing> {
        let mut context = Context::default();
        if let Some(id) = conversation {
            for item in &self.conversation(owner, id)?.items {
                items::push(&item.json, &mut context.before);
            }
        }
        let chain = previous.map_or(Ok(Vec::new()), |last| self.chain(owner, last))?;
        for id in chain {
            let response = self.response(owner, id)?;
            items::push(&response.input, &mut context.before);
            items::output(response).for_each(|item| items::push(item.raw(), &mut context.before));
            if context.before.len() > bytes_max {
                return Err(Missing::TooLarge);
            }
        }
        let mut bytes = context.before.len();
        for reference in references {
            let item = self.item(owner, &reference).ok_or(Missing::Item(reference))?;
            bytes += item.len();
            if bytes > bytes_max {
                return Err(Missing::TooLarge);
            }
            context.referred.push(item);
        }
        Ok(context)
    }

    /// The item with this id, in whatever record it is.
    fn item(&mut self, owner: &Owner, id: &str) -> Option<Vec<u8>> {
        let record = self.used(owner, items::record_of(id)?)?;
        match &record.kept {
            Kept::Conversation(conversation) => conversation.item(id).map(|item| item.json.clone()),
            Kept::File(_) => None,
            Kept::Response(response) => {
                let has_id =
                    |item: &Node<'_>| item.get("id").and_then(Node::text).is_some_and(|own| own == id);
                let said = items::output(response).find(has_id).map(|item| item.raw().to_vec());
                said.or_else(|| items::input(response).find(|item| item.id == id).map(|item| item.json))
            }
        }
    }

    fn response_items(&mut self, owner: &Owner, id: Id, page: &Page) -> Result<Vec<u8>, Missing> {
        let chain = self.chain(owner, id)?;
        let mut all: Vec<Item> = Vec::new();
        for link in chain {
            let response = self.response(owner, link)?;
            all.extend(items::input(response));
            if link != id {
                all.extend(items::output(response).map(items::as_it_is));
            }
        }
        page.of(&all)
    }
}
