//! How errors are printed.
//!
//! An error's message gives its own context, and its cause is its source. So a message by itself says too little, and a message that
//! repeats its cause says it twice: code that prints an error prints its [`chain`], once. Errors of other libraries may repeat their
//! causes; such repetitions are left out.

use std::error::Error;

/// An error and its causes, on one line.
pub fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let said = cause.to_string();
        if !text.ends_with(&said) {
            text.push_str(": ");
            text.push_str(&said);
        }
        source = cause.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::UnreadableInput;
    use std::io;

    #[test]
    fn each_cause_is_said_once() {
        let error = UnreadableInput::Compression(io::Error::other("unknown frame"));
        assert_eq!(chain(&error), "the batch input cannot be decompressed: unknown frame");
        let repeats = Repeats { error: io::Error::other("no such device") };
        assert_eq!(chain(&repeats), "cannot store it: no such device");
    }

    /// As other libraries have it.
    #[derive(Debug, thiserror::Error)]
    #[error("cannot store it: {error}")]
    struct Repeats {
        #[source]
        error: io::Error,
    }
}
