//! Secrets that pass between a person and a call: credentials that they hand in, and what is handed out to them. The client and the
//! storage see neither. The tools are of no other use: whatever tool asks or hands out does it in the same way.

use std::cell::{Cell, RefCell};

use mcp_server_tidbcloud::{
    base::secret::Secret,
    catalogue::{
        Catalogue, Context, CredentialField, Done, Effect, Entry, Group, HandOut, Item, Receipt, Stakes, Tool, Toolset,
        code,
    },
    mcp::outcome::ToolError,
    store::confirmations::{ASKED_MILLIS, CONFIRMED_MILLIS, HANDED_OUT_MAX, TRIES_MAX},
};
use serde_json::{Value, json};

use crate::{
    confirm::{attended, link, result},
    support::{
        Answer, Call, Driver,
        bad_inputs::ACCESS_KEY,
        keys,
        oauth::{Fields, Flow, Page, Tokens, browser_form, fields, form, get, with, with_token, without},
    },
    world::{Native, SANDBOX},
};

const ID: &str = "canary-access-key-id";
const SECRET: &str = "canary+secret/access=key\"\\0123456789abcdef";
const FILE: &str = "{\n  \"type\": \"service_account\",\n  \"private_key\": \"canary-of-a-file\\n\"\n}\n";
/// What a person types who is asked for all three.
const TYPED: [(&str, &str); 3] = [("given-id", ID), ("given-secret", SECRET), ("given-file", FILE)];

const CREDENTIALS: &[CredentialField] = &[
    CredentialField { name: "id", label: "Access key ID", long: false },
    CredentialField { name: "secret", label: "Secret access key", long: false },
    CredentialField { name: "file", label: "Key of the service account", long: true },
];

thread_local! {
    /// What lies at the target now.
    static OBJECTS: Cell<u32> = const { Cell::new(0) };
    /// What the calls had in hand.
    static SENT: RefCell<Vec<[String; 3]>> = const { RefCell::new(Vec::new()) };
}

/// Sends something to a cloud, with credentials that a person hands in.
#[derive(serde::Deserialize, schemars::JsonSchema)]
struct SendOut<const OPENS: bool> {
    /// Where to.
    target: String,
}

impl<const OPENS: bool> Tool for SendOut<OPENS> {
    const NAME: &'static str = if OPENS { "send_out" } else { "send_by_itself" };
    const TITLE: &'static str = "Send out";
    const EFFECT: Effect = Effect::Create;
    const RECEIPT: Option<Receipt<Self>> = Some(Receipt {
        tries: |_| "send it".to_owned(),
        look: "Look whether it was sent.",
        done: |_| Done::of("Sent it"),
    });
    type Output = Value;

    fn asks(&self) -> bool {
        true
    }

    fn opens(&self) -> bool {
        OPENS
    }

    async fn stakes(&self, context: &Context<'_>) -> Result<Option<Stakes>, ToolError> {
        context.cloud().regions().await?;
        let facts = json!([["Target", self.target], ["Objects there now", OBJECTS.get().to_string()]]);
        let stakes: Stakes = serde_json::from_value(json!({"what": "Send it out.", "facts": facts})).expect("stakes");
        Ok(Some(stakes.asking_for(CREDENTIALS)))
    }

    async fn call(self, context: &Context<'_>) -> Result<Value, ToolError> {
        let Some(credentials) = context.handed_in() else {
            return Err(ToolError::new(code::FAILED_PRECONDITION, "There are no credentials.").hint("Ask."));
        };
        assert!(
            context.handed_in().is_none() && credentials.get("other").is_none(),
            "they are there once, by their names"
        );
        let all = ["id", "secret", "file"].map(|name| credentials.get(name).expect("a credential").expose().to_owned());
        let secret = all[1].clone();
        SENT.with_borrow_mut(|sent| sent.push(all));
        if self.target == "s3://refuses" {
            use base64::{Engine as _, engine::general_purpose::STANDARD};
            let message = format!("The cloud does not know {secret}, nor {}.", STANDARD.encode(FILE));
            return Err(ToolError::new(code::PERMISSION_DENIED, message).hint(format!("Not {secret}.")));
        }
        Ok(json!({"sent": true, "echo": secret}))
    }
}

const ADDRESSES: [&str; 2] =
    ["https://bucket.example/canary-one?signature=canary%2Bone&x=1", "https://bucket.example/canary-two"];
const KEY: &str = "canary-<key>-of-prometheus";

/// Gives files and a key to a person.
#[derive(serde::Deserialize, schemars::JsonSchema)]
struct Fetch {
    /// What to hand out.
    what: String,
}

thread_local! {
    /// Keys that were made.
    static MADE: Cell<u32> = const { Cell::new(0) };
}

impl Tool for Fetch {
    const NAME: &'static str = "fetch";
    const TITLE: &'static str = "Fetch";
    const EFFECT: Effect = Effect::Read;
    type Output = Value;

