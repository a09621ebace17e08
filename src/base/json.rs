//! JSON documents read into types.
//!
//! `serde_json` compiles what reads a struct once for text and once for values, each time also for an array in the
//! struct's place, and a wrapper that finds the path to an error once more: together a sixth of the Worker. Everything
//! here is read by way of [`Value`], with one deserializer that keeps the path itself and takes no array for a struct.
//!
//! A struct is read field by field, in the order of its fields, as serde reads a sequence into one: that takes half the code
//! of a loop over members, which has to tell their names apart and to remember which it met. So `deny_unknown_fields` has no
//! effect here; what callers send is checked against a schema before. A member that has several names is a field with all of
//! them in its own, `|` between them, and the first that is there and says something counts, which `null` and the empty text do not:
//! serde's `alias` would make places of its own.

use std::fmt;

use serde::{
    Deserializer,
    de::{
        DeserializeOwned, DeserializeSeed, EnumAccess, Error as _, Expected, MapAccess, SeqAccess, Unexpected,
        VariantAccess, Visitor, value::MapDeserializer,
    },
};
use serde_json::{Map, Value};

use super::strict::NUMBER;

/// Reads a document. If a name appears twice, the last member counts; `base::strict` refuses such documents.
///
/// # Errors
/// The text is no JSON, or not of this type.
pub fn read<T: DeserializeOwned>(document: &[u8]) -> Result<T, Unread> {
    from_value(serde_json::from_slice(document).map_err(Unread::Syntax)?)
}

/// Reads a JSON value.
///
/// # Errors
/// [`Unread::Shape`]: the value is not of this type.
pub fn from_value<T: DeserializeOwned>(value: Value) -> Result<T, Unread> {
    T::deserialize(Source(Some(value)))
}

/// Why a document was not read.
#[derive(Debug)]
pub enum Unread {
    /// It is no JSON (RFC 8259).
    Syntax(serde_json::Error),
    /// A member is not there, which what reads it finds out first: no whole document is read as this.
    Absent,
    /// It is JSON of another shape.
    Shape {
        /// Where, such as `labels.env` or `sql[1]`; empty for the whole.
        path: String,
        /// The same without data, such as `labels.*`: the names of a map's members are data, those of a struct are not.
        place: String,
        /// What is wrong there. It may repeat the value.
        problem: String,
    },
}

impl Unread {
    /// The same, seen from outside an element or a member of a struct.
    fn within(self, outer: &str) -> Self {
        self.within_named(outer, outer)
    }

    /// The same, seen from outside a member that has one name for its sender and another in the log.
    fn within_named(self, outer: &str, loggable: &str) -> Self {
        match self {
            Self::Shape { path, place, problem } => {
                Self::Shape { path: joined(outer, &path), place: joined(loggable, &place), problem }
            }
            other => other,
        }
    }
}

fn joined(outer: &str, path: &str) -> String {
    let dot = if path.is_empty() || path.starts_with('[') { "" } else { "." };
    format!("{outer}{dot}{path}")
}

impl fmt::Display for Unread {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Syntax(error) => error.fmt(to),
            Self::Absent => to.write_str("it is missing"),
            Self::Shape { path, problem, .. } => write!(to, "{path}: {problem}"),
        }
    }
}

impl std::error::Error for Unread {}

impl serde::de::Error for Unread {
    fn custom<T: fmt::Display>(problem: T) -> Self {
        Self::Shape { path: String::new(), place: String::new(), problem: problem.to_string() }
    }

    fn invalid_type(found: Unexpected<'_>, expected: &dyn Expected) -> Self {
        Self::custom(format_args!("invalid type: {}, expected {expected}", Found(found)))
    }

    fn invalid_value(found: Unexpected<'_>, expected: &dyn Expected) -> Self {
        Self::custom(format_args!("invalid value: {}, expected {expected}", Found(found)))
    }
}

/// The value found in place of the expected one. A number with a fraction is written as JSON writes it: the standard
/// library's formatting of one is 15 KiB of the Worker.
struct Found<'a>(Unexpected<'a>);

