//! Commands under their names in the previous release. The next release will not know them.

use std::ffi::OsString;

/// Each of these is now a subcommand of `teectl server`.
const MOVED: [(&str, &str); 6] = [
    ("attestations", "keys"),
    ("batches", "batches"),
    ("disagreements", "disagreements"),
    ("jobs", "jobs"),
    ("provers", "provers"),
    ("tee-types", "tee-types"),
];

/// Replaces a command's old name in the command line with its new one.
pub(crate) fn renamed(mut line: Vec<OsString>) -> Vec<OsString> {
    let given = line.get(1).and_then(|word| word.to_str());
    let moved = MOVED.into_iter().find(|(before, _)| given == Some(*before));
    if let Some((before, now)) = moved {
        eprintln!(
            "warning: `teectl {before}` is now `teectl server {now}`; the old name will be removed in the next release"
        );
        line.splice(1..2, ["server".into(), now.into()]);
    }
    line
}
