//! Code: every bytecode that the run may use hashes to the hash that it is known by.

use std::collections::HashMap;

use primitive_types::{H256, U256};

use crate::{
    BatchInput, CodeHashes, Rejection,
    hash::{CodeKind, code_hash, era_code_hash, is_bytecode},
    input::SystemContractCode,
};

/// Bytecodes whose hashes were checked.
pub(crate) struct Code {
    /// The hashes of the base contracts.
    pub(crate) hashes: CodeHashes,
    /// The base contracts and all other code, by hash.
    pub(crate) bytecodes: HashMap<H256, Vec<u8>>,
}

/// Checks the base contracts and all other bytecodes. Otherwise code replaced under an unchanged hash would run instead
/// of the deployed code.
pub(crate) fn check(input: &BatchInput) -> Result<Code, Rejection> {
    let contracts = &input.system_env.base_system_smart_contracts;
    let check_base = |code: &SystemContractCode| check_hash(code.hash, &code.code).map(|()| code.hash);
    let hashes = CodeHashes {
        bootloader: check_base(&contracts.bootloader)?,
        default_account: check_base(&contracts.default_aa)?,
        evm_emulator: contracts.evm_emulator.as_ref().map(check_base).transpose()?,
    };

    let mut bytecodes = HashMap::with_capacity(input.vm_run_data.used_bytecodes.len().saturating_add(2));
    for base in [Some(&contracts.default_aa), contracts.evm_emulator.as_ref()].into_iter().flatten() {
        bytecodes.insert(base.hash, base.code.clone());
    }
    for (claimed, words) in &input.vm_run_data.used_bytecodes {
        let (claimed, code) = (word(*claimed), words.concat());
        check_hash(claimed, &code)?;
        bytecodes.insert(claimed, code);
    }
    Ok(Code { hashes, bytecodes })
}

/// A number as its 32 bytes, the highest first.
pub(crate) fn word(number: U256) -> H256 {
    let mut bytes = [0; 32];
    number.to_big_endian(&mut bytes);
    H256(bytes)
}

fn check_hash(claimed: H256, code: &[u8]) -> Result<(), Rejection> {
    let malformed = Rejection::BytecodeMalformed { claimed };
    if !is_bytecode(code) {
        return Err(malformed);
    }
    let [kind, _, length_high, length_low, ..] = claimed.0;
    let computed = if kind == CodeKind::Era as u8 {
        H256(era_code_hash(code))
    } else if kind == CodeKind::Evm as u8 {
        H256(code_hash(CodeKind::Evm, u16::from_be_bytes([length_high, length_low]), code))
    } else {
        return Err(malformed);
    };
    if computed == claimed { Ok(()) } else { Err(Rejection::BytecodeHash { claimed, computed }) }
}
