//! The query narrows what the tools may reach, and does nothing else.

use super::{Refusal, Request};
use crate::{
    app::codes::QUERY_NOT_ALLOWED,
    tools::{NoView, View},
};

pub(in crate::app::mcp) fn read(request: Request<'_>) -> Result<View, Refusal> {
    View::parse(request.head.query.as_deref()).map_err(|NoView(why)| Refusal::new(&QUERY_NOT_ALLOWED, why))
}
