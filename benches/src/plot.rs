//! Plots, as SVG.

use std::path::Path;

use plotters::prelude::*;
use support::failure::{Failure, Result};

use crate::compare::Measured;
use crate::contenders::Contender;
use crate::report::added;

const FONT: &str = "sans-serif";
const OURS: RGBColor = RGBColor(33, 102, 172);
const OTHERS: RGBColor = RGBColor(150, 150, 150);
const COLOURS: [RGBColor; 4] = [
    OURS,
    RGBColor(146, 197, 222),
    RGBColor(178, 24, 43),
    RGBColor(244, 165, 130),
];

/// A line of a plot.
#[derive(Debug)]
pub struct Line {
    /// What it shows.
    pub name: String,
    /// Its points.
    pub points: Vec<(f64, f64)>,
}

/// What each contender adds, as bars with their quartiles.
pub fn contenders(path: &Path, measured: &[Measured]) -> Result<()> {
    let none = measured
        .iter()
        .find(|measured| measured.contender == Contender::None);
    let bars: Vec<_> = measured
        .iter()
        .filter_map(|measured| Some((measured.contender, added(measured, none)?)))
        .collect();
    if bars.is_empty() {
        return Ok(());
    }
    let height = 100 + 32 * u32::try_from(bars.len()).unwrap_or(0);
    let root = SVGBackend::new(path, (1000, height)).into_drawing_area();
    root.fill(&WHITE).map_err(failed)?;
    let longest = bars
        .iter()
        .map(|(_, added)| added.upper_quartile)
        .fold(1.0, f64::max);
    let names: Vec<&str> = bars
        .iter()
        .map(|(contender, _)| contender.description())
        .collect();
    let mut chart = ChartBuilder::on(&root)
        .caption(
            "Processor time that Envoy adds to a request (µs, median and quartiles)",
            (FONT, 18),
        )
        .margin(10)
        .x_label_area_size(30)
        .y_label_area_size(280)
        .build_cartesian_2d(0.0..longest * 1.1, (0..bars.len()).into_segmented())
        .map_err(failed)?;
    let name = |place: &SegmentValue<usize>| match place {
        // The first bar is at the top.
        SegmentValue::CenterOf(place) => names
            .get(names.len().wrapping_sub(place + 1))
            .map_or(String::new(), |name| (*name).to_owned()),
        _ => String::new(),
    };
    chart
        .configure_mesh()
        .disable_y_mesh()
        .y_labels(bars.len())
        .y_label_formatter(&name)
        .label_style((FONT, 13))
        .draw()
        .map_err(failed)?;
    for (index, (contender, added)) in bars.iter().enumerate() {
        let place = bars.len() - 1 - index;
        let colour = if contender.name().starts_with("keybound") {
            OURS
        } else {
            OTHERS
        };
        let mut bar = Rectangle::new(
            [
                (0.0, SegmentValue::Exact(place)),
                (added.median, SegmentValue::Exact(place + 1)),
            ],
            colour.filled(),
        );
        bar.set_margin(6, 6, 0, 0);
        chart.draw_series([bar]).map_err(failed)?;
        chart
            .draw_series([ErrorBar::new_horizontal(
                SegmentValue::CenterOf(place),
                added.lower_quartile,
                added.median,
                added.upper_quartile,
                BLACK.filled(),
                8,
            )])
            .map_err(failed)?;
    }
    root.present().map_err(failed)
}

/// Lines over numbers of keys.
pub fn lines(path: &Path, caption: &str, unit: &str, lines: &[Line]) -> Result<()> {
    let points = || lines.iter().flat_map(|line| line.points.iter());
    let smallest = points().map(|(keys, _)| *keys).fold(f64::MAX, f64::min);
    let largest = points().map(|(keys, _)| *keys).fold(0.0, f64::max);
    let highest = points().map(|(_, value)| *value).fold(0.0, f64::max);
    if lines.is_empty() || smallest >= largest {
        return Ok(());
    }
    let root = SVGBackend::new(path, (900, 420)).into_drawing_area();
    root.fill(&WHITE).map_err(failed)?;
    let mut chart = ChartBuilder::on(&root)
        .caption(caption, (FONT, 18))
        .margin(10)
        .x_label_area_size(45)
        .y_label_area_size(60)
        .build_cartesian_2d((smallest..largest).log_scale(), 0.0..highest * 1.15)
        .map_err(failed)?;
    chart
        .configure_mesh()
        .x_desc("known keys")
        .y_desc(unit)
        .x_label_formatter(&|keys| format!("{keys:.0}"))
        .label_style((FONT, 13))
        .draw()
        .map_err(failed)?;
    for (line, colour) in lines.iter().zip(COLOURS.into_iter().cycle()) {
        chart
            .draw_series(LineSeries::new(
                line.points.iter().copied(),
                colour.stroke_width(2),
            ))
            .map_err(failed)?
            .label(&line.name)
            .legend(move |(x, y)| PathElement::new([(x, y), (x + 16, y)], colour.stroke_width(2)));
        chart
            .draw_series(
                line.points
                    .iter()
                    .map(|point| Circle::new(*point, 3, colour.filled())),
            )
            .map_err(failed)?;
    }
    chart
        .configure_series_labels()
        .position(SeriesLabelPosition::LowerRight)
        .background_style(WHITE.mix(0.8))
        .label_font((FONT, 13))
        .draw()
        .map_err(failed)?;
    root.present().map_err(failed)
}

fn failed(error: impl std::fmt::Display) -> Failure {
    Failure::new(format!("drawing a plot: {error}"))
}
