//! What relayers want signed for contracts: requests are fetched from a server and answered.
//!
//! A server's requests cannot obtain anything harmful: a statement is signed only for a verified batch and for the
//! contract that the signature names, and a registration signature proves only that the key exists.

use crate::{
    endpoint::{Endpoint, Fault},
    identity::{Enclave, Identity},
    metrics::Request,
    shared::Shared,
};
use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};
use tee_api::{ClientError, Contract, SigningRequest};
use tokio::time::sleep;

/// How often a server is asked. A signed block must be one of the last 255.
const INTERVAL: Duration = Duration::from_secs(60);
/// How often a server is asked that does not know such requests.
const UNKNOWN_INTERVAL: Duration = Duration::from_secs(60 * 60);

/// What the relayers of one server want signed.
#[derive(Debug, Default)]
pub(crate) struct SigningRequests(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    requests: Vec<SigningRequest>,
    /// The `requests` that the key has answered with a registration signature.
    answered: Vec<SigningRequest>,
    is_unknown: bool,
}

/// Asks a server repeatedly, as long as the future is polled.
pub(crate) async fn follow(shared: Arc<Shared>, endpoint: Arc<Endpoint>) {
    let Identity::Enclave(enclave) = &shared.identity else { return };
    loop {
        let is_unknown = endpoint.signing_requests.state().is_unknown;
        sleep(if is_unknown { UNKNOWN_INTERVAL } else { INTERVAL }).await;
        if endpoint.is_registered() {
            endpoint.signing_requests.answer(&endpoint, enclave).await;
        }
    }
}

impl SigningRequests {
    /// The contracts for which statements are signed.
    pub(crate) fn contracts(&self) -> Vec<Contract> {
        self.state().requests.iter().map(SigningRequest::contract).collect()
    }

    /// Fetches the requests, and answers new ones with a signature that proves that the key exists. A failure is tried
    /// again with the next request: proofs do not wait for it.
    pub(crate) async fn answer(&self, endpoint: &Endpoint, enclave: &Enclave) {
        let failed = |error: ClientError| {
            endpoint.metrics.retries[&(Request::Sign, Fault::of(&error))].inc();
            tracing::warn!(server = endpoint.url, %error, "cannot answer the requests for signatures for contracts");
        };
        let requests = match endpoint.client.signing_requests().await {
            Ok(requests) => requests,
            Err(ClientError::Refused { status: 404 | 405, .. }) => {
                *self.state() = State { is_unknown: true, ..State::default() };
                return;
            }
            Err(error) => return failed(error),
        };
        let new = self.replace(requests);
        for request in new {
            let signature = enclave.key.sign_registration(&request);
            match endpoint.client.submit_registration_signature(&signature).await {
                Ok(()) => self.state().answered.push(request),
                Err(error) => failed(error),
            }
        }
    }

    /// Stores what is wanted now, and returns what is new.
    fn replace(&self, requests: Vec<SigningRequest>) -> Vec<SigningRequest> {
        let mut state = self.state();
        state.is_unknown = false;
        state.answered.retain(|answered| requests.contains(answered));
        let new = requests.iter().filter(|request| !state.answered.contains(request)).copied().collect();
        state.requests = requests;
        new
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
