//! `/tee/…`: the endpoints for provers. They are zksync-era's TEE prover protocol, extended with leases and statements.

mod input_answer;
pub(super) mod leases;
pub(super) mod present_batches;
pub(super) mod proof_inputs;
pub(super) mod proof_inputs_no_lock;
pub(super) mod register_attestation;
pub(super) mod registration_signatures;
pub(super) mod signing_requests;
pub(super) mod submit_proofs;
