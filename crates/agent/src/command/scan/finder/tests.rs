use super::super::wanted::Stage;
use super::*;

const ID: &str = "AKIAIOSFODNN7EXAMPLE";
const OTHER: &str = "AKIAI44QH8DHBEXAMPLE";
const SECRET_TEXT: &str = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY";

fn finder() -> Finder {
    let wanted = [ID, OTHER].map(|id| Wanted {
        id: id.to_owned(),
        profile: None,
        stage: Stage::Named,
        breaks_at: None,
        fate: String::new(),
    });
    Finder::new(wanted.to_vec()).expect("few patterns")
}

fn lines(text: &[u8]) -> Vec<(usize, usize, Option<usize>)> {
    let places = finder().places_in(text).expect("read");
    places.hits.iter().map(|hit| (hit.wanted, hit.line, hit.secret_line)).collect()
}

#[test]
fn the_line_is_told_and_that_of_the_secret() {
    let text = format!("[a]\nkey = {ID}\n\nsecret = {SECRET_TEXT}\n[b]\nkey = {OTHER}\n");
    assert_eq!(lines(text.as_bytes()), [(0, 2, Some(4)), (1, 6, Some(4))]);
    assert_eq!(lines(format!("see {ID}\n").as_bytes()), [(0, 1, None)]);
    let far = format!("{SECRET_TEXT}\n{}{ID}", "\n".repeat(20));
    assert_eq!(lines(far.as_bytes()), [(0, 22, None)]);
}

#[test]
fn what_looks_like_a_secret_and_what_does_not() {
    for line in [
        SECRET_TEXT.to_owned(),
        format!("export AWS_SECRET_ACCESS_KEY=\"{SECRET_TEXT}\""),
        format!("{{\"SecretAccessKey\": \"{SECRET_TEXT}\"}}"),
        "secret_key = minio-secret-123456789".to_owned(),
    ] {
        assert!(holds_secret(line.as_bytes()), "{line}");
    }
    for line in [
        // The hash of a commit.
        "commit 89e2cd6b7c2a3cbb1bfb0a6ffd7c08af6c1a9d7e",
        "aws_secret_access_key =",
        "secret = ${SECRET}",
        "the secret is kept elsewhere",
    ] {
        assert!(!holds_secret(line.as_bytes()), "{line}");
    }
}

#[test]
fn only_whole_ids_count() {
    for text in [format!("X{ID}"), format!("{ID}X"), format!("{ID}_")] {
        assert_eq!(lines(text.as_bytes()), [], "{text}");
    }
    for text in [format!("\"a\\n{ID}\\n\""), format!("/{ID}%2F"), format!("<{ID}>"), ID.to_owned()]
    {
        assert_eq!(lines(text.as_bytes()).len(), 1, "{text}");
    }
}

#[test]
fn base64_and_utf16_are_read() {
    let auth = BASE64.encode(format!("{ID}:{SECRET_TEXT}").as_bytes());
    assert_eq!(lines(format!("{{\n\"auth\": \"{auth}\"").as_bytes()), [(0, 2, Some(2))]);
    let alone = BASE64.encode(ID.as_bytes());
    assert_eq!(lines(alone.as_bytes()), [(0, 1, None)]);
    let text = format!("a\r\n{ID}\r\n{SECRET_TEXT}");
    for big in [false, true] {
        let bytes = std::iter::once(0xfeff).chain(text.encode_utf16());
        let bytes: Vec<u8> = bytes
            .flat_map(|unit| if big { unit.to_be_bytes() } else { unit.to_le_bytes() })
            .collect();
        assert_eq!(lines(&bytes), [(0, 2, Some(3))]);
        assert_eq!(finder().look(&bytes[..], &mut vec![0; CHUNK]).expect("read").0, Look::Hit);
    }
}

/// Gives one byte more at each read.
struct Trickle<'a>(&'a [u8], usize);

impl Read for Trickle<'_> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let count = self.1.min(self.0.len()).min(into.len());
        into[..count].copy_from_slice(&self.0[..count]);
        self.0 = &self.0[count..];
        Ok(count)
    }
}

#[test]
fn an_id_across_two_reads_is_seen() {
    let text = format!("{}{ID}{}", "x".repeat(101).replace("xx", " \n"), "y".repeat(50));
    let text = text.replace("x", " ");
    for step in 1..60 {
        let mut buffer = vec![0; 64];
        let (look, _) = finder().look(Trickle(text.as_bytes(), step), &mut buffer).expect("read");
        assert_eq!(look, Look::Hit, "{step}");
    }
    let mut buffer = vec![0; 64];
    let (look, read) =
        finder().look(Trickle(&text.as_bytes()[..110], 7), &mut buffer).expect("read");
    assert_eq!((look, read), (Look::Clean, 110));
}

#[test]
fn binaries_are_told_by_a_nul() {
    let look = |text: &[u8]| finder().look(text, &mut vec![0; CHUNK]).expect("read").0;
    assert_eq!(look(format!("\x7fELF\0{ID}").as_bytes()), Look::Binary);
    assert_eq!(look(b""), Look::Clean);
    assert_eq!(look(format!("{}\0{ID}", "a\n".repeat(5000)).as_bytes()), Look::Hit);
}

#[test]
fn a_log_with_thousands_of_lines_is_cut_short() {
    let places = finder().places(format!("{ID}\n").repeat(1000).as_bytes());
    assert_eq!((places.hits.len(), places.more), (PLACES_MAX, 950));
}

#[test]
fn an_id_is_found_on_either_side_of_each_border() {
    let finder = finder();
    // Lines of 8 bytes; the secret stands three lines above the id.
    let text = format!("{SECRET_TEXT}\n\n\n{ID}\n");
    for border in [CHUNK - 2 * BYTES_BESIDE, CHUNK, 2 * CHUNK] {
        for at in (border - 160..border + 160).step_by(8) {
            let mut file = b"a line.\n".repeat(at / 8);
            let line = at / 8 + 4;
            file.extend_from_slice(text.as_bytes());
            file.extend_from_slice(&b"another\n".repeat(CHUNK / 8));
            let last = line + 1 + CHUNK / 8;
            file.extend_from_slice(OTHER.as_bytes());
            let places = finder.places_in(Trickle(&file, 100_000)).expect("read");
            let found: Vec<_> =
                places.hits.iter().map(|hit| (hit.wanted, hit.line, hit.secret_line)).collect();
            assert_eq!(found, [(0, line, Some(line - 3)), (1, last, None)], "{at}");
        }
    }
    let wide = format!("\u{feff}{}{ID}\n", "\u{20ac}uro\n".repeat(CHUNK / 5));
    let wide: Vec<u8> = wide.encode_utf16().flat_map(u16::to_le_bytes).collect();
    assert_eq!(lines(&wide), [(0, CHUNK / 5 + 1, None)]);
}
