//! SIGSTRUCTs as a signing tool makes them, and with one fault each.

#[path = "samples/sigstruct.rs"]
mod samples;

use samples::{MR_ENCLAVE, MR_SIGNER, signed, sigstruct};
use tee_attestation::measure::{Debugging, SIGSTRUCT_BYTES, Sigstruct, SigstructError, SigstructField};

#[test]
fn a_sigstruct_says_which_enclave_may_start() {
    let parsed = Sigstruct::parse(&sigstruct()).unwrap();
    assert_eq!(parsed.mr_enclave, MR_ENCLAVE);
    assert_eq!(hex::encode(parsed.mr_signer), MR_SIGNER);
    assert_eq!((parsed.isv_prod_id, parsed.isv_svn), (7, 3));
    assert_eq!((parsed.vendor, parsed.date), (0, 0x2026_1127));
    assert_eq!((parsed.attributes[0], parsed.attribute_mask), (4, [0xff; 16]));
    assert_eq!((parsed.misc_select, parsed.misc_mask), (0, u32::MAX));
    assert_eq!(parsed.debugging(), Debugging::Refused);
}

#[test]
fn whether_an_enclave_can_be_looked_into_is_a_matter_of_attribute_and_mask() {
    for (attribute, mask, expected) in [
        (0x04, 0xff, Debugging::Refused),
        (0x06, 0xff, Debugging::Required),
        (0x04, 0xfd, Debugging::Allowed),
        (0x06, 0xfd, Debugging::Allowed),
    ] {
        let bytes = signed(&|bytes| (bytes[928], bytes[944]) = (attribute, mask));
        assert_eq!(Sigstruct::parse(&bytes).unwrap().debugging(), expected, "{attribute:#x} {mask:#x}");
    }
}

#[test]
fn a_field_that_no_processor_accepts_is_an_error_even_if_it_is_signed() {
    for (places, field) in [
        (0..16, SigstructField::Header),
        (16..20, SigstructField::Vendor),
        (24..40, SigstructField::Header2),
        (44..128, SigstructField::Reserved { at: 44 }),
        (512..516, SigstructField::Exponent),
        (910..912, SigstructField::Reserved { at: 910 }),
        (992..1008, SigstructField::Reserved { at: 992 }),
        (1028..1040, SigstructField::Reserved { at: 1028 }),
    ] {
        for at in [places.start, places.end - 1] {
            let bytes = signed(&|bytes| bytes[at] ^= 0x10);
            assert_eq!(Sigstruct::parse(&bytes), Err(SigstructError::Field(field)), "byte {at}");
        }
    }
    let intels = signed(&|bytes| bytes[16..20].copy_from_slice(&0x8086_u32.to_le_bytes()));
    assert_eq!(Sigstruct::parse(&intels).unwrap().vendor, 0x8086);
}

#[test]
fn what_the_key_did_not_sign_is_refused() {
    let whole = sigstruct();
    // Date, SWDEFINED, modulus, signature, and each field of the body that may have any value.
    for at in [20, 40, 128, 511, 516, 899, 900, 904, 908, 912, 928, 944, 960, 991, 1008, 1024, 1026] {
        let mut bytes = whole.clone();
        bytes[at] ^= 1;
        assert_eq!(Sigstruct::parse(&bytes), Err(SigstructError::Signature), "byte {at}");
    }
}

#[test]
fn keys_that_are_none_are_refused() {
    for modulus in [[0; 384], [0xff; 384]] {
        let mut bytes = sigstruct();
        bytes[128..512].copy_from_slice(&modulus);
        assert_eq!(Sigstruct::parse(&bytes), Err(SigstructError::Signature));
    }
    // Zero cubed is zero.
    let mut bytes = sigstruct();
    bytes[516..900].fill(0);
    assert_eq!(Sigstruct::parse(&bytes), Err(SigstructError::Signature));
}

#[test]
fn a_sigstruct_has_one_size() {
    let whole = sigstruct();
    for bytes in 0..SIGSTRUCT_BYTES {
        assert_eq!(Sigstruct::parse(&whole[..bytes]), Err(SigstructError::Truncated), "{bytes} bytes");
    }
    let behind = [&whole[..], &[0]].concat();
    assert_eq!(Sigstruct::parse(&behind), Err(SigstructError::TrailingBytes { bytes: 1 }));
}
