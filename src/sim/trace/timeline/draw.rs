//! The SVG itself.

use std::io::{self, Write};

use super::{Scene, arrival, class};
use crate::sim::trace::Trace;
use crate::sim::trace::record::{Record, What};
use crate::sim::{HostId, Op};
use crate::tyme::Tyme;

const TOP: f64 = 96.0;
const LANE: f64 = 130.0;
const NAMES: f64 = 130.0;

const STYLE: &str = "body{margin:0;font:13px/1.4 system-ui,sans-serif;background:#fff;color:#222}\
header{padding:12px 16px}h1{font-size:16px;margin:0 0 4px}header p{margin:2px 0;color:#555}\
.key span{margin-right:14px;white-space:nowrap}.key i{display:inline-block;width:22px;height:0;\
border-top:2.5px solid;vertical-align:middle;margin-right:5px}\
.page{display:flex;overflow-x:auto;border-top:1px solid #ddd}\
.names{position:sticky;left:0;flex:none;background:#fffffff0;border-right:1px solid #ddd;z-index:1}\
svg{flex:none;display:block}#acks:not(:checked)~.page .ack{display:none}";

/// Inside the SVG, so that it can stand alone.
const SVG_STYLE: &str = "text{font:11px system-ui,DejaVu Sans,sans-serif;fill:#333}.lane{stroke:#888}\
.tick{stroke:#eee}.small{font-size:10px;fill:#777}.name{font-size:13px;font-weight:600}\
.down{fill:#d64545;opacity:.13}.arrow{fill:none;stroke-width:1.6}.arrow:hover{stroke-width:4}\
.data{stroke:#2563c9}.syn{stroke:#15924b}.fin{stroke:#d07a00}.rst{stroke:#d02020}\
.ack{stroke:#b9b9b9;stroke-width:1}.gram{stroke:#8a3fc0}.lost{stroke-dasharray:5 4}\
.held{stroke-dasharray:5 4}.gate{stroke:#d02020;stroke-width:3}\
.cross{stroke:#d02020;stroke-width:2}.fault{fill:#d02020}.note{fill:#0b7285}.call{fill:#555}\
.error{fill:#d02020}.timer{fill:none;stroke:#d07a00;stroke-width:2}.act{stroke:#d02020;stroke-dasharray:2 3}.red{fill:#b01818}.teal{fill:#0b7285}\
.break{stroke:#999;fill:#fff}";

const KEY: &[(&str, &str)] = &[
    ("#15924b", "SYN"),
    ("#2563c9", "bytes"),
    ("#b9b9b9", "acknowledgement"),
    ("#d07a00", "FIN"),
    ("#d02020", "RST, fault, error"),
    ("#8a3fc0", "datagram"),
    ("#0b7285", "note"),
];

pub(super) struct Page<'a, W> {
    out: W,
    scene: &'a Scene,
    /// Labels so far, to put neighbours on different heights.
    labels: usize,
}

impl<'a, W: Write> Page<'a, W> {
    pub(super) fn new(out: W, scene: &'a Scene) -> Self {
        Page { out, scene, labels: 0 }
    }

    fn height(&self) -> f64 {
        TOP + LANE * self.count() + 20.0
    }

    #[expect(clippy::cast_precision_loss, reason = "a picture")]
    fn count(&self) -> f64 {
        self.scene.hosts.len() as f64
    }

    fn y(&self, host: HostId) -> f64 {
        TOP + LANE * (f64::from(host.0) + 0.5)
    }

    /// Where a packet stops that piles up: short of the lane that it is for.
    fn gate(&self, from: HostId, to: HostId) -> f64 {
        let before = if from <= to { -14.0 } else { 14.0 };
        self.y(to) + before
    }

