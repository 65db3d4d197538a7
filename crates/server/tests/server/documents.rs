//! What documents say of tests.

use std::{fs, path::Path};

const FAULTS: &str = include_str!("../../../../docs/FAULTS.md");

#[test]
fn every_test_that_the_list_of_faults_names_is_there() {
    let crates = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let names = FAULTS.split('`').skip(1).step_by(2).filter(|name| name.contains("::") && !name.ends_with('…'));
    let mut count = 0;
    for name in names {
        let parts: Vec<_> = name.split("::").collect();
        let [package, file, test] = parts[..] else { panic!("{name}") };
        assert!(is_there(&crates.join(package), &format!("{file}.rs"), &format!("fn {test}(")), "{name}");
        count += 1;
    }
    assert!(count > 90, "{count}");
}

/// Whether a file of that name, somewhere in the folder, has the text.
fn is_there(folder: &Path, file: &str, text: &str) -> bool {
    let entries = fs::read_dir(folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    entries.map(|entry| entry.unwrap().path()).any(|path| match path.is_dir() {
        true => is_there(&path, file, text),
        false => path.ends_with(file) && fs::read_to_string(path).unwrap().contains(text),
    })
}
