//! Law 13 (bad input gets a clear error and changes nothing) for the query.

use crate::harness::Stage;

/// The current date in the test environment. WHOOP has data of the sixty days before this date.
const TODAY: &str = "2026-10-20";

#[tokio::test]
async fn an_invalid_date_is_refused_with_an_example() {
    let (stage, alice) = Stage::with_member().await;
    let before = stage.rows().await;
    stage.world().reset_calls();

    for date in [
        "",
        "today",
        "2026-10-32",
        "2026-13-01",
        "2026-02-29",
        "2026-1-2",
        "20261020",
        "2026-10-20T00:00:00Z",
        "2026-10-20%20",
        "%202026-10-20",
        "20-10-2026",
        "-026-10-20",
        "%2B026-10-20",
        "0000-01-01",
        "1969-12-31",
        "2026-10-20%00",
        "%00",
        "%FF",
        "%",
        "2026%E2%80%9010%E2%80%9020",
        "%D9%A2%D9%A0%D9%A2%D9%A6-10-20",
        "2026-10-20'--",
        "NaN",
        "1e9",
    ] {
        let answer = alice.get("daily-data", &format!("?date={date}")).await;
        answer.assert_invalid("invalid-date", "date");
        assert!(
            answer.text.contains("2025-01-20"),
            "{date}: {}",
            answer.text
        );
    }
    let long = format!("?date={}", "9".repeat(10_000));
    let answer = alice.get("daily-data", &long).await;
    answer.assert_invalid("invalid-date", "date");

    before.assert_unchanged(&stage.rows().await, "a date that is none");
    assert_eq!(stage.world().call_count(), 0);
}

#[tokio::test]
async fn a_date_that_has_begun_in_no_time_zone_is_refused() {
    let (stage, alice) = Stage::with_member().await;
    let before = stage.rows().await;

    for date in ["2026-10-22", "2027-01-01", "9999-12-31"] {
        let answer = alice.get("daily-data", &format!("?date={date}")).await;
        answer.assert_invalid("future-date", "date");
    }
    before.assert_unchanged(&stage.rows().await, "a future date");

    // In Kiribati (UTC+14), this date has already begun.
    let day = alice.day("?date=2026-10-21").await;
    assert_eq!(day["date"], "2026-10-21");
}

#[tokio::test]
async fn the_oldest_dates_are_answered() {
    let (stage, alice) = Stage::with_member().await;
    stage.world().reset_calls();

    for date in ["1970-01-01", "1999-12-31", "2024-02-29"] {
        let day = alice.day(&format!("?date={date}")).await;
        assert_eq!(day["missing"]["sleep"], "not_synced", "{date}");
    }
    assert_eq!(stage.world().call_count(), 0);
}

#[tokio::test]
async fn other_invalid_parameters_are_refused() {
    let (stage, alice) = Stage::with_member().await;
    let before = stage.rows().await;

    for refresh in ["", "AUTO", "force%20", "always", "1", "%00", "%F0%9F%92%A4"] {
        let answer = alice
            .get("daily-data", &format!("?refresh={refresh}"))
            .await;
        answer.assert_invalid("invalid-refresh", "refresh");
    }
    for erase in ["", "TRUE", "yes", "2", "true%20", "%00"] {
        let answer = alice.delete(&format!("?erase={erase}")).await;
        answer.assert_invalid("invalid-flag", "erase");
    }
    before.assert_unchanged(&stage.rows().await, "a wrong parameter");
}

#[tokio::test]
async fn a_repeated_parameter_is_refused() {
    let (stage, alice) = Stage::with_member().await;
    let before = stage.rows().await;

    let twice = format!("?date={TODAY}&date=2026-10-19");
    let answer = alice.get("daily-data", &twice).await;
    answer.assert_invalid("invalid-query", "query");
    let answer = alice
        .get("daily-data", "?refresh=never&refresh=force")
        .await;
    answer.assert_invalid("invalid-query", "query");
    let answer = alice.delete("?erase=false&erase=true").await;
    answer.assert_invalid("invalid-query", "query");
    for twice in ["state=a&state=b&code=c", "state=a&code=b&code=c"] {
        let path = format!("/api/v1/whoop/callback?{twice}");
        let answer = stage.client.get(&path).send().await;
        answer.assert_invalid("invalid-query", "query");
    }

    before.assert_unchanged(&stage.rows().await, "a parameter given twice");
}

#[tokio::test]
async fn a_date_may_be_written_with_escapes_and_empty_pairs() {
    let (_stage, alice) = Stage::with_member().await;

    for query in [
        "?date=2026%2D10%2D20",
        "?&&date=2026-10-20&",
        "?%64ate=2026-10-20",
    ] {
        assert_eq!(alice.day(query).await["date"], TODAY, "{query}");
    }
}

#[tokio::test]
async fn an_unknown_parameter_is_refused_on_every_route_with_the_nearest_name() {
    let (stage, alice) = Stage::with_member().await;
    let before = stage.rows().await;
    stage.world().reset_calls();

    for (route, query, name, hint) in [
        (
            "daily-data",
            "?dat=2026-10-20",
            "dat",
            "did you mean `date`?",
        ),
        (
            "daily-data",
            "?date=2026-10-20&Refresh=never",
            "Refresh",
            "did you mean `refresh`?",
        ),
        (
            "daily-data",
            "?date=2026-10-20&%64ate2=x",
            "date2",
            "did you mean `date`?",
        ),
        (
            "range",
            "?from=2026-10-01&too=2026-10-02",
            "too",
            "did you mean `to`?",
        ),
        (
            "records/sleep",
            "?page=2",
            "page",
            "its query parameters are from, to, limit, cursor",
        ),
        (
            "sync-status",
            "?verbose",
            "verbose",
            "it has no query parameters",
        ),
        (
            "connection",
            "?erase=false",
            "erase",
            "it has no query parameters",
        ),
        ("connection", "?=", "", "it has no query parameters"),
        ("changes", "?sinse=3", "sinse", "did you mean `since`?"),
        ("events", "?sinse=3", "sinse", "did you mean `since`?"),
        ("export", "?fromat=csv", "fromat", "did you mean `format`?"),
    ] {
        let answer = alice.get(route, query).await;
        answer.assert_invalid("unknown-parameter", name);
        assert!(
            answer.text.contains(hint),
            "{route}{query}: {}",
            answer.text
        );
    }
    for refused in [alice.delete("?earse=true").await, {
        let path = format!("{}?wait=false", alice.path("sync"));
        let ask = stage.client.post(&path).with_token(&alice.token);
        ask.with_body("{}").send().await
    }] {
        refused.assert_problem(400, "unknown-parameter");
    }
    let long = format!("?{}=1", "n".repeat(3_000));
    let answer = alice.get("daily-data", &long).await;
    assert!(answer.text.len() < 500, "{}", answer.text);
    before.assert_unchanged(&stage.rows().await, "an unknown parameter");
    assert_eq!(stage.world().call_count(), 0);
}
