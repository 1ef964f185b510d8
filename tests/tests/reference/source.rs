//! Rust sources as far as the reference is made from them: structs and enums that serde reads or writes, and what their
//! documentation says.

use std::fs;

use harness::c::root;
use syn::{
    Attribute, Expr, ExprLit, Fields, GenericArgument, Item, ItemEnum, ItemStruct, Lit, Meta, PathArguments,
    Type, Variant,
};

/// One source file.
pub(crate) struct Source {
    path: &'static str,
    file: syn::File,
}

impl Source {
    /// Reads a file of the repository.
    pub(crate) fn read(path: &'static str) -> Source {
        let text = fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"));
        let file = syn::parse_file(&text).unwrap_or_else(|error| panic!("{path}: {error}"));
        Source { path, file }
    }

    /// A struct with named fields.
    pub(crate) fn structure(&self, name: &str) -> &ItemStruct {
        let found = self.file.items.iter().find_map(|item| match item {
            Item::Struct(item) if item.ident == name => Some(item),
            _ => None,
        });
        found.unwrap_or_else(|| panic!("{} has no struct {name}", self.path))
    }

    /// An enum, if there is one of that name.
    pub(crate) fn enumeration(&self, name: &str) -> Option<&ItemEnum> {
        self.file.items.iter().find_map(|item| match item {
            Item::Enum(item) if item.ident == name => Some(item),
            _ => None,
        })
    }
}

/// The paragraphs of a documentation, each on one line.
pub(crate) fn paragraphs(attributes: &[Attribute]) -> Vec<String> {
    let lines = attributes.iter().filter_map(|attribute| match &attribute.meta {
        Meta::NameValue(pair) if pair.path.is_ident("doc") => match &pair.value {
            Expr::Lit(ExprLit { lit: Lit::Str(line), .. }) => Some(line.value().trim().to_owned()),
            _ => None,
        },
        _ => None,
    });
    let lines: Vec<String> = lines.collect();
    lines.split(String::is_empty).map(|lines| lines.join(" ")).filter(|text| !text.is_empty()).collect()
}

/// What serde is told about an item, such as `flatten` or `rename = "shard"`, as it is written.
pub(crate) fn serde(attributes: &[Attribute]) -> String {
    let lists = attributes.iter().filter_map(|attribute| match &attribute.meta {
        Meta::List(list) if list.path.is_ident("serde") => Some(list.tokens.to_string()),
        _ => None,
    });
    lists.collect::<Vec<_>>().join(", ")
}

/// The text behind `key = ` in what serde is told.
pub(crate) fn serde_value(attributes: &[Attribute], key: &str) -> Option<String> {
    let said = serde(attributes);
    let quoted = said.split(&format!("{key} = \"")).nth(1)?;
    Some(quoted.split('"').next().expect("a part").to_owned())
}

/// The name of a type and of its first argument: `Option` and `u64` for `Option<u64>`.
pub(crate) fn names(kind: &Type) -> (String, Option<&Type>) {
    match kind {
        Type::Reference(reference) => names(&reference.elem),
        Type::Path(path) => {
            let last = path.path.segments.last().expect("a path has a name");
            let argument = match &last.arguments {
                PathArguments::AngleBracketed(list) => list.args.iter().find_map(|argument| match argument {
                    GenericArgument::Type(kind) => Some(kind),
                    _ => None,
                }),
                _ => None,
            };
            (last.ident.to_string(), argument)
        }
        _ => panic!("a type of another form"),
    }
}

/// How a variant is written in JSON, `n` standing for a number.
pub(crate) fn written(variant: &Variant, rename_all: Option<&str>, source: &Source) -> String {
    let name = match rename_all {
        Some("snake_case") => snake_case(&variant.ident.to_string()),
        Some("lowercase") => variant.ident.to_string().to_lowercase(),
        Some(other) => panic!("no names in {other}"),
        None => variant.ident.to_string(),
    };
    match &variant.fields {
        Fields::Unit => format!("\"{name}\""),
        Fields::Unnamed(fields) => {
            let (kind, _) = names(&fields.unnamed.first().expect("a tuple variant has a field").ty);
            if kind.starts_with("NonZero") {
                return format!("{{\"{name}\":n}}");
            }
            let inner = source
                .structure(&kind)
                .fields
                .iter()
                .map(|field| format!("\"{}\":n", field.ident.as_ref().expect("its fields have names")));
            format!("{{\"{name}\":{{{}}}}}", inner.collect::<Vec<_>>().join(","))
        }
        Fields::Named(_) => panic!("{name}: a variant of another form"),
    }
}

fn snake_case(name: &str) -> String {
    let mut snake = String::new();
    for character in name.chars() {
        if character.is_ascii_uppercase() && !snake.is_empty() {
            snake.push('_');
        }
        snake.push(character.to_ascii_lowercase());
    }
    snake
}
