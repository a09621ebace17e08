//! Figures as a picture: bars, columns or lines in an SVG document, for people to look at beside the numbers.
//!
//! A picture has no script, names no other address, and says nothing that its figures do not say: what is missing is a gap, and
//! what does not fit is summed or left out in words.

mod figure;
mod svg;

pub use figure::Figure;

use figure::{Axis, decimals};
use svg::{COLOURS, Svg, fitted, width};

/// What a picture has at the most: as base64 some 11,000 bytes of a result.
pub const BYTES_MAX: usize = 8_192;

const WIDTH: i128 = 640;
const HEIGHT: i128 = 360;
const MARGIN: i128 = 16;
/// The title, and the unit below it.
const TOP: i128 = 60;
/// The names of series.
const LEGEND: i128 = 20;
/// The labels below the figures.
const BOTTOM: i128 = 28;
/// More rows than these are too low for their text.
const ROWS_MAX: usize = 14;
/// More columns or points than these are less than three pixels apart.
const PLACES_MAX: usize = 190;

/// How figures are drawn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shape {
    /// A row for each place, its bar to the right: things by their names, in their order.
    Bars,
    /// A column for each place: days, months.
    Columns,
    /// A line for each series, broken where a figure is missing.
    Lines,
}

/// Figures of one name, one for each place of the picture. `None` is a figure that is not known, which is no zero.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Series {
    /// Its name in the legend.
    pub name: String,
    /// Its figures.
    pub values: Vec<Option<Figure>>,
}

/// What is drawn. Bars and columns of several series stand on each other.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Picture {
    /// What it is about.
    pub title: String,
    /// The unit of all figures.
    pub unit: String,
    /// How they are drawn.
    pub shape: Shape,
    /// What each place is called.
    pub places: Vec<String>,
    /// At least one of them.
    pub series: Vec<Series>,
}

impl Picture {
    /// Draws it. `None` if there is no figure.
    pub fn draw(&self) -> Option<String> {
        self.series.iter().flat_map(|series| &series.values).any(Option::is_some).then_some(())?;
        let mut places = if self.shape == Shape::Bars { ROWS_MAX } else { PLACES_MAX };
        let mut series = COLOURS;
        // One place and one series with labels of nothing are some 2 KB.
        for room in (0..=8).rev() {
            let drawn = self.within(places, series).draw(room);
            if drawn.len() <= BYTES_MAX {
                return Some(drawn);
            }
            places = (places * 3 / 4).max(1);
            series = (series - 1).max(1);
        }
        None
    }

    /// The same with no more than so many places and series, and a word about what is not as it was.
    fn within(&self, places_max: usize, series_max: usize) -> Drawn {
        let count = self.places.len();
        let value = |series: &Series, at: usize| series.values.get(at).copied().flatten();
        let mut drawn = Drawn {
            title: self.title.clone(),
            unit: self.unit.clone(),
            shape: self.shape,
            places: self.places.clone(),
            series: Vec::new(),
            notes: Vec::new(),
        };
        let shown =
            if self.series.len() > series_max { series_max.saturating_sub(1).max(1) } else { self.series.len() };
        let all = |series: &Series| (0..count).map(|at| value(series, at)).collect::<Vec<_>>();
        drawn.series.extend(self.series.iter().take(shown).map(|series| (series.name.clone(), all(series))));
        let others = self.series.get(shown..).unwrap_or_default();
        if !others.is_empty() && (self.shape == Shape::Lines || series_max == 1) {
            drawn.notes.push(format!("{} more series not shown", others.len()));
        } else if !others.is_empty() {
            let values = (0..count).map(|at| sum(others.iter().map(|series| value(series, at)))).collect();
            drawn.series.push((format!("{} others", others.len()), values));
        }
        if count <= places_max {
            return drawn;
        }
        if self.shape == Shape::Bars {
            let shown = places_max.saturating_sub(1);
            for (_, values) in &mut drawn.series {
                let rest = values.split_off(shown);
                values.push(sum(rest.into_iter()));
            }
            let unknown = (shown..count).filter(|at| self.series.iter().all(|series| value(series, *at).is_none()));
            drawn.places.truncate(shown);
            drawn.places.push(match unknown.count() {
                0 => format!("{} others", count - shown),
                unknown => format!("{} others, {unknown} unknown", count - shown),
            });
        } else {
            let left_out = count - places_max;
            drawn.places.drain(..left_out);
            for (_, values) in &mut drawn.series {
                values.drain(..left_out);
            }
            drawn.notes.push(format!("the last {places_max} of {count}"));
        }
        drawn
    }
}

