//! Panics: the virtual machine's own, which the verifier contains and reports, and all others, which are bugs.

use std::{
    panic::{self, AssertUnwindSafe},
    sync::{
        Mutex, Once, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
};

/// Packages whose code unwinds on hostile batches. The place of a panic names its package's folder in the registry.
const MACHINE: [&str; 4] = ["/zksync_multivm-", "/zksync_types-", "/zksync_vm2-", "/zksync_vm_interface-"];

/// A panic of other code since the last look, contained or not.
static BUG: Mutex<Option<String>> = Mutex::new(None);

/// How many machines run.
static RUNNING: AtomicUsize = AtomicUsize::new(0);

/// Runs what may contain panics of the virtual machine. Fails for one that is not contained, and for any of other code
/// even if it is.
pub(crate) fn only_the_machines<T>(work: impl FnOnce() -> T) -> T {
    watch();
    RUNNING.fetch_add(1, Ordering::SeqCst);
    let done = panic::catch_unwind(AssertUnwindSafe(work));
    RUNNING.fetch_sub(1, Ordering::SeqCst);
    let bug = BUG.lock().unwrap_or_else(PoisonError::into_inner).take();
    match (done, bug) {
        (Ok(value), None) => value,
        (_, Some(bug)) => panic!("a panic that is not the virtual machine's: {bug}"),
        (Err(_), None) => panic!("a panic of the virtual machine that nothing contains"),
    }
}

/// Once, since libFuzzer's own hook, which ends the process, has to be in place: what is not the machine's goes on to it.
fn watch() {
    static WATCH: Once = Once::new();
    WATCH.call_once(|| {
        let next = panic::take_hook();
        panic::set_hook(Box::new(move |panic| {
            let place = panic.location().map(|location| location.file()).unwrap_or_default();
            if RUNNING.load(Ordering::SeqCst) > 0 && MACHINE.iter().any(|package| place.contains(package)) {
                return;
            }
            *BUG.lock().unwrap_or_else(PoisonError::into_inner) = Some(panic.to_string());
            next(panic);
        }));
    });
}
