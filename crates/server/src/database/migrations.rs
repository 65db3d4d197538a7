//! The schema, and how a database is brought to it.

use sqlx::{
    AnyConnection, AssertSqlSafe, Connection, SqlSafeStr, SqlStr,
    migrate::{MigrateError, Migration, MigrationType, Migrator},
};
use thiserror::Error;

use super::{DatabaseUrl, DatabaseUrlError, sqlite_writer};

/// Files of `migrations/`: their names begin with their versions.
macro_rules! files {
    ($($file:literal)*) => {
        &[$(($file, include_str!(concat!("../../migrations/", $file)))),*]
    };
}

// Listed here: `sqlx::migrate!` would build the database's library once more, for the compiler to link.
static FILES: &[(&str, &str)] = files! {
    "0001_initial.sql"
    "0002_contradictions.sql"
    "0003_write_probe.sql"
    "0004_object_store_marker.sql"
    "0005_suspension.sql"
    "0006_provers.sql"
    "0007_tee_types.sql"
    "0008_resolutions.sql"
    "0009_input_completions.sql"
    "0010_retention.sql"
    "0011_good_collateral.sql"
    "0012_waiting_jobs.sql"
    "0013_claims.sql"
    "0014_key_standing.sql"
    "0015_quote_hash.sql"
    "0016_signing_requests.sql"
    "0017_user_agents.sql"
    "0018_transactions.sql"
};

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
    #[error("the database has schema {found}, but this program only knows schemas up to {known}: run a newer version")]
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
    let known = FILES.len() as i64;
    let (mut connection, begin, migrations);
    if url.starts_with("sqlite:") {
        connection = sqlite_writer::connect(&url).await?;
        (begin, migrations) = ("BEGIN IMMEDIATE", migrations_in(|sql| sql.into_sql_str()));
    } else {
        connection = AnyConnection::connect(&url).await?;
        (begin, migrations) =
            ("BEGIN", migrations_in(|sql| AssertSqlSafe(sql.replace(" BLOB", " BYTEA")).into_sql_str()));
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

/// All migrations, in a database's dialect.
fn migrations_in(dialect: impl Fn(&'static str) -> SqlStr) -> Vec<Migration> {
    let files = (1..).zip(FILES);
    let migration = |(version, &(file, sql)): (i64, &(&'static str, &'static str))| {
        let description = file.trim_start_matches(|c: char| c.is_ascii_digit() || c == '_').trim_end_matches(".sql");
        Migration::new(version, description.replace('_', " ").into(), MigrationType::Simple, dialect(sql), false)
    };
    files.map(migration).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_migration_of_the_folder_is_listed_under_its_number() {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/migrations");
        let mut files: Vec<_> =
            std::fs::read_dir(folder).unwrap().map(|file| file.unwrap().file_name().into_string().unwrap()).collect();
        files.sort();
        assert_eq!(files, FILES.iter().map(|(file, _)| *file).collect::<Vec<_>>());
        for (number, file) in (1..).zip(files) {
            assert!(file.starts_with(&format!("{number:04}_")), "{file}");
        }
    }
}
