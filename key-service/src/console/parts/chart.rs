//! Charts: bars over time, drawn on the server as SVG. Each series has a pattern of its own beside its colour, and all
//! numbers stand in a table beneath, so that neither colour nor sight is needed to read them.

use askama::Template;
use askama::filters::HtmlSafe;

/// Series that are told apart; the smallest ones beyond are one.
const MOST_SERIES: usize = 6;
/// Of the drawing; it is scaled to the page.
const WIDTH: f64 = 720.0;
const HEIGHT: f64 = 180.0;

/// Bars over time, of several series on top of each other.
#[derive(Debug, Template)]
#[template(path = "parts/chart.html")]
pub struct Chart {
    /// Unlike that of every other chart of the page.
    pub id: &'static str,
    /// What it shows.
    pub title: String,
    /// A name a bar, such as an hour.
    pub bars: Vec<String>,
    /// What is counted.
    pub series: Vec<Series>,
    /// By which colour and pattern each of them is known.
    looks: Vec<usize>,
    /// What is said where nothing was counted.
    pub empty: String,
}

impl HtmlSafe for Chart {}

/// What is counted.
#[derive(Debug, Clone)]
pub struct Series {
    /// Its name.
    pub name: String,
    /// A count a bar.
    pub counts: Vec<u64>,
    /// Whether it is of what went well.
    pub is_good: bool,
}

/// A piece of a bar.
struct Piece {
    x: f64,
    y: f64,
    width: f64,
    height: f64,
    /// The look of its series.
    look: String,
    title: String,
}

impl Chart {
    /// A chart of these series: the largest, and the others together.
    pub fn new(
        id: &'static str,
        title: impl Into<String>,
        bars: Vec<String>,
        mut series: Vec<Series>,
    ) -> Self {
        series.retain(|series| series.total() > 0);
        series.sort_by_key(|series| (!series.is_good, std::cmp::Reverse(series.total())));
        if series.len() > MOST_SERIES {
            let others = series.split_off(MOST_SERIES - 1);
            let sum = |bar: usize| {
                others
                    .iter()
                    .filter_map(|other| other.counts.get(bar))
                    .sum()
            };
            series.push(Series {
                name: format!("{} others", others.len()),
                counts: (0..bars.len()).map(sum).collect(),
                is_good: false,
            });
        }
        Self {
            id,
            title: title.into(),
            bars,
            looks: (0..series.len()).collect(),
            series,
            empty: "Nothing was counted in this time.".to_owned(),
        }
    }

    /// With what is said where nothing was counted.
    pub fn empty(mut self, text: impl Into<String>) -> Self {
        self.empty = text.into();
        self
    }

    /// With the looks of another chart beside it: what has the same name looks the same.
    pub fn like(mut self, other: &Self) -> Self {
        let looks: Vec<Option<usize>> = self.series.iter().map(|one| other.known(one)).collect();
        let mut free = (0..MOST_SERIES).filter(|look| !looks.contains(&Some(*look)));
        let next = |look: &Option<usize>| look.or_else(|| free.next()).unwrap_or_default();
        self.looks = looks.iter().map(next).collect();
        self
    }

    /// The look of the series of this name.
    fn known(&self, one: &Series) -> Option<usize> {
        let mut named = self.series.iter().zip(&self.looks);
        let (_, look) = named.find(|(series, _)| series.name == one.name)?;
        Some(*look)
    }

    /// All of a bar.
    fn sum(&self, bar: usize) -> u64 {
        let counts = self
            .series
            .iter()
            .filter_map(|series| series.counts.get(bar));
        counts.sum()
    }

    /// Whether anything was counted in a bar.
    fn holds_any(&self, bar: &usize) -> bool {
        self.sum(*bar) > 0
    }

    /// The highest bar.
    fn highest(&self) -> u64 {
        (0..self.bars.len())
            .map(|bar| self.sum(bar))
            .max()
            .unwrap_or(0)
    }

