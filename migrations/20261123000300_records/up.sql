-- Tables for the four data types. Each primary key begins with `user_id`, so that all rows of a
-- member can be kept in one place, such as one node of a cluster.
--
-- The check constraints repeated the validation rules of whoop-core's `record` module, which sets an
-- invalid record aside before it is written here. The migration `no_range_checks` drops them, except
-- those on `extra`.
--
-- The partial index `…_open_idx` of each table finds the records of a member that are neither scored
-- nor unscorable.

CREATE TABLE whoop_cycle (
    user_id TEXT NOT NULL,
    id TEXT NOT NULL,
    local_date DATE NOT NULL,
    timezone_offset TEXT,
    score_state TEXT NOT NULL,
    created_at TIMESTAMPTZ NOT NULL,
    updated_at TIMESTAMPTZ NOT NULL,
    extra JSONB NOT NULL DEFAULT '{}',
    synced_at TIMESTAMPTZ NOT NULL,
    start_time TIMESTAMPTZ NOT NULL,
    end_time TIMESTAMPTZ,
    day_strain DOUBLE PRECISION,
    kilojoule DOUBLE PRECISION,
    calories_burned DOUBLE PRECISION GENERATED ALWAYS AS (kilojoule / 4.184) STORED,
    average_heart_rate DOUBLE PRECISION,
    max_heart_rate DOUBLE PRECISION,
    step_count BIGINT,
    CONSTRAINT whoop_cycle_pkey PRIMARY KEY (user_id, id),
    CONSTRAINT whoop_cycle_user_id_fkey FOREIGN KEY (user_id) REFERENCES whoop_users (user_id) ON DELETE CASCADE,
    CONSTRAINT whoop_cycle_score_state_check CHECK (char_length(score_state) BETWEEN 1 AND 200),
    CONSTRAINT whoop_cycle_timezone_offset_check CHECK (timezone_offset ~ '^([+-](0[0-9]|1[0-8]):[0-5][0-9]|[Zz])$'),
    CONSTRAINT whoop_cycle_extra_check CHECK (jsonb_typeof(extra) = 'object'),
    CONSTRAINT whoop_cycle_end_time_check CHECK (end_time >= start_time),
    CONSTRAINT whoop_cycle_day_strain_check CHECK (day_strain BETWEEN 0 AND 21),
    CONSTRAINT whoop_cycle_kilojoule_check CHECK (kilojoule >= 0),
    CONSTRAINT whoop_cycle_average_heart_rate_check CHECK (average_heart_rate BETWEEN 0 AND 300),
    CONSTRAINT whoop_cycle_max_heart_rate_check CHECK (max_heart_rate BETWEEN 0 AND 300),
    CONSTRAINT whoop_cycle_step_count_check CHECK (step_count >= 0)
);

CREATE INDEX whoop_cycle_user_id_local_date_idx ON whoop_cycle (user_id, local_date);
CREATE INDEX whoop_cycle_open_idx ON whoop_cycle (user_id, start_time) WHERE score_state NOT IN ('SCORED', 'UNSCORABLE');

COMMENT ON TABLE whoop_cycle IS 'WHOOP cycles: from falling asleep to falling asleep again. Not calendar days.';
COMMENT ON COLUMN whoop_cycle.local_date IS 'The waking day of the night that began the cycle; without one the local date twelve hours after its start.';
COMMENT ON COLUMN whoop_cycle.end_time IS 'Null while the cycle is still running.';
COMMENT ON COLUMN whoop_cycle.day_strain IS '0 to 21, not linear.';
COMMENT ON COLUMN whoop_cycle.kilojoule IS 'Total energy in kilojoules, rest included.';
COMMENT ON COLUMN whoop_cycle.calories_burned IS 'Kilocalories, from kilojoule.';
COMMENT ON COLUMN whoop_cycle.step_count IS 'Null where the strap was not worn for the whole cycle.';
COMMENT ON COLUMN whoop_cycle.score_state IS 'SCORED, PENDING_SCORE, UNSCORABLE, or a word that WHOOP did not document.';
COMMENT ON COLUMN whoop_cycle.created_at IS 'WHOOP''s: when it stored the record, not when it happened.';
COMMENT ON COLUMN whoop_cycle.updated_at IS 'WHOOP''s: the newest version of a record wins by it.';
COMMENT ON COLUMN whoop_cycle.extra IS 'Fields that WHOOP sent and this version has no column for, nested as sent.';
COMMENT ON COLUMN whoop_cycle.synced_at IS 'When this row was last written here.';

