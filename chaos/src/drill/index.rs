//! The list of all reports of a folder as one page, newest first: how the drills went, each with a link to its own
//! page. Made from the reports' JSON, so that reports of earlier runs are in it too.

use super::page::{STYLE, escape};
use super::report::{JSON_FILE, PAGE_FILE, Report};
use crate::fault::error::Error;
use serde_json::Value;
use std::fmt::Write;
use std::path::{Path, PathBuf};

/// Name of the page in the folder of reports.
pub const INDEX_FILE: &str = "index.html";

/// One report, as far as lists need it.
#[derive(Clone, Debug, PartialEq)]
pub struct Line {
    /// Its folder: time and name.
    pub id: String,
    /// Number of the drill, such as `D1`.
    pub drill: String,
    /// What was drilled.
    pub title: String,
    /// The same in Chinese.
    pub title_zh: String,
    /// When.
    pub started: String,
    /// Whether every expectation was met.
    pub passed: bool,
    /// The recovery time, seconds; `None` when clients never worked again.
    pub rto_s: Option<f64>,
    /// Rows that were acknowledged, and how many of them are missing; the latter `None` when not counted.
    pub rows: (u64, Option<u64>),
    /// Expectations that were not met, each with what was measured.
    pub missed: Vec<String>,
}

impl Line {
    /// The recovery time for a table.
    pub fn rto(&self) -> String {
        self.rto_s.map_or("never".into(), |seconds| format!("{seconds:.2} s"))
    }

    /// Missing rows for a table.
    pub fn rpo(&self) -> String {
        let (acknowledged, missing) = self.rows;
        missing.map_or("not counted".into(), |missing| format!("{missing} of {acknowledged}"))
    }

    /// Read back from JSON.
    fn of(id: &str, report: &Value) -> Line {
        let text = |value: &Value| value.as_str().unwrap_or_default().to_string();
        let expectations = report["expectations"].as_array().map(Vec::as_slice).unwrap_or_default();
        let missed = expectations.iter().filter(|one| one["passed"].as_bool() != Some(true));
        let missed =
            missed.map(|one| format!("{}: {}", text(&one["what"]), text(&one["measured"])));
        Line {
            id: id.to_string(),
            drill: text(&report["drill"]["id"]),
            title: text(&report["drill"]["title"]),
            title_zh: text(&report["drill"]["title_zh"]),
            started: text(&report["started"]),
            passed: report["passed"].as_bool() == Some(true),
            rto_s: report["rto"]["total_s"].as_f64(),
            rows: (
                report["rpo"]["acknowledged"].as_u64().unwrap_or_default(),
                report["rpo"]["missing"].as_u64(),
            ),
            missed: report["aborted"]
                .as_str()
                .map(str::to_string)
                .into_iter()
                .chain(missed)
                .collect(),
        }
    }
}

impl From<&Report> for Line {
    fn from(report: &Report) -> Line {
        let missed = report.expectations.iter().filter(|one| !one.passed);
        let missed = missed.map(|one| format!("{}: {}", one.what, one.measured));
        Line {
            id: report.id.clone(),
            drill: report.drill.id.clone(),
            title: report.drill.title.clone(),
            title_zh: report.drill.title_zh.clone(),
            started: report.started.clone(),
            passed: report.passed,
            rto_s: report.rto.total_s,
            rows: (report.rpo.acknowledged, report.rpo.missing),
            missed: report.aborted.clone().into_iter().chain(missed).collect(),
        }
    }
}

/// All reports below a folder, oldest first; none when there is no such folder.
///
/// # Errors
/// When the folder or a report cannot be read.
pub fn lines(reports: &Path) -> Result<Vec<Line>, Error> {
    let what = |error: &dyn std::fmt::Display| {
        Error::system(format!("reports in {}", reports.display()), error.to_string())
    };
    let entries = match std::fs::read_dir(reports) {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(what(&error)),
    };
    let mut lines = Vec::new();
    for entry in entries {
        let entry = entry.map_err(|error| what(&error))?;
        let path = entry.path().join(JSON_FILE);
        if !path.exists() {
            continue;
        }
        let text = std::fs::read_to_string(&path).map_err(|error| what(&error))?;
        let report: Value = serde_json::from_str(&text)
            .map_err(|error| what(&format!("{} is damaged: {error}", path.display())))?;
        lines.push(Line::of(&entry.file_name().to_string_lossy(), &report));
    }
    lines.sort_by(|one, other| one.id.cmp(&other.id));
    Ok(lines)
}

