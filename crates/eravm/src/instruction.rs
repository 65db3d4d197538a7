//! Instructions: their encoding in eight bytes, decoded once.
//!
//! From the lowest bit: 11 bits that name the operation with its kinds of operands and its flags, 2 unused, 3 of the condition,
//! four registers of 4 bits (two sources, two destinations), two immediates of 16.

/// The operation of an instruction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Operation {
    Invalid,
    Nop,
    Add,
    Sub,
    Mul,
    Div,
    Jump,
    Xor,
    And,
    Or,
    ShiftLeft,
    ShiftRight,
    RotateLeft,
    RotateRight,
    PointerAdd,
    PointerSub,
    PointerPack,
    PointerShrink,
    NearCall,
    This,
    Caller,
    CodeAddress,
    Meta,
    ErgsLeft,
    Sp,
    ContextValue,
    SetContextValue,
    AuxMutating,
    IncrementTransactionNumber,
    StorageRead,
    StorageWrite,
    ToL1Message,
    Event,
    PrecompileCall,
    Decommit,
    TransientRead,
    TransientWrite,
    FarCall,
    DelegateCall,
    MimicCall,
    Return,
    Revert,
    Panic,
    HeapRead,
    HeapWrite,
    AuxHeapRead,
    AuxHeapWrite,
    PointerRead,
    StaticRead,
    StaticWrite,
}

/// Where an operand is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Place {
    Register,
    /// On the stack; the stack pointer moves.
    PushPop,
    /// On the stack, relative to the stack pointer.
    StackRelative,
    /// On the stack, relative to its start.
    StackAbsolute,
    Immediate,
    /// A constant in the code.
    Code,
}

const SOURCES: [Place; 6] =
    [Place::Register, Place::PushPop, Place::StackRelative, Place::StackAbsolute, Place::Immediate, Place::Code];
const DESTINATIONS: [Place; 4] = [Place::Register, Place::PushPop, Place::StackRelative, Place::StackAbsolute];

/// Flags: less than (also: overflow), equal, greater than.
pub(crate) mod flags {
    pub(crate) const LESS: u8 = 1;
    pub(crate) const EQUAL: u8 = 2;
    pub(crate) const GREATER: u8 = 4;
}

/// For each condition, the flags of which one must be set. "Always" tests a flag that is always set; "not equal" has
/// its own flag.
const CONDITIONS: [u8; 8] = [
    ALWAYS,
    flags::GREATER,
    flags::LESS,
    flags::EQUAL,
    flags::GREATER | flags::EQUAL,
    flags::LESS | flags::EQUAL,
    NOT_EQUAL,
    flags::GREATER | flags::LESS,
];
/// A flag that is always set.
pub(crate) const ALWAYS: u8 = 8;
/// A flag that is set if "equal" is not.
pub(crate) const NOT_EQUAL: u8 = 16;

/// The instruction needs the kernel.
pub(crate) const NEEDS_KERNEL: u8 = 1;
/// The instruction may not be used in a static frame.
pub(crate) const NEEDS_MUTABLE: u8 = 2;
/// The instruction needs something that no frame has: it is invalid.
pub(crate) const NEEDS_THE_IMPOSSIBLE: u8 = 4;
/// The price of a panic that follows a failed instruction.
pub(crate) const PANIC_PRICE: u16 = price::AVERAGE;

/// The first of an operation's two flags. It sets the flags, increments, begins an event, makes a call static, or
/// returns to a label; for pointer operations it swaps the sources.
pub(crate) const FLAG_0: u8 = 1;
/// The second flag. It swaps the sources, or calls another shard.
pub(crate) const FLAG_1: u8 = 2;

/// The meaning of the lowest 11 bits of an instruction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Variant {
    pub(crate) operation: Operation,
    pub(crate) source: Place,
    pub(crate) destination: Place,
    /// [`FLAG_0`] and [`FLAG_1`].
    pub(crate) flags: u8,
    /// [`NEEDS_KERNEL`] and [`NEEDS_MUTABLE`].
    pub(crate) needs: u8,
    /// The price in gas. An invalid instruction costs all gas that is left.
    pub(crate) price: u16,
}

/// A decoded instruction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Instruction {
    pub(crate) variant: Variant,
    /// The flags of which at least one must be set.
    pub(crate) condition: u8,
    pub(crate) src0: u8,
    pub(crate) src1: u8,
    pub(crate) dst0: u8,
    pub(crate) dst1: u8,
    pub(crate) imm0: u16,
    pub(crate) imm1: u16,
}

impl Instruction {
    /// The instruction that is executed beyond the end of the code.
    pub(crate) const INVALID: Self = Self::decode(0);

