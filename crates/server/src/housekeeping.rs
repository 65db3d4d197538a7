//! What takes many small steps, in the background: jobs of TEE types that come or go.

use std::time::Duration;

use tokio::time::sleep;

use crate::Store;

/// How often the database is asked whether there is something to do.
const LOOK_INTERVAL: Duration = Duration::from_secs(1);

/// Goes on for ever. All of it is in the database: what one server leaves undone another goes on with.
pub(crate) async fn run(store: Store) {
    loop {
        match store.storage.advance_tee_types(store.clock.now_ms()).await {
            Ok(true) => continue,
            Ok(false) => {}
            Err(error) => tracing::error!(%error, "jobs of a type of enclave cannot be made or removed"),
        }
        sleep(LOOK_INTERVAL).await;
    }
}
