//! Conversations that are kept: items in their order, and what the client says about the whole.

use super::items::{self, Item};
use super::{Id, Kept, Missing, Owner, Question, Response, Store};
use crate::base::limits::{STATE_ITEM_BYTES, STATE_RECORD_BYTES};
use crate::wire::json::Node;

/// A conversation.
pub struct Conversation {
    created_s: u64,
    /// A JSON object.
    metadata: Vec<u8>,
    pub items: Vec<Item>,
    /// Counts the items that were ever added, for their ids.
    next_item: u64,
}

impl Conversation {
    pub fn item(&self, id: &str) -> Option<&Item> {
        self.items.iter().find(|item| item.id == id)
    }

    fn weight(&self) -> usize {
        let of_items = |item: &Item| item.json.len() + item.id.len() + STATE_ITEM_BYTES;
        STATE_RECORD_BYTES + self.metadata.len() + self.items.iter().map(of_items).sum::<usize>()
    }

    fn document(&self, id: Id) -> Vec<u8> {
        let created_s = self.created_s;
        let head =
            format!(r#"{{"id":"conv_{id}","object":"conversation","created_at":{created_s},"metadata":"#);
        [head.as_bytes(), &self.metadata, b"}"].concat()
    }

    /// Adds the elements of an array; says how many they were.
    fn add(&mut self, id: Id, elements: &[u8]) -> usize {
        let added = items::elements(elements);
        for raw in &added {
            self.items.push(items::listed(Node::scanned(raw), &format!("{id}_c{}", self.next_item)));
            self.next_item += 1;
        }
        added.len()
    }
}

impl Store {
    pub(super) fn answer_conversation(
        &mut self,
        owner: &Owner,
        question: Question,
    ) -> Result<Vec<u8>, Missing> {
        match question {
            Question::NewConversation { id, created_s, metadata, items } => {
                let mut made = Conversation { created_s, metadata, items: Vec::new(), next_item: 0 };
                made.add(id, &items);
                let document = made.document(id);
                self.insert(id, *owner, made.weight(), Kept::Conversation(made));
                Ok(document)
            }
            Question::UpdateConversation { id, metadata } => self.change(owner, id, |conversation| {
                conversation.metadata = metadata;
                Ok(conversation.document(id))
            }),
            Question::Conversation(id) => Ok(self.conversation(owner, id)?.document(id)),
            Question::DeleteConversation(id) => {
                self.conversation(owner, id)?;
                self.remove(id);
                Ok(format!(r#"{{"id":"conv_{id}","object":"conversation.deleted","deleted":true}}"#)
                    .into_bytes())
            }
            Question::ConversationItems(id, page) => page.of(&self.conversation(owner, id)?.items),
            Question::AddItems { id, items } => self.change(owner, id, |conversation| {
                let count = conversation.add(id, &items);
                let first = conversation.items.len() - count;
                Ok(items::list(&conversation.items[first..].iter().collect::<Vec<_>>(), false))
            }),
            Question::ConversationItem(id, item) => {
                let found = self.conversation(owner, id)?.item(&item).map(|found| found.json.clone());
                found.ok_or(Missing::Item(item))
            }
            Question::DeleteItem(id, item) => self.change(owner, id, |conversation| {
                let at = conversation.items.iter().position(|other| other.id == item);
                conversation.items.remove(at.ok_or(Missing::Item(item))?);
                Ok(conversation.document(id))
            }),
            _ => Err(Missing::Response),
        }
    }

    pub(super) fn conversation(&mut self, owner: &Owner, id: Id) -> Result<&Conversation, Missing> {
        match self.used(owner, id).map(|record| &record.kept) {
            Some(Kept::Conversation(conversation)) => Ok(conversation),
            _ => Err(Missing::Conversation),
        }
    }

    fn change(
        &mut self,
        owner: &Owner,
        id: Id,
        change: impl FnOnce(&mut Conversation) -> Result<Vec<u8>, Missing>,
    ) -> Result<Vec<u8>, Missing> {
        let Some(record) = self.used(owner, id) else { return Err(Missing::Conversation) };
        let Kept::Conversation(conversation) = &mut record.kept else { return Err(Missing::Conversation) };
        let result = change(conversation);
        let before = std::mem::replace(&mut record.weight, conversation.weight());
        let after = record.weight;
        self.bytes = self.bytes - before + after;
        result
    }

    /// Adds what was asked and said. A conversation that was deleted meanwhile stays so.
    pub(super) fn add_turn(&mut self, id: Id, response: &Response) {
        let turn = items::input(response).chain(items::output(response).map(items::as_it_is));
        let turn: Vec<Item> = turn.collect();
        let _ = self.change(&response.owner, id, |conversation| {
            conversation.items.extend(turn);
            Ok(Vec::new())
        });
    }
}
