//! The programs that `tidbcloud_get_connection` answers with.
//!
//! Each connects, prints the version of the database and ends, so that it can be tried as it is. TLS is verified against the
//! system's CAs, the host's name included, and the password is read from `TIDB_PASSWORD`. `SSL_CERT_FILE`, OpenSSL's own
//! variable, names another file of CAs where the client does not read that variable itself. What each client needs for that
//! is on its page in PingCAP's developer guide, <https://docs.pingcap.com/developer/>, and in its own documentation, named
//! below; which CAs, on <https://docs.pingcap.com/tidbcloud/secure-connections-to-serverless-clusters>.

use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::Deserialize;

/// Where a program connects to, and as whom.
///
/// Its texts are letters, digits, `-`, `_`, `.` and `$`. In the literals of these programs all of them stand for themselves: where `$`
/// means something within double quotes, the quotes are single.
pub(super) struct Place {
    pub(super) host: String,
    pub(super) port: u32,
    pub(super) user: String,
    pub(super) database: String,
}

impl Place {
    /// A template with this place in it.
    pub(super) fn put_into(&self, program: &str) -> String {
        program
            .replace("<HOST>", &self.host)
            .replace("<PORT>", &self.port.to_string())
            .replace("<USER>", &self.user)
            .replace("<DATABASE>", &self.database)
    }
}

/// A client, and the program that connects with it.
pub(super) struct Snippet {
    pub(super) client: &'static str,
    /// As code fences name it.
    pub(super) language: &'static str,
    /// The file to save the program as.
    pub(super) file: &'static str,
    pub(super) install: Option<&'static str>,
    pub(super) run: &'static str,
    pub(super) program: &'static str,
    /// What is different about it.
    pub(super) notice: Option<&'static str>,
}

/// Every client, in the order in which a model sees them.
static SNIPPETS: [Snippet; 11] = [
    // <https://dev.mysql.com/doc/refman/8.4/en/connection-options.html#option_general_ssl-mode>, and MariaDB's
    // <https://mariadb.com/docs/all/ref/mdb/cli/mariadb/ssl-verify-server-cert/>.
    Snippet {
        client: "mysql-cli",
        language: "sh",
        file: "connect.sh",
        install: None,
        run: "sh connect.sh",
        program: include_str!("mysql-cli.sh"),
        notice: None,
    },
    // <https://sidorares.github.io/node-mysql2/docs/documentation/ssl>
    Snippet {
        client: "node-mysql2",
        language: "javascript",
        file: "connect.mjs",
        install: Some("npm install mysql2"),
        run: "node connect.mjs",
        program: include_str!("node-mysql2.mjs"),
        notice: None,
    },
    // <https://docs.pingcap.com/tidbcloud/serverless-driver>
    Snippet {
        client: "serverless-js",
        language: "javascript",
        file: "connect.mjs",
        install: Some("npm install @tidbcloud/serverless"),
        run: "node connect.mjs",
        program: include_str!("serverless-js.mjs"),
        notice: Some("This driver sends SQL over HTTPS, for serverless and edge functions, and does not use the port."),
    },
    // <https://www.prisma.io/docs/orm/v7/core-concepts/supported-databases/mysql>; `ssl` is that of
    // <https://github.com/mariadb-corporation/mariadb-connector-nodejs/blob/main/documentation/promise-api.md#ssl>.
    Snippet {
        client: "prisma",
        language: "typescript",
        file: "connect.ts",
        install: Some(concat!(
            "npm pkg set type=module && npm install @prisma/client@7 @prisma/adapter-mariadb@7 && ",
            "npm install --save-dev prisma@7 tsx && ",
            r#"printf 'generator client {\n  provider = "prisma-client"\n  output = "./generated"\n}\n"#,
            r#"datasource db {\n  provider = "mysql"\n}\n' > schema.prisma && npx prisma generate"#,
        )),
        run: "npx tsx connect.ts",
        program: include_str!("prisma.ts"),
        notice: None,
    },
    // <https://orm.drizzle.team/docs/get-started-mysql>
    Snippet {
        client: "drizzle",
        language: "javascript",
        file: "connect.mjs",
        install: Some("npm install drizzle-orm mysql2"),
        run: "node connect.mjs",
        program: include_str!("drizzle.mjs"),
        notice: None,
    },
    // <https://pkg.go.dev/github.com/go-sql-driver/mysql#Config>
    Snippet {
        client: "go",
        language: "go",
        file: "main.go",
        install: Some("go mod init connect && go get github.com/go-sql-driver/mysql"),
        run: "go run .",
        program: include_str!("go.go"),
        notice: None,
    },
    // <https://pymysql.readthedocs.io/en/latest/modules/connections.html>: a context as `ssl`, because PyMySQL checks no
    // host name with `ssl_verify_identity` alone.
    Snippet {
        client: "python",
        language: "python",
        file: "connect.py",
        install: Some("pip install PyMySQL"),
        run: "python3 connect.py",
        program: include_str!("python.py"),
        notice: None,
    },
    // <https://dev.mysql.com/doc/connector-j/en/connector-j-connp-props-security.html>
    Snippet {
        client: "java",
        language: "java",
        file: "Connect.java",
        install: Some("mvn dependency:copy -Dartifact=com.mysql:mysql-connector-j:LATEST -DoutputDirectory=lib"),
        run: "java -cp 'lib/*' Connect.java",
        program: include_str!("java.java"),
        notice: None,
    },
    // <https://www.php.net/manual/en/mysqli.ssl-set.php>
    Snippet {
        client: "php",
        language: "php",
        file: "connect.php",
        install: None,
        run: "php connect.php",
        program: include_str!("php.php"),
        notice: None,
    },
    // <https://github.com/brianmario/mysql2#ssltls-options>
    Snippet {
        client: "ruby",
        language: "ruby",
        file: "connect.rb",
        install: Some("gem install mysql2"),
        run: "ruby connect.rb",
        program: include_str!("ruby.rb"),
        notice: None,
    },
    // <https://docs.rs/mysql/latest/mysql/struct.SslOpts.html>
    Snippet {
        client: "rust",
        language: "rust",
        file: "src/main.rs",
        install: Some("cargo init && cargo add mysql --no-default-features --features minimal-rust,rustls-tls-ring"),
        run: "cargo run",
        // Not `.rs`: it is no module of this crate.
        program: include_str!("rust.rs.txt"),
        notice: None,
    },
];

