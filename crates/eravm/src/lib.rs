//! The EraVM: the virtual machine of ZK Stack rollups, from the specification.
//!
//! [`Machine`] runs a program (the bootloader) over a [`World`] of storage and code. It knows no chain, no batch and no tree.
//!
//! Where to read what, from the outside in:
//!
//! - `machine`: the state, the loop over instructions, what the machine's owner may ask between two steps.
//! - `instruction`: how instructions are encoded, what each costs and needs.
//! - `instructions`: what they do, one file a group.
//! - `frame`, `memory`, `journal`: call frames; heaps, code and stacks; storage, events and logs with their way back.
//! - `precompiles`: the functions that the kernel calls by number.
//! - `world`, `stop`: what the machine asks of the outside, and why it gives up.
//!
//! The judge of all this is the protocol's own out-of-circuit machine, the crate `zk_evm`: tests compare the two.

mod code;
mod frame;
mod instruction;
mod instructions;
mod journal;
mod machine;
mod memory;
mod pointer;
mod precompiles;
mod stop;
#[cfg(all(test, equal))]
mod tests;
mod world;

pub use ruint::aliases::U256;

pub use self::{
    code::Code,
    journal::{Access, Event, L2ToL1Log},
    machine::{End, HeapGrowth, Machine, Pause, Settings, Snapshot},
    memory::Page,
    pointer::FatPointer,
    precompiles::{Precompiles, Recovery},
    stop::{Limit, Stop},
    world::{Address, Slot, World},
};

/// First byte of the hash of EraVM code.
pub(crate) const ERA_CODE_HASH: u8 = 1;
/// First byte of the hash of EVM code.
pub(crate) const EVM_CODE_HASH: u8 = 2;
