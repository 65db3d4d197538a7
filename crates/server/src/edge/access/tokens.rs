//! The tokens file: names, roles and hashes. Only the holders have the tokens themselves.

use std::{collections::HashSet, fmt, str::FromStr};

use serde::Deserialize;
use sha2::{Digest, Sha256};
use subtle::{Choice, ConditionallySelectable, ConstantTimeEq};
use thiserror::Error;

use crate::crypto::random;

/// Every token begins with this, so that scanners for leaked secrets can recognise it.
const PREFIX: &str = "tpg_";

/// The length of a token: the prefix and 32 random bytes in hex. Shorter tokens are never accepted, so that the hash
/// of a guessable word in the file opens nothing.
const TOKEN_CHARS: usize = PREFIX.len() + 64;

/// What a token's holder may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Deserialize)]
#[serde(try_from = "String")]
pub enum Role {
    /// Take batches, submit proofs, register keys.
    Prover,
    /// Add batches, change jobs, and do everything that a reader may.
    Admin,
    /// Read everything, change nothing.
    Reader,
}

/// The text is not a role.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("role: must be prover, admin or reader")]
pub struct RoleError;

/// The name of a token in logs: 1 to 64 of `A-Z a-z 0-9 . _ -`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Deserialize)]
#[serde(try_from = "String")]
pub struct TokenName(String);

/// The text is not a token's name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("a token's name must be 1 to 64 letters, digits, dots, hyphens or underscores")]
pub struct TokenNameError;

/// A token that was just made. `Debug` does not show it.
pub struct NewToken {
    name: TokenName,
    role: Role,
    secret: String,
}

/// Why a tokens file is refused. Errors do not show the file's content: it may hold a misplaced secret.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum TokensError {
    /// It is not in the format of a tokens file.
    #[error("{0}")]
    Yaml(String),
    /// It has no tokens: nobody could ever come in.
    #[error("the file has no tokens")]
    Empty,
    /// Two tokens have the same name.
    #[error("the name {0} occurs twice")]
    SameName(TokenName),
    /// Two names have the same token.
    #[error("{0} and another token have the same hash")]
    SameHash(TokenName),
}

/// The tokens in force.
#[derive(Debug)]
pub(super) struct Tokens(Vec<Token>);

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    tokens: Vec<Token>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Token {
    name: TokenName,
    role: Role,
    sha256: TokenHash,
}

/// SHA-256 of a token. A fast hash is enough: a token has 256 random bits.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Deserialize)]
#[serde(try_from = "String")]
struct TokenHash([u8; 32]);

impl NewToken {
    /// Makes a token from the operating system's entropy.
    pub fn random(name: TokenName, role: Role) -> Self {
        Self { name, role, secret: format!("{PREFIX}{}", hex::encode(random::<32>())) }
    }

    /// The token, for its holder only.
    pub fn secret(&self) -> &str {
        &self.secret
    }

    /// The line for the tokens file.
    pub fn line(&self) -> String {
        let Self { name, role, secret } = self;
        format!("- {{ name: {name}, role: {role}, sha256: {} }}", hex::encode(TokenHash::of(secret).0))
    }
}

impl Tokens {
    pub(super) fn parse(text: &[u8]) -> Result<Self, TokensError> {
        let yaml = |error: &dyn fmt::Display| TokensError::Yaml(error.to_string());
        let text = std::str::from_utf8(text).map_err(|error| yaml(&error))?;
        let file: File = serde_saphyr::from_str(text).map_err(|error| yaml(&error.without_snippet()))?;
        if file.tokens.is_empty() {
            return Err(TokensError::Empty);
        }
        let (mut names, mut hashes) = (HashSet::new(), HashSet::new());
        for token in &file.tokens {
            if !names.insert(&token.name) {
                return Err(TokensError::SameName(token.name.clone()));
            }
            if !hashes.insert(&token.sha256) {
                return Err(TokensError::SameHash(token.name.clone()));
            }
        }
        Ok(Self(file.tokens))
    }

    /// Finds whose token this is. The time that this takes reveals nothing about the hashes.
    pub(super) fn find(&self, token: &str) -> Option<(TokenName, Role)> {
        if token.len() != TOKEN_CHARS || !token.starts_with(PREFIX) {
            return None;
        }
        let presented = TokenHash::of(token);
        let mut found = u32::MAX;
        for (index, token) in (0_u32..).zip(&self.0) {
            let equal: Choice = token.sha256.0.ct_eq(&presented.0);
            found = u32::conditional_select(&found, &index, equal);
        }
        self.0.get(usize::try_from(found).ok()?).map(|token| (token.name.clone(), token.role))
    }
}

impl TokenHash {
    fn of(token: &str) -> Self {
        Self(Sha256::digest(token).into())
    }
}

impl TryFrom<String> for TokenHash {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        let mut hash = [0; 32];
        hex::decode_to_slice(text, &mut hash).map_err(|_| "sha256: must be 64 hexadecimal characters")?;
        Ok(Self(hash))
    }
}

impl FromStr for TokenName {
    type Err = TokenNameError;

    fn from_str(text: &str) -> Result<Self, TokenNameError> {
        let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
        // Tokens themselves would be valid names too.
        if (1..=64).contains(&text.len()) && text.bytes().all(allowed) && !text.starts_with(PREFIX) {
            Ok(Self(text.to_owned()))
        } else {
            Err(TokenNameError)
        }
    }
}

impl TryFrom<String> for TokenName {
    type Error = TokenNameError;

