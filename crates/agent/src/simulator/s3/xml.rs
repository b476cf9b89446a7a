//! S3's XML: what is sent, and the little that is read.

use jiff::Timestamp;
use roxmltree::Document;

use super::super::message::ApiError;
pub(super) use super::super::xml::element;

/// AWS's words for a body that cannot be read.
pub(super) const MALFORMED: &str =
    "The XML you provided was not well-formed or did not validate against our published schema";

pub(super) fn root(name: &str, inner: &str) -> String {
    format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n\
         <{name} xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\">{inner}</{name}>"
    )
}

pub(super) fn location(region: &str) -> String {
    // The first region has no name here.
    root("LocationConstraint", if region == "us-east-1" { "" } else { region })
}

pub(super) fn owner(name: &str) -> String {
    let id = element("ID", &"0".repeat(64));
    format!("<{name}>{id}<DisplayName>simulator</DisplayName></{name}>")
}

pub(super) fn date(time: Timestamp) -> String {
    time.strftime("%Y-%m-%dT%H:%M:%S.000Z").to_string()
}

pub(super) fn http_date(time: Timestamp) -> String {
    time.strftime("%a, %d %b %Y %H:%M:%S GMT").to_string()
}

/// The elements of a body that hold text, in their order, with their local names.
pub(super) fn read(body: &[u8]) -> Result<Vec<(String, String)>, ApiError> {
    let malformed = || ApiError::new(400, "MalformedXML", MALFORMED);
    let text = std::str::from_utf8(body).map_err(|_| malformed())?;
    let document = Document::parse(text).map_err(|_| malformed())?;
    let elements = document.descendants().filter(|node| node.is_element());
    let texts = elements.filter_map(|node| Some((node.tag_name().name(), node.text()?)));
    Ok(texts.map(|(name, text)| (name.to_owned(), text.to_owned())).collect())
}
