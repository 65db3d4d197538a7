//! Precompiles over random and extreme inputs.

use ark_bn254::{Fr, G1Affine, G2Affine};
use ark_ec::{AffineRepr, CurveGroup};
use ark_ff::{BigInteger, PrimeField};
use p256::ecdsa::{SigningKey, signature::hazmat::PrehashSigner};
use secp256k1::{Message, SECP256K1, SecretKey};
use zk_evm::{
    aux_structures::{LogQuery, Timestamp},
    ethereum_types::Address as TheirAddress,
    vm_state::PrimitiveValue,
    zk_evm_abstractions::{precompiles::DefaultPrecompilesProcessor, vm::PrecompilesProcessor},
    zkevm_opcode_defs::PrecompileCallABI,
};

use super::{
    judge::{JudgeMemory, ours, theirs},
    rng::Rng,
};
use crate::{
    Recovery, U256,
    memory::Memory,
    precompiles::{self, PrecompileCall, Precompiles, Recoveries},
};

const PAGE: u32 = 2058;
const OUTPUT: u32 = 2059;
/// The order of secp256k1.
const N: U256 = U256::from_limbs([0xbfd2_5e8c_d036_4141, 0xbaae_dce6_af48_a03b, 0xffff_ffff_ffff_fffe, u64::MAX]);
/// The order of the field under BN254.
const P: U256 =
    U256::from_limbs([0x3c20_8c16_d87c_fd47, 0x9781_6a91_6871_ca8d, 0xb850_45b6_8181_585d, 0x3064_4e72_e131_a029]);

/// Puts the input into both memories, calls both, and compares the words that can have been written.
fn compare(address: u16, input: &[u8], abi: PrecompileCallABI, recoveries: &Recoveries) -> Vec<U256> {
    let (mut memory, mut judge) = (Memory::new(), JudgeMemory { words: Default::default() });
    memory.add_heap(PAGE);
    memory.add_heap(OUTPUT);
    for (index, bytes) in (0..).zip(input.chunks(32)) {
        let mut word = [0; 32];
        word[..bytes.len()].copy_from_slice(bytes);
        let word = U256::from_be_bytes(word);
        memory.write_word(PAGE, index, word).unwrap();
        judge.words.insert((PAGE, index), PrimitiveValue { value: theirs(word), is_pointer: false });
    }
    let mut kernel = [0; 20];
    kernel[18..].copy_from_slice(&address.to_be_bytes());
    let call = PrecompileCall::new(ours(abi.to_u256()), 0);
    precompiles::call(Precompiles::All, &kernel, &call, &mut memory, recoveries).unwrap();

    let query = LogQuery {
        timestamp: Timestamp(1),
        tx_number_in_block: 0,
        aux_byte: 3,
        shard_id: 0,
        address: TheirAddress::from(kernel),
        key: abi.to_u256(),
        read_value: Default::default(),
        written_value: Default::default(),
        rw_flag: false,
        rollback: false,
        is_service: false,
    };
    DefaultPrecompilesProcessor::<false>.execute_precompile(0, query, &mut judge);
    let words = abi.output_memory_offset..abi.output_memory_offset + 4;
    let got: Vec<_> = words.clone().map(|word| memory.read_page(OUTPUT, word * 32)).collect();
    let expected: Vec<_> = words.map(|word| ours(judge.word(OUTPUT, word).value)).collect();
    assert_eq!(got, expected, "precompile {address:#x}, {abi:?}, input {input:02x?}");
    got
}

fn abi(rng: &mut Rng, input_offset: u32, input_length: u32, rounds: u64) -> PrecompileCallABI {
    PrecompileCallABI {
        input_memory_offset: input_offset,
        input_memory_length: input_length,
        output_memory_offset: rng.below(5),
        output_memory_length: 3,
        memory_page_to_read: PAGE,
        memory_page_to_write: OUTPUT,
        precompile_interpreted_data: rounds,
    }
}

