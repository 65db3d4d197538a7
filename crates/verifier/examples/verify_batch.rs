//! Verifies a batch's input against the pins of its chain:
//!
//!     cargo run --release -p tee-verifier --example verify_batch -- batch.json chain.json
//!
//! The input is JSON or CBOR as a node serves it, the pins are JSON: `{"chain": {"id": 300, "code": [{"protocol_version": 29,
//! "bootloader": "0x…", "default_account": "0x…"}]}}`. `teectl batch inspect` shows which code a batch brings.

use std::{error::Error, fs::File, io::BufReader};

use tee_verifier::{BatchInput, ChainFile, InputForm, MAX_INPUT_BYTES, Options, verify};

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [batch, chain] = arguments.as_slice() else {
        return Err("usage: verify_batch BATCH.json|BATCH.cbor CHAIN.json".into());
    };
    let pins: ChainFile = serde_json::from_reader(BufReader::new(File::open(chain)?))?;

    // Whoever wrote the file proves nothing by it, and it may be of any size.
    let form = if batch.ends_with(".cbor") { InputForm::Cbor } else { InputForm::Json };
    let input = BatchInput::read(BufReader::new(File::open(batch)?), form, MAX_INPUT_BYTES)?;

    // A rejection names the check that the batch fails.
    let verified = verify(input, &Options::pinned(pins.chain))?;
    println!("batch {} of chain {}", verified.number().0, verified.chain_id().as_u64());
    println!("{} transactions, {} of them from L1", verified.transactions(), verified.l1_transactions());
    println!("from {:?} to {:?}", verified.previous_root(), verified.root());
    Ok(())
}
