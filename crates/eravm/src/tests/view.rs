//! The parts of the two machines that are compared.

use std::collections::HashSet;

use zk_evm::{aux_structures::LogQuery, zkevm_opcode_defs::system_params::EVENT_AUX_BYTE};

use super::judge::{Vm, ours};
use crate::{
    Address, End, Event, FatPointer, Machine, Page, Pause, U256,
    instruction::{ALWAYS, NOT_EQUAL, flags},
    memory::{STATIC_PAGE, Stack},
};

/// Everything except memory and storage.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct View {
    registers: [(U256, bool); 16],
    flags: u8,
    context_value: u128,
    transaction: u16,
    next_base_page: Page,
    pubdata: i32,
    /// Outermost first.
    frames: Vec<FrameView>,
}

#[derive(Debug, PartialEq, Eq)]
struct FrameView {
    is_near: bool,
    address: Address,
    caller: Address,
    code_address: Address,
    base_page: Page,
    pc: u16,
    sp: u16,
    exception_handler: u16,
    gas: u32,
    is_static: bool,
    context_value: u128,
    /// The bounds of the innermost near call; outer ones get theirs when it returns.
    bounds: Option<(u32, u32)>,
}

impl View {
    pub(super) fn of_machine(machine: &Machine) -> Self {
        let mut near_frames = machine.near_frames.iter();
        let mut frames = Vec::new();
        for frame in machine.frames.iter().chain([&machine.frame]) {
            let view = |is_near, pc, sp, exception_handler, gas, bounds| FrameView {
                is_near,
                address: frame.address,
                caller: frame.caller,
                code_address: frame.code_address,
                base_page: frame.base_page,
                pc,
                sp,
                exception_handler,
                gas,
                is_static: frame.is_static(),
                context_value: frame.context_value,
                bounds,
            };
            for (number, near) in near_frames.by_ref().take(frame.near_calls as usize).enumerate() {
                frames.push(view(number > 0, near.pc, near.sp, near.exception_handler, near.gas, None));
            }
            let bounds = Some((frame.heap_bound, frame.aux_heap_bound));
            frames.push(view(frame.near_calls > 0, frame.pc, frame.sp, frame.exception_handler, frame.gas, bounds));
        }
        assert!(near_frames.next().is_none(), "near calls that belong to no frame");
        let is_not_equal = machine.flags & flags::EQUAL == 0;
        assert_eq!(machine.flags & (ALWAYS | NOT_EQUAL) == ALWAYS | NOT_EQUAL, is_not_equal, "flags that contradict");
        Self {
            registers: std::array::from_fn(|register| machine.register(register)),
            flags: machine.flags & (flags::LESS | flags::EQUAL | flags::GREATER),
            context_value: machine.context_value,
            transaction: machine.transaction,
            next_base_page: machine.next_base_page,
            pubdata: machine.journal.pubdata,
            frames,
        }
    }

    pub(super) fn of_judge(vm: &Vm) -> Self {
        let state = &vm.local_state;
        let mut registers = [(U256::ZERO, false); 16];
        for (register, value) in registers[1..].iter_mut().zip(&state.registers) {
            *register = (ours(value.value), value.is_pointer);
        }
        let entries: Vec<_> = state.callstack.inner.iter().skip(1).chain([&state.callstack.current]).collect();
        let frames = entries.iter().enumerate().map(|(index, entry)| {
            let has_near_call = entries.get(index + 1).is_some_and(|next| next.is_local_frame);
            FrameView {
                is_near: entry.is_local_frame,
                address: entry.this_address.0,
                caller: entry.msg_sender.0,
                code_address: entry.code_address.0,
                base_page: entry.base_memory_page.0,
                pc: entry.pc,
                sp: entry.sp,
                exception_handler: entry.exception_handler_location,
                gas: entry.ergs_remaining,
                is_static: entry.is_static,
                context_value: entry.context_u128_value,
                bounds: (!has_near_call).then_some((entry.heap_bound, entry.aux_heap_bound)),
            }
        });
        let flag = |is_set, flag| if is_set { flag } else { 0 };
        Self {
            registers,
            flags: flag(state.flags.overflow_or_less_than_flag, flags::LESS)
                | flag(state.flags.equality_flag, flags::EQUAL)
                | flag(state.flags.greater_than_flag, flags::GREATER),
            context_value: state.context_u128_register,
            transaction: state.tx_number_in_block,
            next_base_page: state.memory_page_counter,
            pubdata: state.pubdata_revert_counter.0,
            frames: frames.collect(),
        }
    }
}

