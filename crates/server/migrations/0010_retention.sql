-- When a finished batch's input was deleted; NULL while it is there. When it was put back: it is kept as long again.
ALTER TABLE batches ADD COLUMN input_retired_at BIGINT;
ALTER TABLE batches ADD COLUMN input_put_back_at BIGINT;
CREATE INDEX tee_batches_with_input ON batches (number) WHERE input_retired_at IS NULL;

-- What `gc` has deleted from the object store so far, and when it last came to an end. One row.
CREATE TABLE object_store_gc (
    id            BIGINT PRIMARY KEY NOT NULL,
    ended_at      BIGINT,
    deleted_blobs BIGINT NOT NULL,
    deleted_bytes BIGINT NOT NULL
);
INSERT INTO object_store_gc (id, deleted_blobs, deleted_bytes) VALUES (1, 0, 0);
