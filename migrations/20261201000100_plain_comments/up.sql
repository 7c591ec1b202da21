-- Replaces comments that could not be understood without the code. Only comments change.

COMMENT ON TABLE predecessor_set_aside IS 'Tables, functions, indexes and constraints of the legacy service that the first migration renamed; its down migration restores their names from here.';

COMMENT ON TABLE whoop_users IS 'Members of the app who connected WHOOP, with their WHOOP profile. One row per member.';
COMMENT ON COLUMN whoop_users.user_id IS 'Id of the member in the app; with Supabase the UUID of the auth user.';
COMMENT ON COLUMN whoop_users.whoop_user_id IS 'WHOOP''s id of the member; 0 until WHOOP''s profile has named the account.';
COMMENT ON COLUMN whoop_users.status_detail IS 'Reason for a status other than connected, as text for the operator.';
COMMENT ON COLUMN whoop_users.consent IS 'Consent of the member, as recorded by the app at the connect.';
COMMENT ON COLUMN whoop_users.last_seen_at IS 'Time of the last app request for this member.';
COMMENT ON COLUMN whoop_users.timezone_offset IS 'UTC offset of the member''s latest record; it determines which date is today for the member.';
COMMENT ON COLUMN whoop_users.timezone_offset_at IS 'Time of the record from which timezone_offset was taken.';
COMMENT ON COLUMN whoop_users.lease_holder IS 'Random id of the sync that holds the member lease.';
COMMENT ON COLUMN whoop_users.lease_until IS 'Time at which the member lease expires if its holder does not extend it.';
COMMENT ON COLUMN whoop_users.lease_wanted_until IS 'Time until which an interactive request waits for the member lease; background work does not claim the lease before.';
COMMENT ON COLUMN whoop_users.visit_days IS 'Days (UTC) with an app request within 28 days, one bit per day; the lowest bit is the day of last_seen_at.';
COMMENT ON COLUMN whoop_users.change_seq IS 'Sequence number of the latest change of this member in whoop_change.';
COMMENT ON COLUMN whoop_users.settled_seq IS 'Value of change_seq at the last assignment of local dates; if change_seq differs, the local dates of the member are assigned again.';
COMMENT ON COLUMN whoop_users.webhook_at IS 'Unused; replaced by whoop_sync_log.signal_at.';
COMMENT ON COLUMN whoop_users.interactive_calls IS 'Number of calls to WHOOP for app requests since interactive_calls_since.';
COMMENT ON COLUMN whoop_users.unidentified_pair IS 'Id of the stored token pair until WHOOP''s profile has confirmed its account. No records are read with the pair before that.';
COMMENT ON COLUMN whoop_users.first_sync_pending IS 'True until the first sync after a connect has ended.';

COMMENT ON TABLE whoop_tokens IS 'WHOOP tokens of each member, sealed with a key that is not in the database.';
COMMENT ON COLUMN whoop_tokens.sealed IS 'Access token and refresh token, sealed with XChaCha20-Poly1305; the member''s id is the associated data.';
COMMENT ON COLUMN whoop_tokens.key_id IS 'Id of the key in TOKEN_KEYS with which the tokens are sealed.';
COMMENT ON COLUMN whoop_tokens.scope IS 'Scopes that the member granted; every refresh requests them again.';
COMMENT ON COLUMN whoop_tokens.expires_at IS 'Time at which the access token expires.';

COMMENT ON TABLE whoop_refresh IS 'Token refresh of each member: the claim of the process that refreshes, and the failures since the last success.';
COMMENT ON COLUMN whoop_refresh.begun_at IS 'Start of a refresh for which no result was stored. If it remains, WHOOP may have replaced the stored token pair.';
COMMENT ON COLUMN whoop_refresh.holder IS 'Random id of the refresh that holds the claim.';
COMMENT ON COLUMN whoop_refresh.claimed_until IS 'Time at which the claim expires; after it another process may refresh the tokens.';
COMMENT ON COLUMN whoop_refresh.invalid_request_since IS 'Time of the first answer invalid_request of the token endpoint since the last successful refresh.';
COMMENT ON COLUMN whoop_refresh.rejected_since IS 'Time since which WHOOP''s API rejects newly issued access tokens of the member. Ignored if a sync succeeded after it.';

COMMENT ON TABLE whoop_oauth_states IS 'Connects in progress: the member and the SHA-256 of the state that WHOOP returns to the callback.';
COMMENT ON COLUMN whoop_oauth_states.used_at IS 'Time at which a callback used the state; a state can be used once.';

