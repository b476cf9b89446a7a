//! What a server has answered, as bytes.

/// The answers of a connection: whole, one after the other, with nothing between or after them, and with no other headers
/// than these. `100 Continue` is one without a body.
pub fn read_answers(mut output: &[u8], headers: &[&str], has_head: bool) -> Vec<(u16, Vec<u8>)> {
    let mut answers = Vec::new();
    while !output.is_empty() {
        let end = output.windows(4).position(|four| four == b"\r\n\r\n").expect("a whole head");
        let head = std::str::from_utf8(&output[..end]).expect("a head is text");
        output = &output[end + 4..];
        let mut lines = head.split("\r\n");
        let first = lines.next().expect("a first line");
        assert!(first.starts_with("HTTP/1."), "{first}");
        let status = first[9..12].parse().expect("a status");
        let mut length = 0;
        for line in lines {
            let (name, value) = line.split_once(": ").expect("a header");
            assert!(headers.contains(&name), "{line}");
            if name == "content-length" {
                length = value.parse().expect("a length");
            }
        }
        // The answer to HEAD has a length, and no body.
        if has_head && status != 200 && !output.starts_with(b"{\"code\":") {
            length = 0;
        }
        assert!(output.len() >= length, "a body is cut off");
        answers.push((status, output[..length].to_vec()));
        output = &output[length..];
    }
    answers
}

/// Whether a part stands anywhere in the bytes.
pub fn contains(bytes: &[u8], part: &[u8]) -> bool {
    bytes.windows(part.len()).any(|window| window == part)
}