    pub(super) fn head(&mut self, trace: &Trace) -> io::Result<()> {
        let (before, after) = self.scene.left_out;
        let out = &mut self.out;
        write!(
            out,
            "<!DOCTYPE html><html lang=\"en\"><head><meta charset=\"utf-8\"><title>Timeline, seed {seed}</title>\
             <style>{STYLE}</style></head><body><header><h1>Timeline of seed {seed}</h1>\
             <p>hash {hash:016x} · {count} records, {shown} drawn",
            seed = trace.seed(),
            hash = trace.hash(),
            count = trace.len(),
            shown = self.scene.shown.len(),
        )?;
        if before + after > 0 {
            write!(out, " · left out: {before} before, {after} after")?;
        }
        write!(out, " · tyme in seconds, silences cut short</p><p class=\"key\">")?;
        for (colour, name) in KEY {
            write!(out, "<span><i style=\"color:{colour}\"></i>{name}</span>")?;
        }
        write!(
            out,
            "</p></header><input type=\"checkbox\" id=\"acks\" checked style=\"margin-left:16px\">\
             <label for=\"acks\"> acknowledgements</label><div class=\"page\">"
        )?;
        self.names()?;
        self.ground()
    }

    fn names(&mut self) -> io::Result<()> {
        let height = self.height();
        write!(
            self.out,
            "<svg class=\"names\" xmlns=\"http://www.w3.org/2000/svg\" width=\"{NAMES}\" height=\"{height}\">\
             <style>{SVG_STYLE}</style>"
        )?;
        for (index, name) in self.scene.hosts.iter().enumerate() {
            let y = self.y(HostId(u32::try_from(index).unwrap_or(u32::MAX))) + 4.0;
            write!(self.out, "<text class=\"name\" x=\"14\" y=\"{y}\">{}</text>", escape(name))?;
        }
        self.out.write_all(b"</svg>")
    }

    /// Lanes, ticks, breaks, and when hosts were down.
    fn ground(&mut self) -> io::Result<()> {
        let scale = &self.scene.scale;
        let (width, height) = (scale.width(), self.height());
        write!(
            self.out,
            "<svg id=\"timeline\" xmlns=\"http://www.w3.org/2000/svg\" width=\"{width:.0}\" height=\"{height}\" \
             viewBox=\"0 0 {width:.0} {height}\"><style>{SVG_STYLE}</style><defs>"
        )?;
        for (colour, _) in KEY {
            write!(
                self.out,
                "<marker id=\"h{id}\" viewBox=\"0 0 8 8\" refX=\"8\" refY=\"4\" markerWidth=\"7\" markerHeight=\"7\" \
                 markerUnits=\"userSpaceOnUse\" orient=\"auto\"><path d=\"M0 0L8 4L0 8z\" fill=\"{colour}\"/></marker>",
                id = &colour[1..]
            )?;
        }
        write!(self.out, "</defs><rect width=\"100%\" height=\"100%\" fill=\"#fff\"/>")?;
        for (tyme, x) in scale.ticks() {
            write!(
                self.out,
                "<line class=\"tick\" x1=\"{x:.1}\" y1=\"78\" x2=\"{x:.1}\" y2=\"{height}\"/>\
                 <text class=\"small\" x=\"{x:.1}\" y=\"74\">{}</text>",
                plain(tyme)
            )?;
        }
        for &(host, from, until) in &self.scene.down {
            let (a, b, y) = (scale.x(from), scale.x(until), self.y(host) - 22.0);
            let width = (b - a).max(0.0);
            write!(
                self.out,
                "<rect class=\"down\" x=\"{a:.1}\" y=\"{y}\" width=\"{width:.1}\" height=\"44\">\
                 <title>down</title></rect>"
            )?;
        }
        for index in 0..self.scene.hosts.len() {
            let y = self.y(HostId(u32::try_from(index).unwrap_or(u32::MAX)));
            write!(
                self.out,
                "<line class=\"lane\" x1=\"0\" y1=\"{y}\" x2=\"{width:.0}\" y2=\"{y}\"/>"
            )?;
        }
        for &(x, gap) in &scale.breaks {
            let (a, b) = (x - 4.0, x + 4.0);
            write!(
                self.out,
                "<path class=\"break\" d=\"M{a:.1} 84L{a:.1} {height}M{b:.1} 84L{b:.1} {height}\"/>\
                 <text class=\"small\" text-anchor=\"middle\" x=\"{x:.1}\" y=\"90\">{gap:.3?}</text>"
            )?;
        }
        Ok(())
    }

