//! The sources that a program was built from.

use std::sync::LazyLock;

/// The sources that a program was built from. Only `deploy/release` sets them; other builds do not know them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Build {
    /// The packages' version.
    pub version: &'static str,
    /// The commit, in 40 hex digits.
    pub commit: Option<&'static str>,
    /// Whether the sources were exactly those of the commit.
    pub clean: bool,
    /// The output of `rustc --version`.
    pub toolchain: Option<&'static str>,
}

/// The sources that this program was built from.
pub const BUILD: Build = Build {
    version: env!("CARGO_PKG_VERSION"),
    commit: option_env!("TEE_BUILD_COMMIT"),
    clean: match option_env!("TEE_BUILD_TREE") {
        Some(tree) => matches!(tree.as_bytes(), b"clean"),
        None => false,
    },
    toolchain: option_env!("TEE_BUILD_TOOLCHAIN"),
};

impl Build {
    /// The commit, or else what is known, for a metric's label.
    pub fn commit_label(&self) -> &'static str {
        match (self.commit, self.clean) {
            (Some(commit), true) => commit,
            (Some(_), false) => "modified",
            (None, _) => "unknown",
        }
    }

    /// The toolchain, for a metric's label.
    pub fn toolchain_label(&self) -> &'static str {
        self.toolchain.unwrap_or("unknown")
    }
}

/// What a program says of itself in `User-Agent` (RFC 9110, section 10.1.5): its name, and the output of `--version` after it.
pub(crate) fn user_agent(program: &str) -> String {
    format!("{program}/{}", long_version())
}

/// The output of `--version` after the program's name.
pub fn long_version() -> &'static str {
    static TEXT: LazyLock<String> = LazyLock::new(|| text(&BUILD));
    &TEXT
}

fn text(build: &Build) -> String {
    let Build { version, commit, clean, toolchain } = build;
    match (commit, toolchain) {
        (Some(commit), Some(toolchain)) => {
            let modified = if *clean { "" } else { ", modified" };
            format!("{version} (commit {commit}{modified}; {toolchain})")
        }
        _ => format!("{version} (not built by deploy/release)"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_release_tells_its_commit_and_its_toolchain_and_another_build_that_it_is_none() {
        let commit = "5b1f1d4c0e1d0b6f7f7e2c1b0a9988776655aabb";
        let release = Build { version: "0.2.0", commit: Some(commit), clean: true, toolchain: Some("rustc 1.95.0") };
        assert_eq!(text(&release), format!("0.2.0 (commit {commit}; rustc 1.95.0)"));
        assert_eq!(release.commit_label(), commit);
        let modified = Build { clean: false, ..release };
        assert_eq!(text(&modified), format!("0.2.0 (commit {commit}, modified; rustc 1.95.0)"));
        assert_eq!(modified.commit_label(), "modified");
        let other = Build { commit: None, toolchain: None, ..modified };
        assert_eq!(text(&other), "0.2.0 (not built by deploy/release)");
        assert_eq!((other.commit_label(), other.toolchain_label()), ("unknown", "unknown"));
    }
}