COMMENT ON TABLE whoop_unconfirmed_connect IS 'Connects that the app must confirm with the member''s JWT, one per member.';
COMMENT ON COLUMN whoop_unconfirmed_connect.word_hash IS 'SHA-256 of the one-time code that confirms the connect.';
COMMENT ON COLUMN whoop_unconfirmed_connect.sealed IS 'Access token and refresh token, sealed with XChaCha20-Poly1305; the member''s id is the associated data.';
COMMENT ON COLUMN whoop_unconfirmed_connect.key_id IS 'Id of the key in TOKEN_KEYS with which the tokens are sealed.';
COMMENT ON COLUMN whoop_unconfirmed_connect.expires_at IS 'Time at which the access token expires.';
COMMENT ON COLUMN whoop_unconfirmed_connect.confirm_until IS 'Time until which the connect can be confirmed; after it the permission is revoked at WHOOP.';

COMMENT ON TABLE whoop_revocation IS 'Permissions that must be revoked at WHOOP: of connections that ended, and of connects that were not stored. A row does not name the member.';
COMMENT ON COLUMN whoop_revocation.sealed IS 'Access token and refresh token, sealed with XChaCha20-Poly1305; the id of this row is the associated data.';
COMMENT ON COLUMN whoop_revocation.key_id IS 'Id of the key in TOKEN_KEYS with which the tokens are sealed.';
COMMENT ON COLUMN whoop_revocation.next_attempt_at IS 'Earliest time of the next attempt. A process claims the attempt by setting a later time.';
COMMENT ON COLUMN whoop_revocation.held_until IS 'Time until which a connect in progress can take the token pair back; the permission is not revoked before. Null if no connect holds the pair.';

COMMENT ON TABLE whoop_erasure IS 'Receipts of erasures: the time and the number of deleted rows. A receipt does not name the member.';
COMMENT ON COLUMN whoop_erasure.deleted_rows IS 'Number of deleted rows in all tables.';

COMMENT ON TABLE whoop_adopted IS 'Members that sync-worker adopt does not import: those that it has imported already, and erased members. The rows are kept after an erasure.';
COMMENT ON COLUMN whoop_adopted.member_digest IS 'SHA-256 of the member''s id in the app, in hexadecimal. It can be computed from a list of ids.';
COMMENT ON COLUMN whoop_adopted.records IS 'Number of imported records.';

COMMENT ON TABLE whoop_cycle IS 'WHOOP cycles. A cycle lasts from the beginning of one night to the beginning of the next; it is not a calendar day.';
COMMENT ON COLUMN whoop_cycle.local_date IS 'Date of the night with which the cycle began; without a main sleep the date of the middle of the cycle, at most 12 hours after its start. The later of two cycles on one date may have the next date.';
COMMENT ON COLUMN whoop_cycle.score_state IS 'SCORED, PENDING_SCORE, UNSCORABLE, or another value that WHOOP does not document.';
COMMENT ON COLUMN whoop_cycle.created_at IS 'Time at which WHOOP created the record; not the time of the cycle.';
COMMENT ON COLUMN whoop_cycle.updated_at IS 'Time of the record''s last change at WHOOP; the version with the latest time is kept.';
COMMENT ON COLUMN whoop_cycle.extra IS 'Fields from WHOOP for which this version has no column, nested as sent.';
COMMENT ON COLUMN whoop_cycle.synced_at IS 'Time at which the row was last written.';
COMMENT ON COLUMN whoop_cycle.day_strain IS 'Strain, 0 to 21. The scale is not linear.';
COMMENT ON COLUMN whoop_cycle.kilojoule IS 'Total energy in kilojoules, including the energy used at rest.';
COMMENT ON COLUMN whoop_cycle.calories_burned IS 'Total energy in kilocalories, computed from kilojoule.';
COMMENT ON COLUMN whoop_cycle.step_count IS 'Number of steps; null if the strap was not worn during the whole cycle.';
COMMENT ON COLUMN whoop_cycle.in_others IS 'True if local_date shows another cycle; this one is listed in the others of the date.';

