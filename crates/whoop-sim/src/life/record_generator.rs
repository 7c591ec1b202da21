//! Generates the records that WHOOP would have of a planned life, and the time of each version.

use chrono::{DateTime, TimeDelta, Utc};

use super::{
    LifePattern, SeededRng,
    cycle::{ActivityLevel, MissingScore, OpenCycle},
    event_timeline::{EventTimeline, TimelineEvent},
    person::BodyBaseline,
    plan::{CyclePlanner, MeasurementResult, PlannedCycle, TimeSpan},
    recovery,
    seeded_rng::{ScoringDelay, ScoringTimes},
    sleep::{self, SleepNeed},
    sport::Sport,
    time_zone::format_offset,
    wire::{
        self, CycleScoreJson, MaybeAbsent, RecoveryScoreJson, SimScoreState, SleepScoreJson,
        WorkoutScoreJson,
    },
    workout::{self, WorkoutLoad},
};
use crate::{clock::format_instant, config::MAX_PEOPLE, data_type::SimDataType, record::SimRecord};

/// Number of nights that WHOOP needs for the calibration of a new member.
const CALIBRATING_NIGHTS: usize = 4;
/// Number of first nights without a sleep consistency. WHOOP computes the consistency by comparing
/// a night with earlier nights.
const NIGHTS_WITHOUT_CONSISTENCY: usize = 3;
/// Time from the upload of a night until WHOOP sets the end of the previous cycle.
const CYCLE_END_DELAY: TimeDelta = TimeDelta::seconds(5);
/// Interval of unscorable nights: WHOOP cannot use the strap's data of one in 17 nights.
const UNSCORABLE_EVERY: usize = 17;

pub(crate) struct RecordGenerator {
    life: LifePattern,
    user_id: i64,
    index: usize,
    body: BodyBaseline,
    rng: SeededRng,
    planner: CyclePlanner,
    /// Number of cycles generated so far, without those that WHOOP creates later with a score of
    /// zeros.
    cycles_generated: usize,
    /// Number of cycles with a main sleep generated so far.
    nights_generated: usize,
    nap_milli: i64,
    /// The running cycle; `None` if the end of the newest cycle is already known.
    open_cycle: Option<OpenCycle>,
    /// Time at which the person is read for the first time. Versions of records that were replaced
    /// before this time are not stored.
    first_read_at: DateTime<Utc>,
}

impl std::fmt::Debug for RecordGenerator {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RecordGenerator")
            .field("life", &self.life)
            .field("night", &self.nights_generated)
            .finish_non_exhaustive()
    }
}

/// The properties of the person for whom records are generated.
pub(crate) struct PersonSeed {
    pub(crate) life: LifePattern,
    pub(crate) user_id: i64,
    pub(crate) index: usize,
    pub(crate) body: BodyBaseline,
}

impl RecordGenerator {
    pub(crate) fn new(
        seed: PersonSeed,
        rng: SeededRng,
        planner: CyclePlanner,
        first_read_at: DateTime<Utc>,
    ) -> Self {
        Self {
            life: seed.life,
            user_id: seed.user_id,
            index: seed.index,
            body: seed.body,
            rng,
            planner,
            cycles_generated: 0,
            nights_generated: 0,
            nap_milli: 0,
            open_cycle: None,
            first_read_at,
        }
    }

    /// Returns the start of the next cycle; `None` if there is no next cycle.
    ///
    /// No record of that cycle exists before its start.
    pub(crate) fn next_start(&self) -> Option<DateTime<Utc>> {
        self.planner.next_start()
    }