/// The sum of what is known; `None` if nothing is.
fn sum(values: impl Iterator<Item = Option<Figure>>) -> Option<Figure> {
    values.fold(None, Figure::sum)
}

/// A picture that fits.
struct Drawn {
    title: String,
    unit: String,
    shape: Shape,
    places: Vec<String>,
    series: Vec<(String, Vec<Option<Figure>>)>,
    notes: Vec<String>,
}

/// Where the figures are.
struct Plot {
    left: i128,
    right: i128,
    top: i128,
    bottom: i128,
    axis: Axis,
}

impl Plot {
    fn x(&self, figure: i128) -> i128 {
        self.left + self.axis.along(figure, self.right - self.left)
    }

    fn y(&self, figure: i128) -> i128 {
        self.bottom - self.axis.along(figure, self.bottom - self.top)
    }

    /// The strip of a place: where it begins, and how wide it is. Strips of bars go down, the others to the right.
    fn strip(&self, at: usize, count: usize, is_row: bool) -> (i128, i128) {
        let (from, to) = if is_row { (self.top, self.bottom) } else { (self.left, self.right) };
        let edge = |at: usize| {
            from + (to - from) * i128::try_from(at).unwrap_or_default() / i128::try_from(count.max(1)).unwrap_or(1)
        };
        (edge(at), edge(at + 1) - edge(at))
    }
}

impl Drawn {
    /// The document; `room` of eight is how much of the room for words they may take.
    fn draw(&self, room: i128) -> String {
        let words = |pixels: i128| pixels * room / 8;
        let title = fitted(&self.title, words(430));
        let is_legend = self.series.len() > 1;
        let top = TOP + if is_legend { LEGEND } else { 0 };
        let mut bottom = HEIGHT - BOTTOM;
        if self.shape == Shape::Bars {
            // Few bars are not drawn as walls.
            bottom = bottom.min(top + 36 * i128::try_from(self.places.len()).unwrap_or(i128::from(u8::MAX)));
        }
        let mut svg = Svg::begin(WIDTH, bottom + BOTTOM, &title);
        svg.text("h", MARGIN, 28, &title);
        let unknown = (0..self.places.len()).filter(|at| self.at(*at).all(|value| value.is_none())).count();
        let is_told = unknown > 0 && self.shape != Shape::Bars;
        let gaps = is_told.then(|| format!("{unknown} without a figure"));
        let below: Vec<_> =
            [fitted(&self.unit, words(200))].into_iter().chain(self.notes.iter().cloned()).chain(gaps).collect();
        svg.text("", MARGIN, 47, &below.join(" · "));
        if is_legend {
            self.legend(&mut svg, words);
        }
        let axis = self.axis();
        let decimals = decimals(axis.ticks());
        let mut plot = Plot { left: MARGIN, right: WIDTH - MARGIN, top, bottom, axis };
        if self.shape == Shape::Bars {
            self.rows(&mut svg, &mut plot, decimals, words);
        } else {
            let widest = plot.axis.ticks().map(|tick| width(&tick.text(decimals))).max().unwrap_or_default();
            plot.left = MARGIN + widest + 8;
            let mut grid = String::new();
            for tick in plot.axis.ticks() {
                let y = plot.y(tick.0);
                grid.push_str(&format!("M{} {y}H{}", plot.left, plot.right));
                svg.text("e", plot.left - 8, y + 4, &tick.text(decimals));
            }
            svg.path("g", &grid);
            if self.shape == Shape::Columns {
                self.columns(&mut svg, &plot)
            } else {
                self.lines(&mut svg, &plot)
            }
            svg.path("z", &format!("M{} {}H{}", plot.left, plot.y(0), plot.right));
            self.labels(&mut svg, &plot, words(90));
        }
        svg.end()
    }

