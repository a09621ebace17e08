//! The authorization server: what strangers can use up, where errors are sent, and what ends together.

use mcp_server_tidbcloud::app::Isolate;
use proptest::prelude::*;

use crate::{
    support::{
        Driver,
        bad_inputs::ACCESS_KEY,
        keys,
        oauth::{Flow, Page, Tokens, browser_form, error, fields, form, list_clusters},
    },
    world::{Native, SANDBOX},
};

/// Everything that one grant ever gave.
struct Family {
    flow: Flow,
    code: String,
    refresh: Vec<String>,
    access: Vec<String>,
}

impl Family {
    fn new(server: &mut Native) -> Self {
        let flow = Flow::new(server);
        let code = flow.code(server, Flow::typed("owner", "tidb:read"));
        let mut family = Self { flow, code, refresh: Vec::new(), access: Vec::new() };
        let answer = server.send(form("/token", &family.flow.redemption(&family.code)));
        family.take(Tokens::of(&answer));
        family
    }

    fn take(&mut self, tokens: Tokens) {
        if !self.refresh.contains(&tokens.refresh) {
            self.refresh.push(tokens.refresh);
            self.access.push(tokens.access);
        }
    }

    /// Refreshes with the token that was given as many times ago.
    fn refresh(&mut self, server: &mut Native, back: usize) {
        let at = self.refresh.len().saturating_sub(1 + back);
        let answer = server.send(form("/token", &self.flow.refreshing(&self.refresh[at])));
        self.take(Tokens::of(&answer));
    }

    fn revoke(&self, server: &mut Native, token: &str) {
        let all = fields(&[("token", token), ("client_id", &self.flow.client_id)]);
        assert_eq!(server.send(form("/revoke", &all)).status, 200);
    }

    /// The tokens of the grant that still open something or still can be exchanged.
    fn living(&self, server: &mut Native) -> Vec<String> {
        let mut living = Vec::new();
        for token in &self.access {
            if server.send(list_clusters(token)).status == 200 {
                living.push(token.clone());
            }
        }
        for token in &self.refresh {
            if error(&server.send(form("/token", &self.flow.refreshing(token)))) != (400, "invalid_grant".to_owned()) {
                living.push(token.clone());
            }
        }
        if server.send(form("/token", &self.flow.redemption(&self.code))).status == 200 {
            living.push(self.code.clone());
        }
        living
    }
}

/// A server whose limits are not what a test is about.
fn unlimited() -> Native {
    Native::with(&[
        ("TIDB_CLOUD_SANDBOX", SANDBOX),
        ("RATE_LIMIT_PER_MINUTE", "1000000"),
        ("CREDENTIAL_LIMIT_PER_MINUTE", "1000000"),
    ])
}

#[test]
fn sec_017_a_refresh_token_two_rotations_old_ends_the_grant() {
    let mut server = unlimited();
    let mut family = Family::new(&mut server);
    family.refresh(&mut server, 0);
    family.refresh(&mut server, 0);
    assert_eq!(family.refresh.len(), 3);
    family.revoke(&mut server, &family.refresh[0]);
    assert_eq!(family.living(&mut server), Vec::<String>::new());
    let log = server.world.log.borrow();
    assert_eq!(log.iter().filter(|line| line.contains("\"event\":\"revocation\"")).count(), 1);
}

