-- What lies in the object store to tell it from an empty folder and from another store. At most one row.
CREATE TABLE object_store_marker (
    id        BIGINT PRIMARY KEY NOT NULL,
    content   TEXT   NOT NULL,
    -- 0 until it has been written to the store once.
    confirmed BIGINT NOT NULL
);
