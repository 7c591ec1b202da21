//! Diesel's definitions of the tables. The tables are created by `migrations/`; a test checks that
//! the definitions match the created tables.

diesel::table! {
    whoop_users (user_id) {
        user_id -> Text,
        whoop_user_id -> BigInt,
        status -> Text,
        status_detail -> Nullable<Text>,
        email -> Nullable<Text>,
        first_name -> Nullable<Text>,
        last_name -> Nullable<Text>,
        height_meter -> Nullable<Double>,
        weight_kilogram -> Nullable<Double>,
        max_heart_rate -> Nullable<Double>,
        consent -> Nullable<Text>,
        consented_at -> Nullable<Timestamptz>,
        connected_at -> Timestamptz,
        disconnected_at -> Nullable<Timestamptz>,
        last_seen_at -> Nullable<Timestamptz>,
        visit_days -> Integer,
        timezone_offset -> Nullable<Text>,
        timezone_offset_at -> Nullable<Timestamptz>,
        lease_holder -> Nullable<Text>,
        lease_until -> Nullable<Timestamptz>,
        change_seq -> BigInt,
        settled_seq -> BigInt,
        updated_at -> Timestamptz,
        unidentified_pair -> Nullable<Uuid>,
        first_sync_pending -> Bool,
    }
}

diesel::table! {
    whoop_change (user_id, seq) {
        user_id -> Text,
        seq -> BigInt,
        data_type -> Text,
        record_id -> Text,
        local_date -> Date,
        previous_date -> Nullable<Date>,
        op -> Text,
        updated_at -> Nullable<Timestamptz>,
        changed_at -> Timestamptz,
    }
}

diesel::table! {
    whoop_adopted (member_digest) {
        member_digest -> Text,
        adopted_at -> Timestamptz,
        records -> BigInt,
    }
}

diesel::table! {
    whoop_webhook_event (id) {
        id -> BigInt,
        trace_id -> Text,
        event_type -> Text,
        record_id -> Text,
        whoop_user_id -> BigInt,
        state -> Text,
        signed_at -> Timestamptz,
        received_at -> Timestamptz,
        times_received -> BigInt,
        due_at -> Timestamptz,
        attempts -> Integer,
        finished_at -> Nullable<Timestamptz>,
        last_error -> Nullable<Text>,
    }
}

diesel::table! {
    whoop_tokens (user_id) {
        user_id -> Text,
        sealed -> Bytea,
        key_id -> Text,
        scope -> Text,
        expires_at -> Timestamptz,
        refreshed_at -> Timestamptz,
    }
}

diesel::table! {
    whoop_oauth_states (state_hash) {
        state_hash -> Bytea,
        user_id -> Text,
        return_to -> Nullable<Text>,
        consent -> Nullable<Text>,
        created_at -> Timestamptz,
        expires_at -> Timestamptz,
        used_at -> Nullable<Timestamptz>,
    }
}

diesel::table! {
    whoop_cycle (user_id, id) {
        user_id -> Text,
        id -> Text,
        local_date -> Date,
        in_others -> Bool,
        timezone_offset -> Nullable<Text>,
        score_state -> Text,
        created_at -> Timestamptz,
        updated_at -> Timestamptz,
        extra -> Jsonb,
        synced_at -> Timestamptz,
        start_time -> Timestamptz,
        end_time -> Nullable<Timestamptz>,
        day_strain -> Nullable<Double>,
        kilojoule -> Nullable<Double>,
        average_heart_rate -> Nullable<Double>,
        max_heart_rate -> Nullable<Double>,
        step_count -> Nullable<BigInt>,
    }
}

diesel::table! {
    whoop_recovery (user_id, id) {
        user_id -> Text,
        id -> Text,
        local_date -> Date,
        in_others -> Bool,
        timezone_offset -> Nullable<Text>,
        score_state -> Text,
        created_at -> Timestamptz,
        updated_at -> Timestamptz,
        extra -> Jsonb,
        synced_at -> Timestamptz,
        cycle_id -> Text,
        sleep_id -> Text,
        recovery_score -> Nullable<Double>,
        resting_heart_rate -> Nullable<Double>,
        hrv_rmssd_milli -> Nullable<Double>,
        spo2_percentage -> Nullable<Double>,
        skin_temp_celsius -> Nullable<Double>,
        user_calibrating -> Nullable<Bool>,
    }
}

diesel::table! {
    whoop_sleep (user_id, id) {
        user_id -> Text,
        id -> Text,
        local_date -> Date,
        in_others -> Bool,
        night_date -> Nullable<Date>,
        timezone_offset -> Nullable<Text>,
        score_state -> Text,
        created_at -> Timestamptz,
        updated_at -> Timestamptz,
        extra -> Jsonb,
        synced_at -> Timestamptz,
        cycle_id -> Nullable<Text>,
        v1_id -> Nullable<BigInt>,
        start_time -> Timestamptz,
        end_time -> Nullable<Timestamptz>,
        nap -> Nullable<Bool>,
        total_in_bed_time_milli -> Nullable<BigInt>,
        total_awake_time_milli -> Nullable<BigInt>,
        total_no_data_time_milli -> Nullable<BigInt>,
        total_light_sleep_time_milli -> Nullable<BigInt>,
        total_slow_wave_sleep_time_milli -> Nullable<BigInt>,
        total_rem_sleep_time_milli -> Nullable<BigInt>,
        sleep_cycle_count -> Nullable<BigInt>,
        disturbance_count -> Nullable<BigInt>,
        baseline_milli -> Nullable<BigInt>,
        need_from_sleep_debt_milli -> Nullable<BigInt>,
        need_from_recent_strain_milli -> Nullable<BigInt>,
        need_from_recent_nap_milli -> Nullable<BigInt>,
        respiratory_rate -> Nullable<Double>,
        sleep_performance_percentage -> Nullable<Double>,
        sleep_consistency_percentage -> Nullable<Double>,
        sleep_efficiency_percentage -> Nullable<Double>,
    }
}

