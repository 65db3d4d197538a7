//! What to do about an error.

use anyhow::Error;
use tee_api::{ClientError, NetworkError};

/// What to do if an error comes from a server.
pub(crate) fn of(error: &Error) -> Option<&'static str> {
    error.chain().find_map(|cause| cause.downcast_ref()).and_then(of_client)
}

pub(crate) fn of_client(error: &ClientError) -> Option<&'static str> {
    Some(match error {
        ClientError::Refused { status: 401, .. } => "give a token's file with --token-file, or set TEECTL_TOKEN",
        ClientError::Refused { status: 403, .. } => {
            "the token's role does not allow this: lists need a reader's token, changes an admin's"
        }
        ClientError::Refused { .. } => return None,
        ClientError::Network { error: NetworkError::Connect(_), .. } => {
            "check that the server runs at this address (--server) and can be reached; for a self-signed certificate \
             use --ca-file"
        }
        ClientError::Network { error: NetworkError::Unavailable { .. }, .. } => {
            "the server is up but cannot do its work: its log and /health/ready say why"
        }
        ClientError::Network { .. } => "try again; if that does not help, see the server's log",
        ClientError::Answer(_) => {
            "check that this is the address of a tee-proof-server (--server), not of another program"
        }
    })
}

#[cfg(test)]
mod tests {
    use anyhow::Context;

    use super::*;

    #[test]
    fn the_servers_error_is_found_in_the_chain() {
        let refused = |status| ClientError::Refused { status, code: None, detail: String::new() };
        let error = Err::<(), _>(refused(401)).context("jobs").unwrap_err();
        assert!(of(&error).unwrap().contains("--token-file"));
        assert_eq!(of(&refused(409).into()), None);
        assert_eq!(of(&anyhow::anyhow!("another")), None);
    }
}
