//! Access tokens of service accounts: when to ask for the next, with what, and what the answer says. The signing happens
//! here, beside the shards; the request itself is sent by a shard, which has the sockets.

use std::net::SocketAddr;
use std::sync::Arc;

use ring::rand::SystemRandom;
use ring::rsa::KeyPair;
use rustls::pki_types::PrivatePkcs8KeyDer;
use rustls::pki_types::pem::PemObject;
use serde_json::Value;

use super::Compiled;
use crate::base::Secret;
use crate::base::limits::{TOKEN_ASK_AGAIN_MS, TOKEN_BYTES_MAX, TOKEN_EARLY_MS_MAX, TOKEN_PAUSE_MS_MAX};
use crate::policy::jwt;
use crate::provider::{SourceId, TokenSource};

/// The tokens of this moment. Immutable; a new table replaces it.
#[derive(Default)]
pub struct Tokens {
    list: Vec<(SourceId, Arc<Token>)>,
}

/// An access token.
pub struct Token {
    /// `authorization: …` with its CRLF.
    pub header_line: Secret,
    /// What no answer to a client may hold.
    pub text: Secret,
    /// By the monotonic clock.
    expires_ms: u64,
}

/// A question for a token, ready to be sent.
pub struct TokenQuestion {
    pub source: Arc<TokenSource>,
    /// Those of the proxy where there is one.
    pub addresses: Vec<SocketAddr>,
    pub body: Secret,
}

/// How often tokens were asked for on behalf of a provider.
#[derive(Clone, Debug)]
pub struct Refreshes {
    pub provider: String,
    pub good: u64,
    pub failed: u64,
}

impl Tokens {
    /// The token of this source, if there is one that is still good.
    pub fn find(&self, id: &SourceId, now_ms: u64) -> Option<&Arc<Token>> {
        let found = self.list.iter().find(|(known, _)| known == id).map(|(_, token)| token);
        found.filter(|token| now_ms < token.expires_ms)
    }
}

/// Keeps the tokens of all accounts fresh.
#[derive(Default)]
pub struct Keeper {
    accounts: Vec<Account>,
}

struct Account {
    source: Arc<TokenSource>,
    token: Option<Arc<Token>>,
    /// When to ask, or to ask again because no answer came.
    due_ms: u64,
    failed_in_a_row: u32,
    counts: Refreshes,
}

impl Keeper {
    /// New settings: accounts that stay keep their tokens. Providers with the same account share one.
    pub fn resettle(&mut self, compiled: &Compiled) {
        let mut before = std::mem::take(&mut self.accounts);
        for provider in &compiled.snapshot.providers {
            let Some(source) = provider.token_source() else { continue };
            if self.accounts.iter().any(|known| known.source.id == source.id) {
                continue;
            }
            let known = before.iter().position(|account| account.source.id == source.id);
            let mut account =
                known.map_or_else(|| Account::new(source, &provider.name), |at| before.swap_remove(at));
            // The way to it may be another one.
            account.source = source.clone();
            self.accounts.push(account);
        }
    }

    /// When something is to be done; `None` without accounts.
    pub fn next_due_ms(&self) -> Option<u64> {
        self.accounts.iter().map(|account| account.due_ms).min()
    }

    /// The accounts to ask for now. Each is due again when its answer gets lost.
    pub fn due(&mut self, now_ms: u64) -> Vec<Arc<TokenSource>> {
        let due = self.accounts.iter_mut().filter(|account| account.due_ms <= now_ms);
        let ask = |account: &mut Account| {
            account.due_ms = now_ms + TOKEN_ASK_AGAIN_MS;
            account.source.clone()
        };
        due.map(ask).collect()
    }

    /// An answer: its status and body, or why there is none. `Err` is a line for the operator.
    pub fn answered(
        &mut self,
        id: &SourceId,
        answer: Result<(u16, Vec<u8>), String>,
        now_ms: u64,
    ) -> Result<(), String> {
        let Some(account) = self.accounts.iter_mut().find(|account| account.source.id == *id) else {
            return Ok(());
        };
        let read = answer.and_then(|(status, body)| read_answer(status, &body));
        match read {
            Ok((token, lifetime_ms)) => {
                let early_ms = (lifetime_ms / 10).min(TOKEN_EARLY_MS_MAX);
                account.token = Some(Arc::new(token_of(&token, now_ms + lifetime_ms)));
                account.due_ms = now_ms + lifetime_ms - early_ms;
                account.failed_in_a_row = 0;
                account.counts.good += 1;
                Ok(())
            }
            Err(what) => {
                let pause_ms = (1_000 << account.failed_in_a_row.min(10)).min(TOKEN_PAUSE_MS_MAX);
                account.due_ms = now_ms + pause_ms;
                account.failed_in_a_row += 1;
                account.counts.failed += 1;
                let has_old = account.token.as_ref().is_some_and(|token| now_ms < token.expires_ms);
                let rest = if has_old { "the old one stays in use" } else { "requests to it get 503" };
                Err(format!("no access token for {}: {what}; {rest}", account.counts.provider))
            }
        }
    }

    pub fn tokens(&self) -> Tokens {
        let of = |account: &Account| Some((account.source.id, account.token.clone()?));
        Tokens { list: self.accounts.iter().filter_map(of).collect() }
    }

    pub fn counts(&self) -> Vec<Refreshes> {
        self.accounts.iter().map(|account| account.counts.clone()).collect()
    }
}

impl Account {
    fn new(source: &Arc<TokenSource>, provider: &str) -> Account {
        let counts = Refreshes { provider: provider.to_owned(), good: 0, failed: 0 };
        Account { source: source.clone(), token: None, due_ms: 0, failed_in_a_row: 0, counts }
    }
}

