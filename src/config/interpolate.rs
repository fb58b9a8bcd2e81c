//! `${VAR}`, `${VAR:-default}` and `${file:/path}` inside single values. It happens after the YAML was read, so that no
//! value can change the structure.

use std::collections::BTreeMap;

/// The value with its references put in, or what is wrong with one of them, without the text: it may be a secret. `$$` is a dollar sign.
pub fn interpolate(text: &str, env: &BTreeMap<String, String>) -> Result<String, String> {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('$') {
        out.push_str(&rest[..at]);
        let behind = &rest[at + 1..];
        if let Some(behind) = behind.strip_prefix('$') {
            out.push('$');
            rest = behind;
        } else if let Some(reference) = behind.strip_prefix('{') {
            let end = reference.find('}').ok_or("`${` stands without `}`; a dollar sign alone is `$$`")?;
            out.push_str(&resolve(&reference[..end], env)?);
            rest = &reference[end + 1..];
        } else {
            out.push('$');
            rest = behind;
        }
    }
    out.push_str(rest);
    Ok(out)
}

fn resolve(reference: &str, env: &BTreeMap<String, String>) -> Result<String, String> {
    if let Some(path) = reference.strip_prefix("file:") {
        return read_secret(path);
    }
    let (name, default) = match reference.split_once(":-") {
        Some((name, default)) => (name, Some(default)),
        None => (reference, None),
    };
    let is_name = !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
    if !is_name {
        return Err("`${…}` names no variable; a dollar sign alone is `$$`".to_owned());
    }
    match (env.get(name).filter(|value| !value.is_empty() || default.is_none()), default) {
        (Some(value), _) => Ok(value.clone()),
        (None, Some(default)) => Ok(default.to_owned()),
        (None, None) => Err(format!("the variable {name} is not set")),
    }
}

#[expect(clippy::disallowed_methods, reason = "settings may name a file that holds a secret")]
fn read_secret(path: &str) -> Result<String, String> {
    let text =
        std::fs::read_to_string(path).map_err(|error| format!("the file {path} cannot be read: {error}"))?;
    Ok(text.trim_end_matches(['\n', '\r']).to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn references_are_put_in_and_faults_are_named() {
        let env = BTreeMap::from([("A".to_owned(), "1".to_owned()), ("E".to_owned(), String::new())]);
        let cases = [
            ("x${A}y${A}", Ok("x1y1")),
            ("${B:-two}", Ok("two")),
            ("${E:-two}", Ok("two")),
            ("${E}", Ok("")),
            ("a$$b$c", Ok("a$b$c")),
            ("${B}", Err("the variable B is not set")),
            ("${A", Err("`${` stands without `}`; a dollar sign alone is `$$`")),
            ("${}", Err("`${…}` names no variable; a dollar sign alone is `$$`")),
            ("${a b}", Err("`${…}` names no variable; a dollar sign alone is `$$`")),
            ("${B:-}", Ok("")),
            ("${B:-a:-b}", Ok("a:-b")),
            ("${A:-two}", Ok("1")),
            ("$", Ok("$")),
            ("$${A}", Ok("${A}")),
            ("é${A}漢", Ok("é1漢")),
        ];
        for (text, want) in cases {
            assert_eq!(interpolate(text, &env).as_deref().map_err(String::as_str), want, "{text}");
        }
        let missing = interpolate("${file:/nowhere}", &env).unwrap_err();
        assert!(missing.starts_with("the file /nowhere cannot be read"), "{missing}");
    }

    #[test]
    fn what_a_reference_gives_is_not_read_again() {
        let env = BTreeMap::from([("A".to_owned(), "${B}$$".to_owned())]);
        assert_eq!(interpolate("${A}", &env).as_deref(), Ok("${B}$$"));
    }

    #[expect(clippy::disallowed_methods, reason = "a test writes the file that it reads")]
    #[test]
    fn a_file_loses_the_end_of_its_line_only() {
        let path = std::env::temp_dir().join(format!("ringway-secret-{}", std::process::id()));
        std::fs::write(&path, " se cret\r\n\n").expect("a temporary file");
        let read = interpolate(&format!("x${{file:{}}}y", path.display()), &BTreeMap::new());
        std::fs::remove_file(&path).expect("the file is there");
        assert_eq!(read.as_deref(), Ok("x se crety"));
    }
}