    /// The figures of a place.
    fn at(&self, at: usize) -> impl Iterator<Item = Option<Figure>> + Clone {
        self.series.iter().map(move |(_, values)| values.get(at).copied().flatten())
    }

    fn axis(&self) -> Axis {
        let ends = (0..self.places.len()).map(|at| {
            let known = self.at(at).flatten().map(|figure| figure.0);
            if self.shape == Shape::Lines {
                (known.clone().min().unwrap_or_default(), known.max().unwrap_or_default())
            } else {
                (known.clone().filter(|figure| *figure < 0).sum(), known.filter(|figure| *figure > 0).sum())
            }
        });
        let (low, high) =
            ends.fold((0, 0), |(low, high): (i128, i128), (least, most)| (low.min(least), high.max(most)));
        Axis::around(low, high)
    }

    fn legend(&self, svg: &mut Svg, words: impl Fn(i128) -> i128) {
        let count = i128::try_from(self.series.len()).unwrap_or(1).max(1);
        let room = words(WIDTH - 2 * MARGIN - 30 * count);
        let whole: i128 = self.series.iter().map(|(name, _)| width(name)).sum();
        let share = if whole <= room { room } else { room / count };
        let mut x = MARGIN;
        for (at, (name, _)) in self.series.iter().enumerate() {
            let name = fitted(name, share);
            svg.square(at, x, 58);
            svg.text("", x + 15, 67, &name);
            x += width(&name) + 30;
        }
    }

    /// Bars, with their names before them and their figures behind.
    fn rows(&self, svg: &mut Svg, plot: &mut Plot, on_axis: usize, words: impl Fn(i128) -> i128) {
        let sums: Vec<_> = (0..self.places.len()).map(|at| sum(self.at(at))).collect();
        let exact = decimals(sums.iter().copied().flatten());
        let texts: Vec<_> =
            sums.iter().map(|sum| sum.map_or_else(|| "no figure".to_owned(), |sum| sum.text(exact))).collect();
        let names: Vec<_> = self.places.iter().map(|place| fitted(place, words(200))).collect();
        plot.left += names.iter().map(|name| width(name)).max().unwrap_or_default() + 8;
        plot.right -= texts.iter().map(|text| width(text)).max().unwrap_or_default() + 6;
        let count = self.places.len();
        let (mut grid, mut free) = (String::new(), i128::MIN);
        for tick in plot.axis.ticks() {
            let (x, text) = (plot.x(tick.0), tick.text(on_axis));
            grid.push_str(&format!("M{x} {}V{}", plot.top, plot.bottom));
            if x - width(&text) / 2 > free {
                svg.text("m", x, plot.bottom + 16, &text);
                free = x + width(&text) / 2 + 6;
            }
        }
        svg.path("g", &grid);
        let mut bars = vec![String::new(); self.series.len()];
        for (at, (name, text)) in names.iter().zip(&texts).enumerate() {
            let (from, high) = plot.strip(at, count, true);
            let middle = from + high / 2 + 4;
            svg.text("v e", plot.left - 8, middle, name);
            let mut end = plot.x(0);
            self.stack(at, &mut |series, low, high_end| {
                let (x, wide) = (plot.x(low), plot.x(high_end) - plot.x(low));
                end = end.max(x + wide);
                if let Some(bars) = bars.get_mut(series) {
                    bars.push_str(&format!("M{x} {}h{wide}v{}h-{wide}z", from + high / 6, high - high / 3));
                }
            });
            svg.text(if sums.get(at).is_some_and(Option::is_some) { "v" } else { "" }, end + 6, middle, text);
        }
        for (at, bars) in bars.iter().enumerate() {
            svg.path(&format!("f s{at}"), bars);
        }
        svg.path("z", &format!("M{} {}V{}", plot.x(0), plot.top, plot.bottom));
    }

