//! The query narrows what the tools may reach, and does nothing else.

use super::{Refusal, Request};
use crate::{
    app::codes::QUERY_NOT_ALLOWED,
    catalogue::{Narrowing, NotNarrowed},
};

pub(in crate::app::mcp) fn read(request: Request<'_>) -> Result<Narrowing, Refusal> {
    Narrowing::parse(request.head.query.as_deref()).map_err(|NotNarrowed(why)| Refusal::new(&QUERY_NOT_ALLOWED, why))
}