CREATE TABLE whoop_recovery (
    user_id TEXT NOT NULL,
    id TEXT NOT NULL,
    local_date DATE NOT NULL,
    timezone_offset TEXT,
    score_state TEXT NOT NULL,
    created_at TIMESTAMPTZ NOT NULL,
    updated_at TIMESTAMPTZ NOT NULL,
    extra JSONB NOT NULL DEFAULT '{}',
    synced_at TIMESTAMPTZ NOT NULL,
    cycle_id TEXT NOT NULL,
    sleep_id TEXT NOT NULL,
    recovery_score DOUBLE PRECISION,
    resting_heart_rate DOUBLE PRECISION,
    hrv_rmssd_milli DOUBLE PRECISION,
    spo2_percentage DOUBLE PRECISION,
    skin_temp_celsius DOUBLE PRECISION,
    user_calibrating BOOLEAN,
    CONSTRAINT whoop_recovery_pkey PRIMARY KEY (user_id, id),
    CONSTRAINT whoop_recovery_user_id_fkey FOREIGN KEY (user_id) REFERENCES whoop_users (user_id) ON DELETE CASCADE,
    CONSTRAINT whoop_recovery_score_state_check CHECK (char_length(score_state) BETWEEN 1 AND 200),
    CONSTRAINT whoop_recovery_timezone_offset_check CHECK (timezone_offset ~ '^([+-](0[0-9]|1[0-8]):[0-5][0-9]|[Zz])$'),
    CONSTRAINT whoop_recovery_extra_check CHECK (jsonb_typeof(extra) = 'object'),
    CONSTRAINT whoop_recovery_recovery_score_check CHECK (recovery_score BETWEEN 0 AND 100),
    CONSTRAINT whoop_recovery_resting_heart_rate_check CHECK (resting_heart_rate BETWEEN 0 AND 300),
    CONSTRAINT whoop_recovery_hrv_rmssd_milli_check CHECK (hrv_rmssd_milli BETWEEN 0 AND 1000),
    CONSTRAINT whoop_recovery_spo2_percentage_check CHECK (spo2_percentage BETWEEN 0 AND 100),
    CONSTRAINT whoop_recovery_skin_temp_celsius_check CHECK (skin_temp_celsius BETWEEN -50 AND 100)
);

CREATE INDEX whoop_recovery_user_id_local_date_idx ON whoop_recovery (user_id, local_date);
CREATE INDEX whoop_recovery_open_idx ON whoop_recovery (user_id, created_at) WHERE score_state NOT IN ('SCORED', 'UNSCORABLE');
CREATE INDEX whoop_recovery_user_id_sleep_id_idx ON whoop_recovery (user_id, sleep_id);

COMMENT ON TABLE whoop_recovery IS 'WHOOP recoveries, one a cycle at most; id is the cycles.';
COMMENT ON COLUMN whoop_recovery.id IS 'The cycles id: WHOOP gives a recovery none of its own.';
COMMENT ON COLUMN whoop_recovery.local_date IS 'The day of its cycle.';
COMMENT ON COLUMN whoop_recovery.timezone_offset IS 'The offset of the night it was judged from.';
COMMENT ON COLUMN whoop_recovery.recovery_score IS '0 to 100.';
COMMENT ON COLUMN whoop_recovery.resting_heart_rate IS 'Beats a minute.';
COMMENT ON COLUMN whoop_recovery.hrv_rmssd_milli IS 'RMSSD in milliseconds.';
COMMENT ON COLUMN whoop_recovery.spo2_percentage IS 'Percent.';
COMMENT ON COLUMN whoop_recovery.skin_temp_celsius IS 'Degrees Celsius.';
COMMENT ON COLUMN whoop_recovery.user_calibrating IS 'True in a members first days.';
COMMENT ON COLUMN whoop_recovery.score_state IS 'SCORED, PENDING_SCORE, UNSCORABLE, or a word that WHOOP did not document.';
COMMENT ON COLUMN whoop_recovery.created_at IS 'WHOOP''s: when it stored the record, not when it happened.';
COMMENT ON COLUMN whoop_recovery.updated_at IS 'WHOOP''s: the newest version of a record wins by it.';
COMMENT ON COLUMN whoop_recovery.extra IS 'Fields that WHOOP sent and this version has no column for, nested as sent.';
COMMENT ON COLUMN whoop_recovery.synced_at IS 'When this row was last written here.';

