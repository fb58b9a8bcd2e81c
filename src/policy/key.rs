//! A virtual key: what it grants, how it is proven, and what it is refused for. Its text is `rw-<public id>-<secret>`; the
//! secret is kept as its HMAC-SHA-256 under a pepper that no store holds.

use std::collections::HashSet;
use std::fmt;
use std::num::NonZeroU64;
use std::sync::Arc;

use ring::{digest, hmac};
use subtle::ConstantTimeEq;

use super::account::Account;
use super::grant::AdminScope;
use crate::base::{Refusal, RefusalKind, Secret};
use crate::identity::{Allowance, Calendar, ModelRule, Subject, UserPath};

/// The public half of a key: twelve letters and digits. It may be shown and logged.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct KeyId([u8; ID_BYTES]);

/// What a presented key is held against.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Proof {
    /// HMAC-SHA-256 of the secret under the pepper.
    Hmac([u8; 32]),
    /// SHA-256 of the whole key, as other gateways keep theirs: a key that was imported.
    Sha256([u8; 32]),
}

/// The secret that proofs are made with. It stands in no store: whoever has the store alone can prove no key.
pub struct Pepper(hmac::Key);

/// A key that was just made. Its text is shown once and kept nowhere.
pub struct NewKey {
    pub id: KeyId,
    pub text: Secret,
    pub proof: Proof,
}

/// What a key says, as people and stores write it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct KeyFields {
    pub name: String,
    pub description: String,
    /// Where its requests belong, whatever their header says.
    pub path: Option<UserPath>,
    pub labels: Vec<String>,
    /// Empty allows all.
    pub models: Vec<ModelRule>,
    /// Endpoints by name, such as `chat`; empty allows all.
    pub endpoints: Vec<String>,
    /// Limits and budgets of its own; their subject is the key whatever they say.
    pub allowances: Vec<Allowance>,
    pub created_ms: u64,
    pub expires_ms: Option<u64>,
    pub is_disabled: bool,
    /// What it may do in the admin API.
    pub admin: Option<AdminScope>,
}

/// A key as requests meet it: small, because there may be a million.
pub struct Key {
    pub id: KeyId,
    proof: Proof,
    is_disabled: bool,
    pub name: Box<str>,
    pub path: Option<UserPath>,
    pub labels: Box<[Box<str>]>,
    pub created_ms: u64,
    expires_ms: Option<NonZeroU64>,
    /// `None` allows all.
    uses: Option<Arc<Uses>>,
    /// What few keys have.
    more: Option<Box<More>>,
}

/// What a key may use; an empty list allows all.
#[derive(PartialEq, Eq, Hash)]
struct Uses {
    models: Box<[ModelRule]>,
    endpoints: Box<[Box<str>]>,
}

/// What keys may use, each once: a million keys have few lists that differ.
#[derive(Default)]
pub struct KnownUses(HashSet<Arc<Uses>>);

#[derive(Default)]
struct More {
    description: Box<str>,
    accounts: Box<[Arc<Account>]>,
    admin: Option<AdminScope>,
    /// The proof before the last rotation, and until when it is good.
    before: Option<(Proof, u64)>,
}

impl KeyId {
    pub fn new(text: &str) -> Option<KeyId> {
        let bytes: [u8; ID_BYTES] = text.as_bytes().try_into().ok()?;
        bytes.iter().all(u8::is_ascii_alphanumeric).then_some(KeyId(bytes))
    }

    pub fn as_str(&self) -> &str {
        // Letters and digits are text.
        std::str::from_utf8(&self.0).unwrap_or_default()
    }

    /// An id from 16 random bytes; also for keys that are imported.
    pub fn from_random(random: [u8; 16]) -> KeyId {
        let mut id = [0; ID_BYTES];
        base62(&random, &mut id);
        KeyId(id)
    }
}

impl Pepper {
    /// At least 16 bytes that cannot be guessed.
    pub fn new(secret: &[u8]) -> Pepper {
        Pepper(hmac::Key::new(hmac::HMAC_SHA256, secret))
    }

    pub fn proof(&self, secret: &[u8]) -> Proof {
        let mut out = [0; 32];
        out.copy_from_slice(hmac::sign(&self.0, secret).as_ref());
        Proof::Hmac(out)
    }
}

impl Proof {
    /// The proof of a key that is imported with its text.
    pub fn of_whole(text: &[u8]) -> Proof {
        let mut out = [0; 32];
        out.copy_from_slice(digest::digest(&digest::SHA256, text).as_ref());
        Proof::Sha256(out)
    }