    /// Generates the next cycle with its sleeps, recovery and workouts.
    pub(crate) fn generate_cycle(&mut self, timeline: &mut EventTimeline) {
        let plan = self.planner.next_cycle();
        if let MeasurementResult::ZerosCreatedAt(created) = plan.measured {
            let record = self.zero_scored_cycle(&plan, created);
            timeline.add(created, TimelineEvent::Put(SimDataType::Cycle, record));
            return;
        }
        let number = self.cycles_generated;
        self.cycles_generated += 1;
        let earliest = self.open_cycle.as_ref().map(|cycle| {
            // The new night is uploaded after the previous one, because a strap uploads in
            // chronological order.
            cycle.times.created + TimeDelta::minutes(1)
        });
        let seen = plan.nights.first().map_or(plan.start, |night| night.end);
        let times = self
            .rng
            .draw_scoring_times(seen, self.life.scoring_delay())
            .not_before(earliest.unwrap_or(DateTime::<Utc>::MIN_UTC));
        if let Some(cycle) = self.open_cycle.take() {
            self.schedule_close(
                &cycle,
                plan.start,
                times.created + CYCLE_END_DELAY,
                timeline,
            );
        }

        let cycle_id = cycle_id(self.index, plan.start);
        let state = self.generate_nights(cycle_id, &plan, times, timeline);
        self.nap_milli = self.generate_naps(cycle_id, &plan, times, timeline);

        let mut loads = Vec::new();
        for (span, sport) in &plan.workouts {
            loads.extend(self.generate_workout(*span, *sport, times.created, timeline));
        }
        let cycle_state = match state {
            SimScoreState::Unscorable if self.rng.random_bool(0.5) => SimScoreState::Unscorable,
            _ if plan.measured == MeasurementResult::Nothing => SimScoreState::Unscorable,
            _ => SimScoreState::Scored,
        };
        let activity_level = ActivityLevel::draw(&mut self.rng, &self.body);
        let cycle = OpenCycle {
            id: cycle_id,
            user_id: self.user_id,
            start: plan.start,
            woke_at: plan.woke_at(),
            timezone_offset: self.offset_text(plan.nights.first().map_or(plan.start, |it| it.end)),
            times,
            state: cycle_state,
            missing_score: self.missing_score(number.is_multiple_of(2)),
            activity_level,
            loads,
        };
        timeline.add(times.created, TimelineEvent::Open(Box::new(cycle.clone())));
        match plan.closes_at {
            Some(end) => self.schedule_close(
                &cycle,
                end,
                end.max(times.created + CYCLE_END_DELAY),
                timeline,
            ),
            None => self.open_cycle = Some(cycle),
        }
    }

    /// Returns the record of a cycle that WHOOP creates long after the cycle's end, with every
    /// value 0.
    fn zero_scored_cycle(&self, plan: &PlannedCycle, created: DateTime<Utc>) -> SimRecord {
        // Ids increase with the time of creation, not with the start.
        let id = cycle_id(self.index, created);
        let wire = wire::CycleJson {
            id,
            user_id: self.user_id,
            created_at: format_instant(created),
            updated_at: format_instant(created),
            start: format_instant(plan.start),
            end: plan.closes_at.map(format_instant),
            timezone_offset: self.offset_text(plan.start),
            score_state: SimScoreState::Scored,
            score: Some(Some(CycleScoreJson::ZERO)),
            step_count: None,
        };
        SimRecord::new(id, plan.start, plan.closes_at, &wire)
    }

    /// Generates the main sleeps of a cycle and its recovery, which WHOOP computes from the first
    /// main sleep.
    ///
    /// Returns the final score state of the first main sleep.
    fn generate_nights(
        &mut self,
        cycle_id: i64,
        plan: &PlannedCycle,
        times: ScoringTimes,
        timeline: &mut EventTimeline,
    ) -> SimScoreState {
        let Some((first, later)) = plan.nights.split_first() else {
            return SimScoreState::Scored;
        };
        let night = self.nights_generated;
        self.nights_generated += 1;
        let state = if night % UNSCORABLE_EVERY == UNSCORABLE_EVERY / 2 {
            SimScoreState::Unscorable
        } else {
            SimScoreState::Scored
        };
        let need = SleepNeed {
            debt_milli: self.rng.int_between(0, 5_400_000),
            nap_milli: self.nap_milli,
        };
        let kind = if night < NIGHTS_WITHOUT_CONSISTENCY {
            sleep::SleepKind::FirstNights
        } else {
            sleep::SleepKind::Night
        };
        let sleep_id = self.generate_sleep(cycle_id, *first, kind, (state, times), &need, timeline);
        // Some members have no recoveries for their first nights.
        if self.life != LifePattern::LongBreaks || night >= NIGHTS_WITHOUT_CONSISTENCY {
            self.generate_recovery(night, cycle_id, &sleep_id, *first, (state, times), timeline);
        }
        for span in later {
            let times = self
                .rng
                .draw_scoring_times(span.end, self.life.scoring_delay())
                .not_before(times.created + TimeDelta::minutes(1));
            self.generate_sleep(
                cycle_id,
                *span,
                sleep::SleepKind::LaterPart,
                (SimScoreState::Scored, times),
                &need,
                timeline,
            );
        }
        state
    }

