//! From this project's types to zksync-era's published ones, by what both write.

use serde::{Serialize, de::DeserializeOwned};

/// The same value in a published type. An error says that the published types do not know it.
pub(crate) fn published<T: DeserializeOwned>(ours: &impl Serialize) -> Result<T, serde_json::Error> {
    serde_json::from_slice(&serde_json::to_vec(ours)?)
}
