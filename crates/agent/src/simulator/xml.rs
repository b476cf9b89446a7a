//! Answers in the XML of AWS's query protocol.

use std::fmt::Write;

use jiff::Timestamp;

use super::answer::{Answer, UserRow};
use super::message::{Reply, Request};

/// The body of a reply, whole.
pub(super) fn body(request: &Request, reply: &Reply) -> String {
    let namespace = match request.service.as_str() {
        "sts" => "https://sts.amazonaws.com/doc/2011-06-15/",
        _ => "https://iam.amazonaws.com/doc/2010-05-08/",
    };
    let id = &reply.request_id;
    match &reply.result {
        Err(error) => {
            let kind = if error.status < 500 { "Sender" } else { "Receiver" };
            let (code, message) = (escape(&error.code), escape(&error.message));
            format!(
                "<ErrorResponse xmlns=\"{namespace}\"><Error><Type>{kind}</Type><Code>{code}</Code>\
                 <Message>{message}</Message></Error><RequestId>{id}</RequestId></ErrorResponse>\n"
            )
        }
        Ok(answer) => {
            let action = escape(&request.action);
            let result = match answer {
                // AWS sends no result element where there is nothing to say.
                Answer::Empty => String::new(),
                answer => format!("<{action}Result>{}</{action}Result>", inner(answer)),
            };
            format!(
                "<{action}Response xmlns=\"{namespace}\">{result}<ResponseMetadata>\
                 <RequestId>{id}</RequestId></ResponseMetadata></{action}Response>\n"
            )
        }
    }
}

fn inner(answer: &Answer) -> String {
    match answer {
        Answer::Identity { account, arn, user_id } => {
            element("Arn", arn) + &element("UserId", user_id) + &element("Account", account)
        }
        Answer::Keys { user, keys, marker } => {
            let members = members(keys, |key| {
                element("UserName", &key.user)
                    + &element("AccessKeyId", &key.id)
                    + &element("Status", &key.status.to_string())
                    + &element("CreateDate", &date(key.created))
            });
            element("UserName", user) + &page("AccessKeyMetadata", &members, marker.as_deref())
        }
        Answer::Created { key, secret } => {
            let key = element("UserName", &key.user)
                + &element("AccessKeyId", &key.id)
                + &element("Status", &key.status.to_string())
                + &element("SecretAccessKey", secret)
                + &element("CreateDate", &date(key.created));
            format!("<AccessKey>{key}</AccessKey>")
        }
        Answer::Session(session, role) => {
            let credentials = element("AccessKeyId", &session.id)
                + &element("SecretAccessKey", &session.secret)
                + &element("SessionToken", &session.token)
                + &element("Expiration", &date(session.expires));
            let role = role.as_ref().map_or_else(String::new, |role| {
                let user = element("Arn", &role.arn) + &element("AssumedRoleId", &role.id);
                format!("<AssumedRoleUser>{user}</AssumedRoleUser>")
            });
            format!("<Credentials>{credentials}</Credentials>{role}")
        }
        Answer::LastUsed { user, last } => {
            let (when, service, region) = match last {
                Some(last) => (
                    element("LastUsedDate", &date(last.at)),
                    last.service.as_str(),
                    last.region.as_str(),
                ),
                None => (String::new(), "N/A", "N/A"),
            };
            let used = when + &element("ServiceName", service) + &element("Region", region);
            element("UserName", user) + &format!("<AccessKeyLastUsed>{used}</AccessKeyLastUsed>")
        }
        Answer::User(row) => format!("<User>{}</User>", user(row)),
        Answer::Users(rows, marker) => page("Users", &members(rows, user), marker.as_deref()),
        Answer::Summary(figures) => {
            let figure = |(name, value): &(&str, usize)| {
                let entry = element("key", name) + &element("value", &value.to_string());
                format!("<entry>{entry}</entry>")
            };
            let entries: String = figures.iter().map(figure).collect();
            format!("<SummaryMap>{entries}</SummaryMap>")
        }
        Answer::Tags(tags) => {
            let tag =
                |(key, value): &(String, String)| element("Key", key) + &element("Value", value);
            page("Tags", &members(tags, tag), None)
        }
        Answer::Decisions(decisions) => {
            let decision = |(action, decision): &(String, &str)| {
                element("EvalActionName", action)
                    + &element("EvalResourceName", "*")
                    + &element("EvalDecision", decision)
            };
            page("EvaluationResults", &members(decisions, decision), None)
        }
        Answer::Policies(policies) => {
            let policy = |(name, arn): &(String, String)| {
                element("PolicyName", name) + &element("PolicyArn", arn)
            };
            page("AttachedPolicies", &members(policies, policy), None)
        }
        Answer::PolicyNames(names) => {
            let name = |name: &String| escape(name);
            page("PolicyNames", &members(names, name), None)
        }
        Answer::Policy { user, name, document } => {
            element("UserName", user)
                + &element("PolicyName", name)
                + &element("PolicyDocument", &url_encoded(document))
        }
        Answer::Document(_) | Answer::Empty => String::new(),
    }
}

fn user(row: &UserRow) -> String {
    element("Path", &row.path)
        + &element("UserName", &row.name)
        + &element("UserId", &row.id)
        + &element("Arn", &row.arn)
        + &element("CreateDate", &date(row.created))
}

fn members<T>(rows: &[T], show: impl Fn(&T) -> String) -> String {
    rows.iter().fold(String::new(), |mut text, row| {
        // Writing to a string cannot fail.
        let _ = write!(text, "<member>{}</member>", show(row));
        text
    })
}

fn page(name: &str, members: &str, marker: Option<&str>) -> String {
    let more = marker.map_or_else(String::new, |marker| element("Marker", marker));
    let is_truncated = marker.is_some();
    format!("<IsTruncated>{is_truncated}</IsTruncated><{name}>{members}</{name}>{more}")
}

pub(super) fn element(name: &str, text: &str) -> String {
    format!("<{name}>{}</{name}>", escape(text))
}

/// IAM hands policies out as RFC 3986 has it.
fn url_encoded(text: &str) -> String {
    let mut encoded = String::new();
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            encoded.push(char::from(byte));
        } else {
            // Writing to a string cannot fail.
            let _ = write!(encoded, "%{byte:02X}");
        }
    }
    encoded
}

fn date(time: Timestamp) -> String {
    time.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

pub(super) fn escape(text: &str) -> String {
    let text = text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
    text.replace('"', "&quot;")
}
