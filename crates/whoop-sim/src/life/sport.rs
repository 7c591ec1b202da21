//! Sports, with names and ids that are as inconsistent as in WHOOP's replies.

use super::wire::MaybeAbsent;

#[derive(Debug, Clone, Copy)]
pub(crate) struct Sport {
    pub(crate) name: &'static str,
    /// WHOOP's id of the sport. For newer sports, WHOOP sends null or omits the key.
    pub(crate) id: MaybeAbsent<i64>,
    pub(crate) minutes: (i64, i64),
    /// Average heart rate during the sport, as a fraction of the person's maximum heart rate.
    pub(crate) effort: f64,
    /// Average speed in meters per minute; 0 for a sport in which WHOOP measures no distance.
    pub(crate) meters_per_minute: f64,
}

const fn sport(
    name: &'static str,
    id: MaybeAbsent<i64>,
    minutes: (i64, i64),
    effort: f64,
    meters_per_minute: f64,
) -> Sport {
    Sport {
        name,
        id,
        minutes,
        effort,
        meters_per_minute,
    }
}

pub(crate) const RUNNING: Sport = sport("running", Some(Some(0)), (25, 95), 0.78, 165.0);
pub(crate) const CYCLING: Sport = sport("cycling", Some(Some(1)), (40, 190), 0.70, 430.0);
pub(crate) const LIFTING: Sport = sport("weightlifting_msk", Some(Some(123)), (30, 75), 0.58, 0.0);
pub(crate) const TABLE_TENNIS: Sport = sport("table-tennis", Some(None), (70, 110), 0.62, 0.0);

pub(crate) const COMMON_SPORTS: [Sport; 9] = [
    RUNNING,
    CYCLING,
    LIFTING,
    sport("weightlifting", Some(Some(45)), (30, 70), 0.57, 0.0),
    sport("walking", Some(Some(63)), (20, 80), 0.50, 84.0),
    sport("reformer-pilates", Some(None), (45, 55), 0.51, 0.0),
    sport("mountain-biking", None, (50, 160), 0.72, 260.0),
    // WHOOP also lists recovery activities as workouts.
    sport("hot_tub", None, (12, 30), 0.42, 0.0),
    sport("activity", None, (15, 60), 0.55, 0.0),
];
