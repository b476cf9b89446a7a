//! Names and values of queries and forms.

/// The pairs of a query or a form, decoded; a name alone has an empty value.
pub(in crate::simulator) fn pairs(text: &str) -> Vec<(String, String)> {
    let pairs = text.split('&').filter(|pair| !pair.is_empty());
    pairs
        .map(|pair| pair.split_once('=').unwrap_or((pair, "")))
        .map(|(name, value)| (decode(name, true), decode(value, true)))
        .collect()
}

/// Percent-decodes; what is not a good escape stays as it is.
pub(in crate::simulator) fn decode(text: &str, plus_is_space: bool) -> String {
    let bytes = text.as_bytes();
    let (mut decoded, mut at) = (Vec::with_capacity(bytes.len()), 0);
    while let Some(&byte) = bytes.get(at) {
        let escaped = bytes.get(at + 1..at + 3).filter(|_| byte == b'%');
        let escaped = escaped.and_then(|digits| hex::decode(digits).ok());
        match escaped {
            Some(escaped) => {
                decoded.extend(escaped);
                at += 3;
            }
            None => {
                decoded.push(if byte == b'+' && plus_is_space { b' ' } else { byte });
                at += 1;
            }
        }
    }
    String::from_utf8_lossy(&decoded).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forms_are_decoded() {
        let form = pairs("Action=TagUser&Tags.member.1.Value=a%2Fb+c%&x=%zz&&acl");
        let form: Vec<_> = form.iter().map(|(name, value)| (&**name, &**value)).collect();
        assert_eq!(
            form,
            [("Action", "TagUser"), ("Tags.member.1.Value", "a/b c%"), ("x", "%zz"), ("acl", "")]
        );
        assert_eq!(decode("a+b%20c", false), "a+b c");
    }
}