COMMENT ON TABLE whoop_recovery IS 'WHOOP recoveries, at most one per cycle.';
COMMENT ON COLUMN whoop_recovery.id IS 'Id of the cycle, because WHOOP gives a recovery no id.';
COMMENT ON COLUMN whoop_recovery.local_date IS 'Local date of the cycle and its night.';
COMMENT ON COLUMN whoop_recovery.timezone_offset IS 'UTC offset at which local_date was determined: of the night, or of the cycle if there is no main sleep.';
COMMENT ON COLUMN whoop_recovery.score_state IS 'SCORED, PENDING_SCORE, UNSCORABLE, or another value that WHOOP does not document.';
COMMENT ON COLUMN whoop_recovery.created_at IS 'Time at which WHOOP created the record; not the time of the recovery.';
COMMENT ON COLUMN whoop_recovery.updated_at IS 'Time of the record''s last change at WHOOP; the version with the latest time is kept.';
COMMENT ON COLUMN whoop_recovery.extra IS 'Fields from WHOOP for which this version has no column, nested as sent.';
COMMENT ON COLUMN whoop_recovery.synced_at IS 'Time at which the row was last written.';
COMMENT ON COLUMN whoop_recovery.recovery_score IS 'Recovery score in percent, 0 to 100.';
COMMENT ON COLUMN whoop_recovery.resting_heart_rate IS 'Resting heart rate in beats per minute.';
COMMENT ON COLUMN whoop_recovery.hrv_rmssd_milli IS 'Heart rate variability (RMSSD) in milliseconds.';
COMMENT ON COLUMN whoop_recovery.spo2_percentage IS 'Blood oxygen saturation in percent.';
COMMENT ON COLUMN whoop_recovery.skin_temp_celsius IS 'Skin temperature in degrees Celsius.';
COMMENT ON COLUMN whoop_recovery.user_calibrating IS 'True during a member''s first days, while WHOOP calibrates.';
COMMENT ON COLUMN whoop_recovery.in_others IS 'True if local_date shows another cycle; this recovery is listed in the others of the date.';

COMMENT ON TABLE whoop_sleep IS 'WHOOP sleeps: main sleeps and naps.';
COMMENT ON COLUMN whoop_sleep.local_date IS 'Date on which the sleep ended, at its own UTC offset; without an end the date 12 hours after its start.';
COMMENT ON COLUMN whoop_sleep.score_state IS 'SCORED, PENDING_SCORE, UNSCORABLE, or another value that WHOOP does not document.';
COMMENT ON COLUMN whoop_sleep.created_at IS 'Time at which WHOOP created the record; not the time of the sleep.';
COMMENT ON COLUMN whoop_sleep.updated_at IS 'Time of the record''s last change at WHOOP; the version with the latest time is kept.';
COMMENT ON COLUMN whoop_sleep.extra IS 'Fields from WHOOP for which this version has no column, nested as sent.';
COMMENT ON COLUMN whoop_sleep.synced_at IS 'Time at which the row was last written.';
COMMENT ON COLUMN whoop_sleep.nap IS 'True for a nap. WHOOP may change a nap to a main sleep and back within days.';
COMMENT ON COLUMN whoop_sleep.total_sleep_time_milli IS 'Time asleep in milliseconds: light, slow wave and REM sleep.';
COMMENT ON COLUMN whoop_sleep.need_from_recent_nap_milli IS 'Milliseconds, zero or negative, because a nap reduces the need for sleep.';
COMMENT ON COLUMN whoop_sleep.respiratory_rate IS 'Respiratory rate in breaths per minute.';
COMMENT ON COLUMN whoop_sleep.night_date IS 'Date of the night to which this main sleep belongs; null if it equals local_date.';
COMMENT ON COLUMN whoop_sleep.in_others IS 'True if the date of the night shows another cycle; this main sleep is listed in the others of the date. False for naps.';

COMMENT ON COLUMN whoop_workout.local_date IS 'Date on which the workout began, at its own UTC offset, even if it ended after midnight.';
COMMENT ON COLUMN whoop_workout.score_state IS 'SCORED, PENDING_SCORE, UNSCORABLE, or another value that WHOOP does not document.';
COMMENT ON COLUMN whoop_workout.created_at IS 'Time at which WHOOP created the record; not the time of the workout.';
COMMENT ON COLUMN whoop_workout.updated_at IS 'Time of the record''s last change at WHOOP; the version with the latest time is kept.';
COMMENT ON COLUMN whoop_workout.extra IS 'Fields from WHOOP for which this version has no column, nested as sent.';
COMMENT ON COLUMN whoop_workout.synced_at IS 'Time at which the row was last written.';
COMMENT ON COLUMN whoop_workout.sport_name IS 'Name of the sport as WHOOP sends it, such as running; there is no fixed list.';
COMMENT ON COLUMN whoop_workout.strain_score IS 'Strain, 0 to 21. The scale is not linear.';
COMMENT ON COLUMN whoop_workout.kilojoule IS 'Energy in kilojoules.';
COMMENT ON COLUMN whoop_workout.calories_burned IS 'Energy in kilocalories, computed from kilojoule.';
COMMENT ON COLUMN whoop_workout.percent_recorded IS 'Share of the workout with heart rate data, as WHOOP sends it: a fraction, although WHOOP documents a percentage.';
COMMENT ON COLUMN whoop_workout.distance_meter IS 'Distance in metres.';
COMMENT ON COLUMN whoop_workout.zone_zero_milli IS 'Time in heart rate zone 0, in milliseconds.';
COMMENT ON COLUMN whoop_workout.zone_one_milli IS 'Time in heart rate zone 1, in milliseconds.';
COMMENT ON COLUMN whoop_workout.zone_two_milli IS 'Time in heart rate zone 2, in milliseconds.';
COMMENT ON COLUMN whoop_workout.zone_three_milli IS 'Time in heart rate zone 3, in milliseconds.';
COMMENT ON COLUMN whoop_workout.zone_four_milli IS 'Time in heart rate zone 4, in milliseconds.';
COMMENT ON COLUMN whoop_workout.zone_five_milli IS 'Time in heart rate zone 5, in milliseconds.';

