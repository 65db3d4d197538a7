-- The last collateral under which a quote of a kind of platform was found genuine, with that quote and its key: where a restarted
-- server gets none, it is judged with once more before it is used.
CREATE TABLE good_collateral (
    platform   TEXT PRIMARY KEY NOT NULL,
    quote      BLOB   NOT NULL,
    pubkey     BLOB   NOT NULL,
    collateral BLOB   NOT NULL,
    kept_at    BIGINT NOT NULL
);
