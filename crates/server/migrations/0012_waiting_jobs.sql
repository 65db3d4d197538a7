-- For SQLite, whose claims take the lowest batch of those that are ready (tee_unfinished_jobs_of_type) and of those whose rest or
-- lease has ended. Whether any has is known from an index, however many rest.
CREATE INDEX tee_waiting_jobs ON tee_proof_generation_details (tee_type, l1_batch_number)
    WHERE status <> 'ready_to_be_proven' AND claimable_at IS NOT NULL;
CREATE INDEX tee_ends_of_waiting ON tee_proof_generation_details (tee_type, claimable_at)
    WHERE status <> 'ready_to_be_proven' AND claimable_at IS NOT NULL;
