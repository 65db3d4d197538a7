-- Which batch a transaction is in, as long as the batch's input is kept. A new table: of batches that are there, nothing is in it.
CREATE TABLE batch_transactions (
    l1_batch_number BIGINT NOT NULL,
    -- Its place in the batch, from 1.
    position        BIGINT NOT NULL,
    hash            BLOB   NOT NULL,
    PRIMARY KEY (l1_batch_number, position)
);
-- A few bytes of the hash tell transactions apart, and take less space than all of them.
CREATE INDEX batch_transactions_by_hash ON batch_transactions (SUBSTR(hash, 1, 8));
