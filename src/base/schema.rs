//! JSON Schemas of types whose rules their fields do not show.

/// Gives each type the schema beside it.
macro_rules! schema_of {
    ($($type:ty => $schema:tt;)*) => {
        $(impl schemars::JsonSchema for $type {
            fn inline_schema() -> bool {
                true
            }

            fn schema_name() -> std::borrow::Cow<'static, str> {
                stringify!($type).into()
            }

            fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
                schemars::json_schema!($schema)
            }
        })*
    };
}

pub(crate) use schema_of;
