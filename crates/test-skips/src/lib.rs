//! Tests that need something that not every machine has skip if it is missing, and say so; with `CI` set they fail.
//!
//! Their messages would be lost among the output of passing tests. So each leaves a note beside the programs that were
//! built, and this package's own test, the last of `cargo test --workspace`, shows the notes and removes them.

use std::{
    env, fs, io,
    path::{Path, PathBuf},
    thread,
};

/// The folder of recorded batches and quotes that `TEE_TEST_DATA` names; without one the test skips.
pub fn data() -> Option<PathBuf> {
    let folder = env::var_os("TEE_TEST_DATA").map(PathBuf::from);
    if folder.is_none() {
        skip("recorded batches and quotes: TEE_TEST_DATA names no folder of them");
    }
    folder
}

/// Notes that the running test, or a part of it, is skipped because something is missing.
///
/// # Panics
///
/// With `CI` set, where nothing may be missing.
pub fn skip(missing: &str) {
    assert!(env::var_os("CI").is_none(), "missing: {missing}");
    let program = env::current_exe().unwrap_or_default();
    let program = program.file_stem().unwrap_or_default().to_string_lossy().into_owned();
    // Cargo adds a hash to the name.
    let program = program.rsplit_once('-').map_or(&*program, |(name, _)| name);
    let thread = thread::current();
    let test = thread.name().unwrap_or("a test");
    println!("skipped: {missing}");
    let noted = notes().and_then(|folder| {
        fs::create_dir_all(&folder)?;
        fs::write(
            // A test may need more than one thing.
            folder.join(format!("{program} {test} {missing}").replace(['/', ':'], "_")),
            format!("{missing}\n{program}: {test}"),
        )
    });
    if let Err(error) = noted {
        println!("it is in no list: {error}");
    }
}

/// For each test that was skipped since this was last called, what is missing and the test's name.
pub fn take_skipped() -> io::Result<Vec<(String, String)>> {
    let folder = notes()?;
    let mut skipped = Vec::new();
    for note in fs::read_dir(&folder).into_iter().flatten() {
        let text = fs::read_to_string(note?.path())?;
        let (missing, test) = text.split_once('\n').unwrap_or((&text, ""));
        skipped.push((missing.to_owned(), test.to_owned()));
    }
    match fs::remove_dir_all(folder) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    skipped.sort();
    Ok(skipped)
}

/// `target/debug/skipped-tests`, beside `target/debug/deps`.
fn notes() -> io::Result<PathBuf> {
    let program = env::current_exe()?;
    let built = program.parent().and_then(Path::parent).ok_or(io::ErrorKind::NotFound)?;
    Ok(built.join("skipped-tests"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_test_that_skips_is_in_the_list_and_fails_in_ci() {
        if env::var_os("CI").is_some() {
            assert!(thread::spawn(|| skip("a thing")).join().is_err());
            return;
        }
        skip("what this test does without");
        // The list stays as it was, for the end of the run.
        let folder = notes().unwrap();
        let note = fs::read_dir(folder).unwrap().map(|note| note.unwrap().path()).find(|path| {
            fs::read_to_string(path).unwrap().starts_with("what this test does without\ntest_skips: tests::a_test")
        });
        fs::remove_file(note.unwrap()).unwrap();
    }
}
