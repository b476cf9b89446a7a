//! Tells services apart that sign with the same name: by `X-Amz-Target`, by the path of RPC v2 CBOR, by being a form, by
//! method and path, and by what the user agent says. AWS would know by the host, which is what we look for.

use super::Asked;
use super::table::Destination;

/// The destination that fits best. When nothing tells, the one that is named like the signing name.
pub(super) fn destination<'a>(
    all: &'a [Destination],
    asked: &Asked<'_>,
) -> Option<&'a Destination> {
    if all.len() == 1 {
        return all.first();
    }
    by_target(all, asked)
        .or_else(|| by_form(all, asked))
        .or_else(|| by_path(all, asked))
        .or_else(|| by_user_agent(all, asked))
        .or(all.first())
}

/// Whether it is one of the operations that AWS has over HTTP/2 alone.
pub(super) fn is_stream(all: &[Destination], asked: &Asked<'_>) -> bool {
    let named = asked.target.and_then(|target| target.rsplit_once('.'));
    let target = named.or_else(|| in_path(asked)).map(|(_, operation)| operation);
    all.iter().flat_map(|one| &one.streams).any(|(method, what)| match *method {
        "TARGET" => target == Some(what),
        method => method == asked.method && fit(what, asked.path, asked.query).is_some(),
    })
}

/// `X-Amz-Target: Prefix.Operation`, or `/service/Prefix/operation/Operation`.
fn by_target<'a>(all: &'a [Destination], asked: &Asked<'_>) -> Option<&'a Destination> {
    let (prefix, operation) = match asked.target {
        Some(target) => target.rsplit_once('.')?,
        None => in_path(asked)?,
    };
    let has = |one: &&Destination| {
        one.services.iter().any(|service| service.target_prefix == Some(prefix))
    };
    let mut fitting = all.iter().filter(has);
    let first = fitting.next()?;
    if fitting.next().is_none() {
        return Some(first);
    }
    all.iter()
        .filter(has)
        .find(|one| one.operations.contains(&("TARGET", operation)))
        .or(Some(first))
}

/// As RPC v2 CBOR has it.
fn in_path<'a>(asked: &Asked<'a>) -> Option<(&'a str, &'a str)> {
    asked.path.strip_prefix("/service/")?.split_once("/operation/")
}

fn by_form<'a>(all: &'a [Destination], asked: &Asked<'_>) -> Option<&'a Destination> {
    let takes = |one: &&Destination| one.services.iter().any(|service| service.takes_forms);
    all.iter().filter(|_| asked.is_form).find(takes)
}

/// The operation whose template says most of the path, if only one destination has such a one.
fn by_path<'a>(all: &'a [Destination], asked: &Asked<'_>) -> Option<&'a Destination> {
    let best = |one: &Destination| {
        let of_method = one.operations.iter().filter(|(method, _)| *method == asked.method);
        of_method.filter_map(|(_, template)| fit(template, asked.path, asked.query)).max()
    };
    let fits: Vec<_> = all.iter().filter_map(|one| Some((best(one)?, one))).collect();
    let most = fits.iter().map(|(fit, _)| *fit).max()?;
    let mut fitting = fits.iter().filter(|(fit, _)| *fit == most);
    let (_, first) = fitting.next()?;
    match fitting.next() {
        None => Some(first),
        Some(_) => {
            let tied = fits.iter().filter(|(fit, _)| *fit == most).map(|(_, one)| *one);
            tied.into_iter().find(|one| is_named(one, asked.user_agent))
        }
    }
}

/// SDKs but botocore name the API: `api/bedrock_agent#1.2`, `api/bedrock-agent/1.2`.
fn by_user_agent<'a>(all: &'a [Destination], asked: &Asked<'_>) -> Option<&'a Destination> {
    all.iter().find(|one| is_named(one, asked.user_agent))
}

fn is_named(one: &Destination, user_agent: &str) -> bool {
    user_agent.split(' ').filter_map(|word| word.strip_prefix("api/")).any(|word| {
        let word = word.split(['#', '/', ';']).next().unwrap_or_default();
        let id = word.replace('-', "_").to_ascii_lowercase();
        one.services.iter().any(|service| service.id == id)
    })
}

/// How many letters of the path a template names, if the path is one of its.
fn fit(template: &str, path: &str, query: &str) -> Option<usize> {
    let (template, wanted) = template.split_once('?').unwrap_or((template, ""));
    let has =
        |pair: &str| query.split('&').any(|one| one == pair || one.strip_suffix('=') == Some(pair));
    if !wanted.split('&').filter(|pair| !pair.is_empty()).all(has) {
        return None;
    }
    let mut letters = wanted.len();
    let (mut parts, mut segments) = (template.split('/'), path.split('/'));
    loop {
        match (parts.next(), segments.next()) {
            (None, None) => return Some(letters),
            (Some(part), Some(segment)) if part.starts_with('{') => {
                if segment.is_empty() {
                    return None;
                }
                // It takes what follows, too.
                if part.ends_with("+}") {
                    return Some(letters);
                }
            }
            (Some(part), Some(segment)) if part == segment => letters += part.len() + 1,
            _ => return None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_template_fits_its_paths() {
        for (template, path, query, fits) in [
            ("/a/{b}/c", "/a/x/c", "", true),
            ("/a/{b}/c", "/a//c", "", false),
            ("/a/{b}/c", "/a/x/d", "", false),
            ("/a/{b}", "/a/x/y", "", false),
            ("/a/{b+}", "/a/x/y", "", true),
            ("/a?x=1", "/a", "y&x=1", true),
            ("/a?x", "/a", "x=", true),
            ("/a?x=1", "/a", "x=2", false),
        ] {
            assert_eq!(fit(template, path, query).is_some(), fits, "{template} {path} {query}");
        }
        assert!(fit("/a/b", "/a/b", "") > fit("/a/{b}", "/a/b", ""));
    }
}
