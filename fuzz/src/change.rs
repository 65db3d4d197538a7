//! Changes to a batch input, determined by the fuzzer's bytes.
//!
//! A change goes to one part of the input, mostly through that part's JSON form. So every field of every type is in
//! reach, and the result still decodes more often than not.

use arbitrary::{Result, Unstructured};
use serde::{Serialize, de::DeserializeOwned};
use serde_json::{Value, json};
use tee_verifier::{
    BatchInput, H256, ProtocolVersionId, StorageKey, U256,
    input::{L2BlockExecutionData, Transaction},
};

/// Makes one change. Fails when the bytes end.
pub(crate) fn change(input: &mut BatchInput, bytes: &mut Unstructured<'_>) -> Result<()> {
    match bytes.int_in_range(0..=13)? {
        0..=2 => item(&mut input.merkle_paths.merkle_paths, bytes),
        3 => list(&mut input.merkle_paths.merkle_paths, bytes),
        4 => integer(&mut input.merkle_paths.next_enumeration_index, bytes),
        5 => transaction(&mut input.l2_blocks_execution_data, bytes),
        6 => block(&mut input.l2_blocks_execution_data, bytes),
        7 => edit(&mut input.l1_batch_env, bytes),
        8 => edit(&mut input.pubdata_params, bytes),
        9 => claim(&mut input.vm_run_data.witness_block_state.read_storage_key, bytes),
        10 => claim(&mut input.vm_run_data.witness_block_state.is_write_initial, bytes),
        11 => code(input, bytes),
        12 => copies(input, bytes),
        _ => system(input, bytes),
    }
}

fn transaction(blocks: &mut [L2BlockExecutionData], bytes: &mut Unstructured<'_>) -> Result<()> {
    if blocks.is_empty() {
        return Ok(());
    }
    let from = bytes.choose_index(blocks.len())?;
    let to = bytes.choose_index(blocks.len())?;
    match bytes.int_in_range(0..=4)? {
        0 => list(&mut blocks[from].txs, bytes),
        // Moves one block's last transaction to the front of another.
        1 => {
            let moved: Option<Transaction> = blocks[from].txs.pop();
            blocks[to].txs.splice(0..0, moved);
            Ok(())
        }
        _ => item(&mut blocks[from].txs, bytes),
    }
}

fn block(blocks: &mut Vec<L2BlockExecutionData>, bytes: &mut Unstructured<'_>) -> Result<()> {
    if blocks.is_empty() || bytes.ratio(1, 4)? {
        return list(blocks, bytes);
    }
    let at = bytes.choose_index(blocks.len())?;
    let block = &mut blocks[at];
    // Without the transactions, which would get nearly all changes.
    let transactions = std::mem::take(&mut block.txs);
    let done = edit(block, bytes);
    block.txs = transactions;
    done
}

/// A claim of the sequencer: another value, another slot, none, or an additional one.
fn claim<V: Serialize + DeserializeOwned + Clone + Default>(
    claims: &mut std::collections::HashMap<StorageKey, V>,
    bytes: &mut Unstructured<'_>,
) -> Result<()> {
    // In order, so that the same bytes make the same change.
    let mut keys: Vec<StorageKey> = claims.keys().copied().collect();
    keys.sort_unstable();
    let Some(key) = keys.get(bytes.choose_index(keys.len().max(1))?) else { return Ok(()) };
    match bytes.int_in_range(0..=3)? {
        0 => drop(claims.remove(key)),
        1 => {
            let mut other = *key;
            edit(&mut other, bytes)?;
            let value = claims.get(key).cloned().unwrap_or_default();
            claims.insert(other, value);
        }
        _ => edit(claims.entry(*key).or_default(), bytes)?,
    }
    Ok(())
}

