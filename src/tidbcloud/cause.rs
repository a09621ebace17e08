//! A failure and its causes in the server's own words, for one line of the log.

use std::{error::Error, iter::successors};

use super::{ApiError, Misread, OAuthError, SqlFailure};

/// One link of a chain of causes.
pub(crate) trait Link: Error {
    /// The event, with statuses and numbers but no text from others.
    fn link(&self) -> String;
}

/// A failure and its causes, the failure first.
pub(crate) fn chain(failure: &(dyn Error + 'static)) -> String {
    successors(Some(failure), |error: &&(dyn Error + 'static)| (**error).source())
        .map(link)
        .collect::<Vec<_>>()
        .join(" <- ")
}

/// An error whose text was not checked for quoted data is only named.
fn link(error: &(dyn Error + 'static)) -> String {
    let known = error.downcast_ref::<ApiError>().map(Link::link);
    let known = known.or_else(|| error.downcast_ref::<SqlFailure>().map(Link::link));
    let known = known.or_else(|| error.downcast_ref::<OAuthError>().map(Link::link));
    let known = known.or_else(|| error.downcast_ref::<Misread>().map(ToString::to_string));
    known.unwrap_or_else(|| "another error".to_owned())
}

/// `, code 7`, if a code is a number of at most ten digits, 32 bits: a longer one, or a word, could be anything.
pub(crate) fn number(code: Option<&str>) -> String {
    let code = code.filter(|code| (1..=10).contains(&code.len()) && code.bytes().all(|byte| byte.is_ascii_digit()));
    code.map(|code| format!(", code {code}")).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::{
        base::http::Response,
        tidbcloud::{Answer, Cluster, NotTried, fake::no_log, transport::answer::read_answer, units::Malformed},
    };

    const CANARY: &str = "canary";

    fn answer(status: u16) -> Answer {
        Answer { status, code: Some(CANARY.to_owned()), message: CANARY.to_owned() }
    }

    /// Every variant, with a canary in each field that holds a text of somebody else's.
    fn failures() -> Vec<ApiError> {
        let unreadable = Response::json(200, json!({ "clusterId": "7", "labels": { CANARY: 7 } }).to_string());
        vec![
            ApiError::KeyRejected(answer(401)),
            ApiError::TokenRejected(answer(401)),
            ApiError::Forbidden(answer(403)),
            ApiError::NotFound(answer(404)),
            ApiError::Conflict(answer(409)),
            ApiError::QuotaExceeded(answer(402)),
            ApiError::NotOffered(answer(405)),
            ApiError::Refused(answer(400)),
            ApiError::RateLimited { retry_after_seconds: Some(7), answer: answer(429) },
            ApiError::Failing { retry_after_seconds: None, answer: answer(503) },
            ApiError::Timeout,
            ApiError::Unreachable,
            read_answer::<Cluster>(no_log(), "GET /clusters/{}", &unreadable).unwrap_err(),
            ApiError::TooLarge,
            ApiError::Unexpected("a test"),
            ApiError::DeadlineExceeded,
            ApiError::Exhausted,
            ApiError::Malformed(Malformed { what: "a test", expected: "a test" }),
            ApiError::KeyNotTried(NotTried::Limited { retry_after_seconds: 7 }),
            ApiError::KeyNotTried(NotTried::Unavailable),
            ApiError::HeldBack { retry_after_seconds: 7 },
        ]
    }

    #[test]
    fn a_chain_has_every_cause_and_nothing_that_others_wrote() {
        for error in failures() {
            let lost = ApiError::OutcomeUnknown { cause: Box::new(error.clone()) };
            let refused = SqlFailure::NoManagedUser { cause: error.clone() };
            let sql = SqlFailure::OutcomeUnknown { cause: Box::new(error.clone().into()) };
            let alone = error.chain();
            for chain in [lost.chain(), refused.chain(), sql.chain(), OAuthError::Api(lost.clone()).chain()] {
                assert!(chain.ends_with(&format!(" <- {alone}")), "the cause is the last link: {chain}");
                assert!(!chain.contains(CANARY), "a canary shows: {chain}");
            }
        }
        let (state, said) = (CANARY.to_owned(), CANARY.to_owned());
        let not_ready = SqlFailure::NotReady { state, lacks: None }.chain();
        let refused = SqlFailure::Sql { code: Some(1146), message: said }.chain();
        for chain in [not_ready, refused, OAuthError::Refused(answer(400)).chain()] {
            assert!(!chain.contains(CANARY), "a canary shows: {chain}");
        }
    }

    #[test]
    fn a_chain_says_what_can_be_acted_on() {
        let busy = Answer { status: 504, code: Some("14".to_owned()), message: CANARY.to_owned() };
        let lost = ApiError::Failing { retry_after_seconds: None, answer: busy };
        let failure = SqlFailure::from(ApiError::OutcomeUnknown { cause: Box::new(lost) });
        assert_eq!(
            failure.chain(),
            "the write may or may not have taken effect <- TiDB Cloud failed (HTTP 504, code 14)",
            "statuses and numbers are kept"
        );
        let cut = Response::json(200, "{\"clusterId\": \"7\", \"labels\": {\"team\": 7}}");
        let misread = read_answer::<Cluster>(no_log(), "GET /clusters/{}", &cut).unwrap_err();
        assert_eq!(
            misread.chain(),
            "TiDB Cloud's answer cannot be read (HTTP 200) <- another shape at `labels.*`",
            "the place is in names of the schema"
        );
        let missing = SqlFailure::Sql { code: Some(1146), message: CANARY.to_owned() };
        assert_eq!(missing.chain(), "the database refused the statement (1146)", "the number is the database's own");
    }
}
