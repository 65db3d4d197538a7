//! A PCCS that has what a simulated machine's manufacturer would publish.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
};

use axum::{
    Router,
    extract::State,
    http::{HeaderName, StatusCode, Uri},
    response::{IntoResponse, Response},
};
use tee_attestation::Collateral;

/// For each path, a header, its value, and the body.
pub(crate) type Answers = Arc<Mutex<HashMap<String, (String, String, Vec<u8>)>>>;

#[derive(Clone, Default)]
pub(crate) struct Service {
    pub(crate) answers: Answers,
    asked: Arc<AtomicUsize>,
}

impl Service {
    pub(crate) fn publish(&self, sgx: &Collateral, tdx: &Collateral) {
        let fmspc = sgx.tcb_info_head().unwrap().fmspc;
        let mut answers = self.answers.lock().unwrap();
        let mut put = |path: String, header: &str, chain: &str, body: Vec<u8>| {
            let encoded = chain.replace('\n', "%0A").replace('+', "%2B").replace(' ', "%20");
            answers.insert(path, (header.to_owned(), encoded, body));
        };
        for (tee, collateral) in [("sgx", sgx), ("tdx", tdx)] {
            let signed = |name: &str, text: &str, signature: &[u8]| {
                format!(r#"{{"{name}":{text},"signature":"{}"}}"#, hex::encode(signature)).into_bytes()
            };
            let info = signed("tcbInfo", &collateral.tcb_info, &collateral.tcb_info_signature);
            let path = format!("/x/{tee}/certification/v4/tcb?fmspc={fmspc}");
            put(path, "TCB-Info-Issuer-Chain", &collateral.tcb_info_issuer_chain, info);
            let identity = signed("enclaveIdentity", &collateral.qe_identity, &collateral.qe_identity_signature);
            let path = format!("/x/{tee}/certification/v4/qe/identity");
            put(path, "SGX-Enclave-Identity-Issuer-Chain", &collateral.qe_identity_issuer_chain, identity);
        }
        let path = "/x/sgx/certification/v4/pckcrl?ca=processor&encoding=der".to_owned();
        put(path, "SGX-PCK-CRL-Issuer-Chain", &sgx.pck_crl_issuer_chain, sgx.pck_crl.clone());
        let root = hex::encode(&sgx.root_ca_crl).into_bytes();
        put("/x/sgx/certification/v4/rootcacrl".to_owned(), "x-nothing", "", root);
    }

    pub(crate) fn router(&self) -> Router {
        Router::new().fallback(answer).with_state(self.clone())
    }

    pub(crate) async fn url(&self) -> String {
        let router = self.router();
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/x/sgx/certification/v4/", listener.local_addr().unwrap());
        tokio::spawn(async { axum::serve(listener, router).await.unwrap() });
        url
    }

    #[allow(dead_code, reason = "not every test asks")]
    pub(crate) fn asked(&self) -> usize {
        self.asked.load(Ordering::SeqCst)
    }
}

async fn answer(State(service): State<Service>, uri: Uri) -> Response {
    service.asked.fetch_add(1, Ordering::SeqCst);
    match service.answers.lock().unwrap().get(&uri.to_string()) {
        Some((header, chain, body)) => {
            let headers = [(HeaderName::try_from(header.clone()).unwrap(), chain.clone())];
            (headers, body.clone()).into_response()
        }
        None => StatusCode::NOT_FOUND.into_response(),
    }
}
