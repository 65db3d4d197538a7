//! Who may do what: tokens by role, which are kept as hashes and replaced while the server runs.

mod prover_name;
mod tokens;

use std::{net::SocketAddr, path::PathBuf};

use thiserror::Error;

pub(crate) use self::prover_name::prover_name;
use self::tokens::Tokens;
pub use self::tokens::{NewToken, Role, RoleError, TokenName, TokenNameError, TokensError};
use crate::{
    config::Config,
    watched::{self, Reload, Source, Watched},
};

/// Why access cannot be set up. The server does not start with any of these errors.
#[derive(Debug, Error)]
pub enum AccessError {
    /// Others could reach the server, and it would not ask who they are.
    #[error(
        "listening on {0} lets anyone who can reach it take batches and submit proofs: set tokens_file, or \
         danger_open: true"
    )]
    Open(SocketAddr),
    /// Tokens and `danger_open` contradict each other.
    #[error("danger_open: true contradicts tokens_file: set one of them")]
    OpenWithTokens,
    /// Tokens are not required anyway.
    #[error("public_proofs needs tokens_file: without tokens everything is public")]
    PublicWithoutTokens,
    /// The tokens file cannot be read.
    #[error("tokens_file {path}")]
    Read {
        /// The file.
        path: PathBuf,
        /// The cause.
        #[source]
        error: std::io::Error,
    },
    /// The tokens file is invalid.
    #[error("tokens_file {path}")]
    Tokens {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        #[source]
        error: TokensError,
    },
}

/// What a request wants to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Need {
    /// Nothing special: anyone may do it who does not send too many requests.
    Nothing,
    /// Take batches, submit proofs, register keys.
    Prove,
    /// See which batches there are, and their inputs.
    Inputs,
    /// Read what is published for everyone.
    Proofs,
    /// Read anything.
    Read,
    /// Add batches, change jobs.
    Administer,
}

/// Who asks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Caller {
    /// Tokens are not required.
    Anyone,
    /// The holder of a token.
    Token { name: TokenName, role: Role },
    /// Somebody without a token, or with an unknown one.
    Unknown,
}

/// Who may do what at the moment.
#[derive(Debug)]
pub(crate) struct Access {
    /// With `None`, anyone may do anything.
    tokens: Option<Watched<TokensFile>>,
    public_proofs: bool,
    /// Only this machine is served, and tokens are not required.
    pub(crate) is_local: bool,
}

#[derive(Debug)]
struct TokensFile(PathBuf);

impl Access {
    /// Reads the tokens that the configuration names. Contradictory or malformed settings are an error: they must not open access.
    pub(crate) fn open(config: &Config) -> Result<Self, AccessError> {
        let is_loopback = config.listen.ip().is_loopback();
        let tokens = match &config.tokens_file {
            Some(_) if config.danger_open => return Err(AccessError::OpenWithTokens),
            Some(path) => Some(Watched::open(TokensFile(path.clone()))?),
            None if config.public_proofs => return Err(AccessError::PublicWithoutTokens),
            None if !is_loopback && !config.danger_open => return Err(AccessError::Open(config.listen)),
            None => None,
        };
        let is_local = tokens.is_none() && is_loopback && !config.danger_open;
        Ok(Self { tokens, public_proofs: config.public_proofs, is_local })
    }

    /// Whether anyone may do anything.
    pub(crate) fn is_open(&self) -> bool {
        self.tokens.is_none()
    }

    /// Who holds this token.
    pub(crate) fn caller(&self, token: Option<&str>) -> Caller {
        let Some(file) = &self.tokens else { return Caller::Anyone };
        let known = token.and_then(|token| file.value().find(token));
        known.map_or(Caller::Unknown, |(name, role)| Caller::Token { name, role })
    }

    /// Whether the caller may do this.
    pub(crate) fn allows(&self, caller: &Caller, need: Need) -> bool {
        match (caller, need) {
            (Caller::Anyone, _) | (_, Need::Nothing) => true,
            (_, Need::Proofs) if self.public_proofs => true,
            (Caller::Unknown, _) => false,
            (Caller::Token { role: Role::Prover, .. }, need) => matches!(need, Need::Prove | Need::Inputs),
            (Caller::Token { role: Role::Reader, .. }, need) => {
                matches!(need, Need::Inputs | Need::Proofs | Need::Read)
            }
            (Caller::Token { role: Role::Admin, .. }, need) => need != Need::Prove,
        }
    }

    /// Applies the tokens file if it has changed.
    pub(crate) fn reload(&self) -> Option<Reload> {
        self.tokens.as_ref()?.reload()
    }
}

impl Source for TokensFile {
    type Content = Vec<u8>;
    type Value = Tokens;
    type Error = AccessError;
    const NAME: &'static str = "tokens";