/// Compares all except memory and storage. It is cheap enough for each step.
pub(super) fn compare_state(machine: &Machine, vm: &Vm) -> Result<(), String> {
    let (ours, theirs) = (View::of_machine(machine), View::of_judge(vm));
    if ours == theirs {
        return Ok(());
    }
    let (ours, theirs) = (format!("{ours:#x?}"), format!("{theirs:#x?}"));
    let lines = ours.lines().zip(theirs.lines()).enumerate().filter(|(_, (a, b))| a != b);
    let lines: String = lines.map(|(number, (a, b))| format!("  line {number}: ours {a}, theirs {b}\n")).collect();
    Err(lines)
}

/// Compares storage, transient storage, events, logs.
pub(super) fn compare_journal(machine: &Machine, vm: &Vm) -> Result<(), String> {
    let journal = &machine.journal;
    for ((address, key), slot) in &vm.storage.slots {
        let access = journal.accesses().find(|access| access.address == *address && access.key == *key);
        let access = access.ok_or_else(|| format!("slot {key:#x} of {address:x?} was not touched"))?;
        if access.value != slot.value || access.is_written != (slot.writes > 0) || access.before != slot.before {
            return Err(format!("slot {key:#x} of {address:x?}: ours {access:x?}, theirs {slot:x?}"));
        }
    }
    if journal.accesses().count() != vm.storage.slots.len() {
        return Err("more slots were touched than there should be".into());
    }
    for ((address, key), value) in &vm.storage.transient {
        if journal.read_transient(address, key) != *value {
            return Err(format!("transient slot {key:#x} of {address:x?} is not {value:#x}"));
        }
    }
    for ((address, key), value) in journal.transient_slots() {
        if vm.storage.transient.get(&(*address, *key)).copied().unwrap_or_default() != *value {
            return Err(format!("transient slot {key:#x} of {address:x?} is {value:#x}"));
        }
    }
    let (events, logs): (Vec<_>, Vec<_>) =
        vm.event_sink.queries.iter().partition(|query| query.aux_byte == EVENT_AUX_BYTE);
    for (ours_all, theirs_all) in [(&journal.events, events), (&journal.logs, logs)] {
        let theirs_all: Vec<_> = theirs_all
            .iter()
            .map(|query: &&LogQuery| Event {
                address: query.address.0,
                is_first: query.is_service,
                transaction: query.tx_number_in_block,
                key: ours(query.key),
                value: ours(query.written_value),
            })
            .collect();
        if *ours_all != theirs_all {
            return Err(format!("events or logs: ours {ours_all:x?}, theirs {theirs_all:x?}"));
        }
    }
    Ok(())
}

