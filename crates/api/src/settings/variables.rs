//! The environment variables that belong to a program, and those that look like it.

use std::{cell::RefCell, env};

use super::VariableError;

/// A variable of the process's environment. Bytes that are not valid text become replacement characters, so that parsing
/// refuses them; the variable does not count as unset.
pub fn environment(name: &str) -> Option<String> {
    env::var_os(name).map(|value| value.to_string_lossy().into_owned())
}

/// The names of all variables of the process's environment.
pub fn variable_names() -> Vec<String> {
    env::vars_os().map(|(name, _)| name.to_string_lossy().into_owned()).collect()
}

/// The environment, with a record of which variables have been asked for: those are the known ones.
pub struct Variables<'a> {
    prefix: &'static str,
    get: &'a dyn Fn(&str) -> Option<String>,
    known: RefCell<Vec<String>>,
}

impl<'a> Variables<'a> {
    /// `get` returns the value of a variable, and `prefix` begins the names of the program's own variables.
    pub fn new(prefix: &'static str, get: &'a dyn Fn(&str) -> Option<String>) -> Self {
        Self { prefix, get, known: RefCell::default() }
    }

    /// The value of a variable, which is known from now on.
    pub fn get(&self, name: &str) -> Option<String> {
        self.known.borrow_mut().push(name.to_owned());
        (self.get)(name)
    }

    /// Refuses unknown variables with the program's prefix, which is possible once all known ones have been asked for. Otherwise a
    /// misspelt variable would be ignored and the default used silently.
    pub fn refuse_unknown(&self, names: &[String]) -> Result<(), VariableError> {
        let known = self.known.borrow();
        let unknown = names
            .iter()
            .find(|name| name.starts_with(self.prefix) && !known.contains(name) && !is_of_a_kubernetes_service(name));
        let Some(name) = unknown else { return Ok(()) };
        let nearest = known.iter().min_by_key(|known| distance(name, known)).cloned().unwrap_or_default();
        Err(VariableError::Unknown { name: name.clone(), nearest })
    }
}

/// Whether Kubernetes sets this variable: it does so in every container for a service named `tee-prover…`, for example (Kubernetes,
/// "Service", "Environment variables").
fn is_of_a_kubernetes_service(name: &str) -> bool {
    name.ends_with("_SERVICE_HOST")
        || name.contains("_SERVICE_PORT")
        || name.ends_with("_PORT")
        || name.contains("_PORT_")
}

/// How many letters must be inserted, deleted or replaced to turn one into the other (Levenshtein).
fn distance(one: &str, other: &str) -> usize {
    let mut row: Vec<usize> = (0..=other.len()).collect();
    for (at, letter) in one.bytes().enumerate() {
        let mut diagonal = at;
        let mut left = at + 1;
        row[0] = left;
        for (cell, theirs) in row[1..].iter_mut().zip(other.bytes()) {
            let replaced = diagonal + usize::from(letter != theirs);
            diagonal = *cell;
            left = replaced.min(left + 1).min(diagonal + 1);
            *cell = left;
        }
    }
    row.last().copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_distance_counts_changed_letters() {
        for (one, other, expected) in [("", "", 0), ("abc", "abc", 0), ("", "abc", 3), ("kitten", "sitting", 3)] {
            assert_eq!(distance(one, other), expected);
            assert_eq!(distance(other, one), expected);
        }
    }

    #[test]
    fn what_kubernetes_sets_for_a_service_of_that_name_is_not_taken_for_ours() {
        let variables = Variables::new("TEE_PROVER_", &|_| None);
        variables.get("TEE_PROVER_PREFETCH");
        let names = [
            "TEE_PROVER_SERVICE_HOST",
            "TEE_PROVER_SERVICE_PORT",
            "TEE_PROVER_SERVICE_PORT_METRICS",
            "TEE_PROVER_PORT",
            "TEE_PROVER_PORT_3321_TCP_ADDR",
            "TEE_PROVER_GATEWAY_SERVICE_HOST",
        ];
        variables.refuse_unknown(&names.map(str::to_owned)).unwrap();
    }
}
