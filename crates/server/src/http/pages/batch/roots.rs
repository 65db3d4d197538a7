//! A batch's roots, by source.

use tee_api::Statement;
use tee_verifier::H256;

use super::{Found, counted};

/// The sources of one root of a batch.
pub(super) struct RootsOf {
    pub(super) title: &'static str,
    pub(super) lines: Vec<RootLine>,
}

/// A source and the root that it names.
pub(super) struct RootLine {
    pub(super) who: String,
    pub(super) root: Option<String>,
    /// Whether the root is the same as in the first line; `None` if there is nothing to compare.
    pub(super) is_same: Option<bool>,
}

impl RootsOf {
    /// The root before the batch.
    pub(super) fn before(found: &Found, statements: &[Statement]) -> Self {
        let stated = grouped(statements.iter().map(|statement| statement.previous_root));
        let mut said: Vec<_> =
            stated.into_iter().map(|(root, _)| ("The statement starts from".to_owned(), Some(root))).collect();
        said.push(("The batch's input starts from".to_owned(), found.batch.previous_root));
        if let Some(before) = found.batch.number.checked_sub(1) {
            let signed = grouped(found.counting(&found.proofs_before).map(|proof| proof.root));
            let who = || format!("Signed as the root after batch {before}");
            match signed.is_empty() {
                true => said.push((who(), None)),
                false => said.extend(signed.into_iter().map(|(root, _)| (who(), Some(root)))),
            }
        }
        Self::compared("Before the batch", said)
    }

    /// The root after the batch.
    pub(super) fn after(found: &Found) -> Self {
        let signed = grouped(found.counting(&found.proofs).map(|proof| proof.root));
        let by = |(root, keys)| (format!("Signed by {}", counted(keys, "key", "keys")), Some(root));
        let mut said: Vec<_> = signed.into_iter().map(by).collect();
        said.push(("Expected by the batch's source".to_owned(), found.batch.expected_root));
        let next = found.batch.number.saturating_add(1);
        said.push((format!("Batch {next} starts from"), found.next_starts_from()));
        let disagreeing = found.disagreements.iter().filter(|disagreement| !disagreement.is_accepted);
        said.extend(disagreeing.map(|disagreement| {
            let explained = if disagreement.resolved_at_ms.is_some() { ", explained since" } else { "" };
            (format!("Contradicting signature{explained}"), Some(disagreement.root))
        }));
        Self::compared("After the batch", said)
    }

    fn compared(title: &'static str, said: Vec<(String, Option<H256>)>) -> Self {
        let mut first = None;
        let lines = said.into_iter().map(|(who, root)| {
            let is_same = first.and_then(|first| Some(root? == first));
            first = first.or(root);
            RootLine { who, root: root.map(hex::encode), is_same }
        });
        Self { title, lines: lines.collect() }
    }
}

/// The distinct roots, with the number of times that each occurs.
fn grouped(roots: impl Iterator<Item = H256>) -> Vec<(H256, usize)> {
    let mut roots: Vec<_> = roots.collect();
    roots.sort();
    roots.chunk_by(|one, other| one == other).filter_map(|same| Some((*same.first()?, same.len()))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn roots_are_held_against_the_first_that_is_known() {
        let root = |byte| Some(H256::repeat_byte(byte));
        let said = [None, root(1), root(1), None, root(2)].map(|root| (String::new(), root)).to_vec();
        let compared: Vec<_> = RootsOf::compared("", said).lines.iter().map(|line| line.is_same).collect();
        assert_eq!(compared, [None, None, Some(true), None, Some(false)]);
    }

    #[test]
    fn each_root_is_said_once_whoever_says_it_in_between() {
        let roots = [1, 2, 1].map(H256::repeat_byte);
        assert_eq!(grouped(roots.into_iter()), [(H256::repeat_byte(1), 2), (H256::repeat_byte(2), 1)]);
    }
}
