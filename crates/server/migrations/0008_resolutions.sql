-- A disagreement that a person has explained, and how.
ALTER TABLE tee_proof_disagreements ADD COLUMN resolved_at BIGINT;
ALTER TABLE tee_proof_disagreements ADD COLUMN resolution TEXT;
CREATE INDEX tee_open_disagreements ON tee_proof_disagreements (l1_batch_number) WHERE resolved_at IS NULL;

-- The batches that a revoked key touched are looked at in chunks, the highest first, to be proven again where they lack
-- proofs: those below this one are still to be looked at, NULL when all are.
ALTER TABLE tee_attestations ADD COLUMN requeue_below BIGINT;
CREATE INDEX tee_keys_to_requeue ON tee_attestations (pubkey) WHERE requeue_below IS NOT NULL;
CREATE INDEX tee_proofs_of_key ON tee_proofs (pubkey, l1_batch_number);
CREATE INDEX tee_disagreements_of_key ON tee_proof_disagreements (pubkey, l1_batch_number);
