//! Prints to a reader that may close the pipe, as in `teectl … | head`, which ends the program silently. Broken sockets do not end the
//! program, as they would if SIGPIPE did it.

use std::{
    env,
    fmt::Arguments,
    io::{self, ErrorKind, IsTerminal, Write},
    process,
};

use crate::exit::Exit;

/// Replaces the standard library's macro, which panics.
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

/// Escapes text from others, so that it cannot move the terminal's cursor or reverse the rest of the line.
pub(crate) fn shown(text: &str) -> String {
    text.chars().map(|c| if c.is_control() || is_invisible(c) { ' ' } else { c }).collect()
}

/// Direction marks, line breaks, joiners, and characters without width.
fn is_invisible(c: char) -> bool {
    matches!(c, '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}')
}

/// Whether the output may have colours: it goes to a terminal, and nothing forbids them (<https://no-color.org>).
pub(crate) fn may_have_colours() -> bool {
    let objects = env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
    io::stdout().is_terminal() && !objects
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn foreign_text_moves_no_cursor_and_turns_no_line_around() {
        let hostile = "a\u{1b}[2Jb\r\nc\u{9b}31md\u{202e}e\u{2066}f\u{200b}g\u{2028}h";
        assert_eq!(shown(hostile), "a [2Jb  c 31md e f g h");
        assert_eq!(shown("größer, 証明 ok"), "größer, 証明 ok");
    }
}
