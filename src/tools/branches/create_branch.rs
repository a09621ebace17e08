//! `tidbcloud_create_branch`: a copy of a cluster to work on.

use schemars::JsonSchema;
use serde::Deserialize;

use super::view::BranchView;
use crate::{
    catalogue::{BranchReference, ClusterReference, Context, Done, Effect, Moment, Receipt, Tool, ToolError, named},
    tidbcloud::{BranchName, Made, NewBranch},
};

/// Create a branch: a copy, as of now or a time, of a Starter cluster or branch, which stays untouched. CREATING
/// usually takes a minute: call tidbcloud_get_branch with `waitSeconds` until `state` is ACTIVE.
#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct CreateBranch {
    cluster: ClusterReference,
    /// Name
    display_name: BranchName,
    /// Id or exact name; default: the cluster
    parent: Option<BranchReference>,
    /// Data as of RFC 3339 time, -30m or -1h; at most 24 h ago (14 days with a spending limit)
    parent_timestamp: Option<Moment>,
}

impl Tool for CreateBranch {
    const NAME: &'static str = "tidbcloud_create_branch";
    const TITLE: &'static str = "Create branch";
    const EFFECT: Effect = Effect::Create;
    const RECEIPT: Option<Receipt<Self>> = Some(Receipt {
        look: "Look with tidbcloud_list_branches before trying again.",
        tries: |call| {
            format!("create the branch {} of the cluster {}", call.display_name.as_str(), call.cluster.as_str())
        },
        done: |branch| {
            let (id, cluster) = (&branch.branch_id, &branch.cluster_id);
            let named = named(&branch.display_name, id);
            let done = Done::of(format!("Created the branch {named} of the cluster {cluster}")).affecting(Some(1));
            if branch.reconciled {
                // Known by name and time only: it may be another call's.
                return done;
            }
            done.undone_by(format!(
                "tidbcloud_delete_branch {{\"cluster\":\"{cluster}\",\"branch\":\"{id}\"}} deletes it."
            ))
        },
    });
    type Output = BranchView;

    async fn call(self, context: &Context<'_>) -> Result<BranchView, ToolError> {
        let cluster = context.cluster_id(&self.cluster).await?;
        let parent_id = match &self.parent {
            Some(parent) => Some(context.branch_within(&cluster, parent).await?),
            None => None,
        };
        // SQL users can be made on a cluster only; a branch has those that its parent had when it was made.
        let parent = context.cloud().cluster(&cluster).await?;
        let users = context.sql().ensure_users(&cluster, parent.user_prefix.as_deref().unwrap_or_default()).await;
        let parent_timestamp = self.parent_timestamp.map(|moment| moment.timestamp(context.now()));
        let new = NewBranch { display_name: self.display_name, parent_id, parent_timestamp };
        let Made { made, reconciled } = context.cloud().create_branch(&cluster, &new).await?;
        let mut branch = BranchView::from(made);
        branch.reconciled = reconciled;
        branch.notice = users.err().map(|error| {
            format!(
                "The SQL users of this server could not be made on the cluster first ({}), so SQL tools cannot log in to \
                 this branch. Once they work on the cluster, tidbcloud_reset_branch copies them; or ask the person to send \
                 X-TiDB-SQL-User and X-TiDB-SQL-Secret.",
                ToolError::from(error).message.trim_end_matches('.')
            )
        });
        Ok(branch)
    }
}
