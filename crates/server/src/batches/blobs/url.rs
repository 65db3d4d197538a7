//! Where objects are kept: a folder, a bucket, or the process's memory.

use std::{fmt, path::Path, str::FromStr, sync::Arc};

use object_store::{ObjectStore, local::LocalFileSystem, memory::InMemory};
use serde::Deserialize;
use thiserror::Error;

/// `file://FOLDER`, `s3://BUCKET/PREFIX`, `gs://BUCKET/PREFIX` or `memory://`.
///
/// Credentials, region and endpoint of a bucket come from the environment, under the names that the clouds' own tools
/// use: `AWS_ACCESS_KEY_ID`, `AWS_REGION`, `AWS_ENDPOINT_URL`, `GOOGLE_SERVICE_ACCOUNT` and so on.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct ObjectStoreUrl {
    scheme: Scheme,
    /// What follows `://`.
    place: String,
}

/// The text is not the URL of an object store.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("object store: must be file://FOLDER, s3://BUCKET/PREFIX, gs://BUCKET/PREFIX or memory://, without parameters")]
pub struct ObjectStoreUrlError;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Scheme {
    File,
    S3,
    Gs,
    Memory,
}

impl FromStr for ObjectStoreUrl {
    type Err = ObjectStoreUrlError;

    fn from_str(url: &str) -> Result<Self, ObjectStoreUrlError> {
        let (scheme, place) = url.split_once("://").ok_or(ObjectStoreUrlError)?;
        // Parameters are not supported anywhere, and would become part of a name.
        if place.contains('?') {
            return Err(ObjectStoreUrlError);
        }
        let scheme = match (scheme, place.is_empty()) {
            ("file", false) => Scheme::File,
            ("s3", false) => Scheme::S3,
            ("gs", false) => Scheme::Gs,
            ("memory", true) => Scheme::Memory,
            _ => return Err(ObjectStoreUrlError),
        };
        Ok(Self { scheme, place: place.to_owned() })
    }
}

impl TryFrom<String> for ObjectStoreUrl {
    type Error = ObjectStoreUrlError;

    fn try_from(url: String) -> Result<Self, ObjectStoreUrlError> {
        url.parse()
    }
}

impl fmt::Display for ObjectStoreUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = match self.scheme {
            Scheme::File => "file",
            Scheme::S3 => "s3",
            Scheme::Gs => "gs",
            Scheme::Memory => "memory",
        };
        write!(f, "{scheme}://{}", self.place)
    }
}

impl ObjectStoreUrl {
    /// The URL of a folder, whose name may hold any character.
    pub fn folder(path: &Path) -> Self {
        Self { scheme: Scheme::File, place: path.display().to_string() }
    }

    /// Opens the store. A missing folder is created; a bucket is not contacted yet.
    pub(crate) fn open(&self) -> Result<Arc<dyn ObjectStore>, object_store::Error> {
        crate::crypto::install();
        match self.scheme {
            Scheme::File => {
                std::fs::create_dir_all(&self.place)
                    .map_err(|source| object_store::Error::Generic { store: "folder", source: source.into() })?;
                // With fsync, so that what was acknowledged survives a power cut.
                Ok(Arc::new(LocalFileSystem::new_with_prefix(&self.place)?.with_fsync(true)))
            }
            Scheme::Memory => Ok(Arc::new(InMemory::new())),
            #[cfg(feature = "shared-stores")]
            Scheme::S3 | Scheme::Gs => self.open_bucket(),
            #[cfg(not(feature = "shared-stores"))]
            Scheme::S3 | Scheme::Gs => Err(object_store::Error::Generic {
                store: "bucket",
                source: "this program was built without support for s3:// and gs://".into(),
            }),
        }
    }

    #[cfg(feature = "shared-stores")]
    fn open_bucket(&self) -> Result<Arc<dyn ObjectStore>, object_store::Error> {
        use std::time::Duration;

        use object_store::{
            RetryConfig, aws::AmazonS3Builder, gcp::GoogleCloudStorageBuilder, path::Path as ObjectPath,
            prefix::PrefixStore,
        };
        // Callers that wait for the store have less patience than its library's 3 minutes, and try again.
        let retry = RetryConfig { max_retries: 2, retry_timeout: Duration::from_secs(5), ..RetryConfig::default() };
        let (bucket, prefix) = self.bucket();
        let prefix = ObjectPath::from(prefix);
        Ok(if self.scheme == Scheme::S3 {
            let builder = AmazonS3Builder::from_env().with_retry(retry).with_bucket_name(bucket);
            Arc::new(PrefixStore::new(builder.build()?, prefix))
        } else {
            let builder = GoogleCloudStorageBuilder::from_env().with_retry(retry).with_bucket_name(bucket);
            Arc::new(PrefixStore::new(builder.build()?, prefix))
        })
    }

    #[cfg(feature = "shared-stores")]
    fn bucket(&self) -> (&str, &str) {
        self.place.split_once('/').unwrap_or((&self.place, ""))
    }

    /// Whether it is gone when the process ends.
    pub(crate) fn is_memory(&self) -> bool {
        self.scheme == Scheme::Memory
    }

    /// The folder, if the store is one.
    pub(crate) fn as_folder(&self) -> Option<&Path> {
        (self.scheme == Scheme::File).then(|| Path::new(&self.place))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn four_kinds_of_store_are_named_by_urls() {
        for url in ["file:///a b/c", "file://inputs", "s3://bucket", "s3://bucket/a/b", "gs://bucket/a", "memory://"] {
            assert_eq!(url.parse::<ObjectStoreUrl>().unwrap().to_string(), url);
        }
        for none in ["", "inputs", "/inputs", "file://", "s3://", "gs://", "memory://x", "http://x/y", "S3://bucket"] {
            assert_eq!(none.parse::<ObjectStoreUrl>(), Err(ObjectStoreUrlError), "{none}");
        }
        for parameter in ["file://inputs?mode=rw", "s3://bucket?region=eu", "gs://bucket/a?b=c", "memory://?"] {
            assert_eq!(parameter.parse::<ObjectStoreUrl>(), Err(ObjectStoreUrlError), "{parameter}");
        }
        #[cfg(feature = "shared-stores")]
        {
            let url: ObjectStoreUrl = "s3://bucket/a/b".parse().unwrap();
            assert_eq!(url.bucket(), ("bucket", "a/b"));
        }
    }
}
