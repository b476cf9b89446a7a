//! Another user of this machine, with everything else right.

use aws_sigv4::http_request::SignableBody;

use crate::field::{Field, bytes, lines};
use crate::siege::{refused, statuses, tail};
use crate::support::users::send_as_nobody;

#[test]
fn another_user_with_the_right_placeholder_gets_nothing_through() {
    let field = Field::new("-vvv");
    let before = field.upstream.count();
    let request = field.request("PUT", "/b/k", &[]);
    let head = field.client().sign(request, SignableBody::Bytes(b"abc"));
    let message = String::from_utf8(bytes(&lines(&head), b"abc")).unwrap();
    let output = send_as_nobody(&field.proxy.port().to_string(), &message);
    assert!(output.status.success(), "{output:?}");
    assert_eq!(statuses(&output.stdout), [403], "{output:?}");
    assert_eq!(field.siege.secret_in(&output.stdout), None);
    assert_eq!(field.upstream.count(), before, "nothing was sent on");
    // The same words from the owner are answered.
    let (answer, _) = field.send(message.as_bytes(), false);
    assert_eq!(statuses(&answer), [200]);
    let said = field.end(&[]);
    assert_eq!(refused(&said, "User"), 1, "{}", tail(&said));
}