CREATE TABLE whoop_sleep (
    user_id TEXT NOT NULL,
    id TEXT NOT NULL,
    local_date DATE NOT NULL,
    timezone_offset TEXT,
    score_state TEXT NOT NULL,
    created_at TIMESTAMPTZ NOT NULL,
    updated_at TIMESTAMPTZ NOT NULL,
    extra JSONB NOT NULL DEFAULT '{}',
    synced_at TIMESTAMPTZ NOT NULL,
    cycle_id TEXT,
    v1_id BIGINT,
    start_time TIMESTAMPTZ NOT NULL,
    end_time TIMESTAMPTZ,
    nap BOOLEAN,
    total_in_bed_time_milli BIGINT,
    total_awake_time_milli BIGINT,
    total_no_data_time_milli BIGINT,
    total_light_sleep_time_milli BIGINT,
    total_slow_wave_sleep_time_milli BIGINT,
    total_rem_sleep_time_milli BIGINT,
    total_sleep_time_milli BIGINT GENERATED ALWAYS AS
        (total_light_sleep_time_milli + total_slow_wave_sleep_time_milli + total_rem_sleep_time_milli) STORED,
    sleep_cycle_count BIGINT,
    disturbance_count BIGINT,
    baseline_milli BIGINT,
    need_from_sleep_debt_milli BIGINT,
    need_from_recent_strain_milli BIGINT,
    need_from_recent_nap_milli BIGINT,
    respiratory_rate DOUBLE PRECISION,
    sleep_performance_percentage DOUBLE PRECISION,
    sleep_consistency_percentage DOUBLE PRECISION,
    sleep_efficiency_percentage DOUBLE PRECISION,
    CONSTRAINT whoop_sleep_pkey PRIMARY KEY (user_id, id),
    CONSTRAINT whoop_sleep_user_id_fkey FOREIGN KEY (user_id) REFERENCES whoop_users (user_id) ON DELETE CASCADE,
    CONSTRAINT whoop_sleep_score_state_check CHECK (char_length(score_state) BETWEEN 1 AND 200),
    CONSTRAINT whoop_sleep_timezone_offset_check CHECK (timezone_offset ~ '^([+-](0[0-9]|1[0-8]):[0-5][0-9]|[Zz])$'),
    CONSTRAINT whoop_sleep_extra_check CHECK (jsonb_typeof(extra) = 'object'),
    CONSTRAINT whoop_sleep_end_time_check CHECK (end_time >= start_time),
    CONSTRAINT whoop_sleep_total_in_bed_time_milli_check CHECK (total_in_bed_time_milli BETWEEN 0 AND 8640000000),
    CONSTRAINT whoop_sleep_total_awake_time_milli_check CHECK (total_awake_time_milli BETWEEN 0 AND 8640000000),
    CONSTRAINT whoop_sleep_total_no_data_time_milli_check CHECK (total_no_data_time_milli BETWEEN 0 AND 8640000000),
    CONSTRAINT whoop_sleep_total_light_sleep_time_milli_check CHECK (total_light_sleep_time_milli BETWEEN 0 AND 8640000000),
    CONSTRAINT whoop_sleep_total_slow_wave_sleep_time_milli_check CHECK (total_slow_wave_sleep_time_milli BETWEEN 0 AND 8640000000),
    CONSTRAINT whoop_sleep_total_rem_sleep_time_milli_check CHECK (total_rem_sleep_time_milli BETWEEN 0 AND 8640000000),
    CONSTRAINT whoop_sleep_sleep_cycle_count_check CHECK (sleep_cycle_count >= 0),
    CONSTRAINT whoop_sleep_disturbance_count_check CHECK (disturbance_count >= 0),
    CONSTRAINT whoop_sleep_baseline_milli_check CHECK (baseline_milli BETWEEN 0 AND 8640000000),
    CONSTRAINT whoop_sleep_need_from_sleep_debt_milli_check CHECK (need_from_sleep_debt_milli BETWEEN -8640000000 AND 8640000000),
    CONSTRAINT whoop_sleep_need_from_recent_strain_milli_check CHECK (need_from_recent_strain_milli BETWEEN -8640000000 AND 8640000000),
    CONSTRAINT whoop_sleep_need_from_recent_nap_milli_check CHECK (need_from_recent_nap_milli BETWEEN -8640000000 AND 8640000000),
    CONSTRAINT whoop_sleep_respiratory_rate_check CHECK (respiratory_rate BETWEEN 0 AND 100),
    CONSTRAINT whoop_sleep_sleep_performance_percentage_check CHECK (sleep_performance_percentage BETWEEN 0 AND 100),
    CONSTRAINT whoop_sleep_sleep_consistency_percentage_check CHECK (sleep_consistency_percentage BETWEEN 0 AND 100),
    CONSTRAINT whoop_sleep_sleep_efficiency_percentage_check CHECK (sleep_efficiency_percentage BETWEEN 0 AND 100)
);