/// Writes the page of all reports below a folder; returns its path.
///
/// # Errors
/// When a report cannot be read or the page cannot be written.
pub fn write(reports: &Path) -> Result<PathBuf, Error> {
    let path = reports.join(INDEX_FILE);
    std::fs::write(&path, render(&lines(reports)?))
        .map_err(|error| Error::system(format!("page {}", path.display()), error))?;
    Ok(path)
}

fn render(lines: &[Line]) -> String {
    let passed = lines.iter().filter(|line| line.passed).count();
    let mut page = format!(
        "<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\"><meta name=\"viewport\" content=\"width=device-width\">\
         <title>Drills</title><style>{STYLE}</style></head><body><main><h1>Drills<span class=\"zh\">故障演练</span></h1>\
         <p class=\"sub\">{passed} of {} passed<span class=\"zh\">通过 {passed} / {}</span></p>\
         <table><tr><th>Drill 演练<th>When 时间<th class=\"n\">RTO 恢复时间<th class=\"n\">Rows lost 丢失行数<th>Verdict 结论</tr>",
        lines.len(),
        lines.len()
    );
    for line in lines.iter().rev() {
        let verdict = match line.passed {
            true => "<span class=\"ok\">✔ passed</span>".to_string(),
            false => {
                let missed: Vec<String> = line.missed.iter().map(|one| escape(one)).collect();
                format!("<span class=\"no\">✘ not passed</span><br>{}", missed.join("<br>"))
            }
        };
        // Writing into a String cannot fail.
        let _ = write!(
            page,
            "<tr><td><a href=\"{}/{PAGE_FILE}\">{} · {}</a><br><span class=\"note\">{}</span><td>{}<td class=\"n\">{}<td class=\"n\">{}<td>{verdict}</tr>",
            escape(&line.id),
            escape(&line.drill),
            escape(&line.title),
            escape(&line.title_zh),
            escape(&line.started),
            line.rto(),
            line.rpo()
        );
    }
    page.push_str("</table></main></body></html>\n");
    page
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report(folder: &Path, id: &str, json: &str) {
        std::fs::create_dir_all(folder.join(id)).unwrap();
        std::fs::write(folder.join(id).join(JSON_FILE), json).unwrap();
    }

    #[test]
    fn the_page_lists_every_report_and_says_what_was_missed() {
        let scratch = tempfile::tempdir().unwrap();
        assert_eq!(lines(&scratch.path().join("none")).unwrap(), []);
        report(
            scratch.path(),
            "20261122-2-two",
            r#"{"drill":{"id":"D2","title":"two <b>"},"passed":false,"rto":{"total_s":null},
                "rpo":{"acknowledged":9,"missing":null},"aborted":"too long",
                "expectations":[{"what":"rows","measured":"3 of 9","passed":false}]}"#,
        );
        report(
            scratch.path(),
            "20261122-1-one",
            r#"{"drill":{"id":"D1","title":"one"},"passed":true,"rto":{"total_s":2.5},
                "rpo":{"acknowledged":9,"missing":0},"aborted":null,"expectations":[]}"#,
        );
        let found = lines(scratch.path()).unwrap();
        assert_eq!((found[0].rto().as_str(), found[0].rpo().as_str()), ("2.50 s", "0 of 9"));
        assert_eq!((found[1].rto().as_str(), found[1].rpo().as_str()), ("never", "not counted"));
        assert_eq!(found[1].missed, ["too long", "rows: 3 of 9"]);
        let page = std::fs::read_to_string(write(scratch.path()).unwrap()).unwrap();
        assert!(page.contains("1 of 2 passed") && page.contains("two &lt;b&gt;"), "{page}");
        let newest = page.find("20261122-2-two/report.html").unwrap();
        assert!(newest < page.find("20261122-1-one/report.html").unwrap(), "newest first");

        report(scratch.path(), "20261122-3-bad", "{");
        assert!(lines(scratch.path()).unwrap_err().to_string().contains("20261122-3-bad"));
    }
}