    async fn call(self, context: &Context<'_>) -> Result<Value, ToolError> {
        if self.what != "early" {
            context.cloud().regions().await?;
        }
        if self.what == "new" {
            context.keep_place().await?;
            MADE.set(MADE.get() + 1);
        }
        let file = |name: &str, address: &str| Item::Address {
            name: name.to_owned(),
            size: Some("12 MB".to_owned()),
            address: Secret::new(address),
        };
        let items = match &*self.what {
            "script" => vec![file("a", "javascript:alert(1)")],
            "plain" => vec![file("a", "http://bucket.example/a")],
            "login" => vec![file("a", "https://user:word@bucket.example/a")],
            "sandbox" => vec![file("a", &format!("{SANDBOX}/bucket.example/a"))],
            "odd" => vec![file("a", " https://bucket.example/\n canary \"a\"?b=<c> ")],
            "nothing" => Vec::new(),
            "many" => (0..=HandOut::ITEMS_MAX).map(|_| file("a", ADDRESSES[0])).collect(),
            "long" => (0..30).map(|_| file("a", &format!("{}?{}", ADDRESSES[0], "x".repeat(4_000)))).collect(),
            _ => vec![
                file("orders.csv", ADDRESSES[0]),
                file("rows\u{202e}.csv", ADDRESSES[1]),
                Item::Text { name: "Key".to_owned(), value: Secret::new(KEY) },
            ],
        };
        let facts = vec![("Export".to_owned(), "nightly".to_owned())];
        let link = context.hand_out(HandOut { title: "Files of an export.".to_owned(), facts, items }).await?;
        Ok(json!({"link": link}))
    }
}

static TOOLS: Catalogue = Catalogue::new(&[Group {
    toolset: Toolset::Organization,
    tools: &[Entry::of::<SendOut<true>>, Entry::of::<SendOut<false>>, Entry::of::<Fetch>],
}]);

fn serving(mut server: Native) -> Native {
    OBJECTS.set(0);
    SENT.take();
    server.tools = (&TOOLS, |name, arguments| TOOLS.find(name, arguments));
    server
}

/// An owner's deployment, with these settings too.
fn owned(more: &[(&str, &str)]) -> Native {
    let private = keys("owner").1;
    let settings = [
        ("TIDB_CLOUD_SANDBOX", SANDBOX),
        ("TIDB_CLOUD_PUBLIC_KEY", "SBXOWNER"),
        ("TIDB_CLOUD_PRIVATE_KEY", &private),
        ("MCP_ACCESS_KEY", ACCESS_KEY),
    ];
    serving(Native::with(&[more, &settings[..]].concat()))
}

fn new() -> Native {
    serving(Native::new())
}

fn send() -> Call {
    attended("send_out", json!({"target": "s3://bucket/exports"}))
}

fn fetch() -> Call {
    attended("fetch", json!({"what": "files"}))
}

fn text(answer: &Answer) -> String {
    String::from_utf8_lossy(&answer.body).into_owned()
}

fn code(answer: &Answer) -> Value {
    result(answer)["error"]["code"].clone()
}

fn submit(server: &mut Native, path: &str, cookie: &str, all: &Fields) -> Answer {
    let origin = server.origin();
    server.send(browser_form(&origin, path, cookie, all))
}

fn proof(who: &str) -> Fields {
    let (public, private) = keys(who);
    fields(&[("publicKey", public), ("privateKey", &private)])
}

/// The page after the proof.
fn proved(server: &mut Native, path: &str, proof: &Fields) -> Page {
    let answer = submit(server, path, "", proof);
    assert_eq!(answer.status, 200, "{}", text(&answer));
    Page::of(&answer)
}

/// The form of a page with this typed into it.
fn filled(page: &Page, typed: &[(&str, &str)]) -> Fields {
    page.hidden.iter().cloned().chain(fields(typed)).collect()
}

/// A person proves, types all three and agrees.
fn hand_in(server: &mut Native, path: &str, proof: &Fields) -> String {
    let page = proved(server, path, proof);
    let typed = [&TYPED[..], &[("decision", "confirm")]].concat();
    let answer = submit(server, path, &page.cookie, &filled(&page, &typed));
    assert!(answer.status == 200 && text(&answer).contains("Allowed"), "{}", text(&answer));
    text(&answer)
}

fn stored(server: &Native) -> String {
    server.world.objects.borrow().iter().map(|(name, object)| format!("{name} {object}\n")).collect()
}

/// The stored questions of the one principal that has some.
fn questions(server: &Native) -> Value {
    let objects = server.world.objects.borrow();
    let object = objects.iter().find(|(name, _)| name.starts_with("confirmations:")).map(|(_, object)| object.clone());
    let object: Value = object.map_or(Value::Null, |object| serde_json::from_str(&object).expect("JSON"));
    object["confirmations"]["questions"].clone()
}