impl fmt::Display for Found<'_> {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Unexpected::Bool(value) => write!(to, "boolean `{value}`"),
            Unexpected::Unsigned(value) => write!(to, "integer `{value}`"),
            Unexpected::Signed(value) => write!(to, "integer `{value}`"),
            Unexpected::Float(value) => write!(to, "floating point `{}`", Value::from(value)),
            Unexpected::Char(value) => write!(to, "character `{value}`"),
            Unexpected::Str(text) => write!(to, "string {text:?}"),
            Unexpected::Bytes(_) => to.write_str("byte array"),
            Unexpected::Unit => to.write_str("unit value"),
            Unexpected::Option => to.write_str("Option value"),
            Unexpected::NewtypeStruct => to.write_str("newtype struct"),
            Unexpected::Seq => to.write_str("sequence"),
            Unexpected::Map => to.write_str("map"),
            Unexpected::Enum => to.write_str("enum"),
            Unexpected::UnitVariant => to.write_str("unit variant"),
            Unexpected::NewtypeVariant => to.write_str("newtype variant"),
            Unexpected::TupleVariant => to.write_str("tuple variant"),
            Unexpected::StructVariant => to.write_str("struct variant"),
            Unexpected::Other(what) => to.write_str(what),
        }
    }
}

/// A value that is being read; `None` in place of a member that is not there.
struct Source(Option<Value>);

impl Source {
    /// Of another type than the visitor reads.
    fn other<'de, V: Visitor<'de>>(&self, visitor: &V) -> Unread {
        let Some(value) = &self.0 else { return Unread::Absent };
        let found = match value {
            Value::Null => Unexpected::Other("null"),
            Value::Bool(value) => Unexpected::Bool(*value),
            Value::Number(number) => match (number.as_u64(), number.as_i64()) {
                (Some(value), _) => Unexpected::Unsigned(value),
                (None, Some(value)) => Unexpected::Signed(value),
                (None, None) => Unexpected::Other("a number that is no integer of 64 bits"),
            },
            Value::String(text) => Unexpected::Str(text),
            Value::Array(_) => Unexpected::Seq,
            Value::Object(_) => Unexpected::Map,
        };
        Unread::invalid_type(found, visitor)
    }

    fn number<'de, V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Unread> {
        match &self.0 {
            Some(Value::Number(number)) => match (number.as_u64(), number.as_i64()) {
                (Some(value), _) => visitor.visit_u64(value),
                (None, Some(value)) => visitor.visit_i64(value),
                // No type here holds a fraction: what reads and prints floating point would be 30 KiB of the Worker.
                (None, None) => Err(self.other(&visitor)),
            },
            _ => Err(self.other(&visitor)),
        }
    }

    fn scalar<'de, V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Unread> {
        match self.0 {
            Some(Value::Null) => visitor.visit_unit(),
            Some(Value::Bool(value)) => visitor.visit_bool(value),
            Some(Value::Number(_)) => self.number(visitor),
            Some(Value::String(text)) => visitor.visit_string(text),
            Some(Value::Array(_) | Value::Object(_)) | None => Err(self.other(&visitor)),
        }
    }

    fn text<'de, V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Unread> {
        match self.0 {
            Some(Value::String(text)) => visitor.visit_string(text),
            _ => Err(self.other(&visitor)),
        }
    }

    fn elements<'de, V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Unread> {
        match self.0 {
            Some(Value::Array(elements)) => visitor.visit_seq(Elements { left: elements.into_iter(), read: 0 }),
            _ => Err(self.other(&visitor)),
        }
    }

    /// Reads a struct with these fields.
    fn fields<'de, V: Visitor<'de>>(self, names: &'static [&'static str], visitor: V) -> Result<V::Value, Unread> {
        match self.0 {
            Some(Value::Object(members)) => {
                let mut fields = Fields { members, names: names.iter(), absent: None };
                let read = visitor.visit_seq(&mut fields);
                debug_assert!(read.is_err() || fields.names.len() == 0, "a field has an alias: see `base::json`");
                match fields.absent {
                    // What a field without a default makes of an end of the sequence.
                    Some(name) => read.map_err(|_| Unread::custom(format_args!("missing field `{name}`"))),
                    None => read,
                }
            }
            _ => Err(self.other(&visitor)),
        }
    }

    /// Reads a map.
    fn entries<'de, V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Unread> {
        match self.0 {
            Some(Value::Object(members)) => visitor.visit_map(Members { left: members.into_iter(), value: None }),
            _ => Err(self.other(&visitor)),
        }
    }
}

/// The methods of one kind of type, which all do the same.
macro_rules! alike {
    ($($method:ident)*: $reader:ident) => {$(
        fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Unread> {
            self.$reader(visitor)
        }
    )*};
}

impl<'de> Deserializer<'de> for Source {
    type Error = Unread;

