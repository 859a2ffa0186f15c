//! Tables.

use askama::Template;
use askama::filters::HtmlSafe;

use super::Cell;

/// A table.
#[derive(Debug, Template)]
#[template(path = "parts/table.html")]
pub struct Table {
    /// What it lists.
    pub caption: String,
    /// Its columns.
    pub columns: Vec<Column>,
    /// Its rows, each with a cell a column.
    pub rows: Vec<Vec<Cell>>,
    /// What is said where there is no row.
    pub empty: String,
}

impl HtmlSafe for Table {}

/// A column.
#[derive(Debug, Clone)]
pub struct Column {
    /// What stands above it.
    pub label: &'static str,
    /// Where the table is sorted by it, if it can be.
    pub sort: Option<String>,
    /// How the table is sorted by it.
    pub order: Option<Order>,
}

/// An order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Order {
    /// Smallest, oldest first.
    Ascending,
    /// The other way round.
    Descending,
}

impl Column {
    /// One by which the table is not sorted.
    pub fn plain(label: &'static str) -> Self {
        Self {
            label,
            sort: None,
            order: None,
        }
    }

    /// What `aria-sort` says of it.
    fn sorted(&self) -> &'static str {
        match self.order {
            Some(Order::Ascending) => "ascending",
            Some(Order::Descending) => "descending",
            None => "none",
        }
    }

    /// A sign for it.
    fn sign(&self) -> &'static str {
        match self.order {
            Some(Order::Ascending) => " ▲",
            Some(Order::Descending) => " ▼",
            None => "",
        }
    }
}

impl Table {
    /// What stands above this column.
    fn label(&self, column: &usize) -> &'static str {
        self.columns.get(*column).map_or("", |column| column.label)
    }
}
