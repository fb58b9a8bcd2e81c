//! Files that are kept until a batch is made of them.

use super::{Id, Kept, Missing, Owner, Store};
use crate::base::limits::STATE_RECORD_BYTES;
use crate::wire::json::Node;

/// A file.
pub struct File {
    /// The file object.
    pub object: Vec<u8>,
    pub bytes: Vec<u8>,
}

impl Store {
    /// Keeps a file and gives its object. One that is larger than all that may be kept would drop everything else, and go
    /// itself.
    pub fn keep_file(
        &mut self,
        owner: &Owner,
        id: Id,
        file: File,
        bytes_max: usize,
    ) -> Result<Vec<u8>, Missing> {
        let weight = file.object.len() + file.bytes.len() + STATE_RECORD_BYTES;
        if weight > bytes_max {
            return Err(Missing::TooLarge);
        }
        let object = file.object.clone();
        self.insert(id, *owner, weight, Kept::File(file));
        Ok(object)
    }

    pub fn file(&mut self, owner: &Owner, id: Id) -> Result<&File, Missing> {
        match self.used(owner, id).map(|record| &record.kept) {
            Some(Kept::File(file)) => Ok(file),
            _ => Err(Missing::File),
        }
    }

    /// The owner's files as a list, the newest first.
    pub fn files(&self, owner: &Owner) -> Vec<u8> {
        let mut ids: Vec<Id> = self
            .records
            .iter()
            .filter(|(_, record)| record.owner == *owner && matches!(record.kept, Kept::File(_)))
            .map(|(&id, _)| id)
            .collect();
        ids.sort_unstable_by(|a, b| b.cmp(a));
        let objects: Vec<&[u8]> = ids
            .iter()
            .filter_map(|id| match &self.records.get(id)?.kept {
                Kept::File(file) => Some(&file.object[..]),
                _ => None,
            })
            .collect();
        let mut list = b"{\"object\":\"list\",\"data\":[".to_vec();
        list.extend_from_slice(&objects.join(&b','));
        list.extend_from_slice(b"],\"has_more\":false}");
        list
    }

    pub fn delete_file(&mut self, owner: &Owner, id: Id) -> Result<Vec<u8>, Missing> {
        let object = &self.file(owner, id)?.object;
        let shown = Node::scanned(object).get("id").map_or(b"null".to_vec(), |id| id.raw().to_vec());
        self.remove(id);
        let mut out = b"{\"id\":".to_vec();
        out.extend_from_slice(&shown);
        out.extend_from_slice(b",\"object\":\"file\",\"deleted\":true}");
        Ok(out)
    }
}
