//! As much GraphQL as the sandbox needs: it reads an operation with its fragments and answers by
//! selection, so a field that the object does not have is refused as the real server refuses it.

use std::collections::HashMap;

use serde_json::{Map, Value, json};

#[derive(Clone, Debug)]
pub(super) enum Selection {
    Field {
        alias: String,
        name: String,
        arguments: Map<String, Value>,
        inner: Vec<Selection>,
    },
    Spread(String),
    Inline(Vec<Selection>),
}

/// One parsed document: its operation and fragments.
#[derive(Debug, Default)]
pub(super) struct Document {
    pub(super) is_mutation: bool,
    pub(super) roots: Vec<Selection>,
    fragments: HashMap<String, Vec<Selection>>,
}

/// A root field with its arguments resolved, ready to be answered.
#[derive(Debug)]
pub(super) struct Root<'a> {
    pub(super) alias: &'a str,
    pub(super) name: &'a str,
    pub(super) arguments: &'a Map<String, Value>,
    pub(super) inner: &'a [Selection],
}

impl Document {
    /// # Errors
    /// A sentence about the first thing that cannot be read.
    pub(super) fn parse(text: &str, variables: &Value) -> Result<Self, String> {
        let mut parser = Parser {
            tokens: lex(text)?,
            at: 0,
            variables,
        };
        let mut document = Self::default();
        while let Some(token) = parser.peek() {
            match token {
                Token::Mark('{') => document.roots = parser.selections()?,
                Token::Name(word) if word == "fragment" => {
                    parser.next();
                    let name = parser.name()?;
                    // "on" and the type.
                    parser.name()?;
                    parser.name()?;
                    document.fragments.insert(name, parser.selections()?);
                }
                Token::Name(word) if word == "query" || word == "mutation" => {
                    document.is_mutation = word == "mutation";
                    parser.next();
                    while !matches!(parser.peek(), Some(Token::Mark('{')) | None) {
                        if matches!(parser.peek(), Some(Token::Mark('('))) {
                            parser.skip_group()?;
                        } else {
                            parser.next();
                        }
                    }
                    document.roots = parser.selections()?;
                }
                other => return Err(format!("syntax error, unexpected {other:?}")),
            }
        }
        if document.roots.is_empty() {
            return Err("no operation in the document".to_owned());
        }
        Ok(document)
    }

    /// The fields of the operation itself.
    pub(super) fn root_fields(&self) -> Vec<Root<'_>> {
        self.roots
            .iter()
            .filter_map(|selection| match selection {
                Selection::Field {
                    alias,
                    name,
                    arguments,
                    inner,
                } => Some(Root {
                    alias,
                    name,
                    arguments,
                    inner,
                }),
                _ => None,
            })
            .collect()
    }

    /// The part of `object` that was asked for; `kind` names the object in refusals.
    pub(super) fn select(
        &self,
        object: &Value,
        inner: &[Selection],
        kind: &str,
    ) -> Result<Value, String> {
        match object {
            Value::Array(items) => items
                .iter()
                .map(|item| self.select(item, inner, kind))
                .collect(),
            Value::Object(map) => {
                let mut chosen = Map::new();
                self.select_into(&mut chosen, map, inner, kind)?;
                Ok(Value::Object(chosen))
            }
            other => Ok(other.clone()),
        }
    }

    fn select_into(
        &self,
        chosen: &mut Map<String, Value>,
        object: &Map<String, Value>,
        selections: &[Selection],
        kind: &str,
    ) -> Result<(), String> {
        for selection in selections {
            match selection {
                Selection::Inline(inner) => self.select_into(chosen, object, inner, kind)?,
                Selection::Spread(name) => {
                    let inner = self
                        .fragments
                        .get(name)
                        .ok_or_else(|| format!("Fragment {name} was used, but not defined"))?;
                    self.select_into(chosen, object, inner, kind)?;
                }
                Selection::Field { alias, name, .. } if name == "__typename" => {
                    chosen.insert(alias.clone(), json!(kind));
                }
                Selection::Field {
                    alias, name, inner, ..
                } => {
                    let value = object
                        .get(name)
                        .ok_or_else(|| format!("Field '{name}' doesn't exist on type '{kind}'"))?;
                    let is_object = value.is_object()
                        || value
                            .as_array()
                            .is_some_and(|a| a.iter().any(Value::is_object));
                    if is_object && inner.is_empty() {
                        return Err(format!("Field '{name}' must have selections"));
                    }
                    if !is_object && !inner.is_empty() && !value.is_null() && !is_empty(value) {
                        return Err(format!("Selections can't be made on scalars ('{name}')"));
                    }
                    chosen.insert(alias.clone(), self.select(value, inner, name)?);
                }
            }
        }
        Ok(())
    }
}

fn is_empty(value: &Value) -> bool {
    value.as_array().is_some_and(Vec::is_empty)
}

#[derive(Clone, Debug, PartialEq)]
enum Token {
    Name(String),
    Text(String),
    Number(String),
    Variable(String),
    Spread,
    Mark(char),
}

