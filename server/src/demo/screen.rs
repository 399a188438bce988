//! What `precinct demo` prints: one line per step, then one box.

use super::control::State;

/// Inner width of the box, characters.
const WIDTH: usize = 100;

/// The box: how to connect, what is where, how to break it.
pub fn running(state: &State, sample: bool, mysql_port: u16) -> String {
    let mut rows = vec![
        ("SQL", sql_line(mysql_port, sample)),
        ("", "no password, this machine only; the other nodes answer on the next ports".into()),
    ];
    if let Some(first) = state.http.first() {
        rows.push(("Metrics", format!("http://{first}/metrics   State  http://{first}/")));
    }
    let fate = if state.temp { "removed at the end" } else { "kept" };
    rows.push(("Data", format!("{} ({fate})", state.data)));
    rows.push(("Logs", format!("{}/node-N/node.log   Stop  Ctrl-C", state.data)));
    if sample {
        rows.push((
            "Sample",
            "87,348 street crimes, West Yorkshire, July 2016-2018 (data.police.uk,".into(),
        ));
        rows.push((
            "",
            "Open Government Licence v3.0); persons, vehicles, officers are invented".into(),
        ));
        rows.push((
            "Try",
            "SELECT crime_type, COUNT(*) FROM crimes GROUP BY 1 ORDER BY 2 DESC;".into(),
        ));
        rows.push(("", "SHOW SHARDS;".into()));
    }
    let port =
        if mysql_port == 4000 { String::new() } else { format!(" --mysql-port {mysql_port}") };
    if state.dsns.len() > 1 {
        rows.push(("Break it", format!("precinct demo kill 2{port}      then ask node 1 again")));
        rows.push(("Mend it", format!("precinct demo restart 2{port}")));
    }
    frame(" precinct demo is running ", &rows)
}

fn sql_line(mysql_port: u16, sample: bool) -> String {
    let database = if sample { " police" } else { "" };
    format!("mariadb -h127.0.0.1 -P{mysql_port} -uroot{database}")
}

fn frame(title: &str, rows: &[(&str, String)]) -> String {
    let widest = rows.iter().map(|(_, text)| text.chars().count() + 12).max().unwrap_or(0);
    let width = WIDTH.max(widest);
    let mut out = format!("┌{title}{}┐\n", "─".repeat(width - title.chars().count()));
    for (name, text) in rows {
        let line = format!(" {name:<9} {text}");
        let pad = width - line.chars().count();
        out.push_str(&format!("│{line}{}│\n", " ".repeat(pad)));
    }
    out.push_str(&format!("└{}┘", "─".repeat(width)));
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_line_of_the_box_is_equally_wide() {
        let state = State {
            http: vec!["127.0.0.1:8800".into()],
            dsns: vec!["a".into(), "b".into()],
            data: "a-rather-long-folder/".repeat(8),
            ..State::default()
        };
        let text = running(&state, true, 4000);
        let widths: Vec<usize> = text.lines().map(|line| line.chars().count()).collect();
        assert!(widths.iter().all(|width| *width == widths[0]), "{text}");
    }
}