COMMENT ON TABLE whoop_rejected_record IS 'Records from WHOOP that could not be stored, with the reason. A row is deleted after a valid version of the record was stored.';
COMMENT ON COLUMN whoop_rejected_record.raw_hash IS 'SHA-256 of the record''s id, or of its text if the id cannot be read.';
COMMENT ON COLUMN whoop_rejected_record.raw IS 'Text of the record as WHOOP sent it.';

COMMENT ON TABLE whoop_record_denial IS 'Stored records for which WHOOP answered 404. A second 404 at least one hour after the first deletes the record.';
COMMENT ON COLUMN whoop_record_denial.denied_at IS 'Time of the first 404 since WHOOP last sent the record.';

COMMENT ON TABLE whoop_change IS 'Change feed: changes of each member''s records, numbered without gaps. Rows are kept for 30 days.';
COMMENT ON COLUMN whoop_change.seq IS 'Sequence number of the change among the changes of the member.';
COMMENT ON COLUMN whoop_change.local_date IS 'Local date of the record after the change; for a deletion, its last local date.';
COMMENT ON COLUMN whoop_change.previous_date IS 'Local date of the record before the change, if it was another date; otherwise null.';
COMMENT ON COLUMN whoop_change.op IS 'upsert: the record is new or changed; delete: the record was deleted.';
COMMENT ON COLUMN whoop_change.updated_at IS 'Time at which the record changed at WHOOP; null if it was only deleted here or assigned to another date.';
COMMENT ON COLUMN whoop_change.changed_at IS 'Time at which the change became readable here.';

COMMENT ON TABLE whoop_sync_log IS 'Coverage of each data type of each member, and the outcome of its last sync. The coverage changes only in the transaction that stores the records.';
COMMENT ON COLUMN whoop_sync_log.last_sync_at IS 'End of the latest window up to the present that was read and stored completely.';
COMMENT ON COLUMN whoop_sync_log.records_synced IS 'Total number of records written, both new and changed ones.';
COMMENT ON COLUMN whoop_sync_log.covered_from IS 'Start of the coverage: every record of WHOOP from here to covered_until is stored.';
COMMENT ON COLUMN whoop_sync_log.covered_until IS 'End of the coverage.';
COMMENT ON COLUMN whoop_sync_log.whole_history IS 'True if WHOOP has no record before covered_from: its list ended there twice, at least 20 hours apart.';
COMMENT ON COLUMN whoop_sync_log.last_error IS 'Error of the last attempt, the number of rejected records, or the reason for a deferral, as text for people; null if there was none.';
COMMENT ON COLUMN whoop_sync_log.failing_since IS 'Time of the first failure since the last successful sync of the data type; null if there was none.';
COMMENT ON COLUMN whoop_sync_log.list_end_seen_at IS 'Time at which the end of WHOOP''s list was first seen; null once a second read at least 20 hours later has confirmed it.';
COMMENT ON COLUMN whoop_sync_log.list_end_oldest IS 'Time of the oldest record in the list when its end was seen; null if the list was empty.';
COMMENT ON COLUMN whoop_sync_log.signal_at IS 'Time of the latest webhook about the data type. It is at least one microsecond later than that of the webhook before, so that a wrong clock of a receiving machine hides no webhook.';
COMMENT ON COLUMN whoop_sync_log.signal_read_at IS 'Value of signal_at at the start of the last read up to the present.';
COMMENT ON COLUMN whoop_sync_log.signal_open IS 'True if WHOOP announced a change that was not read yet.';
COMMENT ON COLUMN whoop_sync_log.last_sync_from IS 'Time of the oldest record in the window that ended at last_sync_at.';
COMMENT ON COLUMN whoop_sync_log.earlier_from IS 'Start of an older span that is stored completely. The backfill reads the gap between earlier_until and covered_from. Null if there is no gap.';
COMMENT ON COLUMN whoop_sync_log.earlier_until IS 'End of the older span that is stored completely.';