    pub fn bytes(&self) -> &[u8; 32] {
        match self {
            Proof::Hmac(bytes) | Proof::Sha256(bytes) => bytes,
        }
    }

    /// Whether they are the same, in a time that does not tell where they differ.
    fn is(&self, other: &Proof) -> bool {
        let same_kind = matches!(self, Proof::Hmac(_)) == matches!(other, Proof::Hmac(_));
        same_kind & bool::from(self.bytes().ct_eq(other.bytes()))
    }
}

impl NewKey {
    /// A key from 48 bytes of the operating system's randomness.
    pub fn make(random: &[u8; 48], pepper: &Pepper) -> NewKey {
        let mut first = [0; 16];
        first.copy_from_slice(&random[..16]);
        NewKey::of_id(KeyId::from_random(first), &random[16..], pepper)
    }

    /// Another secret for a key that exists, from 32 random bytes.
    pub fn rotate(id: KeyId, random: &[u8; 32], pepper: &Pepper) -> NewKey {
        NewKey::of_id(id, random, pepper)
    }

    fn of_id(id: KeyId, random: &[u8], pepper: &Pepper) -> NewKey {
        let mut secret = [0; SECRET_BYTES];
        base62(random, &mut secret);
        let proof = pepper.proof(&secret);
        let text = format!("{PREFIX}{}-{}", id.as_str(), String::from_utf8_lossy(&secret));
        NewKey { id, text: Secret::new(text), proof }
    }
}

impl Key {
    /// A key with these fields. Its accounts go on counting where those of the key before are.
    pub fn new(
        id: KeyId,
        proof: Proof,
        fields: KeyFields,
        calendar: &Arc<Calendar>,
        before: Option<&Key>,
    ) -> Key {
        let boxed = |texts: Vec<String>| texts.into_iter().map(String::into_boxed_str).collect();
        let subject: Arc<str> = id.as_str().into();
        let account = |mut allowance: Allowance| {
            allowance.subject = Subject::Key(subject.clone());
            let name = allowance.id();
            let same = before.and_then(|key| key.accounts().iter().find(|account| *account.id == *name));
            Arc::new(Account::new(allowance, calendar, same.map(Arc::as_ref)))
        };
        let uses = Uses { models: fields.models.into(), endpoints: boxed(fields.endpoints) };
        let more = More {
            description: fields.description.into(),
            accounts: fields.allowances.into_iter().map(account).collect(),
            admin: fields.admin,
            before: None,
        };
        Key {
            id,
            proof,
            is_disabled: fields.is_disabled,
            name: fields.name.into(),
            path: fields.path,
            labels: boxed(fields.labels),
            created_ms: fields.created_ms,
            expires_ms: fields.expires_ms.and_then(NonZeroU64::new),
            uses: uses.is_any().then(|| Arc::new(uses)),
            more: more.is_any().then(|| Box::new(more)),
        }
    }

    /// The same key, sharing what it may use with the keys before it that may use the same.
    pub fn sharing(mut self, known: &mut KnownUses) -> Key {
        self.uses = self.uses.map(|uses| match known.0.get(&uses) {
            Some(same) => same.clone(),
            None => {
                known.0.insert(uses.clone());
                uses
            }
        });
        self
    }

    /// The same key as another proof shows it; the one before stays good until then.
    pub fn with_proof_before(mut self, proof: Proof, until_ms: u64) -> Key {
        self.more.get_or_insert_default().before = Some((proof, until_ms));
        self
    }

    /// What it says, to be stored or changed.
    pub fn fields(&self) -> KeyFields {
        let texts = |texts: &[Box<str>]| texts.iter().map(|text| text.to_string()).collect();
        KeyFields {
            name: self.name.to_string(),
            description: self.description().to_owned(),
            path: self.path.clone(),
            labels: texts(&self.labels),
            models: self.models().to_vec(),
            endpoints: texts(self.endpoints()),
            allowances: self.accounts().iter().map(|account| account.allowance.clone()).collect(),
            created_ms: self.created_ms,
            expires_ms: self.expires_ms.map(NonZeroU64::get),
            is_disabled: self.is_disabled,
            admin: self.admin().cloned(),
        }
    }

    /// Whether this proof is its own at this moment.
    pub(super) fn is_proven_by(&self, proof: &Proof, now_ms: u64) -> bool {
        let before = self.more.as_ref().and_then(|more| more.before.as_ref());
        self.proof.is(proof)
            || before.is_some_and(|(before, until_ms)| now_ms < *until_ms && before.is(proof))
    }

