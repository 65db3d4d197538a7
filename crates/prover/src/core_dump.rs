//! Keeps the signing key out of files.

use nix::sys::{
    prctl,
    resource::{Resource, setrlimit},
};
use std::io;

/// Keeps this process's memory, which holds the signing key, out of core dumps and away from debuggers of the same user. The limit
/// on core dumps cannot be undone and is inherited by child processes and by `exec`; the rest ends with the program.
pub fn forbid_core_dumps() -> io::Result<()> {
    // Both are tried, even if one fails.
    let no_core = setrlimit(Resource::RLIMIT_CORE, 0, 0);
    prctl::set_dumpable(false)?;
    Ok(no_core?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use nix::sys::resource::getrlimit;

    #[test]
    fn afterwards_there_is_no_core_dump_and_no_debugger() {
        forbid_core_dumps().unwrap();
        assert_eq!(prctl::get_dumpable(), Ok(false));
        assert_eq!(getrlimit(Resource::RLIMIT_CORE), Ok((0, 0)));
    }
}
