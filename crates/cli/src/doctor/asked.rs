//! Checks what the command line names: files, services and servers.

use std::{
    path::Path,
    time::{Duration, SystemTime},
};

use anyhow::{Context, Result};
use tee_api::{ClientError, chain};
use tee_attestation::{CollateralSource, SourceError};
use tee_checker::read_policy;

use super::{
    Args,
    check::{Check, Part},
};
use crate::{PROGRAM, advice, server::ConnectionArgs};

/// With a clock this far off, certificates and quotes can seem not yet valid or expired. `Date` has a precision of a second.
const MOST_SKEW: Duration = Duration::from_secs(5);

/// The checks that were asked for.
pub(super) struct Asked<'a> {
    policy: Option<&'a Path>,
    pccs: Option<&'a str>,
    server: Option<&'a str>,
    connection: &'a ConnectionArgs,
}

/// A remote time, and the local time when it was read.
struct Time {
    whose: String,
    theirs: SystemTime,
    ours: SystemTime,
}

impl<'a> Asked<'a> {
    pub(super) fn of(args: &'a Args) -> Self {
        let Args { policy, pccs, server, connection, .. } = args;
        Self { policy: policy.as_deref(), pccs: pccs.as_deref(), server: server.as_deref(), connection }
    }

    pub(super) async fn checks(&self) -> Vec<Check> {
        let mut checks: Vec<_> = self.policy.map(policy).into_iter().collect();
        let mut time = None;
        if let Some(url) = self.server {
            let (check, said) = self.server(url).await;
            checks.push(check);
            time = said;
        }
        if let Some(urls) = self.pccs {
            let (check, said) = collateral(urls).await;
            checks.push(check);
            time = time.or(said);
        }
        checks.extend(time.map(|time| time.check()));
        checks
    }

    async fn server(&self, url: &str) -> (Check, Option<Time>) {
        let asked = async { Ok::<_, anyhow::Error>(self.connection.client(url)?.ready().await?) };
        match asked.await {
            Ok(date) => (Check::ok(Part::Asked, "server", format!("{} is ready", plain(url))), Time::now(url, date)),
            Err(error) => {
                let todo = match error.downcast_ref() {
                    Some(ClientError::Refused { status: 404, .. }) => {
                        "check that this is the address of a tee-proof-server: it does not know /health/ready"
                    }
                    _ => advice::of(&error).unwrap_or("check --server and the options that go with it"),
                };
                (Check::todo(Part::Asked, "server", format!("{error:#}"), todo), None)
            }
        }
    }
}

fn policy(path: &Path) -> Check {
    match read_policy(path) {
        Ok(_) => Check::ok(Part::Asked, "policy", path.display().to_string()),
        Err(error) => Check::todo(
            Part::Asked,
            "policy",
            chain(&error),
            "correct the file: teectl measure prints a policy for a program, and docs/ATTESTATION.md lists all keys",
        ),
    }
}

/// One of several services is enough, as when quotes are judged.
async fn collateral(urls: &str) -> (Check, Option<Time>) {
    match reach(urls).await {
        Ok(date) => (Check::ok(Part::Asked, "collateral", format!("{} answers", plain(urls))), Time::now(urls, date)),
        Err(error) => {
            let todo = match error.downcast_ref() {
                Some(SourceError::Busy { .. }) => {
                    "the service limits its requests: ask again later, or use your own PCCS"
                }
                Some(SourceError::Answer { .. }) => {
                    "check that this is the address of a PCS or PCCS; Intel's is https://api.trustedservices.intel.com"
                }
                _ => {
                    "check that the service runs and can be reached; for a self-signed certificate append #ca=FILE. \
                     Intel's is https://api.trustedservices.intel.com"
                }
            };
            (Check::todo(Part::Asked, "collateral", format!("{error:#}"), todo), None)
        }
    }
}

async fn reach(urls: &str) -> Result<Option<SystemTime>> {
    let CollateralSource::Services(services) = CollateralSource::open(urls, PROGRAM)? else {
        anyhow::bail!("--pccs: not an http:// or https:// URL")
    };
    let mut last = Err(anyhow::anyhow!("--pccs: the URL is missing"));
    for service in services {
        last = service.reach().await.map_err(Into::into);
        if last.is_ok() {
            break;
        }
    }
    last.context("cannot reach a collateral service")
}

/// The URLs without their queries, which may hold secrets.
fn plain(urls: &str) -> String {
    let plain = urls.split([' ', ',']).filter_map(|url| url.split(['?', '#']).next());
    plain.collect::<Vec<_>>().join(" ")
}

impl Time {
    fn now(whose: &str, date: Option<SystemTime>) -> Option<Self> {
        Some(Self { whose: plain(whose), theirs: date?, ours: SystemTime::now() })
    }

    fn check(&self) -> Check {
        // A time in whole seconds is half a second too early on average.
        let theirs = self.theirs + Duration::from_millis(500);
        let (skew, which) = match self.ours.duration_since(theirs) {
            Ok(ahead) => (ahead, "ahead of"),
            Err(behind) => (behind.duration(), "behind"),
        };
        if skew <= MOST_SKEW {
            return Check::ok(Part::Asked, "clock", format!("the same as the clock of {}", self.whose));
        }
        let found = format!("{} s {which} the clock of {}", skew.as_secs(), self.whose);
        Check::todo(Part::Asked, "clock", found, "correct the wrong clock with a time service (timedatectl)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_may_be_off_by_seconds_in_either_direction() {
        let theirs = SystemTime::now();
        let check = |ours| Time { whose: "a server".to_owned(), theirs, ours }.check();
        let secs = Duration::from_secs;
        for ours in [theirs, theirs + secs(5), theirs - secs(4)] {
            assert!(check(ours).ok);
        }
        for (ours, found) in [
            (theirs + secs(61), "60 s ahead of the clock of a server"),
            (theirs - secs(60), "60 s behind the clock of a server"),
        ] {
            let check = check(ours);
            assert!(!check.ok && check.found == found && check.todo.is_some(), "{check:?}");
        }
    }
}
