-- Batches that a prover rejected because its input has no path of some slot, and what became of asking the chain's node for it:
-- 'wanted', then 'completed' or 'given_up'.
CREATE TABLE input_completions (
    l1_batch_number BIGINT PRIMARY KEY NOT NULL REFERENCES batches (number),
    status          TEXT   NOT NULL,
    attempts        BIGINT NOT NULL DEFAULT 0,
    -- When the node is asked next; NULL when it is not wanted any more.
    due_at          BIGINT,
    error           TEXT,
    updated_at      BIGINT NOT NULL
);
CREATE INDEX input_completions_due ON input_completions (due_at) WHERE due_at IS NOT NULL;
