-- One row that is written to find out whether the database still takes writes: a full disk answers all reads.
CREATE TABLE write_probe (
    id         BIGINT PRIMARY KEY NOT NULL,
    written_at BIGINT NOT NULL
);
INSERT INTO write_probe (id, written_at) VALUES (1, 0);