    pub(super) fn record(&mut self, record: &Record) -> io::Result<()> {
        let x = self.scene.scale.x(record.tyme);
        match &record.what {
            What::Segment { .. } | What::Gram { .. } | What::Unreachable { .. } => {
                self.packet(record, x)
            }
            What::Fault { host, rule, effect, .. } => {
                let y = self.y(*host);
                let (l, r, t, b) = (x - 5.0, x + 5.0, y - 5.0, y + 5.0);
                let mark = format!(
                    "<path class=\"fault\" d=\"M{x:.1} {t}L{r:.1} {y}L{x:.1} {b}L{l:.1} {y}z\"/>"
                );
                self.mark(record, &mark, x, y, &format!("{rule}: {effect}"), "red")
            }
            What::Note { host, text } => {
                let y = self.y(*host);
                let mark = format!("<circle class=\"note\" cx=\"{x:.1}\" cy=\"{y}\" r=\"4\"/>");
                self.mark(record, &mark, x, y, text, "teal")
            }
            What::Dropped { to: host, why, .. } => {
                let y = self.y(*host);
                let mark = cross(x, y, 4.0);
                self.mark(record, &mark, x, y, &format!("dropped: {why}"), "red")
            }
            What::Held { from, to, .. } => {
                let (y, before) = (self.y(*to), self.gate(*from, *to));
                let (l, r) = (x - 8.0, x + 8.0);
                let mark = format!("<path class=\"gate\" d=\"M{l:.1} {before}L{r:.1} {before}\"/>");
                self.mark(record, &mark, x, y, "piles up", "red")
            }
            What::Timer { host, timer, .. } => {
                let y = self.y(*host);
                let mark = format!("<circle class=\"timer\" cx=\"{x:.1}\" cy=\"{y}\" r=\"4\"/>");
                self.mark(record, &mark, x, y, &timer.to_string(), "small")
            }
            What::Act { text } => {
                let (height, row) = (self.height(), 20.0 + 15.0 * self.row(3));
                write!(
                    self.out,
                    "<g><line class=\"act\" x1=\"{x:.1}\" y1=\"{row}\" x2=\"{x:.1}\" y2=\"{height}\"/>\
                     <text class=\"red\" x=\"{:.1}\" y=\"{row}\">{text}</text><title>{}</title></g>",
                    x + 4.0,
                    escape(&record.to_string()),
                    text = escape(&short(text, 70)),
                )
            }
            What::Call { host, op, result, .. } => {
                let y = self.y(*host);
                let (class, text) = match result {
                    Ok(_) => ("call", op.to_string()),
                    Err(errno) => ("error", format!("{op}: {errno}")),
                };
                let shape = match op {
                    Op::Close | Op::Abort => cross(x, y, 3.0),
                    _ => format!("<circle class=\"{class}\" cx=\"{x:.1}\" cy=\"{y}\" r=\"2.6\"/>"),
                };
                let colour = if result.is_err() { "red" } else { "small" };
                self.mark(record, &shape, x, y, &text, colour)
            }
            _ => Ok(()),
        }
    }

    #[expect(clippy::cast_precision_loss, reason = "small numbers")]
    fn row(&mut self, rows: usize) -> f64 {
        self.labels += 1;
        (self.labels % rows) as f64
    }

    /// Something on a lane, with its label below.
    fn mark(
        &mut self,
        record: &Record,
        mark: &str,
        x: f64,
        y: f64,
        label: &str,
        colour: &str,
    ) -> io::Result<()> {
        let low = y + 16.0 + 11.0 * self.row(4);
        write!(
            self.out,
            "<g>{mark}<text class=\"{colour}\" x=\"{:.1}\" y=\"{low}\">{}</text><title>{}</title></g>",
            x + 3.0,
            escape(&short(label, 48)),
            escape(&record.to_string())
        )
    }

