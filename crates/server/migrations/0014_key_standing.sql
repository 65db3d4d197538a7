-- The standing of a key is a column, and why it has none is another. `verdict` had both in one text.
ALTER TABLE tee_attestations ADD COLUMN standing TEXT NOT NULL DEFAULT 'unjudged';
ALTER TABLE tee_attestations ADD COLUMN standing_reason TEXT;
UPDATE tee_attestations SET standing = 'accepted' WHERE verdict = 'accepted';
UPDATE tee_attestations SET standing = 'refused', standing_reason = SUBSTR(verdict, 10) WHERE verdict LIKE 'refused%';
UPDATE tee_attestations SET standing = 'revoked', standing_reason = SUBSTR(verdict, 10) WHERE verdict LIKE 'revoked%';
UPDATE tee_attestations SET standing = 'suspended' WHERE standing = 'accepted' AND suspended_at IS NOT NULL;
ALTER TABLE tee_attestations DROP COLUMN verdict;
