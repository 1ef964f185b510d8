//! What a generated header declares, statement by statement, and the C statement that prints its line of the list.

/// Something that programs rely on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Declaration {
    Constant {
        name: String,
    },
    Code {
        name: String,
    },
    /// A structure whose fields are the library's own.
    Opaque {
        name: String,
    },
    Alias {
        name: String,
        of: String,
    },
    Structure {
        name: String,
    },
    Field {
        structure: String,
        name: String,
        kind: String,
    },
    Function {
        name: String,
        kind: String,
    },
}

/// Everything in a header that `cargo xtask header` has written. Panics at a statement of
/// no known kind, since it would go unnoticed.
pub(super) fn declarations(header: &str) -> Vec<Declaration> {
    let mut declarations: Vec<Declaration> = header.lines().filter_map(constant).collect();
    for statement in statements(header) {
        declarations.extend(declared_by(&statement));
    }
    declarations
}

impl Declaration {
    /// A statement of C that prints its line.
    pub(super) fn probe(&self) -> String {
        match self {
            Declaration::Constant { name } => {
                format!(r#"printf("constant {name} %lld\n", (long long){name});"#)
            }
            Declaration::Code { name } => format!(r#"printf("code {name} %lld\n", (long long){name});"#),
            Declaration::Opaque { name } => format!(r#"puts("opaque {name}");"#),
            Declaration::Alias { name, of } => {
                format!(r#"printf("alias {name} size %zu {of}\n", sizeof({name}));"#)
            }
            Declaration::Structure { name } => {
                format!(
                    r#"printf("structure {name} size %zu align %zu\n", sizeof({name}), _Alignof({name}));"#
                )
            }
            Declaration::Field { structure, name, kind } => format!(
                r#"printf("field {structure}.{name} offset %zu size %zu {kind}\n", offsetof({structure}, {name}), sizeof((({structure} *)0)->{name}));"#
            ),
            Declaration::Function { name, kind } => format!(r#"puts("function {name} {kind}");"#),
        }
    }
}

/// `#define NAME value`; a guard has no value.
fn constant(line: &str) -> Option<Declaration> {
    let (name, _) = line.strip_prefix("#define ")?.split_once(' ')?;
    Some(Declaration::Constant { name: name.to_owned() })
}

/// The statements without comments, preprocessor lines and the braces around all of them, with single spaces.
fn statements(header: &str) -> Vec<String> {
    let mut text = String::new();
    let mut rest = header;
    while let Some((before, comment)) = rest.split_once("/*") {
        text.push_str(before);
        rest = comment.split_once("*/").map_or("", |(_, after)| after);
    }
    text.push_str(rest);
    let lines = text.lines().map(|line| line.split("//").next().unwrap_or_default());
    let lines = lines
        .filter(|line| !line.starts_with('#') && !line.starts_with("extern \"C\"") && line.trim() != "}");
    let text = lines.collect::<Vec<_>>().join(" ");
    let (mut statements, mut statement, mut depth) = (Vec::new(), String::new(), 0);
    for character in text.chars() {
        match character {
            '{' => depth += 1,
            '}' => depth -= 1,
            ';' if depth == 0 => {
                statements.push(spaced(&statement));
                statement.clear();
                continue;
            }
            _ => {}
        }
        statement.push(character);
    }
    assert_eq!(spaced(&statement), "", "a header ends with a statement");
    statements
}

fn declared_by(statement: &str) -> Vec<Declaration> {
    if let Some((head, body)) = statement.split_once('{') {
        let (body, name) = body.rsplit_once('}').expect("braces are closed");
        let name = name.trim().to_owned();
        return if head.starts_with("typedef enum") { codes(body) } else { structure(&name, body) };
    }
    if let Some(alias) = statement.strip_prefix("typedef ") {
        let (of, name) = split_name(alias);
        let is_opaque = of == format!("struct {name}");
        return vec![if is_opaque { Declaration::Opaque { name } } else { Declaration::Alias { name, of } }];
    }
    let (head, parameters) = statement.split_once('(').unwrap_or_else(|| panic!("unknown: {statement}"));
    let parameters = parameters.strip_suffix(')').unwrap_or_else(|| panic!("unknown: {statement}"));
    let (returned, name) = split_name(head);
    let parameters: Vec<String> = parameters.split(',').map(|parameter| split_name(parameter).0).collect();
    vec![Declaration::Function { name, kind: format!("{returned} ({})", parameters.join(", ")) }]
}

fn codes(body: &str) -> Vec<Declaration> {
    let names = body.split(',').filter_map(|code| code.split_whitespace().next());
    names.map(|name| Declaration::Code { name: name.to_owned() }).collect()
}

fn structure(structure: &str, body: &str) -> Vec<Declaration> {
    let mut declarations = vec![Declaration::Structure { name: structure.to_owned() }];
    for field in body.split(';').map(str::trim).filter(|field| !field.is_empty()) {
        let (field, count) = field.split_once('[').map_or((field, ""), |(field, count)| (field, count));
        let (kind, name) = split_name(field);
        let kind = if count.is_empty() { kind } else { format!("{kind} [{count}") };
        declarations.push(Declaration::Field { structure: structure.to_owned(), name, kind });
    }
    declarations
}

/// A type and the name behind it. `void`, which has no name, is a type.
fn split_name(declaration: &str) -> (String, String) {
    let declaration = spaced(declaration);
    let is_name = |character: char| character.is_ascii_alphanumeric() || character == '_';
    let kind = declaration.trim_end_matches(is_name);
    if kind.is_empty() {
        return (declaration.clone(), String::new());
    }
    (kind.trim_end().to_owned(), declaration[kind.len()..].to_owned())
}

fn spaced(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_of_statement_is_read() {
        let header = "#define NET_H\n#define LIMIT 7\n/** A code. */\ntypedef enum e_t {\n  /* x; */\n  A = 0,\n  B = -1,\n} e_t;\n\
            typedef struct o_t o_t;\ntypedef void *h_t;\ntypedef struct s_t {\n  const char *raw;\n  uint64_t r[4];\n} s_t;\n\
            #ifdef __cplusplus\nextern \"C\" {\n#endif // __cplusplus\nconst char *text(void);\nint poll(h_t handle,\n  \
            const char *const *out, struct s_t **s);\n#ifdef __cplusplus\n}  // extern \"C\"\n#endif\n";
        let lines: Vec<String> = declarations(header).iter().map(shown).collect();
        assert_eq!(
            lines,
            [
                "LIMIT",
                "A",
                "B",
                "opaque o_t",
                "h_t = void *",
                "s_t",
                "s_t.raw: const char *",
                "s_t.r: uint64_t [4]",
                "text: const char * (void)",
                "poll: int (h_t, const char *const *, struct s_t **)",
            ]
        );
    }

    fn shown(declaration: &Declaration) -> String {
        match declaration {
            Declaration::Constant { name } | Declaration::Code { name } | Declaration::Structure { name } => {
                name.clone()
            }
            Declaration::Opaque { name } => format!("opaque {name}"),
            Declaration::Alias { name, of } => format!("{name} = {of}"),
            Declaration::Field { structure, name, kind } => format!("{structure}.{name}: {kind}"),
            Declaration::Function { name, kind } => format!("{name}: {kind}"),
        }
    }
}