fn lex(text: &str) -> Result<Vec<Token>, String> {
    let mut tokens = Vec::new();
    let mut rest = text.chars().peekable();
    while let Some(&c) = rest.peek() {
        match c {
            '#' => while rest.next_if(|c| *c != '\n').is_some() {},
            '.' => {
                while rest.next_if_eq(&'.').is_some() {}
                tokens.push(Token::Spread);
            }
            '$' => {
                rest.next();
                tokens.push(Token::Variable(take(&mut rest, is_name)));
            }
            '"' => {
                rest.next();
                tokens.push(Token::Text(string(&mut rest)?));
            }
            c if c.is_ascii_digit() || c == '-' => {
                let number =
                    |c: char| c.is_ascii_digit() || matches!(c, '-' | '+' | '.' | 'e' | 'E');
                tokens.push(Token::Number(take(&mut rest, number)));
            }
            c if is_name(c) => tokens.push(Token::Name(take(&mut rest, is_name))),
            c if "{}()[]:!=@|&".contains(c) => {
                rest.next();
                tokens.push(Token::Mark(c));
            }
            c if c.is_whitespace() || c == ',' || c == '\u{feff}' => {
                rest.next();
            }
            other => return Err(format!("syntax error, unexpected character {other:?}")),
        }
    }
    Ok(tokens)
}

fn is_name(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '_'
}

fn take(
    rest: &mut std::iter::Peekable<std::str::Chars<'_>>,
    keep: impl Fn(char) -> bool,
) -> String {
    let mut word = String::new();
    while let Some(c) = rest.next_if(|c| keep(*c)) {
        word.push(c);
    }
    word
}

fn string(rest: &mut std::iter::Peekable<std::str::Chars<'_>>) -> Result<String, String> {
    let mut text = String::new();
    while let Some(c) = rest.next() {
        match c {
            '"' => return Ok(text),
            '\\' => match rest.next() {
                Some('n') => text.push('\n'),
                Some(escaped) => text.push(escaped),
                None => break,
            },
            other => text.push(other),
        }
    }
    Err("a text does not end".to_owned())
}

struct Parser<'a> {
    tokens: Vec<Token>,
    at: usize,
    variables: &'a Value,
}

impl Parser<'_> {
    fn peek(&self) -> Option<&Token> {
        self.tokens.get(self.at)
    }

    fn next(&mut self) -> Option<Token> {
        let token = self.tokens.get(self.at).cloned();
        self.at += 1;
        token
    }

    fn take_mark(&mut self, mark: char) -> bool {
        let found = self.peek() == Some(&Token::Mark(mark));
        self.at += usize::from(found);
        found
    }

    fn name(&mut self) -> Result<String, String> {
        match self.next() {
            Some(Token::Name(name)) => Ok(name),
            other => Err(format!("syntax error, expected a name, found {other:?}")),
        }
    }

    fn skip_group(&mut self) -> Result<(), String> {
        let mut depth = 0;
        loop {
            match self.next() {
                Some(Token::Mark('(' | '[' | '{')) => depth += 1,
                Some(Token::Mark(')' | ']' | '}')) => depth -= 1,
                Some(_) => {}
                None => return Err("a bracket does not close".to_owned()),
            }
            if depth == 0 {
                return Ok(());
            }
        }
    }

    fn selections(&mut self) -> Result<Vec<Selection>, String> {
        if !self.take_mark('{') {
            return Err("syntax error, expected {".to_owned());
        }
        let mut found = Vec::new();
        while !self.take_mark('}') {
            if self.peek() == Some(&Token::Spread) {
                self.next();
                let is_inline = match self.peek() {
                    Some(Token::Name(word)) => word == "on",
                    _ => true,
                };
                if is_inline {
                    while !matches!(self.peek(), Some(Token::Mark('{')) | None) {
                        self.next();
                    }
                    found.push(Selection::Inline(self.selections()?));
                } else {
                    found.push(Selection::Spread(self.name()?));
                }
                continue;
            }
            let first = self.name()?;
            let name = if self.take_mark(':') {
                self.name()?
            } else {
                first.clone()
            };
            let arguments = self.arguments()?;
            while self.take_mark('@') {
                self.name()?;
                self.arguments()?;
            }
            let inner = match self.peek() {
                Some(Token::Mark('{')) => self.selections()?,
                _ => Vec::new(),
            };
            found.push(Selection::Field {
                alias: first,
                name,
                arguments,
                inner,
            });
        }
        Ok(found)
    }

    fn arguments(&mut self) -> Result<Map<String, Value>, String> {
        let mut arguments = Map::new();
        if self.take_mark('(') {
            while !self.take_mark(')') {
                let name = self.name()?;
                if !self.take_mark(':') {
                    return Err(format!("syntax error after argument {name}"));
                }
                arguments.insert(name, self.value()?);
            }
        }
        Ok(arguments)
    }

    fn value(&mut self) -> Result<Value, String> {
        match self.next() {
            Some(Token::Variable(name)) => {
                Ok(self.variables.get(&name).cloned().unwrap_or(Value::Null))
            }
            Some(Token::Text(text)) => Ok(Value::String(text)),
            Some(Token::Number(number)) => {
                serde_json::from_str(&number).map_err(|_| format!("{number} is no number"))
            }
            Some(Token::Name(word)) => Ok(match word.as_str() {
                "true" => Value::Bool(true),
                "false" => Value::Bool(false),
                "null" => Value::Null,
                _ => Value::String(word),
            }),
            Some(Token::Mark('[')) => {
                let mut items = Vec::new();
                while !self.take_mark(']') {
                    items.push(self.value()?);
                }
                Ok(Value::Array(items))
            }
            Some(Token::Mark('{')) => {
                let mut map = Map::new();
                while !self.take_mark('}') {
                    let name = self.name()?;
                    if !self.take_mark(':') {
                        return Err(format!("syntax error after field {name}"));
                    }
                    map.insert(name, self.value()?);
                }
                Ok(Value::Object(map))
            }
            other => Err(format!("syntax error, expected a value, found {other:?}")),
        }
    }
}
