//! Checks that the object store is the one with this database's inputs. An unmounted disk is an empty folder, in which every input
//! is missing; believing that would cost all batches their jobs.

use tee_verifier::InputForm;
use thiserror::Error;

use super::{Inputs, OpenInputError, STORE_MARKER};
use crate::{crypto::random, database::Database, service::Service};

/// Why the object store cannot be used.
#[derive(Debug, Error)]
pub enum ObjectStoreFault {
    /// It does not answer.
    #[error("the object store does not answer")]
    Unavailable(#[from] object_store::Error),
    /// It is empty, or a different one.
    #[error(
        "the object store is empty or belongs to another database: it must hold {STORE_MARKER} with the content \
         {expected}"
    )]
    Wrong {
        /// The content that the marker must have.
        expected: String,
    },
    /// The database does not say which store is the right one.
    #[error("the database does not answer")]
    Database(#[from] sqlx::Error),
}

/// Finds out which marker the store must have, and writes it the first time.
pub(crate) async fn marker(database: &Database, inputs: &Inputs) -> Result<String, ObjectStoreFault> {
    let known = database.object_store_marker(hex::encode(random::<16>())).await?;
    let found = inputs.marker().await?;
    if known.confirmed {
        let wrong = || ObjectStoreFault::Wrong { expected: known.content.clone() };
        // A store in memory is gone when the process ends, so the marker is written again.
        return match found {
            Some(found) if found == known.content => Ok(found),
            None if inputs.are_in_memory() => {
                inputs.put_marker(&known.content).await?;
                Ok(known.content)
            }
            _ => Err(wrong()),
        };
    }
    let content = match found {
        // The database is new and the store in use, or somebody put the marker there by hand.
        Some(found) => found,
        None => {
            // The database is older than the markers. Its latest input serves as a sign of the right store.
            if let Some(latest) = database.latest_batch().await?
                && !inputs.are_in_memory()
            {
                match inputs.open_blob(&latest, InputForm::Cbor).await {
                    Err(OpenInputError::Missing) => return Err(ObjectStoreFault::Wrong { expected: known.content }),
                    Err(OpenInputError::Store(error)) => return Err(error.into()),
                    Ok(_) | Err(OpenInputError::Size { .. }) => {}
                }
            }
            inputs.put_marker(&known.content).await?;
            known.content
        }
    };
    database.confirm_object_store_marker(content.clone()).await?;
    Ok(content)
}

/// Whether the object store answers and is the right one.
pub(crate) async fn check(service: &Service) -> Result<(), ObjectStoreFault> {
    match service.inputs.marker().await? {
        Some(found) if found == *service.object_store_marker => Ok(()),
        _ => Err(ObjectStoreFault::Wrong { expected: service.object_store_marker.to_string() }),
    }
}
