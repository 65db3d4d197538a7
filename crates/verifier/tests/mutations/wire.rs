//! Changes on the wire: of the JSON form, so that some can no longer be read.

use serde_json::{Value, json};
use tee_verifier::BatchInput;

use crate::{Changed, random::Random};

/// Fields that decide nothing in some places, or in none. Indices of lists are left out.
pub(crate) const WITHOUT_MEANING: &[(&str, &str)] = &[
    ("V1.vm_run_data.initial_heap_content", "the VM fills the bootloader's memory itself"),
    ("V1.vm_run_data.storage_refunds", "the VM computes them"),
    ("V1.vm_run_data.pubdata_costs", "the VM computes them"),
    ("V1.vm_run_data.witness_block_state.read_storage_key", "a slot with a path needs no claim"),
    (
        "V1.vm_run_data.witness_block_state.read_storage_key.account.address",
        "so the claim becomes one about a foreign slot",
    ),
    ("V1.vm_run_data.witness_block_state.read_storage_key.key", "the same"),
    ("V1.vm_run_data.witness_block_state.is_write_initial", "a slot with a path needs no claim"),
    (
        "V1.vm_run_data.witness_block_state.is_write_initial.account.address",
        "so the claim becomes one about a foreign slot",
    ),
    ("V1.vm_run_data.witness_block_state.is_write_initial.key", "the same"),
    ("V1.merkle_paths.merkle_paths", "the order of paths"),
    ("V1.merkle_paths.merkle_paths.root_hash", "the root is rebuilt"),
    ("V1.merkle_paths.merkle_paths.merkle_paths", "hashes over touched leaves are rebuilt"),
    (
        "V1.l2_blocks_execution_data.virtual_blocks",
        "virtual blocks ended before the supported versions; the first is compared",
    ),
    ("V1.l2_blocks_execution_data.txs.received_timestamp_ms", "when the node saw the transaction"),
    ("V1.l2_blocks_execution_data.txs.raw_bytes", "the encoding, as the node received it"),
    ("V1.l2_blocks_execution_data.txs.common_data.L2.input.data", "the encoding"),
    ("V1.l2_blocks_execution_data.txs.common_data.L2.input.hash", "its hash: the VM computes its own"),
    ("V1.l2_blocks_execution_data.txs.common_data.L2.input", "the same"),
    ("V1.l2_blocks_execution_data.txs.common_data.L1.layer2TipFee", "what L1 knows and the VM does not see"),
    ("V1.l2_blocks_execution_data.txs.common_data.L1.fullFee", "what L1 knows and the VM does not see"),
    ("V1.l2_blocks_execution_data.txs.common_data.L1.opProcessingType", "what L1 knows and the VM does not see"),
    ("V1.l2_blocks_execution_data.txs.common_data.L1.priorityQueueType", "what L1 knows and the VM does not see"),
    ("V1.l2_blocks_execution_data.txs.common_data.L1.deadlineBlock", "what L1 knows and the VM does not see"),
    ("V1.l2_blocks_execution_data.txs.common_data.L1.ethHash", "what L1 knows and the VM does not see"),
    ("V1.l2_blocks_execution_data.txs.common_data.L1.ethBlock", "what L1 knows and the VM does not see"),
    ("V1.l1_batch_env.fee_input.L1Pegged.l1_gas_price", "the operator's to choose"),
    ("V1.l1_batch_env.fee_input.L1Pegged.fair_l2_gas_price", "the same"),
    ("V1.l2_blocks_execution_data.txs.common_data.ProtocolUpgrade.ethHash", "what L1 knows and the VM does not see"),
    ("V1.l2_blocks_execution_data.txs.common_data.ProtocolUpgrade.ethBlock", "what L1 knows and the VM does not see"),
    ("V1.pubdata_params.pubdata_type", "what is published where; the devnet's contracts publish nothing"),
    ("V1.pubdata_params.l2_da_validator_address", "in the system logs, which the devnet's contracts leave out"),
];

/// Changes a place of the input's JSON form at random.
pub(crate) fn mutated(wire: &Value, random: &mut Random) -> (String, Changed) {
    let mut changed = wire.clone();
    let field = mutate(&mut changed, random);
    if changed == *wire {
        return (field, Changed::Nothing);
    }
    let read = BatchInput::from_json(&serde_json::to_vec(&changed).unwrap());
    (field, read.map_or(Changed::Unreadable, |input| Changed::Input(Box::new(input))))
}

/// Descends from the whole input at random, each field of an object as likely as the next, and changes what it reaches.
/// Returns the field's path.
fn mutate(value: &mut Value, random: &mut Random) -> String {
    let stops = random.below(8) == 0;
    match value {
        Value::Object(fields) if !fields.is_empty() => {
            let at = random.below(fields.len());
            let name = fields.keys().nth(at).unwrap().clone();
            let rest = mutate(&mut fields[&name], random);
            // A hash as the name: a map, not a structure.
            let name = if name.starts_with("0x") { "*".to_owned() } else { name };
            if rest.is_empty() { name } else { format!("{name}.{rest}") }
        }
        Value::Array(items) if !items.is_empty() && !stops => {
            let at = random.below(items.len());
            mutate(&mut items[at], random)
        }
        Value::Array(items) => {
            let (one, other) = (random.below(items.len()), random.below(items.len()));
            match random.below(4) {
                0 if !items.is_empty() => drop(items.remove(one)),
                1 if !items.is_empty() => items.push(items[one].clone()),
                2 if !items.is_empty() => items.swap(one, other),
                _ => items.truncate(one),
            }
            String::new()
        }
        leaf => {
            *leaf = changed(leaf, random);
            String::new()
        }
    }
}

fn changed(leaf: &Value, random: &mut Random) -> Value {
    match leaf {
        Value::Bool(flag) => json!(!flag),
        Value::Number(number) => {
            let number = number.as_u64().unwrap_or_default();
            let numbers =
                [number.wrapping_add(1), number.wrapping_sub(1), 0, u64::from(u32::MAX), number ^ 0x80, random.next()];
            json!(numbers[random.below(numbers.len())])
        }
        Value::String(text) if text.starts_with("0x") && text.len() > 2 => {
            let mut digits: Vec<char> = text.chars().collect();
            let at = 2 + random.below(digits.len() - 2);
            digits[at] = if digits[at] == '0' { '1' } else { '0' };
            json!(digits.into_iter().collect::<String>())
        }
        Value::String(_) => json!("Version27"),
        _ => json!([0, 1].get(random.below(2))),
    }
}
