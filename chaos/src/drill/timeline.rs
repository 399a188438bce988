//! The picture of a drill: fault band, good answers, failures and latency over time, as inline SVG.

use super::page::escape;
use super::report::{Report, Tick};
use std::fmt::Write;

const WIDTH: f64 = 1000.0;
const LEFT: f64 = 56.0;
const RIGHT: f64 = 14.0;
/// Top of the flow panel, below the fault band's labels.
const FLOW_TOP: f64 = 44.0;
const FLOW_HEIGHT: f64 = 130.0;
const ERRORS_TOP: f64 = FLOW_TOP + FLOW_HEIGHT + 16.0;
const ERRORS_HEIGHT: f64 = 54.0;
const LATENCY_TOP: f64 = ERRORS_TOP + ERRORS_HEIGHT + 16.0;
const LATENCY_HEIGHT: f64 = 80.0;
const LEADERS_TOP: f64 = LATENCY_TOP + LATENCY_HEIGHT + 12.0;
const LEADERS_HEIGHT: f64 = 16.0;
const AXIS: f64 = LEADERS_TOP + LEADERS_HEIGHT + 6.0;
const HEIGHT: f64 = AXIS + 26.0;
/// Room that the label of the recovery time takes.
const RTO_LABEL_WIDTH: f64 = 95.0;
/// Seconds per tick.
const TICK_S: f64 = 0.1;
/// Latencies drawn, milliseconds.
const LATENCY_MS: (f64, f64) = (0.5, 10_000.0);

struct Scale {
    length_s: f64,
}

impl Scale {
    fn x(&self, at_s: f64) -> f64 {
        let part = (at_s / self.length_s).clamp(0.0, 1.0);
        LEFT + part * (WIDTH - LEFT - RIGHT)
    }
}

/// The picture.
pub(super) fn render(report: &Report) -> String {
    let length_s = (report.ticks.len() as f64 * TICK_S).max(report.setting.length_s).max(1.0);
    let scale = Scale { length_s };
    let mut svg = String::with_capacity(32 << 10);
    let _ = write!(
        svg,
        "<svg viewBox=\"0 0 {WIDTH} {HEIGHT}\" role=\"img\" aria-label=\"timeline of the drill\">"
    );
    faults(&mut svg, report, &scale);
    flow(&mut svg, &report.ticks, &scale);
    errors(&mut svg, &report.ticks, &scale);
    latency(&mut svg, &report.ticks, &scale);
    leaders(&mut svg, report, &scale);
    recovery(&mut svg, report, &scale);
    axis(&mut svg, &scale);
    svg.push_str("</svg>");
    svg
}

fn faults(svg: &mut String, report: &Report, scale: &Scale) {
    for (place, fault) in report.faults.iter().enumerate() {
        let (left, right) = (scale.x(fault.from_s), scale.x(fault.until_s));
        let width = (right - left).max(2.0);
        let bottom = AXIS - FLOW_TOP + 12.0;
        let top = FLOW_TOP - 12.0;
        let row = 12.0 + 13.0 * (place % 2) as f64;
        let nodes: Vec<String> = fault.nodes.iter().map(u64::to_string).collect();
        let noun = if nodes.len() == 1 { "node" } else { "nodes" };
        let label = format!("{} · {noun} {}", fault.fault, nodes.join(", "));
        // A label that would leave the picture ends at its right edge instead.
        let (anchor, x) = if left > WIDTH * 0.7 { ("end", WIDTH - RIGHT) } else { ("start", left) };
        let _ = write!(
            svg,
            "<rect x=\"{left:.1}\" y=\"{top}\" width=\"{width:.1}\" height=\"{bottom}\" fill=\"var(--fault)\" opacity=\".55\"/>\
             <text x=\"{x:.1}\" y=\"{row}\" text-anchor=\"{anchor}\" font-size=\"11\" fill=\"var(--fault-ink)\">{}</text>",
            escape(&label)
        );
    }
}

fn flow(svg: &mut String, ticks: &[Tick], scale: &Scale) {
    let most = ticks.iter().map(|tick| tick.ok).max().unwrap_or(0).max(1);
    let bottom = FLOW_TOP + FLOW_HEIGHT;
    let mut path = format!("M{LEFT:.1} {bottom:.1}");
    for (place, tick) in ticks.iter().enumerate() {
        let y = bottom - FLOW_HEIGHT * f64::from(tick.ok) / f64::from(most);
        // A step per tick: nothing is smoothed away.
        let (from, to) = (place as f64 * TICK_S, (place + 1) as f64 * TICK_S);
        let _ = write!(path, "L{:.1} {y:.1}L{:.1} {y:.1}", scale.x(from), scale.x(to));
    }
    let end = scale.x(ticks.len() as f64 * TICK_S);
    let _ = write!(
        svg,
        "<path d=\"{path}L{end:.1} {bottom:.1}Z\" fill=\"var(--flow-soft)\" stroke=\"var(--flow)\" stroke-width=\"1\"/>"
    );
    label(svg, FLOW_TOP + 10.0, &format!("{}", u64::from(most) * 10));
    label(svg, FLOW_TOP + 24.0, "ok/s");
    line(svg, bottom);
}

