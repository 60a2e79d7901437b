//! Values and rows as PostgreSQL sends them (<https://www.postgresql.org/docs/current/protocol-overview.html>, "Formats and
//! Format Codes").

use std::{error, fmt};

use bytes::{BufMut, BytesMut};
use tokio_postgres::types::{FromSql, IsNull, ToSql, Type, to_sql_checked};

use crate::store::sql::{Cell, Cells, Value};

type Refusal = Box<dyn error::Error + Sync + Send>;

/// A parameter, encoded by the type that the server has inferred for it.
pub(super) struct Parameter<'a>(pub(super) Value<'a>);

/// Without the value: tokio-postgres logs its parameters.
impl fmt::Debug for Parameter<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("?")
    }
}

impl Parameter<'_> {
    /// The type of a parameter in a statement that is not prepared.
    pub(super) fn own_type(&self) -> Type {
        match self.0 {
            Value::Null => Type::UNKNOWN,
            Value::Int(_) => Type::INT8,
            Value::Text(_) => Type::TEXT,
            Value::Blob(bytes) if bytes.len() == 16 => Type::UUID,
            Value::Blob(_) => Type::BYTEA,
        }
    }
}

impl ToSql for Parameter<'_> {
    fn to_sql(&self, kind: &Type, out: &mut BytesMut) -> Result<IsNull, Refusal> {
        match (self.0, kind) {
            (Value::Null, _) => return Ok(IsNull::Yes),
            (Value::Int(number), &Type::INT8) => out.put_i64(number),
            (Value::Int(number), &Type::INT4) => out.put_i32(number.try_into()?),
            (Value::Int(number), &Type::INT2) => out.put_i16(number.try_into()?),
            (Value::Int(number), &Type::BOOL) => out.put_u8(u8::from(number != 0)),
            (Value::Text(text), &Type::TEXT | &Type::VARCHAR | &Type::BPCHAR) => {
                out.extend_from_slice(text.as_bytes());
            }
            (Value::Blob(bytes), &Type::BYTEA) => out.extend_from_slice(bytes),
            (Value::Blob(bytes), &Type::UUID) if bytes.len() == 16 => out.extend_from_slice(bytes),
            _ => return Err(format!("the server wants {kind}, which the value is not").into()),
        }
        Ok(IsNull::No)
    }

    fn accepts(_: &Type) -> bool {
        true
    }

    to_sql_checked!();
}

impl<'r> FromSql<'r> for Cell<'r> {
    fn from_sql(kind: &Type, raw: &'r [u8]) -> Result<Self, Refusal> {
        Ok(match *kind {
            Type::INT8 => Cell::Int(i64::from_sql(kind, raw)?),
            Type::INT4 => Cell::Int(i32::from_sql(kind, raw)?.into()),
            Type::INT2 => Cell::Int(i16::from_sql(kind, raw)?.into()),
            Type::BOOL => Cell::Int(bool::from_sql(kind, raw)?.into()),
            Type::TEXT | Type::VARCHAR | Type::BPCHAR => Cell::Text(std::str::from_utf8(raw)?),
            Type::UUID | Type::BYTEA => Cell::Blob(raw),
            _ => return Err(format!("no column has the type {kind}").into()),
        })
    }

    fn from_sql_null(_: &Type) -> Result<Self, Refusal> {
        Ok(Cell::Null)
    }

    fn accepts(_: &Type) -> bool {
        true
    }
}

impl Cells for tokio_postgres::Row {
    fn cell(&self, column: usize) -> Option<Cell<'_>> {
        self.try_get(column).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn encoded(value: Value<'_>, kind: &Type) -> Option<Vec<u8>> {
        let mut out = BytesMut::new();
        Parameter(value).to_sql(kind, &mut out).ok().map(|_| out.to_vec())
    }

    #[test]
    fn a_value_is_encoded_by_the_type_of_its_place() {
        for (kind, bytes) in [
            (Type::INT8, Some(vec![0, 0, 0, 0, 0, 0, 0, 1])),
            (Type::INT4, Some(vec![0, 0, 0, 1])),
            (Type::INT2, Some(vec![0, 1])),
            (Type::BOOL, Some(vec![1])),
            (Type::TEXT, None),
        ] {
            assert_eq!(encoded(Value::Int(1), &kind), bytes, "{kind}");
        }
        assert_eq!(encoded(Value::Int(1 << 40), &Type::INT4), None, "too large");
        assert_eq!(encoded(Value::Blob(&[7; 16]), &Type::UUID), Some(vec![7; 16]));
        assert_eq!(encoded(Value::Blob(&[7; 16]), &Type::BYTEA), Some(vec![7; 16]));
        assert_eq!(encoded(Value::Blob(&[7; 15]), &Type::UUID), None);
        assert_eq!(encoded(Value::Text("a"), &Type::BYTEA), None);
    }

    #[test]
    fn a_parameter_does_not_show_its_value() {
        assert_eq!(format!("{:?}", Parameter(Value::Text("secret"))), "?");
    }
}
