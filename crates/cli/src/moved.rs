//! Commands under the names that they had in the release before. The next one does not know them.

use std::ffi::OsString;

/// Each is one of `teectl server` now.
const MOVED: [(&str, &str); 6] = [
    ("attestations", "keys"),
    ("batches", "batches"),
    ("disagreements", "disagreements"),
    ("jobs", "jobs"),
    ("provers", "provers"),
    ("tee-types", "tee-types"),
];

/// The command line, with a command's name of now in the place of one from before.
pub(crate) fn renamed(mut line: Vec<OsString>) -> Vec<OsString> {
    let given = line.get(1).and_then(|word| word.to_str());
    let moved = MOVED.into_iter().find(|(before, _)| given == Some(*before));
    if let Some((before, now)) = moved {
        eprintln!("warning: `teectl {before}` is `teectl server {now}` now, and goes with the next release");
        line.splice(1..2, ["server".into(), now.into()]);
    }
    line
}
