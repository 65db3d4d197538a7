//! SIGSTRUCTs, signed here with a public test key.

#![allow(dead_code)] // Each test file uses a part.

use ruint::Uint;

/// RSA with 3072 bits and the exponent 3, made for these tests.
const MODULUS: &str = "cfa8bcaffabe6254699b804fdc60acab25b7f521c0fbc6ab0b7b62e7d41c8da218c530bbe6874d84e3a88b4d9e753340\
     78fe891a5049ae6d4a7925040b39f283e60d4d968c68fe77f4421f25d2f4c8932a53a673270322ecb2c722c79db633bc\
     4f4ff6dd4a94282242b7084379caad19192f460747b0937565a2ae3b56c35bc99eceaccf246783f6694818dca7970842\
     3af012cbe98f4bebf3a627271a3298958f75ed6624a2177f9c6d0f3fd3dbdacc37b9119bd243e3da9ff7d699b514ed75\
     0ed6d3442bbd238380d3d1aedc020daf4268ce8d8fcb080b7f5544fad2e22165d9c8e53c13a568091acb44dc5288dacf\
     3a91121cd306da9bdbd1ba2e0ae5f8d15e7016d0934077e1e032a473cd375e401a7f206e6e5fa3a0c1811830250dc772\
     8b1837e42f4c34184afc0b1fe9ea05dd0d060f3c5df38a40e995be2ba0af6d91214df24cf1e19e202e1b986f7053881d\
     9452d032c248920a8cd4dca60b93e856d44d1e3e2ff76de659f8479fdfff2486fa47ea5dddf384aeb73a4538b1bbb9eb";
const PRIVATE_EXPONENT: &str = "8a707dcaa72996e2f112558a92eb1dc76e7aa36bd5fd2f1cb25241efe2bdb3c165d8cb27ef04de5897c5b233bef8ccd5\
     a5ff06118adbc99e31a618ad5cd14c57eeb3890f0845fefaa2d6bf6e8ca330621c37c44cc4acc1f321da172fbe7977d2\
     df8aa493870d7016d724b02cfbdc736610ca2eaf8520624e43c1c97ce4823d311489c88a184502a4463010931a64b02c\
     274ab7329bb4dd47f7c41a1a11771063b4f948eec316ba5512f35f7fe29291dd7a7b61128c2d4291bffa8f11236348f7\
     8113aa1d291e1cfc8e0d0bf663ec0ec456873456b8890ab067e375f23cf5d01d8bb07987a977fe12c9e2f575dbcdd6a8\
     f9c34a56f6ad95aad8dff72ddd29f0039708709b637409722fcdacc281a59bed644a3bfe94fda4fa4edb758b3362877c\
     11c50810411d95a1c6beff3e248b008da370ef2c9f3086e17084a6cc85f272df4f3916b5f7b22de3e07bbb041c1433d6\
     501b959808422cd71a5c8b50d572af05d155e3278537067516a26b57a02ed12dce22056b38bd1427e2665ea0d384ad6b";

/// SHA-256's prefix in a signature of PKCS #1 v1.5 (RFC 8017, section 9.2, note 1).
const SHA256_PREFIX: [u8; 19] =
    [0x30, 0x31, 0x30, 0x0d, 0x06, 0x09, 0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02, 0x01, 0x05, 0x00, 0x04, 0x20];

pub(crate) const MR_ENCLAVE: [u8; 32] = [0xe1; 32];
pub(crate) const MR_SIGNER: &str = "a1c1aa057f452f472444169dd5f8f3b521efd2a7efc01719e5666e696123baf0";

/// Changes an unsigned SIGSTRUCT.
pub(crate) type Change<'a> = &'a dyn Fn(&mut [u8]);

/// The SIGSTRUCT of a release: ISVPRODID 7, ISVSVN 3, and the DEBUG attribute refused.
pub(crate) fn sigstruct() -> Vec<u8> {
    signed(&|_| {})
}

/// The same with changes that the key signed.
pub(crate) fn signed(change: Change<'_>) -> Vec<u8> {
    let mut bytes = vec![0; 1808];
    let mut put = |at: usize, field: &[u8]| bytes[at..at + field.len()].copy_from_slice(field);
    put(0, &[6, 0, 0, 0, 0xe1, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0]);
    put(20, &0x2026_1127_u32.to_le_bytes());
    put(24, &[1, 1, 0, 0, 0x60, 0, 0, 0, 0x60, 0, 0, 0, 1, 0, 0, 0]);
    put(128, &reversed(MODULUS));
    put(512, &3_u32.to_le_bytes());
    put(904, &u32::MAX.to_le_bytes());
    put(928, &[4, 0, 0, 0, 0, 0, 0, 0, 3, 0, 0, 0, 0, 0, 0, 0]);
    put(944, &[0xff; 16]);
    put(960, &MR_ENCLAVE);
    put(1024, &7_u16.to_le_bytes());
    put(1026, &3_u16.to_le_bytes());
    change(&mut bytes);
    let signature = sign(&[&bytes[..128], &bytes[900..1028]].concat());
    bytes[516..900].copy_from_slice(&signature);
    bytes
}

fn sign(message: &[u8]) -> Vec<u8> {
    let digest = ring::digest::digest(&ring::digest::SHA256, message);
    let end = [&[0][..], &SHA256_PREFIX, digest.as_ref()].concat();
    let block = [&[0, 1][..], &vec![0xff; 384 - 2 - end.len()], &end].concat();
    let number = |bytes: &[u8]| Uint::<3072, 48>::try_from_be_slice(bytes).unwrap();
    let signature = number(&block).pow_mod(number(&bytes(PRIVATE_EXPONENT)), number(&bytes(MODULUS)));
    signature.to_le_bytes::<384>().to_vec()
}

fn bytes(text: &str) -> Vec<u8> {
    hex::decode(text).unwrap()
}

fn reversed(text: &str) -> Vec<u8> {
    bytes(text).into_iter().rev().collect()
}