fn code(input: &mut BatchInput, bytes: &mut Unstructured<'_>) -> Result<()> {
    let codes = &mut input.vm_run_data.used_bytecodes;
    let at = bytes.choose_index(codes.len().max(1))?;
    let Some(hash) = codes.keys().nth(at).copied() else { return Ok(()) };
    match bytes.int_in_range(0..=5)? {
        0 => drop(codes.remove(&hash)),
        1 => {
            let code = codes.remove(&hash).unwrap_or_default();
            let mut other = hash;
            edit(&mut other, bytes)?;
            codes.insert(other, code);
        }
        2 => list(codes.entry(hash).or_default(), bytes)?,
        3 => word(codes.entry(hash).or_default(), bytes)?,
        4 => word(&mut input.vm_run_data.bootloader_code, bytes)?,
        _ => {
            let contracts = &mut input.system_env.base_system_smart_contracts;
            let contract = if bytes.arbitrary()? { &mut contracts.bootloader } else { &mut contracts.default_aa };
            match bytes.int_in_range(0..=2)? {
                0 => edit(&mut contract.hash, bytes)?,
                1 => list(&mut contract.code, bytes)?,
                _ => {
                    let at = bytes.choose_index(contract.code.len().max(1))?;
                    if let Some(byte) = contract.code.get_mut(at) {
                        *byte ^= bytes.int_in_range(1..=u8::MAX)?;
                    }
                }
            }
        }
    }
    Ok(())
}

fn word(code: &mut [[u8; 32]], bytes: &mut Unstructured<'_>) -> Result<()> {
    let at = bytes.choose_index(code.len().max(1))?;
    if let Some(word) = code.get_mut(at) {
        word[bytes.choose_index(32)?] ^= bytes.int_in_range(1..=u8::MAX)?;
    }
    Ok(())
}

/// What the input contains twice, and what is not used.
fn copies(input: &mut BatchInput, bytes: &mut Unstructured<'_>) -> Result<()> {
    let data = &mut input.vm_run_data;
    match bytes.int_in_range(0..=6)? {
        0 => edit(&mut data.l1_batch_number, bytes),
        1 => edit(&mut data.protocol_version, bytes),
        2 => edit(&mut data.default_account_code_hash, bytes),
        3 => {
            data.evm_emulator_code_hash = Some(U256::from(bytes.arbitrary::<u64>()?));
            Ok(())
        }
        4 => edit(&mut data.initial_heap_content, bytes),
        5 => edit(&mut data.storage_refunds, bytes),
        _ => edit(&mut data.pubdata_costs, bytes),
    }
}

fn system(input: &mut BatchInput, bytes: &mut Unstructured<'_>) -> Result<()> {
    let system = &mut input.system_env;
    match bytes.int_in_range(0..=6)? {
        0 => system.zk_porter_available ^= true,
        1 => system.version = ProtocolVersionId::new(bytes.int_in_range(0..=40_u16)?),
        2 => integer(&mut system.bootloader_gas_limit, bytes)?,
        3 => edit(&mut system.execution_mode, bytes)?,
        4 => integer(&mut system.default_validation_computational_gas_limit, bytes)?,
        5 => edit(&mut system.chain_id, bytes)?,
        _ => {
            let contracts = &mut system.base_system_smart_contracts;
            contracts.evm_emulator = Some(contracts.default_aa.clone());
        }
    }
    Ok(())
}

fn integer<T: TryFrom<u64> + TryInto<u64> + Copy>(number: &mut T, bytes: &mut Unstructured<'_>) -> Result<()> {
    let changed = other_number((*number).try_into().unwrap_or_default(), bytes)?;
    *number = changed.try_into().unwrap_or(*number);
    Ok(())
}

fn item<T: Serialize + DeserializeOwned>(items: &mut [T], bytes: &mut Unstructured<'_>) -> Result<()> {
    let at = bytes.choose_index(items.len().max(1))?;
    items.get_mut(at).map_or(Ok(()), |item| edit(item, bytes))
}