/// A client by its name.
#[derive(Clone, Copy, Deserialize)]
#[serde(try_from = "String")]
pub(super) struct Client(&'static Snippet);

impl Client {
    /// All that there are.
    pub(super) fn names() -> impl Iterator<Item = &'static str> {
        SNIPPETS.iter().map(|snippet| snippet.client)
    }

    pub(super) fn snippet(self) -> &'static Snippet {
        self.0
    }
}

impl TryFrom<String> for Client {
    type Error = &'static str;

    fn try_from(name: String) -> Result<Self, Self::Error> {
        SNIPPETS
            .iter()
            .find(|snippet| snippet.client == name)
            .map(Self)
            .ok_or("must be one of the clients that it lists")
    }
}

impl JsonSchema for Client {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "Client".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "string",
            "enum": Self::names().collect::<Vec<_>>(),
            "description": "Default: facts only",
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn place(host: &str, port: u32, user: &str, database: &str) -> Place {
        Place { host: host.to_owned(), port, user: user.to_owned(), database: database.to_owned() }
    }

    proptest! {
        /// The alphabets are those of `Facts`, of the check of the prefix, and of `DatabaseName`.
        #[test]
        fn a_program_is_its_template_with_the_place_in_it(
            host in "[a-z0-9]{1,8}(-[a-z0-9]{1,8})?\\.tidbcloud\\.com",
            port in 1_u32..=65_535,
            prefix in "[A-Za-z0-9]{1,20}",
            database in "[A-Za-z0-9_$-]{1,64}",
        ) {
            let user = format!("{prefix}.YOUR_USER");
            let place = place(&host, port, &user, &database);
            for snippet in &SNIPPETS {
                let text = place.put_into(snippet.program);
                for value in [&host, &user, &database] {
                    prop_assert!(text.contains(value.as_str()), "{}: its program has {value} as it is:\n{text}", snippet.client);
                }
                let uses_port = snippet.program.contains("<PORT>");
                prop_assert!(
                    text.contains(&port.to_string()) || !uses_port && snippet.notice.is_some(),
                    "{}: its program has the port, or a notice says why not", snippet.client
                );
                for open in ["<HOST>", "<PORT>", "<USER>", "<DATABASE>"] {
                    prop_assert!(!text.contains(open), "{}: {open} is left in its program:\n{text}", snippet.client);
                }
            }
        }
    }

    #[test]
    fn a_program_has_no_password_and_no_place_for_one() {
        for Snippet { client, program, .. } in &SNIPPETS {
            assert!(program.contains("TIDB_PASSWORD"), "{client}: the password is read from TIDB_PASSWORD");
            let others = ["pass", "secret", "pwd"];
            for line in program.lines().filter(|line| others.iter().any(|word| line.to_lowercase().contains(word))) {
                assert!(
                    line.contains("TIDB_PASSWORD"),
                    "{client}: a line about a password only reads the variable, so that nobody writes one there: {line}"
                );
            }
        }
    }

    #[test]
    fn a_client_has_one_name_and_all_that_is_needed_to_run_its_program() {
        let place = place("gateway01.tidbcloud.com", 4000, "prefix.YOUR_USER", "test");
        for (at, Snippet { client, language, file, run, program, .. }) in SNIPPETS.iter().enumerate() {
            assert_eq!(
                Client::names().position(|name| name == *client),
                Some(at),
                "{client} is the name of one client"
            );
            assert!([language, file, run].iter().all(|text| !text.is_empty()), "{client}: nothing is left out");
            let shown = place.put_into(program);
            assert!(
                shown.len() < 2_000 && shown.is_ascii(),
                "{client}: a program is short, and has no character that a terminal could show as another"
            );
        }
    }
}