    /// The parts of a place on each other: up from zero what is positive, down from it what is not.
    fn stack(&self, at: usize, part: &mut dyn FnMut(usize, i128, i128)) {
        let (mut below, mut above) = (0, 0);
        for (series, figure) in self.at(at).enumerate() {
            let Some(Figure(figure)) = figure else { continue };
            let edge = if figure < 0 { &mut below } else { &mut above };
            let (from, to) = (*edge, *edge + figure);
            *edge = to;
            part(series, from.min(to), from.max(to));
        }
    }

    fn columns(&self, svg: &mut Svg, plot: &Plot) {
        let mut bars = vec![String::new(); self.series.len()];
        let mut gaps = String::new();
        for at in 0..self.places.len() {
            let (from, wide) = plot.strip(at, self.places.len(), false);
            let air = (wide / 6).max(i128::from(wide > 2)).max((wide - 48) / 2);
            let (x, wide) = (from + air, (wide - 2 * air).max(1));
            self.stack(at, &mut |series, low, high| {
                let (y, tall) = (plot.y(low), plot.y(low) - plot.y(high));
                if let Some(bars) = bars.get_mut(series) {
                    bars.push_str(&format!("M{x} {y}h{wide}v-{tall}h-{wide}z"));
                }
            });
            if self.at(at).all(|value| value.is_none()) {
                // A cross where a column would stand: nothing stands there because nothing is known.
                gaps.push_str(&format!("M{} {}l4 -4m-4 0l4 4", x + wide / 2 - 2, plot.y(0) - 3));
            }
        }
        for (at, bars) in bars.iter().enumerate() {
            svg.path(&format!("f s{at}"), bars);
        }
        svg.path("z", &gaps);
    }

    fn lines(&self, svg: &mut Svg, plot: &Plot) {
        for (number, (_, values)) in self.series.iter().enumerate() {
            let (mut line, mut alone) = (String::new(), String::new());
            for piece in values.iter().enumerate().collect::<Vec<_>>().split(|(_, value)| value.is_none()) {
                let points = piece.iter().filter_map(|(at, value)| {
                    let (from, wide) = plot.strip(*at, self.places.len(), false);
                    Some((from + wide / 2, plot.y((**value)?.0)))
                });
                let into = if piece.len() == 1 { &mut alone } else { &mut line };
                for (at, (x, y)) in points.enumerate() {
                    into.push_str(&format!("{}{x} {y}", if at == 0 { "M" } else { "L" }));
                }
                if piece.len() == 1 {
                    alone.push_str("h0");
                }
            }
            svg.path(&format!("l s{number}"), &line);
            svg.path(&format!("d s{number}"), &alone);
        }
    }

    /// The names of places below the figures, as many as have room.
    fn labels(&self, svg: &mut Svg, plot: &Plot, pixels: i128) {
        let count = self.places.len();
        let names: Vec<_> = self.places.iter().map(|place| fitted(place, pixels)).collect();
        let widest = names.iter().map(|name| width(name)).max().unwrap_or_default() + 10;
        let fit = usize::try_from((plot.right - plot.left) / widest.max(1)).unwrap_or(1).clamp(1, 16);
        let step = count.div_ceil(fit).max(1);
        for (at, name) in names.iter().enumerate().step_by(step) {
            let (from, wide) = plot.strip(at, count, false);
            let half = width(name) / 2;
            let x = (from + wide / 2).clamp(half + 4, (WIDTH - half - 4).max(half + 4));
            svg.text("m", x, HEIGHT - BOTTOM + 17, name);
        }
    }
}

#[cfg(test)]
mod tests;
