//! A batch's roots, by who says them.

use tee_api::SignedStatement;
use tee_verifier::H256;

use super::{Found, counted};

/// What is said of one root of a batch.
pub(super) struct RootsOf {
    pub(super) title: &'static str,
    pub(super) lines: Vec<RootLine>,
}

/// Who says which root.
pub(super) struct RootLine {
    pub(super) who: String,
    pub(super) root: Option<String>,
    /// Whether it is the one in the first line; nothing where there is none to compare.
    pub(super) is_same: Option<bool>,
}

impl RootsOf {
    /// The root before the batch.
    pub(super) fn before(found: &Found) -> Self {
        let mut stated: Vec<_> = found
            .counting(&found.proofs)
            .filter_map(|proof| serde_json::from_str::<SignedStatement>(proof.statement.as_deref()?).ok())
            .map(|signed| signed.statement.previous_root)
            .collect();
        stated.dedup();
        let mut said: Vec<_> =
            stated.into_iter().map(|root| ("The statement starts from".to_owned(), Some(root))).collect();
        said.push(("The batch's input starts from".to_owned(), found.batch.previous_root));
        if let Some(before) = found.batch.number.checked_sub(1) {
            let mut signed: Vec<_> = found.counting(&found.proofs_before).map(|proof| proof.root).collect();
            signed.dedup();
            let who = || format!("Signed as the root after batch {before}");
            match signed.is_empty() {
                true => said.push((who(), None)),
                false => said.extend(signed.into_iter().map(|root| (who(), Some(root)))),
            }
        }
        Self::compared("Before the batch", said)
    }

    /// The root after the batch.
    pub(super) fn after(found: &Found) -> Self {
        let mut said: Vec<(String, Option<H256>)> = vec![];
        let mut signed: Vec<_> = found.counting(&found.proofs).map(|proof| proof.root).collect();
        signed.sort();
        for same in signed.chunk_by(|one, other| one == other) {
            said.push((format!("Signed by {}", counted(same.len(), "key", "keys")), same.first().copied()));
        }
        said.push(("Said with the batch, by where it came from".to_owned(), found.batch.expected_root));
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
}
