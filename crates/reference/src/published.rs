//! Converts this project's types to zksync-era's published ones, through their common JSON form.

use serde::{Serialize, de::DeserializeOwned};

/// The same value in a published type. An error means that the published types cannot represent it.
pub(crate) fn published<T: DeserializeOwned>(ours: &impl Serialize) -> Result<T, serde_json::Error> {
    serde_json::from_slice(&serde_json::to_vec(ours)?)
}