CREATE INDEX whoop_sleep_user_id_local_date_idx ON whoop_sleep (user_id, local_date);
CREATE INDEX whoop_sleep_open_idx ON whoop_sleep (user_id, start_time) WHERE score_state NOT IN ('SCORED', 'UNSCORABLE');
CREATE INDEX whoop_sleep_user_id_cycle_id_idx ON whoop_sleep (user_id, cycle_id);

COMMENT ON TABLE whoop_sleep IS 'WHOOP sleeps and naps.';
COMMENT ON COLUMN whoop_sleep.local_date IS 'The local date on which the member woke, at the records own offset.';
COMMENT ON COLUMN whoop_sleep.nap IS 'WHOOP may turn a nap into a sleep and back within days.';
COMMENT ON COLUMN whoop_sleep.total_sleep_time_milli IS 'Milliseconds asleep: light, slow wave and REM.';
COMMENT ON COLUMN whoop_sleep.need_from_recent_nap_milli IS 'Milliseconds, zero or below: a nap lowers the need.';
COMMENT ON COLUMN whoop_sleep.respiratory_rate IS 'Breaths a minute.';
COMMENT ON COLUMN whoop_sleep.score_state IS 'SCORED, PENDING_SCORE, UNSCORABLE, or a word that WHOOP did not document.';
COMMENT ON COLUMN whoop_sleep.created_at IS 'WHOOP''s: when it stored the record, not when it happened.';
COMMENT ON COLUMN whoop_sleep.updated_at IS 'WHOOP''s: the newest version of a record wins by it.';
COMMENT ON COLUMN whoop_sleep.extra IS 'Fields that WHOOP sent and this version has no column for, nested as sent.';
COMMENT ON COLUMN whoop_sleep.synced_at IS 'When this row was last written here.';