    alike!(deserialize_i8 deserialize_i16 deserialize_i32 deserialize_i64: number);
    alike!(deserialize_u8 deserialize_u16 deserialize_u32 deserialize_u64: number);
    alike!(deserialize_f32 deserialize_f64: number);
    alike!(deserialize_char deserialize_str deserialize_string deserialize_identifier: text);
    alike!(deserialize_seq: elements);
    alike!(deserialize_map: entries);
    alike!(deserialize_bool deserialize_bytes deserialize_byte_buf deserialize_unit: scalar);

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Unread> {
        match self.0 {
            // What reads any value keeps all digits of a number, as `serde_json` passes them on (`arbitrary_precision`).
            Some(Value::Number(ref number)) if !number.is_u64() && !number.is_i64() => {
                let digits = std::iter::once((NUMBER, number.as_str().to_owned()));
                visitor.visit_map(MapDeserializer::new(digits))
            }
            Some(Value::Number(_)) => self.number(visitor),
            Some(Value::Array(_)) => self.elements(visitor),
            Some(Value::Object(_)) => self.entries(visitor),
            _ => self.scalar(visitor),
        }
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Unread> {
        match self.0 {
            None | Some(Value::Null) => visitor.visit_none(),
            Some(_) => visitor.visit_some(self),
        }
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        names: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Unread> {
        self.fields(names, visitor)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Unread> {
        let variant = match self.0 {
            Some(Value::String(name)) => Variant { name, content: None },
            Some(Value::Object(ref members)) if members.len() != 1 => return Err(self.other(&visitor)),
            Some(Value::Object(members)) => match members.into_iter().next() {
                Some((name, content)) => Variant { name, content: Some(content) },
                None => return Err(Self(Some(Value::Null)).other(&visitor)),
            },
            _ => return Err(self.other(&visitor)),
        };
        visitor.visit_enum(variant)
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(self, _: &'static str, visitor: V) -> Result<V::Value, Unread> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_unit_struct<V: Visitor<'de>>(self, _: &'static str, visitor: V) -> Result<V::Value, Unread> {
        self.deserialize_any(visitor)
    }

    fn deserialize_tuple<V: Visitor<'de>>(self, _: usize, visitor: V) -> Result<V::Value, Unread> {
        self.elements(visitor)
    }

    fn deserialize_tuple_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: usize,
        visitor: V,
    ) -> Result<V::Value, Unread> {
        self.elements(visitor)
    }

    fn deserialize_ignored_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Unread> {
        self.0.map_or(Err(Unread::Absent), |_| visitor.visit_unit())
    }
}

/// The remaining elements of an array, and how many were read.
struct Elements {
    left: std::vec::IntoIter<Value>,
    read: usize,
}

impl<'de> SeqAccess<'de> for Elements {
    type Error = Unread;

    fn next_element_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<Option<T::Value>, Unread> {
        let Some(element) = self.left.next() else { return Ok(None) };
        let at = self.read;
        self.read += 1;
        seed.deserialize(Source(Some(element))).map(Some).map_err(|error| error.within(&format!("[{at}]")))
    }

    fn size_hint(&self) -> Option<usize> {
        Some(self.left.len())
    }
}

/// The members of a struct in the order of its fields.
struct Fields {
    members: Map<String, Value>,
    /// The fields that are left.
    names: std::slice::Iter<'static, &'static str>,
    /// The last field, if it is not there and its type needs it.
    absent: Option<&'static str>,
}

impl Fields {
    /// The member with one of these names that says something; else the first that is there.
    fn take(&mut self, names: &str) -> Option<Value> {
        let found = names.split('|').filter_map(|name| self.members.remove(name));
        found.min_by_key(|value| value.is_null() || value.as_str() == Some(""))
    }
}

impl<'de> SeqAccess<'de> for &mut Fields {
    type Error = Unread;

    fn next_element_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<Option<T::Value>, Unread> {
        let Some(name) = self.names.next() else { return Ok(None) };
        self.absent = None;
        match seed.deserialize(Source(self.take(name))) {
            // The field has a default, or the struct is refused.
            Err(Unread::Absent) => {
                self.absent = Some(name);
                Ok(None)
            }
            read => read.map(Some).map_err(|error| error.within(name.split('|').next().unwrap_or(name))),
        }
    }
}

/// The remaining members of a map, and the one whose name was read. Their names are data.
struct Members {
    left: <Map<String, Value> as IntoIterator>::IntoIter,
    value: Option<(String, Value)>,
}

impl<'de> MapAccess<'de> for Members {
    type Error = Unread;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, Unread> {
        let Some((name, value)) = self.left.next() else { return Ok(None) };
        let key = seed.deserialize(Name(&name));
        self.value = Some((name, value));
        key.map(Some)
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, Unread> {
        let (name, value) = self.value.take().unwrap_or_default();
        seed.deserialize(Source(Some(value))).map_err(|error| error.within_named(&name, "*"))
    }
}

/// The name of a member or of a variant.
struct Name<'a>(&'a str);

impl<'de> Deserializer<'de> for Name<'_> {
    type Error = Unread;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Unread> {
        visitor.visit_str(self.0)
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(self, _: &'static str, visitor: V) -> Result<V::Value, Unread> {
        visitor.visit_newtype_struct(self)
    }

    serde::forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf option unit unit_struct
        seq tuple tuple_struct map struct enum identifier ignored_any
    }
}

/// A variant by name, with what it holds.
struct Variant {
    name: String,
    content: Option<Value>,
}

impl<'de> EnumAccess<'de> for Variant {
    type Error = Unread;
    type Variant = Content;

    fn variant_seed<V: DeserializeSeed<'de>>(self, seed: V) -> Result<(V::Value, Content), Unread> {
        let variant = seed.deserialize(Name(&self.name))?;
        Ok((variant, Content { name: self.name, value: self.content }))
    }
}

/// What a variant holds.
struct Content {
    name: String,
    value: Option<Value>,
}

impl Content {
    fn read<T>(self, read: impl FnOnce(Source) -> Result<T, Unread>) -> Result<T, Unread> {
        read(Source(Some(self.value.unwrap_or_default()))).map_err(|error| error.within(&self.name))
    }
}

impl<'de> VariantAccess<'de> for Content {
    type Error = Unread;

