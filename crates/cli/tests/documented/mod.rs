//! Compares the output of `--json` with `docs/TEECTL.md`.

use std::collections::BTreeSet;

use serde_json::Value;

const DOCUMENT: &str = include_str!("../../../../docs/TEECTL.md");

/// Each field of the objects is in the command's table, and each field in the table, except those inside another, is in
/// one of the objects.
pub(crate) fn assert_documented(command: &str, objects: &[Value]) {
    let heading = format!("### `{command} --json`\n");
    let (_, section) = DOCUMENT.split_once(&heading).unwrap_or_else(|| panic!("no section for {command}"));
    let table = section.lines().skip_while(|line| !line.starts_with("| `")).take_while(|line| line.starts_with("| `"));
    let names =
        table.flat_map(|line| line.split('|').nth(1).unwrap().split(',').map(|name| name.trim().trim_matches('`')));
    let documented: BTreeSet<_> = names.map(str::to_owned).collect();
    assert!(!documented.is_empty(), "{command}");

    let mut printed = BTreeSet::new();
    objects.iter().for_each(|object| collect(object, "", &documented, &mut printed));
    assert_eq!(printed.difference(&documented).collect::<Vec<_>>(), [""; 0], "printed, and not documented");
    let missing = documented.difference(&printed).filter(|name| !name.contains(['.', '['])).collect::<Vec<_>>();
    assert_eq!(missing, [""; 0], "documented, and not printed");
}

/// The fields of an object, and those of the objects in it by their paths.
fn collect(value: &Value, path: &str, documented: &BTreeSet<String>, printed: &mut BTreeSet<String>) {
    for (name, value) in value.as_object().into_iter().flatten() {
        let any = format!("{path}*");
        if documented.contains(&any) {
            printed.insert(any);
            continue;
        }
        let name = format!("{path}{name}");
        match value {
            Value::Object(_) => {
                // An object that may be missing has its own row.
                if documented.contains(&name) {
                    printed.insert(name.clone());
                }
                collect(value, &format!("{name}."), documented, printed);
            }
            Value::Array(items) if items.iter().any(Value::is_object) => {
                items.iter().for_each(|item| collect(item, &format!("{name}[]."), documented, printed));
            }
            // An empty list does not show what it would contain.
            Value::Array(items)
                if items.is_empty() && documented.iter().any(|row| row.starts_with(&format!("{name}[]"))) => {}
            _ => _ = printed.insert(name),
        }
    }
}
