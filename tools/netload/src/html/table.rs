//! A table with a column for each run or result, in a box of its own that scrolls where it is too narrow.

use maud::{Markup, html};

/// A table: the names of its columns, and rows of one text for each.
pub(crate) struct Table<'a> {
    pub(crate) title: &'a str,
    /// Said below it; may be empty.
    pub(crate) remark: &'a str,
    pub(crate) columns: Vec<Markup>,
    pub(crate) rows: Vec<Row>,
    /// Whether a text that is the same in all columns is shown once, and one that is not is pointed out.
    pub(crate) shows_differences: bool,
}

/// A line of a table.
pub(crate) struct Row {
    pub(crate) name: String,
    pub(crate) cells: Vec<String>,
}

impl Table<'_> {
    pub(crate) fn draw(&self) -> Markup {
        if self.columns.is_empty() {
            return html! {};
        }
        html! {
            section {
                h2 { (self.title) }
                div.scrolls role="region" aria-label=(self.title) tabindex="0" {
                    table {
                        thead { tr { td {} @for column in &self.columns { th scope="col" { (column) } } } }
                        tbody { @for row in &self.rows { (self.row(row)) } }
                    }
                }
                @if !self.remark.is_empty() { p.remark { (self.remark) } }
            }
        }
    }

    fn row(&self, row: &Row) -> Markup {
        let is_same = row.cells.iter().all(|cell| Some(cell) == row.cells.first());
        let differs = self.shows_differences && !is_same;
        html! {
            tr.differs[differs] {
                th scope="row" { (row.name) @if differs { " " span.differs-mark title="differs" { "≠" } } }
                @if self.shows_differences && is_same {
                    td.same colspan=(row.cells.len().max(1)) { (row.cells.first().map_or("", String::as_str)) }
                } @else {
                    @for cell in &row.cells { td { (cell) } }
                }
            }
        }
    }
}
