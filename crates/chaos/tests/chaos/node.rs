//! A node whose batches a server mirrors. It can be good and bad.

use std::{
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError},
};

use axum::{
    Router,
    extract::{Path, State},
    http::StatusCode,
    response::{IntoResponse, Response},
    routing::get,
};

use crate::{batches, dice::Dice, ledger::Ledger};

/// A stand-in for a zksync-era node. Clones share their state.
#[derive(Clone)]
pub(crate) struct Node(Arc<Inner>);

struct Inner {
    folder: PathBuf,
    ledger: Arc<Ledger>,
    /// Decides at random whether a request goes wrong, and how, while the node is bad.
    bad: Mutex<Option<Dice>>,
}

impl Node {
    pub(crate) fn new(folder: PathBuf, ledger: Arc<Ledger>) -> Self {
        Self(Arc::new(Inner { folder, ledger, bad: Mutex::new(None) }))
    }

    pub(crate) async fn url(&self) -> String {
        let router = Router::new()
            .route("/tee/present_batches", get(present))
            .route("/tee/proof_inputs_no_lock/{number}", get(input))
            .with_state(self.clone());
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        tokio::spawn(async { axum::serve(listener, router).await.unwrap() });
        url
    }

    pub(crate) fn turn_bad(&self, dice: Dice) {
        *self.0.bad.lock().unwrap_or_else(PoisonError::into_inner) = Some(dice);
    }

    pub(crate) fn turn_good(&self) {
        *self.0.bad.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }

    fn throw(&self) -> Option<u64> {
        self.0.bad.lock().unwrap_or_else(PoisonError::into_inner).as_mut().map(|dice| dice.below(5))
    }
}

async fn present(State(node): State<Node>) -> Response {
    let numbers = {
        let entries = node.0.ledger.entries();
        entries.roots.keys().next().copied().zip(entries.roots.keys().next_back().copied())
    };
    let Some((oldest, latest)) = numbers else { return StatusCode::NOT_FOUND.into_response() };
    format!(r#"{{"oldest_batch":{oldest},"latest_batch":{latest}}}"#).into_response()
}

async fn input(State(node): State<Node>, Path(number): Path<u32>) -> Response {
    let file = std::fs::read(batches::file(&node.0.folder, number));
    let headers = [("content-type", "application/json"), ("content-encoding", "zstd")];
    match (node.throw(), file) {
        (Some(0), _) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
        (Some(1), _) => "{}".into_response(),
        (Some(2), Ok(file)) => (headers, file[..file.len() / 2].to_vec()).into_response(),
        (Some(3), _) => {
            // Longer than any client waits.
            tokio::time::sleep(std::time::Duration::from_secs(8)).await;
            StatusCode::BAD_GATEWAY.into_response()
        }
        (_, Ok(file)) => (headers, file).into_response(),
        (_, Err(_)) => StatusCode::NOT_FOUND.into_response(),
    }
}
