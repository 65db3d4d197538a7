//! Printing to a reader who may have gone away, as in `teectl … | head`: that ends the program without a word. Sockets are not
//! concerned, as they would be if SIGPIPE ended it.

use std::{
    fmt::Arguments,
    io::{self, ErrorKind, Write},
    process,
};

use crate::exit::Exit;

/// Stands in for the standard library's macro, which panics.
macro_rules! println {
    () => { $crate::print::line(format_args!("")) };
    ($($arg:tt)*) => { $crate::print::line(format_args!($($arg)*)) };
}

pub(crate) fn line(text: Arguments<'_>) {
    let written = writeln!(io::stdout().lock(), "{text}");
    match written {
        Ok(()) => {}
        Err(error) if error.kind() == ErrorKind::BrokenPipe => process::exit(Exit::ReaderGone.code().into()),
        Err(error) => {
            eprintln!("error: cannot print: {error}");
            process::exit(Exit::Failure.code().into());
        }
    }
}

/// What others wrote must not move the cursor of the terminal that shows it.
pub(crate) fn shown(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}
