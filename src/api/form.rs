//! The form of a body as its documented schema has it: which fields there are, of which type, and how long.

use std::{
    any::TypeId,
    collections::HashMap,
    sync::{Arc, LazyLock, PoisonError, RwLock},
};

use poem_openapi::{
    registry::{MetaSchema, MetaSchemaRef, Registry},
    types::Type,
};
use serde_json::{Map, Value};

use crate::domain::FieldError;

/// How many characters of an unknown field's name an answer repeats: the name comes from the client and can be long.
const MAX_NAME_CHARS: usize = 64;

/// The library builds a schema anew whenever it is asked for one, which takes longer than checking a body.
static FORMS: LazyLock<RwLock<HashMap<TypeId, Arc<Form>>>> = LazyLock::new(RwLock::default);

pub struct Form(Vec<Field>);

struct Field {
    name: &'static str,
    ty: &'static str,
    is_required: bool,
    is_nullable: bool,
    /// The values of an enum; empty for other types.
    choices: Vec<Value>,
    max_chars: usize,
}

impl Form {
    /// The form of a type of body. It is built once per type.
    pub fn of<T: Type + 'static>() -> Arc<Self> {
        let id = TypeId::of::<T>();
        let known = FORMS.read().unwrap_or_else(PoisonError::into_inner).get(&id).map(Arc::clone);
        known.unwrap_or_else(|| {
            let form = Arc::new(Self::build::<T>());
            FORMS.write().unwrap_or_else(PoisonError::into_inner).insert(id, Arc::clone(&form));
            form
        })
    }

    fn build<T: Type>() -> Self {
        let mut registry = Registry::new();
        let schema = registry.create_fake_schema::<T>();
        let properties = schema.properties.iter();
        let fields = properties.filter_map(|(name, property)| {
            let is_nullable = matches!(property, MetaSchemaRef::Inline(property) if property.nullable);
            let property = resolve(property, &registry)?;
            Some(Field {
                name,
                ty: property.ty,
                is_required: schema.required.contains(name),
                is_nullable,
                choices: property.enum_items.clone(),
                max_chars: property.max_length.unwrap_or(usize::MAX),
            })
        });
        Self(fields.collect())
    }

    /// Checks the members of an object. Returns an object that fits the form, with an empty string in place of each
    /// required member that is missing or wrong, and the errors.
    pub fn validate_object(&self, members: Vec<(String, Value)>) -> (Map<String, Value>, Vec<FieldError>) {
        let mut object = Map::new();
        let mut errors = Vec::new();
        for (name, value) in members {
            let Some(field) = self.0.iter().find(|field| field.name == name) else {
                errors.push(unknown(&name));
                continue;
            };
            if object.contains_key(&name) {
                let message = format!("The field {name} is repeated. Send it once.");
                errors.push(FieldError::new(name, "duplicate_field", message));
                continue;
            }
            match field.validate_value(&value) {
                Ok(()) => {
                    object.insert(name, value);
                }
                Err(error) => {
                    errors.push(error);
                    if field.is_required {
                        object.insert(name, Value::String(String::new()));
                    }
                }
            }
        }
        for field in self.0.iter().filter(|field| field.is_required) {
            if !object.contains_key(field.name) {
                errors.push(missing(field.name));
                object.insert(field.name.to_owned(), Value::String(String::new()));
            }
        }
        (object, errors)
    }
}

impl Field {
    fn validate_value(&self, value: &Value) -> Result<(), FieldError> {
        let name = self.name;
        let has_type = match value {
            Value::Null if self.is_nullable => return Ok(()),
            Value::String(_) => self.ty == "string",
            Value::Bool(_) => self.ty == "boolean",
            _ => false,
        };
        if !has_type {
            let or_null = if self.is_nullable { " or null" } else { "" };
            let message = format!("The field {name} must be a {}{or_null}.", self.ty);
            return Err(FieldError::new(name, "wrong_type", message));
        }
        if !self.choices.is_empty() && !self.choices.contains(value) {
            let choices: Vec<_> = self.choices.iter().filter_map(Value::as_str).collect();
            return Err(none_of(name, &choices));
        }
        let max = self.max_chars;
        if value.as_str().is_some_and(|text| text.chars().count() > max) {
            let message = format!("The field {name} must have at most {max} characters.");
            return Err(FieldError::new(name, "too_long", message));
        }
        Ok(())
    }
}

pub fn missing(name: &str) -> FieldError {
    FieldError::new(name, "required", format!("The field {name} is missing."))
}

/// A value that is not one of an enum's.
pub fn none_of(name: &str, choices: &[&str]) -> FieldError {
    let message = format!("The field {name} must be one of: {}.", choices.join(", "));
    FieldError::new(name, "unknown_value", message)
}

fn unknown(name: &str) -> FieldError {
    let name: String = name.chars().take(MAX_NAME_CHARS).collect();
    let message = format!("Unknown field {name}.");
    FieldError::new(name, "unknown_field", message)
}

/// The schema of a property or parameter, which may be a reference to one.
pub fn resolve<'r>(property: &'r MetaSchemaRef, registry: &'r Registry) -> Option<&'r MetaSchema> {
    match property {
        MetaSchemaRef::Reference(name) => registry.schemas.get(name),
        MetaSchemaRef::Inline(schema) => match schema.all_of.first() {
            Some(inner) => resolve(inner, registry),
            None => Some(schema),
        },
    }
}