/// The body that asks for a token (RFC 7523 §2.1). `None` when the key does not sign.
pub fn question_body(source: &TokenSource, wall_ms: u64) -> Option<Secret> {
    let der = PrivatePkcs8KeyDer::from_pem_slice(source.private_key.reveal().as_bytes()).ok()?;
    let key = KeyPair::from_pkcs8(der.secret_pkcs8_der()).ok()?;
    let claims = jwt::Claims {
        key_id: &source.key_id,
        issuer: &source.email,
        audience: &source.uri,
        scope: &source.scope,
        issued_s: wall_ms / 1000,
        lifetime_s: 3600,
    };
    let assertion = jwt::assertion(&claims, &key, &SystemRandom::new())?;
    Some(Secret::new(format!("{GRANT}&assertion={}", assertion.reveal())))
}

/// Token and lifetime in milliseconds. Nothing of an answer that is wrong is shown but its status and error code.
fn read_answer(status: u16, body: &[u8]) -> Result<(Secret, u64), String> {
    let value: Value = serde_json::from_slice(body).unwrap_or_default();
    if status != 200 {
        let code = value["error"].as_str().unwrap_or_default();
        let is_code = code.len() <= 64 && code.bytes().all(|b| b.is_ascii_lowercase() || b == b'_');
        return Err(format!("status {status} {}", if is_code { code } else { "" }).trim_end().to_owned());
    }
    let token = value["access_token"].as_str().unwrap_or_default();
    let is_good = (1..=TOKEN_BYTES_MAX).contains(&token.len()) && token.bytes().all(|b| b.is_ascii_graphic());
    let lifetime_s = value["expires_in"].as_u64().unwrap_or(LIFETIME_S_DEFAULT);
    if !is_good || lifetime_s == 0 {
        return Err("the answer holds none".to_owned());
    }
    Ok((Secret::new(token), lifetime_s.min(LIFETIME_S_MAX) * 1000))
}

fn token_of(token: &Secret, expires_ms: u64) -> Token {
    let header_line = Secret::new(format!("authorization: Bearer {}\r\n", token.reveal()));
    Token { header_line, text: token.clone(), expires_ms }
}

const GRANT: &str = "grant_type=urn%3Aietf%3Aparams%3Aoauth%3Agrant-type%3Ajwt-bearer";
/// Of tokens that do not say it.
const LIFETIME_S_DEFAULT: u64 = 600;
const LIFETIME_S_MAX: u64 = 86_400;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::provider::{Limits, Origin};

    fn keeper() -> Keeper {
        let limits = Limits {
            connect_timeout_ms: 1,
            tls_timeout_ms: 1,
            first_byte_timeout_ms: 1,
            idle_timeout_ms: 1,
            pool_idle_timeout_ms: 1,
            pool_idle_count_max: 1,
        };
        let origin = Origin { tls: false, host: "h".to_owned(), port: 1, authority: "h:1".to_owned() };
        let source = TokenSource {
            id: [1; 32],
            email: String::new(),
            key_id: String::new(),
            private_key: Secret::default(),
            uri: String::new(),
            scope: String::new(),
            origin,
            target: String::new(),
            proxy: None,
            limits,
        };
        Keeper { accounts: vec![Account::new(&Arc::new(source), "p")] }
    }

    fn answer(body: &str) -> Result<(u16, Vec<u8>), String> {
        Ok((200, body.as_bytes().to_vec()))
    }

    #[test]
    fn a_token_is_asked_for_again_before_it_expires() {
        let mut keeper = keeper();
        assert_eq!(keeper.due(0).len(), 1);
        assert_eq!((keeper.due(0).len(), keeper.next_due_ms()), (0, Some(TOKEN_ASK_AGAIN_MS)));
        keeper.answered(&[1; 32], answer(r#"{"access_token":"a","expires_in":3600}"#), 0).unwrap();
        assert_eq!(keeper.next_due_ms(), Some(3_600_000 - TOKEN_EARLY_MS_MAX));
        let tokens = keeper.tokens();
        assert_eq!(
            tokens.find(&[1; 32], 3_599_999).unwrap().header_line.reveal(),
            "authorization: Bearer a\r\n"
        );
        assert!(tokens.find(&[1; 32], 3_600_000).is_none() && tokens.find(&[2; 32], 0).is_none());
    }

    #[test]
    fn a_failure_keeps_the_old_token_and_pauses_longer_each_time() {
        let mut keeper = keeper();
        keeper.answered(&[1; 32], answer(r#"{"access_token":"a","expires_in":10}"#), 0).unwrap();
        for (turn, pause_ms) in [1_000, 2_000, 4_000].into_iter().enumerate() {
            let line = keeper
                .answered(&[1; 32], Ok((400, br#"{"error":"invalid_grant"}"#.to_vec())), 0)
                .unwrap_err();
            assert_eq!(line, "no access token for p: status 400 invalid_grant; the old one stays in use");
            assert_eq!((keeper.next_due_ms(), keeper.counts()[0].failed), (Some(pause_ms), turn as u64 + 1));
        }
        assert!(keeper.tokens().find(&[1; 32], 9_999).is_some());
        for bad in [
            r#"{"access_token":""}"#,
            r#"{"access_token":"a\r\nb"}"#,
            "no json",
            r#"{"access_token":"a","expires_in":0}"#,
        ] {
            let line = keeper.answered(&[1; 32], answer(bad), 20_000).unwrap_err();
            assert!(line.ends_with("the answer holds none; requests to it get 503"), "{line}");
        }
        for _ in 0..40 {
            let _ = keeper.answered(&[1; 32], Err("gone".to_owned()), 0);
        }
        assert_eq!(keeper.next_due_ms(), Some(TOKEN_PAUSE_MS_MAX));
    }
}