    fn packet(&mut self, record: &Record, x: f64) -> io::Result<()> {
        let Some((from, to)) = self.scene.way(&record.what) else { return Ok(()) };
        let class = class(&record.what);
        let colour = match class {
            "syn" => "15924b",
            "data" => "2563c9",
            "fin" => "d07a00",
            "rst" => "d02020",
            "gram" => "8a3fc0",
            _ => "b9b9b9",
        };
        let (y, end) = (self.y(from), to.map_or(TOP, |to| self.y(to)));
        let title = escape(&record.to_string());
        match arrival(&record.what) {
            Some(at) if self.scene.is_held(&record.what, from, to, at) => {
                let (x2, y2) = (self.scene.scale.x(at), self.gate(from, to.unwrap_or(from)));
                write!(
                    self.out,
                    "<path class=\"arrow held {class}\" d=\"M{x:.1} {y}L{x2:.1} {y2}\"><title>{title}</title></path>"
                )
            }
            Some(at) if to == Some(from) => {
                let (x2, high) = (self.scene.scale.x(at), y - 34.0);
                write!(
                    self.out,
                    "<path class=\"arrow {class}\" marker-end=\"url(#h{colour})\" \
                     d=\"M{x:.1} {y}C{x:.1} {high} {x2:.1} {high} {x2:.1} {y}\"><title>{title}</title></path>"
                )
            }
            Some(at) => {
                let (x2, y2) = (self.scene.scale.x(at), end);
                self.arrow(class, colour, (x, y), (x2, y2), &title)?;
                // A third of the way: beside what begins there, and clear of what ends.
                let (mx, my) = (x + (x2 - x) * 0.34 + 5.0, y + (y2 - y) * 0.34);
                match size(&record.what) {
                    0 => Ok(()),
                    bytes => write!(
                        self.out,
                        "<text class=\"small\" x=\"{mx:.1}\" y=\"{my:.1}\">{bytes} B</text>"
                    ),
                }
            }
            None => {
                let (mx, my) = (x + 24.0, y + (end - y) * 0.4);
                let mark = cross(mx, my, 4.0);
                write!(
                    self.out,
                    "<g><path class=\"arrow lost {class}\" d=\"M{x:.1} {y}L{mx:.1} {my:.1}\"/>\
                     {mark}<title>{title}</title></g>"
                )
            }
        }
    }

    fn arrow(
        &mut self,
        class: &str,
        colour: &str,
        (x1, y1): (f64, f64),
        (x2, y2): (f64, f64),
        title: &str,
    ) -> io::Result<()> {
        write!(
            self.out,
            "<path class=\"arrow {class}\" marker-end=\"url(#h{colour})\" \
             d=\"M{x1:.1} {y1}L{x2:.1} {y2}\"><title>{title}</title></path>"
        )
    }

    pub(super) fn tail(mut self) -> io::Result<()> {
        self.out.write_all(b"</svg></div></body></html>\n")?;
        self.out.flush()
    }
}

/// A cross of this size around a point.
fn cross(x: f64, y: f64, size: f64) -> String {
    let (l, r, t, b) = (x - size, x + size, y - size, y + size);
    format!(
        "<path class=\"cross\" d=\"M{l:.1} {t:.1}L{r:.1} {b:.1}M{l:.1} {b:.1}L{r:.1} {t:.1}\"/>"
    )
}

/// A tyme without the zeros at its end.
fn plain(tyme: Tyme) -> String {
    let text = tyme.to_string();
    let whole = text.trim_end_matches('0').trim_end_matches('.');
    if whole.is_empty() { "0".to_owned() } else { whole.to_owned() }
}

/// Bytes of payload.
fn size(what: &What) -> usize {
    match what {
        What::Segment { data, .. } | What::Gram { data, .. } => data.len(),
        _ => 0,
    }
}

fn short(text: &str, most: usize) -> String {
    if text.chars().count() <= most {
        return text.to_owned();
    }
    text.chars().take(most - 1).chain(['…']).collect()
}

fn escape(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for symbol in text.chars() {
        match symbol {
            '&' => safe.push_str("&amp;"),
            '<' => safe.push_str("&lt;"),
            '>' => safe.push_str("&gt;"),
            '"' => safe.push_str("&quot;"),
            // Not allowed in XML.
            symbol if symbol.is_control() => safe.push(' '),
            symbol => safe.push(symbol),
        }
    }
    safe
}
