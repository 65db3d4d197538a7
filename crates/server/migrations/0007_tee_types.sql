-- A TEE type's jobs are made, and removed once it is retired, in chunks, from the lowest batch on: from which batch on that is
-- still to be done, NULL when it is done.
ALTER TABLE claimed_tee_types ADD COLUMN pending_from BIGINT;
ALTER TABLE claimed_tee_types ADD COLUMN retired_at BIGINT;

-- Counts and listings are of one type or of each in turn.
DROP INDEX tee_unfinished_jobs;
CREATE INDEX tee_unfinished_jobs_of_type ON tee_proof_generation_details (tee_type, status, l1_batch_number)
    WHERE status <> 'generated';
CREATE INDEX tee_jobs_of_type ON tee_proof_generation_details (tee_type, l1_batch_number);
CREATE INDEX tee_proofs_of_type ON tee_proofs (tee_type, l1_batch_number, pubkey);
