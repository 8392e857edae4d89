//! Pictures of figures, as SVG that is readable on light and on dark ground.

use std::fmt::Write;

/// A picture with two axes.
pub struct Plot<'a> {
    /// What it shows.
    pub title: &'a str,
    /// What goes to the right.
    pub x: Axis<'a>,
    /// What goes up.
    pub y: Axis<'a>,
    /// The lines in it.
    pub lines: Vec<Line<'a>>,
}

/// One axis.
pub struct Axis<'a> {
    /// What it counts.
    pub label: &'a str,
    /// Whether each step doubles, or multiplies by ten.
    pub scale: Scale,
}

/// How an axis is divided.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Scale {
    /// Evenly.
    Even,
    /// By powers of two.
    Twos,
    /// By powers of ten.
    Tens,
}

/// One line of points.
pub struct Line<'a> {
    /// What it is.
    pub name: &'a str,
    /// Its points.
    pub points: Vec<(f64, f64)>,
    /// Its looks.
    pub look: Look,
}

/// How a line looks.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Look {
    /// A line with dots: what was measured here.
    Ours,
    /// Circles without a line: what was published.
    Published,
    /// Broken, without dots: what is expected, or a border.
    Rule,
}

const WIDTH: f64 = 720.0;
const HEIGHT: f64 = 430.0;
const LEFT: f64 = 66.0;
const RIGHT: f64 = 22.0;
const TOP: f64 = 46.0;
const BOTTOM: f64 = 58.0;

const STYLE: &str = "<style>\
svg{--ink:#1f2328;--soft:#656d76;--grid:#d8dee4;--c0:#0969da;--c1:#bc4c00;--c2:#1a7f37;\
--c3:#8250df;--c4:#bf3989}\
@media(prefers-color-scheme:dark){svg{--ink:#e6edf3;--soft:#9198a1;--grid:#3d444d;--c0:#4493f8;\
--c1:#f0883e;--c2:#3fb950;--c3:#ab7df8;--c4:#db61a2}}\
text{font:13px system-ui,sans-serif;fill:var(--soft)}.t{font-size:16px;font-weight:600;\
fill:var(--ink)}.n{fill:var(--ink)}.g{stroke:var(--grid)}.a{stroke:var(--soft)}\
polyline{fill:none;stroke-width:2.2;stroke-linejoin:round}</style>";

impl Plot<'_> {
    /// The picture.
    pub fn svg(&self) -> String {
        let mut svg = format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" \
             role=\"img\" aria-label=\"{0}\">{STYLE}\n<text class=\"t\" x=\"{LEFT}\" y=\"26\">{0}\
             </text>\n",
            escape(self.title)
        );
        let across = Range::of(&self.x, self.lines.iter().flat_map(|line| &line.points), |p| p.0);
        let up = Range::of(&self.y, self.lines.iter().flat_map(|line| &line.points), |p| p.1);
        self.grid(&mut svg, &across, &up);
        for (number, line) in self.lines.iter().enumerate() {
            draw(&mut svg, line, number, (&across, &up));
        }
        self.legend(&mut svg);
        svg.push_str("</svg>\n");
        svg
    }

    fn grid(&self, svg: &mut String, across: &Range, up: &Range) {
        let (bottom, right) = (HEIGHT - BOTTOM, WIDTH - RIGHT);
        for tick in across.ticks() {
            let x = across.place(tick, LEFT, right);
            let _ = writeln!(
                svg,
                "<line class=\"g\" x1=\"{x:.1}\" y1=\"{TOP}\" x2=\"{x:.1}\" y2=\"{bottom}\"/>\
                 <text x=\"{x:.1}\" y=\"{:.1}\" text-anchor=\"middle\">{}</text>",
                bottom + 19.0,
                across.name(tick)
            );
        }
        for tick in up.ticks() {
            let y = up.place(tick, bottom, TOP);
            let _ = writeln!(
                svg,
                "<line class=\"g\" x1=\"{LEFT}\" y1=\"{y:.1}\" x2=\"{right}\" y2=\"{y:.1}\"/>\
                 <text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"end\">{}</text>",
                LEFT - 8.0,
                y + 4.5,
                up.name(tick)
            );
        }
        let _ = writeln!(
            svg,
            "<line class=\"a\" x1=\"{LEFT}\" y1=\"{bottom}\" x2=\"{right}\" y2=\"{bottom}\"/>\
             <line class=\"a\" x1=\"{LEFT}\" y1=\"{TOP}\" x2=\"{LEFT}\" y2=\"{bottom}\"/>\
             <text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"middle\">{}</text>\
             <text transform=\"translate(18 {:.1}) rotate(-90)\" text-anchor=\"middle\">{}</text>",
            (LEFT + right) / 2.0,
            HEIGHT - 14.0,
            escape(self.x.label),
            (TOP + bottom) / 2.0,
            escape(self.y.label)
        );
    }

    fn legend(&self, svg: &mut String) {
        for (number, line) in self.lines.iter().enumerate() {
            let y = TOP + 16.0 + 20.0 * number as f64;
            let (from, to) = (LEFT + 14.0, LEFT + 42.0);
            let sample = Line { name: "", points: Vec::new(), look: line.look };
            stroke(svg, &sample, number, &[(from, y), ((from + to) / 2.0, y), (to, y)]);
            let _ = writeln!(
                svg,
                "<text class=\"n\" x=\"{:.1}\" y=\"{:.1}\">{}</text>",
                to + 8.0,
                y + 4.5,
                escape(line.name)
            );
        }
    }
}

fn draw(svg: &mut String, line: &Line<'_>, number: usize, (across, up): (&Range, &Range)) {
    let place = |(x, y): &(f64, f64)| {
        (across.place(*x, LEFT, WIDTH - RIGHT), up.place(*y, HEIGHT - BOTTOM, TOP))
    };
    let points: Vec<(f64, f64)> = line.points.iter().map(place).collect();
    stroke(svg, line, number, &points);
}