    pub(crate) const fn decode(encoded: u64) -> Self {
        let [_, _, sources, destinations, imm0_low, imm0_high, imm1_low, imm1_high] = encoded.to_le_bytes();
        Self {
            variant: VARIANTS[(encoded & 0x7ff) as usize],
            condition: CONDITIONS[(encoded >> 13 & 7) as usize],
            src0: sources & 0xf,
            src1: sources >> 4,
            dst0: destinations & 0xf,
            dst1: destinations >> 4,
            imm0: u16::from_le_bytes([imm0_low, imm0_high]),
            imm1: u16::from_le_bytes([imm1_low, imm1_high]),
        }
    }
}

/// All variants by number. Numbers without a variant are invalid.
pub(crate) static VARIANTS: [Variant; 2048] = variants();

const INVALID: Variant = Variant {
    operation: Operation::Invalid,
    source: Place::Register,
    destination: Place::Register,
    flags: 0,
    needs: NEEDS_THE_IMPOSSIBLE,
    price: 0,
};

/// The common part of the table's variants.
const PLAIN: Variant = Variant { needs: 0, ..INVALID };

/// Prices, as the specification builds them: a cycle, accesses to memory, and what the operation adds (`ergs_price`).
mod price {
    const CYCLE: u16 = 4;
    pub(super) const AVERAGE: u16 = CYCLE + 1;
    pub(super) const RICH: u16 = CYCLE + 2;
    pub(super) const NEAR_CALL: u16 = AVERAGE + 20;
    pub(super) const STORAGE_READ: u16 = AVERAGE + 1 + 2 + 2000;
    pub(super) const STORAGE_WRITE: u16 = AVERAGE + 2 + 4 + 5500;
    pub(super) const TO_L1_MESSAGE: u16 = AVERAGE + 2 + 2 + 100;
    pub(super) const EVENT: u16 = AVERAGE + 2 + 2 + 25;
    pub(super) const PRECOMPILE_CALL: u16 = AVERAGE + 1;
    pub(super) const DECOMMIT: u16 = AVERAGE + 1;
    pub(super) const TRANSIENT_READ: u16 = AVERAGE + 1 + 2 + 30;
    pub(super) const TRANSIENT_WRITE: u16 = AVERAGE + 2 + 4 + 60;
    pub(super) const FAR_CALL: u16 = 183;
    pub(super) const READ: u16 = CYCLE + 3;
    pub(super) const WRITE: u16 = 2 * CYCLE + 5;
}

