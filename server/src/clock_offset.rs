//! A wall clock that drills move: a file says how far it is from the machine's clock.
//!
//! ```text
//!  file "+10" ──look, every CLOCK_OFFSET_CHECK──> WallOffset ──added──> SystemClock::unix_micros
//! ```
//!
//! The file holds one number of seconds, such as `+10`, `-10` or `+0.250`. What cannot be read or understood
//! changes nothing: the last offset stays, and the log says so once. Monotonic time is never moved, so that
//! leases, timeouts and pauses stay true, as they do when a machine's clock is set.
//!
//! Not for production: whoever may write the file decides what NOW() says.

use base::limits::{CLOCK_OFFSET_CHECK, CLOCK_OFFSET_MAX};
use base::{SharedClock, SystemClock, WallOffset};
use std::path::PathBuf;
use std::sync::Arc;

/// Digits of a second that an offset may have.
const FRACTION_DIGITS_MAX: usize = 6;

/// A file and the offset that follows it.
pub struct ClockOffset {
    path: PathBuf,
    offset: WallOffset,
    /// What was wrong with the file at the last look, so that it is told once.
    complaint: Option<String>,
}

impl ClockOffset {
    /// Follows a file from now on; its first look is over when this returns.
    pub fn new(path: PathBuf) -> ClockOffset {
        tracing::warn!(
            file = %path.display(),
            "this node's wall clock is moved by a file (PRECINCT_CLOCK_OFFSET_FILE): that is for drills only"
        );
        let mut followed = ClockOffset { path, offset: WallOffset::default(), complaint: None };
        followed.look();
        followed
    }

    /// A clock that the file moves.
    pub fn clock(&self) -> SharedClock {
        Arc::new(SystemClock::with_offset(self.offset.clone()))
    }

    /// Looks again and again, until the node stops.
    pub async fn follow(mut self) {
        loop {
            tokio::time::sleep(CLOCK_OFFSET_CHECK).await;
            self.look();
        }
    }

    fn look(&mut self) {
        let text = std::fs::read_to_string(&self.path).map_err(|error| error.to_string());
        match text.and_then(|text| parse_offset(&text)) {
            Ok(micros) => {
                self.complaint = None;
                if micros != self.offset.micros() {
                    let seconds = micros as f64 / 1e6;
                    tracing::warn!(seconds, "the wall clock is moved for a drill");
                    self.offset.set_micros(micros);
                }
            }
            Err(why) if self.complaint.as_ref() != Some(&why) => {
                let file = self.path.display();
                tracing::warn!(%file, %why, "the wall clock's offset stays as it was");
                self.complaint = Some(why);
            }
            Err(_) => {}
        }
    }
}

/// Microseconds of an offset in seconds.
///
/// # Errors
/// A sentence: what is wrong with it.
fn parse_offset(text: &str) -> Result<i64, String> {
    let text = text.trim();
    let wrong = || format!("'{text}' is no offset in seconds like +10, -10 or +0.250");
    let (sign, digits) = match text.as_bytes().first() {
        Some(b'-') => (-1, &text[1..]),
        Some(b'+') => (1, &text[1..]),
        _ => (1, text),
    };
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, "0"));
    let all_digits =
        |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
    if !all_digits(whole) || !all_digits(fraction) || fraction.len() > FRACTION_DIGITS_MAX {
        return Err(wrong());
    }
    let whole: i64 = whole.parse().map_err(|_| wrong())?;
    // Filled up with zeros on the right: ".25" is 250000 microseconds.
    let fraction: i64 =
        format!("{fraction:0<FRACTION_DIGITS_MAX$}").parse().map_err(|_| wrong())?;
    let max = CLOCK_OFFSET_MAX.as_secs() as i64;
    if whole >= max {
        return Err(format!("'{text}' is not less than {max} s"));
    }
    Ok(sign * (whole * 1_000_000 + fraction))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_offset_is_a_signed_number_of_seconds() {
        let good = [
            ("+10", 10_000_000),
            ("-10\n", -10_000_000),
            ("0", 0),
            (" 3 ", 3_000_000),
            ("+0.250", 250_000),
            ("-0.000001", -1),
            ("-1.5", -1_500_000),
        ];
        for (text, micros) in good {
            assert_eq!(parse_offset(text), Ok(micros), "{text}");
        }
        let bad = ["", "+", "ten", "1.", ".5", "1e3", "+-1", "+10s", "0.1234567", "+86400", "é"];
        for text in bad {
            assert!(parse_offset(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_file_that_says_nothing_sensible_changes_nothing_and_is_told_once() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("clock");
        let mut followed = ClockOffset::new(path.clone());
        assert_eq!(followed.offset.micros(), 0);
        assert!(followed.complaint.is_some(), "there is no file");
        std::fs::write(&path, "-10\n").unwrap();
        followed.look();
        assert_eq!((followed.offset.micros(), &followed.complaint), (-10_000_000, &None));
        std::fs::write(&path, "soon").unwrap();
        followed.look();
        let told = followed.complaint.clone();
        assert!(told.as_ref().is_some_and(|why| why.contains("'soon'")), "{told:?}");
        followed.look();
        assert_eq!((followed.offset.micros(), &followed.complaint), (-10_000_000, &told));
        std::fs::write(&path, "+0.5").unwrap();
        followed.look();
        assert_eq!((followed.offset.micros(), &followed.complaint), (500_000, &None));
    }

    #[test]
    fn the_clock_follows_the_file_from_the_first_reading_on() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("clock");
        std::fs::write(&path, "+3600").unwrap();
        let clock = ClockOffset::new(path).clock();
        let ahead_ms = clock.unix_ms().abs_diff(SystemClock::shared().unix_ms());
        assert!((3_000_000..4_200_000).contains(&ahead_ms), "{ahead_ms}");
    }
}
