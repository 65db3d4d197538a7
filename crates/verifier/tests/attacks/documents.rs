//! Every check has a row in the table and a forgery that it stops.

use strum::VariantNames;
use tee_verifier::Rejection;

const TABLE: &str = include_str!("../../../../docs/SOUNDNESS.md");
const FORGERIES: [&str; 8] = [
    include_str!("../forgeries.rs"),
    include_str!("forger.rs"),
    include_str!("hostile_shapes.rs"),
    include_str!("own_code.rs"),
    include_str!("publication.rs"),
    include_str!("rollbacks.rs"),
    include_str!("signatures.rs"),
    include_str!("versions.rs"),
];
#[test]
fn every_check_has_a_row_and_a_forgery() {
    for check in Rejection::VARIANTS {
        let rows = TABLE.lines().filter(|line| line.starts_with("| `") && line.contains(&format!("`{check}`")));
        assert_eq!(rows.count(), 1, "rows of {check}");
        let forged = FORGERIES.iter().any(|source| source.contains(&format!("\"{check}\"")));
        assert!(forged, "forgery of {check}");
    }
}

/// The tests that the table names exist.
#[test]
fn every_test_in_the_table_exists() {
    let named = TABLE.lines().filter(|line| line.starts_with("| `")).filter_map(|line| line.rsplit('|').nth(1));
    let names: Vec<&str> = named.flat_map(|cell| cell.split('`').skip(1).step_by(2)).collect();
    assert!(names.len() > 60, "{}", names.len());
    for name in names {
        let function = name.rsplit("::").next().unwrap_or(name);
        let found = FORGERIES.iter().any(|source| source.contains(&format!("fn {function}(")));
        assert!(found, "{name}");
    }
}
