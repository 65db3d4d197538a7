//! The EraVM: the virtual machine of ZK Stack rollups, from the specification.
//!
//! [`Machine`] runs a program (the bootloader) over a [`World`] of storage and code. It knows no chain, no batch and no
//! tree. It stops when the program returns, when the program calls its owner ([`Pause`]), and when it cannot continue
//! ([`Stop`]). No program can make it panic, or make it exceed its limits.
//!
//! A program that writes 7 into its first slot:
//!
//! ```
//! use std::sync::Arc;
//! use tee_eravm::{Address, Code, End, HeapGrowth, Machine, Pause, Precompiles, Settings, Slot, U256, World};
//! use zkevm_assembly::{Assembly, zkevm_opcode_defs::decoding::EncodingModeProduction};
//!
//! /// Empty storage, no code but the program, and nothing costs anything to publish.
//! struct Empty;
//!
//! impl World for Empty {
//!     type Fault = &'static str;
//!
//!     fn slot(&mut self, _: &Address, _: &U256) -> Result<Slot, Self::Fault> {
//!         Ok(Slot { value: U256::ZERO, is_new: true, is_proven: true })
//!     }
//!
//!     fn code(&mut self, _: &U256) -> Result<Arc<Code>, Self::Fault> {
//!         Err("there is no other code")
//!     }
//!
//!     fn publishing_cost(&self, _: &Slot, _: &U256) -> u32 {
//!         0
//!     }
//!
//!     fn is_free(&self, _: &Address, _: &U256) -> bool {
//!         false
//!     }
//! }
//!
//! let program = ".text\n.globl __entry\n__entry:\n add 7, r0, r1\n log.swrite r0, r1, r0\n ret.ok r0\n";
//! let words = Assembly::try_from(program.to_owned())?.compile_to_bytecode_for_mode::<8, EncodingModeProduction>()?;
//! let settings = Settings {
//!     default_account: U256::ZERO,
//!     evm_emulator: U256::ZERO,
//!     hook_offset: None,
//!     growth: HeapGrowth::Paid,
//!     precompiles: Precompiles::All,
//! };
//! let contract = [0xc0; 20];
//! let mut machine = Machine::new(settings, Arc::new(Code::new(words.concat())), contract, 100_000, 1 << 10);
//! assert_eq!(machine.run(&mut Empty), Ok(Pause::Ended(End::Returned(vec![]))));
//! assert_eq!(machine.current_value(&contract, &U256::ZERO), Some(U256::from(7)));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! Where to find what, from the outside in:
//!
//! - `machine`: the state, the loop over instructions, and what the machine's owner may do between two steps.
//! - `instruction`: how instructions are encoded, what each costs, and what it needs.
//! - `instructions`: what they do, one file per group.
//! - `frame`, `memory`, `journal`: call frames; heaps, code and stacks; storage, events and logs, with the means to
//!   undo changes.
//! - `precompiles`: the functions that the kernel calls by number.
//! - `world`, `stop`: the machine's requests to the outside, and why it stops early.
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