/// One thing that happens to a grant before somebody revokes it.
#[derive(Clone, Copy, Debug)]
enum Step {
    Refresh,
    /// The token before, within the half minute in which its answer can be had again.
    Replay,
    Wait(u64),
    /// An access token is put away: that alone ends nothing.
    PutAway(prop::sample::Index),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        4 => Just(Step::Refresh),
        2 => Just(Step::Replay),
        2 => prop_oneof![1..29_u64, 31..4_000_u64].prop_map(Step::Wait),
        1 => any::<prop::sample::Index>().prop_map(Step::PutAway),
    ];
    prop::collection::vec(step, 0..10)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    /// Whatever happened before, one revocation with any refresh token that the grant ever gave, or with its code, by its
    /// client leaves nothing that opens. The same by another client changes nothing.
    #[test]
    fn sec_017_any_token_of_a_family_ends_all_of_it(steps in steps(), with in any::<prop::sample::Index>()) {
        let mut server = unlimited();
        let mut family = Family::new(&mut server);
        let mut rotated = None;
        for step in steps {
            match step {
                Step::Refresh => {
                    family.refresh(&mut server, 0);
                    rotated = Some(server.world.clock.get());
                }
                Step::Replay if rotated.is_some_and(|at| server.world.clock.get() < at + 30_000) => {
                    family.refresh(&mut server, 1);
                }
                Step::Replay => {}
                Step::Wait(seconds) => server.advance(seconds),
                Step::PutAway(index) => {
                    let token = index.get(&family.access).clone();
                    family.revoke(&mut server, &token);
                }
            }
        }
        let revoked = with.get(&[family.refresh.clone(), vec![family.code.clone()]].concat()).clone();
        let stored = server.world.objects.borrow().clone();
        let stranger = Flow::registering(&mut server, &["https://stranger.example/cb"]);
        let all = fields(&[("token", &revoked), ("client_id", &stranger.client_id)]);
        prop_assert_eq!(server.send(form("/revoke", &all)).status, 200);
        prop_assert_eq!(&*server.world.objects.borrow(), &stored);

        family.revoke(&mut server, &revoked);
        prop_assert_eq!(family.living(&mut server), Vec::<String>::new());
    }
}

/// Every other way in which a grant ends, while its last answer could still be had again.
#[test]
fn sec_017_however_a_grant_ends_all_of_it_ends() {
    type End = fn(&mut Native, &Family);
    let ways: [(&str, End); 4] = [
        ("its code is redeemed twice", |server, family| {
            server.send(form("/token", &family.flow.redemption(&family.code)));
        }),
        ("an old refresh token is used", |server, family| {
            server.send(form("/token", &family.flow.refreshing(&family.refresh[0])));
        }),
        ("the person ends it", |server, _| {
            let (public, private) = keys("owner");
            let proof = fields(&[("publicKey", public), ("privateKey", &private)]);
            let page = Page::of(&server.send(browser_form(&server.origin(), "/grants", "", &proof)));
            let all = fields(&[("csrf", page.value("csrf")), ("grant", page.value("grant"))]);
            let ended = server.send(browser_form(&server.origin(), "/grants/revoke", &page.cookie, &all));
            assert_eq!(ended.status, 200);
        }),
        ("36 newer grants hold its key", |server, family| {
            for _ in 0..36 {
                server.behind(&format!("192.0.2.{}", server.world.objects.borrow().len()));
                family.flow.code(server, Flow::typed("owner", "tidb:read"));
            }
        }),
    ];
    for (way, end) in ways {
        let mut server = unlimited();
        let mut family = Family::new(&mut server);
        family.refresh(&mut server, 0);
        family.refresh(&mut server, 0);
        family.refresh(&mut server, 1);
        end(&mut server, &family);
        assert_eq!(family.living(&mut server), Vec::<String>::new(), "{way}");
    }
}

/// A refresh that succeeds and gives tokens that open nothing keeps a client from connecting again.
#[test]
fn sec_017_an_access_key_that_was_replaced_ends_refresh_tokens_and_codes_as_well() {
    let private = keys("owner").1;
    let deployment = |access_key: &str| {
        Native::with(&[
            ("TIDB_CLOUD_SANDBOX", SANDBOX),
            ("TIDB_CLOUD_PUBLIC_KEY", "SBXOWNER"),
            ("TIDB_CLOUD_PRIVATE_KEY", &private),
            ("MCP_ACCESS_KEY", access_key),
        ])
    };
    let mut server = deployment(ACCESS_KEY);
    let flow = Flow::new(&mut server);
    let typed = || fields(&[("accessKey", ACCESS_KEY), ("scope", "tidb:read")]);
    let code = flow.code(&mut server, typed());
    let tokens = Tokens::of(&server.send(form("/token", &flow.redemption(&code))));
    let unused = flow.code(&mut server, typed());

    server.config = deployment("canary-access-key-two-0123456789abcdef").config;
    server.isolate = Isolate::new();
    let refused = (400, "invalid_grant".to_owned());
    assert_eq!(server.send(list_clusters(&tokens.access)).status, 401);
    assert_eq!(error(&server.send(form("/token", &flow.refreshing(&tokens.refresh)))), refused);
    assert_eq!(error(&server.send(form("/token", &flow.redemption(&unused)))), refused);
}
