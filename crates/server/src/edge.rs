//! What stands between the network and the endpoints: connections, TLS, access, and limits on requests.

mod access;
mod least_rate;
mod limits;
mod sending;
mod serve;
mod tls;

pub(crate) use self::{
    access::{Access, Caller, Need, prover_name},
    least_rate::{LeastRate, Pace},
    limits::{Asker, PeerConnection, PeerConnections, PeerKey, RateLimiter},
    sending::Sending,
    serve::{Peer, serve},
    tls::Tls,
};
pub use self::{
    access::{AccessError, NewToken, Role, RoleError, TokenName, TokenNameError, TokensError},
    limits::{Limits, LimitsError},
    serve::serve_router,
    tls::{TlsConfig, TlsError},
};
