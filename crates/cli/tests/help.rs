//! `teectl completions` and `teectl man`.

use std::{
    collections::BTreeSet,
    fs,
    io::Write,
    process::{Command, Output, Stdio},
};

fn teectl(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_teectl")).args(arguments).output().unwrap()
}

fn text(output: &Output) -> String {
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout.clone()).unwrap()
}

/// The names of the commands below one, as its help lists them.
fn commands_below(words: &[&str]) -> Vec<String> {
    let help = text(&teectl(&[words, &["--help"]].concat()));
    let listed = help.lines().skip_while(|line| *line != "Commands:").skip(1).take_while(|line| line.starts_with("  "));
    let names = listed.filter_map(|line| line.split_whitespace().next());
    names.filter(|name| *name != "help").map(str::to_owned).collect()
}

/// The names of the pages that must exist for a command and those below it.
fn pages(words: &[&str]) -> BTreeSet<String> {
    let own = format!("{}.1", [&["teectl"], words].concat().join("-"));
    let below = commands_below(words).into_iter().flat_map(|name| pages(&[words, &[&name]].concat()));
    below.chain([own]).collect()
}

#[test]
fn each_command_has_a_manual_page() {
    let folder = tempfile::tempdir().unwrap();
    let man = folder.path().join("share/man1");
    let said = text(&teectl(&["man", man.to_str().unwrap()]));
    let files = fs::read_dir(&man).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let files: BTreeSet<_> = files.collect();
    assert_eq!(files, pages(&[]));
    assert!(said.starts_with(&format!("{} pages", files.len())), "{said}");
    let page = fs::read_to_string(man.join("teectl-server-jobs-retry.1")).unwrap();
    assert!(page.starts_with(".ie \\n(.g") && page.contains("TEE Prover Gateway"), "{page}");
    assert!(page.contains("14040\\-14049"), "the example: {page}");
    let root = fs::read_to_string(man.join("teectl.1")).unwrap();
    assert!(root.contains("teectl\\-server(1)") && root.contains("Exit codes:"), "{root}");
}

#[test]
fn pages_that_cannot_be_written_are_an_error_that_names_the_folder() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("file");
    fs::write(&file, "").unwrap();
    let output = teectl(&["man", file.to_str().unwrap()]);
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.code() == Some(1) && said.contains(file.to_str().unwrap()), "{output:?}");
}

#[test]
fn each_shell_gets_completions_that_know_the_commands() {
    for shell in ["bash", "elvish", "fish", "powershell", "zsh"] {
        let script = text(&teectl(&["completions", shell]));
        assert!(script.contains("disagreements") && script.contains("tee-types"), "{shell}: {script}");
    }
    assert_eq!(teectl(&["completions", "tcsh"]).status.code(), Some(2));

    let script = text(&teectl(&["completions", "bash"]));
    let mut bash = Command::new("bash").arg("-n").stdin(Stdio::piped()).spawn().unwrap();
    bash.stdin.take().unwrap().write_all(script.as_bytes()).unwrap();
    assert!(bash.wait().unwrap().success());
}
