//! What a failure of an import or export means, and its fix.

use crate::tidbcloud::{Transfer, TransferKind};

/// Words of a message of TiDB Cloud, and what to do. The first that fits counts. Most are those that PingCAP's own end-to-end tests
/// expect (`tidbcloud/serverless-test`).
const MESSAGES: &[(&str, &str)] = &[
    (
        "sts:AssumeRole",
        "The role does not let TiDB Cloud take it on. In AWS IAM, put the account id and external id that the TiDB Cloud console shows for \
         this cluster (Import, Amazon S3, create a role) into the role's trust policy, then start again.",
    ),
    (
        "s3:ListBucket",
        "The role or key may not list the bucket. Allow s3:ListBucket on the bucket, and on its objects s3:GetObject for an import or \
         s3:PutObject for an export, in the role's policy; the bucket's own policy must not deny it. Then start again.",
    ),
    (
        "storage.objects",
        "The service account lacks a permission on the bucket. In Google Cloud grant it Storage Object Viewer for an import, or Storage \
         Object Admin for an export, then start again.",
    ),
    (
        "AzBlobAccessDenied",
        "The SAS token does not open the container. Make one that has not expired, for the service Blob and the types Container and Object, \
         with Read and List for an import, and also Write and Create for an export. Then start again.",
    ),
    (
        "OSS access deny",
        "The access key may not use the bucket. In Alibaba Cloud RAM allow oss:ListObjects, and oss:GetObject for an import or oss:PutObject \
         for an export. Then start again.",
    ),
    (
        "CastValueError",
        "A value does not fit its column. Often a header line was read as data, or the separator is another one: look at the first line of \
         the file, start again with the right `header` and `separator`, and check the order and types of the columns.",
    ),
    (
        "have the default value",
        "The file has no value for a column that is NOT NULL and has no default. Add the column to the file, or give it a default with \
         db_execute (ALTER TABLE), then start again.",
    ),
    (
        "AccessDenied",
        "The storage denies access. Check that the key is active and the URI right, that its policy allows listing the bucket and reading \
         (for an export: writing) its objects, and that no policy of the bucket denies it. Then start again.",
    ),
];

/// What happened to it, where that is known to mean something.
pub(super) fn explain(kind: TransferKind, transfer: &Transfer) -> Option<&'static str> {
    if kind == TransferKind::Import && transfer.state == "COMPLETED" && transfer.total_size == Some(0) {
        return Some(
            "Nothing was loaded: no file was found there, or all are empty. Files must be named database.table.csv (or .sql, .parquet), \
             with a number before the ending if there are several, and lie directly at the source.",
        );
    }
    let message = transfer.message.as_deref().filter(|_| transfer.state == "FAILED")?;
    MESSAGES.iter().find(|(words, _)| message.contains(words)).map(|(_, fix)| *fix)
}

#[cfg(test)]
mod tests {
    use super::{MESSAGES, explain};
    use crate::tidbcloud::{Transfer, TransferKind};

    fn ended(text: &str) -> Transfer {
        crate::base::json::read(text.as_bytes()).unwrap()
    }

    /// The messages that PingCAP's own tests expect have an explanation each, and no other failure is given one of them.
    #[test]
    fn failures_that_people_meet_are_explained() {
        for (message, words) in [
            ("Permission 'storage.objects.list' denied on resource (or it may not exist).", "service account"),
            ("AzBlobAccessDenied", "SAS token"),
            ("OSS access deny", "RAM"),
            ("is not authorized to perform: s3:ListBucket on resource: x", "s3:GetObject"),
            ("is not authorized to perform: sts:AssumeRole on resource: x", "trust policy"),
            ("AccessDenied", "key is active"),
            ("CastValueError: when encoding 1-th data row in file test.a.csv", "`header`"),
            ("TiDB schema `test`.`a` doesn't have the default value for number", "ALTER TABLE"),
        ] {
            for (kind, name) in [(TransferKind::Import, "message"), (TransferKind::Export, "reason")] {
                let failed = ended(&format!(r#"{{"state":"FAILED","{name}":"{message}"}}"#));
                assert!(explain(kind, &failed).is_some_and(|fix| fix.contains(words)), "{message}");
            }
        }
        assert_eq!(explain(TransferKind::Import, &ended(r#"{"state":"FAILED","message":"out of memory"}"#)), None);
        assert_eq!(explain(TransferKind::Import, &ended(r#"{"state":"COMPLETED","message":"AccessDenied"}"#)), None);
        assert!(explain(TransferKind::Import, &ended(r#"{"state":"COMPLETED","totalSize":"0"}"#)).is_some());
        assert_eq!(
            explain(TransferKind::Import, &ended(r#"{"state":"COMPLETED"}"#)),
            None,
            "a size that is not said is no 0"
        );
        assert_eq!(explain(TransferKind::Export, &ended(r#"{"state":"SUCCEEDED","totalSize":"0"}"#)), None);
        assert!(MESSAGES.iter().all(|(_, fix)| fix.ends_with('.')));
    }
}
