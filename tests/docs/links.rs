//! Links between documents: the file is there, and so is the heading.

use super::markdown::{Document, root};

pub fn broken(documents: &[Document]) -> Vec<String> {
    let mut complaints = Vec::new();
    for document in documents {
        for (line, link) in &document.links {
            if let Err(why) = follow(documents, document, link) {
                complaints.push(format!("{}:{line}: {link}: {why}", document.name));
            }
        }
    }
    complaints
}

fn follow(documents: &[Document], from: &Document, link: &str) -> Result<(), String> {
    if link.starts_with("https://") || link.starts_with("mailto:") {
        return Ok(());
    }
    let (path, anchor) = link.split_once('#').unwrap_or((link, ""));
    let folder = root().join(&from.name);
    let target = match path {
        "" => folder,
        _ => folder.parent().unwrap().join(path),
    };
    let target = target.canonicalize().map_err(|_| "no such file".to_owned())?;
    let name = target.strip_prefix(root()).map_err(|_| "outside of the repository")?;
    if anchor.is_empty() {
        return Ok(());
    }
    let name = name.to_str().unwrap();
    let target = documents.iter().find(|document| document.name == name);
    let target = target.ok_or("only documents have headings")?;
    match anchors(target).any(|has| has == anchor) {
        true => Ok(()),
        false => Err(format!("{name} has no such heading")),
    }
}

/// As GitHub makes them: lower case, blanks as hyphens, other punctuation left out, a number behind the second of a name.
fn anchors(document: &Document) -> impl Iterator<Item = String> {
    let mut seen = std::collections::BTreeMap::<String, usize>::new();
    document.headings.iter().map(move |heading| {
        let kept = heading.to_lowercase();
        let kept = kept.chars().filter(|c| c.is_alphanumeric() || " -_".contains(*c));
        let slug: String = kept.map(|c| if c == ' ' { '-' } else { c }).collect();
        let count = seen.entry(slug.clone()).or_default();
        *count += 1;
        if *count > 1 { format!("{slug}-{}", *count - 1) } else { slug }
    })
}
