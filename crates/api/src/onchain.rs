//! What the contracts must compute from a statement and its signature, recorded for their tests.

use std::{env, fs, path::Path};

use ethabi::Token;
use serde_json::{Value, json};
use tee_verifier::{CodeHashes, H256, keccak256};

use crate::{Contract, Signature, SignedStatement, SigningKey, Statement};

/// The committed cases. `TEE_WRITE_VECTORS=1` rewrites them.
const COMMITTED: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../contracts/test/vectors/statements.json");

/// A small generator of numbers that look random (SplitMix64).
struct Random(u64);

impl Random {
    fn number(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn below(&mut self, limit: u64) -> u64 {
        self.number() % limit
    }

    fn hash(&mut self) -> H256 {
        H256(keccak256(&self.number().to_be_bytes()))
    }

    fn statement(&mut self) -> Statement {
        let protocol_version = [29, 31][self.below(2) as usize];
        let previous_root = self.hash();
        let has_upgrade = self.below(4) == 0;
        Statement {
            chain_id: self.number(),
            batch_number: 1 + self.below(1 << 30) as u32,
            protocol_version,
            previous_root,
            previous_index: self.number(),
            root: self.hash(),
            index: self.number(),
            code_hashes: CodeHashes {
                bootloader: self.hash(),
                default_account: self.hash(),
                evm_emulator: (self.below(2) == 0).then(|| self.hash()),
            },
            system_logs: self.system_logs(protocol_version, previous_root, has_upgrade),
        }
    }

    /// Logs as a real batch has them, in any order.
    fn system_logs(&mut self, version: u16, previous_root: H256, has_upgrade: bool) -> Vec<u8> {
        let upgrade_key = if version == 31 { 10 } else { 9 };
        let mut keys: Vec<u8> = (0..upgrade_key + u8::from(has_upgrade)).collect();
        for place in (1..keys.len()).rev() {
            keys.swap(place, self.below(place as u64 + 1) as usize);
        }
        let batch_time = self.below(1 << 32);
        let mut timestamps = H256::from_low_u64_be(batch_time + self.below(3600));
        timestamps.0[8..16].copy_from_slice(&batch_time.to_be_bytes());
        let mut counts = H256::from_low_u64_be(self.below(1000));
        if version == 31 {
            counts.0[8..16].copy_from_slice(&self.below(1000).to_be_bytes());
        }
        let mut logs = Vec::new();
        for (transaction, key) in keys.into_iter().enumerate() {
            let sender: u16 = match key {
                0 | 5 | 6 => 0x8008,
                1 | 4 => 0x800b,
                _ => 0x8001,
            };
            let value = match key {
                1 => timestamps,
                3 => counts,
                4 => previous_root,
                _ => self.hash(),
            };
            logs.extend([0, 1]);
            logs.extend((transaction as u16).to_be_bytes());
            logs.extend([[0; 18].as_slice(), &sender.to_be_bytes()].concat());
            logs.extend(H256::from_low_u64_be(key.into()).0);
            logs.extend(value.0);
        }
        logs
    }

    fn key(&mut self) -> SigningKey {
        SigningKey::from_hex(&hex::encode(self.hash())).unwrap()
    }
}

fn hex_0x(bytes: impl AsRef<[u8]>) -> String {
    format!("0x{}", hex::encode(bytes))
}

/// A statement with everything that a contract computes from it, in readable form.
fn described(statement: Statement, key: &SigningKey) -> Value {
    let contract = Contract { settlement_chain_id: 1, address: [0xc0; 20].into() };
    let bound = statement.bound_digest(&contract);
    json!({
        "chainId": statement.chain_id.to_string(),
        "batchNumber": statement.batch_number,
        "protocolVersion": statement.protocol_version,
        "previousRoot": hex_0x(statement.previous_root),
        "previousIndex": statement.previous_index.to_string(),
        "root": hex_0x(statement.root),
        "index": statement.index.to_string(),
        "bootloader": hex_0x(statement.code_hashes.bootloader),
        "defaultAccount": hex_0x(statement.code_hashes.default_account),
        "evmEmulator": hex_0x(statement.code_hashes.evm_emulator.unwrap_or_default()),
        "systemLogs": hex_0x(&statement.system_logs),
        "codeHash": hex_0x(statement.code_hash()),
        "systemLogsHash": hex_0x(statement.system_logs_hash()),
        "digest": hex_0x(statement.digest()),
        "settlementChainId": contract.settlement_chain_id,
        "contract": hex_0x(contract.address),
        "boundDigest": hex_0x(bound),
        "signer": hex_0x(key.public_key().address()),
        "signature": hex_0x(key.sign_hash(statement.digest()).to_bytes()),
        "boundSignature": hex_0x(key.sign_hash(bound).to_bytes()),
    })
}

#[test]
fn the_contracts_cases_are_what_this_code_makes() {
    let mut random = Random(29);
    let cases: Vec<Value> = (0..8)
        .map(|_| {
            let (statement, key) = (random.statement(), random.key());
            described(statement, &key)
        })
        .collect();
    let made = json!({ "cases": cases });
    if env::var_os("TEE_WRITE_VECTORS").is_some() {
        fs::write(COMMITTED, serde_json::to_string_pretty(&made).unwrap() + "\n").unwrap();
    }
    // The parsed values are compared, not the text: fields are in another order if some package makes serde_json
    // preserve it.
    let committed: Value = serde_json::from_str(&fs::read_to_string(COMMITTED).unwrap()).unwrap();
    assert_eq!(made, committed, "{COMMITTED}: set TEE_WRITE_VECTORS=1 to write it again");
}

/// A statement, a signature and a signer, and whether this code accepts the signature as the signer's.
fn case(random: &mut Random) -> Token {
    let (mut statement, key) = (random.statement(), random.key());
    let mut signer = key.public_key();
    let mut signature = key.sign_hash(statement.digest()).to_bytes();
    match random.below(12) {
        0 => signer = random.key().public_key(),
        1 => signature[random.below(65) as usize] ^= 1 << random.below(8),
        2 => signature[64] ^= 27 ^ 28,
        3 => signature[64] -= 27,
        4 => make_high_s(&mut signature),
        5 => signature.truncate(random.below(65) as usize),
        6 => signature[..32].fill(0),
        7 => signature[32..64].fill(0),
        8 => change(&mut statement, random),
        _ => {}
    }
    // A server accepts signatures of 64 bytes, too, from older provers; a contract does not.
    let accepted = signature.len() == 65
        && Signature::from_bytes(&signature).is_ok_and(|signature| {
            SignedStatement { statement: statement.clone(), signature, bound: vec![] }.verify(&signer).is_ok()
        });
    let word = |hash: H256| Token::FixedBytes(hash.as_bytes().to_vec());
    let digest = statement.digest();
    Token::Tuple(vec![
        Token::Tuple(vec![
            Token::Uint(statement.chain_id.into()),
            Token::Uint(statement.batch_number.into()),
            Token::Uint(statement.protocol_version.into()),
            word(statement.previous_root),
            Token::Uint(statement.previous_index.into()),
            word(statement.root),
            Token::Uint(statement.index.into()),
            word(statement.code_hash()),
            Token::Bytes(statement.system_logs),
        ]),
        word(digest),
        Token::Bytes(signature),
        Token::Address(signer.address()),
        Token::Bool(accepted),
    ])
}

/// The other signature that the same key could have made, with s in the upper half of the group's order.
fn make_high_s(signature: &mut [u8]) {
    const ORDER: &str = "fffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364141";
    let order = ethabi::Uint::from_big_endian(&hex::decode(ORDER).unwrap());
    let high = order - ethabi::Uint::from_big_endian(&signature[32..64]);
    high.to_big_endian(&mut signature[32..64]);
    signature[64] ^= 27 ^ 28;
}

/// Changes what was signed, but keeps the statement readable.
fn change(statement: &mut Statement, random: &mut Random) {
    match random.below(6) {
        0 => statement.root = random.hash(),
        1 => statement.index ^= 1,
        2 => statement.code_hashes.bootloader = random.hash(),
        3 => statement.chain_id ^= 1,
        4 => statement.previous_index ^= 1,
        _ => statement.system_logs[2] ^= 1,
    }
}

/// Writes many cases for the contracts' tests, a folder of files: `TEE_ONCHAIN_CASES=FOLDER`.
#[test]
fn random_cases_have_both_verdicts_and_are_written_where_they_are_wanted() {
    let mut random = Random(31);
    let files: Vec<Vec<Token>> = (0..12).map(|_| (0..400).map(|_| case(&mut random)).collect()).collect();
    for cases in &files {
        let accepted = cases.iter().filter(|case| matches!(case, Token::Tuple(of) if of[4] == Token::Bool(true)));
        assert!((50..350).contains(&accepted.count()));
    }
    if let Some(folder) = env::var_os("TEE_ONCHAIN_CASES") {
        fs::create_dir_all(&folder).unwrap();
        for (number, cases) in files.into_iter().enumerate() {
            let path = Path::new(&folder).join(format!("{number}.abi"));
            fs::write(path, ethabi::encode(&[Token::Array(cases)])).unwrap();
        }
    }
}
