//! Types that everything uses. Nothing here knows the product.

pub mod address;
pub mod clock;
pub(crate) mod decimal;
pub mod expiring;
pub mod future;
pub mod hash;
pub mod http;
pub mod json;
pub mod managed_name;
pub(crate) mod schema;
pub mod scope;
pub mod scrub;
pub mod secret;
pub mod strict;
pub mod text;
pub mod trace;