/// Builds the table in the order in which the specification numbers the variants: those of the first version by
/// operation, then those that later versions added.
const fn variants() -> [Variant; 2048] {
    use Operation as O;
    let mut table = Table { variants: [INVALID; 2048], next: 1 };
    table.add_full(O::Nop, &[0]);
    table.add_full(O::Add, &[0, FLAG_0]);
    table.add_full(O::Sub, &SWAPPING);
    table.add_full(O::Mul, &[0, FLAG_0]);
    table.add_full(O::Div, &SWAPPING);
    let mut source = 0;
    while source < SOURCES.len() {
        table.add(Variant { operation: O::Jump, source: SOURCES[source], price: price::RICH, ..PLAIN });
        source += 1;
    }
    table.add_full(O::Xor, &[0, FLAG_0]);
    table.add_full(O::And, &[0, FLAG_0]);
    table.add_full(O::Or, &[0, FLAG_0]);
    table.add_full(O::ShiftLeft, &SWAPPING);
    table.add_full(O::ShiftRight, &SWAPPING);
    table.add_full(O::RotateLeft, &SWAPPING);
    table.add_full(O::RotateRight, &SWAPPING);
    table.add_full(O::PointerAdd, &[0, FLAG_0]);
    table.add_full(O::PointerSub, &[0, FLAG_0]);
    table.add_full(O::PointerPack, &[0, FLAG_0]);
    table.add_full(O::PointerShrink, &[0, FLAG_0]);
    table.add_plain(O::NearCall, price::NEAR_CALL, 0, &[0]);
    table.add_plain(O::This, price::AVERAGE, 0, &[0]);
    table.add_plain(O::Caller, price::AVERAGE, 0, &[0]);
    table.add_plain(O::CodeAddress, price::AVERAGE, 0, &[0]);
    table.add_plain(O::Meta, price::AVERAGE, 0, &[0]);
    table.add_plain(O::ErgsLeft, price::AVERAGE, 0, &[0]);
    table.add_plain(O::Sp, price::AVERAGE, 0, &[0]);
    table.add_plain(O::ContextValue, price::AVERAGE, 0, &[0]);
    table.add_plain(O::SetContextValue, price::AVERAGE, NEEDS_KERNEL | NEEDS_MUTABLE, &[0]);
    table.add_plain(O::AuxMutating, price::AVERAGE, NEEDS_KERNEL | NEEDS_MUTABLE, &[0]);
    table.add_plain(O::IncrementTransactionNumber, price::AVERAGE, NEEDS_KERNEL | NEEDS_MUTABLE, &[0]);
    table.add_plain(O::StorageRead, price::STORAGE_READ, 0, &[0]);
    table.add_plain(O::StorageWrite, price::STORAGE_WRITE, NEEDS_MUTABLE, &[0]);
    table.add_plain(O::ToL1Message, price::TO_L1_MESSAGE, NEEDS_KERNEL | NEEDS_MUTABLE, &[0, FLAG_0]);
    table.add_plain(O::Event, price::EVENT, NEEDS_KERNEL | NEEDS_MUTABLE, &[0, FLAG_0]);
    table.add_plain(O::PrecompileCall, price::PRECOMPILE_CALL, NEEDS_KERNEL, &[0]);
    table.add_plain(O::FarCall, price::FAR_CALL, 0, &SWAPPING);
    table.add_plain(O::DelegateCall, price::FAR_CALL, 0, &SWAPPING);
    table.add_plain(O::MimicCall, price::FAR_CALL, NEEDS_KERNEL, &SWAPPING);
    table.add_plain(O::Return, price::AVERAGE, 0, &[0, FLAG_0]);
    table.add_plain(O::Revert, price::AVERAGE, 0, &[0, FLAG_0]);
    table.add_plain(O::Panic, price::AVERAGE, 0, &[0, FLAG_0]);
    let mut source = 0;
    while source < 2 {
        table.add_memory(O::HeapRead, price::READ, source, 0);
        table.add_memory(O::HeapWrite, price::WRITE, source, 0);
        table.add_memory(O::AuxHeapRead, price::READ, source, 0);
        table.add_memory(O::AuxHeapWrite, price::WRITE, source, 0);
        if source == 0 {
            table.add_memory(O::PointerRead, price::READ, source, 0);
        }
        source += 1;
    }
    table.add_plain(O::Decommit, price::DECOMMIT, NEEDS_KERNEL, &[0]);
    table.add_plain(O::TransientRead, price::TRANSIENT_READ, 0, &[0]);
    table.add_plain(O::TransientWrite, price::TRANSIENT_WRITE, NEEDS_MUTABLE, &[0]);
    let mut source = 0;
    while source < 2 {
        table.add_memory(O::StaticRead, price::READ, source, NEEDS_KERNEL);
        source += 1;
    }
    let mut source = 0;
    while source < 2 {
        table.add_memory(O::StaticWrite, price::WRITE, source, NEEDS_KERNEL);
        source += 1;
    }
    table.variants
}

/// Neither flag, the second, the first, and both.
const SWAPPING: [u8; 4] = [0, FLAG_1, FLAG_0, FLAG_0 | FLAG_1];
/// The sources of operations on memory: a register or an immediate.
const MEMORY_SOURCES: [Place; 2] = [Place::Register, Place::Immediate];

struct Table {
    variants: [Variant; 2048],
    next: usize,
}

impl Table {
    const fn add(&mut self, variant: Variant) {
        self.variants[self.next] = variant;
        self.next += 1;
    }

    /// Adds an operation whose first source and first destination can be anywhere.
    const fn add_full(&mut self, operation: Operation, flags: &[u8]) {
        let mut source = 0;
        while source < SOURCES.len() {
            let mut destination = 0;
            while destination < DESTINATIONS.len() {
                let mut flag = 0;
                while flag < flags.len() {
                    self.add(Variant {
                        operation,
                        source: SOURCES[source],
                        destination: DESTINATIONS[destination],
                        flags: flags[flag],
                        price: price::RICH,
                        ..PLAIN
                    });
                    flag += 1;
                }
                destination += 1;
            }
            source += 1;
        }
    }

    /// Adds an operation on registers.
    const fn add_plain(&mut self, operation: Operation, price: u16, needs: u8, flags: &[u8]) {
        let mut flag = 0;
        while flag < flags.len() {
            self.add(Variant { operation, flags: flags[flag], needs, price, ..PLAIN });
            flag += 1;
        }
    }

    /// Adds an operation on memory.
    const fn add_memory(&mut self, operation: Operation, price: u16, source: usize, needs: u8) {
        let variant = Variant { operation, source: MEMORY_SOURCES[source], needs, price, ..PLAIN };
        self.add(variant);
        self.add(Variant { flags: FLAG_0, ..variant });
    }
}
