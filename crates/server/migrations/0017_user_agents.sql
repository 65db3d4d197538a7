-- What provers say of their programs (`User-Agent`), which nothing attests. Both tables have few rows, and none is rewritten.
ALTER TABLE tee_attestations ADD COLUMN user_agent TEXT;
ALTER TABLE tee_provers ADD COLUMN user_agent TEXT;