/// What somebody does to what is stored.
type Change<'c> = &'c mut dyn FnMut(&mut Value);

/// Changes what is stored.
fn tamper(server: &Native, change: Change<'_>) {
    for (name, stored) in server.world.objects.borrow_mut().iter_mut() {
        if name.starts_with("confirmations:") {
            let mut object: Value = serde_json::from_str(stored).expect("JSON");
            change(&mut object["confirmations"]);
            *stored = object.to_string();
        }
    }
}

#[test]
fn a_call_has_what_a_person_handed_in_once_and_nobody_else_sees_it() {
    let mut server = new();
    server.world.has_analytics.set(true);
    let mut seen = Vec::new();
    let asked = server.send(send());
    assert_eq!(code(&asked), "CONFIRMATION_REQUIRED");
    let hint = result(&asked)["error"]["hint"].to_string();
    assert!(hint.contains("typed the credentials there") && hint.contains("Never take any in the chat"), "{hint}");
    let path = link(&asked);
    let opened = server.send(get(&path));
    let html = text(&opened);
    assert!(
        !html.contains("s3://") && !html.contains("given-"),
        "a link alone shows nothing and asks for nothing: {html}"
    );
    let page = proved(&mut server, &path, &proof("owner"));
    let at = |text: &str| page.html.find(text).unwrap_or_else(|| panic!("no {text}: {}", page.html));
    assert!(at("s3://bucket/exports") < at("given-id"), "what it is for stands above the fields");
    assert!(page.html.matches("autocomplete=\"off\"").count() >= 4, "no browser fills them in: {}", page.html);
    seen.push(page.html.clone());
    seen.push(hand_in(&mut server, &path, &proof("owner")));
    seen.push(stored(&server));
    // Nothing of it is in the memory of an isolate.
    server.restart();
    let done = server.send(send());
    assert_eq!(result(&done)["sent"], true, "{}", text(&done));
    let given = [ID, SECRET, FILE].map(str::to_owned);
    assert_eq!(SENT.take(), [given], "to the last byte as they were typed");
    seen.extend([text(&asked), html, text(&done), stored(&server)]);
    assert_eq!(code(&server.send(send())), "CONFIRMATION_REQUIRED", "the next call asks again");
    assert!(SENT.take().is_empty());
    assert_eq!(submit(&mut server, &path, "", &proof("owner")).status, 404, "a used link is gone");

    let refused = attended("send_out", json!({"target": "s3://refuses"}));
    let path = link(&server.send(refused.clone()));
    hand_in(&mut server, &path, &proof("owner"));
    let failed = server.send(refused);
    assert_eq!(code(&failed), "PERMISSION_DENIED");
    assert!(
        text(&failed).contains("does not know [redacted], nor [redacted]."),
        "what a cloud says of it is shown without: {}",
        text(&failed)
    );
    seen.push(text(&failed));
    let log = server.world.log.borrow().join("\n");
    let key = path.rsplit('.').next().expect("a key");
    assert!(log.contains("\"route\":\"/confirm\"") && !log.contains(key), "the log has the route without its link");
    seen.push(log);
    seen.push(format!("{:?}", server.world.points.borrow()));
    seen.push(format!("{:?}", server.world.sent.borrow()));
    let as_json = Value::from(SECRET).to_string();
    for text in &seen {
        for secret in [ID, SECRET, as_json.trim_matches('"'), "canary", "Y2FuYXJ5"] {
            assert!(!text.contains(secret), "{secret} shows in {text}");
        }
    }
}

#[test]
fn the_page_is_asked_also_where_nobody_is_asked_and_where_a_client_shows_forms() {
    let mut server = new();
    let forms = server.send(send().with_forms());
    link(&forms);
    assert_ne!(forms.json()["result"]["resultType"], "input_required", "secrets are not asked for in a form");
    let path = link(&server.send(send().set("X-MCP-Unattended", "destroy")));
    hand_in(&mut server, &path, &proof("owner"));
    let done = server.send(send().set("X-MCP-Unattended", "destroy"));
    assert_eq!(result(&done)["sent"], true, "{}", text(&done));
    // A state of another question is none of this.
    let mut answered = send().with_forms();
    let mut body: Value = serde_json::from_slice(&answered.body).expect("JSON");
    body["params"]["requestState"] = json!("made.up.state");
    body["params"]["inputResponses"] = json!({"confirm": {"action": "accept", "content": {"secret": SECRET}}});
    answered.body = body.to_string().into_bytes();
    let refused = server.send(answered).json();
    assert!(refused["error"]["message"].to_string().contains("requestState"), "a form answers nothing here: {refused}");
    let unsaid = server.send(attended("send_by_itself", json!({"target": "x"})));
    assert_eq!(code(&unsaid), "INTERNAL", "a tool that asks for credentials says that it opens: {}", text(&unsaid));
    assert_eq!(SENT.take().len(), 1);
}