    fn schedule_close(
        &self,
        cycle: &OpenCycle,
        end: DateTime<Utc>,
        seen: DateTime<Utc>,
        timeline: &mut EventTimeline,
    ) {
        let finalized = cycle.times.finalized;
        if finalized <= seen || self.first_read_at < finalized {
            timeline.add(seen, TimelineEvent::Close(cycle.closed_record(end, seen)));
        }
        if seen < finalized {
            let record = cycle.closed_record(end, finalized);
            // This event must be a `Close` too: if the records are first read after `finalized`,
            // the `Close` above was not added.
            timeline.add(finalized, TimelineEvent::Close(record));
        }
    }

    fn generate_naps(
        &mut self,
        cycle_id: i64,
        plan: &PlannedCycle,
        night: ScoringTimes,
        timeline: &mut EventTimeline,
    ) -> i64 {
        let mut napped = 0;
        for nap in &plan.naps {
            let span = nap.span;
            napped += (span.end - span.start).num_milliseconds() * 9 / 10;
            let times = self
                .rng
                .draw_scoring_times(span.end, self.life.scoring_delay())
                .not_before(night.created + TimeDelta::minutes(1));
            let need = SleepNeed {
                debt_milli: self.rng.int_between(0, 3_600_000),
                nap_milli: 0,
            };
            let score = (SimScoreState::Scored, times);
            let kind = if nap.entered_by_hand {
                sleep::SleepKind::EnteredByHand
            } else {
                sleep::SleepKind::Nap
            };
            self.generate_sleep(cycle_id, span, kind, score, &need, timeline);
        }
        napped
    }

    fn generate_sleep(
        &mut self,
        cycle_id: i64,
        span: TimeSpan,
        kind: sleep::SleepKind,
        (state, times): (SimScoreState, ScoringTimes),
        need: &SleepNeed,
        timeline: &mut EventTimeline,
    ) -> String {
        let id = self.rng.uuid().to_string();
        let mut wire = wire::SleepJson {
            id: id.clone(),
            cycle_id,
            v1_id: None,
            user_id: self.user_id,
            created_at: format_instant(times.created),
            updated_at: String::new(),
            start: format_instant(span.start),
            end: format_instant(span.end),
            timezone_offset: self.offset_text(span.end),
            nap: kind.is_nap(),
            score_state: SimScoreState::PendingScore,
            score: self.score_placeholder(SleepScoreJson::zero),
        };
        for version in RecordVersion::all_of(state, times) {
            if version.state == SimScoreState::Scored {
                let rng = &mut self.rng;
                wire.score = Some(Some(sleep::score(rng, &self.body, span, kind, need)));
            }
            if version.is_superseded(self.first_read_at) {
                continue;
            }
            wire.score_state = version.state;
            wire.updated_at = format_instant(version.at);
            let mut record = SimRecord::new(&id, span.start, Some(span.end), &wire);
            record.cycle_id = Some(cycle_id);
            record.nap = kind.is_nap();
            timeline.add(version.at, TimelineEvent::Put(SimDataType::Sleep, record));
        }
        id
    }

    fn generate_recovery(
        &mut self,
        night: usize,
        cycle_id: i64,
        sleep_id: &str,
        span: TimeSpan,
        (state, times): (SimScoreState, ScoringTimes),
        timeline: &mut EventTimeline,
    ) {
        let calibrating = self.life == LifePattern::Newcomer && night < CALIBRATING_NIGHTS;
        let mut wire = wire::RecoveryJson {
            cycle_id,
            sleep_id: sleep_id.to_owned(),
            user_id: self.user_id,
            created_at: format_instant(times.created),
            updated_at: String::new(),
            score_state: SimScoreState::PendingScore,
            score: self.score_placeholder(RecoveryScoreJson::zero),
        };
        for version in RecordVersion::all_of(state, times) {
            if version.state == SimScoreState::Scored {
                let rng = &mut self.rng;
                wire.score = Some(Some(recovery::score(rng, &self.body, calibrating)));
            }
            if version.is_superseded(self.first_read_at) {
                continue;
            }
            wire.score_state = version.state;
            wire.updated_at = format_instant(version.at);
            let mut record = SimRecord::new(cycle_id, span.start, Some(span.end), &wire);
            record.cycle_id = Some(cycle_id);
            record.sleep_id = Some(sleep_id.to_owned());
            timeline.add(
                version.at,
                TimelineEvent::Put(SimDataType::Recovery, record),
            );
        }
    }