    fn try_from(text: String) -> Result<Self, TokenNameError> {
        text.parse()
    }
}

impl fmt::Display for TokenName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for Role {
    type Err = RoleError;

    fn from_str(text: &str) -> Result<Self, RoleError> {
        [Self::Prover, Self::Admin, Self::Reader].into_iter().find(|role| role.as_str() == text).ok_or(RoleError)
    }
}

impl TryFrom<String> for Role {
    type Error = RoleError;

    fn try_from(text: String) -> Result<Self, RoleError> {
        text.parse()
    }
}

impl Role {
    fn as_str(self) -> &'static str {
        match self {
            Self::Prover => "prover",
            Self::Admin => "admin",
            Self::Reader => "reader",
        }
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Debug for NewToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NewToken").field("name", &self.name).field("role", &self.role).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn new(name: &str, role: Role) -> NewToken {
        NewToken::random(name.parse().unwrap(), role)
    }

    #[test]
    fn a_token_is_found_by_its_line_and_no_other_is() {
        let (prover, admin) = (new("eu-1", Role::Prover), new("ops", Role::Admin));
        let tokens = Tokens::parse(format!("tokens:\n{}\n{}\n", prover.line(), admin.line()).as_bytes()).unwrap();
        assert_eq!(tokens.find(prover.secret()), Some(("eu-1".parse().unwrap(), Role::Prover)));
        assert_eq!(tokens.find(admin.secret()), Some(("ops".parse().unwrap(), Role::Admin)));
        let mut changed = prover.secret().to_owned();
        changed.replace_range(67.., if changed.ends_with('0') { "1" } else { "0" });
        for wrong in
            ["", "tpg_", &changed, &prover.secret()[..67], &format!("{}0", prover.secret()), prover.line().as_str()]
        {
            assert_eq!(tokens.find(wrong), None, "{wrong}");
        }
        assert_ne!(new("a", Role::Prover).secret(), new("a", Role::Prover).secret());
    }

    #[test]
    fn the_hash_of_a_word_that_can_be_guessed_lets_nobody_in() {
        let hash = hex::encode(TokenHash::of("password").0);
        let tokens = Tokens::parse(format!("tokens: [{{name: a, role: admin, sha256: {hash}}}]").as_bytes()).unwrap();
        assert_eq!(tokens.find("password"), None);
    }

    #[test]
    fn neither_debug_nor_an_error_shows_a_token() {
        let token = new("a", Role::Admin);
        assert!(!format!("{token:?}").contains(token.secret()));
        let misplaced = format!("tokens:\n- {{ name: a, role: admin, token: {} }}\n", token.secret());
        let error = Tokens::parse(misplaced.as_bytes()).unwrap_err();
        assert!(!format!("{error} {error:?}").contains(token.secret()), "{error}");
        let hash = "ab".repeat(32);
        let secret = token.secret();
        for (name, role, hash) in [(secret, "admin", &*hash), ("a", secret, &hash), ("a", "admin", secret)] {
            let misplaced = format!("tokens:\n- {{ name: {name}, role: {role}, sha256: {hash} }}\n");
            let error = Tokens::parse(misplaced.as_bytes()).unwrap_err();
            assert!(!format!("{error} {error:?}").contains(secret), "{error}");
        }
    }

    #[test]
    fn a_file_that_is_not_exactly_right_is_refused() {
        let hash = "ab".repeat(32);
        for text in [
            String::new(),
            "tokens:".to_owned(),
            "{}".to_owned(),
            "\u{0}\u{1}".to_owned(),
            "- a".to_owned(),
            format!("tokens: [{{name: a, role: root, sha256: {hash}}}]"),
            format!("tokens: [{{name: a, role: Admin, sha256: {hash}}}]"),
            format!("tokens: [{{name: 'a b', role: admin, sha256: {hash}}}]"),
            format!("tokens: [{{name: '', role: admin, sha256: {hash}}}]"),
            format!("tokens: [{{name: a, role: admin, sha256: {hash}00}}]"),
            format!("tokens: [{{name: a, role: admin, sha256: {}}}]", &hash[1..]),
            "tokens: [{name: a, role: admin, sha256: password}]".to_owned(),
            "tokens: [{name: a, role: admin}]".to_owned(),
            format!("tokens: [{{name: a, sha256: {hash}}}]"),
            format!("tokens: [{{name: a, role: admin, sha256: {hash}, more: 1}}]"),
            format!("tokens: [{{name: a, role: admin, sha256: {hash}}}]\nopen: true"),
        ] {
            assert!(matches!(Tokens::parse(text.as_bytes()), Err(TokensError::Yaml(_))), "{text}");
        }
        assert_eq!(Tokens::parse(b"tokens: []").err(), Some(TokensError::Empty));
        let entry = |name: &str, hash: &str| format!("{{name: {name}, role: admin, sha256: {hash}}}");
        let other = "cd".repeat(32);
        let same_name = format!("tokens: [{}, {}]", entry("a", &hash), entry("a", &other));
        assert_eq!(Tokens::parse(same_name.as_bytes()).err(), Some(TokensError::SameName("a".parse().unwrap())));
        let same_hash = format!("tokens: [{}, {}]", entry("a", &hash), entry("b", &hash.to_uppercase()));
        assert_eq!(Tokens::parse(same_hash.as_bytes()).err(), Some(TokensError::SameHash("b".parse().unwrap())));
        assert!(matches!(Tokens::parse(&[0xff, 0xfe]), Err(TokensError::Yaml(_))));
    }
}
