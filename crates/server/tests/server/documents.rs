//! What documents say about tests and files, and what the layers promise.

use std::{
    fs,
    path::{Path, PathBuf},
};

const ARCHITECTURE: &str = include_str!("../../../../docs/ARCHITECTURE.md");
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

#[test]
fn every_file_that_the_architecture_names_is_there() {
    let crates = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let of_server = ["batches/", "database/", "http/", "keys/", "leases/", "proofs/"];
    let mut count = 0;
    for name in ARCHITECTURE.split('`').skip(1).step_by(2).filter(|name| name.ends_with(".rs") && name.contains('/')) {
        let folder = if of_server.iter().any(|start| name.starts_with(start)) { "server/src" } else { "" };
        assert!(crates.join(folder).join(name).is_file(), "{name}");
        count += 1;
    }
    assert!(count > 15, "{count}");
}

/// Code for a table that names a type of its callers cannot be read or tested without them.
#[test]
fn the_database_names_nothing_of_the_layers_above_it() {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut files = vec![source.join("database.rs")];
    files_of(&source.join("database"), &mut files);
    assert!(files.len() > 25, "{}", files.len());
    for file in files {
        let text = fs::read_to_string(&file).unwrap();
        for named in text.split("crate::").skip(1) {
            let layer = named.split(|letter: char| letter != '_' && !letter.is_alphanumeric()).next().unwrap();
            assert!(["clock", "database"].contains(&layer), "{}: crate::{layer}", file.display());
        }
    }
}

/// The operations of a domain are listed in one place.
#[test]
fn each_domain_has_one_list_of_what_the_service_does() {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut files = vec![];
    files_of(&source, &mut files);
    let lists = files.iter().flat_map(|file| {
        let lists = fs::read_to_string(file).unwrap().matches("impl Service {").count();
        std::iter::repeat_n(file.strip_prefix(&source).unwrap().to_str().unwrap(), lists)
    });
    let mut lists: Vec<_> = lists.collect();
    lists.sort_unstable();
    assert_eq!(lists, ["batches.rs", "keys.rs", "leases.rs", "proofs.rs", "service.rs"]);
}

fn files_of(folder: &Path, files: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        match path.is_dir() {
            true => files_of(&path, files),
            false => files.extend(path.extension().is_some_and(|extension| extension == "rs").then_some(path)),
        }
    }
}
