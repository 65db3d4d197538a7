//! A server for commands that ask one.

use std::path::Path;

use tee_server::{Config, ObjectStoreUrl};

/// A server on SQLite, at a port of its choice, that judges neither quotes nor code.
pub(crate) fn config(folder: &Path) -> Config {
    let database = format!("sqlite://{}", folder.join("tee.sqlite").display());
    let mut config = Config::new(database, ObjectStoreUrl::folder(&folder.join("inputs")));
    config.danger_unjudged_quotes = true;
    config.danger_any_code = true;
    config.listen = "127.0.0.1:0".parse().unwrap();
    config
}