    fn unit_variant(self) -> Result<(), Unread> {
        self.value.map_or(Ok(()), |_| Err(Unread::custom("this variant holds nothing")))
    }

    fn newtype_variant_seed<T: DeserializeSeed<'de>>(self, seed: T) -> Result<T::Value, Unread> {
        self.read(|source| seed.deserialize(source))
    }

    fn tuple_variant<V: Visitor<'de>>(self, _: usize, visitor: V) -> Result<V::Value, Unread> {
        self.read(|source| source.elements(visitor))
    }

    fn struct_variant<V: Visitor<'de>>(self, names: &'static [&'static str], visitor: V) -> Result<V::Value, Unread> {
        self.read(|source| source.fields(names, visitor))
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;
    use serde::{Deserialize, Serialize};
    use serde_json::json;

    use super::*;

    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    enum Kind {
        Nothing,
        One(u8),
        Two(u8, String),
        Named { left: i64 },
    }

    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    struct Wrapped(String);

    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Whole {
        small_number: u8,
        signed: i64,
        flag: bool,
        letter: char,
        text: Option<Wrapped>,
        kinds: Vec<Kind>,
        pair: (u8, bool),
        map: BTreeMap<String, Vec<u16>>,
        any: Value,
        unit: (),
        #[serde(default)]
        missing: Option<u8>,
    }

    fn whole() -> Whole {
        Whole {
            small_number: 255,
            signed: i64::MIN,
            flag: true,
            letter: 'é',
            text: Some(Wrapped("text".to_owned())),
            kinds: vec![Kind::Nothing, Kind::One(1), Kind::Two(2, "b".to_owned()), Kind::Named { left: -3 }],
            pair: (7, false),
            map: BTreeMap::from([("a".to_owned(), vec![1, 2]), (String::new(), vec![])]),
            any: json!({"nested": [null, 1, "two", {"three": 3.5}]}),
            unit: (),
            missing: None,
        }
    }

    #[test]
    fn what_serde_writes_is_read_again() {
        let written = serde_json::to_vec(&whole()).unwrap();
        assert_eq!(read::<Whole>(&written).unwrap(), whole());
    }

    #[test]
    fn an_error_names_its_place() {
        let wrong = |pointer: &str, value: Value| {
            let mut document = serde_json::to_value(whole()).unwrap();
            *document.pointer_mut(pointer).unwrap() = value;
            from_value::<Whole>(document).unwrap_err().to_string()
        };
        assert_eq!(wrong("/smallNumber", json!(256)), "smallNumber: invalid value: integer `256`, expected u8");
        assert_eq!(wrong("/flag", json!(null)), "flag: invalid type: unit value, expected a boolean");
        assert_eq!(wrong("/signed", json!(null)), "signed: invalid type: null, expected i64");
        assert_eq!(wrong("/map/a/1", json!(-1)), "map.a[1]: invalid value: integer `-1`, expected u16");
        assert_eq!(
            wrong("/kinds/3/Named/left", json!(1.5)),
            "kinds[3].Named.left: invalid type: a number that is no integer of 64 bits, expected i64"
        );
        assert!(wrong("/kinds/0", json!("Other")).starts_with("kinds[0]: unknown variant `Other`"));
        assert!(wrong("/kinds/0", json!({"One": 1, "Nothing": null})).starts_with("kinds[0]: invalid type: map"));
        assert!(wrong("/kinds/0", json!({"Nothing": 1})).starts_with("kinds[0]: this variant holds nothing"));
        let mut document = serde_json::to_value(whole()).unwrap();
        document["map"]["a"][1] = json!("x");
        let Unread::Shape { place, .. } = from_value::<Whole>(document).unwrap_err() else { panic!("it is JSON") };
        assert_eq!(place, "map.*[1]", "the name of a map's member is data");
        assert_eq!(wrong("/pair", json!([7])), "pair: invalid length 1, expected a tuple of size 2");
        assert_eq!(
            from_value::<Whole>(json!([1])).unwrap_err().to_string(),
            ": invalid type: sequence, expected struct Whole",
            "an array is no struct"
        );
        assert_eq!(read::<Whole>(b"{").unwrap_err().to_string(), "EOF while parsing an object at line 1 column 1");
    }

    /// A field that is not there is its default, `None`, or an error that names it, whatever reads it; members that are no fields
    /// are passed over.
    #[test]
    fn a_field_may_be_missing() {
        fn or_seven<'de, D: Deserializer<'de>>(from: D) -> Result<u8, D::Error> {
            Ok(Option::deserialize(from)?.unwrap_or(7))
        }
        #[derive(Debug, PartialEq, Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct Some {
            needed: String,
            maybe: Option<u8>,
            #[serde(default)]
            usual: Vec<u8>,
            #[serde(default, deserialize_with = "or_seven")]
            seven: u8,
            #[serde(skip)]
            never: bool,
            #[serde(rename = "last|final")]
            at_last: Kind,
        }
        let read = |document: Value| from_value::<Some>(document).map_err(|error| error.to_string());
        let least = Some {
            needed: "x".to_owned(),
            maybe: None,
            usual: Vec::new(),
            seven: 7,
            never: false,
            at_last: Kind::Nothing,
        };
        let needed = json!({"last": "Nothing", "needed": "x"});
        assert_eq!(read(needed).as_ref(), Ok(&least));
        let more = json!({"needed": "x", "maybe": null, "seven": null, "never": true, "more": {}, "final": "Nothing"});
        assert_eq!(read(more).as_ref(), Ok(&least));
        for nothing in [json!(null), json!("")] {
            let both = json!({"needed": "x", "last": nothing, "final": "Nothing"});
            assert_eq!(read(both).as_ref(), Ok(&least), "a name without a value is passed over");
        }
        let first = json!({"needed": "x", "last": "Nothing", "final": {"One": 1}});
        assert_eq!(read(first).as_ref(), Ok(&least), "the first of two counts");
        for (document, problem) in [
            (json!({"last": "Nothing"}), ": missing field `needed`"),
            (json!({"needed": "x"}), ": missing field `last|final`"),
            (json!({"needed": "x", "last": null, "final": null}), "last: invalid type: null, expected enum Kind"),
            (
                json!({"needed": "x", "final": "Other"}),
                "last: unknown variant `Other`, expected one of `Nothing`, `One`, `Two`, `Named`",
            ),
            (
                json!({"needed": "x", "usual": [1, "2"], "last": "Nothing"}),
                "usual[1]: invalid type: string \"2\", expected u8",
            ),
            (json!({"needed": "x", "last": {"Named": {}}}), "last.Named: missing field `left`"),
        ] {
            assert_eq!(read(document.clone()).unwrap_err(), problem, "{document}");
        }
    }

    /// Any JSON.
    pub(crate) fn values() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            any::<u64>().prop_map(Value::from),
            any::<f64>().prop_map(Value::from),
            any::<String>().prop_map(Value::from),
        ];
        leaf.prop_recursive(6, 60, 8, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..8).prop_map(Value::from),
                prop::collection::btree_map(any::<String>(), inner, 0..8)
                    .prop_map(|members| Value::Object(members.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #[test]
        fn every_value_is_read_as_it_is(value in values()) {
            prop_assert_eq!(from_value::<Value>(value.clone()).unwrap(), value);
        }
    }
}
