//! The schema, and how a database is brought to it.

use std::borrow::Cow;

use sqlx::{
    AnyConnection, AssertSqlSafe, Connection, SqlSafeStr,
    migrate::{MigrateError, Migration, Migrator},
};
use thiserror::Error;

use super::{DatabaseUrl, DatabaseUrlError, sqlite_writer};

static MIGRATIONS: Migrator = sqlx::migrate!();

/// The number of the migration lock: this server's name in ASCII. Nothing else in the database uses it for a lock.
const MIGRATION_LOCK: &str = "SELECT pg_advisory_xact_lock(x'7465652d707276'::bigint)";

/// The outcome of a migration.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Migrated {
    /// The database's schema version, which this program knows.
    pub version: i64,
}

/// Why a database cannot be opened or brought to the schema.
#[derive(Debug, Error)]
pub enum MigrationError {
    /// The URL is neither SQLite's nor PostgreSQL's.
    #[error(transparent)]
    Url(#[from] DatabaseUrlError),
    /// A newer version of this program has migrated the database. What it wrote may not be what this one expects.
    #[error("the database has schema {found}, this program knows schemas up to {known}: run a newer version")]
    Newer {
        /// The version that the database has.
        found: i64,
        /// The newest version that this program knows.
        known: i64,
    },
    /// The database failed.
    #[error("database")]
    Database(#[from] sqlx::Error),
    /// A migration failed, or differs from the one that was applied under its number.
    #[error("database")]
    Migration(#[source] MigrateError),
}

/// Applies the migrations that a database lacks, as a server does when it starts. It does so in one transaction and under a lock,
/// since several servers may start at once.
pub async fn migrate(url: &DatabaseUrl) -> Result<Migrated, MigrationError> {
    sqlx::any::install_default_drivers();
    let url = url.connection_url()?;
    let known = MIGRATIONS.iter().map(|migration| migration.version).max().unwrap_or(0);
    let (mut connection, begin, migrations);
    if url.starts_with("sqlite:") {
        connection = sqlite_writer::connect(&url).await?;
        (begin, migrations) = ("BEGIN IMMEDIATE", MIGRATIONS.iter().cloned().collect());
    } else {
        connection = AnyConnection::connect(&url).await?;
        (begin, migrations) = ("BEGIN", MIGRATIONS.iter().map(for_postgres).collect());
    }
    let mut transaction = connection.begin_with(begin).await?;
    if transaction.backend_name() == "PostgreSQL" {
        sqlx::query(MIGRATION_LOCK).execute(&mut *transaction).await?;
    }
    let mut migrator = Migrator::with_migrations(migrations);
    // The transaction holds the lock already.
    migrator.set_locking(false);
    // `run` does the same, but a future that holds `run`'s cannot be sent between threads.
    migrator.run_direct(None, &mut *transaction, false).await.map_err(|error| match error {
        MigrateError::VersionMissing(found) => MigrationError::Newer { found, known },
        error => MigrationError::Migration(error),
    })?;
    transaction.commit().await?;
    connection.close().await?;
    Ok(Migrated { version: known })
}

fn for_postgres(migration: &Migration) -> Migration {
    let sql = AssertSqlSafe(migration.sql.as_str().replace(" BLOB", " BYTEA")).into_sql_str();
    let description: Cow<'static, str> = migration.description.clone();
    Migration::new(migration.version, description, migration.migration_type, sql, migration.no_tx)
}