#[test]
fn what_is_typed_is_taken_whole_or_refused_at_its_field() {
    let mut server = new();
    let path = link(&server.send(send()));
    let page = proved(&mut server, &path, &proof("owner"));
    let long = "x".repeat(4_097);
    for (field, value, said) in [
        ("given-id", "", "fill this in."),
        ("given-id", " \u{3000}", "fill this in."),
        ("given-secret", " key", "begins or ends with a blank"),
        ("given-secret", "key\u{a0}", "begins or ends with a blank"),
        ("given-secret", "k\tey", "a character that does not show"),
        ("given-file", "{\u{0}}", "a character that does not show"),
        ("given-file", &long, "4,096 bytes at most"),
    ] {
        let typed = with(filled(&page, &[&TYPED[..], &[("decision", "confirm")]].concat()), field, value);
        let answer = submit(&mut server, &path, &page.cookie, &typed);
        let html = text(&answer);
        assert!(answer.status == 400 && html.contains(said), "{field} {value:?}: {html}");
        assert!(html.contains(&format!("href=\"#{field}\"")), "the summary leads to the field: {html}");
        assert!(!html.contains("canary") && !html.contains("xxxx"), "nothing is filled in again: {html}");
    }
    // Twice the same field is nothing that a browser sends.
    let mut twice = filled(&page, &[&TYPED[..], &[("decision", "confirm")]].concat());
    twice.push(("given-id".to_owned(), "other".to_owned()));
    assert_eq!(submit(&mut server, &path, &page.cookie, &twice).status, 400);
    // Neither the cookie nor the proof can be left out.
    let whole = filled(&page, &[&TYPED[..], &[("decision", "confirm")]].concat());
    for (cookie, all) in [
        ("", whole.clone()),
        (&*page.cookie, without(whole.clone(), "proof")),
        (&*page.cookie, without(whole.clone(), "csrf")),
    ] {
        assert_eq!(submit(&mut server, &path, cookie, &all).status, 403);
    }
    assert_eq!(code(&server.send(send())), "CONFIRMATION_REQUIRED", "none of this was a yes");
    let path = link(&server.send(send()));
    let page = proved(&mut server, &path, &proof("owner"));
    let crlf = FILE.replace('\n', "\r\n");
    let typed = with(filled(&page, &[&TYPED[..], &[("decision", "confirm")]].concat()), "given-file", &crlf);
    assert_eq!(submit(&mut server, &path, &page.cookie, &typed).status, 200);
    server.send(send());
    assert_eq!(SENT.take()[0][2], FILE, "a browser ends lines with CR LF, which is none of the file");
}

#[test]
fn they_are_for_one_caller_and_for_one_call_of_what_was_shown() {
    let mut server = new();
    let path = link(&server.send(send()));
    assert_eq!(submit(&mut server, &path, "", &proof("other")).status, 400, "somebody else proves nothing");
    hand_in(&mut server, &path, &proof("owner"));
    let (public, private) = keys("other");
    let by_other = send().set("X-TiDB-API-Public-Key", public).set("X-TiDB-API-Private-Key", &private);
    assert_eq!(code(&server.send(by_other)), "CONFIRMATION_REQUIRED", "another caller has nothing of it");
    let elsewhere = attended("send_out", json!({"target": "s3://elsewhere"}));
    assert_eq!(code(&server.send(elsewhere)), "CONFIRMATION_REQUIRED", "nor has another call");
    OBJECTS.set(7);
    assert_eq!(code(&server.send(send())), "CONFIRMATION_REQUIRED", "nor one that would do something else by now");
    OBJECTS.set(0);
    assert_eq!(result(&server.send(send()))["sent"], true, "the one that was shown has it");
    assert_eq!(SENT.take().len(), 1);
}