CREATE TABLE whoop_workout (
    user_id TEXT NOT NULL,
    id TEXT NOT NULL,
    local_date DATE NOT NULL,
    timezone_offset TEXT,
    score_state TEXT NOT NULL,
    created_at TIMESTAMPTZ NOT NULL,
    updated_at TIMESTAMPTZ NOT NULL,
    extra JSONB NOT NULL DEFAULT '{}',
    synced_at TIMESTAMPTZ NOT NULL,
    v1_id BIGINT,
    sport_id BIGINT,
    sport_name TEXT,
    start_time TIMESTAMPTZ NOT NULL,
    end_time TIMESTAMPTZ,
    strain_score DOUBLE PRECISION,
    kilojoule DOUBLE PRECISION,
    calories_burned DOUBLE PRECISION GENERATED ALWAYS AS (kilojoule / 4.184) STORED,
    average_heart_rate DOUBLE PRECISION,
    max_heart_rate DOUBLE PRECISION,
    percent_recorded DOUBLE PRECISION,
    distance_meter DOUBLE PRECISION,
    altitude_gain_meter DOUBLE PRECISION,
    altitude_change_meter DOUBLE PRECISION,
    zone_zero_milli BIGINT,
    zone_one_milli BIGINT,
    zone_two_milli BIGINT,
    zone_three_milli BIGINT,
    zone_four_milli BIGINT,
    zone_five_milli BIGINT,
    CONSTRAINT whoop_workout_pkey PRIMARY KEY (user_id, id),
    CONSTRAINT whoop_workout_user_id_fkey FOREIGN KEY (user_id) REFERENCES whoop_users (user_id) ON DELETE CASCADE,
    CONSTRAINT whoop_workout_score_state_check CHECK (char_length(score_state) BETWEEN 1 AND 200),
    CONSTRAINT whoop_workout_timezone_offset_check CHECK (timezone_offset ~ '^([+-](0[0-9]|1[0-8]):[0-5][0-9]|[Zz])$'),
    CONSTRAINT whoop_workout_extra_check CHECK (jsonb_typeof(extra) = 'object'),
    CONSTRAINT whoop_workout_end_time_check CHECK (end_time >= start_time),
    CONSTRAINT whoop_workout_strain_score_check CHECK (strain_score BETWEEN 0 AND 21),
    CONSTRAINT whoop_workout_kilojoule_check CHECK (kilojoule >= 0),
    CONSTRAINT whoop_workout_average_heart_rate_check CHECK (average_heart_rate BETWEEN 0 AND 300),
    CONSTRAINT whoop_workout_max_heart_rate_check CHECK (max_heart_rate BETWEEN 0 AND 300),
    CONSTRAINT whoop_workout_percent_recorded_check CHECK (percent_recorded BETWEEN 0 AND 100),
    CONSTRAINT whoop_workout_distance_meter_check CHECK (distance_meter >= 0),
    CONSTRAINT whoop_workout_zone_zero_milli_check CHECK (zone_zero_milli >= 0),
    CONSTRAINT whoop_workout_zone_one_milli_check CHECK (zone_one_milli >= 0),
    CONSTRAINT whoop_workout_zone_two_milli_check CHECK (zone_two_milli >= 0),
    CONSTRAINT whoop_workout_zone_three_milli_check CHECK (zone_three_milli >= 0),
    CONSTRAINT whoop_workout_zone_four_milli_check CHECK (zone_four_milli >= 0),
    CONSTRAINT whoop_workout_zone_five_milli_check CHECK (zone_five_milli >= 0)
);

CREATE INDEX whoop_workout_user_id_local_date_idx ON whoop_workout (user_id, local_date);
CREATE INDEX whoop_workout_open_idx ON whoop_workout (user_id, start_time) WHERE score_state NOT IN ('SCORED', 'UNSCORABLE');

COMMENT ON TABLE whoop_workout IS 'WHOOP workouts and other activities.';
COMMENT ON COLUMN whoop_workout.local_date IS 'The local date of its start, also where it ends after midnight.';
COMMENT ON COLUMN whoop_workout.sport_name IS 'Free text of WHOOPs, such as running.';
COMMENT ON COLUMN whoop_workout.strain_score IS '0 to 21, not linear.';
COMMENT ON COLUMN whoop_workout.kilojoule IS 'Kilojoules.';
COMMENT ON COLUMN whoop_workout.calories_burned IS 'Kilocalories, from kilojoule.';
COMMENT ON COLUMN whoop_workout.percent_recorded IS 'As WHOOP sends it: a fraction of one, though documented as a percentage.';
COMMENT ON COLUMN whoop_workout.distance_meter IS 'Metres.';
COMMENT ON COLUMN whoop_workout.zone_zero_milli IS 'Milliseconds in the zone; so for all six.';
COMMENT ON COLUMN whoop_workout.score_state IS 'SCORED, PENDING_SCORE, UNSCORABLE, or a word that WHOOP did not document.';
COMMENT ON COLUMN whoop_workout.created_at IS 'WHOOP''s: when it stored the record, not when it happened.';
COMMENT ON COLUMN whoop_workout.updated_at IS 'WHOOP''s: the newest version of a record wins by it.';
COMMENT ON COLUMN whoop_workout.extra IS 'Fields that WHOOP sent and this version has no column for, nested as sent.';
COMMENT ON COLUMN whoop_workout.synced_at IS 'When this row was last written here.';
