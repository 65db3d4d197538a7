-- SHA-256 of each quote, which people know a key by. A start fills it in for the keys that were there before; they are few.
ALTER TABLE tee_attestations ADD COLUMN quote_sha256 BLOB;
CREATE INDEX tee_attestations_by_quote ON tee_attestations (quote_sha256);