fn stroke(svg: &mut String, line: &Line<'_>, number: usize, points: &[(f64, f64)]) {
    let colour = format!("var(--c{})", number % 5);
    if line.look != Look::Published {
        let dashes = if line.look == Look::Rule { " stroke-dasharray=\"6 5\"" } else { "" };
        let _ = write!(svg, "<polyline stroke=\"{colour}\"{dashes} points=\"");
        for (x, y) in points {
            let _ = write!(svg, "{x:.1},{y:.1} ");
        }
        svg.push_str("\"/>\n");
    }
    for (x, y) in points.iter().filter(|_| line.look != Look::Rule) {
        let fill = if line.look == Look::Published { "none" } else { &colour };
        let size = if line.look == Look::Published { 5.0 } else { 3.2 };
        let _ = writeln!(
            svg,
            "<circle cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"{size}\" fill=\"{fill}\" \
             stroke=\"{colour}\" stroke-width=\"2\"/>"
        );
    }
}

/// What an axis spans.
struct Range {
    from: f64,
    to: f64,
    scale: Scale,
}

impl Range {
    fn of<'p>(
        axis: &Axis<'_>,
        points: impl Iterator<Item = &'p (f64, f64)>,
        which: impl Fn(&(f64, f64)) -> f64,
    ) -> Self {
        let scale = axis.scale;
        let values: Vec<f64> = points.map(|point| scale.flat(which(point))).collect();
        let least = values.iter().copied().fold(f64::INFINITY, f64::min);
        let most = values.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        if values.is_empty() {
            return Self { from: 0.0, to: 1.0, scale };
        }
        match scale {
            // From zero, with a little room above for the legend.
            Scale::Even => {
                let step = step_of(most - least.min(0.0));
                let to = (most / step).ceil() * step;
                Self { from: least.min(0.0), to: if to > 0.0 { to } else { 1.0 }, scale }
            }
            Scale::Twos | Scale::Tens => {
                let (from, to) = (least.floor(), most.ceil());
                Self { from, to: if to > from { to } else { from + 1.0 }, scale }
            }
        }
    }

    fn place(&self, value: f64, start: f64, end: f64) -> f64 {
        let share = (self.scale.flat(value) - self.from) / (self.to - self.from);
        start + share * (end - start)
    }

    fn ticks(&self) -> Vec<f64> {
        match self.scale {
            Scale::Even => {
                let step = step_of(self.to - self.from);
                let count = ((self.to - self.from) / step).round() as u32;
                (0..=count).map(|tick| self.from + f64::from(tick) * step).collect()
            }
            Scale::Twos => {
                let every = if self.to - self.from > 12.0 { 2 } else { 1 };
                (self.from as i32..=self.to as i32).step_by(every).map(|e| 2f64.powi(e)).collect()
            }
            Scale::Tens => {
                (self.from as i32..=self.to as i32).map(|exponent| 10f64.powi(exponent)).collect()
            }
        }
    }

    fn name(&self, tick: f64) -> String {
        match self.scale {
            Scale::Twos => {
                let exponent = tick.log2().round();
                let up = "<tspan dy=\"-5\" font-size=\"9\">";
                format!("2{up}{exponent}</tspan>")
            }
            _ if tick == 0.0 => "0".to_owned(),
            _ if tick.abs() >= 1e6 => format!("{} M", tick / 1e6),
            _ if tick.abs() >= 1e4 => format!("{} k", tick / 1e3),
            _ => format!("{}", (tick * 1e6).round() / 1e6),
        }
    }
}

impl Scale {
    fn flat(self, value: f64) -> f64 {
        match self {
            Scale::Even => value,
            Scale::Twos => value.max(f64::MIN_POSITIVE).log2(),
            Scale::Tens => value.max(f64::MIN_POSITIVE).log10(),
        }
    }
}

/// A round step of which about six make the whole.
fn step_of(whole: f64) -> f64 {
    let rough = (whole / 6.0).max(1e-9);
    let power = 10f64.powf(rough.log10().floor());
    let lead = rough / power;
    let round = [1.0, 2.0, 2.5, 5.0].into_iter().find(|round| lead <= *round).unwrap_or(10.0);
    round * power
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plot_has_its_axes_lines_and_legend_and_stays_within_its_borders() {
        let plot = Plot {
            title: "Path & length",
            x: Axis { label: "peers", scale: Scale::Twos },
            y: Axis { label: "hops", scale: Scale::Even },
            lines: vec![
                Line { name: "ours", points: vec![(8.0, 1.5), (1024.0, 4.9)], look: Look::Ours },
                Line { name: "theirs", points: vec![(8.0, 1.7)], look: Look::Published },
                Line { name: "half", points: vec![(8.0, 1.5), (2048.0, 5.5)], look: Look::Rule },
            ],
        };
        let svg = plot.svg();
        assert!(svg.contains("Path &amp; length") && svg.contains(">theirs</text>"));
        assert!(svg.contains("font-size=\"9\">11</tspan>"));
        assert_eq!(svg.matches("<polyline").count(), 4);
        let numbers = svg.split("cx=\"").skip(1).filter_map(|rest| rest.split('"').next());
        for x in numbers.map(|x| x.parse::<f64>().expect("a number")) {
            assert!((LEFT..=WIDTH - RIGHT + 0.1).contains(&x), "{x}");
        }
    }

    #[test]
    fn steps_of_an_axis_are_round() {
        assert_eq!([0.7, 6.0, 13.0, 1200.0].map(step_of), [0.2, 1.0, 2.5, 200.0]);
    }
}
