-- What relayers ask provers to sign, a row for each contract, and what keys signed to be registered there.
CREATE TABLE signing_requests (
    settlement_chain_id BIGINT NOT NULL,
    proof_verifier BLOB NOT NULL,
    key_registry BLOB NOT NULL,
    block_number BIGINT NOT NULL,
    block_hash BLOB NOT NULL,
    asked_at BIGINT NOT NULL,
    PRIMARY KEY (settlement_chain_id, proof_verifier)
);
CREATE TABLE registration_signatures (
    settlement_chain_id BIGINT NOT NULL,
    proof_verifier BLOB NOT NULL,
    pubkey BLOB NOT NULL,
    key_registry BLOB NOT NULL,
    block_number BIGINT NOT NULL,
    block_hash BLOB NOT NULL,
    signature BLOB NOT NULL,
    PRIMARY KEY (settlement_chain_id, proof_verifier, pubkey)
);
