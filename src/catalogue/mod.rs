//! The machinery around tools: entries, arguments, narrowing, organizations, budgets and errors.

mod arguments;
mod budget;
pub mod code;
mod context;
mod deployment;
mod entry;
mod failures;
mod finder;
mod handed;
mod narrowing;
mod organizations;
mod pace;
mod rank;
mod receipt;
mod resolve;
#[cfg(not(target_arch = "wasm32"))]
mod schema;
mod schemas;
mod stakes;
mod toolbox;
mod toolset;
mod types;
mod view;
mod wait;

pub(crate) use self::{
    budget::{cap, cut_text, text_size},
    entry::SQL_TIME_MAX,
    failures::advised,
    finder::{Found, RELAY, Way},
    narrowing::CALLED,
    receipt::named,
    resolve::{ALIAS_LABEL, AnyCluster, BranchReference, ClusterReference, one, refused_by_plan, said},
    types::{Moment, PageSize},
    wait::WaitSeconds,
};
pub use self::{
    context::Context,
    deployment::{Advice, Deployment, LimitState},
    entry::{Effect, Entry, Group, Tool},
    handed::{CREDENTIAL_BYTES_MAX, CredentialField, Credentials, HandOut, Item},
    narrowing::{Narrowing, NotNarrowed},
    organizations::{Homes, Organization},
    pace::Pace,
    rank::{Document, rank},
    receipt::{Done, Receipt},
    stakes::{Bound, Person, Stakes},
    toolbox::{Called, Catalogue, Tools},
    toolset::Toolset,
    view::View,
};
pub use crate::mcp::outcome::ToolError;
