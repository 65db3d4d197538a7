-- Whether a key has signed this root before, and what a key has proven: asked with each submission and each revocation.
CREATE INDEX tee_proofs_by_key ON tee_proofs (pubkey, proof);

-- An accepted proof that turns out to contradict what is known moves here whole.
ALTER TABLE tee_proof_disagreements ADD COLUMN statement TEXT;