    /// Whether no secret from before a rotation is good as well, for a time.
    pub fn has_one_proof(&self) -> bool {
        self.more.as_ref().is_none_or(|more| more.before.is_none())
    }

    /// Whether it may be used at this moment, by who has proven it.
    pub fn check(&self, now_ms: u64) -> Result<(), Refusal> {
        if self.is_disabled {
            let what = "This API key is disabled.";
            return Err(Refusal::new(401, RefusalKind::Authentication, "key_disabled", what));
        }
        if self.expires_ms.is_some_and(|expires_ms| expires_ms.get() <= now_ms) {
            let what = "This API key has expired.";
            return Err(Refusal::new(401, RefusalKind::Authentication, "key_expired", what));
        }
        Ok(())
    }

    /// Whether its requests may go to this endpoint.
    pub fn check_endpoint(&self, endpoint: &str) -> Result<(), Refusal> {
        let allowed = self.endpoints();
        if allowed.is_empty() || allowed.iter().any(|name| **name == *endpoint) {
            return Ok(());
        }
        let what = format!("This API key may not use the endpoint {endpoint}.");
        Err(Refusal::new(403, RefusalKind::InvalidRequest, "endpoint_access_denied", what))
    }

    /// Whether its list names the endpoint, where no list is no trust: behind that endpoint tenants are not told apart.
    pub fn check_trust(&self, endpoint: &str) -> Result<(), Refusal> {
        if self.endpoints().iter().any(|name| **name == *endpoint) {
            return Ok(());
        }
        let what = format!(
            "The gateway cannot tell on this path what belongs to whom. It serves keys whose list of endpoints \
             names `{endpoint}`, and this one's does not."
        );
        Err(Refusal::new(403, RefusalKind::InvalidRequest, "endpoint_access_denied", what))
    }

    pub fn proof(&self) -> &Proof {
        &self.proof
    }

    /// The proof before the last rotation and until when it is good, to be stored.
    pub fn proof_before(&self) -> Option<(Proof, u64)> {
        self.more.as_ref()?.before
    }

    pub fn description(&self) -> &str {
        self.more.as_ref().map_or("", |more| &more.description)
    }

    pub fn models(&self) -> &[ModelRule] {
        self.uses.as_ref().map_or(&[], |uses| &uses.models)
    }

    pub fn endpoints(&self) -> &[Box<str>] {
        self.uses.as_ref().map_or(&[], |uses| &uses.endpoints)
    }

    /// Its own limits and budgets.
    pub fn accounts(&self) -> &[Arc<Account>] {
        self.more.as_ref().map_or(&[], |more| &more.accounts)
    }

    pub fn admin(&self) -> Option<&AdminScope> {
        self.more.as_ref()?.admin.as_ref()
    }
}

impl Uses {
    fn is_any(&self) -> bool {
        !self.models.is_empty() || !self.endpoints.is_empty()
    }
}

impl More {
    fn is_any(&self) -> bool {
        !self.accounts.is_empty() || !self.description.is_empty() || self.admin.is_some()
    }
}

/// A presented key taken apart: its public id and its secret. `None` for what is no key of this gateway's making.
pub(super) fn parts(presented: &[u8]) -> Option<(KeyId, &[u8])> {
    let rest = presented.strip_prefix(PREFIX.as_bytes())?;
    let (id, secret) = rest.split_at_checked(ID_BYTES)?;
    let secret = secret.strip_prefix(b"-").filter(|secret| secret.len() == SECRET_BYTES)?;
    Some((KeyId::new(std::str::from_utf8(id).ok()?)?, secret))
}

/// The number that the bytes spell, as so many digits of base 62; what does not fit is left out at the top.
fn base62(bytes: &[u8], digits: &mut [u8]) {
    let mut number = bytes.to_vec();
    for digit in digits.iter_mut().rev() {
        let mut rest = 0_u32;
        for byte in &mut number {
            let all = rest << 8 | u32::from(*byte);
            *byte = (all / 62) as u8;
            rest = all % 62;
        }
        *digit = DIGITS[rest as usize];
    }
    number.fill(0);
}

impl fmt::Debug for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Key({})", self.id.as_str())
    }
}

impl fmt::Debug for Proof {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Proof")
    }
}

const PREFIX: &str = "rw-";
const ID_BYTES: usize = 12;
/// 43 digits of base 62 hold 256 bits.
const SECRET_BYTES: usize = 43;
const DIGITS: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
