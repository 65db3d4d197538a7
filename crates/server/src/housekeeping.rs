//! Background work: the jobs of TEE types that are added or retired, the batches of revoked keys, and inputs that are
//! no longer needed, all in many small steps; and reading the database's clock.

use std::time::Duration;

use tokio::time::{Instant, sleep};

use crate::{
    batches::{ObjectStoreFault, Retention},
    clock::Clock,
    service::Service,
};

/// How often the database is asked for work.
const LOOK_INTERVAL: Duration = Duration::from_secs(1);

/// The pause after a failure, for example while the database is down.
const PAUSE_AFTER_FAILURE: Duration = Duration::from_secs(10);

/// How often the database is asked for the time.
const CLOCK_INTERVAL: Duration = Duration::from_secs(10);

/// The clock skew from which on a warning is logged. Leases do not depend on this machine's clock; logs and quotes do.
const WARNED_SKEW_MS: u64 = 2000;

/// Never returns. All state is in the database, so that one server continues what another left undone.
pub(crate) async fn run(service: Service, mut retention: Option<Retention>) {
    let mut clock_asked = None::<Instant>;
    loop {
        if clock_asked.is_none_or(|asked| asked.elapsed() >= CLOCK_INTERVAL) {
            clock_asked = Some(Instant::now());
            if let Err(error) = ask_clock(&service).await {
                tracing::error!(%error, "cannot read the database's clock");
            }
        }
        match advance(&service, retention.as_mut()).await {
            Ok(true) => {}
            Ok(false) => sleep(LOOK_INTERVAL).await,
            Err(error) => {
                tracing::error!(error = tee_api::chain(&error), "background work failed");
                sleep(PAUSE_AFTER_FAILURE).await;
            }
        }
    }
}

/// Does one step of each kind of work. False when nothing is left.
async fn advance(service: &Service, retention: Option<&mut Retention>) -> Result<bool, ObjectStoreFault> {
    let now_ms = service.clock.now_ms();
    let (of_types, of_keys) =
        (service.database.advance_tee_types(now_ms).await?, service.database.advance_revocations(now_ms).await?);
    let of_inputs = match retention {
        Some(retention) => retention.advance(service).await?,
        None => false,
    };
    Ok(of_types || of_keys || of_inputs)
}

async fn ask_clock(service: &Service) -> Result<(), sqlx::Error> {
    let Clock::Database(clock) = &service.clock else { return Ok(()) };
    if let Some(now_ms) = service.database.database_now_ms().await? {
        clock.set(now_ms);
    }
    let skew_ms = clock.skew_ms();
    if skew_ms.unsigned_abs() > WARNED_SKEW_MS {
        tracing::warn!(skew_ms, "this machine's clock differs from the database's");
    }
    Ok(())
}
