//! Call frames.

use std::sync::Arc;

use crate::{
    Address, Code,
    instruction::{NEEDS_KERNEL, NEEDS_MUTABLE, NEEDS_THE_IMPOSSIBLE},
    journal::Mark,
    memory::{AUX_HEAP, HEAP, HeapId, Page, Stack},
};

/// The memory that a frame gets for free, in bytes, for each of its two heaps.
const FRAME_STIPEND_BYTES: u32 = 1 << 12;
/// The same if the code hash is that of EVM code.
const EVM_FRAME_STIPEND_BYTES: u32 = 56 << 10;
/// The same for the kernel.
const KERNEL_FRAME_STIPEND_BYTES: u32 = 1 << 21;

/// A frame made by a far call, with the state of its innermost near call.
#[derive(Debug, Clone)]
pub(crate) struct Frame {
    /// The account whose storage and balance it acts on.
    pub(crate) address: Address,
    pub(crate) caller: Address,
    pub(crate) code_address: Address,
    pub(crate) code: Arc<Code>,
    pub(crate) stack: Stack,
    pub(crate) base_page: Page,
    pub(crate) heap: HeapId,
    pub(crate) aux_heap: HeapId,
    pub(crate) pc: u16,
    pub(crate) sp: u16,
    /// Where execution continues in the caller if this frame fails.
    pub(crate) exception_handler: u16,
    pub(crate) gas: u32,
    /// The actions that it must not do: [`NEEDS_KERNEL`], [`NEEDS_MUTABLE`].
    pub(crate) lacks: u8,
    pub(crate) context_value: u128,
    pub(crate) heap_bound: u32,
    pub(crate) aux_heap_bound: u32,
    /// The point that a failure rolls back to.
    pub(crate) mark: Mark,
    /// The number of near calls around this one in this far call.
    pub(crate) near_calls: u32,
    /// Pages of this frame and of what it called that may still be reached. They are freed when it returns.
    pub(crate) pages: Vec<Page>,
    /// The length of [`Self::pages`] at which it is searched for pages that nothing reaches any more.
    pub(crate) next_collection: usize,
}

/// The state that a near call saves.
#[derive(Debug, Clone, Copy)]
pub(crate) struct NearFrame {
    pub(crate) pc: u16,
    pub(crate) sp: u16,
    pub(crate) exception_handler: u16,
    pub(crate) gas: u32,
    pub(crate) mark: Mark,
}

impl Frame {
    pub(crate) fn is_kernel(&self) -> bool {
        self.lacks & NEEDS_KERNEL == 0
    }

    pub(crate) fn is_static(&self) -> bool {
        self.lacks & NEEDS_MUTABLE != 0
    }

    pub(crate) fn heap_page(&self) -> Page {
        self.base_page.wrapping_add(HEAP)
    }

    pub(crate) fn aux_heap_page(&self) -> Page {
        self.base_page.wrapping_add(AUX_HEAP)
    }
}

/// Whether an address is the kernel's: one below 2^16.
pub(crate) fn is_kernel(address: &Address) -> bool {
    address.iter().take(18).all(|byte| *byte == 0)
}

/// The actions that a frame must not do.
pub(crate) fn lacks(address: &Address, is_static: bool) -> u8 {
    let kernel = if is_kernel(address) { 0 } else { NEEDS_KERNEL };
    let mutable = if is_static { NEEDS_MUTABLE } else { 0 };
    kernel | mutable | NEEDS_THE_IMPOSSIBLE
}

/// The memory that a new frame gets for free. It depends only on the version byte of the code hash, even if other code
/// runs in its place.
pub(crate) fn memory_stipend(address: &Address, code_hash_version: u8) -> u32 {
    if is_kernel(address) {
        KERNEL_FRAME_STIPEND_BYTES
    } else if code_hash_version == crate::EVM_CODE_HASH {
        EVM_FRAME_STIPEND_BYTES
    } else {
        FRAME_STIPEND_BYTES
    }
}