    #[allow(
        clippy::cast_precision_loss,
        reason = "a pixel is far coarser than that"
    )]
    fn pieces(&self) -> Vec<Piece> {
        let highest = self.highest().max(1) as f64;
        let step = WIDTH / self.bars.len().max(1) as f64;
        let mut pieces = Vec::new();
        for (bar, name) in self.bars.iter().enumerate() {
            let mut top = HEIGHT;
            for (place, series) in self.series.iter().enumerate() {
                let count = series.counts.get(bar).copied().unwrap_or(0);
                if count == 0 {
                    continue;
                }
                // What is there is seen, however little it is.
                let height = (count as f64 / highest * HEIGHT).max(1.0);
                top -= height;
                pieces.push(Piece {
                    x: bar as f64 * step + step * 0.1,
                    y: top.max(0.0),
                    width: step * 0.8,
                    height,
                    look: self.look(&place),
                    title: format!("{name}: {count} {}", series.name),
                });
            }
        }
        pieces
    }

    /// What is drawn over the colour of a series.
    fn mark(&self, place: &usize) -> &'static str {
        const MARKS: [&str; MOST_SERIES] = [
            "",
            "M-2,2 l4,-4 M0,8 l8,-8 M6,10 l4,-4",
            "M2,4 h4 M4,2 v4",
            "M0,4 h8",
            "M4,0 v8",
            "M0,4 h8 M4,0 v8",
        ];
        let look = self.looks.get(*place).copied().unwrap_or_default();
        match self.series.get(*place) {
            Some(series) if series.is_good => "",
            _ => MARKS.get(look).copied().unwrap_or_default(),
        }
    }

    /// The colour and the pattern of a series.
    fn look(&self, place: &usize) -> String {
        let look = self.looks.get(*place).copied().unwrap_or_default();
        match self.series.get(*place) {
            Some(series) if series.is_good => "good".to_owned(),
            _ => format!("s{look}"),
        }
    }

    /// The names beneath the axis: the first, the middle one and the last.
    fn ticks(&self) -> Vec<&str> {
        let last = self.bars.len().saturating_sub(1);
        let mut places = vec![0, last / 2, last];
        places.dedup();
        places
            .into_iter()
            .filter_map(|place| self.bars.get(place))
            .map(String::as_str)
            .collect()
    }
}

impl Series {
    /// All of it.
    pub fn total(&self) -> u64 {
        self.counts.iter().sum()
    }

    fn at(&self, bar: &usize) -> u64 {
        self.counts.get(*bar).copied().unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn series(name: &str, counts: &[u64]) -> Series {
        Series {
            name: name.to_owned(),
            counts: counts.to_vec(),
            is_good: name == "allowed",
        }
    }

    #[test]
    fn the_smallest_series_are_one_and_nothing_is_lost() {
        let all: Vec<Series> = (1..=9)
            .map(|n| series(&format!("code_{n}"), &[n, n]))
            .collect();
        let total: u64 = all.iter().map(Series::total).sum();
        let chart = Chart::new("a", "A", vec!["1".to_owned(), "2".to_owned()], all);
        assert_eq!(chart.series.len(), MOST_SERIES);
        assert_eq!(chart.series.iter().map(Series::total).sum::<u64>(), total);
        assert_eq!(chart.series[0].name, "code_9");
        assert_eq!(chart.series[5].name, "4 others");
    }

    #[test]
    fn what_has_the_same_name_looks_the_same() {
        let bars = || vec!["1".to_owned()];
        let week = [("a", 9), ("b", 6), ("c", 3)].map(|(name, count)| series(name, &[count]));
        let week = Chart::new("week", "Week", bars(), week.to_vec());
        let day = [("new", 8), ("c", 5), ("a", 1)].map(|(name, count)| series(name, &[count]));
        let day = Chart::new("day", "Day", bars(), day.to_vec()).like(&week);
        let looks =
            |chart: &Chart| -> Vec<String> { (0..3).map(|place| chart.look(&place)).collect() };
        assert_eq!(looks(&week), ["s0", "s1", "s2"]);
        assert_eq!(looks(&day), ["s1", "s2", "s0"]);
    }

    #[test]
    fn bars_stand_on_each_other_and_fill_the_height() {
        let bars = vec!["1".to_owned(), "2".to_owned()];
        let chart = Chart::new(
            "a",
            "A",
            bars,
            vec![series("allowed", &[6, 0]), series("key_expired", &[2, 4])],
        );
        let pieces = chart.pieces();
        assert_eq!(pieces.len(), 3);
        let first: f64 = pieces
            .iter()
            .filter(|piece| piece.x < 300.0)
            .map(|piece| piece.height)
            .sum();
        assert!((first - HEIGHT).abs() < 0.01);
        assert!((pieces[0].y - HEIGHT * 0.25).abs() < 0.01);
        assert!(pieces[1].y < 0.01);
    }

    #[test]
    fn names_are_shown_as_text() {
        let chart = Chart::new(
            "a",
            "<script>",
            vec!["<b>".to_owned()],
            vec![series("</title><script>", &[1])],
        );
        let html = chart.render().unwrap();
        assert!(
            !html.contains("<script>") && !html.contains("<b>"),
            "{html}"
        );
    }
}
