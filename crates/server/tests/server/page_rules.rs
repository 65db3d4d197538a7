//! The rules that pages are checked against: axe-core's for accessibility, and the HTML standard as vnu reads it.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use serde_json::Value;

use crate::browser::Browser;

/// The rules, from npm's packages (`npm --prefix .ci/pages ci`).
pub(crate) struct Rules {
    axe: String,
    vnu: PathBuf,
}

impl Rules {
    /// `None` if they are missing and that is allowed.
    pub(crate) fn read() -> Option<Self> {
        let packages = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../.ci/pages/node_modules");
        let vnu = packages.join("vnu-jar/build/dist/vnu.jar");
        let has_java = Command::new("java").arg("-version").output().is_ok_and(|output| output.status.success());
        let axe = fs::read_to_string(packages.join("axe-core/axe.min.js")).ok();
        let rules = axe.filter(|_| vnu.is_file() && has_java).map(|axe| Self { axe, vnu });
        if rules.is_none() {
            test_skips::skip("axe-core and vnu-jar (npm --prefix .ci/pages ci), and Java");
        }
        rules
    }

    /// What makes the page in the browser inaccessible.
    pub(crate) async fn barriers(&self, browser: &Browser) -> Vec<String> {
        let script = format!(
            "{}; axe.run(document, {{ resultTypes: ['violations'] }}).then(
                 ({{ violations }}) => done(violations.map((rule) =>
                     `${{rule.impact}}: ${{rule.id}}: ${{rule.nodes.map((node) => node.html.slice(0, 200)).join(' | ')}}`)),
                 (error) => done([`axe: ${{error}}`]));",
            self.axe
        );
        let found = browser.run_until_done(&script).await;
        found.as_array().unwrap().iter().map(|one| one.as_str().unwrap().to_owned()).collect()
    }

    /// Where pages are not valid HTML. Each page has a name.
    pub(crate) fn errors(&self, pages: &[(String, String)]) -> Vec<String> {
        let folder = tempfile::tempdir().unwrap();
        let mut java = Command::new("java");
        java.arg("-jar").arg(&self.vnu).args(["--format", "json", "--exit-zero-always"]);
        for (number, (_, html)) in pages.iter().enumerate() {
            let file = folder.path().join(format!("{number}.html"));
            fs::write(&file, html).unwrap();
            java.arg(file);
        }
        let output = java.output().unwrap();
        let report: Value =
            serde_json::from_slice(&output.stderr).unwrap_or_else(|error| panic!("{error}: {output:?}"));
        let describe = |message: &Value| {
            let url = message["url"].as_str().unwrap_or_default();
            let number = url.rsplit('/').next().and_then(|file| file.strip_suffix(".html")?.parse::<usize>().ok());
            let name = number.and_then(|number| pages.get(number)).map_or(url, |(name, _)| name);
            format!("{name}: line {}: {}: {}", message["lastLine"], message["type"], message["message"])
        };
        report["messages"].as_array().unwrap().iter().map(describe).collect()
    }
}
