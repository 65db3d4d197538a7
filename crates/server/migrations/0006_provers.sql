-- Who asks for work: `token:NAME`, or `address:…` where nobody is asked for a token.
CREATE TABLE tee_provers (
    name              TEXT   NOT NULL,
    tee_type          TEXT   NOT NULL,
    -- When it last asked, to within a minute.
    asked_at          BIGINT NOT NULL,
    -- Since its last accepted proof.
    failures_in_a_row BIGINT NOT NULL DEFAULT 0,
    -- It gets no work until then.
    paused_until      BIGINT NOT NULL DEFAULT 0,
    last_error_kind   TEXT,
    PRIMARY KEY (name, tee_type)
);

-- Who could not prove what since the job was last made ready with all its attempts.
CREATE TABLE tee_job_failures (
    l1_batch_number BIGINT NOT NULL,
    tee_type        TEXT   NOT NULL,
    prover          TEXT   NOT NULL,
    failures        BIGINT NOT NULL,
    -- This prover does not get the job until then.
    rest_until      BIGINT NOT NULL,
    PRIMARY KEY (l1_batch_number, tee_type, prover)
);

-- Who has the current lease or had the last one, and whose lease had expired when the current one began.
ALTER TABLE tee_proof_generation_details ADD COLUMN prover TEXT;
ALTER TABLE tee_proof_generation_details ADD COLUMN expired_prover TEXT;

-- How many leases a prover holds is asked with each claim.
CREATE INDEX tee_held_leases ON tee_proof_generation_details (prover, lease_expires_at)
    WHERE lease_id IS NOT NULL AND tee_type <> 'none';