#[test]
fn they_are_gone_once_they_are_of_no_use() {
    // After a decline.
    let mut server = new();
    let path = link(&server.send(send()));
    let page = proved(&mut server, &path, &proof("owner"));
    let typed = [&TYPED[..], &[("decision", "decline")]].concat();
    assert_eq!(submit(&mut server, &path, &page.cookie, &filled(&page, &typed)).status, 200);
    let kept = questions(&server);
    assert!(kept[0].get("handed_in").is_none() && kept[0]["declined"] == true, "{kept}");
    assert_eq!(code(&server.send(send())), "CONFIRMATION_DECLINED");
    // After the answer neither the page nor the link's half is kept: whoever has the link and the storage opens nothing.
    let path = link(&server.send(send()));
    assert!(questions(&server)[0]["keys"]["link"].is_object(), "before it they are");
    hand_in(&mut server, &path, &proof("owner"));
    let kept = questions(&server);
    assert!(kept[0]["handed_in"].is_object() && kept[0]["keys"]["caller"].is_object(), "{kept}");
    assert!(kept[0].get("page").is_none() && kept[0]["keys"].get("link").is_none(), "{kept}");
    // After five minutes.
    server.advance(CONFIRMED_MILLIS / 1_000);
    let path = link(&server.send(send()));
    assert_eq!(questions(&server).as_array().map(Vec::len), Some(1), "only the new question is left");
    // Whoever has to make a key first has nine minutes, and after ten the page takes nothing any more.
    let page = proved(&mut server, &path, &proof("owner"));
    server.advance(ASKED_MILLIS / 1_000 - 1);
    let in_time = filled(&page, &[&TYPED[..2], &[("decision", "confirm")]].concat());
    let missing = submit(&mut server, &path, &page.cookie, &in_time);
    assert!(missing.status == 400 && text(&missing).contains("fill this in."), "{}", text(&missing));
    server.advance(1);
    let late = filled(&page, &[&TYPED[..], &[("decision", "confirm")]].concat());
    assert!([403, 404].contains(&submit(&mut server, &path, &page.cookie, &late).status));
    assert_eq!(submit(&mut server, &path, "", &proof("owner")).status, 404);
    // After the call that took them.
    let path = link(&server.send(send()));
    hand_in(&mut server, &path, &proof("owner"));
    server.send(send());
    assert_eq!(SENT.take().len(), 1);
    assert_eq!(questions(&server), Value::Null, "nothing is stored any more");
}

