//! `include/CONFIGURATION.md`, from the structs into which configurations are parsed: the first paragraph of a field's
//! documentation is its meaning, the second what it takes and its default. What an enum takes is what its variants are called.

use std::fmt::Write as _;

use syn::{Field, ItemEnum};

use crate::source::{Source, names, paragraphs, serde, serde_value, written};

/// A key of a configuration.
pub(crate) struct Row {
    /// The sections it is in, `""` for the bus, and its name.
    pub(crate) section: &'static str,
    pub(crate) key: String,
    pub(crate) values: String,
    /// `required` if it must be there.
    pub(crate) default: String,
    meaning: String,
    /// Each value of an enum and what it means.
    choices: Vec<(String, String)>,
}

/// A section: its name, the file and the struct that it is parsed into, and its heading.
struct Section {
    name: &'static str,
    file: &'static str,
    structure: &'static str,
    heading: &'static str,
}

const fn section(
    name: &'static str,
    file: &'static str,
    structure: &'static str,
    heading: &'static str,
) -> Section {
    Section { name, file, structure, heading }
}

const SECTIONS: [Section; 8] = [
    section("", "engine/src/config.rs", "Document", "The bus"),
    section("batch", "engine/src/config.rs", "BatchDocument", "`batch`"),
    section("memory", "adapters/src/memory.rs", "RetentionDocument", "`memory`"),
    section("log", "adapters/src/log/options.rs", "Document", "`log`"),
    section("redis", "adapters/src/redis/config.rs", "Document", "`redis`"),
    section("net", "adapters/src/udp/config.rs", "Document", "`net`"),
    section("noop", "adapters/src/noop.rs", "NoOptions", "`noop`"),
    section(FILES, "adapters/src/named/config.rs", "Document", "Named files"),
];

/// The section of a named file's keys, which no bus has.
pub(crate) const FILES: &str = "(file)";

/// Enums that lie in another file than the struct that has them.
const ELSEWHERE: [&str; 1] = ["adapters/src/udp/channel/mod.rs"];

/// Every key, in the order of the document.
pub(crate) fn rows() -> Vec<Row> {
    SECTIONS.iter().flat_map(Section::rows).collect()
}

/// The names of all store sections.
pub(crate) fn stores() -> Vec<&'static str> {
    SECTIONS.iter().map(|section| section.name).filter(|name| !["", "batch", FILES].contains(name)).collect()
}

/// The whole file.
pub(crate) fn document() -> String {
    let mut text = INTRODUCTION.to_owned();
    for section in &SECTIONS {
        let source = Source::read(section.file);
        write!(text, "\n## {}\n", section.heading).expect("a string takes everything");
        for paragraph in introduction(section, &source) {
            write!(text, "\n{paragraph}\n").expect("a string takes everything");
        }
        let rows = section.rows();
        if rows.is_empty() {
            continue;
        }
        text.push_str("\n| key | values | default | meaning |\n|---|---|---|---|\n");
        for Row { key, values, default, meaning, .. } in &rows {
            writeln!(text, "| `{key}` | {values} | {default} | {meaning} |")
                .expect("a string takes everything");
        }
        for row in rows.iter().filter(|row| !row.choices.is_empty()) {
            write!(text, "\n| `{}` | meaning |\n|---|---|\n", row.key).expect("a string takes everything");
            for (value, meaning) in &row.choices {
                writeln!(text, "| `{value}` | {meaning} |").expect("a string takes everything");
            }
        }
    }
    text
}

/// What a section says before its keys: of the bus, which stores there are.
fn introduction(section: &Section, source: &Source) -> Vec<String> {
    if section.name.is_empty() {
        let stores =
            stores().iter().map(|name| format!("[`{name}`](#{name})")).collect::<Vec<_>>().join(", ");
        return vec![format!(
            "Beside these keys at most one section says where events are stored: {stores}. Without one it is `memory`."
        )];
    }
    paragraphs(&source.structure(section.structure).attrs)
}

impl Section {
    fn rows(&self) -> Vec<Row> {
        let source = Source::read(self.file);
        let fields = &source.structure(self.structure).fields;
        fields.iter().map(|field| self.row(field, &source)).collect()
    }

    fn row(&self, field: &Field, source: &Source) -> Row {
        let key = field.ident.as_ref().expect("its fields have names").to_string();
        let texts = paragraphs(&field.attrs);
        let meaning =
            texts.first().unwrap_or_else(|| panic!("`{key}` has no meaning: {}", self.file)).clone();
        let said = texts.get(1).map_or("", String::as_str);
        let (values, default) = match said.split_once("Default: ") {
            Some((values, default)) => (values, default.trim_end_matches('.')),
            None => (said, ""),
        };
        let (outer, argument) = names(&field.ty);
        let is_optional = outer == "Option" || serde(&field.attrs).contains("default");
        let kind = if outer == "Option" { names(argument.expect("an option of something")).0 } else { outer };
        let choices = enumeration(&kind, source).unwrap_or_default();
        let values = match values.trim().trim_end_matches('.') {
            "" if kind == "bool" => "true, false".to_owned(),
            "" => choices.iter().map(|(value, _)| format!("`{value}`")).collect::<Vec<_>>().join(", "),
            values => values.to_owned(),
        };
        assert!(!values.is_empty(), "`{key}` does not say what it takes: {}", self.file);
        assert_eq!(is_optional, !default.is_empty(), "a default of `{key}`: {}", self.file);
        let default = if is_optional { default.to_owned() } else { "required".to_owned() };
        // What is written by hand is an enum of another form, whose values have no names of their own.
        let choices = if said.is_empty() || said.starts_with("Default: ") { choices } else { Vec::new() };
        Row { section: self.name, key, values, default, meaning, choices }
    }
}

fn enumeration(name: &str, source: &Source) -> Option<Vec<(String, String)>> {
    let of = |source: &Source| source.enumeration(name).map(|item| choices(item, source));
    of(source).or_else(|| ELSEWHERE.iter().find_map(|path| of(&Source::read(path))))
}

/// How each variant is written and what it means.
fn choices(item: &ItemEnum, source: &Source) -> Vec<(String, String)> {
    if serde(&item.attrs).contains("untagged") {
        return Vec::new();
    }
    let rename_all = serde_value(&item.attrs, "rename_all");
    let choice = |variant| {
        let value = written(variant, rename_all.as_deref(), source);
        let meaning = paragraphs(&variant.attrs);
        let meaning = meaning.first().unwrap_or_else(|| panic!("{value} has no meaning"));
        (value, meaning.clone())
    };
    item.variants.iter().map(choice).collect()
}

const INTRODUCTION: &str = "# Configuration

Generated from the types that parse it by `cargo xtask docs`; do not edit.

`net_init` takes a JSON object of at most 1 MiB. Every key may be left out unless it is required, and null means its default. An unknown key, a wrong
type or a value out of range is `NET_ERR_INVALID_CONFIG`, and `net_last_error` starts with the key's path. Times end in their unit, sizes are in bytes
(1 KiB is 1,024 bytes).
";
