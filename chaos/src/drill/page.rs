//! A report as one page that needs nothing else: no script, no font, no picture from elsewhere. English with
//! Chinese labels beside the headings, because operators read both.

use super::report::Report;
use super::timeline;
use std::fmt::Write;

pub(super) const STYLE: &str = "
:root{--ink:#1c2733;--soft:#5b6b7b;--line:#d9e0e7;--paper:#fff;--band:#f6f8fa;--good:#1a7f4b;--bad:#c0322b;--fault:#f3c9a5;--fault-ink:#9a4b0b;--flow:#2f6fb0;--flow-soft:#cfe1f3}
@media(prefers-color-scheme:dark){:root{--ink:#e4eaf0;--soft:#9aa9b8;--line:#33404d;--paper:#141a21;--band:#1b232c;--good:#4cc38a;--bad:#ff7a70;--fault:#5a3a1e;--fault-ink:#f0b27a;--flow:#6aa9e6;--flow-soft:#21384f}}
@media print{:root{--paper:#fff;--ink:#000}section{break-inside:avoid}}
*{box-sizing:border-box}
body{margin:0;background:var(--paper);color:var(--ink);font:15px/1.55 system-ui,'Noto Sans CJK SC','PingFang SC','Microsoft YaHei',sans-serif}
main{max-width:1080px;margin:0 auto;padding:2.2rem 1.4rem 4rem}
h1{font-size:1.65rem;line-height:1.25;margin:.2rem 0 .1rem}
h2{font-size:1.08rem;margin:2.4rem 0 .7rem;padding-bottom:.3rem;border-bottom:1px solid var(--line)}
.zh{color:var(--soft);font-weight:400;margin-left:.45em}
h1 .zh{display:block;margin-left:0;font-size:1.15rem}
td .zh{white-space:nowrap;margin-left:0}
.sub{color:var(--soft);margin:0 0 1.1rem}
.verdict{display:inline-block;padding:.22rem .8rem;border-radius:1rem;color:#fff;font-weight:600;letter-spacing:.02em}
.pass{background:var(--good)}.fail{background:var(--bad)}
.figures{display:grid;grid-template-columns:repeat(auto-fit,minmax(150px,1fr));gap:.8rem;margin:1.3rem 0}
.figure{background:var(--band);border:1px solid var(--line);border-radius:.5rem;padding:.75rem .9rem}
.figure b{display:block;font-size:1.55rem;line-height:1.2;font-variant-numeric:tabular-nums}
.figure span{color:var(--soft);font-size:.86rem}
table{border-collapse:collapse;width:100%;font-variant-numeric:tabular-nums}
th,td{text-align:left;padding:.38rem .7rem .38rem 0;border-bottom:1px solid var(--line);vertical-align:top}
th{color:var(--soft);font-weight:500;font-size:.86rem}
td.n,th.n{text-align:right;white-space:nowrap}
.ok{color:var(--good);font-weight:600}.no{color:var(--bad);font-weight:600}
pre{background:var(--band);border:1px solid var(--line);border-radius:.4rem;padding:.7rem .9rem;overflow:auto;font-size:.82rem;line-height:1.4}
ul{padding-left:1.15rem;margin:.4rem 0}li{margin:.2rem 0}
svg{width:100%;height:auto;display:block;font-family:inherit}
.summary{font-size:1.06rem;margin:.9rem 0 .2rem}
.bar{position:relative;height:.95rem;min-width:12rem;background:var(--band);border-radius:.2rem}
.bar i{position:absolute;top:0;bottom:0;min-width:2px;background:var(--flow);border-radius:.2rem}
a{color:var(--flow)}
.note{color:var(--soft);font-size:.88rem}
code{font-size:.88em;word-break:break-all}
";

/// The page.
pub fn render(report: &Report) -> String {
    let mut page = String::with_capacity(64 << 10);
    let title = escape(&report.drill.title);
    // Writing into a String cannot fail.
    let _ = write!(
        page,
        "<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\"><meta name=\"viewport\" content=\"width=device-width\">\
         <title>{} {title}</title><style>{STYLE}</style></head><body><main>",
        escape(&report.drill.id)
    );
    head(&mut page, report);
    figures(&mut page, report);
    section(&mut page, "Timeline", "时间线");
    page.push_str(&timeline::render(report));
    page.push_str("<p class=\"note\">Shaded: the fault acts. Blue: good answers of the probe per 100 ms. Red: failures per 100 ms. \
                   Line: longest good answer, logarithmic. Ticks below: a node names another leader.</p>");
    expectations(&mut page, report);
    recovery(&mut page, report);
    faults(&mut page, report);
    workloads(&mut page, report);
    errors(&mut page, report);
    steady_states(&mut page, report);
    list(&mut page, "Guards", "防护检查", &report.guards);
    list(&mut page, "Notes", "备注", &report.notes);
    setting(&mut page, report);
    section(&mut page, "What this does not prove", "局限");
    page.push_str("<ul>");
    for limit in &report.limits {
        let _ = write!(page, "<li>{}</li>", escape(limit));
    }
    page.push_str("</ul></main></body></html>\n");
    page
}

fn head(page: &mut String, report: &Report) {
    let (class, verdict, zh) = match (&report.aborted, report.passed) {
        (Some(_), _) => ("fail", "broken off", "已中止"),
        (None, true) => ("pass", "passed", "通过"),
        (None, false) => ("fail", "not passed", "未通过"),
    };
    let _ = write!(
        page,
        "<h1>{} · {}<span class=\"zh\">{}</span></h1><p class=\"sub\">{} · {}</p>\
         <p><span class=\"verdict {class}\">{verdict} {zh}</span></p><p>{}</p>",
        escape(&report.drill.id),
        escape(&report.drill.title),
        escape(&report.drill.title_zh),
        escape(&report.started),
        escape(&report.id),
        escape(&report.drill.why)
    );
    if let Some(why) = &report.aborted {
        let _ = write!(page, "<p class=\"no\">Broken off: {}</p>", escape(why));
    }
    let _ = write!(page, "<p class=\"summary\">{}</p>", escape(&summary(report)));
    let _ = write!(page, "<p class=\"summary zh\" lang=\"zh\">{}</p>", summary_zh(report));
}

/// What happened, in sentences that can be read aloud.
fn summary(report: &Report) -> String {
    let outage = match (report.rto.total_s, report.rto.fault_out_s) {
        (None, _) => "At least one client never worked again.".to_string(),
        (Some(0.0), _) => "No client was without answers.".to_string(),
        (Some(total), None) => format!("The worst client was without answers for {total:.2} s."),
        (Some(total), Some(out)) => format!(
            "The worst client was without answers for {total:.2} s: {out:.2} s while the fault lasted, and {:.2} s more.",
            total - out
        ),
    };
    let rows = match report.rpo.missing {
        None => "Missing rows could not be counted.".to_string(),
        Some(missing) => {
            format!(
                "{missing} of {} acknowledged rows are missing, counted one by one.",
                report.rpo.acknowledged
            )
        }
    };
    let bad = report.workloads.iter().filter(|work| !work.valid).count();
    let histories = match (bad, report.workloads.len()) {
        (_, 0) => "No history was judged.".to_string(),
        (0, all) => format!("All {all} histories are those of a correct database."),
        (bad, all) => format!("{bad} of {all} histories are not, or could not be judged."),
    };
    let replicas = report.full_replication_s.map_or(String::new(), |seconds| {
        format!(" Every shard had all its replicas again {seconds:.1} s after the loss.")
    });
    format!("{outage} {rows} {histories}{replicas}")
}

fn summary_zh(report: &Report) -> String {
    let outage = match report.rto.total_s {
        None => "至少一个客户端始终未恢复。".to_string(),
        Some(0.0) => "客户端无中断。".to_string(),
        Some(total) => format!("客户端最长中断 {total:.2} 秒。"),
    };
    let rows = match report.rpo.missing {
        None => "丢失行数未能统计。".to_string(),
        Some(missing) => {
            format!("已确认 {} 行，丢失 {missing} 行（逐行清点）。", report.rpo.acknowledged)
        }
    };
    let replicas = report
        .full_replication_s
        .map_or(String::new(), |seconds| format!("丢失后 {seconds:.1} 秒副本全部补齐。"));
    format!("{outage}{rows}{replicas}")
}

fn figures(page: &mut String, report: &Report) {
    let failures: u64 = report.errors.values().sum();
    let lost_of = format!("lost of {} rows", report.rpo.acknowledged);
    let boxes = [
        (seconds(report.rto.total_s), "recovery time", "恢复时间 RTO"),
        (
            report.rpo.missing.map_or("?".into(), |rows| rows.to_string()),
            lost_of.as_str(),
            "丢失行数 RPO",
        ),
        (format!("{:.2} s", report.p_max_s), "longest silence", "最长无响应 pMax"),
        (failures.to_string(), "failed statements", "失败语句"),
        (format!("{:.1} ms", report.latency_ms.p99), "latency p99", "99 分位延迟"),
        (format!("{:.0} ms", report.latency_ms.max), "latency max", "最大延迟"),
    ];
    page.push_str("<div class=\"figures\">");
    for (value, what, zh) in boxes {
        let _ = write!(
            page,
            "<div class=\"figure\"><b>{}</b><span>{what}<br>{zh}</span></div>",
            escape(&value)
        );
    }
    page.push_str("</div>");
}

fn expectations(page: &mut String, report: &Report) {
    section(page, "Expected and measured", "预期与实测");
    page.push_str("<table><tr><th>What<th>Expected 预期<th>Measured 实测<th></tr>");
    for expectation in &report.expectations {
        let _ = write!(
            page,
            "<tr><td>{} <span class=\"zh\">{}</span><td>{}<td>{}<td>{}</tr>",
            expectation.what,
            expectation.what_zh,
            escape(&expectation.bar),
            escape(&expectation.measured),
            mark(expectation.passed)
        );
    }
    page.push_str("</table>");
}

fn recovery(page: &mut String, report: &Report) {
    section(page, "Recovery step by step", "恢复分解");
    let parts = [
        (report.rto.fault_out_s, "fault ends", "故障解除", "the fault was taken out"),
        (report.rto.detect_s, "detect", "发现", "a node stops naming the old leader"),
        (report.rto.elect_s, "elect", "选主", "every shard that lost its leader has one again"),
        (
            report.rto.route_s,
            "route",
            "路由",
            "a client that had failed gets its first good answer",
        ),
        (
            report.rto.total_s,
            "reconnect",
            "重连",
            "every client works, and a second passes without failure",
        ),
    ];
    let total = report.rto.total_s.unwrap_or_default();
    page.push_str(
        "<table><tr><th>Step 阶段<th class=\"n\">After the fault<th style=\"width:34%\"><th>Meaning 含义</tr>",
    );
    let mut before = 0.0;
    for (time, name, zh, meaning) in in_time(parts) {
        // Each bar begins where the step before it ended.
        let bar = time.filter(|_| total > 0.0).map_or(String::new(), |time| {
            let (left, width) = (100.0 * before / total, 100.0 * (time - before) / total);
            before = time;
            format!("<div class=\"bar\"><i style=\"left:{left:.1}%;width:{width:.1}%\"></i></div>")
        });
        let _ = write!(
            page,
            "<tr><td>{name} <span class=\"zh\">{zh}</span><td class=\"n\">{}<td>{bar}<td>{meaning}</tr>",
            seconds(time)
        );
    }
    page.push_str("</table><p class=\"note\">–: it was not seen, because no leader changed, no client failed, or the fault outlasted the outage.</p>");
}

/// Time, name, Chinese name and meaning of a step of the recovery.
type Part = (Option<f64>, &'static str, &'static str, &'static str);

/// Steps in the order of their times; those that were not seen come last.
fn in_time<const N: usize>(mut parts: [Part; N]) -> [Part; N] {
    let key = |part: &Part| part.0.unwrap_or(f64::INFINITY);
    parts.sort_by(|one, other| key(one).total_cmp(&key(other)));
    parts
}

fn faults(page: &mut String, report: &Report) {
    section(page, "Faults", "注入的故障");
    page.push_str("<table><tr><th>Fault<th>Nodes 节点<th class=\"n\">From<th class=\"n\">Until<th>Exactly</tr>");
    for fault in &report.faults {
        let nodes: Vec<String> = fault.nodes.iter().map(u64::to_string).collect();
        let told: Vec<String> = fault.told.iter().map(|line| escape(line)).collect();
        let _ = write!(
            page,
            "<tr><td><code>{}</code> {} <span class=\"zh\">{}</span><td>{}<td class=\"n\">{:.1} s<td class=\"n\">{:.1} s<td>{}</tr>",
            fault.fault,
            fault.what,
            fault.what_zh,
            nodes.join(", "),
            fault.from_s,
            fault.until_s,
            told.join("<br>")
        );
    }
    page.push_str("</table>");
    if !report.ended.is_empty() {
        page.push_str(
            "<p>Nodes that ended by themselves<span class=\"zh\">自行退出的节点</span></p><ul>",
        );
        for ended in &report.ended {
            let _ = write!(page, "<li>{}</li>", escape(ended));
        }
        page.push_str("</ul>");
    }
}

fn workloads(page: &mut String, report: &Report) {
    section(page, "Histories", "历史检验");
    page.push_str("<table><tr><th>Workload<th class=\"n\">ok<th class=\"n\">failed<th class=\"n\">unknown<th>Verdict</tr>");
    for work in &report.workloads {
        let first = work.verdict.lines().next().unwrap_or_default();
        let _ = write!(
            page,
            "<tr><td>{}<td class=\"n\">{}<td class=\"n\">{}<td class=\"n\">{}<td>{} {}</tr>",
            work.name,
            work.ok,
            work.failed,
            work.unknown,
            mark(work.valid),
            escape(first)
        );
    }
    page.push_str("</table>");
    for work in report.workloads.iter().filter(|work| !work.valid) {
        let _ = write!(page, "<pre>{}\n{}</pre>", work.name, escape(&work.verdict));
    }
}

fn errors(page: &mut String, report: &Report) {
    section(page, "Errors a client saw", "客户端错误");
    if report.errors.is_empty() {
        page.push_str("<p>None.</p>");
        return;
    }
    page.push_str("<table><tr><th class=\"n\">Code<th>Meaning<th class=\"n\">Times</tr>");
    for (code, count) in &report.errors {
        let _ = write!(
            page,
            "<tr><td class=\"n\">{code}<td>{}<td class=\"n\">{count}</tr>",
            meaning(*code)
        );
    }
    page.push_str("</table>");
}

fn steady_states(page: &mut String, report: &Report) {
    if report.steady_states.is_empty() {
        return;
    }
    section(page, "Steady states", "稳态检查");
    page.push_str("<table><tr><th>What<th>When<th>Value<th></tr>");
    for check in &report.steady_states {
        let _ = write!(
            page,
            "<tr><td>{}<td>{}<td>{}<td>{}</tr>",
            escape(&check.name),
            check.when,
            escape(&check.told),
            mark(check.passed)
        );
    }
    page.push_str("</table>");
}

fn setting(page: &mut String, report: &Report) {
    section(page, "Setting", "环境");
    let setting = &report.setting;
    let targets: Vec<String> = setting.targets.iter().map(u64::to_string).collect();
    let rows = [
        ("nodes", "节点", setting.nodes.to_string()),
        ("targets", "目标", targets.join(", ")),
        ("links", "网络", setting.links.clone()),
        ("disks", "磁盘", setting.disks.clone()),
        ("seed", "种子", setting.seed.to_string()),
        ("length", "时长", format!("{:.1} s", setting.length_s)),
        ("binary, SHA-256", "程序摘要", setting.binary_sha256.clone()),
    ];
    page.push_str("<table>");
    for (what, zh, value) in rows {
        let value = escape(&value);
        let _ = write!(
            page,
            "<tr><td>{what} <span class=\"zh\">{zh}</span><td><code>{value}</code></tr>"
        );
    }
    page.push_str("</table>");
}

fn list(page: &mut String, title: &str, zh: &str, lines: &[String]) {
    if lines.is_empty() {
        return;
    }
    section(page, title, zh);
    page.push_str("<ul>");
    for line in lines {
        let _ = write!(page, "<li>{}</li>", escape(line));
    }
    page.push_str("</ul>");
}

fn section(page: &mut String, title: &str, zh: &str) {
    let _ = write!(page, "<h2>{title}<span class=\"zh\">{zh}</span></h2>");
}

fn mark(passed: bool) -> &'static str {
    if passed { "<span class=\"ok\">✔</span>" } else { "<span class=\"no\">✘</span>" }
}

fn seconds(time: Option<f64>) -> String {
    time.map_or("–".into(), |time| format!("{time:.2} s"))
}

/// What MySQL's numbers mean here.
fn meaning(code: u16) -> &'static str {
    match code {
        0 => "no answer in time: outcome unknown",
        1021 => "disk full: refused",
        1030 => "storage failed",
        1105 | 9002 => "outcome unknown",
        1205 => "gave up waiting for a lock",
        1213 => "lost a write conflict: rolled back",
        1815 => "internal, or a read that differs from what was written",
        2003 => "no connection",
        2013 => "connection lost during a statement: outcome unknown",
        9001 => "no leader or quorum: nothing was executed",
        _ => "see the server's error list",
    }
}

/// Text that may stand in HTML.
pub(super) fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_of_a_recovery_stand_in_the_order_of_their_times() {
        let part = |time, name| (time, name, "", "");
        let parts = [part(None, "a"), part(Some(3.0), "b"), part(Some(1.0), "c")];
        assert_eq!(in_time(parts).map(|part| part.1), ["c", "b", "a"]);
    }

    #[test]
    fn text_from_outside_never_becomes_markup() {
        assert_eq!(escape("<b a=\"1\">&"), "&lt;b a=&quot;1&quot;&gt;&amp;");
    }
}