#[test]
fn whoever_changes_the_storage_gets_nothing_out_of_it() {
    let changes: [(&str, Change<'_>); 5] = [
        ("what was handed in", &mut |record| record["questions"][0]["handed_in"]["c"] = json!("A".repeat(64))),
        ("its data key", &mut |record| record["questions"][0]["keys"]["caller"]["c"] = json!("A".repeat(80))),
        ("which of two calls it is for", &mut |record| {
            let first = record["questions"][0]["call"].clone();
            record["questions"][0]["call"] = record["questions"][1]["call"].clone();
            record["questions"][1]["call"] = first;
        }),
        ("which of two has which", &mut |record| {
            let first = record["questions"][0]["handed_in"].clone();
            record["questions"][0]["handed_in"] = record["questions"][1]["handed_in"].clone();
            record["questions"][1]["handed_in"] = first;
        }),
        ("which of two has which key", &mut |record| {
            let first = record["questions"][0]["keys"].clone();
            record["questions"][0]["keys"] = record["questions"][1]["keys"].clone();
            record["questions"][1]["keys"] = first;
        }),
    ];
    for (what, change) in changes {
        let mut server = new();
        for call in [send(), attended("send_out", json!({"target": "s3://second"}))] {
            let path = link(&server.send(call));
            hand_in(&mut server, &path, &proof("owner"));
        }
        tamper(&server, change);
        let answer = server.send(send());
        assert_eq!(code(&answer), "CONFIRMATION_INVALID", "{what}: {}", text(&answer));
        assert!(SENT.take().is_empty());
        assert_eq!(code(&server.send(send())), "CONFIRMATION_REQUIRED", "{what}: it is gone, and is asked for again");
    }
    // Nobody agrees by writing that somebody did.
    let mut server = new();
    link(&server.send(send()));
    tamper(&server, &mut |record| record["questions"][0]["confirmed"] = json!(true));
    assert_eq!(code(&server.send(send())), "CONFIRMATION_REQUIRED", "there is nothing that was handed in");
    tamper(&server, &mut |record| {
        record["questions"][0]["confirmed"] = json!(true);
        record["questions"][0].as_object_mut().expect("a question").remove("keys");
    });
    assert_eq!(code(&server.send(send())), "CONFIRMATION_REQUIRED", "nor without a key to it");
    // What one principal has is not another's, even with the same keys.
    let mut server = owned(&[("ALLOWED_CREDENTIALS", "keys,access-key")]);
    let path = link(&server.send(send()));
    hand_in(&mut server, &path, &proof("owner"));
    let by_owner = || with_token(send(), ACCESS_KEY);
    link(&server.send(by_owner()));
    let questions = questions_of_all(&server);
    let (_, answered) = questions.iter().find(|(_, all)| all[0]["confirmed"] == true).expect("an answer");
    let (theirs, asked) = questions.iter().find(|(_, all)| all[0]["confirmed"] == false).expect("a question");
    assert_eq!(answered[0]["call"], asked[0]["call"], "it is the same call");
    let moved = json!({"confirmations": {"v": 1, "questions": answered, "used": []}}).to_string();
    server.world.objects.borrow_mut().insert(theirs.clone(), moved);
    assert_eq!(code(&server.send(by_owner())), "CONFIRMATION_INVALID");
    assert!(SENT.take().is_empty());
}

fn questions_of_all(server: &Native) -> Vec<(String, Value)> {
    let objects = server.world.objects.borrow();
    let of = objects.iter().filter(|(name, _)| name.starts_with("confirmations:"));
    of.map(|(name, stored)| {
        let object: Value = serde_json::from_str(stored).expect("JSON");
        (name.clone(), object["confirmations"]["questions"].clone())
    })
    .collect()
}

#[test]
fn a_grant_has_them_after_a_refresh_and_in_its_organization_alone() {
    let mut server = new();
    let set = |who: &str, name: &str| with(proof(who), "name", name);
    let flow = Flow::new(&mut server);
    let all = [set("owner", "shops"), set("other", "labs"), fields(&[("scope", "tidb:destroy")])].concat();
    let code_of = flow.code(&mut server, all);
    let tokens = Tokens::of(&server.send(form("/token", &flow.redemption(&code_of))));
    let of = |token: &str, organization: &str| {
        let arguments = json!({"target": "s3://bucket", "organization": organization});
        with_token(attended("send_out", arguments), token)
    };
    let path = link(&server.send(of(&tokens.access, "shops")));
    assert_eq!(submit(&mut server, &path, "", &proof("other")).status, 400, "it is not in their organization");
    hand_in(&mut server, &path, &proof("owner"));
    let tokens = Tokens::of(&server.send(form("/token", &flow.refreshing(&tokens.refresh))));
    assert_eq!(
        code(&server.send(of(&tokens.access, "labs"))),
        "CONFIRMATION_REQUIRED",
        "another organization has nothing"
    );
    let same_keys = attended("send_out", json!({"target": "s3://bucket"}));
    assert_eq!(code(&server.send(same_keys)), "CONFIRMATION_REQUIRED", "nor have the same keys by themselves");
    let done = server.send(of(&tokens.access, "shops"));
    assert_eq!(result(&done)["sent"], true, "{}", text(&done));
    assert_eq!(SENT.take().len(), 1);
}

#[test]
fn on_an_owners_deployment_the_access_key_hands_in_and_takes() {
    let mut server = owned(&[]);
    let access = fields(&[("accessKey", ACCESS_KEY)]);
    let path = link(&server.send(with_token(send(), ACCESS_KEY)));
    assert_eq!(submit(&mut server, &path, "", &proof("owner")).status, 400, "keys are nothing here");
    hand_in(&mut server, &path, &access);
    assert_eq!(result(&server.send(with_token(send(), ACCESS_KEY)))["sent"], true);
    assert_eq!(SENT.take().len(), 1);
    let path = handed(&server.send(with_token(fetch(), ACCESS_KEY)));
    assert_eq!(submit(&mut server, &path, "", &proof("owner")).status, 400, "nor for what is handed out");
    let page = proved(&mut server, &path, &access);
    assert!(page.html.contains("orders.csv"), "{}", page.html);
}

/// The path of the page with secrets that a result leads to.
fn handed(answer: &Answer) -> String {
    let link = result(answer)["link"].as_str().unwrap_or_else(|| panic!("no link: {}", text(answer))).to_owned();
    link.strip_prefix("http://127.0.0.1:8787").expect("a link to this server").to_owned()
}

/// Presses the button of an item.
fn take(server: &mut Native, path: &str, page: &Page, item: &str) -> (Answer, Page) {
    let answer = submit(server, path, &page.cookie, &filled(page, &[("item", item)]));
    let page = Page::of(&answer);
    (answer, page)
}

#[test]
fn a_person_takes_each_secret_once_and_nobody_else_sees_any() {
    let mut server = new();
    server.world.has_analytics.set(true);
    let answer = server.send(fetch());
    let path = handed(&answer);
    let opened = server.send(get(&path));
    assert!(
        opened.status == 200 && !text(&opened).contains("orders.csv"),
        "a link alone shows nothing: {}",
        text(&opened)
    );
    assert_eq!(submit(&mut server, &path, "", &proof("other")).status, 400, "nor do somebody else's keys");
    let first = proved(&mut server, &path, &proof("owner"));
    for shown in ["Files of an export.", "nightly", "orders.csv", "12 MB", "rows\\u202e.csv"] {
        assert!(first.html.contains(shown), "{shown}: {}", first.html);
    }
    let secrets = [ADDRESSES[0], ADDRESSES[1], KEY, "canary"];
    let mut seen = vec![text(&answer), text(&opened), first.html.clone(), stored(&server)];

    let (one, download) = take(&mut server, &path, &first, "0");
    let html = crate::support::oauth::unescape(&text(&one));
    assert_eq!(one.status, 200);
    assert!(html.contains(&format!("content=\"0;url={}\"", ADDRESSES[0])), "the browser goes there: {html}");
    assert!(
        html.contains(&format!("rel=\"noreferrer noopener\" href=\"{}\"", ADDRESSES[0])),
        "and a link does: {html}"
    );
    assert_eq!(html.matches(ADDRESSES[0]).count(), 2);
    assert_eq!((one.header("Cache-Control"), one.header("Location")), (Some("no-store"), None));
    assert_eq!(one.header("Referrer-Policy"), Some("no-referrer"), "nobody is told where it comes from");
    assert!(!html.contains("<form") && download.cookie.is_empty(), "the page before goes on: {html}");
    assert!(first.html.matches("formtarget=\"download\"").count() == 2, "which stays in its tab: {}", first.html);
    for other in &secrets[1..3] {
        assert!(!html.contains(other), "one at a time: {html}");
    }
    let (again, download) = take(&mut server, &path, &first, "0");
    assert!(download.cookie.is_empty(), "that one still goes on");
    assert!(again.status == 400 && !text(&again).contains("canary"), "once: {}", text(&again));
    for made_up in ["3", "-1", "0 ", "x", "99999999999999999999999"] {
        let page = proved(&mut server, &path, &proof("owner"));
        assert_eq!(take(&mut server, &path, &page, made_up).0.status, 400, "{made_up}");
        server.advance(30);
    }
    let page = proved(&mut server, &path, &proof("owner"));
    for (cookie, all) in [
        ("", filled(&page, &[("item", "1")])),
        (&*first.cookie, filled(&page, &[("item", "1")])),
        (&*page.cookie, without(filled(&page, &[("item", "1")]), "proof")),
    ] {
        assert_eq!(submit(&mut server, &path, cookie, &all).status, 403);
    }
    server.restart();
    let (key, page) = take(&mut server, &path, &page, "2");
    assert!(text(&key).contains("<pre><code>canary-&lt;key&gt;-of-prometheus</code></pre>"), "{}", text(&key));
    assert!(!text(&key).contains("http-equiv=\"refresh\""), "a text leads nowhere");
    let kept = stored(&server);
    let (last, _) = take(&mut server, &path, &page, "1");
    assert!(crate::support::oauth::unescape(&text(&last)).contains(ADDRESSES[1]));
    assert_eq!(last.header("Referrer-Policy"), Some("no-referrer"));
    assert_eq!(take(&mut server, &path, &page, "1").0.status, 404, "nothing is left");
    assert_eq!(submit(&mut server, &path, "", &proof("owner")).status, 404);
    assert!(!stored(&server).contains("handed_out"), "and nothing is stored: {}", stored(&server));

    seen.extend([kept, stored(&server), format!("{:?}", server.world.points.borrow())]);
    let log = server.world.log.borrow().join("\n");
    let key = path.rsplit('.').next().expect("a key");
    assert!(log.contains("\"route\":\"/handed\"") && !log.contains(key), "the log has the route without its link");
    assert_eq!(log.matches("\"event\":\"handed_out\"").count(), 3, "it says that something was given, and not what");
    seen.push(log);
    for text in &seen {
        for secret in secrets {
            assert!(!text.contains(secret), "{secret} shows in {text}");
        }
    }
    let readable = ["orders.csv", "nightly", key];
    assert!(!readable.iter().any(|text| seen[3].contains(text)), "what is stored says nothing: {}", seen[3]);
}

#[test]
fn secrets_lie_ready_for_ten_minutes_and_not_too_many() {
    let mut server = new();
    let path = handed(&server.send(fetch()));
    let page = proved(&mut server, &path, &proof("owner"));
    for _ in 1..HANDED_OUT_MAX {
        handed(&server.send(fetch()));
    }
    let full = server.send(fetch());
    assert_eq!(code(&full), "CONFIRMATION_REQUIRED", "{}", text(&full));
    // What somebody else has lying there is in nobody's way.
    let (public, private) = keys("other");
    handed(&server.send(fetch().set("X-TiDB-API-Public-Key", public).set("X-TiDB-API-Private-Key", &private)));
    // A question is not one of them.
    link(&server.send(send()));
    server.advance(ASKED_MILLIS / 1_000);
    assert!([403, 404].contains(&take(&mut server, &path, &page, "0").0.status));
    assert_eq!(submit(&mut server, &path, "", &proof("owner")).status, 404, "ten minutes are over");
    let path = handed(&server.send(fetch()));
    // Whoever takes many files proves it as often, and the right one is no try, be it the fifth.
    for left in (1..TRIES_MAX).rev() {
        let wrong = submit(&mut server, &path, "", &proof("other"));
        assert!(text(&wrong).contains(&format!("<strong>{left}</strong>")), "{}", text(&wrong));
        server.advance(30);
    }
    for item in ["0", "1"] {
        let page = proved(&mut server, &path, &proof("owner"));
        let (taken, _) = take(&mut server, &path, &page, item);
        assert!(taken.status == 200 && text(&taken).contains("canary"), "{}", text(&taken));
    }
    let before = proved(&mut server, &path, &proof("owner"));
    assert_eq!(submit(&mut server, &path, "", &proof("other")).status, 400);
    assert_eq!(submit(&mut server, &path, "", &proof("owner")).status, 404, "five wrong ones, and no other is tried");
    assert_eq!(take(&mut server, &path, &before, "2").0.status, 200, "who had proved it goes on");
    let path = handed(&server.send(fetch()));
    for left in (0..TRIES_MAX).rev() {
        let wrong = submit(&mut server, &path, "", &proof("other"));
        assert_eq!(text(&wrong).contains(&format!("<strong>{left}</strong>")), left > 0, "{}", text(&wrong));
        server.advance(30);
    }
    assert_eq!(submit(&mut server, &path, "", &proof("owner")).status, 404, "five tries, as on every page");
    // The proof of one page is none of another, and a link is of its own kind.
    let (one, other) = (handed(&server.send(fetch())), handed(&server.send(fetch())));
    let page = proved(&mut server, &one, &proof("owner"));
    assert_eq!(take(&mut server, &other, &page, "0").0.status, 403);
    let as_question = one.replace("/handed/", "/confirm/");
    assert_eq!(submit(&mut server, &as_question, "", &proof("owner")).status, 404);
    let question = link(&server.send(send())).replace("/confirm/", "/handed/");
    assert_eq!(submit(&mut server, &question, "", &proof("owner")).status, 404);
}

/// What the alarm of the object with the questions does at its time; how many seconds after this that is.
fn alarm(server: &Native) -> u64 {
    use mcp_server_tidbcloud::{base::clock::UnixMillis, store::object::Stored};
    let mut objects = server.world.objects.borrow_mut();
    let (name, text) = objects.iter().find(|(name, _)| name.starts_with("confirmations:")).expect("an object");
    let (name, stored): (_, Stored) = (name.clone(), serde_json::from_str(text).expect("JSON"));
    let due = stored.due();
    match stored.at(due) {
        Some(left) => objects.insert(name, serde_json::to_string(&left).expect("JSON")),
        None => objects.remove(&name),
    };
    UnixMillis(server.world.clock.get()).until(due).as_secs()
}

#[test]
fn an_alarm_deletes_what_was_handed_in_after_five_minutes_whatever_else_is_open() {
    let mut server = new();
    let path = link(&server.send(send()));
    hand_in(&mut server, &path, &proof("owner"));
    server.advance(60);
    link(&server.send(attended("send_out", json!({"target": "s3://later"}))));
    assert!(stored(&server).contains("handed_in"));
    assert_eq!(alarm(&server), CONFIRMED_MILLIS / 1_000 - 60);
    assert!(!stored(&server).contains("handed_in"), "{}", stored(&server));
    assert_eq!(questions(&server).as_array().map(Vec::len), Some(1), "the later question stays");
    assert_eq!(alarm(&server), ASKED_MILLIS / 1_000);
    assert_eq!(questions(&server), Value::Null);
}

#[test]
fn no_key_is_made_that_could_not_be_handed_out() {
    let mut server = new();
    MADE.set(0);
    let new_key = || attended("fetch", json!({"what": "new"}));
    for _ in 1..HANDED_OUT_MAX {
        handed(&server.send(fetch()));
    }
    handed(&server.send(new_key()));
    assert_eq!(MADE.get(), 1, "the last place is kept, and taken");
    let full = server.send(new_key());
    assert!(code(&full) == "CONFIRMATION_REQUIRED" && MADE.get() == 1, "{}", text(&full));
    server.world.storage_fails.set(true);
    assert_eq!((code(&server.send(new_key())), MADE.get()), (json!("STORAGE_UNAVAILABLE"), 1));
}

#[test]
fn an_address_is_laid_out_as_it_was_checked() {
    let mut server = new();
    let path = handed(&server.send(attended("fetch", json!({"what": "odd"}))));
    let page = proved(&mut server, &path, &proof("owner"));
    let (taken, _) = take(&mut server, &path, &page, "0");
    let html = crate::support::oauth::unescape(&text(&taken));
    let address = "https://bucket.example/%20canary%20%22a%22?b=%3Cc%3E";
    assert!(html.contains(&format!("content=\"0;url={address}\"")), "{html}");
}

#[test]
fn what_cannot_be_handed_out_is_not() {
    let mut server = new();
    for (what, expected) in [
        ("early", "INTERNAL"),
        ("script", "INTERNAL"),
        ("plain", "INTERNAL"),
        ("login", "INTERNAL"),
        ("nothing", "INTERNAL"),
        ("many", "RESULT_TOO_LARGE"),
        ("long", "RESULT_TOO_LARGE"),
    ] {
        assert_eq!(code(&server.send(attended("fetch", json!({"what": what})))), expected, "{what}");
    }
    assert!(result(&server.send(attended("fetch", json!({"what": "sandbox"}))))["link"].is_string());
    server.world.storage_fails.set(true);
    assert_eq!(code(&server.send(fetch())), "STORAGE_UNAVAILABLE");
    let mut server = new();
    let unknown = server.send(fetch().set("X-TiDB-API-Public-Key", "NOBODY"));
    assert!(result(&unknown)["link"].is_null(), "{}", text(&unknown));
    assert!(!stored(&server).contains("confirmations:"), "nothing of it was stored: {}", stored(&server));
}