fn compare_words(rng: &mut Rng, address: u16, words: &[U256], rounds: u64) -> Vec<U256> {
    let offset = rng.below(3);
    let mut input = vec![0xab; offset as usize * 32];
    words.iter().for_each(|word| input.extend(word.to_be_bytes::<32>()));
    let abi = abi(rng, offset, words.len() as u32, rounds);
    compare(address, &input, abi, &Recoveries::default())
}

/// The number of cases to compare. `EQUAL_PRECOMPILES` scales it (in percent).
fn cases(usual: u32) -> u32 {
    let percent = std::env::var("EQUAL_PRECOMPILES").map_or(100, |percent| percent.parse().unwrap());
    println!("{} cases", usual * percent / 100);
    usual * percent / 100
}

#[test]
fn keccak256() {
    let mut rng = Rng::new(1);
    for case in 0..cases(3_000) {
        let (offset, length) = (rng.below(200), if case < 300 { case } else { rng.below(1_000) });
        let input: Vec<u8> = (0..offset + length + rng.below(64)).map(|_| rng.next() as u8).collect();
        compare(0x8010, &input, abi(&mut rng, offset, length, 0), &Recoveries::default());
    }
}

#[test]
fn sha256() {
    let mut rng = Rng::new(2);
    for _ in 0..cases(2_000) {
        let rounds = rng.below(6);
        let words: Vec<_> = (0..rounds * 2).map(|_| rng.u256()).collect();
        compare_words(&mut rng, 2, &words, rounds.into());
    }
}

#[test]
fn ecrecover() {
    let mut rng = Rng::new(3);
    let mut recovered = 0;
    for _ in 0..cases(600) {
        let key = SecretKey::from_slice(&(rng.u256() >> 1_usize).to_be_bytes::<32>()).unwrap();
        let digest = rng.word();
        let message = Message::from_slice(&digest.to_be_bytes::<32>()).unwrap();
        let (id, compact) = SECP256K1.sign_ecdsa_recoverable(&message, &key).serialize_compact();
        let [mut r, mut s] = [&compact[..32], &compact[32..]].map(U256::from_be_slice);
        let mut v = U256::from(id.to_i32() as u64 & 1);
        match rng.below(8) {
            0 => r = edge(&mut rng, N),
            1 => s = edge(&mut rng, N),
            2 => (r, s) = (edge(&mut rng, N), edge(&mut rng, N)),
            // The other one of a message's two signatures.
            3 => (s, v) = (N - s, U256::from(1) - v),
            4 => v = U256::from(1) - v,
            // Only its lowest byte is used.
            5 => v += U256::from(rng.next()) << 8_usize,
            _ => {}
        }
        let output = compare_words(&mut rng, 1, &[digest, v, r, s], 0);
        recovered += usize::from(output.iter().any(|word| *word > U256::from(1)));
        // A recovery that was made in advance changes nothing.
        let recovery = Recovery::new(digest.to_be_bytes(), v.to_be_bytes::<32>()[31], r.to_be_bytes(), s.to_be_bytes());
        let recoveries = Recoveries::from_iter([(recovery.input(), recovery)]);
        let input: Vec<u8> = [digest, v, r, s].iter().flat_map(|word| word.to_be_bytes::<32>()).collect();
        compare(1, &input, abi(&mut rng, 0, 4, 0), &recoveries);
    }
    assert!(recovered > 100, "{recovered}");
}

fn edge(rng: &mut Rng, order: U256) -> U256 {
    let near = order.wrapping_add(U256::from(rng.below(5))).wrapping_sub(U256::from(2));
    *rng.pick(&[U256::ZERO, U256::from(1), U256::MAX, near, order >> 1_usize, near >> 1_usize])
}