diesel::table! {
    whoop_workout (user_id, id) {
        user_id -> Text,
        id -> Text,
        local_date -> Date,
        timezone_offset -> Nullable<Text>,
        score_state -> Text,
        created_at -> Timestamptz,
        updated_at -> Timestamptz,
        extra -> Jsonb,
        synced_at -> Timestamptz,
        v1_id -> Nullable<BigInt>,
        sport_id -> Nullable<BigInt>,
        sport_name -> Nullable<Text>,
        start_time -> Timestamptz,
        end_time -> Nullable<Timestamptz>,
        strain_score -> Nullable<Double>,
        kilojoule -> Nullable<Double>,
        average_heart_rate -> Nullable<Double>,
        max_heart_rate -> Nullable<Double>,
        percent_recorded -> Nullable<Double>,
        distance_meter -> Nullable<Double>,
        altitude_gain_meter -> Nullable<Double>,
        altitude_change_meter -> Nullable<Double>,
        zone_zero_milli -> Nullable<BigInt>,
        zone_one_milli -> Nullable<BigInt>,
        zone_two_milli -> Nullable<BigInt>,
        zone_three_milli -> Nullable<BigInt>,
        zone_four_milli -> Nullable<BigInt>,
        zone_five_milli -> Nullable<BigInt>,
    }
}

diesel::table! {
    whoop_sync_log (user_id, data_type) {
        user_id -> Text,
        data_type -> Text,
        sync_status -> Text,
        last_sync_at -> Nullable<Timestamptz>,
        last_attempt_at -> Nullable<Timestamptz>,
        records_synced -> BigInt,
        covered_from -> Nullable<Timestamptz>,
        covered_until -> Nullable<Timestamptz>,
        whole_history -> Bool,
        last_error -> Nullable<Text>,
        last_error_at -> Nullable<Timestamptz>,
        failing_since -> Nullable<Timestamptz>,
        list_end_seen_at -> Nullable<Timestamptz>,
        list_end_oldest -> Nullable<Timestamptz>,
        signal_at -> Nullable<Timestamptz>,
        signal_read_at -> Nullable<Timestamptz>,
        signal_open -> Bool,
        last_sync_from -> Nullable<Timestamptz>,
        earlier_from -> Nullable<Timestamptz>,
        earlier_until -> Nullable<Timestamptz>,
    }
}

diesel::table! {
    whoop_sync_run (id) {
        id -> Uuid,
        slot -> Nullable<Text>,
        trigger -> Text,
        status -> Text,
        started_at -> Timestamptz,
        finished_at -> Nullable<Timestamptz>,
        members -> BigInt,
        calls -> BigInt,
        records -> BigInt,
        failures -> BigInt,
        detail -> Nullable<Text>,
        alive_until -> Nullable<Timestamptz>,
    }
}

diesel::table! {
    whoop_record_denial (user_id, data_type, record_id) {
        user_id -> Text,
        data_type -> Text,
        record_id -> Text,
        denied_at -> Timestamptz,
    }
}

diesel::table! {
    whoop_rejected_record (user_id, data_type, raw_hash) {
        user_id -> Text,
        data_type -> Text,
        raw_hash -> Bytea,
        record_id -> Nullable<Text>,
        raw -> Text,
        reason -> Text,
        first_seen_at -> Timestamptz,
        last_seen_at -> Timestamptz,
        times_seen -> BigInt,
    }
}

diesel::table! {
    whoop_refresh (user_id) {
        user_id -> Text,
        begun_at -> Nullable<Timestamptz>,
        holder -> Nullable<Text>,
        claimed_until -> Nullable<Timestamptz>,
        invalid_request_since -> Nullable<Timestamptz>,
        rejected_since -> Nullable<Timestamptz>,
    }
}

diesel::table! {
    whoop_revocation (id) {
        id -> Uuid,
        sealed -> Bytea,
        key_id -> Text,
        scope -> Text,
        expires_at -> Timestamptz,
        attempts -> Integer,
        next_attempt_at -> Timestamptz,
        last_error -> Nullable<Text>,
        created_at -> Timestamptz,
        held_until -> Nullable<Timestamptz>,
    }
}

diesel::table! {
    whoop_unconfirmed_connect (user_id) {
        user_id -> Text,
        word_hash -> Bytea,
        sealed -> Bytea,
        key_id -> Text,
        scope -> Text,
        expires_at -> Timestamptz,
        consent -> Nullable<Text>,
        created_at -> Timestamptz,
        confirm_until -> Timestamptz,
    }
}

diesel::table! {
    whoop_erasure (id) {
        id -> Uuid,
        erased_at -> Timestamptz,
        deleted_rows -> BigInt,
    }
}

diesel::table! {
    whoop_call_budget (id) {
        id -> Integer,
        version -> BigInt,
        ledger -> Jsonb,
        updated_at -> Timestamptz,
    }
}

diesel::table! {
    whoop_service_key (digest) {
        digest -> Bytea,
        name -> Text,
        scopes -> Text,
        created_at -> Timestamptz,
        expires_at -> Nullable<Timestamptz>,
        revoked_at -> Nullable<Timestamptz>,
        last_used_at -> Nullable<Timestamptz>,
    }
}

diesel::table! {
    whoop_audit (id) {
        id -> BigInt,
        at -> Timestamptz,
        caller -> Text,
        action -> Text,
        user_id -> Nullable<Text>,
        request_id -> Nullable<Text>,
        detail -> Nullable<Text>,
    }
}