COMMENT ON TABLE whoop_sync_run IS 'Runs of sync-worker, one row per run.';
COMMENT ON COLUMN whoop_sync_run.calls IS 'Number of calls to WHOOP.';
COMMENT ON COLUMN whoop_sync_run.records IS 'Number of records written.';
COMMENT ON COLUMN whoop_sync_run.failures IS 'Number of members with a failed sync.';
COMMENT ON COLUMN whoop_sync_run.alive_until IS 'Time until which the process is known to be alive; the process extends it. A run that is still running after it was killed. Null if an older version started the run.';

COMMENT ON TABLE whoop_call_budget IS 'Quota ledger: the calls to WHOOP of all processes. One row.';
COMMENT ON COLUMN whoop_call_budget.version IS 'Number of times that the row was replaced.';
COMMENT ON COLUMN whoop_call_budget.ledger IS 'State of the ledger; only the quota module of whoop-core reads and writes it.';

COMMENT ON TABLE whoop_webhook_event IS 'Webhook inbox: events that WHOOP sent, each stored once and kept for at most 30 days.';
COMMENT ON COLUMN whoop_webhook_event.event_type IS 'Type of the event, such as sleep.updated or workout.deleted.';
COMMENT ON COLUMN whoop_webhook_event.record_id IS 'WHOOP''s id of the record; for a recovery the id of its sleep.';
COMMENT ON COLUMN whoop_webhook_event.state IS 'pending: the data type was not read since the event arrived; done: the announced change was read; dead: no further attempt after too many failures; unknown_type: this version does not know the type; unknown_member: the WHOOP account belongs to no connected member.';
COMMENT ON COLUMN whoop_webhook_event.signed_at IS 'Time at which WHOOP signed the event.';
COMMENT ON COLUMN whoop_webhook_event.times_received IS 'Number of times that WHOOP sent the event; it is processed once.';
COMMENT ON COLUMN whoop_webhook_event.due_at IS 'Earliest time of the next attempt.';
COMMENT ON COLUMN whoop_webhook_event.attempts IS 'Number of failed attempts.';
COMMENT ON COLUMN whoop_webhook_event.looks IS 'Unused.';

COMMENT ON COLUMN whoop_service_key.digest IS 'SHA-256 of the key; the key itself is not stored.';

COMMENT ON COLUMN whoop_audit.at IS 'Time of the action, by the clock of the process that wrote the row.';
COMMENT ON COLUMN whoop_audit.caller IS 'member; key:NAME for a service key; cli:USER for a user of the operating system; whoop for an action that a callback of WHOOP completed.';
COMMENT ON COLUMN whoop_audit.user_id IS 'Member that the action concerns; after an erasure a keyed pseudonym (erased:…); null if the action concerns no single member.';

COMMENT ON FUNCTION whoop_days(TEXT, DATE, DATE) IS 'Days of a member: one row per date from the first to the last, both included. Absent values are null.';
COMMENT ON FUNCTION get_daily_summary(TEXT, DATE) IS 'Summary of one date of a member, as one row. Absent values are null; calories are in kilocalories.';
COMMENT ON FUNCTION whoop_current_member() IS 'Id of the member for whom the connection reads, from the JWT or the session setting; null if there is none.';
COMMENT ON FUNCTION whoop_accepted_client_ids() IS 'Ids of the OAuth clients (claim client_id) with tokens that may read the rows of their member. The list is empty until the owner replaces the function.';
COMMENT ON FUNCTION whoop_serving_tables() IS 'Names of the tables that a serving role uses.';
COMMENT ON FUNCTION whoop_serving_privileges(TEXT) IS 'Privileges that a serving role needs on a table.';
COMMENT ON FUNCTION whoop_let_serve_table(TEXT, TEXT) IS 'Grants a serving role its privileges on one table and creates its policy. Locks the table only if the policy is missing.';
COMMENT ON FUNCTION whoop_let_serve(TEXT) IS 'Grants a role the privileges of a serving role: it can read and write rows, but cannot change tables.';
COMMENT ON FUNCTION whoop_audit_purge(TIMESTAMPTZ) IS 'Deletes the audit rows from before a time that is at least 30 days in the past, and returns their number.';
COMMENT ON FUNCTION whoop_audit_pseudonymise(TEXT, TEXT) IS 'Replaces the id of an erased member in the audit trail with a pseudonym, and returns the number of rows. Fails while the member is stored.';