fn errors(svg: &mut String, ticks: &[Tick], scale: &Scale) {
    let most = ticks.iter().map(|tick| tick.errors).max().unwrap_or(0);
    let bottom = ERRORS_TOP + ERRORS_HEIGHT;
    for (place, tick) in ticks.iter().enumerate().filter(|(_, tick)| tick.errors > 0) {
        let height = ERRORS_HEIGHT * f64::from(tick.errors) / f64::from(most.max(1));
        let left = scale.x(place as f64 * TICK_S);
        let width = (scale.x((place + 1) as f64 * TICK_S) - left).max(1.2);
        let top = bottom - height;
        let _ = write!(
            svg,
            "<rect x=\"{left:.1}\" y=\"{top:.1}\" width=\"{width:.1}\" height=\"{height:.1}\" fill=\"var(--bad)\"/>"
        );
    }
    label(svg, ERRORS_TOP + 10.0, &format!("{}", u64::from(most) * 10));
    label(svg, ERRORS_TOP + 24.0, "err/s");
    line(svg, bottom);
}

fn latency(svg: &mut String, ticks: &[Tick], scale: &Scale) {
    let bottom = LATENCY_TOP + LATENCY_HEIGHT;
    let (least, most) = LATENCY_MS;
    let y = |ms: f64| {
        let part = (ms.clamp(least, most) / least).ln() / (most / least).ln();
        bottom - LATENCY_HEIGHT * part
    };
    for ms in [1.0, 10.0, 100.0, 1000.0] {
        let y = y(ms);
        let _ = write!(
            svg,
            "<line x1=\"{LEFT}\" x2=\"{}\" y1=\"{y:.1}\" y2=\"{y:.1}\" stroke=\"var(--line)\" stroke-dasharray=\"2 4\"/>",
            WIDTH - RIGHT
        );
        let text = if ms < 1000.0 { format!("{ms:.0} ms") } else { "1 s".into() };
        label(svg, y + 3.5, &text);
    }
    let mut path = String::new();
    let mut pen_is_down = false;
    for (place, tick) in ticks.iter().enumerate() {
        // No good answer: a gap in the line, not a guess.
        if tick.ok == 0 {
            pen_is_down = false;
            continue;
        }
        let letter = if pen_is_down { 'L' } else { 'M' };
        let x = scale.x((place as f64 + 0.5) * TICK_S);
        let _ = write!(path, "{letter}{x:.1} {:.1}", y(tick.latency_ms_max));
        pen_is_down = true;
    }
    let _ = write!(
        svg,
        "<path d=\"{path}\" fill=\"none\" stroke=\"var(--ink)\" stroke-width=\"1\" stroke-linejoin=\"round\"/>"
    );
    line(svg, bottom);
}

fn leaders(svg: &mut String, report: &Report, scale: &Scale) {
    label(svg, LEADERS_TOP + 11.0, "leaders");
    for change in report.leaders.iter().filter(|change| change.at_s > 0.0) {
        let x = scale.x(change.at_s);
        let colour = if change.leader.is_some() { "var(--flow)" } else { "var(--bad)" };
        let _ = write!(
            svg,
            "<line x1=\"{x:.1}\" x2=\"{x:.1}\" y1=\"{LEADERS_TOP}\" y2=\"{}\" stroke=\"{colour}\" opacity=\".7\"/>",
            LEADERS_TOP + LEADERS_HEIGHT
        );
    }
}

/// The worst outage, from what caused it to its end.
fn recovery(svg: &mut String, report: &Report, scale: &Scale) {
    let Some(total) = report.rto.total_s.filter(|total| *total > 0.0) else { return };
    let (from, to) = (scale.x(report.rto.cause_s), scale.x(report.rto.cause_s + total));
    let y = FLOW_TOP - 6.0;
    // Beside the line's end, or above it where that would leave the picture.
    let (anchor, x, text_y) = match to + RTO_LABEL_WIDTH > WIDTH {
        false => ("start", to + 5.0, y + 4.0),
        true => ("end", to, y - 6.0),
    };
    let _ = write!(
        svg,
        "<line x1=\"{from:.1}\" x2=\"{to:.1}\" y1=\"{y}\" y2=\"{y}\" stroke=\"var(--bad)\" stroke-width=\"2\"/>\
         <line x1=\"{to:.1}\" x2=\"{to:.1}\" y1=\"{}\" y2=\"{}\" stroke=\"var(--bad)\"/>\
         <text x=\"{x:.1}\" y=\"{text_y}\" text-anchor=\"{anchor}\" font-size=\"12\" font-weight=\"600\" fill=\"var(--bad)\">RTO {total:.2} s</text>",
        y - 4.0,
        FLOW_TOP + FLOW_HEIGHT
    );
}

fn axis(svg: &mut String, scale: &Scale) {
    let step = [1.0, 2.0, 5.0, 10.0, 20.0, 60.0]
        .into_iter()
        .find(|step| scale.length_s / step <= 14.0)
        .unwrap_or(120.0);
    let mut at = 0.0;
    while at <= scale.length_s {
        let x = scale.x(at);
        let _ = write!(
            svg,
            "<line x1=\"{x:.1}\" x2=\"{x:.1}\" y1=\"{AXIS}\" y2=\"{}\" stroke=\"var(--soft)\"/>\
             <text x=\"{x:.1}\" y=\"{}\" text-anchor=\"middle\" font-size=\"11\" fill=\"var(--soft)\">{at:.0} s</text>",
            AXIS + 4.0,
            AXIS + 18.0
        );
        at += step;
    }
}

fn label(svg: &mut String, y: f64, text: &str) {
    let _ = write!(
        svg,
        "<text x=\"{}\" y=\"{y:.1}\" text-anchor=\"end\" font-size=\"11\" fill=\"var(--soft)\">{text}</text>",
        LEFT - 6.0
    );
}

fn line(svg: &mut String, y: f64) {
    let _ = write!(
        svg,
        "<line x1=\"{LEFT}\" x2=\"{}\" y1=\"{y}\" y2=\"{y}\" stroke=\"var(--line)\"/>",
        WIDTH - RIGHT
    );
}