    fn read(&self) -> Result<Vec<u8>, AccessError> {
        watched::read(&self.0).map_err(|error| AccessError::Read { path: self.0.clone(), error })
    }

    fn parse(&self, content: &Vec<u8>) -> Result<Tokens, AccessError> {
        Tokens::parse(content).map_err(|error| AccessError::Tokens { path: self.0.clone(), error })
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn config(change: impl FnOnce(&mut Config)) -> Config {
        let mut config = Config::new("sqlite://x".to_owned(), "memory://".parse().unwrap());
        change(&mut config);
        config
    }

    fn tokens_file(text: &str) -> tempfile::NamedTempFile {
        let file = tempfile::NamedTempFile::new().unwrap();
        fs::write(file.path(), text).unwrap();
        file
    }

    fn line(name: &str, role: Role) -> (String, String) {
        let token = NewToken::random(name.parse().unwrap(), role);
        (token.secret().to_owned(), format!("tokens:\n{}\n", token.line()))
    }

    #[test]
    fn only_loopback_is_open_without_being_asked() {
        assert!(Access::open(&config(|_| ())).unwrap().is_local);
        assert!(Access::open(&config(|config| config.listen = "[::1]:0".parse().unwrap())).unwrap().is_local);
        for address in ["0.0.0.0:1", "[::]:1", "10.0.0.1:1", "192.168.1.1:1"] {
            let open = config(|config| config.listen = address.parse().unwrap());
            assert!(matches!(Access::open(&open), Err(AccessError::Open(_))), "{address}");
            let access = Access::open(&Config { danger_open: true, ..open }).unwrap();
            assert!(access.is_open() && !access.is_local);
        }
    }

    #[test]
    fn what_contradicts_itself_does_not_start() {
        let file = tokens_file(&line("a", Role::Admin).1);
        let both = config(|config| {
            config.danger_open = true;
            config.tokens_file = Some(file.path().to_owned());
        });
        assert!(matches!(Access::open(&both), Err(AccessError::OpenWithTokens)));
        let public = config(|config| config.public_proofs = true);
        assert!(matches!(Access::open(&public), Err(AccessError::PublicWithoutTokens)));
        let missing = config(|config| config.tokens_file = Some("/nowhere/tokens".into()));
        assert!(matches!(Access::open(&missing), Err(AccessError::Read { .. })));
        let empty = tokens_file("");
        let empty = config(|config| config.tokens_file = Some(empty.path().to_owned()));
        assert!(matches!(Access::open(&empty), Err(AccessError::Tokens { .. })));
    }

    #[test]
    fn each_role_may_do_its_own() {
        let access = |public_proofs| Access { tokens: None, public_proofs, is_local: false };
        let token = |role| Caller::Token { name: "x".parse().unwrap(), role };
        let all = [Need::Prove, Need::Inputs, Need::Proofs, Need::Read, Need::Administer];
        for (caller, allowed) in [
            (Caller::Anyone, [true, true, true, true, true]),
            (Caller::Unknown, [false, false, false, false, false]),
            (token(Role::Prover), [true, true, false, false, false]),
            (token(Role::Reader), [false, true, true, true, false]),
            (token(Role::Admin), [false, true, true, true, true]),
        ] {
            assert_eq!(all.map(|need| access(false).allows(&caller, need)), allowed, "{caller:?}");
            assert!(access(true).allows(&caller, Need::Proofs));
            assert!(access(false).allows(&caller, Need::Nothing));
        }
    }

    #[test]
    fn a_changed_file_is_taken_over_and_a_broken_one_is_not() {
        let (first, first_line) = line("first", Role::Reader);
        let (second, second_line) = line("second", Role::Admin);
        let file = tokens_file(&first_line);
        let access = Access::open(&config(|config| config.tokens_file = Some(file.path().to_owned()))).unwrap();
        let names = |token: &str| match access.caller(Some(token)) {
            Caller::Token { name, .. } => Some(name.to_string()),
            _ => None,
        };
        assert_eq!((names(&first).as_deref(), names(&second)), (Some("first"), None));
        for broken in ["", "tokens: []", "tokens:\n- name: x\n", "\u{0}"] {
            fs::write(file.path(), broken).unwrap();
            access.reload();
            assert_eq!(names(&first).as_deref(), Some("first"), "{broken:?}");
        }
        fs::remove_file(file.path()).unwrap();
        access.reload();
        assert_eq!(names(&first).as_deref(), Some("first"));
        fs::write(file.path(), second_line).unwrap();
        access.reload();
        assert_eq!((names(&first), names(&second).as_deref()), (None, Some("second")));
        assert_eq!(access.caller(None), Caller::Unknown);
    }
}
