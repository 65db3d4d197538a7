//! The encoding of instructions.

use zk_evm::zkevm_opcode_defs::{
    BinopOpcode, Condition, ContextOpcode, FarCallOpcode, ImmMemHandlerFlags, LogOpcode, OPCODES_PRICES, OPCODES_TABLE,
    Opcode, Operand, PtrOpcode, RegOrImmFlags, RetOpcode, ShiftOpcode, UMAOpcode,
    decoding::{EncodingModeProduction, VmEncodingMode},
};

use super::rng::Rng;
use crate::instruction::{
    ALWAYS, FLAG_0, FLAG_1, Instruction, NEEDS_KERNEL, NEEDS_MUTABLE, NEEDS_THE_IMPOSSIBLE, NOT_EQUAL, Operation,
    Place, VARIANTS, flags,
};

fn operation(opcode: Opcode) -> Operation {
    use Operation as O;
    match opcode {
        Opcode::Invalid(_) => O::Invalid,
        Opcode::Nop(_) => O::Nop,
        Opcode::Add(_) => O::Add,
        Opcode::Sub(_) => O::Sub,
        Opcode::Mul(_) => O::Mul,
        Opcode::Div(_) => O::Div,
        Opcode::Jump(_) => O::Jump,
        Opcode::Context(ContextOpcode::This) => O::This,
        Opcode::Context(ContextOpcode::Caller) => O::Caller,
        Opcode::Context(ContextOpcode::CodeAddress) => O::CodeAddress,
        Opcode::Context(ContextOpcode::Meta) => O::Meta,
        Opcode::Context(ContextOpcode::ErgsLeft) => O::ErgsLeft,
        Opcode::Context(ContextOpcode::Sp) => O::Sp,
        Opcode::Context(ContextOpcode::GetContextU128) => O::ContextValue,
        Opcode::Context(ContextOpcode::SetContextU128) => O::SetContextValue,
        Opcode::Context(ContextOpcode::AuxMutating0) => O::AuxMutating,
        Opcode::Context(ContextOpcode::IncrementTxNumber) => O::IncrementTransactionNumber,
        Opcode::Shift(ShiftOpcode::Shl) => O::ShiftLeft,
        Opcode::Shift(ShiftOpcode::Shr) => O::ShiftRight,
        Opcode::Shift(ShiftOpcode::Rol) => O::RotateLeft,
        Opcode::Shift(ShiftOpcode::Ror) => O::RotateRight,
        Opcode::Binop(BinopOpcode::Xor) => O::Xor,
        Opcode::Binop(BinopOpcode::And) => O::And,
        Opcode::Binop(BinopOpcode::Or) => O::Or,
        Opcode::Ptr(PtrOpcode::Add) => O::PointerAdd,
        Opcode::Ptr(PtrOpcode::Sub) => O::PointerSub,
        Opcode::Ptr(PtrOpcode::Pack) => O::PointerPack,
        Opcode::Ptr(PtrOpcode::Shrink) => O::PointerShrink,
        Opcode::NearCall(_) => O::NearCall,
        Opcode::Log(LogOpcode::StorageRead) => O::StorageRead,
        Opcode::Log(LogOpcode::StorageWrite) => O::StorageWrite,
        Opcode::Log(LogOpcode::ToL1Message) => O::ToL1Message,
        Opcode::Log(LogOpcode::Event) => O::Event,
        Opcode::Log(LogOpcode::PrecompileCall) => O::PrecompileCall,
        Opcode::Log(LogOpcode::Decommit) => O::Decommit,
        Opcode::Log(LogOpcode::TransientStorageRead) => O::TransientRead,
        Opcode::Log(LogOpcode::TransientStorageWrite) => O::TransientWrite,
        Opcode::FarCall(FarCallOpcode::Normal) => O::FarCall,
        Opcode::FarCall(FarCallOpcode::Delegate) => O::DelegateCall,
        Opcode::FarCall(FarCallOpcode::Mimic) => O::MimicCall,
        Opcode::Ret(RetOpcode::Ok) => O::Return,
        Opcode::Ret(RetOpcode::Revert) => O::Revert,
        Opcode::Ret(RetOpcode::Panic) => O::Panic,
        Opcode::UMA(UMAOpcode::HeapRead) => O::HeapRead,
        Opcode::UMA(UMAOpcode::HeapWrite) => O::HeapWrite,
        Opcode::UMA(UMAOpcode::AuxHeapRead) => O::AuxHeapRead,
        Opcode::UMA(UMAOpcode::AuxHeapWrite) => O::AuxHeapWrite,
        Opcode::UMA(UMAOpcode::FatPointerRead) => O::PointerRead,
        Opcode::UMA(UMAOpcode::StaticMemoryRead) => O::StaticRead,
        Opcode::UMA(UMAOpcode::StaticMemoryWrite) => O::StaticWrite,
    }
}