/// Compares all memory that a program can still reach, and what code was decommitted where.
pub(super) fn compare_memory(machine: &Machine, vm: &Vm) -> Result<(), String> {
    let mut reachable = HashSet::from([STATIC_PAGE]);
    let mut note = |(word, is_pointer): (U256, bool)| {
        if is_pointer {
            reachable.insert(FatPointer::from(word).page);
        }
    };
    for register in 0..16 {
        note(machine.register(register));
    }
    let frames: Vec<_> = machine.frames.iter().chain([&machine.frame]).collect();
    for frame in &frames {
        frame.stack.pointers().for_each(|word| note((word, true)));
    }
    for frame in &frames {
        reachable.extend([frame.heap_page(), frame.aux_heap_page()]);
    }
    reachable.extend(machine.decommitted.values());
    for ((page, index), word) in &vm.memory.words {
        if reachable.contains(page) {
            let read = page_word(machine, *page, *index);
            if read != ours(word.value) {
                return Err(format!("word {index} of page {page}: ours {read:#x}, theirs {:#x}", word.value));
            }
        }
    }
    for page in &reachable {
        for index in 0..machine.memory.page_words(*page) {
            let (read, word) = (page_word(machine, *page, index), vm.memory.word(*page, index));
            if read != ours(word.value) {
                return Err(format!("word {index} of page {page}: ours {read:#x}, theirs {:#x}", word.value));
            }
        }
    }
    for frame in &frames {
        compare_stack(&frame.stack, frame.base_page + 1, vm)?;
    }
    // A register that is not marked may still hold the number of a page that can be reached only by number. It is not
    // compared.
    let pages: HashSet<_> = machine.decommitted.iter().map(|(key, page)| (*key, *page)).collect();
    let their_pages: HashSet<_> =
        vm.decommittment_processor.pages.iter().map(|(hash, page)| (U256::from_be_slice(hash), *page)).collect();
    if pages != their_pages {
        return Err(format!("decommitted: ours {pages:x?}, theirs {their_pages:x?}"));
    }
    Ok(())
}

fn page_word(machine: &Machine, page: Page, index: u32) -> U256 {
    let mut bytes = [0; 32];
    machine.memory.read_bytes(page, index as usize * 32, &mut bytes);
    U256::from_be_bytes(bytes)
}

fn compare_stack(stack: &Stack, page: Page, vm: &Vm) -> Result<(), String> {
    let differs = |index: u32, ours_word, theirs_word| {
        Err(format!("word {index} of the stack on page {page}: ours {ours_word:x?}, theirs {theirs_word:x?}"))
    };
    for ((_, index), word) in vm.memory.words.iter().filter(|((at, _), _)| *at == page) {
        let (read, word) = (stack.read(*index as u16), (ours(word.value), word.is_pointer));
        if read != word {
            return differs(*index, read, word);
        }
    }
    for index in stack.written() {
        let word = vm.memory.word(page, u32::from(index));
        let (read, word) = (stack.read(index), (ours(word.value), word.is_pointer));
        if read != word {
            return differs(u32::from(index), read, word);
        }
    }
    Ok(())
}

/// Our machine cuts off the rest.
const MAX_END_BYTES: usize = 1 << 16;

/// How the reference ended, if it did.
pub(super) fn end_of_judge(vm: &Vm) -> Option<End> {
    if !vm.execution_has_ended() {
        return None;
    }
    let state = &vm.local_state;
    let pointer = FatPointer::from(ours(state.registers[0].value));
    let bytes = (0..(pointer.length as usize).min(MAX_END_BYTES)).map(|index| {
        let at = pointer.start as usize + index;
        let word = ours(vm.memory.word(pointer.page, (at / 32) as u32).value);
        word.to_be_bytes::<32>()[at % 32]
    });
    Some(if state.flags.overflow_or_less_than_flag {
        End::Panicked
    } else if state.callstack.current.pc == u16::MAX {
        End::Reverted(bytes.collect())
    } else {
        End::Returned(bytes.collect())
    })
}

/// Compares how a run paused with the end of the reference.
pub(super) fn compare_end(pause: Option<&Pause>, vm: &Vm) -> Result<(), String> {
    let ended = match pause {
        Some(Pause::Ended(end)) => Some(end.clone()),
        _ => None,
    };
    let theirs = end_of_judge(vm);
    // An instruction whose second destination is the first register clears what it returned. Nobody reads that register
    // of the outermost frame, so our machine returns the bytes.
    let is_cleared = theirs.is_some() && !vm.local_state.registers[0].is_pointer;
    let is_alike = match (&ended, &theirs) {
        (Some(ours), Some(theirs)) if is_cleared => std::mem::discriminant(ours) == std::mem::discriminant(theirs),
        (ours, theirs) => ours == theirs,
    };
    if is_alike { Ok(()) } else { Err(format!("ours ended as {ended:x?}, theirs as {theirs:x?}")) }
}
