-- A claim asks for the first job whose rest or lease has ended (tee_ends_of_waiting), and else for the lowest that is ready
-- (tee_unfinished_jobs_of_type).
DROP INDEX tee_claimable_jobs;
DROP INDEX tee_waiting_jobs;