fn place(operand: Operand) -> Place {
    match operand {
        Operand::RegOnly
        | Operand::RegOrImm(RegOrImmFlags::UseRegOnly)
        | Operand::Full(ImmMemHandlerFlags::UseRegOnly) => Place::Register,
        Operand::RegOrImm(RegOrImmFlags::UseImm16Only) | Operand::Full(ImmMemHandlerFlags::UseImm16Only) => {
            Place::Immediate
        }
        Operand::Full(ImmMemHandlerFlags::UseStackWithPushPop) => Place::PushPop,
        Operand::Full(ImmMemHandlerFlags::UseStackWithOffset) => Place::StackRelative,
        Operand::Full(ImmMemHandlerFlags::UseAbsoluteOnStack) => Place::StackAbsolute,
        Operand::Full(ImmMemHandlerFlags::UseCodePage) => Place::Code,
    }
}

#[test]
fn all_variants_are_numbered_priced_and_guarded_alike() {
    for (number, theirs) in OPCODES_TABLE.iter().enumerate() {
        let ours = &VARIANTS[number];
        assert_eq!(ours.operation, operation(theirs.opcode), "operation of {number}");
        if ours.operation == Operation::Invalid {
            // It is refused before anything else in it matters, and costs all remaining gas.
            assert_eq!(ours.needs, NEEDS_THE_IMPOSSIBLE, "needs of {number}");
            assert_eq!(OPCODES_PRICES[number], u32::MAX);
            continue;
        }
        assert_eq!(ours.source, place(theirs.src0_operand_type), "source of {number}");
        assert_eq!(ours.destination, place(theirs.dst0_operand_type), "destination of {number}");
        let [first, second] = theirs.flags;
        let flags = if first { FLAG_0 } else { 0 } | if second { FLAG_1 } else { 0 };
        assert_eq!(ours.flags, flags, "flags of {number}, {:?}", ours.operation);
        let kernel = if theirs.requires_kernel_mode() { NEEDS_KERNEL } else { 0 };
        let mutable = if theirs.can_be_used_in_static_context() { 0 } else { NEEDS_MUTABLE };
        assert_eq!(ours.needs, kernel | mutable, "needs of {number}, {:?}", ours.operation);
        assert_eq!(u32::from(ours.price), OPCODES_PRICES[number], "price of {number}, {:?}", ours.operation);
    }
}

#[test]
fn all_fields_are_decoded_alike() {
    let mut rng = Rng::new(1);
    for _ in 0..100_000 {
        let encoded = rng.next();
        let ours = Instruction::decode(encoded);
        let (theirs, number) = EncodingModeProduction::parse_preliminary_variant_and_absolute_number(encoded);
        assert_eq!(ours.variant, VARIANTS[number.into_usize()]);
        assert_eq!([ours.src0, ours.src1], [theirs.src0_reg_idx, theirs.src1_reg_idx]);
        assert_eq!([ours.dst0, ours.dst1], [theirs.dst0_reg_idx, theirs.dst1_reg_idx]);
        assert_eq!([ours.imm0, ours.imm1], [theirs.imm_0, theirs.imm_1]);
    }
}

#[test]
fn all_conditions_hold_for_the_same_flags() {
    for set in 0..8_u8 {
        let [less, equal, greater] = [flags::LESS, flags::EQUAL, flags::GREATER].map(|flag| set & flag != 0);
        let ours = ALWAYS | set | if equal { 0 } else { NOT_EQUAL };
        for number in 0..8_u64 {
            let holds = match Condition::materialize_variant(number as usize) {
                Condition::Always => true,
                Condition::Gt => greater,
                Condition::Lt => less,
                Condition::Eq => equal,
                Condition::Ge => greater | equal,
                Condition::Le => less | equal,
                Condition::Ne => !equal,
                Condition::GtOrLt => greater | less,
            };
            assert_eq!(
                Instruction::decode(number << 13).condition & ours != 0,
                holds,
                "condition {number}, flags {set}"
            );
        }
    }
}
