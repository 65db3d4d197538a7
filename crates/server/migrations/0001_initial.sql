-- Names follow zksync-era's tables. Times are milliseconds since 1970. Hashes, keys and signatures are raw bytes.
-- SQLite runs this as it stands; for PostgreSQL a BLOB is a BYTEA.

-- What there is to prove. An input lies in the object store twice, as JSON and as CBOR, both compressed with zstd.
CREATE TABLE batches (
    number        BIGINT PRIMARY KEY NOT NULL,
    input_key     TEXT   NOT NULL,
    json_bytes    BIGINT NOT NULL,
    json_sha256   BLOB   NOT NULL,
    cbor_bytes    BIGINT NOT NULL,
    cbor_sha256   BLOB   NOT NULL,
    previous_root BLOB,
    expected_root BLOB,
    sealed_at     BIGINT,
    source        TEXT   NOT NULL,
    created_at    BIGINT NOT NULL
);

-- The TEE types that have ever asked for a batch. Every batch has a job for each of them, and none for others.
CREATE TABLE claimed_tee_types (
    tee_type TEXT PRIMARY KEY NOT NULL
);

CREATE TABLE tee_proof_generation_details (
    l1_batch_number  BIGINT NOT NULL REFERENCES batches (number),
    tee_type         TEXT   NOT NULL,
    status           TEXT   NOT NULL,
    attempts         BIGINT NOT NULL DEFAULT 0,
    -- From when on the job may be handed out; NULL when it may not.
    claimable_at     BIGINT,
    lease_id         TEXT,
    lease_expires_at BIGINT,
    prover_taken_at  BIGINT,
    error_kind       TEXT,
    error            TEXT,
    created_at       BIGINT NOT NULL,
    updated_at       BIGINT NOT NULL,
    PRIMARY KEY (l1_batch_number, tee_type)
);

-- A claim looks at open jobs only, however many finished ones there are.
CREATE INDEX tee_claimable_jobs ON tee_proof_generation_details (tee_type, l1_batch_number)
    WHERE claimable_at IS NOT NULL;
CREATE UNIQUE INDEX tee_leases ON tee_proof_generation_details (lease_id) WHERE lease_id IS NOT NULL;
CREATE INDEX tee_unfinished_jobs ON tee_proof_generation_details (status, l1_batch_number, tee_type)
    WHERE status <> 'generated';
CREATE INDEX tee_job_changes ON tee_proof_generation_details (updated_at, l1_batch_number, tee_type);

CREATE TABLE tee_attestations (
    pubkey        BLOB PRIMARY KEY NOT NULL,
    quote         BLOB   NOT NULL,
    tee_type      TEXT   NOT NULL,
    measurements  TEXT,
    tcb_status    TEXT,
    advisories    TEXT,
    collateral    BLOB,
    judged_at     BIGINT,
    verdict       TEXT   NOT NULL,
    registered_at BIGINT NOT NULL,
    revoked_at    BIGINT
);

CREATE TABLE tee_proofs (
    l1_batch_number BIGINT NOT NULL REFERENCES batches (number),
    tee_type        TEXT   NOT NULL,
    pubkey          BLOB   NOT NULL REFERENCES tee_attestations (pubkey),
    signature       BLOB   NOT NULL,
    proof           BLOB   NOT NULL,
    statement       TEXT,
    received_at     BIGINT NOT NULL,
    PRIMARY KEY (l1_batch_number, tee_type, pubkey)
);

-- Proofs that were refused because an accepted proof of the same batch says another root. One of the two is forged.
CREATE TABLE tee_proof_disagreements (
    l1_batch_number BIGINT NOT NULL REFERENCES batches (number),
    tee_type        TEXT   NOT NULL,
    pubkey          BLOB   NOT NULL REFERENCES tee_attestations (pubkey),
    signature       BLOB   NOT NULL,
    proof           BLOB   NOT NULL,
    accepted_proof  BLOB   NOT NULL,
    received_at     BIGINT NOT NULL,
    PRIMARY KEY (l1_batch_number, tee_type, pubkey)
);
