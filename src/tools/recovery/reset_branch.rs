//! `tidbcloud_reset_branch`: a branch begins again with the data of its parent.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::{
    catalogue::{
        BranchReference, ClusterReference, Context, Done, Effect, Receipt, Stakes, Tool, ToolError, advised, said,
    },
    tidbcloud::{ApiError, Branch, Cluster, Plan, State, Target},
    tools::views::state,
};

/// Start a branch over from the latest data of its parent, such as production. What was done on it is thrown away.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct ResetBranch {
    cluster: ClusterReference,
    branch: BranchReference,
}

#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct ResetView {
    cluster_id: String,
    branch_id: String,
    display_name: String,
    state: String,
    next_step: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    notice: Option<String>,
}

/// Which instances have none. <https://docs.pingcap.com/tidbcloud/branch-overview/>
const SINCE: &str = "Essential instances created since 2026-07-14 have no branches.";

impl ResetBranch {
    /// The branch and its cluster.
    async fn meant(&self, context: &Context<'_>) -> Result<(Cluster, Branch), ToolError> {
        let hint = format!("This server resets branches of Starter, and of Essential where it has them. {SINCE}");
        let cluster = context.serverless_cluster(&self.cluster, &hint).await?;
        let id = &cluster.cluster_id;
        let branch = context.branch_within(id, &self.branch).await.map_err(|mut error| {
            if cluster.plan() == Plan::Essential && !error.retryable {
                error.hint = format!("{} {SINCE}", error.hint);
            }
            error
        })?;
        let branch = context.cloud().branch(id, &branch).await?;
        Ok((cluster, branch))
    }
}

impl Tool for ResetBranch {
    const NAME: &'static str = "tidbcloud_reset_branch";
    const TITLE: &'static str = "Reset branch";
    const EFFECT: Effect = Effect::Destroy;
    const RECEIPT: Option<Receipt<Self>> = Some(Receipt {
        look: "Look with tidbcloud_get_branch before trying again: it is RESTORING while it is reset.",
        tries: |call| format!("reset the branch {} of the cluster {}", call.branch.as_str(), call.cluster.as_str()),
        done: |reset| {
            let ResetView { cluster_id, branch_id, .. } = reset;
            Done::of(format!("Reset the branch {branch_id} of the cluster {cluster_id} to the data of its parent"))
                .affecting(Some(1))
        },
    });
    type Output = ResetView;

    /// The branch and its cluster, three SQL users, and the reset.
    fn requests_min(_: &Map<String, Value>) -> u32 {
        6
    }

    async fn stakes(&self, context: &Context<'_>) -> Result<Option<Stakes>, ToolError> {
        let (cluster, branch) = self.meant(context).await?;
        let id = branch.branch_id.as_str();
        let what = format!(
            "Reset the branch {} to the latest data of its parent: what was changed on it is lost.",
            said(&branch.display_name, id)
        );
        let stakes = Stakes::of(what)
            .fact("Name", Some(&branch.display_name))
            .fact("Id", Some(id))
            .fact("Cluster", Some(&cluster.display_name))
            .fact("Cluster id", Some(&cluster.cluster_id))
            .fact("Parent", branch.parent_display_name.as_ref())
            .fact("Data of the parent as of", branch.parent_timestamp.as_ref())
            .fact("State", branch.state.as_ref().map(State::as_str))
            .fact("Created", branch.create_time.as_ref())
            .fact("SQL users", Some("Those of the parent may take the place of the branch's own."));
        Ok(Some(stakes.typing(&branch.display_name, id)))
    }

    async fn call(self, context: &Context<'_>) -> Result<ResetView, ToolError> {
        let (cluster, branch) = self.meant(context).await?;
        let (id, branch) = (cluster.cluster_id, branch.branch_id);
        // SQL users can be made on a cluster only; a branch has those that its parent had when it was reset.
        let users = context.sql().ensure_users(&id, cluster.user_prefix.as_deref().unwrap_or_default()).await;
        let reset = context.cloud().reset_branch(&id, &branch).await.map_err(|error| {
            let hint = "Call tidbcloud_get_branch: the branch and its parent have to be ACTIVE.";
            advised(error, |error| matches!(error, ApiError::Refused(_) | ApiError::Conflict(_)), hint)
        })?;
        context.sql().forget(&Target { cluster: id.clone(), branch: Some(branch.clone()) });
        Ok(ResetView {
            cluster_id: id.into(),
            branch_id: branch.into(),
            display_name: reset.display_name,
            state: state(reset.state.as_ref()),
            next_step: "Call tidbcloud_get_branch with `waitSeconds` until `state` is ACTIVE.",
            notice: users.err().map(|error| {
                format!(
                    "The SQL users of this server could not be made on the cluster first ({}), so SQL tools may not log in \
                     to this branch.",
                    ToolError::from(error).message.trim_end_matches('.')
                )
            }),
        })
    }
}
