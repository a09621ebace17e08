//! From a failure of TiDB Cloud to an error for the model: what happened, what to do next.

use crate::{
    mcp::tools::{ToolError, ToolErrorCode, UpstreamAnswer},
    tidbcloud::ApiError,
};

impl From<ApiError> for ToolError {
    fn from(error: ApiError) -> Self {
        use ToolErrorCode as Code;
        let (code, message, hint, retryable) = match &error {
            ApiError::KeyRejected(_) => (
                Code::UnauthenticatedUpstream,
                "TiDB Cloud does not accept this API key.",
                "Ask the person to check the key pair in the TiDB Cloud console; it may be mistyped or deleted.",
                false,
            ),
            ApiError::Forbidden(_) => (
                Code::PermissionDenied,
                "The role of this API key does not allow this.",
                "Ask the person for an API key with a role that does.",
                false,
            ),
            ApiError::NotFound(_) => (
                Code::NotFound,
                "It does not exist, or this API key cannot see it.",
                "List what there is and use an id from that.",
                false,
            ),
            ApiError::Conflict(_) => {
                (Code::Conflict, "It exists already, or its state does not allow this.", "Look at its state first.", false)
            }
            ApiError::QuotaExceeded(_) => (
                Code::QuotaExceeded,
                "A quota of the organization is used up, or a payment is due.",
                "Delete what is not needed, or ask the person to raise the quota or add a payment method.",
                false,
            ),
            ApiError::NotOffered(_) => (
                Code::FailedPrecondition,
                "TiDB Cloud does not offer this operation for this cluster.",
                "Ask the person to do it in the TiDB Cloud console.",
                false,
            ),
            ApiError::Refused(_) => {
                (Code::InvalidArgument, "TiDB Cloud refused the request.", "Change the arguments accordingly.", false)
            }
            ApiError::RateLimited { .. } => {
                (Code::RateLimitedUpstream, "This API key made too many requests.", "Wait, then call again.", true)
            }
            ApiError::Failing { .. } => {
                (Code::UpstreamUnavailable, "TiDB Cloud failed to answer.", "Call again in a minute.", true)
            }
            ApiError::Unreachable => {
                (Code::UpstreamUnavailable, "TiDB Cloud could not be reached.", "Call again in a minute.", true)
            }
            ApiError::Timeout => {
                (Code::UpstreamTimeout, "TiDB Cloud did not answer in time.", "Call again in a minute.", true)
            }
            ApiError::Unreadable { .. } | ApiError::TooLarge | ApiError::Unexpected(_) => (
                Code::UpstreamInvalidResponse,
                "TiDB Cloud's answer could not be read.",
                "Call again; if it stays so, report the request id.",
                true,
            ),
            ApiError::DeadlineExceeded => (
                Code::DeadlineExceeded,
                "The time for this call was up before the last request was sent.",
                "Call again.",
                true,
            ),
            ApiError::Malformed(_) => (Code::InvalidArgument, "A value cannot be sent.", "Change the arguments.", false),
            ApiError::OutcomeUnknown { .. } => (
                Code::OutcomeUnknown,
                "TiDB Cloud did not confirm the change: it may or may not have happened.",
                "Look with tidbcloud_list_clusters or tidbcloud_list_branches before trying again.",
                false,
            ),
        };
        let mut text = message.to_owned();
        if let Some(answer) = error.answer()
            && !answer.message.is_empty()
        {
            text.push_str(&format!(" TiDB Cloud says: {}", answer.message));
        }
        if let ApiError::Malformed(malformed) = &error {
            text = format!("{malformed}.");
        }
        let mut tool_error = Self::new(code, text).hint(hint);
        tool_error.retryable = retryable;
        tool_error.retry_after_seconds = error.retry_after_seconds();
        tool_error.upstream = error
            .answer()
            .map(|answer| UpstreamAnswer { status: Some(answer.status), code: answer.code.clone() });
        tool_error
    }
}