/// Removes an element, repeats it, swaps two, or cuts off the end.
fn list<T: Clone>(items: &mut Vec<T>, bytes: &mut Unstructured<'_>) -> Result<()> {
    if items.is_empty() {
        return Ok(());
    }
    let (one, other) = (bytes.choose_index(items.len())?, bytes.choose_index(items.len())?);
    match bytes.int_in_range(0..=3)? {
        0 => drop(items.remove(one)),
        1 => items.insert(other, items[one].clone()),
        2 => items.swap(one, other),
        _ => items.truncate(one),
    }
    Ok(())
}

/// Changes something in a value's JSON form. If the result does not decode, the value stays as it is.
fn edit<T: Serialize + DeserializeOwned>(value: &mut T, bytes: &mut Unstructured<'_>) -> Result<()> {
    let Ok(mut json) = serde_json::to_value(&*value) else { return Ok(()) };
    edit_json(&mut json, bytes)?;
    if let Ok(changed) = serde_json::from_value(json) {
        *value = changed;
    }
    Ok(())
}

fn edit_json(json: &mut Value, bytes: &mut Unstructured<'_>) -> Result<()> {
    if bytes.ratio(1, 16)? {
        *json = Value::Null;
        return Ok(());
    }
    match json {
        Value::Object(fields) if !fields.is_empty() => {
            let at = bytes.choose_index(fields.len())?;
            fields.values_mut().nth(at).map_or(Ok(()), |field| edit_json(field, bytes))
        }
        Value::Array(items) if items.is_empty() || bytes.ratio(1, 8)? => list(items, bytes),
        Value::Array(items) => {
            let at = bytes.choose_index(items.len())?;
            edit_json(&mut items[at], bytes)
        }
        Value::Bool(flag) => {
            *flag ^= true;
            Ok(())
        }
        Value::Number(number) => {
            *json = json!(other_number(number.as_u64().unwrap_or_default(), bytes)?);
            Ok(())
        }
        Value::String(text) => {
            *json = json!(other_text(text, bytes)?);
            Ok(())
        }
        Value::Null | Value::Object(_) => {
            let values = [json!(0), json!(1), json!("0x01"), json!(H256::repeat_byte(1)), json!([])];
            *json = bytes.choose(&values)?.clone();
            Ok(())
        }
    }
}

fn other_number(number: u64, bytes: &mut Unstructured<'_>) -> Result<u64> {
    Ok(match bytes.int_in_range(0..=6)? {
        0 => number.wrapping_add(1),
        1 => number.wrapping_sub(1),
        2 => 0,
        3 => u64::from(u32::MAX),
        4 => number ^ (1 << bytes.int_in_range(0..=63_u32)?),
        5 => u64::MAX,
        _ => bytes.arbitrary()?,
    })
}

/// A different hexadecimal number of the same length, a longer one or a shorter one; or another name of an enum.
fn other_text(text: &str, bytes: &mut Unstructured<'_>) -> Result<String> {
    let Some(digits) = text.strip_prefix("0x").filter(|digits| !digits.is_empty() && digits.is_ascii()) else {
        let names = ["VerifyExecute", "EthCall", "EstimateFee", "Rollup", "Validium", "Version27", "Version29", ""];
        return Ok((*bytes.choose(&names)?).to_owned());
    };
    let mut digits = digits.to_owned();
    match bytes.int_in_range(0..=5)? {
        0 => digits = "0".repeat(digits.len()),
        1 => digits = "f".repeat(digits.len()),
        2 => digits.truncate(2 * bytes.choose_index(digits.len().div_ceil(2))?),
        3 => digits.push_str("00"),
        _ => {
            let at = bytes.choose_index(digits.len())?;
            let digit = char::from(b"0123456789abcdef"[bytes.choose_index(16)?]);
            digits.replace_range(at..=at, digit.encode_utf8(&mut [0; 4]));
        }
    }
    Ok(format!("0x{digits}"))
}
