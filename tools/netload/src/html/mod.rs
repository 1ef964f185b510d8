//! A result as one page that holds everything it needs: plots drawn here as SVG, tables, and a style; no script, and nothing
//! of the network. Whatever comes from a document is escaped.

mod bars;
mod family;
mod figures;
mod frame;
mod lines;
mod loads;
mod over_time;
mod page;
mod scale;
mod shards;
mod style;
mod table;
mod tables;
mod units;

pub(crate) use page::page;
