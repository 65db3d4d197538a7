//! A server's lists: reads all pages of one, and prints it.

use anyhow::Result;
use comfy_table::Table;
use serde::Serialize;
use tee_api::{ClientError, Page};

use crate::{print::shown, progress::Progress};

/// Entries on a page. The server allows 1,000.
pub(super) const PAGE: u32 = 500;

/// The entries of all pages. `page` fetches the page after a cursor. `json`: they are for programs.
pub(super) async fn all<T>(
    json: bool,
    page: impl AsyncFn(Option<&str>) -> Result<Page<T>, ClientError>,
) -> Result<Vec<T>, ClientError> {
    let (mut entries, mut after) = (Vec::new(), None::<String>);
    let progress = Progress::unknown("reading the list", json);
    loop {
        let page = page(after.as_deref()).await?;
        entries.extend(page.items);
        progress.say(format!("{} entries of the list", entries.len()));
        after = page.next;
        if after.is_none() {
            return Ok(entries);
        }
    }
}

/// Name and version of a program, without the details that follow them in its user agent.
pub(super) fn program(user_agent: Option<&str>) -> String {
    shown(user_agent.and_then(|text| text.split_whitespace().next()).unwrap_or_default())
}

/// Prints a list as one JSON object per line, or as a table.
pub(super) fn print<T: Serialize>(entries: &[T], json: bool, table: impl FnOnce(&[T]) -> Table) -> Result<()> {
    if json {
        for entry in entries {
            println!("{}", serde_json::to_string(entry)?);
        }
    } else {
        println!("{}", table(entries));
    }
    Ok(())
}