    fn generate_workout(
        &mut self,
        span: TimeSpan,
        sport: Sport,
        earliest: DateTime<Utc>,
        timeline: &mut EventTimeline,
    ) -> Option<(DateTime<Utc>, WorkoutLoad)> {
        let id = self.rng.uuid().to_string();
        let times = self
            .rng
            .draw_scoring_times(span.end, ScoringDelay::Short)
            .not_before(earliest + TimeDelta::minutes(1));
        let state = if self.rng.random_bool(0.04) {
            SimScoreState::Unscorable
        } else {
            SimScoreState::Scored
        };
        let mut wire = wire::WorkoutJson {
            id: id.clone(),
            v1_id: None,
            user_id: self.user_id,
            created_at: format_instant(times.created),
            updated_at: String::new(),
            start: format_instant(span.start),
            end: format_instant(span.end),
            timezone_offset: self.offset_text(span.start),
            sport_name: sport.name,
            score_state: SimScoreState::PendingScore,
            score: self.score_placeholder(WorkoutScoreJson::zero),
            sport_id: sport.id,
        };
        let mut load = None;
        for version in RecordVersion::all_of(state, times) {
            if version.state == SimScoreState::Scored {
                let rng = &mut self.rng;
                let (score, drawn) = workout::score(rng, &self.body, span, sport);
                wire.score = Some(Some(score));
                load = load.or(Some((version.at, drawn)));
            }
            if version.is_superseded(self.first_read_at) {
                continue;
            }
            wire.score_state = version.state;
            wire.updated_at = format_instant(version.at);
            let record = SimRecord::new(&id, span.start, Some(span.end), &wire);
            timeline.add(version.at, TimelineEvent::Put(SimDataType::Workout, record));
        }
        load
    }

    pub(crate) fn draw_recovery_score(&self, rng: &mut SeededRng) -> serde_json::Value {
        serde_json::to_value(recovery::score(rng, &self.body, false))
            .expect("a score has string keys")
    }

    /// Returns the content of `score` in a record without a score: null or no key, for some people
    /// zeros.
    fn score_placeholder<T>(&mut self, zero: fn() -> T) -> MaybeAbsent<T> {
        let sends_null = self.rng.random_bool(0.5);
        match self.missing_score(sends_null) {
            MissingScore::Absent => None,
            MissingScore::Null => Some(None),
            MissingScore::Zeros => Some(Some(zero())),
        }
    }

    fn missing_score(&self, sends_null: bool) -> MissingScore {
        match self.life {
            LifePattern::OddReadings => MissingScore::Zeros,
            _ if sends_null => MissingScore::Null,
            _ => MissingScore::Absent,
        }
    }

    fn offset_text(&self, at: DateTime<Utc>) -> String {
        let itinerary = &self.planner.itinerary;
        format_offset(itinerary.offset_minutes(at - self.life.offset_lag()))
    }
}

/// A version of a record. WHOOP lists it from `at` until `until`; the last version has no `until`.
struct RecordVersion {
    at: DateTime<Utc>,
    until: Option<DateTime<Utc>>,
    state: SimScoreState,
}

impl RecordVersion {
    /// Returns the versions of a record: with a pending score, with the final score, and for some
    /// records with a changed score.
    fn all_of(state: SimScoreState, times: ScoringTimes) -> Vec<Self> {
        let again = times.rescored.filter(|_| state == SimScoreState::Scored);
        let mut versions = vec![
            Self {
                at: times.created,
                until: Some(times.finalized),
                state: SimScoreState::PendingScore,
            },
            Self {
                at: times.finalized,
                until: again,
                state,
            },
        ];
        versions.extend(again.map(|at| Self {
            at,
            until: None,
            state,
        }));
        versions
    }

    fn is_superseded(&self, by: DateTime<Utc>) -> bool {
        self.until.is_some_and(|until| until <= by)
    }
}

/// Returns the id of a person's cycle, computed from the person's index and the hours since 2020.
///
/// Ids are unique, because no person starts two cycles in one hour. Every second person has ids
/// above 2^31, because WHOOP's ids will soon exceed this number.
pub(crate) fn cycle_id(index: usize, start: DateTime<Utc>) -> i64 {
    let person = i64::try_from(index % MAX_PEOPLE).unwrap_or(0);
    let people = i64::try_from(MAX_PEOPLE).unwrap_or(i64::MAX);
    let base = if index.is_multiple_of(2) {
        1_000_000_000
    } else {
        3_000_000_000
    };
    let hour = (start.timestamp() - 1_577_836_800).div_euclid(3_600);
    base + hour * people + person
}
