-- When a key's quote last passed, and until when the collateral of that judgement is good. A key that could not be judged
-- for too long is suspended: its proofs count, and it makes no new ones.
ALTER TABLE tee_attestations ADD COLUMN passed_at BIGINT;
ALTER TABLE tee_attestations ADD COLUMN valid_until BIGINT;
ALTER TABLE tee_attestations ADD COLUMN suspended_at BIGINT;
UPDATE tee_attestations SET passed_at = judged_at;