#[test]
fn secp256r1() {
    let mut rng = Rng::new(4);
    let mut verified = 0;
    for _ in 0..cases(300) {
        let key = SigningKey::from_slice(&(rng.u256() >> 1_usize).to_be_bytes::<32>()).unwrap();
        let digest = rng.word();
        let signature: p256::ecdsa::Signature = key.sign_prehash(&digest.to_be_bytes::<32>()).unwrap();
        let point = key.verifying_key().to_encoded_point(false);
        let word = |bytes: &[u8]| U256::from_be_slice(bytes);
        let (r, s) = signature.split_bytes();
        let mut words = [digest, word(&r), word(&s), word(point.x().unwrap()), word(point.y().unwrap())];
        if rng.one_in(2) {
            let place = rng.below(5) as usize;
            words[place] =
                if rng.one_in(2) { rng.word() } else { words[place] ^ (U256::from(1) << rng.below(256) as usize) };
        }
        verified +=
            usize::from(compare_words(&mut rng, 0x100, &words, 0).iter().filter(|word| !word.is_zero()).count() == 2);
    }
    assert!(verified > 100, "{verified}");
}

#[test]
fn modular_exponentiation() {
    let mut rng = Rng::new(5);
    for _ in 0..cases(2_000) {
        let words = [rng.word(), rng.word(), rng.word()];
        compare_words(&mut rng, 5, &words, 0);
    }
}

fn coordinates(point: Option<(ark_bn254::Fq, ark_bn254::Fq)>) -> [U256; 2] {
    let word = |field: ark_bn254::Fq| U256::from_be_slice(&field.into_bigint().to_bytes_be());
    point.map_or([U256::ZERO; 2], |(x, y)| [word(x), word(y)])
}

fn scalar(rng: &mut Rng) -> Fr {
    Fr::from_be_bytes_mod_order(&rng.word().to_be_bytes::<32>())
}

/// A point of the curve, the point at infinity, or something that only looks like a point.
fn point(rng: &mut Rng) -> [U256; 2] {
    let mut point = coordinates((G1Affine::generator() * scalar(rng)).into_affine().xy());
    if rng.one_in(4) {
        point[rng.below(2) as usize] = edge(rng, P);
    }
    point
}

#[test]
fn addition_and_multiplication_on_bn254() {
    let mut rng = Rng::new(6);
    for _ in 0..cases(600) {
        let one = point(&mut rng);
        let other = match rng.below(4) {
            0 => one,
            1 => [one[0], P.wrapping_sub(one[1])],
            _ => point(&mut rng),
        };
        compare_words(&mut rng, 6, &[one, other].concat(), 0);
        let factor = if rng.one_in(3) { U256::MAX } else { rng.word() };
        compare_words(&mut rng, 7, &[one[0], one[1], factor], 0);
    }
}

#[test]
fn pairings() {
    let mut rng = Rng::new(7);
    let mut answers = [0, 0];
    for _ in 0..cases(60) {
        let (a, b) = (scalar(&mut rng), scalar(&mut rng));
        let two = |factor: Fr| {
            let point = (G2Affine::generator() * factor).into_affine();
            point.xy().map_or([U256::ZERO; 4], |(x, y)| {
                let [[x1, x0], [y1, y0]] = [coordinates(Some((x.c1, x.c0))), coordinates(Some((y.c1, y.c0)))];
                [x1, x0, y1, y0]
            })
        };
        let one = |factor: Fr| coordinates((G1Affine::generator() * factor).into_affine().xy());
        // e(a, b) e(-ab, 1) = 1
        let mut words =
            [one(a).to_vec(), two(b).to_vec(), one(-(a * b)).to_vec(), two(Fr::from(1_u64)).to_vec()].concat();
        if rng.one_in(2) {
            let place = rng.below(12) as usize;
            words[place] = if rng.one_in(2) { edge(&mut rng, P) } else { words[(place + 6) % 12] };
        }
        let pairs = rng.below(3);
        words.truncate(pairs as usize * 6);
        let output = compare_words(&mut rng, 8, &words, pairs.into());
        answers[usize::from(output.iter().filter(|word| !word.is_zero()).count() == 2)] += 1;
    }
    assert!(answers.iter().all(|count| *count > 5), "{answers:?}");
}
